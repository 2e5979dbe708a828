"""`nce undo`: taking conversions back within Microsoft's 168 hours, and the cases that wait for a person."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import Field

from include.nce.cli.display import Document, Instant, Part, in_utc, print_json, print_table, remark, say
from include.nce.cli.entry import Unavailable, as_command
from include.nce.cli.runs import refuse_paused
from include.nce.cli.surroundings import (
    ByOption,
    CampaignClock,
    CampaignOption,
    JsonOption,
    author,
    campaign_named,
    campaign_now,
    open_ledger,
)
from include.nce.domain.conversion import ConversionState
from include.nce.domain.errors import InputRefused
from include.nce.domain.undo import CaseState, UndoCause, hours_left
from include.nce.steps.people.keep_nce import keep_nce
from include.nce.steps.people.start_undo import WantedUndo, ask_for_undo

if TYPE_CHECKING:
    from include.nce.domain.undo_case import UndoCase, UndoMember
    from include.nce.ledger.ledger import PostgresLedger

UNDO_DAG = "nce_undo"
TABLE_LIMIT = 100

undo_app = typer.Typer(name="undo", no_args_is_help=True, help="Take conversions back within 168 hours.")

ReasonOption = Annotated[str, typer.Option(metavar="TEXT", help="Why; it stays on record.")]


class UndoCaseEntry(Part):
    """One bundle that is to be taken back, or of which a person decides."""

    case: int = Field(description="Its number; counted in the whole ledger.")
    partner: str = Field(description="Short id.")
    customer: str = Field(description="Tenant id of the end customer.")
    subscription: str = Field(description="The legacy base subscription of the bundle.")
    cause: UndoCause = Field(description="Who or what opened it.")
    reason: str = Field(description="Why, as it was said then.")
    state: CaseState = Field(description="How far it is.")
    sentence: str = Field(description="What is true now and who acts.")
    opened_by: str = Field(description="A person, or the run that looked.")
    opened_at: Instant = Field(description="The campaign's clock.")
    until_at: Instant | None = Field(description="When the window closes; null: not asked yet.")
    hours_left: float | None = Field(description="Until then; 0 when it is over, null when not asked yet.")


class UndoableBundle(Part):
    """One bundle that was converted, has no case, and can still be undone as far as the ledger knows."""

    partner: str = Field(description="Short id.")
    customer: str = Field(description="Tenant id of the end customer.")
    subscription: str = Field(description="The legacy base subscription of the bundle.")
    subscriptions: int = Field(description="How many are in the bundle.")
    conversion_state: ConversionState = Field(description="How far the base's conversion is.")
    until_at: Instant | None = Field(description="When the window closes; null: not asked yet.")
    hours_left: float | None = Field(description="Until then; null when not asked yet.")


class UndoList(Document):
    """Open undo cases, and what else could still be undone."""

    campaign: str = Field(description="Its name.")
    now: Instant = Field(description="The campaign's time, from which the hours count.")
    cases: list[UndoCaseEntry] = Field(description="In the order of their numbers.")
    undoable: list[UndoableBundle] = Field(description="Without a case; the most urgent first.")


@undo_app.command("list")
@as_command
async def list_cases(
    partner: Annotated[
        str | None, typer.Option("--partner", "-p", metavar="PARTNER", help="Only this one's.")
    ] = None,
    closed: Annotated[bool, typer.Option("--closed", help="Closed cases too.")] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help=f"At most so many cases; left out: {TABLE_LIMIT} in a table, all in JSON.",
        ),
    ] = None,
    after: Annotated[int, typer.Option(metavar="CASE", help="Go on after this case: the next page.")] = 0,
    campaign: CampaignOption = None,
    as_json: JsonOption = False,
) -> None:
    """List undo cases and what can still be undone.

    Open cases with the hours that are left, then what was converted and has no case yet, the most urgent
    first. The window is Microsoft's: 168 hours from the creation of the NCE subscription.
    """
    now_at = await campaign_now()
    async with open_ledger() as ledger:
        name = await campaign_named(ledger, campaign)
        size = limit or (None if as_json else TABLE_LIMIT)
        page = await ledger.undo_cases(
            name, partner, closed=closed, after=after, limit=None if size is None else size + 1
        )
        undoable = await _undoable(ledger, name, partner, now_at) if not after else []
    shown, rest = (page, []) if size is None else (page[:size], page[size:])
    entries = [_entry(case, now_at) for case in shown]
    if as_json:
        print_json(UndoList(campaign=name, now=now_at, cases=entries, undoable=undoable))
        return
    _show(name, entries, undoable, now_at)
    if rest:
        remark(f"More: --after {shown[-1].case_id} shows them.")


@undo_app.command("start")
@as_command
async def start(
    subscription: Annotated[
        str | None,
        typer.Argument(
            metavar="SUBSCRIPTION", help="A legacy or NCE subscription; its whole bundle is undone.",
            show_default=False,
        ),
    ] = None,
    reason: ReasonOption = "",
    customer: Annotated[
        str | None, typer.Option(metavar="TENANT", help="All of one customer, by its tenant id.")
    ] = None,
    partner: Annotated[
        str | None,
        typer.Option(
            "--partner", "-p", metavar="PARTNER",
            help="Everything of this partner; beside one of the others: whose it is, where two serve it.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before starting.")] = False,
    by: ByOption = None,
    campaign: CampaignOption = None,
) -> None:  # fmt: skip
    """Start to undo a subscription, a customer, or all of a partner.

    Shows what would be undone and asks. Then a run of nce_undo reads both sides from Partner Center and
    waits, in Airflow under Required Actions, until a person approves it. Legacy is reactivated first; NCE is
    cancelled only when legacy is active again.
    """
    wish = WantedUndo(reason, subscription, customer, partner)
    who = author(by)
    now_at = await campaign_now()
    async with open_ledger() as ledger:
        name = await campaign_named(ledger, campaign)
        asked = await ask_for_undo(name, wish, by=who, ledger=ledger)
    _show_members(asked.members, now_at)
    if not yes:
        _ask(f"Start to undo these {len(asked.members)}? A person still approves it in Airflow.")
    run_id = f"{name}__undo__{asked.partner}__{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}"
    # Imported here, so that commands which start nothing do not pay for httpx.
    from include.nce.cli.airflow_api import AirflowApi, RunExists

    with AirflowApi.open() as airflow:
        refuse_paused(airflow, UNDO_DAG)
        try:
            airflow.start(UNDO_DAG, run_id, dict(asked.conf), asked.note)
        except RunExists:
            raise Unavailable(f"Run {run_id} was started this very second; look at it first.") from None
        say(f"Started {run_id}")
        say(airflow.page(UNDO_DAG, run_id))
    remark("It waits for a person's approval, in Airflow under Required Actions. The hours run on.")


@undo_app.command("keep")
@as_command
async def keep(
    case: Annotated[int, typer.Argument(metavar="CASE", help="Number of an open case; see nce undo list.")],
    reason: ReasonOption,
    by: ByOption = None,
    campaign: CampaignOption = None,
) -> None:
    """Decide that NCE stays, and close the case.

    Nothing is sent. Where the customer is covered twice, the partner's next run ends legacy, and only past
    the cancel gate: start it with `nce backfill PARTNER`.
    """
    who = author(by)
    async with open_ledger() as ledger:
        await campaign_named(ledger, campaign)
        kept = await keep_nce(case, reason, by=who, ledger=ledger, clock=CampaignClock())
    say(f"Case {case} is closed: {kept.case.sentence}")
    if kept.finished_by_next_run:
        remark(
            f"{len(kept.finished_by_next_run)} still active in legacy: nce backfill {kept.case.partner} ends "
            "them past the cancel gate."
        )


async def _undoable(
    ledger: PostgresLedger, campaign: str, partner: str | None, now_at: datetime
) -> list[UndoableBundle]:
    """Converted bundles without an open case whose window is not known to be over."""
    bundles = []
    for row in await ledger.undoable_bundles(campaign, partner):
        left = hours_left(row.until_at, now_at)
        if left is None or left > 0:
            bundles.append(
                UndoableBundle(
                    partner=row.partner,
                    customer=row.customer_id,
                    subscription=row.base_id,
                    subscriptions=row.subscriptions,
                    conversion_state=row.state,
                    until_at=row.until_at,
                    hours_left=_rounded(left),
                )
            )
    return sorted(bundles, key=lambda b: (b.hours_left is None, b.hours_left or 0.0, b.subscription))


def _entry(case: UndoCase, now_at: datetime) -> UndoCaseEntry:
    return UndoCaseEntry(
        case=case.case_id,
        partner=case.partner,
        customer=case.customer_id,
        subscription=case.base_id,
        cause=case.cause,
        reason=case.reason,
        state=case.state,
        sentence=case.sentence,
        opened_by=case.opened_by,
        opened_at=case.opened_at,
        until_at=case.until_at,
        hours_left=_rounded(hours_left(case.until_at, now_at)),
    )


def _rounded(hours: float | None) -> float | None:
    return None if hours is None else round(hours, 1)


def _show(
    campaign: str, cases: Sequence[UndoCaseEntry], undoable: Sequence[UndoableBundle], now_at: datetime
) -> None:
    say(f"{campaign}, {in_utc(now_at)} UTC: {len(cases)} undo cases shown.")
    if cases:
        print_table(
            ("CASE", "PARTNER", "SUBSCRIPTION", "STATE", "HOURS LEFT", "UNTIL (UTC)", "WHY", "NOW"),
            [
                (
                    str(c.case),
                    c.partner,
                    c.subscription,
                    c.state.value,
                    _hours(c.hours_left),
                    in_utc(c.until_at),
                    c.reason,
                    c.sentence,
                )
                for c in cases
            ],
        )
    if not undoable:
        return
    say("")
    say("Converted, without a case, and could still be undone:")
    print_table(
        ("PARTNER", "SUBSCRIPTION", "IN ITS BUNDLE", "STATE", "HOURS LEFT", "UNTIL (UTC)"),
        [
            (
                b.partner,
                b.subscription,
                str(b.subscriptions),
                b.conversion_state.value,
                _hours(b.hours_left),
                in_utc(b.until_at),
            )
            for b in undoable
        ],
    )


def _show_members(members: Sequence[UndoMember], now_at: datetime) -> None:
    print_table(
        ("SUBSCRIPTION", "OFFER", "CUSTOMER", "NCE", "STATE", "HOURS LEFT", "WHAT WOULD HAPPEN"),
        [
            (
                m.conversion.legacy_id,
                m.offer_name,
                m.conversion.customer_id,
                m.conversion.nce_subscription_id or "-",
                m.conversion.state.value,
                _hours(_rounded(hours_left(m.conversion.undoable_until_at, now_at))),
                _would(m, now_at),
            )
            for m in members
        ],
    )


def _would(member: UndoMember, now_at: datetime) -> str:
    line = member.conversion
    if line.state.is_pending:
        return "nothing yet: its conversion is still under way"
    if hours_left(line.undoable_until_at, now_at) == 0:
        return "nothing: too late, a person decides"
    return "legacy is reactivated, then NCE is cancelled"


def _hours(hours: float | None) -> str:
    return "not asked yet" if hours is None else "over" if hours == 0 else f"{hours:.0f}"


def _ask(question: str) -> None:
    """A terminal answers; a program says --yes."""
    if not sys.stdin.isatty():
        raise InputRefused([f"{question} Nobody is there to answer: say --yes."])
    if not typer.confirm(question):
        raise InputRefused(["Nothing was started."])
