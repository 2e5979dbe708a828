"""Carts and what checking them out returns."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any

from pydantic import Field

from include.nce.partner_center.models.links import Attributes, Details, Links
from include.nce.partner_center.models.orders import Order, Pricing
from include.nce.partner_center.models.reading import (
    UNTRACED,
    Guid,
    Moment,
    RequestModel,
    SentMoment,
    Text,
    Trace,
    WireModel,
    known_text,
)
from include.nce.partner_center.models.subscriptions import BillingCycleText


class CartStatus(str, Enum):
    """Open, or checked out (cart-resources, 08/23/2023)."""

    ACTIVE = "Active"
    ORDERED = "Ordered"


class CartError(WireModel):
    """Why one line cannot be bought; the cart is created all the same (cart-resources, 08/23/2023).

    Codes are those of cart items (10000 to 10019, 500600), not the HTTP error codes.
    """

    error_code: Text | None = None
    error_description: str | None = None
    additional_information: Any = None


class Participant(RequestModel):
    """`transaction_reseller` names the reseller's PartnerID; `additional_transaction_reseller` up to five
    more (cart-resources, 08/23/2023)."""

    key: str
    value: str


class RenewsTo(RequestModel):
    """The term that follows the first one (cart-resources, 08/23/2023)."""

    term_duration: str


class CartLineItem(WireModel):
    """One line of a cart as it was taken (cart-resources, 08/23/2023)."""

    id: Text | None = None
    catalog_item_id: Guid
    quantity: int
    billing_cycle: BillingCycleText | None = None
    term_duration: str | None = None
    friendly_name: str | None = None
    currency_code: str | None = None
    promotion_id: str | None = None
    custom_term_end_date: Moment = None
    order_group: Text | None = None
    participants: tuple[dict[str, Any], ...] = ()
    provisioning_context: Details
    renews_to: Any = None
    attestation_accepted: bool | None = None
    addon_items: tuple[CartLineItem, ...] = ()
    error: CartError | None = None
    pricing: Pricing | None = None


class Cart(WireModel):
    """A cart (create-a-cart, 12/09/2022): it lives for seven days. Field tables write `..TimeStamp`."""

    id: Guid
    creation_timestamp: Moment = None
    last_modified_timestamp: Moment = None
    expiration_timestamp: Moment = None
    last_modified_user: Guid | None = None
    status: Annotated[CartStatus | str, known_text(CartStatus)] | None = None
    line_items: tuple[CartLineItem, ...] = ()
    partner_on_record_attestation_accepted: bool | None = None
    links: Links
    attributes: Attributes | None = None


class CartLineRequest(RequestModel):
    """One line that is wanted (create-a-cart, 12/09/2022)."""

    id: int | None = None
    catalog_item_id: str
    quantity: int
    billing_cycle: str
    term_duration: str | None = None
    friendly_name: str | None = None
    promotion_id: str | None = None
    custom_term_end_date: SentMoment | None = None
    participants: list[Participant] | None = None
    renews_to: RenewsTo | None = None
    attestation_accepted: bool | None = None


class CartRequest(RequestModel):
    """Body of create cart. The attestation speaks for the reseller data of every line; where it is enforced
    and missing, the answer is 400/900206 (create-a-cart, 12/09/2022)."""

    line_items: list[CartLineRequest]
    partner_on_record_attestation_accepted: bool | None = Field(
        default=None, alias="PartnerOnRecordAttestationAccepted"
    )


class OrderError(WireModel):
    """One group of lines that could not be ordered (checkout-a-cart, 12/10/2022)."""

    order_group_id: Text | None = None
    code: Text | None = None
    description: str | None = None


class CartCheckoutResult(WireModel):
    """What a checkout made (checkout-a-cart, 12/10/2022). A success can carry errors: read both lists."""

    orders: tuple[Order, ...] = ()
    order_errors: tuple[OrderError, ...] = ()

    @classmethod
    def read(cls, payload: Any, trace: Trace = UNTRACED) -> CartCheckoutResult:
        """The page shows both forms: the two lists, and an order that stands alone."""
        if isinstance(payload, dict):
            keys = {str(key).lower() for key in payload}
            if "id" in keys and not keys & {"orders", "ordererrors"}:
                return super().read({"orders": [payload]}, trace)
        return super().read(payload, trace)
