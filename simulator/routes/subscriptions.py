"""Subscriptions: lists, one, add-ons, provisioning status, updates, custom term end dates."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from simulator.behaviour.migrations import MONTHS, month_ends
from simulator.behaviour.subscriptions import SubscriptionUpdate, etag, update
from simulator.errors import Refusal
from simulator.exchange import Answer, Call, Operations
from simulator.records import SubscriptionRecord
from simulator.schema import add_term
from simulator.wire import collection, day, link, present, stamp
from simulator.world import CANCELLATION_WINDOW, World

operations = Operations()

PRODUCT_TYPES = {"nce": "OnlineServicesNCE", "software": "Software"}


def rendered(world: World, row: SubscriptionRecord) -> dict[str, Any]:
    """A subscription on the wire. Legacy ones have an ETag and no product type; ids keep their case."""
    nce, country = row.line == "nce", world.customers[row.customer].profile.country
    usage = row.line == "azure"
    self_uri = f"/customers/{row.customer}/subscriptions/{row.id}"
    product_type = PRODUCT_TYPES.get(row.line)
    links: dict[str, Any] = {"self": link(self_uri)}
    if ":" in row.offer_id:
        product, sku, availability = row.offer_id.split(":")
        base = f"/products/{product}"
        links |= {
            "product": link(f"{base}?country={country}"),
            "sku": link(f"{base}/skus/{sku}?country={country}"),
            "availability": link(f"{base}/skus/{sku}/availabilities/{availability}?country={country}"),
        }
    else:
        links["offer"] = link(f"/offers/{row.offer_id}?country={country}")
    if row.parent:
        links["parentSubscription"] = link(f"/customers/{row.customer}/subscriptions/{row.parent}")
    ends_at = row.shown_ends_at or row.ends_at
    body = present(
        id=row.id,
        offerId=row.offer_id,
        offerName=row.name,
        friendlyName=row.friendly_name,
        productType={"id": product_type, "displayName": product_type} if product_type else None,
        quantity=row.seats,
        unitType="Usage-based" if usage else "Licenses",
        parentSubscriptionId=row.parent,
        hasPurchasableAddons=False if nce else None,
        creationDate=stamp(row.created_at),
        effectiveStartDate=stamp(row.starts_at),
        commitmentEndDate=day(ends_at) if nce else stamp(ends_at),
        commitmentEndDateTime=stamp(ends_at) if nce else None,
        cancellationAllowedUntilDate=_cancellable_until(world, row),
        status=row.status,
        autoRenewEnabled=row.auto_renew,
        isTrial=None if usage else row.trial,
        billingType="usage" if usage else "license",
        billingCycle=None if usage else row.billing,
        termDuration=row.term if row.term_shown else None,
        isMicrosoftProduct=True if nce else None,
        partnerId=row.partner_id,
        promotionId=row.promotion,
        migratedFromSubscriptionId=row.migrated_from,
        scheduledNextTermInstructions=row.next_term,
        nextChargeInstructions=row.next_charge,
        suspensionReasons=["CustomerCancellation"] if row.status == "suspended" else None,
        contractType="subscription",
        links=links,
        orderId=row.order_id,
    )
    if nce:
        body |= _nce_part(world, row)
    if usage:
        body["entitlementId"] = row.id
    attributes = {"objectType": "Subscription"} if nce else {"etag": etag(row), "objectType": "Subscription"}
    return body | {"attributes": attributes}


def _cancellable_until(world: World, row: SubscriptionRecord) -> str | None:
    until = row.cancellable_until
    return stamp(until) if until is not None and world.now <= until else None


def _nce_part(world: World, row: SubscriptionRecord) -> dict[str, Any]:
    full_until = row.starts_at + timedelta(days=1)
    details: list[dict[str, Any]] = [
        {"quantity": seats, "allowedUntilDateTime": stamp(until)}
        for seats, until in row.seats_back
        if world.now <= until
    ]
    if row.cancellable_until is not None and world.now <= row.cancellable_until:
        known = sum(detail["quantity"] for detail in details)
        details.insert(
            0,
            {
                "quantity": row.seats - known,
                "allowedUntilDateTime": stamp(row.starts_at + CANCELLATION_WINDOW),
            },
        )
    body: dict[str, Any] = {
        "renewalTermDuration": row.term if row.auto_renew else "",
        "refundOptions": [{"type": "Full", "expiresAt": stamp(full_until)}],
        "attentionNeeded": False,
        "actionTaken": False,
        "publisherName": "Microsoft Corporation",
    }
    if details:
        total = sum(detail["quantity"] for detail in details)
        body["refundableQuantity"] = {"totalQuantity": total, "details": details}
    return body


@operations.add(
    "GET",
    "/v1/customers/{customer_id}/subscriptions",
    auth="either",
    page="get-all-of-a-customer-s-subscriptions (06/13/2022)",
    limit="resources",
    query=("mpn_id", "order_id"),
)
def get_subscriptions(call: Call) -> Answer:
    """Base subscriptions and add-ons in one flat list; by partner of record or by order when asked."""
    rows = call.world.subscriptions_of(call.customer().id)
    if mpn_id := call.query("mpn_id"):
        rows = [row for row in rows if row.partner_id == mpn_id]
    if order_id := call.query("order_id"):
        rows = [row for row in rows if row.order_id.lower() == order_id.lower()]
    return Answer(collection([rendered(call.world, row) for row in rows]))


@operations.add(
    "GET",
    "/v1/customers/{customer_id}/subscriptions/customTermEndDates",
    auth="either",
    page="custom-term-end-dates (07/18/2023)",
    query=("term_duration",),
)
def get_custom_term_end_dates(call: Call) -> Answer:
    """The ends of calendar months and of the customer's own subscriptions inside one term."""
    customer, term = call.customer(), (call.query("term_duration") or "").upper()
    if term not in MONTHS:
        raise Refusal(800002, "term_duration must be P1M, P1Y or P3Y.")
    items: list[dict[str, Any]] = [
        {
            "allowedCustomTermEndDateType": "calendarMonthAligned",
            "allowedCustomTermEndDate": end.strftime("%Y-%m-%dT%H:%M:%S"),
        }
        for end in month_ends(call.now, term)
    ]
    aligned: dict[str, list[str]] = {}
    for row in call.world.subscriptions_of(customer.id):
        running = row.line == "nce" and row.status == "active" and not row.trial
        if running and call.now < row.ends_at <= add_term(call.now, term):
            aligned.setdefault(row.ends_at.strftime("%Y-%m-%dT00:00:00"), []).append(row.id)
    items += [
        {
            "allowedCustomTermEndDateType": "subscriptionAligned",
            "cotermSubscriptionIds": ids,
            "allowedCustomTermEndDate": end,
        }
        for end, ids in sorted(aligned.items())
    ]
    uri = f"/customers/{customer.id}/subscriptions/customTermEndDates?term_duration={term}"
    return Answer(collection(items, uri))


