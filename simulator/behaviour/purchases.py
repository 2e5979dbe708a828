"""Buying: what a cart says to its lines, what a checkout or an order makes of them.

Sources: cart-resources (08/23/2023), create-a-cart (12/09/2022), checkout-a-cart (12/10/2022),
create-an-order (12/09/2022), create-an-order-for-a-customer-of-an-indirect-reseller (08/23/2023).
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from simulator.behaviour.subscriptions import create_nce, full_term_end, nce_end
from simulator.errors import Refusal
from simulator.records import CartRecord, CustomerRecord, OrderLine, OrderRecord, Origin, SubscriptionRecord
from simulator.schema import CatalogueSku, TermOption, add_term
from simulator.wire import OptionalWireMoment
from simulator.world import World, world_item

RESELLER = "transaction_reseller"
CURRENCY_SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£"}

# cart item error: description (cart-resources; 10001, 10002, 10015, 500600 in full)
LINE_ERRORS: dict[int, str] = {
    10001: "The catalog item id is invalid.",
    10002: "The quantity is out of range.",
    10006: "The line item cannot be processed.",
    10010: "The input is invalid.",
    10013: "The billing plan is not supported.",
    10014: "The promotion is not valid.",
    10015: "The maximum number of seats is exceeded.",
    10016: "The custom term end date is not valid.",
    400041: "There is no compatible base product for the add-on.",
    500600: "The offer is no longer eligible for purchase.",
}
QUALIFIES = {
    "education": {"Education"},
    "nonprofit": {"Nonprofit"},
    "government": {"GovernmentCommunityCloud", "StateOwnedEntity"},
}


class Participant(BaseModel):
    """Who takes part in a line."""

    model_config = ConfigDict(extra="ignore")
    key: str
    value: str


class PurchaseLine(BaseModel):
    """One line that somebody wants to buy."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)
    id: int | str | None = None
    item: str = Field(alias="catalogItemId")
    seats: int = Field(alias="quantity")
    billing: str | None = Field(default=None, alias="billingCycle")
    term: str | None = Field(default=None, alias="termDuration")
    friendly_name: str | None = Field(default=None, alias="friendlyName")
    promotion: str | None = Field(default=None, alias="promotionId")
    custom_ends_at: OptionalWireMoment = Field(default=None, alias="customTermEndDate")
    participants: list[Participant] | None = None
    addons: list[PurchaseLine] | None = Field(default=None, alias="addonItems")

    @property
    def reseller(self) -> str | None:
        """The MPN id of the reseller of record."""
        return next(
            (part.value for part in self.participants or [] if part.key.lower() == RESELLER and part.value),
            None,
        )


class LineError(BaseModel):
    """What is wrong with a line."""

    code: int
    description: str
    available: int | None = None
    purchased: int | None = None


def item_in_force(world: World, item: str) -> bool:
    """Whether this catalogue item may be bought now: its availability is of this window or the one before."""
    sku, _, _ = item.rpartition(":")
    lifetime = world.scenario.rules.availability_lifetime
    return sku in world.skus and item in (
        world_item(world, sku),
        world_item(world, sku, world.now - lifetime),
    )


def sold_as(sku: CatalogueSku, term: str | None, billing: str | None) -> TermOption | None:
    """How a SKU is sold for a billing cycle and a term; without a term, the first one it has."""
    return next(
        (
            option
            for option in sku.terms
            if option.billing == (billing or "").lower() and option.term == (term or option.term).upper()
        ),
        None,
    )


def usual_term(world: World, item: str, billing: str | None) -> str | None:
    """The term of an order line that names none; None for what the catalogue does not sell so."""
    sku = world.skus.get(item.rpartition(":")[0])
    option = sold_as(sku, None, billing) if sku is not None else None
    return option.term if option is not None else None


def qualified(customer: CustomerRecord, segment: str) -> bool:
    """Whether the customer may buy products of a segment."""
    return segment == "commercial" or any(
        entry.qualification in QUALIFIES[segment] and entry.vetting_status in ("Approved", None)
        for entry in customer.qualifications
    )


def line_errors(world: World, customer: CustomerRecord, lines: list[PurchaseLine]) -> list[LineError | None]:
    """What Partner Center finds wrong with each line of one purchase, None where nothing is."""
    return [line_error(world, customer, line, lines[:number]) for number, line in enumerate(lines)]


