"""`nce campaign stop`, `release` and `waves`: whether the campaign may buy, and how far its waves are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import Field

from include.nce.cli.display import Document, Instant, Part, in_utc, print_json, print_table, say
from include.nce.cli.entry import as_command
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
from include.nce.domain.campaign import Brake, Campaign
from include.nce.domain.waves import Wave, WaveBoard, coming, why_not_yet
from include.nce.steps.people.stop_campaign import release_campaign, stop_campaign

if TYPE_CHECKING:
    from include.nce.domain.brake import BrakeRecord, Figures

NAMED_PARTNERS = 12
"""So many partners of a wave are named in the table; the JSON names all."""

ReasonOption = Annotated[str, typer.Option(metavar="TEXT", help="Why; it goes on record.")]


class Thresholds(Part):
    """At which figures the campaign stops by itself, as its file has them."""

    failed_percent: int = Field(description="Share of the conversions tried that may stand as failed.")
    failed_at_least: int = Field(description="So many have to stand so before the share counts.")
    zero_coverage: int = Field(description="Subscriptions covered on neither side.")
    double_coverage: int = Field(description="Subscriptions billed on both sides.")
    unknown_hours: int = Field(description="After so long an unknown outcome counts as failed.")


class BrakeDocument(Part):
    """Whether the campaign may buy, and at which figures it stops by itself."""

    stopped: bool = Field(description="Nothing new is bought while it is.")
    by: str = Field(description="Who stopped or released it last; empty: nobody has.")
    reason: str = Field(description="Why.")
    at: Instant | None = Field(description="When, on the campaign's clock.")
    stop: int | None = Field(description="The number of the stop that counts; null while it buys.")
    tried: int = Field(description="Conversions tried since the last release.")
    failed: int = Field(description="Those of them that stand as failed.")
    failed_at: list[str] = Field(description="The partners whose conversions these are.")
    zero_coverage: int = Field(description="Subscriptions covered on neither side.")
    double_coverage: int = Field(description="Subscriptions billed on both sides.")
    known_zero_coverage: int = Field(description="Those of them that the last release accepted.")
    known_double_coverage: int = Field(description="Those of them that the last release accepted.")
    thresholds: Thresholds | None = Field(description="At which it stops by itself; null: only by hand.")


class WaveStatus(Part):
    """One wave: begun, or still to come as things stand."""

    number: int = Field(description="Counted from 1.")
    begun_at: Instant | None = Field(description="When it began; null: it is still to come.")
    partners: list[str] = Field(description="Short ids.")
    converted: int = Field(description="Conversions finished.")
    failed: int = Field(description="Conversions failed, refused or stranded.")
    under_way: int = Field(description="Conversions bought or sent and not finished.")
    waiting: int = Field(description="Conversions planned and not bought yet.")


class AheadStatus(Part):
    """A partner that may buy before its wave."""

    partner: str = Field(description="Short id.")
    reason: str = Field(description="Why.")


class UrgentStatus(Part):
    """A partner that cannot wait for the release of a stopped campaign."""

    partner: str = Field(description="Short id.")
    term_end_at: Instant = Field(description="When the first of its subscriptions ends.")


class WavesDocument(Document):
    """What `nce campaign waves --json` prints."""

    campaign: str = Field(description="Its name.")
    now: Instant = Field(description="The campaign's clock.")
    brake: BrakeDocument
    waves: list[WaveStatus] = Field(
        description="In their order; empty when the campaign has none and everybody may buy."
    )
    ahead: list[AheadStatus] = Field(description="Partners that went ahead of their wave.")
    urgent: list[UrgentStatus] = Field(
        description="While it is stopped: partners with a subscription near its last safe start."
    )
    next_waits_for: str = Field(description="Why the next wave has not begun; empty when nothing holds it.")


@as_command
async def stop(reason: ReasonOption, campaign: CampaignOption = None, by: ByOption = None) -> None:
    """Buy nothing new from now on.

    Seen by purchases that are seconds away. What is bought is finished, runs wait (purple) and go on by
    themselves once the campaign is released.
    """
    who = author(by)
    async with open_ledger() as ledger:
        name = await campaign_named(ledger, campaign)
        stopped = await stop_campaign(name, reason, by=who, ledger=ledger, clock=CampaignClock())
    if stopped.already:
        say(f"{name} is stopped already.")
    say(stopped.record.sentence)


@as_command
async def release(
    reason: ReasonOption,
    stop_no: Annotated[
        int | None,
        typer.Option(
            "--stop",
            metavar="NUMBER",
            help="Only while this very stop counts; `nce campaign waves` names it.",
        ),
    ] = None,
    campaign: CampaignOption = None,
    by: ByOption = None,
) -> None:
    """Let a stopped campaign buy again.

    What has failed until now does not count for the brake any more, and the subscriptions without cover or
    with double cover that stand at this moment are accepted: only what comes on top of them stops it again.
    """
    who = author(by)
    async with open_ledger() as ledger:
        name = await campaign_named(ledger, campaign)
        ended = await ledger.brake_record(name)
        record = await release_campaign(
            name, reason, by=who, ledger=ledger, clock=CampaignClock(), stop=stop_no or ended.event_id
        )
    say(f"Ended: stop {ended.event_id} by {ended.by}: {ended.reason}")
    say(f"{name} is released by {record.by}: {record.reason}")
    known = record.known
    if known.zero or known.double:
        say(
            f"Accepted as they stand: {known.zero} without cover, {known.double} billed on both sides. They "
            "still need somebody."
        )
    say("Waiting runs go on within half a minute; nobody has to clear anything.")


@as_command
async def show_waves(campaign: CampaignOption = None, as_json: JsonOption = False) -> None:
    """Show waves and brake.

    Which partners may buy, which come next and what they wait for; whether the campaign is stopped, by whom
    and why, and how far its figures are from stopping it.
    """
    from include.nce.steps.brake import read_figures
    from include.nce.steps.wait_for_wave import urgent

    async with open_ledger() as ledger:
        name = await campaign_named(ledger, campaign)
        policy = await ledger.campaign(name)
        now_at = await campaign_now()
        record = await ledger.brake_record(name)
        board = await ledger.wave_board(name)
        thresholds = policy.brake_in_force
        figures, failed_at = await read_figures(
            policy, thresholds or Brake(), record, ledger=ledger, now_at=now_at
        )
        hurry = await urgent(policy, ledger=ledger, now_at=now_at) if record.stopped else {}
    waits_for = why_not_yet(policy, policy.waves, board, now_at) if policy.waves else None
    to_come = coming(policy.waves, board) if policy.waves else ()
    shown = [_status(wave, board) for wave in (*board.begun, *to_come)]
    if as_json:
        print_json(
            WavesDocument(
                campaign=name,
                now=now_at,
                brake=BrakeDocument(
                    stopped=record.stopped,
                    by=record.by,
                    reason=record.reason,
                    at=record.at,
                    stop=record.event_id if record.stopped else None,
                    tried=figures.tried,
                    failed=figures.failed,
                    failed_at=list(failed_at),
                    zero_coverage=figures.zero,
                    double_coverage=figures.double,
                    known_zero_coverage=record.known.zero,
                    known_double_coverage=record.known.double,
                    thresholds=Thresholds(**thresholds.model_dump()) if thresholds else None,
                ),
                waves=shown,
                ahead=[AheadStatus(partner=p, reason=why) for p, why in sorted(board.ahead.items())],
                urgent=[UrgentStatus(partner=p, term_end_at=at) for p, at in sorted(hurry.items())],
                next_waits_for=waits_for or "" if to_come else "",
            )
        )
        return
    _show_brake(name, record, figures, failed_at, thresholds)
    for partner, ends_at in sorted(hurry.items()):
        say(
            f"Urgent: {partner}, a subscription ends on {in_utc(ends_at)} UTC. Release in time, or convert "
            "it by hand."
        )
    _show_waves(policy, shown, board, waits_for)


def _status(wave: Wave, board: WaveBoard) -> WaveStatus:
    together = board.sum_of(wave.partners)
    return WaveStatus(
        number=wave.number,
        begun_at=wave.begun_at,
        partners=list(wave.partners),
        converted=together.converted,
        failed=together.failed,
        under_way=together.under_way,
        waiting=together.waiting,
    )


def _show_brake(
    name: str,
    record: BrakeRecord,
    figures: Figures,
    failed_at: Sequence[str],
    thresholds: Brake | None,
) -> None:
    if record.stopped:
        say(f"Stop {record.event_id}. {record.sentence}")
    elif record.event_id:
        say(f"{name} buys. Released by {record.by} on {in_utc(record.at)} UTC: {record.reason}")
    else:
        say(f"{name} buys.")
    whose = f" (at {', '.join(failed_at)})" if failed_at else ""
    since = " since the last release" if record.released else ""
    say(
        f"Conversions tried{since}: {figures.tried}, of which {figures.failed} stand as failed{whose}. "
        f"Subscriptions without cover: {_accepting(figures.zero, record.known.zero)}, billed on both sides: "
        f"{_accepting(figures.double, record.known.double)}."
    )
    if thresholds is None:
        say("It has no brake: it stops only by hand, with nce campaign stop.")
    else:
        say(
            f"It stops by itself at {thresholds.failed_percent} % and {thresholds.failed_at_least} failed, "
            f"{thresholds.zero_coverage} without cover, or {thresholds.double_coverage} on both sides."
        )


def _accepting(count: int, known: int) -> str:
    return f"{count} ({known} accepted at the release)" if known else str(count)


def _show_waves(
    policy: Campaign, waves: Sequence[WaveStatus], board: WaveBoard, waits_for: str | None
) -> None:
    if policy.waves is None:
        say("No waves: every partner may buy from the cut-over on.")
        return
    print_table(
        ("WAVE", "BEGUN (UTC)", "PARTNERS", "CONVERTED", "FAILED", "UNDER WAY", "WAITING", "WHO"),
        [
            (
                f"{wave.number}{' (pilot)' if policy.waves.pilot and wave.number == 1 else ''}",
                in_utc(wave.begun_at) if wave.begun_at else "to come",
                str(len(wave.partners)),
                str(wave.converted),
                str(wave.failed),
                str(wave.under_way),
                str(wave.waiting),
                _names(wave.partners),
            )
            for wave in waves
        ],
    )
    for partner, why in sorted(board.ahead.items()):
        say(f"{partner} went ahead of its wave. {why}")
    if waits_for and any(wave.begun_at is None for wave in waves):
        say(f"The next wave waits. {waits_for}")
    elif waits_for and not waves:
        say(waits_for)


def _names(partners: Sequence[str]) -> str:
    more = len(partners) - NAMED_PARTNERS
    return ", ".join(partners[:NAMED_PARTNERS]) + (f" and {more} more" if more > 0 else "")
