"""The two things that people enter on the board, written as the command line writes them.

The author is whoever is logged in; no field says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from include.nce.board.access import Person
from include.nce.board.desk import Desk
from include.nce.domain.campaign import MOVABLE_MOMENTS
from include.nce.domain.errors import InputRefused
from include.nce.domain.opt_out import OptOut
from include.nce.intake.moved_date import read_moved_date, refuse_ambiguous_day
from include.nce.intake.opt_out_form import read_opt_out

LONGEST_REASON = 500


@dataclass(frozen=True)
class Recorded:
    """An opt-out as it is on record: whether it was new, and by when it had to come in."""

    form: OptOut
    new: bool
    deadline_at: datetime

    @property
    def in_time(self) -> bool:
        return self.form.received_at < self.deadline_at


async def record_opt_out(
    desk: Desk,
    campaign: str,
    partner: str,
    person: Person,
    *,
    received: str | None,
    customer: str | None,
    note: str,
) -> Recorded:
    """Record it; the same one again changes nothing. Raises `InputRefused`."""
    policy = await desk.ledger.campaign(campaign)
    who = await desk.ledger.partner(campaign, partner)
    form = read_opt_out(
        partner,
        zone=policy.zone_of(who.zone),
        received=received or None,
        customer=customer or None,
        note=note.strip(),
        recorded_by=person.name,
        now_at=await desk.clock.now(),
    )
    new = await desk.ledger.record_opt_out(campaign, form)
    return Recorded(form, new, policy.opt_out_ends_at(who.zone))


async def move_date(
    desk: Desk, campaign: str, person: Person, *, moment: str, value: str, reason: str
) -> int:
    """Move one date as the campaign's next version and return its number. Raises `InputRefused`."""
    if not reason.strip():
        raise InputRefused(["reason: it is empty; write why the date moves, such as the notice's number."])
    if len(reason) > LONGEST_REASON:
        raise InputRefused([f"reason: write at most {LONGEST_REASON} characters."])
    moved_to = read_moved_date(value)
    policy = await desk.ledger.campaign(campaign)
    if moment in MOVABLE_MOMENTS:
        refuse_ambiguous_day(moment, getattr(policy.moments, moment), moved_to)
    return await desk.ledger.move_moment(
        campaign, moment, moved_to, person.name, reason.strip(), at=await desk.clock.now()
    )
