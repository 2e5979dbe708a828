"""`nce opt-out`: the forms with which a partner, or one customer of it, refuses the provider's conversion."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from pydantic import Field

from include.nce.cli.display import (
    Document,
    Instant,
    Part,
    in_utc,
    in_zone,
    print_json,
    print_table,
    remark,
    say,
)
from include.nce.cli.entry import as_command
from include.nce.cli.surroundings import (
    ByOption,
    CampaignClock,
    CampaignOption,
    JsonOption,
    author,
    campaign_named,
    open_ledger,
)
from include.nce.domain.campaign import Campaign
from include.nce.domain.errors import InputRefused
from include.nce.domain.opt_out import OptOut, OptOutVerdict
from include.nce.domain.partner import Partner
from include.nce.domain.undo import CaseState, hours_left
from include.nce.intake.opt_out_form import read_opt_out, read_tenant, read_withdrawal
from include.nce.intake.opt_out_list import load_opt_outs
from include.nce.steps.people.record_opt_out import (
    JudgedOptOut,
    OptOutsRecorded,
    record_opt_outs,
    zone_of,
)
from include.nce.steps.people.withdraw_opt_out import (
    TakenBack,
    Withdrawn,
    preview_withdrawal,
    withdraw_opt_out,
)

if TYPE_CHECKING:
    from include.nce.ledger.ledger import PostgresLedger

PAGE = 500

opt_out_app = typer.Typer(name="opt-out", no_args_is_help=True, help="Record who must not be converted.")

PartnerArgument = Annotated[
    str, typer.Argument(metavar="PARTNER", help="Short id, such as rossi-informatica.")
]
CustomerOption = Annotated[
    str | None,
    typer.Option(metavar="TENANT", help="Only this customer, by its tenant id; left out: the whole partner."),
]


class OptOutEntry(Part):
    """One form on record."""

    partner: str = Field(description="Short id.")
    customer: str | None = Field(description="Tenant id; null: the whole partner.")
    received_at: Instant = Field(description="When the form came in.")
    verdict: Literal["in_time", "late", "withdrawn"] = Field(
        description="By the campaign's present deadline in the partner's zone."
    )
    deadline_at: Instant = Field(description="The first instant that is too late.")
    recorded_by: str = Field(description="Who typed it in.")
    recorded_at: Instant = Field(description="The machine's clock.")
    withdrawn_at: Instant | None = Field(description="When it was taken back.")
    withdrawn_by: str | None = Field(description="Who typed that in.")
    note: str = Field(description="As it was typed in.")


class OptOutList(Document):
    """The opt-outs on record."""

    campaign: str = Field(description="Its name.")
    opt_outs: list[OptOutEntry] = Field(description="In the order of entry.")


@opt_out_app.command("add")
@as_command
async def add(
    partner: PartnerArgument,
    customer: CustomerOption = None,
    received: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN",
            help="When it came in: a day, with or without time, in the partner's zone; or an instant with "
            "offset. Left out: now.",
        ),
    ] = None,
    by: ByOption = None,
    note: Annotated[
        str, typer.Option(metavar="TEXT", help="Where it is filed, who called, and the like.")
    ] = "",
    campaign: CampaignOption = None,
) -> None:
    """Record an opt-out; says if it is in time.

    It counts by when it was received, not by when it is typed in. In time: nothing is bought or cancelled.
    Too late: what is not bought yet is held for a person's decision. What is bought already gets an undo
    case, with the hours that Microsoft leaves for it. The same form again changes nothing.
    """
    if customer is not None:
        read_tenant(customer)
    who = author(by)
    clock = CampaignClock()
    async with open_ledger() as ledger:
        name = await campaign_named(ledger, campaign)
        form = read_opt_out(
            partner,
            zone=await zone_of(name, partner, ledger=ledger),
            received=received,
            customer=customer,
            note=note,
            now_at=await clock.now(),
        )
        done = await record_opt_outs(name, [form], by=who, ledger=ledger, clock=clock)
    [judged] = done.forms
    received_in_zone = in_zone(judged.form.received_at, judged.zone)
    say(
        f"{'Recorded' if done.new else 'On record already'}: {_whose(judged.form)}, received "
        f"{received_in_zone}."
    )
    say(_in_time_or_not(judged))
    _say_undo_cases(done)


@opt_out_app.command("withdraw")
@as_command
async def withdraw(
    partner: PartnerArgument,
    customer: CustomerOption = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="WHEN", help="When the partner took it back; left out: now.")
    ] = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="Say what it would end and what would stand; record nothing.")
    ] = False,
    by: ByOption = None,
    campaign: CampaignOption = None,
) -> None:
    """Withdraw an opt-out; says what counts now.

    It ends all that was received until then, of the partner or of the one customer of it that is named. What
    came in later is the later word, and stands.
    """
    if customer is not None:
        read_tenant(customer)
    who = author(by)
    clock = CampaignClock()
    async with open_ledger() as ledger:
        name = await campaign_named(ledger, campaign)
        taken = read_withdrawal(
            partner, zone=await zone_of(name, partner, ledger=ledger), at=at, customer=customer
        )
        if preview:
            done = await preview_withdrawal(name, taken, ledger=ledger, clock=clock)
        else:
            done = await withdraw_opt_out(name, taken, by=who, ledger=ledger, clock=clock)
    _say_withdrawn(taken, done, preview=preview)
    if not preview:
        remark(
            f"A run that has ruled on it already is not changed; start it again with: nce backfill {partner}."
        )


@opt_out_app.command("import")
@as_command
async def import_list(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="CSV with the columns partner, received, customer, zone, note."),
    ],
    by: ByOption = None,
    campaign: CampaignOption = None,
) -> None:
    """Record a list of opt-outs, all or nothing.

    A CSV file as spreadsheets save it. With one fault in the file nothing is recorded; each fault is
    named with its line and field. Days may be written as 2022-06-30 or, where it can mean nothing else,
    30/06/2022. The same list again changes nothing.
    """
    try:
        data = file.read_bytes()
    except OSError as fault:
        raise InputRefused([f"{file}: it cannot be read: {fault.strerror}; check the path."]) from None
    who = author(by)
    clock = CampaignClock()
    async with open_ledger() as ledger:
        name = await campaign_named(ledger, campaign)
        forms = load_opt_outs(
            data,
            name=file.name,
            zone=(await ledger.campaign(name)).default_zone,
            known_partners={partner.partner for partner in await ledger.partners(name)},
            now_at=await clock.now(),
        )
        try:
            done = await record_opt_outs(name, forms, by=who, ledger=ledger, clock=clock)
        except InputRefused as refused:
            raise InputRefused(
                [f"{file.name}: {one} Else take its row out of the list." for one in refused.faults]
            ) from None
    late = [judged for judged in done.forms if not judged.in_time]
    read = len(done.forms)
    say(f"{read} read: {done.new} recorded, {read - done.new} on record already; {len(late)} too late.")
    for judged in late:
        received_in_zone = in_zone(judged.form.received_at, judged.zone)
        say(f"  Too late: {_whose(judged.form)}, received {received_in_zone}.")
    _say_undo_cases(done)


@opt_out_app.command("list")
@as_command
async def list_forms(
    partner: Annotated[
        str | None, typer.Option(metavar="PARTNER", help="Only those of this partner and its customers.")
    ] = None,
    campaign: CampaignOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the opt-outs on record.

    In the order of entry, with what each means by the present deadline.
    """
    async with open_ledger() as ledger:
        name = await campaign_named(ledger, campaign)
        policy = await ledger.campaign(name)
        partners = await ledger.partners(name, None if partner is None else [partner])
        entries = await _entries(ledger, policy, {p.partner: p for p in partners}, partner)
    if as_json:
        print_json(OptOutList(campaign=name, opt_outs=entries))
        return
    if not entries:
        say(f"No opt-out is on record in {name}.")
        return
    print_table(
        ("PARTNER", "CUSTOMER", "RECEIVED (UTC)", "COUNTS AS", "BY", "NOTE"),
        [
            (
                e.partner,
                e.customer or "(all)",
                in_utc(e.received_at),
                e.verdict.replace("_", " "),
                e.recorded_by,
                e.note,
            )
            for e in entries
        ],
    )


