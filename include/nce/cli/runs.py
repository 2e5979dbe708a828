"""`nce start` and `nce backfill`: start the runs of a campaign's partners, through the DAG `nce_campaign`."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from include.nce.cli.display import in_utc, remark, say
from include.nce.cli.entry import Unavailable, as_command
from include.nce.cli.question import YesOption, ask
from include.nce.cli.surroundings import (
    CampaignClock,
    CampaignOption,
    author,
    campaign_named,
    open_ledger,
)
from include.nce.domain.campaign import run_id as run_id_of
from include.nce.domain.errors import InputRefused
from include.nce.domain.outcome import RunOutcome
from include.nce.intake.roster import load_roster
from include.nce.steps.enrol_partners import refuse_strangers
from include.nce.steps.people.start_runs import preview_start

if TYPE_CHECKING:
    from include.nce.cli.airflow_api import AirflowApi
    from include.nce.ledger.ledger import PostgresLedger
    from include.nce.ledger.reports import PartnerStatus

PROJECT = Path(__file__).resolve().parents[3]
CAMPAIGN_DAG = "nce_campaign"
PARTNER_DAG = "nce_partner_migration"

_SHORT_ID = re.compile(r"^[a-z0-9][a-z0-9-]{1,60}$")


class Mode(str, Enum):
    PLAN = "plan"
    APPLY = "apply"


class Existing(str, Enum):
    SKIP = "skip"
    RERUN = "rerun"


WaitOption = Annotated[
    bool,
    typer.Option("--wait", help="Stay until the partners' runs are started (not until they are finished)."),
]
PatienceOption = Annotated[float, typer.Option(metavar="SECONDS", min=1, help="How long to wait at most.")]


@as_command
async def start(
    partners: Annotated[
        list[str] | None,
        typer.Argument(metavar="PARTNER", help="Short ids; none: the whole campaign.", show_default=False),
    ] = None,
    campaign: CampaignOption = None,
    mode: Annotated[
        Mode, typer.Option(help="plan: write down what would be bought, buy nothing. apply: convert.")
    ] = Mode.APPLY,
    outcome: Annotated[
        list[RunOutcome] | None,
        typer.Option(
            metavar="OUTCOME",
            help=f"Only partners whose last run ended so; may be given several times: "
            f"{', '.join(outcome.value for outcome in RunOutcome)}.",
            show_default=False,
        ),
    ] = None,
    existing: Annotated[
        Existing, typer.Option(help="Partners that have a run: leave them, or give each a run of its own.")
    ] = Existing.SKIP,
    yes: YesOption = False,
    wait: WaitOption = False,
    patience: PatienceOption = 600,
) -> None:
    """Start the campaign's runs.

    One for each partner of its roster, or for those that are named. What it would do is shown first, and
    asked about. A run waits by itself for what is missing and for the campaign's dates; nothing is bought
    before the cut-over. Runs that exist are left alone unless --existing rerun is given; what is finished
    stays finished even then.
    """
    named = list(dict.fromkeys(partners or ()))
    faults = [
        f"partner: '{word}' is no short id; write lower-case letters, digits and hyphens, as in nce status."
        for word in named
        if not _SHORT_ID.match(word)
    ]
    if faults:
        raise InputRefused(faults)
    async with open_ledger() as ledger:
        name = await campaign_named(ledger, campaign)
        roster = (await ledger.campaign(name)).roster
        enrolled = {partner.partner for partner in await ledger.partners(name)}
        _look_up(name, roster, [partner for partner in named if partner not in enrolled])
        would_do = ""
        if mode is Mode.APPLY:
            would_do = await _would_do(
                ledger, name, named, enrolled, [o.value for o in outcome or ()], existing
            )
    if would_do:
        ask(would_do, yes=yes)
    _start_campaign(
        name, "start", named, mode, existing, [o.value for o in outcome or ()], wait=wait, patience=patience
    )


@as_command
async def backfill(
    partners: Annotated[list[str], typer.Argument(metavar="PARTNER", help="Short ids.")],
    campaign: CampaignOption = None,
    yes: YesOption = False,
    wait: WaitOption = False,
    patience: PatienceOption = 600,
) -> None:
    """Run the named partners again.

    Each in a run of its own, named by the campaign's day, from the first task on; a run that is still at
    work begins anew instead. What exists and what it would do is shown first, and asked about. Nothing that
    is converted is touched, and nothing is bought twice. Dates that have passed are no obstacle: the run
    goes straight on, and the buying step looks at the campaign's policy once more.
    """
    named = list(dict.fromkeys(partners))
    async with open_ledger() as ledger:
        name = await campaign_named(ledger, campaign)
        known = await ledger.partners(name, named)
        standing = [(await ledger.status(name, partner.partner)).partners[0] for partner in known]
        would_do = await _would_do(
            ledger, name, named, {partner.partner for partner in known}, [], Existing.RERUN
        )
    for status in standing:
        say(_what_exists(status))
    ask(would_do, yes=yes)
    _start_campaign(name, "backfill", named, Mode.APPLY, Existing.RERUN, [], wait=wait, patience=patience)


def _look_up(campaign: str, roster: str, strangers: Sequence[str]) -> None:
    """Refuse who is not in the campaign's roster where that lies on this machine; else Airflow looks."""
    if not strangers:
        return
    file = PROJECT / roster
    if not roster or "://" in roster or not file.is_file():
        remark(f"Not enrolled yet, looked up in the roster: {', '.join(strangers)}.")
        return
    refuse_strangers(campaign, load_roster(file.read_bytes(), name=roster), strangers)


