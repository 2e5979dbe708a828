"""Promotions and whether a customer may have them."""

from __future__ import annotations

from typing import Any

from include.nce.partner_center.models.links import Attributes, Details
from include.nce.partner_center.models.reading import Moment, RequestModel, Text, WireModel
from include.nce.partner_center.models.subscriptions import BillingCycleText


class PromotionTerm(WireModel):
    """A term and billing cycle to which the promotion applies (get-promotions, 08/23/2023)."""

    duration: str | None = None
    billing_cycle: BillingCycleText | None = None


class RequiredProduct(WireModel):
    """What a customer has to have for it (get-promotions, 08/23/2023)."""

    product_id: str
    sku_id: str | None = None
    term: PromotionTerm | None = None
    pricing_policies: tuple[dict[str, Any], ...] = ()


class Promotion(WireModel):
    """get-promotions (08/23/2023). `id` is `product:sku:availability` shaped."""

    id: str
    name: str | None = None
    description: str | None = None
    start_date: Moment = None
    end_date: Moment = None
    properties: Details
    required_products: tuple[RequiredProduct, ...] = ()


class PromotionEligibilityItem(RequestModel):
    """One line that would be bought (verify-promotion-eligibility, 11/17/2022)."""

    id: int | None = None
    catalog_item_id: str
    quantity: int
    term_duration: str
    billing_cycle: str
    promotion_id: str | None = None


class PromotionEligibilityRequest(RequestModel):
    """Body of the question (verify-promotion-eligibility, 11/17/2022)."""

    items: list[PromotionEligibilityItem]


class PromotionEligibilityError(WireModel):
    """`type` is one of InvalidCatalogItemId, InvalidPromotion, PrerequisiteProductOwnership, RedemptionLimit,
    SeatCount, OfferPurchasedPreviously, Term, NoPromotionsAvailable; seat limits come with SeatCount
    (verify-promotion-eligibility, 11/17/2022)."""

    type: str | None = None
    description: str | None = None
    minimum_required_seats: int | None = None
    maximum_required_seats: int | None = None
    available_seats: int | None = None


class PromotionEligibility(WireModel):
    """The verdict on one promotion (verify-promotion-eligibility, 11/17/2022)."""

    promotion_id: str | None = None
    is_eligible: bool
    errors: tuple[PromotionEligibilityError, ...] = ()


class PromotionEligibilities(WireModel):
    """One line's verdicts (verify-promotion-eligibility, 11/17/2022)."""

    id: Text | None = None
    catalog_item_id: str | None = None
    quantity: int | None = None
    term_duration: str | None = None
    billing_cycle: BillingCycleText | None = None
    eligibilities: tuple[PromotionEligibility, ...] = ()
    attributes: Attributes | None = None
