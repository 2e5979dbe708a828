"""A generated story: many small partners, each with one customer and one subscription, all due at once.

Partner `m-017` has a subscription that migrates, `p-017` one that has to be bought: each crash point gets a
partner of its own, so that all of them can be tried side by side.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scripts.stack.installation import CHECKOUT

CAMPAIGN = "csp-commercial-2022"
FOUNDING = CHECKOUT / "include/campaigns" / f"{CAMPAIGN}.yaml"
STARTS_AT = "2022-07-11T00:00:10Z"
"""Ten seconds after the cut-over: every date has passed, and everything is due."""
PROVIDER_TENANT = "1d6b5a0e-6c1e-4f7e-9a52-3f6a0c9b7e10"
APPLICATION = {
    "client_id": "6f2d9c1a-3b7e-4d58-8a41-90c5e2f7b3d4",
    "client_secret": "crowd-client-secret",
    "refresh_token": "crowd-refresh-token",
}
MIGRATES = ("796B6B5F-613C-4E24-A17C-EBA730D49C02", "CFQ7TTC0LF8R:0001")
IS_BOUGHT = ("16C9F982-A827-4003-A88E-E75DF1927F27", "CFQ7TTC0LFLS:0002")
ROUTES = ("migrate", "purchase")
SEATS = 7
_IDS = uuid.UUID("b1d0a7de-55c3-5a6a-9c1c-6d7a6f1e2a90")


def _id(*words: str) -> str:
    return str(uuid.uuid5(_IDS, "/".join(words)))


@dataclass(frozen=True)
class Member:
    """One partner of the crowd, and what it has."""

    route: str
    number: int

    @property
    def partner(self) -> str:
        return f"{self.route[0]}-{self.number:03d}"

    @property
    def run_id(self) -> str:
        return f"{CAMPAIGN}__{self.partner}"

    @property
    def tenant_id(self) -> str:
        return _id(self.partner)

    @property
    def customer_id(self) -> str:
        return _id(self.partner, "customer")

    @property
    def legacy_id(self) -> str:
        return _id(self.partner, "legacy")

    @property
    def product_and_sku(self) -> str:
        return (MIGRATES if self.route == "migrate" else IS_BOUGHT)[1]

    @property
    def mpn_id(self) -> str:
        return str(4_300_000 + 1_000 * ROUTES.index(self.route) + self.number)


def crowd(each_route: int) -> list[Member]:
    """As many partners for each route."""
    return [Member(route, number) for route in ROUTES for number in range(each_route)]


def scenario(members: list[Member], **changes: Any) -> dict[str, Any]:
    """The simulator's story of this crowd."""
    offers = [
        {"offer_id": MIGRATES[0], "name": "Office 365 E3", "nce": MIGRATES[1]},
        {"offer_id": IS_BOUGHT[0], "name": "Azure AD P1", "nce": IS_BOUGHT[1], "migration_path": False},
    ]
    products = [
        {"product": item.split(":")[0], "title": item, "skus": [{"sku": item.split(":")[1]}]}
        for _, item in (MIGRATES, IS_BOUGHT)
    ]
    return {
        "name": "crowd",
        "clock": {"starts_at": STARTS_AT, "ends_at": "2022-08-01T00:00:00Z"},
        "provider": {
            "name": "Distribuzione Cloud Italia S.p.A.",
            "tenant_id": PROVIDER_TENANT,
            "mpn_id": "4100001",
            "applications": [APPLICATION],
        },
        "defaults": {"migration": {"takes": "PT1H"}, "seats": SEATS},
        "throttling": "off",
        "offers": offers,
        "products": products,
        "partners": [_partner(member) for member in members],
        **changes,
    }


def _partner(member: Member) -> dict[str, Any]:
    offer = MIGRATES[0] if member.route == "migrate" else IS_BOUGHT[0]
    legacy = {"id": member.legacy_id, "offer": offer, "seats": SEATS, "ends_at": "2022-07-22T08:00:00Z"}
    return {
        "id": member.partner,
        "name": f"Partner {member.partner}",
        "tenant_id": member.tenant_id,
        "mpn_id": member.mpn_id,
        "customers": [
            {
                "key": f"customer-{member.partner}",
                "tenant_id": member.customer_id,
                "name": f"Customer of {member.partner}",
                "subscriptions": [legacy],
            }
        ],
    }


def roster(members: list[Member]) -> list[dict[str, str]]:
    """The list of these partners as the campaign reads it."""
    return [
        {
            "partner": member.partner,
            "name": f"Partner {member.partner}",
            "tenant_id": member.tenant_id,
            "mpn_id": member.mpn_id,
            "country": "IT",
        }
        for member in members
    ]


def write(members: list[Member], folder: Path) -> tuple[Path, Path]:
    """Scenario and campaign file in `folder`, with the roster beside them."""
    story, list_of_partners = folder / "crowd.yaml", folder / "crowd.roster.json"
    story.write_text(yaml.safe_dump(scenario(members), sort_keys=False))
    list_of_partners.write_text(json.dumps(roster(members)))
    # Without its brake: a campaign in which every process dies would stop itself.
    policy = re.sub(r"(?m)^(roster|brake):.*$", "", FOUNDING.read_text(encoding="utf-8"))
    campaign = folder / "crowd.campaign.yaml"
    campaign.write_text(f"{policy}\nroster: {json.dumps(str(list_of_partners))}\n")
    return story, campaign
