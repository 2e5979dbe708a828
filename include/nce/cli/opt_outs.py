"""`nce opt-out`: the forms with which a partner, or one customer of it, refuses the provider's conversion."""

from __future__ import annotations

from datetime import datetime
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
    CampaignOption,
    JsonOption,
    author,
    campaign_named,
    campaign_now,
    open_ledger,
)
from include.nce.domain.campaign import Campaign
from include.nce.domain.errors import InputRefused
from include.nce.domain.opt_out import OptOut, OptOutVerdict, rule_on
from include.nce.domain.partner import Partner
from include.nce.domain.undo import CaseState, UndoCause, hours_left
from include.nce.intake.opt_out_form import read_opt_out, read_tenant
from include.nce.intake.opt_out_list import load_opt_outs, parse_received
from include.nce.steps.late_opt_outs import LateOptOuts, look_for_late_opt_outs

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
    async with open_ledger() as ledger:
        name = await campaign_named(ledger, campaign)
        policy = await ledger.campaign(name)
        who = await ledger.partner(name, partner)
        zone = policy.zone_of(who.zone)
        now_at = await campaign_now()
        form = read_opt_out(
            partner, zone=zone, received=received, customer=customer, note=note, recorded_by=author(by),
            now_at=now_at,
        )  # fmt: skip
        received_at = form.received_at
        new = await ledger.record_opt_out(name, form)
        deadline_at = policy.opt_out_ends_at(who.zone)
        late = await look_for_late_opt_outs(name, who, by=form.recorded_by, ledger=ledger, now_at=now_at)
    whose = _whose(form)
    say(f"{'Recorded' if new else 'On record already'}: {whose}, received {in_zone(received_at, zone)}.")
    say(_in_time_or_not(received_at, deadline_at, zone))
    _say_undo_cases(late, now_at)


@opt_out_app.command("withdraw")
@as_command
async def withdraw(
    partner: PartnerArgument,
    customer: CustomerOption = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="WHEN", help="When the partner took it back; left out: now.")
    ] = None,
    by: ByOption = None,
    campaign: CampaignOption = None,
) -> None:
    """Withdraw an opt-out; says what counts now.

    All that stand for the partner, or for the one customer of it that is named.
    """
    tenant = None if customer is None else read_tenant(customer)
    async with open_ledger() as ledger:
        name = await campaign_named(ledger, campaign)
        policy = await ledger.campaign(name)
        who = await ledger.partner(name, partner)
        now_at = await campaign_now()
        withdrawn_at = now_at if at is None else parse_received(at, policy.zone_of(who.zone))
        if withdrawn_at > now_at:
            raise InputRefused([f"at: {in_utc(withdrawn_at)} UTC lies in the future; correct the date."])
        count = await ledger.withdraw_opt_out(
            name, partner, customer_id=tenant, withdrawn_at=withdrawn_at, withdrawn_by=author(by)
        )
        ruling = rule_on(await ledger.opt_outs(name, partner), policy.opt_out_ends_at(who.zone))
        late = await look_for_late_opt_outs(name, who, by=author(by), ledger=ledger, now_at=now_at)
    whose = f"customer {tenant} of {partner}" if tenant else f"{partner}, the whole partner"
    say(f"Withdrawn: {count} opt-out{'s' if count > 1 else ''} of {whose}.")
    verdict = ruling.for_customer(tenant) if tenant else ruling.partner
    if verdict is not OptOutVerdict.NONE:
        say(f"An opt-out of the whole partner still stands, {verdict.value.replace('_', ' ')}.")
    elif ruling.customers_in_time or ruling.customers_late:
        standing = len(ruling.customers_in_time | ruling.customers_late)
        say(f"Opt-outs of {standing} of its customers still stand.")
    else:
        say("No opt-out stands any more.")
    for case in late.closed:
        say(f"Undo case {case.case_id} is closed: {case.sentence}")
    remark(f"A run that has ruled on it already is not changed; start it again with: nce backfill {partner}.")


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
    async with open_ledger() as ledger:
        name = await campaign_named(ledger, campaign)
        policy = await ledger.campaign(name)
        partners = {partner.partner: partner for partner in await ledger.partners(name)}
        forms = load_opt_outs(
            data,
            name=file.name,
            zone=policy.default_zone,
            known_partners=partners,
            recorded_by=author(by),
            now_at=await campaign_now(),
        )
        try:
            new = await ledger.record_opt_outs(name, forms)
        except InputRefused as refused:
            raise InputRefused(
                [f"{file.name}: {one} Else take its row out of the list." for one in refused.faults]
            ) from None
        now_at = await campaign_now()
        looked = [
            await look_for_late_opt_outs(name, partners[each], by=author(by), ledger=ledger, now_at=now_at)
            for each in dict.fromkeys(form.partner for form in forms)
        ]
    late = [form for form in forms if form.received_at >= policy.opt_out_ends_at(partners[form.partner].zone)]
    say(f"{len(forms)} read: {new} recorded, {len(forms) - new} on record already; {len(late)} too late.")
    for form in late:
        zone = policy.zone_of(partners[form.partner].zone)
        say(f"  Too late: {_whose(form)}, received {in_zone(form.received_at, zone)}.")
    for found in looked:
        _say_undo_cases(found, now_at)


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


def _say_undo_cases(late: LateOptOuts, now_at: datetime) -> None:
    """What is bought already, and whether it can still be taken back."""
    for case in late.open:
        if case.cause is not UndoCause.OPT_OUT:
            continue
        left = hours_left(case.until_at, now_at)
        time = "hours left: not asked yet" if left is None else f"{left:.0f} hours left"
        if case.state is CaseState.TOO_LATE:
            say(f"Bought already, {case.base_id}: undo case {case.case_id}. {case.sentence}")
        else:
            say(
                f"Bought already, {case.base_id}: undo case {case.case_id}, {time}. To take it back: "
                f"nce undo start {case.base_id}."
            )


def _whose(form: OptOut) -> str:
    whose = "the whole partner" if form.customer_id is None else f"customer {form.customer_id}"
    return f"{form.partner}, {whose}"


def _in_time_or_not(received_at: datetime, deadline_at: datetime, zone: str) -> str:
    if received_at < deadline_at:
        return (
            f"It is in time: the deadline is over at {in_zone(deadline_at, zone)}. From now on nothing is "
            "bought or cancelled for it."
        )
    return (
        f"It is too late: the deadline was over at {in_zone(deadline_at, zone)}. What is not "
        "bought yet is held for a person's decision."
    )
