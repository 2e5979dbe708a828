"""The calls counted on Partner Center's rate limits: who may call when, for all processes and machines.

Responsible for one row per limit and tenant, changed under its row lock and timed by PostgreSQL's clock
alone, so that no machine's clock matters. Whether a moment is free is decided by pyrate-limiter's sliding
window; why its PostgreSQL bucket is not used stands in docs/decisions/0008-one-call-budget-for-all.md. Which
call counts where is decided in `partner_center.budget`.

A call that has to wait is booked for its moment, in turn, and claims it when the moment has come. A booking
that nobody claims in time, because its process died or overslept, is dropped, and its place is free again;
who overslept and comes back leaves at once if there is still room before those that wait.

Microsoft does not say whether its windows slide or start afresh; a sliding one never breaks either. It
counts when a call arrives, we when it leaves, so our window is longer than Microsoft's by `MARGIN`: a part of
it, `LATE`, may be lost to late claims, the rest to the way.

Who does not have to wait leaves at once. Those who wait leave in step, spread over most of a window: if all
left together when ours has moved on, one of Microsoft's would be empty now and then, because theirs is
shorter.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from pyrate_limiter import Rate, SlidingWindowLog
from sqlalchemy import and_, bindparam, delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DataError, ProgrammingError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from include.nce.ledger.tables import CallBudgetRow
from include.nce.ledger.transactions import Transactions

MARGIN = 0.03
"""Of a window. Of 100 calls in a window, 97 are used in the long run, and at least 96 in each."""
LATE = 0.01
"""Of a window: how late a moment may be claimed."""
PACE = 0.9
"""Of a window, in which all its calls leave when they wait. The rest makes up for what nobody claims."""
LOCK_SECONDS = 10
"""How long a call waits for the others' turn before the budget counts as out of reach."""
HOLD_SECONDS = 5
"""After which PostgreSQL ends the session of a process that froze during its turn."""
FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 300.0
"""The first pause where Microsoft throttles without a Retry-After, and how far pauses grow by themselves."""
KEPT_FOR = timedelta(days=1)
"""How long the row of a tenant that nobody asks about is kept."""

_sliding = SlidingWindowLog()


@dataclass(frozen=True)
class CallSlot:
    """`wait_seconds` until `moment_ms`, 0 when the call may leave. Without a moment nothing was booked: it
    would have been too far off."""

    wait_seconds: float
    moment_ms: int | None


@dataclass(frozen=True)
class Window:
    """The calls of one limit and tenant: those that left, and those that wait for their moment.

    All moments and times are milliseconds, moments since 1970 in UTC.
    """

    calls: int
    milliseconds: int
    taken: tuple[int, ...] = ()
    booked: tuple[int, ...] = ()
    paused_until: int = 0

    def at(self, now: int) -> Window:
        """Without what has left the window, and without the bookings that nobody claimed in time."""
        opens = _sliding.window_start(self._rate, now)
        waits_since = now - int(self.milliseconds * LATE)
        return replace(
            self,
            taken=tuple(moment for moment in self.taken if moment >= opens),
            booked=tuple(moment for moment in self.booked if moment >= waits_since),
        )

    def book(self, now: int, longest_wait: int, held: int | None = None) -> tuple[Window, CallSlot]:
        """The window after a call asked for its moment, or came back for the one it holds."""
        window = self.at(now)
        resumes = max(now, self.paused_until)
        if held is not None and held in window.booked:
            if held > now:
                return window, CallSlot((held - now) / 1000, held)
            booked = list(window.booked)
            booked.remove(held)
            window = replace(window, booked=tuple(booked))
            if resumes == now:
                return replace(window, taken=(*window.taken, held)), CallSlot(0.0, held)
        elif held is not None and resumes == now and window._fits(now):
            return replace(window, taken=(*window.taken, now)), CallSlot(0.0, now)
        free = window._free(resumes)
        if window.booked:
            free = max(free, max(window.booked) + self.step)
        wait = free - now
        if wait > longest_wait:
            return window, CallSlot(wait / 1000, None)
        if wait > 0:
            window = replace(window, booked=(*window.booked, free))
        else:
            window = replace(window, taken=(*window.taken, free))
        return window, CallSlot(wait / 1000, free)

    @property
    def step(self) -> int:
        """Between two who wait."""
        return int(self.milliseconds * PACE) // self.calls

    @property
    def _rate(self) -> Rate:
        return Rate(self.calls, int(self.milliseconds * (1 + MARGIN)))

    def _fits(self, moment: int) -> bool:
        """Whether one more call at this moment leaves room for all that are booked after it."""
        moments = sorted((*self.taken, *self.booked, moment))
        beyond = zip(moments, moments[self.calls :], strict=False)
        return all(later - earlier > self._rate.interval for earlier, later in beyond)

    def _free(self, earliest: int) -> int:
        """The first moment from `earliest` on at which one more call fits."""
        rate, known = self._rate, sorted((*self.taken, *self.booked), reverse=True)
        opens = _sliding.window_start(rate, earliest)
        decision = _sliding.decide(
            [rate],
            [sum(moment >= opens for moment in known)],
            1,
            earliest,
            lambda newer: known[newer] if newer < len(known) else None,
        )
        return earliest + (decision.retry_after_ms or 0)


