"""`nce apply`: carry out one plan that was looked at before, and nothing that is not word for word in it."""

from __future__ import annotations

from typing import Annotated

import typer

from include.nce.cli.display import remark, say
from include.nce.cli.entry import as_command
from include.nce.cli.runs import PARTNER_DAG, Mode, refuse_paused
from include.nce.cli.surroundings import CampaignOption, author, campaign_named, open_ledger
from include.nce.steps.enrol_partners import start_order


@as_command
async def apply(
    partner: Annotated[str, typer.Argument(metavar="PARTNER", help="Short id, such as rossi-informatica.")],
    plan: Annotated[
        str, typer.Argument(metavar="HASH", help="The plan's hash, or its beginning; nce plan prints it.")
    ],
    campaign: CampaignOption = None,
) -> None:
    """Carry out one plan.

    Starts a run of its own in Airflow that buys only what is still as the plan has it: the same
    seats, terms, dates and products. What has changed since is held and waits for a new plan. All waits,
    checks, opt-outs and approvals hold as in any other run; nothing is bought twice.
    """
    async with open_ledger() as ledger:
        name = await campaign_named(ledger, campaign)
        who = await ledger.partner(name, partner)
        found = await ledger.plan_with_hash(name, partner, plan)
        order = start_order(who, name, Mode.APPLY.value, found.hash)
    # Imported here, so that commands which start nothing do not pay for httpx.
    from include.nce.cli.airflow_api import AirflowApi, RunExists

    run_id = str(order["trigger_run_id"])
    with AirflowApi.open() as airflow:
        refuse_paused(airflow, PARTNER_DAG)
        try:
            airflow.start(PARTNER_DAG, run_id, dict(order["conf"]), f"nce apply by {author(None)}")
            say(f"Started {run_id}: at most {len(found.lines)} subscriptions are bought, as planned.")
        except RunExists:
            airflow.start_again(PARTNER_DAG, run_id, f"nce apply by {author(None)}, again")
            say(f"Started {run_id} again; what is finished stays finished.")
        remark(airflow.page(PARTNER_DAG, run_id))
