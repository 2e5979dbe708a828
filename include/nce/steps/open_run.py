"""`open_run`: the first task. Nothing of a partner is touched before this one has accepted the run."""

from __future__ import annotations

from include.nce.domain.run import Run
from include.nce.steps.ports import Clock, Ledger, PartnerCenter
from include.nce.steps.survey import read_holdings


async def open_run(
    run_id: str,
    campaign: str,
    partner: str,
    mode: str,
    *,
    partner_center: PartnerCenter,
    ledger: Ledger,
    clock: Clock,
) -> Run:
    """Opens the partner's run in the ledger and notes what its customers hold today.

    What is done: partner and campaign are looked up, the connection to Partner Center is tried, and every
    customer's subscriptions are noted with their term ends, so that a later renewal can be told from a new
    one. Nothing is changed at Microsoft. Red when the partner or campaign is unknown or Partner Center cannot
    be used; the last log line says which. Correct that and clear this task.
    """
    now_at = await clock.now()
    run = await ledger.open_run(run_id, campaign, partner, mode, at=now_at)
    holdings = await read_holdings(run.partner, partner_center)
    await ledger.record_survey(run.run_id, holdings.subscriptions, holdings.customers, at=now_at)
    return run
