"""A person takes a partner's opt-out back, as of the moment at which the partner did.

That ends what was received until then. A form that came in later is the partner's last word, and stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from include.nce.domain.author import Author
from include.nce.domain.campaign import Campaign
from include.nce.domain.errors import InputRefused
from include.nce.domain.opt_out import OptOut, OptOutRuling, Withdrawal, rule_on, withdrawal
from include.nce.domain.partner import Partner
from include.nce.domain.undo_case import UndoCase
from include.nce.steps.late_opt_outs import LateOptOutLedger, look_for_late_opt_outs
from include.nce.steps.people.record_opt_out import PartnersZone
from include.nce.steps.ports import Clock


@dataclass(frozen=True)
class TakenBack:
    """Whose opt-out, and when it was taken back; `at` None means now. `customer_id` None is the word of the
    whole partner, not that of its customers."""

    partner: str
    customer_id: str | None = None
    at: datetime | None = None


@dataclass(frozen=True)
class Withdrawn:
    """What a withdrawal ends and what it leaves, what stands afterwards, and the undo cases it closed.

    Of a preview: what it would do, with no case closed yet.
    """

    at: datetime
    ended: tuple[OptOut, ...]
    left: tuple[OptOut, ...]
    standing: OptOutRuling
    closed: tuple[UndoCase, ...]
    zone: str


class OptOutWithdrawals(PartnersZone, LateOptOutLedger, Protocol):
    """The part of the ledger that ends forms."""

    async def withdraw_opt_out(
        self,
        campaign: str,
        partner: str,
        *,
        customer_id: str | None = None,
        withdrawn_at: datetime,
        withdrawn_by: str,
    ) -> Withdrawal:
        """End what was received until then; what that was, and what it left."""
        ...


async def preview_withdrawal(
    campaign: str, taken: TakenBack, *, ledger: OptOutWithdrawals, clock: Clock
) -> Withdrawn:
    """What `withdraw_opt_out` would do, refused where that would be; nothing is recorded."""
    at, partner, policy = await _meant(campaign, taken, ledger, clock)
    forms = await ledger.opt_outs(campaign, taken.partner)
    said = _heeded(taken, at, withdrawal(forms, taken.customer_id, at))
    rest = rule_on([form for form in forms if form not in said.ends], policy.opt_out_ends_at(partner.zone))
    return Withdrawn(at, said.ends, said.stays, rest, (), policy.zone_of(partner.zone))


async def withdraw_opt_out(
    campaign: str, taken: TakenBack, *, by: Author, ledger: OptOutWithdrawals, clock: Clock
) -> Withdrawn:
    """Take it back, and close the undo cases of which nothing was sent and that nothing calls for any more.

    The same again changes nothing. Raises `InputRefused` when no form was received until then, and for a
    moment in the future.
    """
    at, partner, policy = await _meant(campaign, taken, ledger, clock)
    ended = await ledger.withdraw_opt_out(
        campaign, taken.partner, customer_id=taken.customer_id, withdrawn_at=at, withdrawn_by=by.name
    )
    said = _heeded(taken, at, ended)
    late = await look_for_late_opt_outs(
        campaign, partner, by=by.name, ledger=ledger, now_at=await clock.now()
    )
    standing = rule_on(await ledger.opt_outs(campaign, taken.partner), policy.opt_out_ends_at(partner.zone))
    return Withdrawn(at, said.ends, said.stays, standing, late.closed, policy.zone_of(partner.zone))


async def _meant(
    campaign: str, taken: TakenBack, ledger: PartnersZone, clock: Clock
) -> tuple[datetime, Partner, Campaign]:
    """When it was taken back, by whom, and the policy that counts."""
    policy = await ledger.campaign(campaign)
    partner = await ledger.partner(campaign, taken.partner)
    now_at = await clock.now()
    at = taken.at or now_at
    if at > now_at:
        raise InputRefused([f"at: {_utc(at)} lies in the future; correct the date."])
    return at, partner, policy


def _heeded(taken: TakenBack, at: datetime, said: Withdrawal) -> Withdrawal:
    whose = taken.partner if taken.customer_id is None else f"{taken.partner}'s customer {taken.customer_id}"
    if not (said.ends or said.stays or said.ended_before):
        raise InputRefused([f"No opt-out of {whose} is on record: there is none to withdraw."])
    if said.stays and not said.ends:
        later = " and ".join(_utc(form.received_at) for form in said.stays)
        raise InputRefused(
            [f"at: no opt-out of {whose} that stands was received until {_utc(at)}, so there is none to "
             f"withdraw; what was received on {later} is the later word and stands."]
        )  # fmt: skip
    return said


def _utc(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
