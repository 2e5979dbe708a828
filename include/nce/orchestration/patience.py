"""Waits outlast outages: while ledger, clock or connection are out of reach, a wait simply goes on.

A wait that lasts weeks meets restarts of PostgreSQL and mistyped connections. Neither may turn a thousand
purple squares red. Only a refusal about the run itself ends a wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import psycopg
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential

from include.nce.domain.errors import InputRefused

T = TypeVar("T")

LONGEST_PAUSE_SECONDS = 60.0


class Log(Protocol):
    """The task's own log, whichever library it is of."""

    def warning(self, event: str, *args: Any) -> Any: ...


class NotSetUp(Exception):
    """The product could not be opened: a connection is missing or wrong. Somebody will correct it."""

    def __init__(self, refused: InputRefused) -> None:
        super().__init__(str(refused))


OUT_OF_REACH = (
    OSError,
    OperationalError,
    InterfaceError,
    InternalError,  # a server that is read-only for a while: a failover, a disk that is nearly full
    psycopg.OperationalError,  # of the lock's own session
    psycopg.InternalError,
    PoolTimeout,
    NotSetUp,
)


async def patiently(
    watch: Callable[[], Awaitable[T]],
    log: Log,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> T:
    """Run `watch`, and run it again from its beginning after each outage, for as long as that takes.

    `watch` must be safe to repeat. Each outage is one warning in the task's log, at most one a minute.
    """

    def say(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning("Waiting on: %s", str(error).splitlines()[0] if str(error) else type(error).__name__)

    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(OUT_OF_REACH),
        wait=wait_exponential(min=1, max=LONGEST_PAUSE_SECONDS),
        before_sleep=say,
        sleep=sleep,
        reraise=True,
    ):
        with attempt:
            return await watch()
    raise AssertionError("a retry without a limit does not end")
