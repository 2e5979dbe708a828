"""Transitions of new-commerce subscriptions (upgrades): who may become what, and what comes of it over time.

Sources: transition-a-new-commerce-subscription (7/14/2023), get-transitions (03/13/2023). Nothing here turns
legacy into new commerce: that is `migrations`. Which SKU may become which one is said by the scenario.
"""

from __future__ import annotations

import secrets
import uuid
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from simulator.behaviour.migrations import MONTHS
from simulator.behaviour.purchases import item_in_force, sold_as
from simulator.behaviour.subscriptions import (
    become,
    change_seats,
    change_status,
    create_nce,
    full_term_end,
)
from simulator.errors import Refusal
from simulator.records import SubscriptionRecord, TransitionEvent, TransitionRecord, TransitionType
from simulator.schema import CatalogueSku
from simulator.world import World


class TransitionRequest(BaseModel):
    """A transition as a caller asks for it."""

    model_config = ConfigDict(extra="ignore")
    from_item: str | None = Field(default=None, alias="fromCatalogItemId")
    source: str | None = Field(default=None, alias="fromSubscriptionId")
    item: str = Field(alias="toCatalogItemId")
    target: str | None = Field(default=None, alias="toSubscriptionId")
    quantity: int = Field(ge=1)
    term: str = Field(alias="termDuration")
    billing: str = Field(alias="billingCycle")
    type: TransitionType = Field(alias="transitionType")


def check_kind(row: SubscriptionRecord) -> None:
    """Refuses what is no new-commerce subscription."""
    if row.line != "nce":
        raise Refusal(900263)


def check_source(world: World, row: SubscriptionRecord) -> None:
    """Refuses a subscription that cannot become anything else now."""
    check_kind(row)
    if row.status != "active":
        raise Refusal(800040, row.status, "another product")
    if row.pending_update is not None or world.in_transition(row):
        raise Refusal(800082)


def targets_of(world: World, row: SubscriptionRecord) -> list[str]:
    """The SKUs that a subscription may become now, as far as the catalogue has them."""
    if row.status != "active" or world.in_transition(row):
        return []
    sku = world.skus.get(row.offer_id.rpartition(":")[0])
    return [target for target in sku.upgrades_to if target in world.skus] if sku else []


def takers_of(world: World, row: SubscriptionRecord, sku: str) -> list[SubscriptionRecord]:
    """The customer's subscriptions of a SKU that could take the seats."""
    return [
        other
        for other in world.subscriptions_of(row.customer)
        if other.id != row.id and other.offer_id.rpartition(":")[0] == sku and other.status == "active"
    ]


def shorter(term: str, row: SubscriptionRecord) -> bool:
    """Whether a term is shorter than that of the subscription, which is not allowed."""
    return MONTHS.get(term, 0) < MONTHS[row.term]


def seats_left(world: World, row: SubscriptionRecord, sku: str) -> int | None:
    """How many seats of a SKU the customer may still have; None without a cap."""
    product, cap = sku.split(":")[0], world.seat_cap(f"{sku}:")
    if cap is None or row.offer_id.startswith(f"{product}:"):
        return None
    return cap - world.owned_seats(row.customer, product)


def begin(world: World, row: SubscriptionRecord, wanted: TransitionRequest) -> TransitionRecord:
    """Starts a transition, or raises `Refusal`."""
    check_source(world, row)
    if (wanted.source or row.id).lower() != row.id.lower():
        raise Refusal(800002, "fromSubscriptionId is not the subscription in the path.")
    own_sku, sku = row.offer_id.rpartition(":")[0], wanted.item.rpartition(":")[0]
    if wanted.from_item is not None and wanted.from_item.rpartition(":")[0] != own_sku:
        raise Refusal(800002, "fromCatalogItemId is not what the subscription is.")
    _check_item(world, row, wanted, sku)
    if wanted.target is not None:
        _check_taker(world, row, wanted.target, sku)
    partly = wanted.quantity < row.seats
    takes = world.scenario.rules.transition_takes
    steps = [(world.now + takes, "Conversion")]
    if wanted.type == "transition_with_license_transfer":
        steps.append((world.now + 2 * takes, "LicenseReassignment"))
    transition = TransitionRecord(
        id=str(uuid.uuid4()),
        customer=row.customer,
        source=row.id,
        from_item=row.offer_id,
        item=wanted.item,
        target=wanted.target or (str(uuid.uuid4()) if partly else None),
        quantity=wanted.quantity,
        term=wanted.term.upper(),
        billing=wanted.billing,
        type=wanted.type,
        steps=steps,
    )
    _tell(world, transition, "Conversion", "Started")
    return world.transitions.add(transition)