def line_error(
    world: World, customer: CustomerRecord, line: PurchaseLine, before: list[PurchaseLine]
) -> LineError | None:
    """What Partner Center finds wrong with a line, if anything; the lines `before` it want seats as well."""

    def error(code: int, **numbers: int) -> LineError:
        return LineError(code=code, description=LINE_ERRORS[code], **numbers)

    legacy = world.offers.get(line.item.upper())
    if legacy is not None:
        if legacy.segment == "commercial" and legacy.nce is not None:
            target = world_item(world, legacy.nce)
            return LineError(code=500600, description=f"{LINE_ERRORS[500600]} Buy {target} instead.")
        return None if qualified(customer, legacy.segment) else error(10006)
    if not item_in_force(world, line.item):
        return error(10001)
    product_id, sku_id, _ = line.item.split(":")
    product, sku = world.products[product_id], world.skus[f"{product_id}:{sku_id}"]
    if not qualified(customer, product.segment):
        return error(10006)
    if not sku.min <= line.seats <= sku.max:
        return error(10002)
    option = sold_as(sku, line.term, line.billing)
    if option is None or not (line.term or option.billing == "one_time"):
        return error(10013)
    cap, owned = world.seat_cap(line.item), world.owned_seats(customer.id, product_id)
    wanted = sum(other.seats for other in before if other.item.startswith(f"{product_id}:"))
    if cap is not None and owned + wanted + line.seats > cap:
        return error(10015, available=max(0, cap - owned - wanted), purchased=owned)
    if line.promotion is not None and not any(
        promotion.id == line.promotion
        and promotion.sku == f"{product_id}:{sku_id}"
        and promotion.starts_at <= world.now <= promotion.ends_at
        for promotion in world.scenario.promotions
    ):
        return error(10014)
    if line.custom_ends_at is not None and not (
        world.now < line.custom_ends_at <= add_term(world.now, option.term)
    ):
        return error(10016)
    return None


def missing_base(
    world: World, customer: CustomerRecord, line: PurchaseLine, beside: list[PurchaseLine]
) -> LineError | None:
    """An add-on needs a compatible base: one the customer has, or one in the same cart."""
    sku = world.skus.get(line.item.rpartition(":")[0])
    if sku is None or not sku.addon_of:
        return None
    owned = {
        row.offer_id.rpartition(":")[0]
        for row in world.subscriptions_of(customer.id)
        if row.line == "nce" and row.status == "active"
    }
    if owned & set(sku.addon_of) or {other.item.rpartition(":")[0] for other in beside} & set(sku.addon_of):
        return None
    return LineError(code=400041, description=LINE_ERRORS[400041])


def check_reseller_id(world: World, mpn_id: str | None) -> None:
    """Refuses a partner of record who may not be one. None passes: leaving it out does not fail."""
    if mpn_id is None:
        return
    if world.partner_with_mpn(mpn_id) is None:
        raise Refusal(800015, mpn_id)
    if not world.valid_partner_of_record(mpn_id):
        raise Refusal(800016, mpn_id)


def check_reseller(world: World, mpn_id: str | None) -> None:
    """Refuses a purchase for a reseller that may not be partner of record or has no agreement."""
    check_reseller_id(world, mpn_id)
    if mpn_id is not None and not world.mpa_in_force(mpn_id):
        raise Refusal(900123)


def check_buyer(world: World, customer: CustomerRecord) -> None:
    """Refuses when an agreement is missing that every purchase needs."""
    if not world.scenario.provider.mpa_signed:
        raise Refusal(900124)
    if not customer.has_mca(world.now):
        raise Refusal(13605)


def order_group(line: PurchaseLine, lines: list[PurchaseLine]) -> str:
    """Lines with the same billing cycle become one order."""
    cycles = list(dict.fromkeys((other.billing or "monthly").lower() for other in lines))
    return str(cycles.index((line.billing or "monthly").lower()))


def place_order(
    world: World,
    customer: CustomerRecord,
    lines: list[PurchaseLine],
    billing: str,
    *,
    created_by: Origin = "order",
    stuck: str | None = None,
    keys: dict[int, tuple[str, str]] | None = None,
    partner: str | None = None,
) -> OrderRecord:
    """Buys lines that were found good. The order and its subscriptions are pending until the order completes.

    `keys` gives id and key of the subscription of a line, for purchases of the story.
    """
    legacy = any(line.item.upper() in world.offers for line in lines)
    completes_at = world.now + world.scenario.rules.order_takes
    order_id = str(uuid.uuid4()) if legacy else secrets.token_hex(6)
    order_lines: list[OrderLine] = []
    for number, line in enumerate(lines):
        reseller = world.partner_with_mpn(line.reseller)
        slug = partner or (reseller.id if reseller else customer.partners[0])
        key, name = (keys or {}).get(number, (str(uuid.uuid4()), None))
        make = _legacy_subscription if line.item.upper() in world.offers else _nce_subscription
        row = make(world, customer, line, order_id, slug, key, name, created_by)
        row.active_at, row.status = completes_at, "pending"
        sku = world.skus.get(line.item.rpartition(":")[0])
        order_lines.append(
            OrderLine(
                number=number,
                offer_id=line.item,
                name=row.friendly_name,
                seats=line.seats,
                term=line.term,
                subscription=row.id,
                partner_id=line.reseller,
                promotion=line.promotion,
                unit_price=sku.unit_price if sku else 0.0,
            )
        )
        if stuck:
            row.active_at = None
    return world.orders.add(
        OrderRecord(
            id=order_id,
            customer=customer.id,
            billing=billing.lower(),
            created_at=world.now,
            status="pending",
            lines=order_lines,
            legacy=legacy,
            completes_at=completes_at,
            created_by=created_by,
            stuck=stuck,
        )
    )


