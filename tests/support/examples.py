"""A small campaign, a partner and its customer's subscriptions, for tests to vary.

Responsible for plain values only; what behaves belongs to the fakes beside this module.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from include.nce.domain.campaign import Campaign
from include.nce.domain.conversion import Conversion, ConversionState, Route
from include.nce.domain.partner import Partner
from include.nce.domain.readiness import Answer, Check, Finding
from include.nce.domain.subscription import Status, Subscription, SubscriptionKind

CAMPAIGN = "csp-commercial-2022"
PARTNER_TENANT = "11111111-0000-4000-8000-000000000001"
OTHER_TENANT = "11111111-0000-4000-8000-000000000002"
CUSTOMER = "22222222-0000-4000-8000-000000000001"
OTHER_CUSTOMER = "22222222-0000-4000-8000-000000000002"
MPN_ID = "4711001"
OTHER_MPN_ID = "4711002"

BASIC = "33333333-0000-4000-8000-000000000001"
"""Migrates to `BASIC_NCE`."""
BASIC_NCE = "CFQ7TTC0LH18:0001"
AUDIO = "33333333-0000-4000-8000-000000000002"
"""An add-on of `BASIC`; migrates to `AUDIO_NCE`."""
AUDIO_NCE = "CFQ7TTC0LH05:0001"
IDENTITY = "33333333-0000-4000-8000-000000000003"
"""Has no migration path: it is bought as `IDENTITY_NCE`."""
IDENTITY_NCE = "CFQ7TTC0LFLS:0002"
SIGN_IN = "33333333-0000-4000-8000-000000000004"
"""An add-on of `IDENTITY`; it is bought as `SIGN_IN_NCE`."""
SIGN_IN_NCE = "CFQ7TTC0LFLT:0003"
SCHOOL = "33333333-0000-4000-8000-000000000005"
CHARITY = "33333333-0000-4000-8000-000000000006"
TOWN_HALL = "33333333-0000-4000-8000-000000000007"
EITHER = "33333333-0000-4000-8000-000000000008"
"""Migrates; where Microsoft has no path for it, it is bought as `EITHER_NCE`."""
EITHER_NCE = "CFQ7TTC0LHSF:0001"
UNMAPPED = "33333333-0000-4000-8000-000000000009"
"""Commercial, migrates to whatever Microsoft says: the table names no successor."""
UNKNOWN_OFFER = "33333333-0000-4000-8000-00000000dead"


def at(text: str) -> datetime:
    """`2022-07-11 00:00` as a moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


def legacy_id(number: int) -> str:
    return f"44444444-0000-4000-8000-{number:012d}"


def nce_id(number: int) -> str:
    return f"55555555-0000-4000-8000-{number:012d}"


def document(**changes: Any) -> dict[str, Any]:
    """The founding campaign's dates with a few offers, as a campaign file holds them."""
    product, sku = IDENTITY_NCE.split(":")
    add_on_product, add_on_sku = SIGN_IN_NCE.split(":")
    either_product, either_sku = EITHER_NCE.split(":")
    base: dict[str, Any] = {
        "campaign": CAMPAIGN,
        "title": "Legacy to New Commerce",
        "service_desk": "desk@provider.example",
        "moments": {
            "opens": {"on": "2022-05-19", "zone": "Europe/Rome", "inclusive": False},
            "opt_out_deadline": {"on": "2022-06-30", "zone": "partner"},
            "readiness_deadline": {"on": "2022-06-30", "zone": "partner"},
            "last_legacy_renewal": {"on": "2022-07-10", "zone": "UTC"},
            "cut_over": {"at": "2022-07-11T00:00:00+00:00"},
            "closes": {"on": "2023-07-31", "zone": "UTC"},
        },
        "guides": {"IT": "https://provider.example/it/link"},
        "offers": [
            {"offer_id": BASIC, "name": "Business Basic", "segment": "commercial", "nce": BASIC_NCE},
            {"offer_id": AUDIO, "name": "Audio Conferencing", "segment": "commercial", "nce": AUDIO_NCE},
            {
                "offer_id": IDENTITY,
                "name": "Identity P1",
                "segment": "commercial",
                "route": "purchase",
                "purchase": {"product": product, "sku": sku},
            },
            {
                "offer_id": SIGN_IN,
                "name": "Identity add-on",
                "segment": "commercial",
                "route": "purchase",
                "purchase": {"product": add_on_product, "sku": add_on_sku},
            },
            {"offer_id": SCHOOL, "name": "A1 for schools", "segment": "education"},
            {"offer_id": CHARITY, "name": "Basic for charities", "segment": "nonprofit"},
            {"offer_id": TOWN_HALL, "name": "G3", "segment": "government"},
            {
                "offer_id": EITHER,
                "name": "Business Standard",
                "segment": "commercial",
                "nce": EITHER_NCE,
                "purchase": {"product": either_product, "sku": either_sku},
            },
            {"offer_id": UNMAPPED, "name": "Project", "segment": "commercial"},
        ],
    }
    return {**base, **changes}


