"""The small world of the property tests: one partner, two customers, one subscription of each kind.

No two legacy subscriptions of a customer become the same product, so that every New Commerce subscription
belongs to exactly one of them, whoever bought it.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from tests.safety.crowd import APPLICATION, PROVIDER_TENANT

PARTNER = "rossi-informatica"
_IDS = uuid.UUID("3f0b7a52-8f0e-5b1e-9d0e-0c5a4c1f7d31")


def _id(name: str) -> str:
    return str(uuid.uuid5(_IDS, name))


@dataclass(frozen=True)
class Thing:
    """One legacy subscription: its offer, what it becomes, and how."""

    name: str
    customer: str
    offer: str
    successor: str
    route: str = "migrate"
    parent: str | None = None
    auto_renew: bool = True

    @property
    def legacy_id(self) -> str:
        return _id(self.name)

    @property
    def customer_id(self) -> str:
        return _id(self.customer)


THINGS = (
    Thing("e3", "alfa", "796B6B5F-613C-4E24-A17C-EBA730D49C02", "CFQ7TTC0LF8R:0001"),
    Thing("archiving", "alfa", "2828BE95-46BA-4F91-B2FD-0BEF192ECF60", "CFQ7TTC0LH0J:0001", parent="e3"),
    Thing("aad", "alfa", "16C9F982-A827-4003-A88E-E75DF1927F27", "CFQ7TTC0LFLS:0002", "purchase"),
    Thing("off", "alfa", "800F4F3B-CFE1-42C1-9CEA-675512810488", "CFQ7TTC0LHSF:0001", auto_renew=False),
    Thing("school", "alfa", "7EB5101B-B893-4D63-92CA-72DF3C71FAFC", "", "none"),
    Thing("e1", "beta", "91FD106F-4B2C-4938-95AC-F54F74E9A239", "CFQ7TTC0LF8Q:0001"),
    Thing("intune", "beta", "51E95709-DC35-4780-9040-22278CB7C0E1", "CFQ7TTC0LCH4:0009", "purchase"),
)
BY_NAME = {thing.name: thing for thing in THINGS}
BY_ID = {thing.legacy_id: thing for thing in THINGS}
CUSTOMERS = ("alfa", "beta")
CONVERTIBLE = tuple(thing for thing in THINGS if thing.route != "none")
SEATS = 10


def customer_id(name: str) -> str:
    return _id(name)


def scenario() -> dict[str, Any]:
    """The simulator's story: it begins with the cut-over, and everything is due."""
    return {
        "name": "household",
        "clock": {"starts_at": "2022-07-11T00:00:10Z", "ends_at": "2022-08-20T00:00:00Z"},
        "provider": {
            "tenant_id": PROVIDER_TENANT,
            "mpn_id": "4100001",
            "applications": [APPLICATION],
        },
        "defaults": {"migration": {"takes": "PT2H"}, "seats": SEATS},
        "throttling": "off",
        "offers": [
            {
                "offer_id": thing.offer,
                "name": thing.name,
                **({"nce": thing.successor} if thing.successor else {"segment": "education"}),
                **({"migration_path": False} if thing.route == "purchase" else {}),
                **({"kind": "addon"} if thing.parent else {}),
            }
            for thing in THINGS
        ],
        "products": [
            {
                "product": thing.successor.split(":")[0],
                "title": thing.name,
                "skus": [{"sku": thing.successor.split(":")[1]}],
            }
            for thing in CONVERTIBLE
        ],
        "partners": [
            {
                "id": PARTNER,
                "name": "Rossi Informatica",
                "tenant_id": _id(PARTNER),
                "mpn_id": "4847383",
                "customers": [_customer(name) for name in CUSTOMERS],
            }
        ],
    }


def _customer(name: str) -> dict[str, Any]:
    held = [
        {
            "key": thing.name,
            "id": thing.legacy_id,
            "offer": thing.offer,
            "ends_at": "2022-07-24T08:00:00Z",
            "auto_renew": thing.auto_renew,
            **({"parent": thing.parent} if thing.parent else {}),
        }
        for thing in THINGS
        if thing.customer == name
    ]
    return {"key": name, "tenant_id": _id(name), "name": name.title(), "subscriptions": held}


def roster() -> list[dict[str, str]]:
    return [
        {
            "partner": PARTNER, "name": "Rossi Informatica", "tenant_id": _id(PARTNER), "mpn_id": "4847383",
            "country": "IT",
        }
    ]  # fmt: skip