def orders_of(world: World, customer: str) -> Iterator[OrderRecord]:
    """Every order of a customer tenant: those placed here, and those that came before or with a migration.

    The latter are no records of their own; they are read off the subscriptions that they brought.
    """
    yield from (order for order in world.orders if order.customer == customer)
    brought: dict[str, list[SubscriptionRecord]] = {}
    for row in world.subscriptions_of(customer):
        if row.order_id not in world.orders:
            brought.setdefault(row.order_id, []).append(row)
    for order_id, rows in brought.items():
        skus = [world.skus.get(row.offer_id.rpartition(":")[0]) for row in rows]
        yield OrderRecord(
            id=order_id,
            customer=customer,
            billing=rows[0].billing,
            created_at=rows[0].created_at,
            status="pending" if any(row.status == "pending" for row in rows) else "completed",
            legacy=rows[0].line != "nce",
            created_by=rows[0].created_by,
            lines=[
                OrderLine(
                    number=number,
                    offer_id=row.offer_id,
                    name=row.friendly_name,
                    seats=row.seats,
                    term=row.term if row.term_shown else None,
                    subscription=row.id,
                    partner_id=row.partner_id or None,
                    promotion=row.promotion,
                    unit_price=sku.unit_price if sku else 0.0,
                )
                for number, (row, sku) in enumerate(zip(rows, skus, strict=True))
            ],
        )


def _nce_subscription(
    world: World,
    customer: CustomerRecord,
    line: PurchaseLine,
    order: str,
    partner: str,
    key: str,
    name: str | None,
    created_by: Origin,
) -> SubscriptionRecord:
    term = (line.term or "P1Y").upper()
    return create_nce(
        world,
        key=key,
        customer=customer.id,
        partner=partner,
        item=line.item,
        seats=line.seats,
        term=term,
        billing=line.billing or "monthly",
        ends_at=nce_end(line.custom_ends_at) if line.custom_ends_at else full_term_end(world.now, term),
        partner_id=line.reseller or "",
        order_id=order,
        created_by=created_by,
        active_at=world.now,
        friendly_name=line.friendly_name,
        promotion=line.promotion,
        name=name,
    )


def _legacy_subscription(
    world: World,
    customer: CustomerRecord,
    line: PurchaseLine,
    order: str,
    partner: str,
    key: str,
    name: str | None,
    created_by: Origin,
) -> SubscriptionRecord:
    offer = world.offers[line.item.upper()]
    term = (line.term or "P1Y").upper()
    return world.subscriptions.add(
        SubscriptionRecord(
            id=key,
            key=name,
            customer=customer.id,
            partner=partner,
            line=offer.kind if offer.kind in ("azure", "software") else "legacy",
            offer_id=offer.offer_id,
            name=offer.name,
            friendly_name=line.friendly_name or offer.name,
            segment=offer.segment,
            seats=line.seats,
            term=term,
            term_shown=line.term is not None,
            billing=(line.billing or "monthly").lower(),
            created_at=world.now,
            starts_at=world.now,
            ends_at=add_term(world.now, term),
            auto_renew=True,
            status="active",
            partner_id=line.reseller or "",
            trial=offer.kind == "trial",
            order_id=order,
            created_by=created_by,
        )
    )


def on_moment(world: World, order: OrderRecord) -> None:
    """An order completes."""
    order.status = "completed"


def release(world: World, order: OrderRecord) -> None:
    """A stuck order moves again and completes after the usual time."""
    order.stuck = None
    order.completes_at = world.now + world.scenario.rules.order_takes
    for line in order.lines:
        world.subscriptions[line.subscription].active_at = order.completes_at


def checkout(
    world: World, cart: CartRecord, stuck: str | None
) -> tuple[list[OrderRecord], list[dict[str, Any]]]:
    """Turns a cart into orders: one per group that passes, one error per group that does not.

    What refuses the checkout as a whole does so before anything is ordered.
    """
    customer = world.customers[cart.customer]
    lines = [PurchaseLine.model_validate(line) for line in cart.lines]
    check_buyer(world, customer)
    for line in lines:
        check_reseller(world, line.reseller)
    groups: dict[str, list[PurchaseLine]] = {}
    wrong: dict[str, LineError] = {}
    for line, error in zip(lines, line_errors(world, customer, lines), strict=True):
        if error is not None and error.code == 10001:
            raise Refusal(400019, line.item.rpartition(":")[2])
        group = order_group(line, lines)
        groups.setdefault(group, []).append(line)
        if error is not None:
            wrong.setdefault(group, error)
    orders: list[OrderRecord] = []
    errors: list[dict[str, Any]] = []
    for group, members in groups.items():
        if (error := wrong.get(group)) is not None:
            errors.append({"orderGroupId": group, "code": error.code, "description": error.description})
        else:
            orders.append(place_order(world, customer, members, members[0].billing or "monthly", stuck=stuck))
    return orders, errors


def cart_expired(world: World, cart: CartRecord) -> bool:
    """A cart that was not ordered in time is gone."""
    return cart.answer is None and world.now > cart.expires_at


def cart_lifetime(world: World) -> timedelta:
    """How long a new cart lives."""
    return world.scenario.rules.cart_lifetime
