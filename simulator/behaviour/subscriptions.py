"""Subscriptions: what their term end brings, and which updates Partner Center takes.

Sources: update-a-subscription-by-id, suspend-a-subscription, reactivate-a-suspended-a-subscription
(06/13/2022), change-the-quantity-of-a-subscription (10/10/2023), create-scheduled-changes (2/17/2023),
subscription-lifecycle (08/04/2023), new-commerce-cancellation-policy (07/27/2023).
Leaves migrations and purchases to their own files.
"""

from __future__ import annotations

import base64
import json
from datetime import datetime, time, timedelta, timezone
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from simulator.errors import Refusal
from simulator.records import By, Origin, PendingUpdate, SubscriptionRecord
from simulator.schema import MigrationPlan, Term, add_term
from simulator.wire import OptionalWireMoment
from simulator.world import CANCELLATION_WINDOW, World, world_item


class NextProduct(BaseModel):
    """What a subscription becomes with its next term."""

    model_config = ConfigDict(extra="ignore")
    product: str = Field(alias="productId")
    sku: str = Field(alias="skuId")
    availability: str | None = Field(default=None, alias="availabilityId")
    term: Term | None = Field(default=None, alias="termDuration")
    billing: str | None = Field(default=None, alias="billingCycle")
    promotion: str | None = Field(default=None, alias="promotionId")


class NextTerm(BaseModel):
    """What a new-commerce subscription is to be from its next term on; what is not named stays."""

    model_config = ConfigDict(extra="ignore")
    product: NextProduct | None = None
    quantity: int | None = Field(default=None, ge=1)
    custom_ends_at: OptionalWireMoment = Field(default=None, alias="customTermEndDate")


def _instructions(value: object) -> object:
    """As they came: they are shown again in the same words."""
    if value is not None:
        NextTerm.model_validate(value)
    return value


Instructions = Annotated[dict[str, Any] | None, BeforeValidator(_instructions)]


class SubscriptionUpdate(BaseModel):
    """The part of a PATCHed subscription that is not read-only. A missing `autoRenewEnabled` means false."""

    model_config = ConfigDict(extra="ignore")
    status: str | None = None
    quantity: int | None = None
    auto_renew: bool = Field(default=False, alias="autoRenewEnabled")
    billing_cycle: str | None = Field(default=None, alias="billingCycle")
    friendly_name: str | None = Field(default=None, alias="friendlyName")
    partner_id: str | None = Field(default=None, alias="partnerId")
    next_term: Instructions = Field(default=None, alias="scheduledNextTermInstructions")
    next_charge: Instructions = Field(default=None, alias="nextChargeInstructions")


def etag(row: SubscriptionRecord) -> str:
    """The ETag of a legacy subscription, in the form of the examples: base64 of id and version."""
    text = json.dumps({"id": row.id.lower(), "version": row.version}, separators=(",", ":"))
    return base64.b64encode(text.encode()).decode()


def on_moment(world: World, row: SubscriptionRecord) -> None:
    """A subscription becomes active, an accepted update takes effect, or the term ends."""
    if row.status == "pending" and row.active_at is not None and row.active_at <= world.now:
        row.status = "active"
    elif row.pending_update is not None and row.pending_update.at <= world.now:
        changes, row.pending_update = row.pending_update.changes, None
        _apply(world, row, SubscriptionUpdate.model_validate(changes), "caller")
    elif row.status in ("active", "suspended") and row.ends_at <= world.now:
        _end_of_term(world, row)


def _end_of_term(world: World, row: SubscriptionRecord) -> None:
    if row.status == "active" and row.auto_renew and _may_renew(world, row):
        row.version += 1
        if row.line == "nce":
            _renew_nce(world, row)
        else:
            row.starts_at, row.ends_at = row.ends_at, add_term(row.ends_at, row.term)
        return
    row.ended_at = world.now
    row.version += 1
    if row.status == "active":
        row.status = world.scenario.rules.unrenewed_becomes if row.line == "legacy" else "expired"
        if row.status == "suspended":
            row.suspended_by, row.suspended_at = "microsoft", world.now
            row.ends_at = world.now + timedelta(days=90)
    else:
        row.status = "deleted"


