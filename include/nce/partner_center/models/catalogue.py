"""The catalogue: products, SKUs and availabilities."""

from __future__ import annotations

from typing import Any

from include.nce.partner_center.models.links import Details, Links
from include.nce.partner_center.models.reading import WireModel
from include.nce.partner_center.models.subscriptions import BillingCycleText, ProductType


class Product(WireModel):
    """get-a-list-of-products (08/23/2023)."""

    id: str
    title: str | None = None
    description: str | None = None
    product_type: ProductType | None = None
    is_microsoft_product: bool | None = None
    publisher_name: str | None = None
    links: Links


class Sku(WireModel):
    """get-a-list-of-skus-for-a-product (08/23/2023). Quantities are seats per subscription."""

    id: str
    product_id: str
    title: str | None = None
    description: str | None = None
    minimum_quantity: int | None = None
    maximum_quantity: int | None = None
    is_trial: bool | None = None
    supported_billing_cycles: tuple[BillingCycleText, ...] = ()
    purchase_prerequisites: tuple[str, ...] = ()
    provisioning_variables: tuple[Any, ...] = ()
    dynamic_attributes: Details
    links: Links


class Currency(WireModel):
    """The currency of an availability's prices (product-resources, 12/09/2022)."""

    code: str | None = None
    symbol: str | None = None


class Term(WireModel):
    """A term and billing cycle in which something is sold (product-resources, 12/09/2022)."""

    id: str | None = None
    duration: str | None = None
    description: str | None = None
    billing_cycle: BillingCycleText | None = None
    cancellation_policies: tuple[dict[str, Any], ...] = ()


class Availability(WireModel):
    """What can be bought now (get-a-list-of-availabilities-for-a-sku, 08/23/2023).

    Availability ids are short-lived: read just before a cart is made, and again on 404/400019.
    """

    id: str
    product_id: str
    sku_id: str
    catalog_item_id: str
    default_currency: Currency | None = None
    segment: str | None = None
    country: str | None = None
    is_purchasable: bool | None = None
    is_renewable: bool | None = None
    terms: tuple[Term, ...] = ()
    links: Links

    def sells(self, *, term: str, billing: str) -> bool:
        """Is this term and billing cycle among its terms? An availability that lists none sells any."""
        return not self.terms or any(
            offered.duration == term and (offered.billing_cycle or "").lower() == billing.lower()
            for offered in self.terms
        )
