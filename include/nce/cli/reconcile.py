"""`nce reconcile`: compare the ledger with Partner Center now, through the DAG `nce_reconcile`."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated

import typer

from include.nce.cli.display import say
from include.nce.cli.entry import Unavailable, as_command
from include.nce.cli.runs import PatienceOption, refuse_paused
from include.nce.cli.surroundings import CampaignOption, author, campaign_named, open_ledger

RECONCILE_DAG = "nce_reconcile"


@as_command
async def reconcile(
    partners: Annotated[
        list[str] | None,
        typer.Argument(metavar="PARTNER", help="Short ids; none: every partner.", show_default=False),
    ] = None,
    campaign: CampaignOption = None,
    repair: Annotated[
        bool, typer.Option("--repair/--no-repair", help="Put right what is safe, or only look and tell.")
    ] = True,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until the comparison is finished.")] = False,
    patience: PatienceOption = 600,
) -> None:
    """Compare the ledger with Partner Center now.

    What differs becomes a finding: see `nce findings`. Nothing is bought, reactivated or cancelled.
    """
    named = list(dict.fromkeys(partners or ()))
    async with open_ledger() as ledger:
        name = await campaign_named(ledger, campaign)
        await ledger.partners(name, named or None, limit=1)
    # Imported here, so that commands which start nothing do not pay for httpx.
    from include.nce.cli.airflow_api import AirflowApi, RunExists

    run_id = f"{name}__reconcile__{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}"
    conf = {"campaign": name, "partners": named, "repair": repair}
    with AirflowApi.open() as airflow:
        refuse_paused(airflow, RECONCILE_DAG)
        try:
            airflow.start(RECONCILE_DAG, run_id, conf, f"nce reconcile by {author(None)}")
        except RunExists:
            raise Unavailable(
                f"Run {run_id} was started this very second by somebody else; look at it first."
            ) from None
        say(f"Started {run_id}")
        say(airflow.page(RECONCILE_DAG, run_id))
        if not wait:
            return
        state = airflow.wait(RECONCILE_DAG, run_id, seconds=patience)
        failed = airflow.failed_tasks(RECONCILE_DAG, run_id) if state == "failed" else []
    async with open_ledger() as ledger:
        gaps = await ledger.coverage_signals(name)
    say(f"Compared. Without coverage: {gaps.zero}, covered twice: {gaps.double}. See: nce findings.")
    if failed:
        raise Unavailable(f"Run {run_id} is red in {', '.join(failed)}; its note says why.")
