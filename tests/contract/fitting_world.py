"""A simulated world in which everything that a documented request names exists and may be had.

Responsible for reading a request's ids, offers, terms, partners and moments out of its body and for putting
them into a scenario. Works on the body alone, so it fits examples nobody has seen yet.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from simulator.wire import wire_moment
from tests.contract.folder import Example, camel_case
from tests.simulator.bench import START, at, scenario

CUSTOMER = "4d3cf487-70f4-4e1e-9ff1-b2bfce8d9f04"
PARTNER_OF_RECORD = "4847383"
CATALOGUE_ITEM = re.compile(r"([A-Z0-9]{12}):([A-Z0-9]{4}):([A-Z0-9]{12})")
GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
IDS_OF_OFFERS = ("catalogItemId", "offerId", "fromCatalogItemId", "toCatalogItemId")
IDS_OF_PARTNERS = ("partnerIdOnRecord", "additionalPartnerIdsOnRecord", "partnerIds", "partnerId", "value")
LATER_MOMENTS = ("customTermEndDate", "targetDate")


def fitting_story(example: Example) -> dict[str, Any]:
    """The scenario for one request."""
    body = camel_case(example.payload)
    start = _start(example, body)
    partners = [_partner(number, mpn_id) for number, mpn_id in enumerate(_partner_ids(body))]
    partners[0]["customers"] = [_customer(example, body, start)]
    products, offers = _catalogue(body)
    if "currentSubscriptionId" in body:
        products, offers = _successors(body)
    if example.subject == "Subscription" and not offers and not products:
        offers = [{"offer_id": _offer_of(0), "name": "Legacy offer"}]
    return scenario(
        name=example.name,
        clock={
            "starts_at": start.isoformat(),
            "ends_at": (start + timedelta(days=400)).isoformat(),
        },
        offers=offers,
        products=products,
        promotions=list(_promotions(body, start)),
        partners=partners,
    )


def customer_of(body: Any) -> str:
    """The tenant id of the customer that a body names, or ours."""
    fields = body if isinstance(body, dict) else {}
    return str(fields.get("referenceCustomerId") or fields.get("customerTenantId") or CUSTOMER).lower()


def _walk(value: Any) -> Iterator[dict[str, Any]]:
    """Every object inside a body, the outermost first."""
    if isinstance(value, dict):
        yield value
        for part in value.values():
            yield from _walk(part)
    elif isinstance(value, list):
        for part in value:
            yield from _walk(part)


def _values(body: Any, *names: str) -> Iterator[str]:
    for owner in _walk(body):
        for name in names:
            found = owner.get(name)
            yield from (str(value) for value in (found if isinstance(found, list) else [found]) if value)


def _start(example: Example, body: Any) -> datetime:
    """Ten days before the first moment that must lie ahead, or a day after one that must lie behind."""
    if example.subject != "Subscription":
        for name, shift in ((LATER_MOMENTS, -10), (("dateAgreed",), 1)):
            moments = [moment for text in _values(body, *name) if (moment := wire_moment(text))]
            if moments:
                return min(moments) + timedelta(days=shift)
    return at(START)


def _partner_ids(body: Any) -> list[str]:
    if isinstance(body, dict) and {"field", "operator"} <= set(body):
        return [PARTNER_OF_RECORD]
    ids = [value for value in _values(body, *IDS_OF_PARTNERS) if value.isdecimal()]
    return list(dict.fromkeys(ids)) or [PARTNER_OF_RECORD]


def _partner(number: int, mpn_id: str) -> dict[str, Any]:
    return {"id": f"partner-{number}", "name": f"Partner {number}", "mpn_id": mpn_id}


def _customer(example: Example, body: Any, start: datetime) -> dict[str, Any]:
    wanted = body.get("value", "") if isinstance(body, dict) and "operator" in body else ""
    row: dict[str, Any] = {
        "tenant_id": customer_of(body),
        "name": f"{wanted}oso Example" if wanted else "Example",
        "domain": f"{wanted}oso.example" if wanted else "customer.example",
        "subscriptions": list(_subscriptions(example, body, start)),
    }
    return row


def _subscriptions(example: Example, body: Any, start: datetime) -> Iterator[dict[str, Any]]:
    if not isinstance(body, dict):
        return
    for number, part in enumerate(_migrating(body)):
        yield {
            "id": part["currentSubscriptionId"],
            "offer": _offer_of(number),
            "seats": max(part.get("quantity") or 0, 1),
            "ends_at": (start + timedelta(days=200)).isoformat(),
            **({"parent": body["currentSubscriptionId"]} if number else {}),
        }
        if part.get("customTermEndDate"):
            yield {
                "key": f"aligned-{number}",
                "nce": dict(zip(("product", "sku"), _successor(number).split(":"), strict=True)),
                "ends_at": part["customTermEndDate"],
            }
    if example.subject == "Subscription":
        yield _changing(body, start)
    if example.subject == "Transition":
        yield from _upgrading(body, start)


def _changing(body: dict[str, Any], start: datetime) -> dict[str, Any]:
    """The subscription before the change: another number of seats, and a new-commerce one is a day old."""
    row: dict[str, Any] = {
        "id": body["id"],
        "seats": body.get("quantity", 1) + 1,
        "friendly_name": "as before",
        "status": "suspended" if str(body.get("status")).lower() == "active" else "active",
    }
    if body.get("billingCycle"):
        row["billing"] = body["billingCycle"]
    item = CATALOGUE_ITEM.fullmatch(body.get("offerId") or "")
    if item is None:
        return row | {
            "offer": body.get("offerId") or _offer_of(0),
            "ends_at": (start + timedelta(days=200)).isoformat(),
        }
    term = body.get("termDuration") or "P1Y"
    return row | {
        "status": "active",
        "nce": {"product": item[1], "sku": item[2]},
        "term": term,
        "ends_at": (start + timedelta(days=29 if term == "P1M" else 364)).isoformat(),
        "created_at": (start - timedelta(days=1)).isoformat(),
    }


def _upgrading(body: dict[str, Any], start: datetime) -> Iterator[dict[str, Any]]:
    """The subscription that becomes another product, with a seat more, and the one that takes its seats."""
    for end in ("from", "to"):
        if body.get(f"{end}SubscriptionId"):
            item = body[f"{end}CatalogItemId"].split(":")
            yield {
                "id": body[f"{end}SubscriptionId"],
                "nce": {"product": item[0], "sku": item[1]},
                "seats": body["quantity"] + 1,
                "term": body["termDuration"],
                "billing": body["billingCycle"].lower(),
                "ends_at": (start + timedelta(days=20)).isoformat(),
            }


def _migrating(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The base and the add-ons of a migration or schedule."""
    if not body.get("currentSubscriptionId"):
        return []
    return [body, *(body.get("addOnMigrations") or body.get("addOnMigrationSchedules") or [])]


