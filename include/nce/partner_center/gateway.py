"""Partner Center in the domain's words: what the steps ask for, answered through the client.

Responsible for turning wire models into domain objects and requests into bodies. Decides nothing, except that
what cannot be read is never mistaken for a yes: a subscription that cannot be read is handed on without term
end and with status `OTHER`, which holds it, and a migration in a state nobody knows is still in progress.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from include.nce.domain.cancellation import SuspensionPermit
from include.nce.domain.command import Answered
from include.nce.domain.conversion import (
    ConversionRequest,
    Eligibility,
    Migration,
    MigrationState,
    Refusal,
)
from include.nce.domain.privacy import without_persons
from include.nce.domain.purchase import Cart, CartLineFault, Purchase, PurchaseLine
from include.nce.domain.readiness import MpaState, MpaStatus, PartnerOfRecord, ResellerLink
from include.nce.domain.subscription import (
    CatalogueTarget,
    Customer,
    Status,
    Subscription,
    SubscriptionKind,
    kind_of,
)
from include.nce.domain.undo import CancellationPermit
from include.nce.partner_center.client import PartnerCenterClient
from include.nce.partner_center.errors import (
    Broken,
    NotEligible,
    NotFound,
    PartnerCenterError,
    PartnerIdNotUsable,
)
from include.nce.partner_center.models import carts as wire_carts
from include.nce.partner_center.models import migrations as wire_migrations
from include.nce.partner_center.models import subscriptions as wire_subscriptions
from include.nce.partner_center.models.agreements import MICROSOFT_CUSTOMER_AGREEMENT, MpaSignature
from include.nce.partner_center.models.orders import Order, OrderLineItem
from include.nce.partner_center.models.reading import Trace, Unreadable, read_guid
from include.nce.partner_center.models.relationships import RelationshipState
from include.nce.partner_center.subscriptions import Change
from include.nce.partner_center.transport import Answer
from include.nce.steps.ports import PartnerCenter
from include.nce.steps.sending import Departure

log = logging.getLogger(__name__)

_MPA_STATES = {
    MpaSignature.SIGNED: MpaState.SIGNED,
    MpaSignature.NOT_SIGNED: MpaState.NOT_SIGNED,
    MpaSignature.CANNOT_TELL: MpaState.CANNOT_TELL,
}
_MPA_CODES = {
    2200: MpaState.NOT_A_RESELLER,
    2201: MpaState.OTHER_REGION,
    2204: MpaState.NOT_A_RESELLER,
    2205: MpaState.NOT_A_RESELLER,
}
_PARTNER_OF_RECORD_CODES = {
    900154: PartnerOfRecord.NOT_LINKED,
    900400: PartnerOfRecord.NOT_LINKED,
    900414: PartnerOfRecord.NOT_AUTHORISED,
}
_STATUSES = {
    wire_subscriptions.SubscriptionStatus.ACTIVE: Status.ACTIVE,
    wire_subscriptions.SubscriptionStatus.PENDING: Status.PENDING,
    wire_subscriptions.SubscriptionStatus.SUSPENDED: Status.SUSPENDED,
    wire_subscriptions.SubscriptionStatus.EXPIRED: Status.EXPIRED,
    # What has expired is disabled after a while, and deleted in the end (subscription-lifecycle, 08/04/2023).
    wire_subscriptions.SubscriptionStatus.DISABLED: Status.EXPIRED,
    wire_subscriptions.SubscriptionStatus.DELETED: Status.DELETED,
    wire_subscriptions.SubscriptionStatus.CANCELED: Status.DELETED,
}
_MIGRATION_STATES = {
    wire_migrations.MigrationStatus.COMPLETED: MigrationState.COMPLETED,
    wire_migrations.MigrationStatus.FAILED: MigrationState.FAILED,
}
_AVAILABILITY_GONE = 400019
_COMMERCIAL = "commercial"
_TRANSACTION_RESELLER = "transaction_reseller"


StatusChange = Callable[..., Awaitable[Change]]


class PartnerCenterGateway(PartnerCenter):
    """Implements the steps' port over an open `PartnerCenterClient`."""

    def __init__(self, client: PartnerCenterClient) -> None:
        self._client = client

    async def mpa_status(self, tenant_id: str) -> MpaStatus:
        answer = await self._client.agreements.mpa_status(tenant_id=tenant_id)
        state = _MPA_CODES.get(answer.code or 0, _MPA_STATES[answer.signature])
        return MpaStatus(state, answer.code, answer.description)

    async def resellers(self) -> Sequence[ResellerLink]:
        """The whole list or an error: a row that cannot be read would look like a partner that is not
        linked."""
        rows = await self._client.relationships.indirect_resellers()
        if rows.unreadable:
            raise _broken("the list of indirect resellers", rows.unreadable[0])
        return [
            ResellerLink(
                tenant_id=row.id,
                name=row.name or "",
                active=row.state is RelationshipState.ACTIVE,
                state=str(getattr(row.state, "value", row.state) or "unknown"),
                mpn_id=row.mpn_id,
                country=row.location,
            )
            for row in rows
        ]

    async def mpn_profile_exists(self, mpn_id: str) -> bool:
        return await self._client.profiles.mpn(mpn_id) is not None

    async def partner_of_record(self, mpn_id: str) -> PartnerOfRecord:
        try:
            results = await self._client.relationships.validate_partners_of_record([mpn_id])
        except PartnerIdNotUsable as error:
            return _PARTNER_OF_RECORD_CODES.get(error.code or 0, PartnerOfRecord.INVALID)
        except PartnerCenterError as error:
            if error.status in (404, 405):
                return PartnerOfRecord.UNKNOWN
            raise
        result = next((item for item in results if item.partner_id == mpn_id), None)
        if result is None:
            return PartnerOfRecord.UNKNOWN
        if result.is_valid_partner_id_on_record:
            return PartnerOfRecord.VALID
        return _PARTNER_OF_RECORD_CODES.get(result.error_code or 0, PartnerOfRecord.INVALID)

    async def customers_of(self, reseller_tenant_id: str) -> AsyncIterator[Customer]:
        async for page in self._client.customers.pages_of_reseller(reseller_tenant_id):
            for customer in page:
                profile = customer.company_profile
                address = profile.address if profile else None
                name = profile.company_name if profile else None
                yield Customer(customer.id, name or "", address.country if address else None)
            for unreadable in page.unreadable:
                if not unreadable.id:
                    raise _broken("the list of customers", unreadable)
                yield Customer(str(read_guid(unreadable.id)), "")

    async def customer_agreement_accepted(self, customer_id: str) -> bool:
        confirmations = await self._client.agreements.confirmations(customer_id)
        if any(
            (item.agreement_type or "").lower() == MICROSOFT_CUSTOMER_AGREEMENT.lower()
            for item in confirmations
        ):
            return True
        if await self._client.agreements.directly_signed(customer_id):
            return True
        if confirmations.unreadable:
            raise _broken("the confirmations of the Customer Agreement", confirmations.unreadable[0])
        return False

    async def subscriptions_of(self, customer_id: str) -> Sequence[Subscription]:
        found = await self._client.subscriptions.of_customer(customer_id)
        read = [_subscription(customer_id, item) for item in found]
        return read + [_unread_subscription(customer_id, item) for item in found.unreadable]

    async def subscription(self, customer_id: str, subscription_id: str) -> Subscription | None:
        try:
            return _subscription(
                customer_id, await self._client.subscriptions.get(customer_id, subscription_id)
            )
        except NotFound:
            return None

    async def validate_migration(self, request: ConversionRequest) -> Eligibility:
        body = _migration_request(request)
        return _eligibility(await self._client.migrations.validate(request.customer_id, body))

    async def create_migration(
        self, request: ConversionRequest, *, departure: Departure
    ) -> tuple[Migration, Answered]:
        body = _migration_request(request).model_copy(update={"external_reference_id": request.reference})
        written = await self._client.migrations.create(
            request.customer_id, body, request_id=departure.request_id, leave=departure.leave
        )
        return _migration(written.what), _answered(written.answer)

    async def migrations(
        self,
        *,
        customer_id: str | None = None,
        legacy_id: str | None = None,
        reference: str | None = None,
    ) -> AsyncIterator[Migration]:
        pages = self._client.migrations.query(
            customer_id=customer_id, legacy_subscription_id=legacy_id, external_reference_id=reference
        )
        async for page in pages:
            for migration in page:
                yield _migration(migration)
            for unreadable in page.unreadable:
                yield _unread_migration(unreadable)

    async def create_cart(
        self, customer_id: str, lines: Sequence[PurchaseLine], *, partner_mpn_id: str | None, request_id: str
    ) -> tuple[Cart, Answered]:
        """The ids of what is sold are short-lived, so they are read for this cart, and once more when one
        went away in between (400019; get-a-list-of-availabilities-for-a-sku, 08/23/2023)."""
        carts = self._client.carts
        request = await self._cart_request(customer_id, lines, partner_mpn_id)
        try:
            written = await carts.create(customer_id, request, request_id=request_id)
        except NotFound as error:
            if error.code != _AVAILABILITY_GONE:
                raise
            request = await self._cart_request(customer_id, lines, partner_mpn_id)
            # Refused and answered: a further call is a new intention, so it has an id of its own.
            written = await carts.create(customer_id, request, request_id=str(uuid.uuid4()))
        return _cart(written.what, lines), _answered(written.answer)

    async def cart(self, customer_id: str, cart_id: str) -> Cart | None:
        try:
            return _cart(await self._client.carts.get(customer_id, cart_id), ())
        except NotFound:
            return None

    async def check_out(
        self, customer_id: str, cart_id: str, lines: Sequence[PurchaseLine], *, departure: Departure
    ) -> tuple[Purchase, Answered]:
        written = await self._client.carts.check_out(
            customer_id, cart_id, request_id=departure.request_id, leave=departure.leave
        )
        bought = _order_lines(written.what.orders, lines)
        purchase = Purchase(
            cart_id=cart_id,
            order_ids={legacy_id: order.id for legacy_id, (order, _) in bought.items()},
            subscription_ids={
                legacy_id: line.subscription_id
                for legacy_id, (_, line) in bought.items()
                if line.subscription_id is not None
            },
            faults=await self._checkout_faults(customer_id, cart_id, lines, written.what.order_errors),
        )
        return purchase, _answered(written.answer)

    async def suspend(self, permit: SuspensionPermit, *, departure: Departure) -> Answered:
        change = self._client.subscriptions.suspend
        return await self._change_status(change, permit.customer_id, permit.legacy_id, departure)

    async def reactivate(self, customer_id: str, subscription_id: str, *, departure: Departure) -> Answered:
        change = self._client.subscriptions.reactivate
        return await self._change_status(change, customer_id, subscription_id, departure)

    async def cancel_nce(self, permit: CancellationPermit, *, departure: Departure) -> Answered:
        change = self._client.subscriptions.cancel
        return await self._change_status(change, permit.customer_id, permit.nce_id, departure)

    async def _change_status(
        self, change: StatusChange, customer_id: str, subscription_id: str, departure: Departure
    ) -> Answered:
        subscription = await self._client.subscriptions.get(customer_id, subscription_id)
        changed = await change(
            customer_id, subscription, request_id=departure.request_id, leave=departure.leave
        )
        return _answered(changed.answer)

    async def _cart_request(
        self, customer_id: str, lines: Sequence[PurchaseLine], partner_mpn_id: str | None
    ) -> wire_carts.CartRequest:
        reseller = (
            [wire_carts.Participant(key=_TRANSACTION_RESELLER, value=partner_mpn_id)]
            if partner_mpn_id
            else None
        )
        items = {target: await self._item(customer_id, target) for target in {line.target for line in lines}}
        return wire_carts.CartRequest(
            line_items=[
                wire_carts.CartLineRequest(
                    id=number,
                    catalog_item_id=items[line.target],
                    quantity=line.seats,
                    billing_cycle=line.target.billing,
                    term_duration=line.target.term,
                    participants=reseller,
                )
                for number, line in enumerate(lines)
            ],
            partner_on_record_attestation_accepted=True if reseller else None,
        )

    async def _item(self, customer_id: str, target: CatalogueTarget) -> str:
        """The `product:sku:availability` this customer can buy now."""
        offered = await self._client.catalogue.availabilities(
            target.product, target.sku, customer_id=customer_id
        )
        for availability in offered:
            if (
                availability.is_purchasable is not False
                and (availability.segment or _COMMERCIAL).lower() == _COMMERCIAL
                and availability.sells(term=target.term, billing=target.billing)
            ):
                return availability.catalog_item_id
        raise NotEligible(
            f"Partner Center does not sell {target.product_and_sku} to customer {customer_id} for "
            f"{target.term} with {target.billing} billing; {NotEligible.remedy}.",
            operation="list availabilities",
            request_id=offered.trace.request_id,
            correlation_id=offered.trace.correlation_id,
        )

    async def _checkout_faults(
        self,
        customer_id: str,
        cart_id: str,
        lines: Sequence[PurchaseLine],
        errors: Sequence[wire_carts.OrderError],
    ) -> tuple[CartLineFault, ...]:
        """Microsoft names the group that failed; which lines are in it stands in the cart."""
        if not errors:
            return ()
        groups: dict[str, list[str]] = {}
        try:
            for line in (await self._client.carts.get(customer_id, cart_id)).line_items:
                legacy_id = _legacy_of(line, lines)
                if legacy_id is not None and line.order_group is not None:
                    groups.setdefault(line.order_group, []).append(legacy_id)
        except PartnerCenterError as error:
            # The checkout is done: its answer must reach the ledger, with or without the lines' names.
            trace = Trace(error.request_id, error.correlation_id)
            log.warning("cart %s was checked out, but not read again: %s (%s)", cart_id, error, trace)
        return tuple(
            CartLineFault(legacy_id, _number(error.code), error.description or "")
            for error in errors
            for legacy_id in groups.get(error.order_group_id or "", [None])
        )