def _milliseconds(at: datetime | None) -> int:
    return 0 if at is None else round(at.timestamp() * 1000)


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
        held_ms: int | None = None,
    ) -> CallSlot:
        """The next free moment for a call, booked unless it is further off than `longest_wait_seconds`.

        Come back with `held_ms` when it has come: 0 seconds to wait say that the call may leave. Without
        `calls` nothing is counted, and only a pause makes wait.
        """
        whose = {"provider": provider_id, "limit": limit_name, "tenant": tenant_id}
        if calls is None or window_seconds is None:
            return await self._uncounted(whose, longest_wait_seconds)
        async with self._turn() as connection:
            asked = {**whose, "calls": calls, "seconds": window_seconds}
            row = (await connection.execute(_ASK, asked)).one()
            before = Window(
                calls,
                round(window_seconds * 1000),
                tuple(row.taken_ms),
                tuple(row.booked_ms),
                _milliseconds(row.paused_until_at),
            )
            after, slot = before.book(_milliseconds(row.used_at), round(longest_wait_seconds * 1000), held_ms)
            if after != before:
                noted = {**whose, "taken": list(after.taken), "booked": list(after.booked)}
                await connection.execute(_NOTE, noted)
            if not before.taken and not before.booked:
                await connection.execute(_FORGET_IDLE, {"before": row.used_at - KEPT_FOR})
        return slot

    async def pause_calls(
        self, provider_id: str, limit_name: str, tenant_id: str, *, seconds: float | None
    ) -> float:
        """Nobody calls for so many seconds at least; the seconds it takes from now.

        They double from one 429 to the next, unless the pause before is long over: Microsoft asks for waits
        that grow while it still throttles (api-throttling-guidance, 7/18/2022).
        """
        whose = {"provider": provider_id, "limit": limit_name, "tenant": tenant_id}
        async with self._turn() as connection:
            row = (await connection.execute(_LOOK, whose)).one()
            pause = timedelta(
                seconds=_pause_seconds(row.paused_until_at, row.throttled_at, row.used_at, seconds)
            )
            until_at = max(row.used_at + pause, row.paused_until_at or row.used_at)
            await connection.execute(_PAUSE, {**whose, "until": until_at, "now": row.used_at})
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

    async def _uncounted(self, whose: dict[str, str], longest_wait_seconds: float) -> CallSlot:
        with _told_as_connection_error():
            async with self._engine.connect() as connection:
                found = (await connection.execute(_PAUSED, whose)).one_or_none()
        wait = (
            0 if found is None else max(0, _milliseconds(found.paused_until_at) - _milliseconds(found.now_at))
        )
        too_long = wait > longest_wait_seconds * 1000
        return CallSlot(
            wait / 1000, None if found is None or too_long else _milliseconds(found.paused_until_at)
        )

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[AsyncConnection]:
        """A short transaction that a frozen process cannot keep open and that does not wait for the disk."""
        with _told_as_connection_error():
            async with self._engine.begin() as connection:
                await connection.execute(_SHORT, {"lock": f"{LOCK_SECONDS}s", "hold": f"{HOLD_SECONDS}s"})
                yield connection


