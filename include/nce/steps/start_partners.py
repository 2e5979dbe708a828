"""Starting partners: which run each gets, on record before the first one starts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from typing import Any

from include.nce.domain.errors import InputRefused
from include.nce.domain.partner import Partner
from include.nce.domain.starts import StartList, further_run_ids
from include.nce.steps.confirm_rerun import is_confirmed, starts_of
from include.nce.steps.enrol_partners import start_order
from include.nce.steps.ports import Clock, Ledger

RunState = Callable[[str], str | None]
"""What Airflow says of a run id: `open`, `ended`, or None where it does not know it."""


async def order_starts(
    run_id: str,
    campaign: str,
    partners: Sequence[Partner],
    *,
    mode: str,
    again: bool,
    asks: bool,
    state_of: RunState,
    ledger: Ledger,
    clock: Clock,
) -> StartList:
    """Give each partner its run, and put the list on record.

    The first run of a partner has the partner's own id. A run that has ended is not begun anew: what happened
    stays to be seen, and the partner gets a run of its own, named by the day. One that is still at work and
    has asked nobody anything begins anew in its place. A run of mode plan asks and buys nothing, and is
    begun anew, too.
    """
    now_at = await clock.now()
    on_record = await ledger.run_ids_of(campaign, [each.partner for each in partners]) if again else {}
    asked = await ledger.runs_that_asked(list(on_record))
    orders: list[Mapping[str, Any]] = []
    for partner in partners:
        order = start_order(partner, campaign, mode)
        reset = mode == "plan"
        if again and mode == "apply":
            run, reset = _run_for(partner, campaign, now_at.date(), on_record, asked, state_of)
            order = {**order, "trigger_run_id": run}
        orders.append({**order, "reset_dag_run": reset})
    starts = StartList(run_id, campaign, mode, again, asks, tuple(orders))
    await ledger.record_starts(starts, at=now_at)
    return starts


def _run_for(
    partner: Partner,
    campaign: str,
    on: date,
    on_record: Mapping[str, str],
    asked: Collection[str],
    state_of: RunState,
) -> tuple[str, bool]:
    """The run id of a partner's start, and whether that run begins anew."""
    taken = [run for run, whose in on_record.items() if whose == partner.partner]
    first = str(start_order(partner, campaign, "apply")["trigger_run_id"])
    for candidate in (first, *sorted(taken)):
        if state_of(candidate) == "open" and candidate not in asked:
            return candidate, True
    if first not in taken and state_of(first) is None:
        return first, False
    free = (
        run
        for run in further_run_ids(campaign, partner.partner, on)
        if run not in taken and state_of(run) is None
    )
    return next(free), False


async def start_of(run_id: str, number: int, *, ledger: Ledger) -> Mapping[str, Any]:
    """The order of this number, as the ledger has it.

    Raises InputRefused when there is none of that number, or when a person has to confirm the list and has
    not.
    """
    starts = await starts_of(run_id, ledger)
    if not 0 <= number < len(starts.orders):
        raise InputRefused(
            [f"Run '{run_id}' starts {len(starts.orders)} partners; there is no number {number}."]
        )
    if starts.must_be_confirmed and not await is_confirmed(starts, ledger):
        raise InputRefused(
            [f"Nobody has confirmed what run '{run_id}' starts again: answer its question in confirm_rerun."]
        )
    return starts.orders[number]