def _answered(answer: Answer) -> Answered:
    payload = without_persons(answer.payload)
    return Answered(answer.request_id, answer.correlation_id, answer.status, payload)


def _subscription(customer_id: str, item: wire_subscriptions.Subscription) -> Subscription:
    offer_id = item.offer
    product_type = item.product_type.id or item.product_type.display_name if item.product_type else None
    kind = kind_of(offer_id, product_type) if offer_id is not None else SubscriptionKind.LEGACY
    counted = kind in (SubscriptionKind.LEGACY, SubscriptionKind.NCE)
    if offer_id is None or (counted and item.quantity is None):
        why = "it names no offer" if offer_id is None else "it has no number of seats"
        return _unread_subscription(customer_id, Unreadable(item.raw, why, item.trace))
    return Subscription(
        subscription_id=item.id,
        customer_id=customer_id.lower(),
        offer_id=offer_id,
        offer_name=item.offer_name or item.friendly_name or "",
        kind=kind,
        status=_status(item.status),
        seats=item.quantity or 0,
        term_end_at=item.ends_at,
        created_at=item.creation_date,
        auto_renew=item.auto_renew_enabled or False,
        is_trial=item.is_trial or False,
        term=item.term_duration,
        billing=_billing(item.billing_cycle),
        parent_id=item.parent_subscription_id,
        partner_mpn_id=item.partner_id,
        migrated_from_id=item.migrated_from_subscription_id,
        cancellable_until_at=item.cancellation_allowed_until_date,
        order_id=item.order_id,
        suspension_reasons=item.suspension_reasons,
    )


