"""The catalogue: products, SKUs, availabilities (also per customer), promotions and who may have them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from simulator.behaviour.purchases import item_in_force, qualified
from simulator.errors import Refusal
from simulator.exchange import Answer, Call, Operations
from simulator.records import CustomerRecord
from simulator.schema import CatalogueProduct, CatalogueSku, Promotion
from simulator.wire import collection, link
from simulator.world import world_item

operations = Operations()

SEGMENTS = ("commercial", "education", "government", "nonprofit")
VIEWS = (
    "onlineservices",
    "azure",
    "software",
    "microsoftazure",
    "azurereservations",
    "softwarepurchases",
    "saas",
)
TERM_WORDS = {"P1M": "One-Month", "P1Y": "One-Year", "P3Y": "Three-Year"}


def _country(call: Call) -> str:
    country = call.query("country")
    if not country or len(country) != 2:
        raise Refusal(800002, "country must be a two-letter code.")
    return country.upper()


def _product(item: CatalogueProduct, country: str) -> dict[str, Any]:
    uri = f"/products/{item.product}"
    return {
        "id": item.product,
        "title": item.title,
        "description": item.title,
        "productType": {"id": "OnlineServicesNCE", "displayName": "OnlineServicesNCE"},
        "isMicrosoftProduct": True,
        "publisherName": "Microsoft Corporation",
        "links": {"skus": link(f"{uri}/skus?country={country}"), "self": link(f"{uri}?country={country}")},
    }


def _products(call: Call, country: str, customer: CustomerRecord | None) -> dict[str, Any]:
    segment = (call.query("targetSegment") or "").lower()
    view = (call.query("targetView") or "").lower()
    if segment and segment not in SEGMENTS:
        raise Refusal(400030, segment)
    if not view:
        raise Refusal(800002, "targetView is missing.")
    if view not in VIEWS:
        raise Refusal(400036, view)
    found = [
        item
        for item in call.world.products.values()
        if view == "onlineservices"
        and segment in ("", item.segment)
        and (customer is None or qualified(customer, item.segment))
    ]
    uri = f"/products?country={country}&targetView={call.query('targetView')}"
    return collection([_product(item, country) for item in found], uri)


def _find_product(call: Call) -> CatalogueProduct:
    item = call.world.products.get(call.ids["product_id"].upper())
    if item is None:
        raise Refusal(400013, call.ids["product_id"])
    return item


def _find_sku(call: Call) -> tuple[CatalogueProduct, CatalogueSku]:
    product = _find_product(call)
    for sku in product.skus:
        if sku.sku == call.ids["sku_id"].upper():
            return product, sku
    raise Refusal(400018, call.ids["sku_id"])


def _sku(product: CatalogueProduct, sku: CatalogueSku, country: str) -> dict[str, Any]:
    uri = f"/products/{product.product}/skus/{sku.sku}"
    cycles = list(dict.fromkeys(option.billing for option in sku.terms))
    return {
        "id": sku.sku,
        "productId": product.product,
        "title": sku.title or product.title,
        "description": sku.title or product.title,
        "minimumQuantity": sku.min,
        "maximumQuantity": min(sku.max, sku.seat_cap or sku.max),
        "isTrial": False,
        "supportedBillingCycles": cycles,
        "purchasePrerequisites": ["MicrosoftCustomerAgreement"],
        "inventoryVariables": [],
        "provisioningVariables": [],
        "actions": ["Refund"],
        "dynamicAttributes": {
            "isMicrosoftProduct": True,
            "hasConstraints": sku.seat_cap is not None,
            "isAddon": bool(sku.addon_of),
            "prerequisiteSkus": sku.addon_of,
            "isSoftwareAssuranceApplicable": False,
            "upgradeTargetOffers": sku.upgrades_to,
            "internal": False,
        },
        "links": {
            "availabilities": link(f"{uri}/availabilities?country={country}"),
            "self": link(f"{uri}?country={country}"),
        },
    }


def _availability(call: Call, product: CatalogueProduct, sku: CatalogueSku, country: str) -> dict[str, Any]:
    item = world_item(call.world, f"{product.product}:{sku.sku}")
    key = item.rpartition(":")[2]
    terms = [
        {
            "id": f"{option.term.lower()}{option.billing}",
            "duration": option.term,
            "description": f"{TERM_WORDS[option.term]} commitment for {option.billing} billing",
            "billingCycle": option.billing.capitalize(),
            "cancellationPolicies": [
                {"refundOptions": [{"sequenceId": 0, "type": "Full", "expiresAfter": "P1D"}]}
            ],
        }
        for option in sku.terms
    ]
    renewal = {"renewToId": f"{product.product}:{sku.sku}", "isAutoRenewable": True}
    return {
        "id": key,
        "productId": product.product,
        "skuId": sku.sku,
        "catalogItemId": item,
        "defaultCurrency": {
            "code": call.world.scenario.provider.currency,
            "symbol": call.world.scenario.provider.currency,
        },
        "segment": product.segment,
        "country": country,
        "isPurchasable": True,
        "isRenewable": True,
        "renewalInstructions": [
            {"applicableTermIds": [term["id"] for term in terms], "renewalOptions": [renewal]}
        ],
        "terms": terms,
        "links": {
            "self": link(f"/products/{product.product}/skus/{sku.sku}/availabilities/{key}?country={country}")
        },
    }


PRODUCTS_PAGE, SKUS_PAGE, AVAILABILITIES_PAGE = (
    "products (08/23/2023)",
    "skus (08/23/2023)",
    "availabilities (08/23/2023)",
)
BY_CUSTOMER = "products-by-customer (06/28/2022)"


@operations.add(
    "GET", "/v1/products", auth="either", page=PRODUCTS_PAGE, query=("country", "targetView", "targetSegment")
)
def get_products(call: Call) -> Answer:
    """The products of a country, view and segment."""
    return Answer(_products(call, _country(call), None))


@operations.add("GET", "/v1/products/{product_id}", auth="either", page=PRODUCTS_PAGE, query=("country",))
def get_product(call: Call) -> Answer:
    """One product."""
    return Answer(_product(_find_product(call), _country(call)))


@operations.add("GET", "/v1/products/{product_id}/skus", auth="either", page=SKUS_PAGE, query=("country",))
def get_skus(call: Call) -> Answer:
    """The SKUs of a product."""
    return _skus(call, _country(call))


@operations.add(
    "GET", "/v1/products/{product_id}/skus/{sku_id}", auth="either", page=SKUS_PAGE, query=("country",)
)
def get_sku(call: Call) -> Answer:
    """One SKU."""
    return Answer(_sku(*_find_sku(call), _country(call)))


@operations.add(
    "GET",
    "/v1/products/{product_id}/skus/{sku_id}/availabilities",
    auth="either",
    page=AVAILABILITIES_PAGE,
    query=("country",),
)
def get_availabilities(call: Call) -> Answer:
    """How a SKU can be bought now. The ids live a short time only."""
    return _availabilities(call, _country(call))


@operations.add(
    "GET",
    "/v1/products/{product_id}/skus/{sku_id}/availabilities/{availability_id}",
    auth="either",
    page=AVAILABILITIES_PAGE,
    query=("country",),
)
def get_availability(call: Call) -> Answer:
    """One availability, as long as its id is in force."""
    product, sku = _find_sku(call)
    if not item_in_force(call.world, f"{product.product}:{sku.sku}:{call.ids['availability_id'].upper()}"):
        raise Refusal(400019, call.ids["availability_id"])
    return Answer(_availability(call, product, sku, _country(call)))


def _skus(call: Call, country: str) -> Answer:
    product = _find_product(call)
    items = [_sku(product, sku, country) for sku in product.skus]
    return Answer(collection(items, f"/products/{product.product}/skus?country={country}"))


def _availabilities(call: Call, country: str) -> Answer:
    product, sku = _find_sku(call)
    uri = f"/products/{product.product}/skus/{sku.sku}/availabilities?country={country}"
    return Answer(collection([_availability(call, product, sku, country)], uri))


def _own_country(call: Call) -> str:
    """The customer's country; a product of a segment that is closed to the customer does not exist for it."""
    customer = call.customer()
    if "product_id" in call.ids and not qualified(customer, _find_product(call).segment):
        raise Refusal(400013, call.ids["product_id"])
    return customer.profile.country or ""


