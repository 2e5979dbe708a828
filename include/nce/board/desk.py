"""What the board needs of the world, opened anew for each request and closed after it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request

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


def open_desk(request: Request) -> OpenDesk:
    opened: OpenDesk = request.app.state.open_desk
    return opened


OpenDeskDep = Annotated[OpenDesk, Depends(open_desk)]