async def _entries(
    ledger: PostgresLedger, policy: Campaign, partners: dict[str, Partner], partner: str | None
) -> list[OptOutEntry]:
    entries: list[OptOutEntry] = []
    after = 0
    while page := await ledger.list_opt_outs(policy.campaign, partner, after=after, limit=PAGE):
        after = page[-1].opt_out_id
        for record in page:
            form = record.opt_out
            deadline_at = policy.opt_out_ends_at(partners[form.partner].zone)
            verdict = (
                "withdrawn" if not form.stands() else "in_time" if form.received_at < deadline_at else "late"
            )
            entries.append(
                OptOutEntry(
                    partner=form.partner,
                    customer=form.customer_id,
                    received_at=form.received_at,
                    verdict=verdict,
                    deadline_at=deadline_at,
                    recorded_by=form.recorded_by,
                    recorded_at=record.recorded_at,
                    withdrawn_at=form.withdrawn_at,
                    withdrawn_by=record.withdrawn_by,
                    note=form.note,
                )
            )
    return entries


def _say_undo_cases(done: OptOutsRecorded) -> None:
    """What is bought already, and whether it can still be taken back."""
    for case in done.cases:
        left = hours_left(case.until_at, done.now_at)
        time = "hours left: not asked yet" if left is None else f"{left:.0f} hours left"
        if case.state is CaseState.TOO_LATE:
            say(f"Bought already, {case.base_id}: undo case {case.case_id}. {case.sentence}")
        else:
            say(
                f"Bought already, {case.base_id}: undo case {case.case_id}, {time}. To take it back: "
                f"nce undo start {case.base_id}."
            )


