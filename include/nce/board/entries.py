"""What people enter on the board: read here, for pages and programs alike, and handed to the acts in
`steps.people`.

The author is whoever is logged in; no field says so.
"""

from __future__ import annotations

from include.nce.board.access import Person
from include.nce.board.desk import Desk
from include.nce.intake.moved_date import read_moved_date
from include.nce.intake.opt_out_form import read_opt_out, read_withdrawal
from include.nce.steps.people import move_date as dates
from include.nce.steps.people import record_opt_out as opt_outs
from include.nce.steps.people import withdraw_opt_out as withdrawals
from include.nce.steps.people.move_date import DateMoved, NewDate
from include.nce.steps.people.record_opt_out import OptOutsRecorded, zone_of
from include.nce.steps.people.withdraw_opt_out import Withdrawn


async def record_opt_out(
    desk: Desk,
    campaign: str,
    partner: str,
    person: Person,
    *,
    received: str | None,
    customer: str | None,
    note: str,
) -> OptOutsRecorded:
    """Record one form. Raises `InputRefused`."""
    form = read_opt_out(
        partner,
        zone=await zone_of(campaign, partner, ledger=desk.ledger),
        received=received or None,
        customer=customer or None,
        note=note.strip(),
        now_at=await desk.clock.now(),
    )
    return await opt_outs.record_opt_outs(
        campaign, [form], by=person.author, ledger=desk.ledger, clock=desk.clock
    )


async def withdraw_opt_out(
    desk: Desk,
    campaign: str,
    partner: str,
    person: Person,
    *,
    at: str | None,
    customer: str | None,
    preview: bool,
) -> Withdrawn:
    """Take an opt-out back, or only say what that would end. Raises `InputRefused`."""
    zone = await zone_of(campaign, partner, ledger=desk.ledger)
    taken = read_withdrawal(partner, zone=zone, at=at or None, customer=customer or None)
    if preview:
        return await withdrawals.preview_withdrawal(campaign, taken, ledger=desk.ledger, clock=desk.clock)
    return await withdrawals.withdraw_opt_out(
        campaign, taken, by=person.author, ledger=desk.ledger, clock=desk.clock
    )


async def move_date(
    desk: Desk, campaign: str, person: Person, *, moment: str, value: str, reason: str
) -> DateMoved:
    """Move one date as the campaign's next version. Raises `InputRefused`."""
    wish = NewDate(moment, read_moved_date(value), reason)
    return await dates.move_date(campaign, wish, by=person.author, ledger=desk.ledger, clock=desk.clock)
