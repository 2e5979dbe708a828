"""Orders and their provisioning."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from pydantic import Field

from include.nce.partner_center.models.links import Attributes, Links
from include.nce.partner_center.models.reading import (
    Guid,
    Moment,
    RequestModel,
    SentMoment,
    Text,
    WireModel,
    known_text,
)
from include.nce.partner_center.models.subscriptions import BillingCycleText


class OrderStatus(str, Enum):
    """How the spaced ones are spelled on the wire is not documented: blanks, `_` and case do not matter
    (get-an-order-by-id, 06/13/2022)."""

    UNKNOWN = "unknown"
    COMPLETED = "completed"
    PENDING = "pending"
    CANCELLED = "cancelled"
    SUSPENDED = "suspended"
    PENDING_REVIEW = "pending review"
    PENDING_PO_UPLOAD = "pending po upload"
    PO_UPLOAD_COMPLETE = "po upload complete"
    PO_REVIEW_REJECTED = "po review rejected"
    PARTIAL_SUCCESS = "partial success"
    ERROR = "error"


class Pricing(WireModel):
    """Amounts in the currency of the cart or order (cart-resources, 08/23/2023)."""

    list_price: float | None = None
    discounted_price: float | None = None
    prorated_price: float | None = None
    price: float | None = None
    extended_price: float | None = None


class OrderLineItem(WireModel):
    """One line of an order (get-an-order-by-id, 06/13/2022)."""

    line_item_number: int | None = None
    offer_id: Guid | None = None
    subscription_id: Guid | None = None
    parent_subscription_id: Guid | None = None
    quantity: int | None = None
    term_duration: str | None = None
    transaction_type: str | None = None
    friendly_name: str | None = None
    partner_id_on_record: Text | None = None
    additional_partner_ids_on_record: tuple[Text, ...] = ()
    promotion_id: str | None = None
    custom_term_end_date: Moment = None
    pricing: Pricing | None = None
    links: Links


class Order(WireModel):
    """An order (create-an-order, 12/09/2022; get-an-order-by-id, 06/13/2022).

    `id` is 12 hexadecimal characters for NCE, something longer for others. A line has its `subscription_id`
    only once it is provisioned.
    """

    id: Guid
    alternate_id: Guid | None = None
    reference_customer_id: Guid | None = None
    billing_cycle: BillingCycleText | None = None
    currency_code: str | None = None
    currency_symbol: str | None = None
    line_items: tuple[OrderLineItem, ...] = ()
    creation_date: Moment = None
    status: Annotated[OrderStatus | str, known_text(OrderStatus)] | None = None
    transaction_type: str | None = None
    total_price: float | None = None
    links: Links
    attributes: Attributes | None = None


class OrderLineRequest(RequestModel):
    """One line that is wanted (create-an-order, 12/09/2022)."""

    line_item_number: int
    offer_id: str
    quantity: int
    term_duration: str | None = None
    friendly_name: str | None = None
    partner_id_on_record: str | None = None
    additional_partner_ids_on_record: list[str] | None = None
    promotion_id: str | None = None
    custom_term_end_date: SentMoment | None = None
    attestation_accepted: bool | None = None


class OrderRequest(RequestModel):
    """Body of create order. Leaving out `partner_id_on_record` on a line does not fail, but takes the
    reseller's incentives away (create-an-order-for-a-customer-of-an-indirect-reseller, 08/23/2023)."""

    reference_customer_id: str
    line_items: list[OrderLineRequest]
    billing_cycle: str | None = None
    partner_on_record_attestation_accepted: bool | None = Field(
        default=None, alias="PartnerOnRecordAttestationAccepted"
    )


class ProvisionedQuantity(WireModel):
    """How many seats are how far (get-order-provisioning-status, 01/03/2023)."""

    quantity: int
    status: str | None = None


class OrderLineProvisioning(WireModel):
    """One line (get-order-provisioning-status, 01/03/2023): fulfilled, unfulfilled, prefulfillmentPending."""

    order_line_item_id: int | None = None
    line_item_number: int | None = None
    status: str | None = None
    quantity_provisioning_information: tuple[ProvisionedQuantity, ...] = ()
