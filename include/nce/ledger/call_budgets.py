"""The calls counted on Partner Center's rate limits: who may call when, for all processes and machines.

Responsible for one row per limit and tenant, changed under its row lock and timed by PostgreSQL's clock
alone, so that no machine's clock matters. Whether a moment is free is decided by pyrate-limiter's sliding
window; why its PostgreSQL bucket is not used stands in docs/decisions/0008-one-call-budget-for-all.md. Which
call counts where is decided in `partner_center.budget`.

A call that has to wait is booked for its moment, in turn, and claims it when the moment has come. A booking
that nobody claims in time, because its process died or overslept, is dropped, and its place is free again.

Microsoft does not say whether its windows slide or start afresh; a sliding one never breaks either. It
counts when a call arrives, we when it leaves, so our window is longer than Microsoft's by `MARGIN`: half of
it may be lost to late claims, half to the way.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from pyrate_limiter import Rate, SlidingWindowLog
from sqlalchemy import ColumnElement, and_, delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DataError, ProgrammingError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from include.nce.ledger.tables import CallBudgetRow
from include.nce.ledger.transactions import Transactions

MARGIN = 0.04
"""Of a window. Of 100 calls in a window of 300 s, at least 96 can be used in the long run."""
LOCK_SECONDS = 10
"""How long a call waits for the others' turn before the budget counts as out of reach."""
HOLD_SECONDS = 5
"""After which PostgreSQL ends the session of a process that froze during its turn."""
FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 300.0
"""Pauses grow between these two where Microsoft throttles without a Retry-After."""
KEPT_FOR = timedelta(days=1)
"""How long the row of a tenant that nobody asks about is kept."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MILLISECOND = timedelta(milliseconds=1)
_sliding = SlidingWindowLog()


@dataclass(frozen=True)
class CallSlot:
    """`wait_seconds` until `at`, 0 when the call may leave. Without `at` nothing was booked: too far off."""

    wait_seconds: float
    at: datetime | None


@dataclass(frozen=True)
class Window:
    """The calls of one limit and tenant: those that left, and those that wait for their moment."""

    calls: int
    seconds: float
    taken_at: tuple[datetime, ...] = ()
    booked_at: tuple[datetime, ...] = ()
    paused_until_at: datetime | None = None

    def at(self, now_at: datetime) -> Window:
        """Without what has left the window, and without the bookings that nobody claimed in time."""
        window_opens_at = now_at - self.length
        return replace(
            self,
            taken_at=tuple(at for at in self.taken_at if at >= window_opens_at),
            booked_at=tuple(at for at in self.booked_at if at >= now_at - self._patience),
        )

    def book(
        self, now_at: datetime, longest_wait: timedelta, held_at: datetime | None = None
    ) -> tuple[Window, CallSlot]:
        """The window after a call asked for its moment, or came back for the one it holds."""
        window = self.at(now_at)
        resumes_at = max(now_at, self.paused_until_at or now_at)
        if held_at is not None and held_at in window.booked_at:
            if held_at > now_at and held_at >= resumes_at:
                return window, CallSlot((held_at - now_at).total_seconds(), held_at)
            booked = list(window.booked_at)
            booked.remove(held_at)
            window = replace(window, booked_at=tuple(booked))
            if resumes_at == now_at:
                return replace(window, taken_at=(*window.taken_at, held_at)), CallSlot(0.0, held_at)
        free_at = window._free_at(resumes_at)
        wait = free_at - now_at
        if wait > longest_wait:
            return window, CallSlot(wait.total_seconds(), None)
        if wait > timedelta(0):
            window = replace(window, booked_at=(*window.booked_at, free_at))
        else:
            window = replace(window, taken_at=(*window.taken_at, free_at))
        return window, CallSlot(wait.total_seconds(), free_at)

    @property
    def length(self) -> timedelta:
        return timedelta(seconds=self.seconds * (1 + MARGIN))

    @property
    def _patience(self) -> timedelta:
        return timedelta(seconds=self.seconds * MARGIN / 2)

    def _free_at(self, earliest_at: datetime) -> datetime:
        rate = Rate(self.calls, int(self.length / _MILLISECOND))
        earliest = _milliseconds(earliest_at)
        known = sorted((_milliseconds(at) for at in (*self.taken_at, *self.booked_at)), reverse=True)
        opens = _sliding.window_start(rate, earliest)
        decision = _sliding.decide(
            [rate],
            [sum(at >= opens for at in known)],
            1,
            earliest,
            lambda newer: known[newer] if newer < len(known) else None,
        )
        return earliest_at + (decision.retry_after_ms or 0) * _MILLISECOND


def _milliseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MILLISECOND


@dataclass(frozen=True)
class CallBudgetStatus:
    """How one limit stands for one tenant: `calls` in `window_seconds`, None when Microsoft publishes none.

    `used` left within the window, `waiting` are booked, and after `drained_in_seconds` none of those waits
    any more. `paused_seconds` is what is left of the wait after Microsoft's last 429, at `throttled_at`.
    """

    limit: str
    tenant_id: str
    calls: int | None
    window_seconds: float | None
    used: int
    left: int | None
    waiting: int
    drained_in_seconds: float
    paused_seconds: float
    throttled_at: datetime | None


class CallBudgets(Transactions):
    """Who may call when (`partner_center.budget.Slots`). Raises ConnectionError when the database does not do
    its part."""

    async def book_call(
        self,
        provider_id: str,
        limit_name: str,
        tenant_id: str,
        *,
        calls: int | None,
        window_seconds: float | None,
        longest_wait_seconds: float,
        held_at: datetime | None = None,
    ) -> CallSlot:
        """The next free moment for a call, booked unless it is further off than `longest_wait_seconds`.

        Come back with `held_at` when it has come: 0 seconds to wait say that the call may leave. Without
        `calls` nothing is counted, and only a pause makes wait.
        """
        mine = _key(provider_id, limit_name, tenant_id)
        if calls is None or window_seconds is None:
            return await self._uncounted(mine, longest_wait_seconds)
        async with self._turn() as session:
            row = (
                await session.execute(
                    insert(CallBudgetRow)
                    .values(
                        provider_id=provider_id,
                        limit_name=limit_name,
                        tenant_id=tenant_id,
                        calls=calls,
                        window_seconds=window_seconds,
                        used_at=func.clock_timestamp(),
                    )
                    .on_conflict_do_update(
                        index_elements=["provider_id", "limit_name", "tenant_id"],
                        set_={
                            "calls": calls,
                            "window_seconds": window_seconds,
                            "used_at": func.clock_timestamp(),
                        },
                    )
                    .returning(
                        CallBudgetRow.taken_at,
                        CallBudgetRow.booked_at,
                        CallBudgetRow.paused_until_at,
                        CallBudgetRow.used_at,
                    )
                )
            ).one()
            before = Window(
                calls, window_seconds, tuple(row.taken_at), tuple(row.booked_at), row.paused_until_at
            )
            after, slot = before.book(row.used_at, timedelta(seconds=longest_wait_seconds), held_at)
            if after != before:
                await session.execute(
                    update(CallBudgetRow)
                    .where(mine)
                    .values(taken_at=list(after.taken_at), booked_at=list(after.booked_at))
                )
            if not row.taken_at and not row.booked_at:
                await session.execute(_forget_idle(row.used_at - KEPT_FOR))
        return slot

    async def pause_calls(
        self, provider_id: str, limit_name: str, tenant_id: str, *, seconds: float | None
    ) -> float:
        """Nobody calls for so many seconds; the seconds it takes from now.

        Without `seconds` they double from one 429 to the next, unless the pause before is long over.
        """
        async with self._turn() as session:
            now = func.clock_timestamp()
            row = (
                await session.execute(
                    insert(CallBudgetRow)
                    .values(provider_id=provider_id, limit_name=limit_name, tenant_id=tenant_id, used_at=now)
                    .on_conflict_do_update(
                        index_elements=["provider_id", "limit_name", "tenant_id"], set_={"used_at": now}
                    )
                    .returning(
                        CallBudgetRow.paused_until_at, CallBudgetRow.throttled_at, CallBudgetRow.used_at
                    )
                )
            ).one()
            pause_seconds = _pause_seconds(row.paused_until_at, row.throttled_at, row.used_at, seconds)
            until_at = row.used_at + timedelta(seconds=pause_seconds)
            if row.paused_until_at is not None:
                until_at = max(until_at, row.paused_until_at)
            await session.execute(
                update(CallBudgetRow)
                .where(_key(provider_id, limit_name, tenant_id))
                .values(paused_until_at=until_at, throttled_at=row.used_at)
            )
        return float((until_at - row.used_at).total_seconds())

    async def call_budgets(self) -> tuple[datetime, list[CallBudgetStatus]]:
        """PostgreSQL's time, and how each limit stands then that somebody asked about in the last day."""
        async with self._transaction() as session:
            now_at = (await session.execute(select(func.now()))).scalar_one().astimezone(timezone.utc)
            rows = await session.scalars(
                select(CallBudgetRow)
                .where(CallBudgetRow.used_at >= now_at - KEPT_FOR)
                .order_by(CallBudgetRow.limit_name, CallBudgetRow.tenant_id)
            )
            return now_at, [_status(row, now_at) for row in rows]

    async def _uncounted(self, mine: ColumnElement[bool], longest_wait_seconds: float) -> CallSlot:
        pause = select(CallBudgetRow.paused_until_at, func.clock_timestamp().label("now_at")).where(mine)
        with _told_as_connection_error():
            async with self._transaction() as session:
                found = (await session.execute(pause)).one_or_none()
        if found is None or found.paused_until_at is None or found.paused_until_at <= found.now_at:
            return CallSlot(0.0, _EPOCH)
        wait_seconds = (found.paused_until_at - found.now_at).total_seconds()
        return CallSlot(wait_seconds, found.paused_until_at if wait_seconds <= longest_wait_seconds else None)

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[AsyncSession]:
        """A short transaction that a frozen process cannot keep open and that does not wait for the disk."""
        with _told_as_connection_error():
            async with self._transaction() as session:
                await session.execute(
                    select(
                        func.set_config("lock_timeout", f"{LOCK_SECONDS}s", True),
                        func.set_config("idle_in_transaction_session_timeout", f"{HOLD_SECONDS}s", True),
                        func.set_config("synchronous_commit", "off", True),
                    )
                )
                yield session