def _unread_subscription(customer_id: str, item: Unreadable) -> Subscription:
    """A subscription of which only ids can be trusted: without term end it is held for a person, it is not
    active, so nothing is bought or suspended for it, and the customer's others go on."""
    if not item.id:
        raise _broken(f"a subscription of customer {customer_id}", item)
    log.error(
        "subscription %s of customer %s cannot be read and is held: %s (%s)",
        item.id,
        customer_id,
        item.why,
        item.trace,
    )
    fields = {str(key).lower(): value for key, value in item.payload.items()}
    offer_id = _text(fields, "offerid") or ""
    kind = kind_of(offer_id, "OnlineServicesNCE") if offer_id else SubscriptionKind.LEGACY
    return Subscription(
        subscription_id=str(read_guid(item.id)),
        customer_id=customer_id.lower(),
        offer_id=offer_id,
        offer_name=f"unreadable: {item.why}",
        kind=kind,
        status=Status.OTHER,
        seats=0,
        parent_id=_text(fields, "parentsubscriptionid"),
        partner_mpn_id=_text(fields, "partnerid"),
        migrated_from_id=_text(fields, "migratedfromsubscriptionid"),
    )


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return str(read_guid(value)) if isinstance(value, str) and value else None


def _status(status: wire_subscriptions.SubscriptionStatus | str | None) -> Status:
    if isinstance(status, wire_subscriptions.SubscriptionStatus):
        return _STATUSES.get(status, Status.OTHER)
    return Status.OTHER


