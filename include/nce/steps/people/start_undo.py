"""A person asks to take something back: whose it is, what is bought of it, and what the run is started with.

The run itself is Airflow's, and a person approves it there; nothing is on record before `plan_undo`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from include.nce.domain.author import Author, given_reason
from include.nce.domain.errors import InputRefused
from include.nce.domain.subscription import lower_guid, refuse_no_id
from include.nce.domain.undo_case import UndoMember

SHORTEST_REASON = 3


@dataclass(frozen=True)
class WantedUndo:
    """One subscription, legacy's or New Commerce's, one customer, or everything of a partner; and why.

    `partner` beside one of the others says whose it is where two serve it. Raises `InputRefused` without a
    reason, and unless one thing is named.
    """

    reason: str
    subscription_id: str | None = None
    customer_id: str | None = None
    partner: str | None = None

    def __post_init__(self) -> None:
        subscription, customer = self.subscription_id, self.customer_id
        if (subscription is not None and customer is not None) or not (
            subscription or customer or self.partner
        ):
            raise InputRefused(["Name one: a SUBSCRIPTION, --customer TENANT, or --partner PARTNER."])
        for word, value in (("subscription", subscription), ("customer", customer)):
            if value is not None:
                refuse_no_id(word, value)
        if len(given_reason(self.reason)) < SHORTEST_REASON:
            raise InputRefused([f"reason: write at least {SHORTEST_REASON} characters; it stays on record."])


@dataclass(frozen=True)
class UndoToStart:
    """Whose it is, what is bought of it, and the conf and note of the run that takes it back."""

    partner: str
    members: Sequence[UndoMember]
    conf: Mapping[str, Any]
    note: str


class BoughtOnRecord(Protocol):
    """The part of the ledger that knows what is bought."""

    async def buyers_of(
        self, campaign: str, *, subscription_id: str | None = None, customer_id: str | None = None
    ) -> Sequence[str]:
        """The partners for which something of this bundle or customer is bought, or may be."""
        ...

    async def bought(
        self,
        campaign: str,
        partner: str,
        *,
        customer_id: str | None = None,
        subscription_id: str | None = None,
    ) -> Sequence[UndoMember]: ...


async def ask_for_undo(campaign: str, wish: WantedUndo, *, by: Author, ledger: BoughtOnRecord) -> UndoToStart:
    """What would be undone. Raises `InputRefused` when nothing of it is bought, or by two partners."""
    reason = given_reason(wish.reason)
    partner, members = await _meant(campaign, wish, ledger)
    subscription, customer = wish.subscription_id, wish.customer_id
    return UndoToStart(
        partner=partner,
        members=members,
        conf={
            "campaign": campaign,
            "partner": partner,
            "subscription": lower_guid(subscription) if subscription else None,
            "customer": lower_guid(customer) if customer else None,
            "everything": subscription is None and customer is None,
            "reason": reason,
            "asked_by": by.name,
        },
        note=f"Undo for {partner}, asked by {by}: {reason}",
    )


async def _meant(campaign: str, wish: WantedUndo, ledger: BoughtOnRecord) -> tuple[str, Sequence[UndoMember]]:
    """Whose it is, and what is bought of it."""
    of = {"subscription_id": wish.subscription_id, "customer_id": wish.customer_id}
    names = [wish.partner] if wish.partner else await ledger.buyers_of(campaign, **of)
    found = {name: members for name in names if (members := await ledger.bought(campaign, name, **of))}
    if not found:
        about = wish.subscription_id or wish.customer_id or wish.partner
        raise InputRefused(
            [f"Of {about} nothing is bought, or it is undone already: nce explain tells its story."]
        )
    if len(found) > 1:
        raise InputRefused([f"It is {' and '.join(sorted(found))}'s; name one with --partner."])
    [(partner, members)] = found.items()
    return partner, members
