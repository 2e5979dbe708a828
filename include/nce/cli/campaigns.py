"""`nce campaign`: the operators' policy in the ledger; import a file, look at it, move one of its dates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from include.nce.domain.campaign import MOVABLE_MOMENTS, PARTNER_ZONE, Campaign, Moment
from include.nce.intake.campaign_file import read_campaign
from include.nce.intake.moved_date import read_moved_date
from include.nce.steps.people.import_campaign import import_campaign
from include.nce.steps.people.move_date import NewDate, move_date

if TYPE_CHECKING:
    from include.nce.ledger.policy import CampaignVersion

campaign_app = typer.Typer(
    name="campaign", no_args_is_help=True, help="The policy: its dates, offers, windows."
)


class VersionSummary(Part):
    """Who made a version of a campaign, why and when."""

    campaign: str = Field(description="Its name.")
    version: int = Field(description="Counted from 1; the highest is in force.")
    author: str = Field(description="Who made this version.")
    reason: str = Field(description="Why.")
    created_at: Instant = Field(description="The campaign's clock.")
    recorded_at: Instant = Field(description="The machine's clock.")


class CampaignDocument(VersionSummary, Document):
    """The campaign as it is in force now."""

    instants: dict[str, Instant] = Field(
        description="The first instant at which each moment is over, for the campaign's default zone."
    )
    document: dict[str, Any] = Field(description="The campaign, with the keys of a campaign file.")


class CampaignVersions(Document):
    """All versions of a campaign."""

    campaign: str = Field(description="Its name.")
    versions: list[VersionSummary] = Field(description="Oldest first.")


@campaign_app.command("import")
@as_command
async def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The campaign file (YAML).")],
    by: ByOption = None,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Why this version is made.", show_default=False)
    ] = None,
) -> None:
    """Record a file as the next version.

    Every run follows it from then on. Nothing is recorded when the file has a fault: each one is named
    with its line and field. The same content again makes no new version.
    """
    document = read_campaign(file)
    why = f"Imported from {file.name}." if reason is None else reason
    who = author(by)
    async with open_ledger() as ledger:
        done = await import_campaign(document, why, by=who, ledger=ledger, clock=CampaignClock())
    name, before = document.campaign, done.before
    if not done.changed:
        say(f"{name}: nothing changed, version {done.version} stays.")
        return
    say(f"{name}: version {done.version} is recorded. Runs follow it by themselves.")
    if document.brake_in_force is None:
        remark("It has no 'brake': it stops only by hand, with nce campaign stop.")
    if before is not None:
        for moment in MOVABLE_MOMENTS:
            if getattr(before.moments, moment) != getattr(document.moments, moment):
                _say_moved(before, document, moment)


@campaign_app.command("show")
@as_command
async def show_campaign(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The campaign; left out: the only one on record.")
    ] = None,
    versions: Annotated[bool, typer.Option("--versions", help="List its versions instead.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show a campaign, or its versions.

    As it is in force now; the versions say who changed it, when and why.
    """
    async with open_ledger() as ledger:
        name = await campaign_named(ledger, name)
        history = await ledger.campaign_versions(name)
    if versions:
        _show_versions(name, history, as_json=as_json)
    else:
        _show_latest(history[-1], as_json=as_json)


@campaign_app.command("move-date")
@as_command
async def move(
    moment: Annotated[
        str, typer.Argument(metavar="MOMENT", help=f"Which date: {', '.join(MOVABLE_MOMENTS)}.")
    ],
    value: Annotated[
        str,
        typer.Argument(
            metavar="VALUE",
            help="A day such as 2022-06-30, or an instant with offset such as 2022-07-11T00:00:00Z.",
        ),
    ],
    campaign: CampaignOption = None,
    by: ByOption = None,
    reason: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Why it moves, such as the notice's number.", show_default=False),
    ] = None,
) -> None:
    """Move one date, as the next version.

    Runs that wait for it follow by themselves. A day keeps the zone the campaign states for it, and
    counts to its end. Refused: an order of dates that makes no sense, and a day where the campaign has
    an instant: its start or its end could be meant.
    """
    moved_to = read_moved_date(value)
    who = author(by)
    why = f"Moved by {who} with nce campaign move-date." if reason is None else reason
    async with open_ledger() as ledger:
        name = await campaign_named(ledger, campaign)
        done = await move_date(
            name, NewDate(moment, moved_to, why), by=who, ledger=ledger, clock=CampaignClock()
        )
    if not done.moved:
        say(f"{name}: {moment} stands there already, version {done.version} stays.")
        return
    say(f"{name}: version {done.version} is recorded. Waiting runs follow by themselves.")
    _say_moved(done.before, done.after, moment)