def _billing(cycle: wire_subscriptions.BillingCycle | str | None) -> str | None:
    if cycle in (None, wire_subscriptions.BillingCycle.UNKNOWN, wire_subscriptions.BillingCycle.NONE):
        return None
    return cycle.value if isinstance(cycle, wire_subscriptions.BillingCycle) else str(cycle).lower()


def _migration_request(request: ConversionRequest) -> wire_migrations.MigrationRequest:
    return wire_migrations.MigrationRequest(
        **_asked(request),
        add_on_migrations=[wire_migrations.AddOnMigrationRequest(**_asked(item)) for item in request.add_ons]
        or None,
    )


def _asked(request: ConversionRequest) -> dict[str, Any]:
    """Migrations write billing cycles with a capital: `Monthly` (create-migration, 10/13/2023)."""
    return {
        "current_subscription_id": request.legacy_id,
        "term_duration": request.term,
        "billing_cycle": request.billing.capitalize() if request.billing else None,
        "quantity": request.seats,
        "purchase_full_term": True if request.full_term else None,
    }


def _eligibility(item: wire_migrations.NewCommerceEligibility) -> Eligibility:
    return Eligibility(
        legacy_id=item.current_subscription_id,
        eligible=item.is_eligible,
        catalogue_item=item.catalog_item_id,
        refusals=tuple(Refusal(error.code, error.description) for error in item.errors),
        add_ons=tuple(_eligibility(add_on) for add_on in item.add_on_migrations),
    )


