"""Something happens at exactly the n-th call of a step to the ledger or to Partner Center.

A process that dies there, a process that stands still while another one works, a lock that is lost: all are
this. Leaves what happens to whoever gives it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.safety.rehearsal import Worker


class Interposed:
    """Counts calls over everything `tied` to it; `happens` is awaited once, before or after the n-th."""

    def __init__(self, number: int, happens: Callable[[], Awaitable[None]], *, after: bool) -> None:
        self._number = number
        self._happens = happens
        self._after = after
        self._calls = 0
        self.happened = False

    def tied(self, worker: Worker) -> Worker:
        return Worker(_Tied(worker.partner_center, self), _Tied(worker.ledger, self))

    async def before(self) -> int:
        self._calls += 1
        number = self._calls
        if number == self._number and not self._after:
            await self._happen()
        return number

    async def after(self, number: int) -> None:
        if number == self._number and self._after:
            await self._happen()

    async def _happen(self) -> None:
        self.happened = True
        await self._happens()


class _Tied:
    def __init__(self, target: Any, interposed: Interposed) -> None:
        self._target = target
        self._interposed = interposed

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if inspect.iscoroutinefunction(found):
            return self._call(found)
        if inspect.isasyncgenfunction(found):
            return self._pages(found)
        if name == "single_writer":
            return self._context(found)
        return found

    def _call(self, found: Any) -> Any:
        @functools.wraps(found)
        async def call(*args: Any, **kwargs: Any) -> Any:
            number = await self._interposed.before()
            answer = await found(*args, **kwargs)
            await self._interposed.after(number)
            return answer

        return call

    def _pages(self, found: Any) -> Any:
        async def pages(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            number = await self._interposed.before()
            async for item in found(*args, **kwargs):
                yield item
            await self._interposed.after(number)

        return pages

    def _context(self, found: Any) -> Any:
        @asynccontextmanager
        async def context(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            number = await self._interposed.before()
            async with found(*args, **kwargs) as held:
                await self._interposed.after(number)
                yield held

        return context