@contextlib.contextmanager
def _told_as_connection_error() -> Iterator[None]:
    try:
        yield
    except (DataError, ProgrammingError):
        raise  # a fault of this code, which waiting does not cure
    except (SQLAlchemyError, OSError) as fault:
        said = str(getattr(fault, "orig", None) or fault).strip().splitlines()
        raise ConnectionError(said[0] if said else type(fault).__name__) from fault


def _key(provider_id: str, limit_name: str, tenant_id: str) -> ColumnElement[bool]:
    return and_(
        CallBudgetRow.provider_id == provider_id,
        CallBudgetRow.limit_name == limit_name,
        CallBudgetRow.tenant_id == tenant_id,
    )


def _forget_idle(before_at: datetime) -> Any:
    """The table grows by new rows only, so a new row is the time to look for old ones; locked ones are in
    use."""
    place = (CallBudgetRow.provider_id, CallBudgetRow.limit_name, CallBudgetRow.tenant_id)
    idle = select(*place).where(CallBudgetRow.used_at < before_at).with_for_update(skip_locked=True)
    return delete(CallBudgetRow).where(tuple_(*place).in_(idle))


def _pause_seconds(
    paused_until_at: datetime | None, throttled_at: datetime | None, now_at: datetime, asked: float | None
) -> float:
    if asked is not None:
        return asked
    if paused_until_at is None or throttled_at is None:
        return FIRST_PAUSE_SECONDS
    if now_at < paused_until_at:
        return 0.0  # a call that left before the pause began; it adds nothing
    last = paused_until_at - throttled_at
    if now_at - paused_until_at > last:
        return FIRST_PAUSE_SECONDS
    return min(LONGEST_PAUSE_SECONDS, 2 * last.total_seconds())


def _status(row: CallBudgetRow, now_at: datetime) -> CallBudgetStatus:
    used = waiting = 0
    drained_in_seconds = 0.0
    left: int | None = None
    if row.calls is not None and row.window_seconds is not None:
        window = Window(row.calls, row.window_seconds, tuple(row.taken_at), tuple(row.booked_at)).at(now_at)
        used, waiting = len(window.taken_at), len(window.booked_at)
        left = max(0, row.calls - used - waiting)
        if window.booked_at:
            drained_in_seconds = max(0.0, (max(window.booked_at) - now_at).total_seconds())
    return CallBudgetStatus(
        limit=row.limit_name,
        tenant_id=row.tenant_id,
        calls=row.calls,
        window_seconds=row.window_seconds,
        used=used,
        left=left,
        waiting=waiting,
        drained_in_seconds=drained_in_seconds,
        paused_seconds=max(0.0, (row.paused_until_at - now_at).total_seconds())
        if row.paused_until_at
        else 0.0,
        throttled_at=row.throttled_at,
    )
