"""`close_run`: the last task of every run. Its colour is the run's colour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from include.nce.domain.classification import SubscriptionClass
from include.nce.domain.conversion import ConversionState
from include.nce.domain.opt_out import OptOutVerdict
from include.nce.domain.outcome import RunOutcome, worst
from include.nce.domain.plan import outcome_of
from include.nce.domain.readiness import Answer, Finding
from include.nce.domain.run import Run
from include.nce.domain.undo import CaseState, hours_left
from include.nce.domain.undo_case import UndoCase
from include.nce.steps.late_opt_outs import look_for_late_opt_outs
from include.nce.steps.ports import Clock, Ledger


@dataclass(frozen=True)
class Closed:
    outcome: RunOutcome
    sentence: str


async def close_run(run_id: str, failed_tasks: Sequence[str], *, ledger: Ledger, clock: Clock) -> Closed:
    """Closes the run in the ledger with the worst thing that is true of this partner.

    Green: converted, scheduled for later, opted out, or held for a person without anything failing. Red: a
    check is still missing (blocked), a subscription is unresolved, or a task failed. The run's note carries
    the same sentence. Once the reason is gone, start the partner again or clear the task that is named.
    """
    run = await ledger.run(run_id)
    now_at = await clock.now()
    # An opt-out may have come in while this run was buying.
    late = await look_for_late_opt_outs(run.campaign, run.partner, by=run_id, ledger=ledger, now_at=now_at)
    findings = await ledger.findings(run_id)
    classes = await ledger.effective_classes(run_id)
    ruling = await ledger.opt_out_ruling(run_id)
    opted_out = ruling is not None and ruling.partner is OptOutVerdict.IN_TIME
    blocking = [] if opted_out else [f for f in findings if _blocks(f)]
    if run.mode == "plan":
        outcome = worst([RunOutcome.PLANNED, *([RunOutcome.BLOCKED] if blocking else [])])
    else:
        outcome = outcome_of(list(classes.values()), blocked=bool(blocking), opted_out=opted_out)
        outcome = worst([outcome, *(_asked_by(case.state) for case in late.open)])
    # A check that is red because of its answer is told by its finding.
    told = {f.check.value for f in findings if not f.satisfied}
    unresolved = [c for c in await ledger.conversions(run_id) if c.state.needs_somebody]
    if unresolved:
        told.add("cancel_legacy")
    own_failures = [task for task in failed_tasks if task not in told]
    if own_failures and outcome not in (RunOutcome.FAILED, RunOutcome.UNRESOLVED):
        outcome = RunOutcome.FAILED

    parts = []
    if own_failures:
        parts.append(f"Failed: {', '.join(own_failures)}; look at the log of the first one, then clear it.")
    parts.extend(f.sentence for f in findings if f in blocking or (f.missing_customers and not opted_out))
    parts.extend(await _rejections(run, ledger))
    parts.extend(
        f"Subscription {line.legacy_id} is {line.state.value}: {line.reason.rstrip('.')}."
        for line in unresolved[:_LINES_NAMED]
    )
    if len(unresolved) > _LINES_NAMED:
        parts.append(f"And {len(unresolved) - _LINES_NAMED} more like these.")
    parts.extend(_told(case, now_at) for case in late.open[:_LINES_NAMED])
    if len(late.open) > _LINES_NAMED:
        parts.append(f"And {len(late.open) - _LINES_NAMED} more undo cases: nce undo list.")
    counted = Counter(classes.values())
    words = ", ".join(f"{counted[k]} {k.value}" for k in SubscriptionClass if counted[k])
    parts.append(f"Subscriptions: {words}." if words else "No subscriptions.")
    if counted[SubscriptionClass.HELD] or counted[SubscriptionClass.NOT_ELIGIBLE]:
        parts.append(f"Why, and who acts on each: nce status --partner {run.partner.partner}.")
    sentence = " ".join(parts)
    await ledger.close_run(run_id, outcome.value, sentence, at=now_at)
    return Closed(outcome, sentence)


async def _rejections(run: Run, ledger: Ledger) -> list[str]:
    """What a person said who did not want the run's plan carried out."""
    plan_ids = {
        line.plan_id for line in await ledger.conversions(run.run_id) if line.state is ConversionState.HELD
    }
    said = [
        await ledger.approval(run.campaign, run.partner.partner, (await ledger.plan(plan_id)).hash)
        for plan_id in plan_ids
        if plan_id is not None
    ]
    return [f"{word.sentence.rstrip('.')}." for word in said if word is not None and not word.approved]


_LINES_NAMED = 3
"""A run's note is short; `nce status --partner` lists them all."""


def _asked_by(state: CaseState) -> RunOutcome:
    """What an open undo case asks of somebody. Who pays twice makes the run red."""
    return RunOutcome.UNRESOLVED if state is CaseState.DOUBLE_COVERED else RunOutcome.PARTLY_HELD


def _told(case: UndoCase, now_at: datetime) -> str:
    left = hours_left(case.until_at, now_at)
    time = f", {left:.0f} hours left" if left else ""
    return f"Undo case {case.case_id} is {case.state.value}{time}: {case.sentence or case.reason}"


def _blocks(finding: Finding) -> bool:
    return finding.blocks_partner or finding.answer is Answer.CANNOT_TELL