@operations.add(
    "GET",
    "/v1/customers/{customer_id}/products",
    auth="either",
    page=BY_CUSTOMER,
    query=("targetView", "targetSegment"),
)
def get_customer_products(call: Call) -> Answer:
    """The products that a customer may buy."""
    return Answer(_products(call, _own_country(call), call.customer()))


@operations.add(
    "GET", "/v1/customers/{customer_id}/products/{product_id}/skus", auth="either", page=BY_CUSTOMER
)
def get_customer_skus(call: Call) -> Answer:
    """The SKUs of a product for a customer."""
    return _skus(call, _own_country(call))


@operations.add(
    "GET",
    "/v1/customers/{customer_id}/products/{product_id}/skus/{sku_id}/availabilities",
    auth="either",
    page=BY_CUSTOMER,
)
def get_customer_availabilities(call: Call) -> Answer:
    """How a customer can buy a SKU now."""
    return _availabilities(call, _own_country(call))


def _promotion(promotion: Promotion) -> dict[str, Any]:
    product, sku = promotion.sku.split(":")
    return {
        "id": promotion.id,
        "name": promotion.name,
        "description": promotion.name,
        "startDate": promotion.starts_at.isoformat(),
        "endDate": promotion.ends_at.isoformat(),
        "properties": {"isAutoApplicable": True},
        "requiredProducts": [
            {
                "productId": product,
                "skuId": sku,
                "term": {"duration": promotion.term, "billingCycle": promotion.billing.capitalize()},
                "pricingPolicies": [{"policyType": "PercentDiscount", "value": str(promotion.percent / 100)}],
            }
        ],
    }


