"""What the board needs of the world, opened anew for each request and closed after it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request

from include.nce.domain.errors import InputRefused
from include.nce.ledger.ledger import PostgresLedger
from include.nce.steps.ports import Clock


class Desk(Protocol):
    """The ledger, and the campaign's time. `rehearsal`: it is the simulator's."""

    @property
    def ledger(self) -> PostgresLedger: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def rehearsal(self) -> bool: ...


OpenDesk = Callable[[], AbstractAsyncContextManager[Any]]


class NotSetUp(Exception):
    """A connection is missing or wrong: no fault of whoever asks."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__(" ".join(faults))
        self.faults = faults


def open_desk(request: Request) -> OpenDesk:
    opened: OpenDesk = request.app.state.open_desk

    @asynccontextmanager
    async def set_up() -> AsyncIterator[Desk]:
        async with AsyncExitStack() as stack:
            try:
                desk = await stack.enter_async_context(opened())
            except InputRefused as refused:
                raise NotSetUp(refused.faults) from None
            yield desk

    return set_up


OpenDeskDep = Annotated[OpenDesk, Depends(open_desk)]
