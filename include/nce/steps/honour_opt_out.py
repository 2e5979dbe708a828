"""`honour_opt_out`: after the deadline, decide once what the opt-outs on record mean for this run."""

from __future__ import annotations

from include.nce.domain.opt_out import OptOutRuling, OptOutVerdict, rule_on
from include.nce.domain.run import Run
from include.nce.steps.late_opt_outs import look_for_late_opt_outs
from include.nce.steps.ports import Clock, Ledger, PartnerCenter
from include.nce.steps.survey import judge, read_holdings


async def current_ruling(run: Run, ledger: Ledger) -> OptOutRuling:
    """What the opt-outs on record mean right now, by the campaign's latest dates."""
    campaign = await ledger.campaign(run.campaign)
    opt_outs = await ledger.opt_outs(run.campaign, run.partner.partner)
    return rule_on(opt_outs, campaign.opt_out_ends_at(run.partner.zone))


async def honour_opt_out(
    run_id: str, *, partner_center: PartnerCenter, ledger: Ledger, clock: Clock
) -> OptOutRuling:
    """Looks at the opt-out forms once the deadline has passed, and decides.

    In time for the whole partner: its subscriptions are put on the at-risk list, nothing is bought or
    cancelled, and what follows is skipped (pink, the run stays green). In time for single customers: those
    are left alone. Too late: what is not bought yet is held for a person's decision, and what is bought gets
    an undo case (`nce undo list`). Nothing on record: the run goes on.
    """
    run = await ledger.run(run_id)
    now_at = await clock.now()
    ruling = await current_ruling(run, ledger)
    if ruling.partner is OptOutVerdict.IN_TIME:
        holdings = await read_holdings(run.partner, partner_center)
        await ledger.record_survey(run_id, holdings.subscriptions, holdings.customers, at=now_at)
        verdicts = await judge(
            run,
            await ledger.campaign(run.campaign),
            holdings,
            findings=[],
            opt_outs=ruling,
            now_at=now_at,
            ledger=ledger,
        )
        await ledger.record_verdicts(run_id, verdicts, [], at=now_at)
    await ledger.record_opt_out_ruling(run_id, ruling, at=now_at)
    # What an earlier run bought is not held any more: it can only be taken back.
    await look_for_late_opt_outs(run.campaign, run.partner, by=run_id, ledger=ledger, now_at=now_at)
    return ruling
