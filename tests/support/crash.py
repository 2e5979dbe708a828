"""A process that dies at a chosen call: the n-th call to the ledger or to Partner Center, before or after its
effect."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


class Crash(BaseException):
    """The process is gone. Nothing in the product may catch it, so it is no `Exception`."""


class Wire:
    """Counts calls across everything it is `tied` to and crashes at the `fatal`-th."""

    def __init__(self, fatal: int, *, after: bool) -> None:
        self.fatal = fatal
        self.after = after
        self.calls: list[str] = []

    @property
    def crashed(self) -> bool:
        return len(self.calls) >= self.fatal

    def tied(self, target: Any) -> Any:
        return _Tied(target, self)

    def before_effect(self, name: str) -> None:
        self.calls.append(name)
        if len(self.calls) == self.fatal and not self.after:
            raise Crash(f"before call {self.fatal}, {name}")

    def after_effect(self, number: int) -> None:
        if number == self.fatal and self.after:
            raise Crash(f"after call {self.fatal}, {self.calls[number - 1]}")


class _Tied:
    def __init__(self, target: Any, wire: Wire) -> None:
        self._target = target
        self._wire = wire

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if inspect.iscoroutinefunction(found):
            return self._call(name, found)
        if inspect.isasyncgenfunction(found):
            return self._pages(name, found)
        if name == "single_writer":
            return self._context(name, found)
        if name == "last_word":
            return self._transaction(name, found)
        return found

    def _call(self, name: str, found: Any) -> Any:
        @functools.wraps(found)
        async def call(*args: Any, **kwargs: Any) -> Any:
            self._wire.before_effect(name)
            number = len(self._wire.calls)
            answer = await found(*args, **kwargs)
            self._wire.after_effect(number)
            return answer

        return call

    def _pages(self, name: str, found: Any) -> Any:
        async def pages(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            self._wire.before_effect(name)
            number = len(self._wire.calls)
            async for item in found(*args, **kwargs):
                yield item
            self._wire.after_effect(number)

        return pages

    def _context(self, name: str, found: Any) -> Any:
        @asynccontextmanager
        async def context(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            self._wire.before_effect(name)
            number = len(self._wire.calls)
            async with found(*args, **kwargs) as held:
                self._wire.after_effect(number)
                yield held

        return context

    def _transaction(self, name: str, found: Any) -> Any:
        """Dies within, which undoes it; right before the commit, which does too; or right after."""

        @asynccontextmanager
        async def transaction(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            self._wire.before_effect(name)
            number = len(self._wire.calls)
            async with found(*args, **kwargs) as within:
                self._wire.after_effect(number)
                yield _Tied(within, self._wire)
                self._wire.before_effect(f"{name} commits")
                number = len(self._wire.calls)
            self._wire.after_effect(number)

        return transaction
