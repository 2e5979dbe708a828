"""Rows of the ledger's status, as short as a test wants them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from include.nce.ledger.reports import CampaignStatus, PartnerStatus, Totals


def campaign_status(*partners: PartnerStatus) -> CampaignStatus:
    """The status of a campaign with these partners."""
    totals = Totals(partners=len(partners), subscriptions={}, outcomes={})
    return CampaignStatus(campaign="csp-commercial-2022", version=1, partners=list(partners), totals=totals)


def partner_row(
    partner: str,
    outcome: str | None = None,
    *,
    sentence: str = "",
    run_id: str | None = "csp-commercial-2022__run",
    checks: Mapping[str, str] | None = None,
    ruling: str | None = None,
    totals: Mapping[str, int] | None = None,
    lines: Mapping[str, Mapping[str, Any]] | None = None,
) -> PartnerStatus:
    """One partner; `checks` are answers by check, `lines` fields of subscriptions by subscription id."""
    return PartnerStatus.model_validate(
        {
            "partner": partner,
            "name": partner.title(),
            "tenant_id": "11111111-1111-1111-1111-111111111111",
            "mpn_id": "4711",
            "country": "IT",
            "province": None,
            "run_id": run_id,
            "mode": "apply",
            "outcome": outcome,
            "sentence": sentence,
            "opened_at": "2022-06-20T00:00:00Z",
            "closed_at": None,
            "checks": {name: _check(answer) for name, answer in (checks or {}).items()},
            "opt_out": {"verdict": ruling},
            "totals": totals or {},
            "subscriptions": [_line(name, fields) for name, fields in (lines or {}).items()],
            "open_undo_cases": 0,
        }
    )


def _check(answer: str) -> dict[str, Any]:
    return {
        "answer": answer,
        "reason": "The reason.",
        "owner": "partner",
        "remedy": "The remedy.",
        "code": None,
        "asked_at": "2022-06-20T00:00:00Z",
    }


def _line(subscription: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "subscription": subscription,
        "customer": "22222222-2222-2222-2222-222222222222",
        "customer_name": "Alfa S.r.l.",
        "offer_id": "91fd106f-4b2c-4938-95ac-f54f74e9a239",
        "offer_name": "Office 365 E1",
        "seats": 10,
        "term_end_at": "2022-07-20T00:00:00Z",
        "class": "converted",
        "reason": "",
        "owner": "nobody",
        "remedy": "",
        "warning": "",
        "route": None,
        "nce_subscription": None,
        "conversion_state": None,
        "window_opens_at": None,
        "last_safe_start_at": None,
        "travels_with": None,
        "undo_case": None,
        **fields,
    }