def _migration(
    item: wire_migrations.NewCommerceMigration, base: wire_migrations.NewCommerceMigration | None = None
) -> Migration:
    """Add-ons carry neither status nor times nor customer of their own: the base's count."""
    whole = base or item
    status = item.status or whole.status
    state = MigrationState.PROCESSING
    if isinstance(status, wire_migrations.MigrationStatus):
        state = _MIGRATION_STATES.get(status, MigrationState.PROCESSING)
    return Migration(
        migration_id=item.id,
        legacy_id=item.current_subscription_id,
        customer_id=item.customer_tenant_id or whole.customer_tenant_id or "",
        state=state,
        started_at=item.started_time or whole.started_time,
        completed_at=item.completed_time or whole.completed_time,
        catalogue_item=item.catalog_item_id,
        nce_subscription_id=item.new_commerce_subscription_id,
        nce_order_id=item.new_commerce_order_id,
        seats=item.quantity,
        reference=item.external_reference_id or whole.external_reference_id,
        microsoft_led=bool(whole.microsoft_led),
        add_ons=tuple(_migration(add_on, item) for add_on in item.add_on_migrations),
    )


def _unread_migration(item: Unreadable) -> Migration:
    """Somebody migrates this subscription, which is reason enough to send nothing more for it."""
    fields = {str(key).lower(): value for key, value in item.payload.items()} if item.id else {}
    legacy_id = _text(fields, "currentsubscriptionid")
    if legacy_id is None:
        raise _broken("a migration", item)
    log.error(
        "migration %s of subscription %s cannot be read: %s (%s)", item.id, legacy_id, item.why, item.trace
    )
    return Migration(
        migration_id=str(read_guid(item.id)),
        legacy_id=legacy_id,
        customer_id=_text(fields, "customertenantid") or "",
        state=MigrationState.PROCESSING,
        reference=_text(fields, "externalreferenceid"),
    )