@operations.add(
    "GET",
    "/v1/productpromotions",
    auth="either",
    page="get-promotions (08/23/2023)",
    query=("country", "segment"),
)
def get_promotions(call: Call) -> Answer:
    """The promotions of a segment that run now."""
    _country(call)
    segment = (call.query("segment") or "").lower()
    if segment not in SEGMENTS:
        raise Refusal(400030, segment)
    running = [
        promotion
        for promotion in call.world.scenario.promotions
        if promotion.segment == segment and promotion.starts_at <= call.now <= promotion.ends_at
    ]
    return Answer(collection([_promotion(promotion) for promotion in running]))


class PromotionItem(BaseModel):
    """One purchase to look at."""

    model_config = ConfigDict(extra="ignore")
    id: int | None = None
    item: str = Field(alias="catalogItemId")
    quantity: int
    term: str = Field(alias="termDuration")
    billing: str = Field(alias="billingCycle")
    promotion: str | None = Field(default=None, alias="promotionId")


class PromotionItems(BaseModel):
    """Purchases to look at."""

    items: list[PromotionItem] = Field(min_length=1)


@operations.add(
    "POST",
    "/v1/customers/{customer_id}/promotionEligibilities",
    auth="either",
    page="verify-promotion-eligibility (11/17/2022)",
    body=PromotionItems,
)
def verify_promotion_eligibility(call: Call) -> Answer:
    """Which promotions a purchase would get."""
    call.customer()
    items = [
        {
            "id": number if item.id is None else item.id,
            "catalogItemId": item.item,
            "quantity": item.quantity,
            "billingCycle": item.billing.lower(),
            "termDuration": item.term,
            "eligibilities": _eligibilities(call, item),
            "attributes": {"objectType": "PromotionEligibilities"},
        }
        for number, item in enumerate(call.model(PromotionItems).items)
    ]
    return Answer(collection(items))


def _eligibilities(call: Call, item: PromotionItem) -> list[dict[str, Any]]:
    sku = item.item.rpartition(":")[0]
    if sku not in call.world.skus:
        return [_no(item.promotion, "InvalidCatalogItemId", "The catalog item id is not valid.")]
    known = [
        promotion
        for promotion in call.world.scenario.promotions
        if promotion.sku == sku
        and promotion.starts_at <= call.now <= promotion.ends_at
        and item.promotion in (None, promotion.id)
    ]
    if not known and item.promotion:
        return [_no(item.promotion, "InvalidPromotion", "The promotion is not valid.")]
    if not known:
        return [_no(None, "NoPromotionsAvailable", "There are no promotions.")]
    return [_eligibility(promotion, item) for promotion in known]


def _eligibility(promotion: Promotion, item: PromotionItem) -> dict[str, Any]:
    if (promotion.term, promotion.billing) != (item.term.upper(), item.billing.lower()):
        return _no(promotion.id, "Term", "The term or the billing cycle does not fit the promotion.")
    if not promotion.min_seats <= item.quantity <= promotion.max_seats:
        seats = {
            "minimumRequiredSeats": promotion.min_seats,
            "maximumRequiredSeats": promotion.max_seats,
            "availableSeats": promotion.max_seats,
        }
        text = (
            "The provided quantity does not satisfy the minimum or maximum seat requirements "
            "for the promotion."
        )
        return _no(promotion.id, "SeatCount", text, seats)
    return {"promotionId": promotion.id, "isEligible": True}


def _no(promotion: str | None, kind: str, text: str, more: dict[str, Any] | None = None) -> dict[str, Any]:
    error = {**(more or {}), "type": kind, "description": text}
    body: dict[str, Any] = {"promotionId": promotion} if promotion else {}
    return body | {"isEligible": False, "errors": [error]}