def _say_withdrawn(taken: TakenBack, done: Withdrawn, *, preview: bool) -> None:
    """Which forms end, which stay, and what counts then."""
    tenant, count = taken.customer_id, len(done.ended)
    whose = f"customer {tenant} of {taken.partner}" if tenant else f"{taken.partner}, the whole partner"
    if not done.ended:
        say(f"Withdrawn before: nothing of {whose} stands.")
    else:
        verb = "Would be withdrawn" if preview else "Withdrawn"
        say(f"{verb}: {count} opt-out{'s' if count > 1 else ''} of {whose}.")
    for form in done.ended:
        say(f"  Ends: received {in_zone(form.received_at, done.zone)}.")
    for form in done.left:
        say(f"  Stands: received {in_zone(form.received_at, done.zone)}, which is later.")
    verdict = done.standing.for_customer(tenant) if tenant else done.standing.partner
    single = done.standing.customers_in_time | done.standing.customers_late
    if tenant is not None and tenant in single:
        say(f"An opt-out of this customer still stands, {verdict.value.replace('_', ' ')}.")
    elif verdict is not OptOutVerdict.NONE:
        say(f"An opt-out of the whole partner still stands, {verdict.value.replace('_', ' ')}.")
    elif single:
        say(f"Opt-outs of {len(single)} of its customers still stand.")
    else:
        say("No opt-out stands any more." if not preview else "No opt-out would stand any more.")
    for case in done.closed:
        say(f"Undo case {case.case_id} is closed: {case.sentence}")


def _whose(form: OptOut) -> str:
    whose = "the whole partner" if form.customer_id is None else f"customer {form.customer_id}"
    return f"{form.partner}, {whose}"


def _in_time_or_not(judged: JudgedOptOut) -> str:
    over_at = in_zone(judged.deadline_at, judged.zone)
    if judged.in_time:
        return (
            f"It is in time: the deadline is over at {over_at}. From now on nothing is bought or cancelled "
            "for it."
        )
    return (
        f"It is too late: the deadline was over at {over_at}. What is not bought yet is held for a person's "
        "decision."
    )