def _cart(item: wire_carts.Cart, lines: Sequence[PurchaseLine]) -> Cart:
    faults = [
        CartLineFault(
            _legacy_of(base, lines), _number(line.error.error_code), line.error.error_description or ""
        )
        for base in item.line_items
        for line in (base, *base.addon_items)
        if line.error is not None
    ]
    return Cart(item.id, tuple(faults), ordered=item.status is wire_carts.CartStatus.ORDERED)


def _legacy_of(line: wire_carts.CartLineItem, lines: Sequence[PurchaseLine]) -> str | None:
    """Lines keep the numbers we gave them."""
    number = _number(line.id)
    return lines[number].legacy_id if number is not None and number < len(lines) else None


def _order_lines(
    orders: Sequence[Order], lines: Sequence[PurchaseLine]
) -> dict[str, tuple[Order, OrderLineItem]]:
    """Which ordered line belongs to which legacy subscription.

    An order does not repeat the cart's line numbers, so lines are matched by item, each once: first those
    with the same term, billing and seats, last those of which Microsoft says otherwise. Where two are alike
    it makes no difference which is which.
    """
    free = [(order, line) for order in orders for line in order.line_items]
    matched: dict[str, tuple[Order, OrderLineItem]] = {}
    for alike in (_alike_in_all, _sold_alike, _as_many, _in_any_way):
        for wanted in lines:
            if wanted.legacy_id in matched:
                continue
            for found in free:
                if _same_item(found[1], wanted) and alike(*found, wanted):
                    matched[wanted.legacy_id] = found
                    free.remove(found)
                    break
    return matched


def _same_item(line: OrderLineItem, wanted: PurchaseLine) -> bool:
    return (line.offer_id or "").upper().startswith(f"{wanted.target.product_and_sku}:")


def _alike_in_all(order: Order, line: OrderLineItem, wanted: PurchaseLine) -> bool:
    return _sold_alike(order, line, wanted) and _as_many(order, line, wanted)


def _sold_alike(order: Order, line: OrderLineItem, wanted: PurchaseLine) -> bool:
    """What the answer leaves out speaks against nothing."""
    same_term = (line.term_duration or wanted.target.term).upper() == wanted.target.term
    return same_term and (_billing(order.billing_cycle) or wanted.target.billing) == wanted.target.billing


def _as_many(_: Order, line: OrderLineItem, wanted: PurchaseLine) -> bool:
    return line.quantity == wanted.seats


def _in_any_way(_: Order, __: OrderLineItem, ___: PurchaseLine) -> bool:
    return True


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None


def _broken(what: str, item: Unreadable) -> Broken:
    return Broken(
        f"Partner Center sent {what} that cannot be read: {item.why}; {Broken.remedy}.",
        request_id=item.trace.request_id,
        correlation_id=item.trace.correlation_id,
    )
