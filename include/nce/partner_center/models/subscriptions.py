"""Subscriptions: what a customer holds, legacy and NCE, and the dates a custom term may end on."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any

from include.nce.partner_center.models.links import Attributes, Links
from include.nce.partner_center.models.reading import Guid, Moment, Text, WireModel, known_text, read_guid


class SubscriptionStatus(str, Enum):
    """Legacy and NCE states together (subscription-lifecycle, 08/04/2023)."""

    NONE = "none"
    ACTIVE = "active"
    PENDING = "pending"
    SUSPENDED = "suspended"
    EXPIRED = "expired"
    DISABLED = "disabled"
    CANCELED = "canceled"
    DELETED = "deleted"


class BillingCycle(str, Enum):
    """How often a subscription is billed (subscription-resources, 06/26/2023)."""

    UNKNOWN = "unknown"
    MONTHLY = "monthly"
    ANNUAL = "annual"
    NONE = "none"
    ONE_TIME = "one_time"
    TRIENNIAL = "triennial"
    BIENNIAL = "biennial"


class BillingType(str, Enum):
    """What is billed (subscription-resources, 06/26/2023)."""

    NONE = "none"
    USAGE = "usage"
    LICENSE = "license"
    BENEFIT = "benefit"


class ContractType(str, Enum):
    """How the right of use was acquired (subscription-resources, 06/26/2023)."""

    SUBSCRIPTION = "subscription"
    PRODUCT_KEY = "product_key"
    REDEMPTION_CODE = "redemption_code"


BillingCycleText = Annotated[BillingCycle | str, known_text(BillingCycle)]


class ProductType(WireModel):
    """Absent on legacy licences; `OnlineServicesNCE` on NCE ones (subscription-resources, 06/26/2023)."""

    id: str | None = None
    display_name: str | None = None
    sub_type: Any = None


class RefundOption(WireModel):
    """`Full` or `Partial`, until when (subscription-resources, 06/26/2023)."""

    type: str | None = None
    expires_at: Moment = None


class RefundableSeats(WireModel):
    """So many seats, until when (change-the-quantity-of-a-subscription, 10/10/2023)."""

    quantity: int
    allowed_until_date_time: Moment = None


class RefundableQuantity(WireModel):
    """Seats that may still be given back (change-the-quantity-of-a-subscription, 10/10/2023)."""

    total_quantity: int | None = None
    details: tuple[RefundableSeats, ...] = ()


class NextTermProduct(WireModel):
    """What the subscription is to become (create-scheduled-changes, 2/17/2023)."""

    product_id: str | None = None
    sku_id: str | None = None
    availability_id: str | None = None
    billing_cycle: BillingCycleText | None = None
    term_duration: str | None = None
    promotion_id: str | None = None


class NextTermInstructions(WireModel):
    """What happens at renewal or at the next charge (create-scheduled-changes, 2/17/2023)."""

    product: NextTermProduct | None = None
    quantity: int | None = None
    custom_term_end_date: Moment = None


class Subscription(WireModel):
    """subscription-resources (06/26/2023); `quantity` is seats.

    Legacy or NCE is told by the shape of `offer_id` (a GUID, or `product:sku:availability`): legacy licences
    carry no product type. Some examples have no offer id at all; the offer link then names it.
    `migrated_from_subscription_id` on an NCE subscription is the legacy one it came from
    (migrate-subscriptions-to-new-commerce, 10/13/2023). `commitment_end_date` is the term's last day,
    `commitment_end_date_time` its exact end.
    """

    id: Guid
    entitlement_id: Guid | None = None
    offer_id: Guid | None = None
    offer_name: str | None = None
    friendly_name: str | None = None
    product_type: ProductType | None = None
    quantity: int | None = None
    unit_type: str | None = None
    parent_subscription_id: Guid | None = None
    creation_date: Moment = None
    effective_start_date: Moment = None
    commitment_end_date: Moment = None
    commitment_end_date_time: Moment = None
    cancellation_allowed_until_date: Moment = None
    billing_cycle_end_date: Moment = None
    billing_cycle_end_date_time: Moment = None
    status: Annotated[SubscriptionStatus | str, known_text(SubscriptionStatus)] | None = None
    auto_renew_enabled: bool | None = None
    is_trial: bool | None = None
    is_microsoft_product: bool | None = None
    has_purchasable_addons: bool | None = None
    billing_type: Annotated[BillingType | str, known_text(BillingType)] | None = None
    billing_cycle: BillingCycleText | None = None
    term_duration: str | None = None
    renewal_term_duration: str | None = None
    custom_term_end_date: Moment = None
    refund_options: tuple[RefundOption, ...] = ()
    refundable_quantity: RefundableQuantity | None = None
    partner_id: Text | None = None
    additional_partner_ids: tuple[Text, ...] = ()
    promotion_id: str | None = None
    migrated_from_subscription_id: Guid | None = None
    scheduled_next_term_instructions: NextTermInstructions | None = None
    next_charge_instructions: NextTermInstructions | None = None
    scheduled_actions: Any = None
    actions: tuple[str, ...] = ()
    attention_needed: bool | None = None
    attention_reason: str | None = None
    action_taken: bool | None = None
    suspension_reasons: tuple[str, ...] = ()
    contract_type: Annotated[ContractType | str, known_text(ContractType)] | None = None
    publisher_name: str | None = None
    order_id: Guid | None = None
    product_order_id: Guid | None = None
    line_items: Any = None
    consumption_type: str | None = None
    links: Links
    attributes: Attributes | None = None

    @property
    def etag(self) -> str | None:
        return self.attributes.etag if self.attributes else None

    @property
    def ends_at(self) -> Moment:
        """The exact end of the term where Partner Center says it, else the date it says."""
        return self.commitment_end_date_time or self.commitment_end_date

    @property
    def offer(self) -> str | None:
        """The offer id; where the resource leaves it out, the last part of its offer link."""
        if self.offer_id is not None:
            return self.offer_id
        link = next((link for name, link in self.links.items() if name.lower() == "offer"), None)
        if link is None or link.uri is None:
            return None
        return str(read_guid(link.uri.split("?")[0].rstrip("/").rsplit("/", 1)[-1]))


class ProvisioningState(str, Enum):
    """Whether the service behind a subscription is there (get-subscription-provisioning-status,
    11/29/2022)."""

    SUCCESS = "success"
    PENDING = "pending"
    FAILED = "failed"
    NONE = "none"


class SubscriptionProvisioningStatus(WireModel):
    """get-subscription-provisioning-status (11/29/2022)."""

    sku_id: Guid | None = None
    status: Annotated[ProvisioningState | str, known_text(ProvisioningState)]
    quantity: int | None = None
    end_date: Moment = None
    attributes: Attributes | None = None


class CustomTermEndDate(WireModel):
    """One date a custom term may end on (custom-term-end-dates, 07/18/2023).

    `calendarMonthAligned`, or `subscriptionAligned` with the subscriptions that end then.
    """

    allowed_custom_term_end_date_type: str | None = None
    allowed_custom_term_end_date: Moment = None
    coterm_subscription_ids: tuple[Guid, ...] = ()