def _renew_nce(world: World, row: SubscriptionRecord) -> None:
    """The next term, as it was instructed. A custom end that lies outside of it counts for nothing."""
    instructed = NextTerm.model_validate(row.next_term or {})
    product = instructed.product
    if product is not None:
        sku = f"{product.product}:{product.sku}"
        item = f"{sku}:{product.availability}" if product.availability else world_item(world, sku)
        become(world, row, item, product.term or row.term, product.billing or row.billing)
        row.promotion = product.promotion
    row.seats = instructed.quantity or row.seats
    row.starts_at = row.ends_at + timedelta(seconds=1)
    row.ends_at = add_term(row.starts_at, row.term) - timedelta(seconds=1)
    if instructed.custom_ends_at and row.starts_at < nce_end(instructed.custom_ends_at) < row.ends_at:
        row.ends_at = nce_end(instructed.custom_ends_at)
    row.cancellable_until = row.starts_at + CANCELLATION_WINDOW
    row.next_term = None


def become(world: World, row: SubscriptionRecord, item: str, term: str, billing: str) -> None:
    """Makes a new-commerce subscription one of another product."""
    row.offer_id, row.name = item, _title(world, item)
    row.term, row.billing = term, billing.lower()


def _may_renew(world: World, row: SubscriptionRecord) -> bool:
    if row.line != "legacy" or row.segment != "commercial":
        return True
    return row.ends_at.astimezone(timezone.utc).date() <= world.scenario.rules.last_legacy_renewal_on


def update(world: World, row: SubscriptionRecord, wanted: SubscriptionUpdate, if_match: str | None) -> bool:
    """Takes a PATCH: raises `Refusal`, or applies it; false = accepted, takes effect later (202)."""
    if if_match is not None and row.line != "nce" and if_match.strip('"') not in ("*", etag(row)):
        raise Refusal(2055)
    check(world, row, wanted)
    takes = world.scenario.rules.updates_take
    if takes > timedelta(0):
        changes = wanted.model_dump(mode="json", by_alias=True)
        row.pending_update = PendingUpdate(at=world.now + takes, changes=changes)
        return False
    _apply(world, row, wanted, "caller")
    return True


def check(world: World, row: SubscriptionRecord, wanted: SubscriptionUpdate) -> None:
    """Refuses an update that Partner Center would refuse."""
    status = (wanted.status or row.status).lower()
    if row.status == "deleted":
        raise Refusal(2011)
    if row.status in ("expired", "disabled"):
        raise Refusal(900279)
    if row.status == "pending":
        raise Refusal(800081)
    if row.pending_update is not None or world.in_transition(row):
        raise Refusal(800082)
    if row.migration is not None and not world.migrations[row.migration].status == "Completed":
        raise Refusal(900278)
    if wanted.billing_cycle and wanted.billing_cycle.replace("_", "").lower() != row.billing.replace("_", ""):
        raise Refusal(2054)
    if status != row.status:
        _check_status(world, row, status)
    if wanted.quantity is not None and wanted.quantity != row.seats:
        _check_quantity(world, row, wanted.quantity)
    _check_next_term(world, row, NextTerm.model_validate(wanted.next_term or {}))
    if wanted.partner_id and wanted.partner_id != row.partner_id:
        if world.partner_with_mpn(wanted.partner_id) is None:
            raise Refusal(800015, wanted.partner_id)
        if not world.valid_partner_of_record(wanted.partner_id):
            raise Refusal(800016, wanted.partner_id)


def _check_status(world: World, row: SubscriptionRecord, status: str) -> None:
    if status == "deleted":
        if row.line != "nce":
            raise Refusal(800063)
        if row.cancellable_until is None or world.now > row.cancellable_until:
            raise Refusal(900117)
    elif status == "active":
        comes_back = row.plan is None or row.plan.legacy_comes_back
        refuses_undo = row.migrated_to is not None and not (
            world.scenario.rules.reactivation_after_migration and comes_back
        )
        if refuses_undo or (row.ended_at or row.ends_at) <= world.now:
            raise Refusal(800040, row.status, status)
    elif status != "suspended":
        raise Refusal(800040, row.status, status)


def _check_quantity(world: World, row: SubscriptionRecord, quantity: int) -> None:
    if row.status == "suspended":
        raise Refusal(800091 if row.line == "nce" else 2001)
    if row.line != "nce":
        if quantity < 1:
            raise Refusal(2002)
        return
    product, sku, _ = row.offer_id.split(":")
    limits = world.skus.get(f"{product}:{sku}")
    cap = world.seat_cap(row.offer_id)
    if quantity < 1 or (limits is not None and not limits.min <= quantity <= limits.max):
        raise Refusal(2002)
    if cap is not None and world.owned_seats(row.customer, product) - row.seats + quantity > cap:
        raise Refusal(2002, f"A customer may have {cap} seats of the product.")
    if quantity < row.seats and row.seats - quantity > _seats_that_may_go_back(world, row):
        raise Refusal(800090)


