"""Carts: create, read, change, check out."""

from __future__ import annotations

import uuid
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from simulator.behaviour import purchases
from simulator.behaviour.purchases import PurchaseLine
from simulator.errors import Refusal
from simulator.exchange import Answer, Call, Operations
from simulator.records import CartRecord, CustomerRecord
from simulator.routes.orders import rendered as rendered_order
from simulator.wire import link, present, stamp7
from simulator.world import World

operations = Operations()


class CartRequest(BaseModel):
    """A cart as a caller sends it; read-only fields are taken no notice of."""

    model_config = ConfigDict(extra="ignore")
    lines: list[PurchaseLine] = Field(alias="lineItems", min_length=1)
    attested: bool | None = Field(default=None, alias="partnerOnRecordAttestationAccepted")


def _rendered(world: World, customer: CustomerRecord, cart: CartRecord) -> dict[str, Any]:
    lines = [PurchaseLine.model_validate(line) for line in cart.lines]
    return {
        "id": cart.id,
        "creationTimestamp": stamp7(cart.created_at),
        "lastModifiedTimestamp": stamp7(cart.modified_at),
        "expirationTimestamp": stamp7(cart.expires_at),
        "lastModifiedUser": cart.user,
        "status": "Ordered" if cart.answer is not None else "Active",
        "lineItems": [_line(world, customer, cart, number, line, lines) for number, line in enumerate(lines)],
        "links": {"self": link(f"/customers/{customer.id}/carts/{cart.id}")},
        "attributes": {"objectType": "Cart"},
    }


def _line(
    world: World,
    customer: CustomerRecord,
    cart: CartRecord,
    number: int,
    line: PurchaseLine,
    lines: list[PurchaseLine],
) -> dict[str, Any]:
    sku = world.skus.get(line.item.rpartition(":")[0])
    currency, group = world.scenario.provider.currency, purchases.order_group(line, lines)
    addons = cart.lines[number].get("addonItems")
    body = present(
        id=number,
        catalogItemId=line.item,
        friendlyName=line.friendly_name,
        quantity=line.seats,
        currencyCode=currency,
        billingCycle=(line.billing or "none").lower(),
        termDuration=line.term,
        promotionId=line.promotion,
        customTermEndDate=cart.lines[number].get("customTermEndDate"),
        participants=cart.lines[number].get("participants"),
        provisioningContext=cart.lines[number].get("provisioningContext") or {},
        renewsTo=cart.lines[number].get("renewsTo"),
        orderGroup=group,
        addonItems=addons and [addon | {"currencyCode": currency, "orderGroup": group} for addon in addons],
    )
    if cart.answer is None:
        error = purchases.line_error(world, customer, line, lines[:number]) or purchases.missing_base(
            world, customer, line, lines
        )
        if error is not None:
            numbers = present(availableQuantity=error.available, purchasedQuantity=error.purchased)
            body["error"] = {
                "errorCode": error.code,
                "errorDescription": error.description,
                "additionalInformation": numbers,
            }
            return body
    if sku is not None:
        price = sku.unit_price
        months = 12 if (line.term, (line.billing or "").lower()) == ("P1Y", "monthly") else 1
        body["pricing"] = {
            "listPrice": price,
            "discountedPrice": price,
            "proratedPrice": price,
            "price": price,
            "extendedPrice": round(price * line.seats * months, 2),
        }
    return body


def _take_in(call: Call) -> tuple[list[dict[str, Any]], bool | None]:
    """The lines of the body, checked as far as a cart is checked when it is saved."""
    request = call.model(CartRequest)
    if call.world.scenario.rules.attestation_enforced and not request.attested:
        raise Refusal(900206)
    for line in request.lines:
        purchases.check_reseller_id(call.world, line.reseller)
    return call.json()["lineItems"], request.attested


@operations.add(
    "POST",
    "/v1/customers/{customer_id}/carts",
    auth="either",
    page="create-a-cart (12/09/2022)",
    limit="resources",
    body=CartRequest,
    answers=201,
)
def create_cart(call: Call) -> Answer:
    """Creates a cart; a line that cannot be bought gets its error and the cart exists all the same."""
    customer = call.customer()
    lines, attested = _take_in(call)
    cart = call.world.carts.add(
        CartRecord(
            id=str(uuid.uuid4()),
            customer=customer.id,
            created_at=call.now,
            modified_at=call.now,
            expires_at=call.now + purchases.cart_lifetime(call.world),
            user=call.caller.client_id if call.caller else "",
            lines=lines,
            attested=attested,
        )
    )
    return Answer(_rendered(call.world, customer, cart), 201)


def _find(call: Call) -> CartRecord:
    cart = call.world.carts.get(call.ids["cart_id"])
    if cart is None or cart.customer != call.customer().id or purchases.cart_expired(call.world, cart):
        raise Refusal(800008, call.ids["cart_id"])
    return cart


@operations.add(
    "GET",
    "/v1/customers/{customer_id}/carts/{cart_id}",
    auth="either",
    page="cart-resources (08/23/2023)",
    limit="resources",
)
def get_cart(call: Call) -> Answer:
    """One cart."""
    return Answer(_rendered(call.world, call.customer(), _find(call)))


@operations.add(
    "PUT",
    "/v1/customers/{customer_id}/carts/{cart_id}",
    auth="either",
    page="update-a-cart (12/09/2022)",
    limit="resources",
    body=CartRequest,
    answers=201,
)
def update_cart(call: Call) -> Answer:
    """Replaces the lines of a cart."""
    cart = _find(call)
    if cart.answer is not None:
        raise Refusal(800065)
    cart.lines, cart.attested = _take_in(call)
    cart.modified_at = call.now
    return Answer(_rendered(call.world, call.customer(), cart), 201)


@operations.add(
    "POST",
    "/v1/customers/{customer_id}/carts/{cart_id}/checkout",
    auth="either",
    page="checkout-a-cart (12/10/2022)",
    limit="resources",
    answers=201,
)
def checkout_cart(call: Call) -> Answer:
    """Orders what is in a cart. Repeating gives the same answer; a success may carry errors."""
    cart, customer, world = _find(call), call.customer(), call.world
    if cart.answer is not None:
        return Answer(cart.answer, 201)
    lines = [PurchaseLine.model_validate(line) for line in cart.lines]
    broken = purchases.line_errors(world, customer, lines)
    # seats may be gone since the cart was made: that shows as an order error, all else stops the checkout
    if any(error is not None and error.code not in (10001, 10015) for error in broken) or any(
        purchases.missing_base(world, customer, line, lines) for line in lines
    ):
        raise Refusal(800009)
    orders, errors = purchases.checkout(world, cart, call.stuck)
    answer: dict[str, Any] = {"orders": [rendered_order(world, order) for order in orders]}
    if errors:
        answer["orderErrors"] = errors
    for order in orders:
        world.record_action(
            "create_order",
            "order",
            customer.id,
            f'{{"Id":"{order.id}","ReferenceCustomerId":"{customer.id}"}}',
            [("OrderId", order.id), *((f"OfferId-{line.number}", line.offer_id) for line in order.lines)],
            application=call.caller.client_id if call.caller else None,
        )
    if orders:
        cart.answer = answer
    return Answer(answer, 201)
