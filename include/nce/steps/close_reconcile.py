"""`close_reconcile`: the last task of `nce_reconcile`. Its colour is the run's colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from include.nce.domain.brake import CoverageSignals
from include.nce.domain.comparison import ReconcileTally
from include.nce.steps.brake import brake
from include.nce.steps.list_partners import campaigns_to_compare
from include.nce.steps.ports import Clock, ReconcileLedger

PARTNERS_NAMED = 3


@dataclass(frozen=True)
class Compared:
    """What the run came to. `red`: somebody has to act today, or nobody has looked."""

    red: bool
    sentence: str


async def close_reconcile(
    run_id: str,
    campaign: str | None,
    partners: Sequence[str],
    failed_tasks: Sequence[str],
    *,
    ledger: ReconcileLedger,
    clock: Clock,
) -> Compared:
    """Says what the comparison came to; the run's note carries the same sentence.

    A campaign whose brake is reached by what was found is stopped here, before anybody buys on.

    Red: a customer is without service or billed twice (zero or double coverage), a task failed, or not one
    partner could be compared. `nce findings` lists what to do, the worst first. Green: none of these; other
    findings may be open, and single partners may not have been compared: the sentence says how many. To look
    again, start it again.
    """
    parts = []
    red = bool(failed_tasks)
    if failed_tasks:
        parts.append(f"Failed: {', '.join(failed_tasks)}; look at its log, then clear it.")
    if "list_partners" in failed_tasks:
        return Compared(True, " ".join(parts))
    for name in await campaigns_to_compare(campaign, ledger=ledger, clock=clock):
        tally = await ledger.reconcile_tally(run_id, name, partners or None)
        red = red or _needs_somebody_today(tally)
        parts.append(f"{name}: {_told(tally)}")
        record = await brake(await ledger.campaign(name), ledger=ledger, now_at=await clock.now())
        parts.append(record.sentence)
    return Compared(red, " ".join(filter(None, parts)) or "No campaign is open: nothing to compare.")


def _needs_somebody_today(tally: ReconcileTally) -> bool:
    nobody_looked = tally.partners > 0 and tally.compared + tally.partly == 0
    return bool(tally.signals.zero or tally.signals.double) or nobody_looked


def _told(tally: ReconcileTally) -> str:
    parts = []
    gaps = tally.signals
    if gaps.zero or gaps.double:
        parts.append(
            f"{_count(gaps.zero, 'subscription')} without coverage, {gaps.double} covered twice, at "
            f"{_who(gaps)}: act today, see nce findings."
        )
    else:
        parts.append("No coverage is missing or double.")
    parts.append(f"Compared {tally.compared} of {_count(tally.partners, 'partner')}.")
    if tally.partly or tally.unread or tally.not_reached > 0:
        parts.append(_not_compared(tally))
    others = sum(tally.open.values()) - gaps.zero - gaps.double
    parts.append(f"{_count(others, 'other finding')} open.")
    if tally.opened or tally.returned or tally.resolved:
        parts.append(f"This time {tally.opened} new, {tally.returned} back, {tally.resolved} gone.")
    return " ".join(parts)


def _who(gaps: CoverageSignals) -> str:
    names = list(gaps.by_partner)
    more = f" and {len(names) - PARTNERS_NAMED} more" if len(names) > PARTNERS_NAMED else ""
    return ", ".join(names[:PARTNERS_NAMED]) + more


def _not_compared(tally: ReconcileTally) -> str:
    words = [
        f"{number} {how}"
        for number, how in (
            (tally.partly, "in part"),
            (tally.unread, "not"),
            (tally.not_reached, "not reached"),
        )
        if number > 0
    ]
    whys = " ".join(f"{partner}: {why}" for partner, why in tally.why_unread)
    return f"Not compared: {', '.join(words)}; their findings stay as they were. {whys}".strip()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
