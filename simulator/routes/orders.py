"""Orders: create, list, read, provisioning status."""

from __future__ import annotations

import base64
import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from simulator.behaviour import purchases
from simulator.behaviour.purchases import CURRENCY_SYMBOLS, PurchaseLine
from simulator.errors import Refusal
from simulator.exchange import Answer, Call, Operations
from simulator.records import OrderLine, OrderRecord
from simulator.wire import collection, link, present, stamp
from simulator.world import World

operations = Operations()

# cart item error: the code that an order answers
ORDER_REFUSALS = {10001: 400019, 10002: 2002, 10006: 2085, 10013: 900222, 10015: 2002, 500600: 800004}


def rendered(world: World, order: OrderRecord) -> dict[str, Any]:
    """An order on the wire; while it is pending no line names its subscription."""
    uri = f"/customers/{order.customer}/orders/{order.id}"
    total = round(sum(line.unit_price * line.seats for line in order.lines), 2)
    currency = world.scenario.provider.currency
    attributes: dict[str, Any] = {"objectType": "Order"}
    if order.legacy:
        version = json.dumps({"id": order.id, "version": 1}, separators=(",", ":"))
        attributes = {"etag": base64.b64encode(version.encode()).decode(), **attributes}
    return {
        "id": order.id,
        "alternateId": order.id,
        "referenceCustomerId": order.customer,
        "billingCycle": order.billing,
        "currencyCode": currency,
        "currencySymbol": CURRENCY_SYMBOLS.get(currency, currency),
        "lineItems": [_line(world, order, line) for line in order.lines],
        "creationDate": stamp(order.created_at),
        "status": order.status,
        "transactionType": "UserPurchase",
        "links": {
            "self": link(uri),
            "provisioningStatus": link(f"{uri}/provisioningstatus"),
            "patchOperation": link(uri, "PATCH"),
        },
        "totalPrice": total,
        "client": {},
        "attributes": attributes,
    }


def _line(world: World, order: OrderRecord, line: OrderLine) -> dict[str, Any]:
    country = world.customers[order.customer].profile.country
    links: dict[str, Any] = {}
    if ":" in line.offer_id:
        product, sku, availability = line.offer_id.split(":")
        base = f"/products/{product}"
        links = {
            "product": link(f"{base}?country={country}"),
            "sku": link(f"{base}/skus/{sku}?country={country}"),
            "availability": link(f"{base}/skus/{sku}/availabilities/{availability}?country={country}"),
        }
    price = line.unit_price
    return present(
        lineItemNumber=line.number,
        offerId=line.offer_id,
        subscriptionId=line.subscription if order.status == "completed" else None,
        termDuration=line.term,
        transactionType="New",
        friendlyName=line.name,
        quantity=line.seats,
        partnerIdOnRecord=line.partner_id,
        promotionId=line.promotion,
        pricing={
            "listPrice": price,
            "discountedPrice": price,
            "proratedPrice": price,
            "price": price,
            "extendedPrice": round(price * line.seats, 2),
        },
        links=links,
    )


class OrderRequestLine(BaseModel):
    """One line of an order as a caller sends it."""

    model_config = ConfigDict(extra="ignore")
    number: int = Field(alias="lineItemNumber")
    offer_id: str = Field(alias="offerId")
    quantity: int
    partner_id: str | None = Field(default=None, alias="partnerIdOnRecord")
    term: str | None = Field(default=None, alias="termDuration")
    friendly_name: str | None = Field(default=None, alias="friendlyName")
    promotion: str | None = Field(default=None, alias="promotionId")


class OrderRequest(BaseModel):
    """An order as a caller sends it."""

    model_config = ConfigDict(extra="ignore")
    reference: str | None = Field(default=None, alias="referenceCustomerId")
    billing: str | None = Field(default=None, alias="billingCycle")
    lines: list[OrderRequestLine] = Field(alias="lineItems", min_length=1)
    attested: bool | None = Field(default=None, alias="partnerOnRecordAttestationAccepted")