def _check_next_term(world: World, row: SubscriptionRecord, wanted: NextTerm) -> None:
    """Against the catalogue, as far as it knows the product."""
    product = wanted.product
    sku = world.skus.get(f"{product.product}:{product.sku}" if product else row.offer_id.rpartition(":")[0])
    if sku is None or row.line != "nce":
        return
    if wanted.quantity is not None and not sku.min <= wanted.quantity <= sku.max:
        raise Refusal(2002)
    term, billing = (product.term, product.billing) if product else (None, None)
    wish = (term or row.term, (billing or row.billing).lower())
    if product and wish not in [(option.term, option.billing) for option in sku.terms]:
        raise Refusal(900222)


def _seats_that_may_go_back(world: World, row: SubscriptionRecord) -> int:
    if row.cancellable_until is not None and world.now <= row.cancellable_until:
        return row.seats
    return sum(seats for seats, until in row.seats_back if world.now <= until)


def _apply(world: World, row: SubscriptionRecord, wanted: SubscriptionUpdate, by: By) -> None:
    row.auto_renew = wanted.auto_renew
    row.next_term, row.next_charge = wanted.next_term, wanted.next_charge
    if wanted.friendly_name is not None:
        row.friendly_name = wanted.friendly_name
    if wanted.partner_id:
        row.partner_id = wanted.partner_id
    if wanted.quantity is not None and wanted.quantity != row.seats:
        change_seats(world, row, wanted.quantity)
    if wanted.status is not None and wanted.status.lower() != row.status:
        change_status(world, row, wanted.status.lower(), by)
    row.version += 1


def change_seats(world: World, row: SubscriptionRecord, seats: int) -> None:
    """Sets the seats; what an increase added may go back within seven days, and once only."""
    if row.line == "nce":
        back = [(added, until) for added, until in row.seats_back if world.now <= until]
        if seats > row.seats:
            back.append((seats - row.seats, world.now + CANCELLATION_WINDOW))
        gone = max(0, row.seats - seats)
        left: list[tuple[int, datetime]] = []
        for added, until in back:  # those whose time is up first go first
            taken = min(added, gone)
            gone -= taken
            if added > taken:
                left.append((added - taken, until))
        row.seats_back = left
    row.seats = seats


def change_status(world: World, row: SubscriptionRecord, status: str, by: By) -> None:
    """Suspends, reactivates or cancels, without asking whether it may."""
    if status == "suspended":
        row.status, row.suspended_by, row.suspended_at = "suspended", by, world.now
        if row.line == "nce":
            row.auto_renew = False
    elif status == "active":
        row.status, row.suspended_by, row.suspended_at = "active", None, None
    else:
        row.status, row.ended_at = "deleted", world.now
    row.version += 1


def nce_end(last_day: datetime) -> datetime:
    """The exact end of a term whose last day this is."""
    return datetime.combine(last_day.date(), time(23, 59, 59), timezone.utc)


def full_term_end(start: datetime, term: str) -> datetime:
    """The exact end of a term that starts now: the day before the same date, a term later."""
    return nce_end(add_term(start, term) - timedelta(days=1))


def _title(world: World, item: str) -> str:
    product, sku = world.products.get(item.split(":")[0]), world.skus.get(item.rpartition(":")[0])
    return (sku.title if sku else None) or (product.title if product else item)


def create_nce(
    world: World,
    *,
    key: str,
    customer: str,
    partner: str,
    item: str,
    seats: int,
    term: str,
    billing: str,
    ends_at: datetime,
    partner_id: str,
    order_id: str,
    created_by: Origin,
    active_at: datetime,
    auto_renew: bool = True,
    friendly_name: str | None = None,
    promotion: str | None = None,
    migrated_from: str | None = None,
    name: str | None = None,
) -> SubscriptionRecord:
    """A new new-commerce subscription: pending until `active_at`, cancellable for 168 hours from now."""
    product, title = world.products.get(item.split(":")[0]), _title(world, item)
    return world.subscriptions.add(
        SubscriptionRecord(
            id=key,
            key=name,
            customer=customer,
            partner=partner,
            line="nce",
            offer_id=item,
            name=title,
            friendly_name=friendly_name or title,
            segment=product.segment if product else "commercial",
            seats=seats,
            term=term,
            term_shown=True,
            billing=billing.lower(),
            created_at=world.now,
            starts_at=world.now,
            ends_at=ends_at,
            auto_renew=auto_renew,
            status="pending" if active_at > world.now else "active",
            active_at=active_at,
            partner_id=partner_id,
            promotion=promotion,
            order_id=order_id,
            created_by=created_by,
            migrated_from=migrated_from,
            cancellable_until=world.now + CANCELLATION_WINDOW,
            plan=MigrationPlan(),
        )
    )
