"""A person records opt-outs: one form, or a whole list of them.

What is bought already gets an undo case at once, whichever way the form came in. What a form means belongs to
`domain.opt_out`, reading what was typed to the intake.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from include.nce.domain.author import Author
from include.nce.domain.campaign import Campaign
from include.nce.domain.opt_out import OptOut
from include.nce.domain.partner import Partner
from include.nce.domain.undo import UndoCause
from include.nce.domain.undo_case import UndoCase
from include.nce.steps.late_opt_outs import LateOptOutLedger, look_for_late_opt_outs
from include.nce.steps.ports import Clock


@dataclass(frozen=True)
class NewOptOut:
    """One form as it came in. `customer_id` None means the whole partner."""

    partner: str
    received_at: datetime
    customer_id: str | None = None
    note: str = ""


@dataclass(frozen=True)
class JudgedOptOut:
    """A form on record beside the first instant that is too late, in the partner's zone."""

    form: OptOut
    deadline_at: datetime
    zone: str

    @property
    def in_time(self) -> bool:
        return self.form.received_at < self.deadline_at


@dataclass(frozen=True)
class OptOutsRecorded:
    """The forms in the order in which they were given, how many of them were new, and the open undo cases of
    what is bought against them."""

    forms: tuple[JudgedOptOut, ...]
    new: int
    cases: tuple[UndoCase, ...]
    now_at: datetime


class PartnersZone(Protocol):
    """What tells the zone in which a partner's dates are read."""

    async def campaign(self, name: str) -> Campaign: ...

    async def partner(self, campaign: str, partner: str) -> Partner: ...


class OptOutRecords(PartnersZone, LateOptOutLedger, Protocol):
    """The part of the ledger that keeps forms."""

    async def record_opt_outs(self, campaign: str, opt_outs: Sequence[OptOut]) -> int:
        """Keep all of these forms, or none: how many were new. Raises InputRefused with each refused one."""
        ...


async def zone_of(campaign: str, partner: str, *, ledger: PartnersZone) -> str:
    """The zone in which a date of this partner is meant that names none."""
    policy = await ledger.campaign(campaign)
    return policy.zone_of((await ledger.partner(campaign, partner)).zone)


async def record_opt_outs(
    campaign: str, forms: Sequence[NewOptOut], *, by: Author, ledger: OptOutRecords, clock: Clock
) -> OptOutsRecorded:
    """Record all of them or none, and open the undo cases of what is bought already.

    The same form again changes nothing. Raises `InputRefused` for partners that are not enrolled and for
    forms that were withdrawn since.
    """
    policy = await ledger.campaign(campaign)
    partners = {
        name: await ledger.partner(campaign, name) for name in dict.fromkeys(form.partner for form in forms)
    }
    kept = [
        OptOut(form.partner, form.received_at, by.name, form.customer_id, note=form.note) for form in forms
    ]
    new = await ledger.record_opt_outs(campaign, kept)
    now_at = await clock.now()
    cases: list[UndoCase] = []
    for partner in partners.values():
        late = await look_for_late_opt_outs(campaign, partner, by=by.name, ledger=ledger, now_at=now_at)
        cases += [case for case in late.open if case.cause is UndoCause.OPT_OUT]
    return OptOutsRecorded(
        forms=tuple(
            JudgedOptOut(
                form,
                policy.opt_out_ends_at(partners[form.partner].zone),
                policy.zone_of(partners[form.partner].zone),
            )
            for form in kept
        ),
        new=new,
        cases=tuple(cases),
        now_at=now_at,
    )