async def _would_do(
    ledger: PostgresLedger,
    campaign: str,
    named: Sequence[str],
    enrolled: Collection[str],
    outcomes: Sequence[str],
    existing: Existing,
) -> str:
    """What starting these partners would do, counted in the ledger; a roster is not known there yet."""
    if not enrolled and not named:
        return "enrol the partners of the roster and start each; none of them is planned yet."
    chosen = [
        partner.partner
        for partner in await ledger.partners(campaign, outcomes=list(outcomes) or None)
        if not named or partner.partner in named
    ]
    if existing is Existing.SKIP:
        on_record = await ledger.watch(campaign, [run_id_of(campaign, partner) for partner in chosen])
        chosen = [partner for partner in chosen if run_id_of(campaign, partner) not in on_record]
    strangers = [partner for partner in named if partner not in enrolled] if not outcomes else []
    return await preview_start(
        campaign, chosen, not_enrolled=len(strangers), ledger=ledger, clock=CampaignClock()
    )


def refuse_paused(airflow: AirflowApi, *dag_ids: str) -> None:
    """Raise `Unavailable` when a DAG would keep the new run waiting without anybody noticing."""
    for dag_id in dag_ids:
        if airflow.is_paused(dag_id):
            raise Unavailable(
                f"{dag_id} is paused, so its runs would never begin; unpause it in Airflow, then try again."
            )


def _what_exists(status: PartnerStatus) -> str:
    if status.run_id is None or status.opened_at is None:
        return f"{status.partner}: no run on record."
    if status.closed_at is None or status.outcome is None:
        how = f"open since {in_utc(status.opened_at)} UTC; it begins anew"
    else:
        how = f"closed {in_utc(status.closed_at)} UTC as {status.outcome.value}"
    counts = ", ".join(f"{number} {klass.value}" for klass, number in status.totals.items())
    planned = f"Subscriptions: {counts}." if counts else "No plan yet."
    return f"{status.partner}: run {status.run_id}, {how}. {planned}"


def _start_campaign(
    campaign: str,
    verb: str,
    partners: Sequence[str],
    mode: Mode,
    existing: Existing,
    outcomes: Sequence[str],
    *,
    wait: bool,
    patience: float,
) -> None:
    # Imported here, so that commands which start nothing do not pay for httpx.
    from include.nce.cli.airflow_api import AirflowApi, RunExists

    run_id = f"{campaign}__{verb}__{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}"
    conf = {
        "campaign": campaign,
        "mode": mode.value,
        "partners": list(partners),
        "outcomes": list(outcomes),
        "existing": existing.value,
        "ask": False,
    }
    with AirflowApi.open() as airflow:
        refuse_paused(airflow, CAMPAIGN_DAG, PARTNER_DAG)
        try:
            airflow.start(CAMPAIGN_DAG, run_id, conf, f"nce {verb} by {author(None)}")
        except RunExists:
            raise Unavailable(
                f"Run {run_id} was started this very second by somebody else; look at it first."
            ) from None
        say(f"Started {run_id}")
        say(airflow.page(CAMPAIGN_DAG, run_id))
        if wait:
            _follow(airflow, run_id, patience)


def _follow(airflow: AirflowApi, run_id: str, patience: float) -> None:
    state = airflow.wait(CAMPAIGN_DAG, run_id, seconds=patience)
    if state == "failed":
        failed = ", ".join(airflow.failed_tasks(CAMPAIGN_DAG, run_id)) or "none of its tasks"
        raise Unavailable(
            f"Run {run_id} failed in {failed}; its last log line says why: "
            f"{airflow.page(CAMPAIGN_DAG, run_id)}"
        )
    states = airflow.task_states(CAMPAIGN_DAG, run_id, "start_partners")
    say(f"{states['success']} partners started, {states['skipped']} left as they are.")