def _check_item(world: World, row: SubscriptionRecord, wanted: TransitionRequest, name: str) -> None:
    if wanted.item.split(":")[0] not in world.products:
        raise Refusal(400013, wanted.item.split(":")[0])
    sku: CatalogueSku | None = world.skus.get(name)
    if sku is None:
        raise Refusal(400018, name)
    if not item_in_force(world, wanted.item):
        raise Refusal(400019, wanted.item)
    if name not in targets_of(world, row):
        raise Refusal(2085, wanted.item)
    left = seats_left(world, row, name)
    too_many = wanted.quantity > row.seats or (left is not None and wanted.quantity > left)
    if too_many or not sku.min <= wanted.quantity <= sku.max:
        raise Refusal(2002)
    if sold_as(sku, wanted.term, wanted.billing) is None or shorter(wanted.term.upper(), row):
        raise Refusal(900222)


def _check_taker(world: World, row: SubscriptionRecord, target: str, sku: str) -> None:
    found = world.subscriptions.get(target)
    if found is None or found.customer != row.customer:
        raise Refusal(20003, target)
    if found.id == row.id or found.offer_id.rpartition(":")[0] != sku:
        raise Refusal(800002, "toSubscriptionId is no subscription of toCatalogItemId.")
    check_source(world, found)
    if shorter(found.term, row):
        raise Refusal(900222)


def on_moment(world: World, transition: TransitionRecord) -> None:
    """The next step of a transition comes."""
    (_, step), *rest = transition.steps
    transition.steps = rest
    if step == "Conversion" and not _convert(world, transition):
        transition.steps = []
        _tell(world, transition, step, "Failed")
        return
    _tell(world, transition, step, "Completed")
    if rest:
        _tell(world, transition, rest[0][1], "Started")


def _convert(world: World, transition: TransitionRecord) -> bool:
    """Moves the seats; false = one of the two subscriptions ended in the meantime."""
    row = world.subscriptions[transition.source]
    taker = world.subscriptions.get(transition.target or "")
    if row.status != "active" or (taker is not None and taker.status != "active"):
        return False
    ends_at = row.ends_at if transition.term == row.term else full_term_end(world.now, transition.term)
    if transition.target is None:
        become(world, row, transition.item, transition.term, transition.billing)
        row.ends_at = ends_at
        row.version += 1
        return True
    if taker is None:
        taker = create_nce(
            world,
            key=transition.target,
            customer=row.customer,
            partner=row.partner,
            item=transition.item,
            seats=transition.quantity,
            term=transition.term,
            billing=transition.billing,
            ends_at=ends_at,
            partner_id=row.partner_id,
            order_id=secrets.token_hex(6),
            created_by=row.created_by,
            active_at=world.now,
            auto_renew=row.auto_renew,
        )
        taker.cancellable_until = row.cancellable_until
    else:
        change_seats(world, taker, taker.seats + transition.quantity)
        taker.version += 1
    if transition.quantity < row.seats:
        row.seats -= transition.quantity
        row.version += 1
    else:
        change_status(world, row, "deleted", "caller")
    return True


def _tell(
    world: World,
    transition: TransitionRecord,
    name: str,
    status: Literal["Started", "Completed", "Failed"],
) -> None:
    event = TransitionEvent(name=name, status=status, at=world.now)
    transition.events = [*transition.events, event]