@contextlib.contextmanager
def _told_as_connection_error() -> Iterator[None]:
    try:
        yield
    except (DataError, ProgrammingError):
        raise  # a fault of this code, which waiting does not cure
    except (SQLAlchemyError, OSError) as fault:
        said = str(getattr(fault, "orig", None) or fault).strip().splitlines()
        raise ConnectionError(said[0] if said else type(fault).__name__) from fault


def _pause_seconds(
    paused_until_at: datetime | None, throttled_at: datetime | None, now_at: datetime, asked: float | None
) -> float:
    told = FIRST_PAUSE_SECONDS if asked is None else asked
    if paused_until_at is None or throttled_at is None:
        return told
    if now_at < paused_until_at:
        return asked or 0.0  # a call that left before the pause began; it lets nothing grow
    last = (paused_until_at - throttled_at).total_seconds()
    if (now_at - paused_until_at).total_seconds() > max(last, FIRST_PAUSE_SECONDS):
        return told
    return max(told, min(LONGEST_PAUSE_SECONDS, 2 * last))


def _status(row: CallBudgetRow, now_at: datetime) -> CallBudgetStatus:
    now, used, waiting, drained = _milliseconds(now_at), 0, 0, 0
    left: int | None = None
    if row.calls is not None and row.window_seconds is not None:
        milliseconds = round(row.window_seconds * 1000)
        window = Window(row.calls, milliseconds, tuple(row.taken_ms), tuple(row.booked_ms)).at(now)
        used, waiting = len(window.taken), len(window.booked)
        left = max(0, row.calls - used - waiting)
        drained = max(0, max(window.booked, default=now) - now)
    return CallBudgetStatus(
        limit=row.limit_name,
        tenant_id=row.tenant_id,
        calls=row.calls,
        window_seconds=row.window_seconds,
        used=used,
        left=left,
        waiting=waiting,
        drained_in_seconds=drained / 1000,
        paused_seconds=max(0, _milliseconds(row.paused_until_at) - now) / 1000,
        throttled_at=row.throttled_at,
    )


_MINE = and_(
    CallBudgetRow.provider_id == bindparam("provider"),
    CallBudgetRow.limit_name == bindparam("limit"),
    CallBudgetRow.tenant_id == bindparam("tenant"),
)
_PLACE = (CallBudgetRow.provider_id, CallBudgetRow.limit_name, CallBudgetRow.tenant_id)
_WHOSE: dict[str, Any] = {
    "provider_id": bindparam("provider"),
    "limit_name": bindparam("limit"),
    "tenant_id": bindparam("tenant"),
}


def _lock(**values: Any) -> Any:
    """Makes the row, or locks it and sets `values`. The time is read when the lock is ours."""
    values["used_at"] = func.clock_timestamp()
    return (
        insert(CallBudgetRow)
        .values(**_WHOSE, **values)
        .on_conflict_do_update(index_elements=list(_PLACE), set_=values)
        .returning(
            CallBudgetRow.taken_ms,
            CallBudgetRow.booked_ms,
            CallBudgetRow.paused_until_at,
            CallBudgetRow.throttled_at,
            CallBudgetRow.used_at,
        )
    )


# Built once: building them again for each call would cost as much as running them.
_ASK = _lock(calls=bindparam("calls"), window_seconds=bindparam("seconds"))
_LOOK = _lock()
_NOTE = update(CallBudgetRow).where(_MINE).values(taken_ms=bindparam("taken"), booked_ms=bindparam("booked"))
_PAUSE = (
    update(CallBudgetRow)
    .where(_MINE)
    .values(paused_until_at=bindparam("until"), throttled_at=bindparam("now"))
)
_PAUSED = select(CallBudgetRow.paused_until_at, func.clock_timestamp().label("now_at")).where(_MINE)
_SHORT = select(
    func.set_config("lock_timeout", bindparam("lock"), True),
    func.set_config("idle_in_transaction_session_timeout", bindparam("hold"), True),
    func.set_config("synchronous_commit", "off", True),
)
# The table grows by new rows only, so a new row is the time to look for old ones; locked ones are in use.
_FORGET_IDLE = delete(CallBudgetRow).where(
    tuple_(*_PLACE).in_(
        select(*_PLACE).where(CallBudgetRow.used_at < bindparam("before")).with_for_update(skip_locked=True)
    )
)