SAME_ITEM = [
    {
        "offer_id": offer,
        "name": offer,
        "segment": "commercial",
        "route": "purchase",
        "purchase": dict(zip(("product", "sku"), IDENTITY_NCE.split(":"), strict=True)),
    }
    for offer in (IDENTITY, SIGN_IN)
]
"""Offers of a campaign in which a base and its add-on are bought as one and the same product."""


def campaign(**changes: Any) -> Campaign:
    return Campaign.model_validate(document(**changes))


def partner(**changes: Any) -> Partner:
    facts: dict[str, Any] = {
        "partner": "rossi-informatica",
        "name": "Rossi Informatica S.r.l.",
        "tenant_id": PARTNER_TENANT,
        "mpn_id": MPN_ID,
        "province": "MI",
    }
    return Partner(**{**facts, **changes})


def legacy(number: int = 1, **changes: Any) -> Subscription:
    """An active commercial subscription that ends on 20 July 2022 and is due at the cut-over."""
    facts: dict[str, Any] = {
        "subscription_id": legacy_id(number),
        "customer_id": CUSTOMER,
        "offer_id": BASIC,
        "offer_name": "Business Basic",
        "kind": SubscriptionKind.LEGACY,
        "status": Status.ACTIVE,
        "seats": 10,
        "term_end_at": at("2022-07-20 08:00"),
        "auto_renew": True,
        "term": "P1Y",
        "billing": "monthly",
        "partner_mpn_id": MPN_ID,
    }
    return Subscription(**{**facts, **changes})


def add_on(number: int = 2, base: int = 1, **changes: Any) -> Subscription:
    facts: dict[str, Any] = {
        "offer_id": AUDIO,
        "offer_name": "Audio Conferencing",
        "parent_id": legacy_id(base),
        "seats": 4,
    }
    return legacy(number, **{**facts, **changes})


def nce(number: int = 1, **changes: Any) -> Subscription:
    facts: dict[str, Any] = {
        "subscription_id": nce_id(number),
        "offer_id": f"{BASIC_NCE}:CFQ7TTC0K9ZZ",
        "kind": SubscriptionKind.NCE,
        "term_end_at": at("2023-07-20 00:00"),
    }
    return legacy(number, **{**facts, **changes})


def conversion(
    number: int = 1, state: ConversionState = ConversionState.PLANNED, **changes: Any
) -> Conversion:
    """Ours, of the legacy subscription of the same number."""
    facts: dict[str, Any] = {
        "conversion_id": number,
        "campaign": CAMPAIGN,
        "partner": "rossi-informatica",
        "customer_id": CUSTOMER,
        "legacy_id": legacy_id(number),
        "base_id": legacy_id(number),
        "route": Route.MIGRATE,
        "state": state,
    }
    return Conversion(**{**facts, **changes})


def all_in_order(customers: int = 1) -> list[Finding]:
    """The four checks, green."""
    return [Finding(check, Answer.SATISFIED, "In order.", customers=customers) for check in Check]