@operations.add(
    "GET",
    "/v1/customers/{customer_id}/subscriptions/{subscription_id}",
    auth="either",
    page="get-a-subscription-by-id (05/09/2023)",
    limit="resources",
)
def get_subscription(call: Call) -> Answer:
    """One subscription."""
    return Answer(rendered(call.world, call.subscription()))


@operations.add(
    "GET",
    "/v1/customers/{customer_id}/subscriptions/{subscription_id}/addons",
    auth="either",
    page="page not named",
    limit="resources",
)
def get_addons(call: Call) -> Answer:
    """The add-ons of a subscription."""
    rows = call.world.addons_of(call.subscription())
    return Answer(collection([rendered(call.world, row) for row in rows]))


@operations.add(
    "GET",
    "/v1/customers/{customer_id}/subscriptions/{subscription_id}/provisioningstatus",
    auth="user",
    page="provisioning status of a subscription (11/29/2022)",
    limit="resources",
)
def get_subscription_provisioning_status(call: Call) -> Answer:
    """Whether the service behind a subscription is there."""
    row = call.subscription()
    sku = row.offer_id.split(":")[1] if ":" in row.offer_id else row.offer_id
    return Answer(
        {
            "skuId": sku,
            "status": "pending" if row.status == "pending" else "success",
            "quantity": row.seats,
            "endDate": day(row.ends_at),
            "attributes": {"objectType": "SubscriptionProvisioningStatus"},
        }
    )


@operations.add(
    "PATCH",
    "/v1/customers/{customer_id}/subscriptions/{subscription_id}",
    auth="either",
    page="update-a-subscription-by-id (06/13/2022)",
    limit="resources",
    body=SubscriptionUpdate,
)
def update_subscription(call: Call) -> Answer:
    """Status, seats, auto-renew, name, partner of record; the body is the whole resource."""
    row, wanted = call.subscription(), call.model(SubscriptionUpdate)
    body = call.json()
    if not isinstance(body, dict):
        raise Refusal(800002, "The body must be a subscription.")
    if body.get("id") and str(body["id"]).lower() != row.id.lower():
        raise Refusal(800002, "The id in the body is not the id in the path.")
    done = update(call.world, row, wanted, call.headers.get("If-Match"))
    call.world.record_action(
        "update_customer_subscription",
        "subscription",
        row.customer,
        f'{{"Id":"{row.id}","Status":"{wanted.status or row.status}"}}',
        [("SubscriptionId", row.id)],
        application=call.caller.client_id if call.caller else None,
    )
    answer = rendered(call.world, row)
    if done:
        return Answer(answer)
    answer |= present(status=wanted.status, quantity=wanted.quantity, friendlyName=wanted.friendly_name)
    return Answer(answer, 202, {"Location": f"/customers/{row.customer}/subscriptions/{row.id}"})