def _offer_of(number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"offer-{number}"))


def _successor(number: int) -> str:
    return f"CFQ7TTC0LD{number:02d}:0001"


def _successors(body: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Products and offers for a bundle: each offer migrates to a product sold as the body wants it."""
    products, offers = [], []
    for number, part in enumerate(_migrating(body)):
        product, sku = _successor(number).split(":")
        products.append({"product": product, "title": product, "skus": [_sku(sku, [part])]})
        offers.append(
            {
                "offer_id": _offer_of(number),
                "name": f"Offer {number}",
                "kind": "addon" if number else "license",
                "nce": _successor(number),
            }
        )
    return products, offers


def _sku(sku: str, wishes: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A SKU that is sold in every way somebody wishes, and by the month for a year."""
    ways = [
        (wish.get("termDuration") or "P1Y", (wish.get("billingCycle") or "unknown").lower())
        for wish in wishes
    ]
    ways = [(term, "monthly" if billing == "unknown" else billing) for term, billing in ways]
    terms = [
        {"term": term, "billing": billing} for term, billing in dict.fromkeys([*ways, ("P1Y", "monthly")])
    ]
    return {"sku": sku, "terms": terms, **more}


def _catalogue(body: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Products with pinned availabilities and legacy offers, for every item somebody names."""
    skus: dict[tuple[str, str], tuple[str, list[dict[str, Any]]]] = {}
    offers: dict[str, dict[str, Any]] = {}
    for owner in _walk(body):
        for name in IDS_OF_OFFERS:
            text = str(owner.get(name) or "")
            if item := CATALOGUE_ITEM.fullmatch(text):
                wish = {"billingCycle": body.get("billingCycle"), **owner}  # an order says it once for all
                skus.setdefault((item[1], item[2]), (item[3], []))[1].append(wish)
            elif text:
                kind = "license" if GUID.fullmatch(text) else "azure"
                offers[text.upper()] = {"offer_id": text, "name": "Legacy offer", "kind": kind}
    products: dict[str, dict[str, Any]] = {}
    for (product, sku), (availability, wishes) in skus.items():
        row = products.setdefault(product, {"product": product, "title": product, "skus": []})
        upgrades = [
            wish["toCatalogItemId"].rpartition(":")[0] for wish in wishes if wish.get("toCatalogItemId")
        ]
        row["skus"].append(_sku(sku, wishes, availability=availability, upgrades_to=upgrades))
    return list(products.values()), list(offers.values())


def _promotions(body: Any, start: datetime) -> Iterator[dict[str, Any]]:
    for owner in _walk(body):
        item = CATALOGUE_ITEM.fullmatch(str(owner.get("catalogItemId") or ""))
        if item and owner.get("promotionId"):
            yield {
                "id": owner["promotionId"],
                "name": "Promotion",
                "sku": f"{item[1]}:{item[2]}",
                "term": owner["termDuration"],
                "billing": owner["billingCycle"].lower(),
                "max_seats": owner["quantity"],
                "starts_at": (start - timedelta(days=1)).isoformat(),
                "ends_at": (start + timedelta(days=100)).isoformat(),
            }
