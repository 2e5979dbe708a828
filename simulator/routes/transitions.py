"""Transitions of new-commerce subscriptions: what one may become, becoming it, and the history of that."""

from __future__ import annotations

import uuid
from typing import Any

from simulator.behaviour import transitions
from simulator.behaviour.transitions import TransitionRequest
from simulator.errors import Refusal
from simulator.exchange import Answer, Call, Operations
from simulator.records import SubscriptionRecord, TransitionRecord
from simulator.wire import collection, present, stamp7
from simulator.world import World, world_item

operations = Operations()

PAGE = "transition-a-new-commerce-subscription (7/14/2023)"
SUBSCRIPTION = "/v1/customers/{customer_id}/subscriptions/{subscription_id}"
CONFLICT = {"code": 3, "description": "The customer may not have so many seats of the product."}
TERM_TOO_SHORT = {
    "code": 3,
    "description": "The subscription's term is shorter than the term of the source subscription.",
}


def _eligibility(world: World, row: SubscriptionRecord, sku: str, operation: str) -> dict[str, Any]:
    found, product = world.skus[sku], world.products[sku.split(":")[0]]
    title, left = found.title or product.title, transitions.seats_left(world, row, sku)
    errors = [CONFLICT] if left is not None and left < row.seats else []
    takers = [_taker(row, other) for other in transitions.takers_of(world, row, sku)]
    return present(
        operationId=operation,
        catalogItemId=world_item(world, sku),
        title=title,
        description=title,
        quantity=row.seats,
        subscriptionEligibilities=takers or None,
        eligibilities=[
            {"isEligible": not errors, "transitionType": kind, "errors": errors}
            for kind in ("transition_only", "transition_with_license_transfer")
        ],
        attributes={"objectType": "TransitionEligibility"},
    )


def _taker(row: SubscriptionRecord, other: SubscriptionRecord) -> dict[str, Any]:
    errors = [TERM_TOO_SHORT] if transitions.shorter(other.term, row) else []
    return {
        "isEligible": not errors,
        "subscriptionId": other.id,
        "subscriptionFriendlyName": other.friendly_name,
        "subscriptionTermDuration": other.term,
        "subscriptionBillingCycle": other.billing,
        "errors": errors,
    }


def rendered(transition: TransitionRecord) -> dict[str, Any]:
    """A transition on the wire."""
    return present(
        operationId=transition.id,
        fromCatalogItemId=transition.from_item,
        fromSubscriptionId=transition.source,
        toCatalogItemId=transition.item,
        toSubscriptionId=transition.target,
        quantity=transition.quantity,
        termDuration=transition.term,
        billingCycle=transition.billing,
        transitionType=transition.type,
        events=[
            {
                "name": event.name,
                "status": event.status,
                "timestamp": stamp7(event.at),
                "attributes": {"objectType": "TransitionEvent"},
            }
            for event in transition.events
        ],
        attributes={"objectType": "Transition"},
    )


@operations.add(
    "GET",
    f"{SUBSCRIPTION}/transitionEligibilities",
    auth="either",
    page=PAGE,
    limit="resources",
    query=("eligibilityType",),
)
def get_transition_eligibilities(call: Call) -> Answer:
    """What a subscription may become, now (`immediate`) or with its next term (`scheduled`)."""
    row = call.subscription()
    if (call.query("eligibilityType") or "immediate").lower() not in ("immediate", "scheduled"):
        raise Refusal(800002, "eligibilityType must be immediate or scheduled.")
    transitions.check_kind(row)
    operation = str(uuid.uuid4())
    targets = transitions.targets_of(call.world, row)
    return Answer(collection([_eligibility(call.world, row, sku, operation) for sku in targets]))


@operations.add(
    "POST",
    f"{SUBSCRIPTION}/transitions",
    auth="either",
    page=PAGE,
    limit="resources",
    body=TransitionRequest,
)
def create_transition(call: Call) -> Answer:
    """Turns seats of a subscription into another product."""
    row = call.subscription()
    return Answer(rendered(transitions.begin(call.world, row, call.model(TransitionRequest))))


@operations.add(
    "GET",
    f"{SUBSCRIPTION}/transitions",
    auth="either",
    page="get-transitions (03/13/2023)",
    limit="resources",
    query=("operation-id",),
)
def get_transitions(call: Call) -> Answer:
    """The history of a subscription, in a list that is not called `items`."""
    row, wanted = call.subscription(), call.query("operation-id")
    found = [
        rendered(transition)
        for transition in call.world.transitions
        if transition.source == row.id and wanted in (None, transition.id)
    ]
    return Answer({"transition": found, "attributes": {"objectType": "Collection"}})