def _say_moved(before: Campaign, after: Campaign, moment: str) -> None:
    for word, campaign in (("before", before), ("now", after)):
        standing: Moment = getattr(campaign.moments, moment)
        say(f"  {moment} {word}: {_written(standing)}, that is {_instant(standing, campaign)}")
    if getattr(after.moments, moment).zone == PARTNER_ZONE:
        remark(f"Each partner's own time zone counts; shown is {after.default_zone}.")


def _written(moment: Moment) -> str:
    if moment.at is not None:
        return f"{in_utc(moment.at)} UTC"
    inclusive = "inclusive" if moment.inclusive else "exclusive"
    zone = "partner's zone" if moment.zone == PARTNER_ZONE else moment.zone
    return f"{moment.on}, {inclusive}, {zone}"


def _instant(moment: Moment, campaign: Campaign) -> str:
    """In the campaign's zone and in UTC."""
    return in_zone(moment.instant(campaign.default_zone), campaign.default_zone)


def _show_latest(latest: CampaignVersion, *, as_json: bool) -> None:
    campaign = latest.document
    moments = {name: getattr(campaign.moments, name) for name in MOVABLE_MOMENTS}
    if as_json:
        print_json(
            CampaignDocument(
                **_summary(latest),
                instants={name: moment.instant(campaign.default_zone) for name, moment in moments.items()},
                document=campaign.model_dump(mode="json", exclude_none=True),
            )
        )
        return
    say(f"{campaign.campaign}: {campaign.title}")
    say(f"Version {latest.version} by {latest.author}: {latest.reason}")
    window = campaign.window
    lead = f", {window.lead_days} days" if window.kind == "before_expiry" else ""
    say(
        f"Conversion window {window.kind}{lead}; {len(campaign.offers)} offers; "
        f"{len(campaign.overrides)} overrides; roster {campaign.roster or 'named at each start'}; "
        f"service desk {campaign.service_desk}"
    )
    say(_waves_and_brake(campaign))
    print_table(
        ("DATE", "AS WRITTEN", f"INSTANT ({campaign.default_zone}, UTC)", "SOURCE"),
        [(name, _written(m), _instant(m, campaign), m.source) for name, m in moments.items()],
    )


def _waves_and_brake(campaign: Campaign) -> str:
    """Who may buy when, and what stops it, as the policy has it."""
    waves, brake = campaign.waves, campaign.brake_in_force
    if waves is None:
        when = "Everybody may buy from the cut-over on"
    else:
        pilot = f"the pilot {', '.join(waves.pilot)}, then " if waves.pilot else ""
        sizes = ", ".join(str(size) for size in waves.then)
        when = f"Waves: {pilot}{sizes} partners, each after {waves.quiet_hours} quiet hours"
    if brake is None:
        return f"{when}; no brake"
    return f"{when}; the brake is pulled at {brake.failed_percent} % and {brake.failed_at_least} failed"


def _show_versions(name: str, history: Sequence[CampaignVersion], *, as_json: bool) -> None:
    if as_json:
        print_json(CampaignVersions(campaign=name, versions=[VersionSummary(**_summary(v)) for v in history]))
        return
    print_table(
        ("VERSION", "CAMPAIGN'S CLOCK (UTC)", "MACHINE'S CLOCK (UTC)", "BY", "WHY"),
        [(str(v.version), in_utc(v.created_at), in_utc(v.recorded_at), v.author, v.reason) for v in history],
    )


def _summary(version: CampaignVersion) -> dict[str, Any]:
    names = ("campaign", "version", "author", "reason", "created_at", "recorded_at")
    return {name: getattr(version, name) for name in names}