@operations.add(
    "POST",
    "/v1/customers/{customer_id}/orders",
    auth="either",
    page="create-an-order (12/09/2022)",
    limit="resources",
    body=OrderRequest,
    answers=201,
)
def create_order(call: Call) -> Answer:
    """Buys without a cart. All lines pass or the order is refused."""
    customer, request, world = call.customer(), call.model(OrderRequest), call.world
    if request.reference and request.reference.lower() != customer.id:
        raise Refusal(800002, "referenceCustomerId is not the customer in the path.")
    if world.scenario.rules.attestation_enforced and not request.attested:
        raise Refusal(900206)
    if sorted(line.number for line in request.lines) != list(range(len(request.lines))):
        raise Refusal(800002, "lineItemNumber must count from 0.")
    billing = (request.billing or "monthly").lower()
    billing = "monthly" if billing == "unknown" else billing
    lines = [
        PurchaseLine(
            item=line.offer_id,
            seats=line.quantity,
            billing=billing,
            term=line.term or purchases.usual_term(world, line.offer_id, billing),
            friendly_name=line.friendly_name,
            promotion=line.promotion,
            participants=[purchases.Participant(key=purchases.RESELLER, value=line.partner_id)]
            if line.partner_id
            else None,
        )
        for line in request.lines
    ]
    purchases.check_buyer(world, customer)
    for line, error in zip(lines, purchases.line_errors(world, customer, lines), strict=True):
        purchases.check_reseller(world, line.reseller)
        if error is not None:
            raise Refusal(ORDER_REFUSALS.get(error.code, 800002), line.item)
    order = purchases.place_order(world, customer, lines, billing, stuck=call.stuck)
    world.record_action(
        "create_order",
        "order",
        customer.id,
        f'{{"Id":"{order.id}","ReferenceCustomerId":"{customer.id}"}}',
        [("OrderId", order.id)],
        application=call.caller.client_id if call.caller else None,
    )
    return Answer(rendered(world, order), 201)


def _find(call: Call) -> OrderRecord:
    wanted = call.ids["order_id"]
    for order in purchases.orders_of(call.world, call.customer().id):
        if order.id.lower() == wanted.lower():
            return order
    raise Refusal(20000, wanted)


@operations.add(
    "GET",
    "/v1/customers/{customer_id}/orders",
    auth="either",
    page="get-all-of-a-customer-s-orders (06/28/2022)",
    limit="resources",
    query=("billingType", "include_price"),
)
def get_orders(call: Call) -> Answer:
    """A customer's orders; a new one appears here only after a while."""
    customer = call.customer()
    listed_after = call.world.scenario.rules.orders_listed_after
    found = [
        row
        for row in purchases.orders_of(call.world, customer.id)
        if call.now >= row.created_at + listed_after
    ]
    found.sort(key=lambda row: row.created_at, reverse=True)
    return Answer(
        collection([rendered(call.world, row) for row in found], f"/customers/{customer.id}/orders")
    )


@operations.add(
    "GET",
    "/v1/customers/{customer_id}/orders/{order_id}",
    auth="either",
    page="get-an-order-by-id (06/13/2022)",
    limit="resources",
    query=("include_price",),
)
def get_order(call: Call) -> Answer:
    """One order, at once."""
    return Answer(rendered(call.world, _find(call)))


@operations.add(
    "PATCH",
    "/v1/customers/{customer_id}/orders/{order_id}",
    auth="either",
    page="page not named",
    limit="resources",
)
def update_order(call: Call) -> Answer:
    """Cancelling is for software and sandbox orders: here it is always refused."""
    _find(call)
    raise Refusal(800063)


@operations.add(
    "GET",
    "/v1/customers/{customer_id}/orders/{order_id}/provisioningstatus",
    auth="user",
    page="provisioning status of an order (01/03/2023)",
    limit="resources",
)
def get_order_provisioning_status(call: Call) -> Answer:
    """How far the lines of an order are."""
    order = _find(call)
    status = "fulfilled" if order.status == "completed" else "prefulfillmentPending"
    return Answer(
        collection(
            [
                {
                    "orderLineItemId": line.number,
                    "lineItemNumber": line.number,
                    "status": status,
                    "quantityProvisioningInformation": [{"quantity": line.seats, "status": status}],
                }
                for line in order.lines
            ]
        )
    )
