"""Promotions and whether a customer may have them."""

from __future__ import annotations

from typing import Any

from include.nce.partner_center.models.links import Attributes, Details
from include.nce.partner_center.models.reading import Moment, RequestModel, Text, WireModel
from include.nce.partner_center.models.subscriptions import BillingCycleText


class PromotionTerm(WireModel):
    duration: str | None = None
    billing_cycle: BillingCycleText | None = None


class RequiredProduct(WireModel):
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
    id: int | None = None
    catalog_item_id: str
    quantity: int
    term_duration: str
    billing_cycle: str
    promotion_id: str | None = None


class PromotionEligibilityRequest(RequestModel):
    items: list[PromotionEligibilityItem]


class PromotionEligibilityError(WireModel):
    """`type` is one of InvalidCatalogItemId, InvalidPromotion, PrerequisiteProductOwnership, RedemptionLimit,
    SeatCount, OfferPurchasedPreviously, Term, NoPromotionsAvailable; seat limits come with SeatCount."""

    type: str | None = None
    description: str | None = None
    minimum_required_seats: int | None = None
    maximum_required_seats: int | None = None
    available_seats: int | None = None


class PromotionEligibility(WireModel):
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
