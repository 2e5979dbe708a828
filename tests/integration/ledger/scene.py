"""Objects the ledger's tests put on record."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from include.nce.domain.campaign import Campaign
from include.nce.domain.classification import SubscriptionClass, Verdict
from include.nce.domain.conversion import Route
from include.nce.domain.partner import Partner
from include.nce.domain.readiness import Answer, Check, Finding
from include.nce.domain.subscription import Status, Subscription, SubscriptionKind

CAMPAIGN = "csp-commercial-2022"
RUN = "csp-commercial-2022__rossi"
AT = datetime(2022, 6, 1, 8, tzinfo=timezone.utc)
LATER = AT + timedelta(hours=6)
OFFER = "0cca9d6a-68e6-4b58-b0f5-7f3d6d1a9f11"


def guid(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, name))


CUSTOMER = guid("customer")


def campaign(**changes: Any) -> Campaign:
    document = {
        "campaign": CAMPAIGN,
        "title": "Commercial legacy CSP to NCE",
        "service_desk": "desk@provider.example",
        "moments": {
            "opens": {"on": "2022-05-19", "inclusive": False, "zone": "Europe/Rome"},
            "opt_out_deadline": {"on": "2022-06-30", "zone": "partner"},
            "readiness_deadline": {"on": "2022-06-30", "zone": "partner"},
            "last_legacy_renewal": {"on": "2022-07-10"},
            "cut_over": {"at": "2022-07-11T00:00:00Z"},
            "closes": {"on": "2022-12-31"},
        },
        "offers": [{"offer_id": OFFER, "name": "Business Basic", "segment": "commercial"}],
        **changes,
    }
    return Campaign.model_validate(document)


def partner(name: str, **changes: Any) -> Partner:
    fields = {
        "partner": name,
        "name": f"{name.title()} S.r.l.",
        "tenant_id": guid(f"tenant {name}"),
        **changes,
    }
    return Partner.model_validate(fields)


def subscription(name: str, **changes: Any) -> Subscription:
    fields: dict[str, Any] = {
        "subscription_id": guid(name),
        "customer_id": CUSTOMER,
        "offer_id": OFFER,
        "offer_name": "Business Basic",
        "kind": SubscriptionKind.LEGACY,
        "status": Status.ACTIVE,
        "seats": 5,
        "term_end_at": datetime(2022, 7, 20, 8, tzinfo=timezone.utc),
        "auto_renew": True,
        **changes,
    }
    return Subscription(**fields)


def due(name: str, *, travels_with: str | None = None, **changes: Any) -> Verdict:
    fields: dict[str, Any] = {
        "klass": SubscriptionClass.DUE,
        "reason": "Convertible now.",
        "route": Route.MIGRATE,
        "term": "P1Y",
        "billing": "monthly",
        "seats": 5,
        "travels_with": guid(travels_with) if travels_with else None,
        **changes,
    }
    return Verdict(subscription(name), **fields)


def missing(reason: str = "The Microsoft Partner Agreement is not signed.") -> Finding:
    return Finding(Check.MPA, Answer.MISSING, reason, code=2203)
