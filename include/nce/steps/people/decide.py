"""A person decides about one subscription that is held; it takes effect in the partner's next plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from include.nce.domain.author import Author, given_reason
from include.nce.domain.decision import DecisionKind
from include.nce.domain.errors import InputRefused
from include.nce.domain.subscription import lower_guid, refuse_no_id
from include.nce.steps.ports import Clock


@dataclass(frozen=True)
class NewDecision:
    """What is decided of which legacy subscription. `partner` None: the only one that was seen with it.

    Raises `InputRefused` without a reason, and for what is not an id.
    """

    kind: DecisionKind
    subscription_id: str
    reason: str
    partner: str | None = None

    def __post_init__(self) -> None:
        refuse_no_id("subscription", self.subscription_id)
        given_reason(self.reason)


@dataclass(frozen=True)
class Decided:
    """What is on record now, and whose subscription it is about."""

    kind: DecisionKind
    subscription_id: str
    partner: str
    by: Author


class Decisions(Protocol):
    """The part of the ledger that keeps decisions."""

    async def holders(self, campaign: str, subscription_id: str) -> Sequence[str]:
        """The partners that were seen with it."""
        ...

    async def record_decision(
        self,
        campaign: str,
        partner: str,
        subscription_id: str,
        kind: DecisionKind,
        *,
        decided_by: str,
        reason: str,
        at: datetime,
    ) -> None:
        """Keep it. Raises InputRefused for a subscription that the partner was never seen with."""
        ...


async def decide(campaign: str, wish: NewDecision, *, by: Author, ledger: Decisions, clock: Clock) -> Decided:
    """Put the decision on record. Raises `InputRefused` when it is not clear whose subscription it is."""
    reason = given_reason(wish.reason)
    legacy_id = lower_guid(wish.subscription_id)
    partner = wish.partner or await _holder(campaign, legacy_id, ledger)
    await ledger.record_decision(
        campaign, partner, legacy_id, wish.kind, decided_by=by.name, reason=reason, at=await clock.now()
    )
    return Decided(wish.kind, legacy_id, partner, by)


async def _holder(campaign: str, legacy_id: str, ledger: Decisions) -> str:
    """The one partner that holds it."""
    holders = await ledger.holders(campaign, legacy_id)
    if not holders:
        raise InputRefused(
            [f"Subscription {legacy_id} was seen at no partner of {campaign}; check the id, or start it."]
        )
    if len(holders) > 1:
        whose = " and ".join(holders)
        raise InputRefused([f"Subscription {legacy_id} was seen at {whose}; name one with --partner."])
    return holders[0]
