"""`plan_conversions`: what becomes of each subscription, and in which order the due ones are converted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from include.nce.domain.approval import PlanOnRecord, only_as_planned, planned_lines
from include.nce.domain.classification import SubscriptionClass, Verdict
from include.nce.domain.opt_out import OptOutVerdict
from include.nce.domain.plan import batches, tally
from include.nce.domain.readiness import Answer
from include.nce.domain.run import Run
from include.nce.steps.honour_opt_out import current_ruling
from include.nce.steps.ports import Clock, Ledger, PartnerCenter
from include.nce.steps.readiness import ask_all
from include.nce.steps.survey import judge, read_holdings


class NotDecided(Exception):
    """The opt-out has not been decided in this run, so nothing may be planned."""


class CannotTell(Exception):
    """A check gave no answer just now; worth another try before its subscriptions are held."""


@dataclass(frozen=True)
class Planned:
    """The plan's id and hash, how many batches it has, and how many subscriptions are in each class."""

    plan_id: int
    hash: str
    batches: int
    classes: dict[str, int]
    opted_out: bool = False


async def plan_conversions(
    run_id: str,
    *,
    partner_center: PartnerCenter,
    ledger: Ledger,
    clock: Clock,
    last_try: bool = True,
    only_plan: str | None = None,
) -> Planned:
    """Decides for each subscription what becomes of it, and puts the due ones into batches.

    The four checks and the opt-outs are looked at again, Microsoft's validation is asked, and the result is
    written to the ledger: converted now, scheduled for later, held with reason and owner, exempt, and so on.
    The plan gets a hash of what it buys, on which terms. In mode `plan` the run ends here and nothing is
    bought. A run that was told to carry out an earlier plan, by its hash, buys only what is still word for
    word as it stands there; the rest is held and waits for a new plan. Red when Partner Center or the ledger
    cannot be reached, or there is no such plan; the log says which.
    """
    run = await ledger.run(run_id)
    campaign = await ledger.campaign(run.campaign)
    now_at = await clock.now()
    if await ledger.opt_out_ruling(run_id) is None:
        raise NotDecided("The opt-out of this run was never decided: clear honour_opt_out.")
    ruling = await current_ruling(run, ledger)
    await ledger.record_opt_out_ruling(run_id, ruling, at=now_at)
    findings = await ask_all(run.partner, campaign, partner_center)
    unclear = [f for f in findings if f.answer is Answer.CANNOT_TELL]
    if unclear and not last_try:
        raise CannotTell(f"{unclear[0].check.value}: {unclear[0].reason}")
    for finding in findings:
        await ledger.record_finding(run_id, finding, at=now_at)
    holdings = await read_holdings(run.partner, partner_center)
    await ledger.record_survey(run_id, holdings.subscriptions, holdings.customers, at=now_at)
    verdicts = await judge(
        run,
        campaign,
        holdings,
        findings=findings,
        opt_outs=ruling,
        now_at=now_at,
        ledger=ledger,
        partner_center=partner_center,
    )
    follows = await _plan_to_follow(run, verdicts, only_plan, ledger)
    if follows is not None:
        verdicts = only_as_planned(verdicts, follows)
    planned = batches(verdicts, campaign.batch_size) if run.mode == "apply" else []
    plan_id = await ledger.record_verdicts(run_id, verdicts, planned, at=now_at, follows=follows)
    return Planned(
        plan_id,
        (await ledger.plan(plan_id)).hash,
        len(planned),
        tally(verdicts),
        opted_out=ruling.partner is OptOutVerdict.IN_TIME,
    )


async def _plan_to_follow(
    run: Run, verdicts: Sequence[Verdict], only_plan: str | None, ledger: Ledger
) -> PlanOnRecord | None:
    """The plan that was named; else one that a person has approved and that still has all that is due."""
    if only_plan is not None:
        return await ledger.plan_with_hash(run.campaign, run.partner.partner, only_plan)
    due = planned_lines(v for v in verdicts if v.klass is SubscriptionClass.DUE)
    if run.mode != "apply" or not due:
        return None
    approved = await ledger.approved_plan(run.campaign, run.partner.partner)
    if approved is not None and all(approved.lines.get(key) == line for key, line in due.items()):
        return approved
    return None
