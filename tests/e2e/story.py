"""The story of these tests, and how it has to end: written by hand, so that it can be read and compared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from simulator.scenario import load_scenario

FOLDER = Path(__file__).parent / "stories"
STORY = FOLDER / "five-partners.yaml"
ROSTER = FOLDER / "five-partners.roster.csv"
CAMPAIGN = "csp-commercial-2022"
SCENARIO = load_scenario(STORY)

CONVERTED, OPTED_OUT, BLOCKED, LATE, MIXED = PARTNERS = (
    "alpina-informatica",
    "brezza-digitale",
    "cedro-servizi",
    "delta-reti",
    "elba-sistemi",
)
CUSTOMERS = {c.key: str(c.tenant_id) for p in SCENARIO.partners for c in p.customers}
LEGACY = {f"{c.key}/{s.key}": str(s.id) for _, c, s in SCENARIO.walk()}
NAMES = {subscription_id: name for name, subscription_id in LEGACY.items()}
OUTCOMES = {p.id: p.expect.outcome for p in SCENARIO.partners if p.expect}
CLASSES = {f"{c.key}/{s.key}": s.expect.outcome for _, c, s in SCENARIO.walk() if s.expect}


@dataclass(frozen=True)
class Successor:
    """The NCE subscription that a legacy one has to become, and how."""

    product_and_sku: str
    seats: int
    route: str


SUCCESSORS = {
    "rifugi/e3": Successor("CFQ7TTC0LF8R:0001", 50, "migrate"),
    "rifugi/archiving": Successor("CFQ7TTC0LH0J:0001", 50, "migrate"),
    "rifugi/defender": Successor("CFQ7TTC0LH04:0001", 30, "migrate"),
    "rifugi/aad-p1": Successor("CFQ7TTC0LFLS:0002", 50, "purchase"),
    "scuola-sci/business-standard": Successor("CFQ7TTC0LDPB:0001", 12, "migrate"),
    "mulini/e1": Successor("CFQ7TTC0LF8Q:0001", 35, "migrate"),
    "mulini/intune": Successor("CFQ7TTC0LCH4:0009", 35, "purchase"),
    "traghetti/business-standard": Successor("CFQ7TTC0LDPB:0001", 18, "migrate"),
}
RENEWED = "scuola-sci/exchange-1"
"""Renews in legacy on 4 July, which is Microsoft's doing."""
MIGRATIONS = {"rifugi": 1, "scuola-sci": 1, "mulini": 1, "traghetti": 1}
"""Bundles a customer: each is one migration."""
ORDERS = {"rifugi": 1, "mulini": 1}

GREEN, RED, PINK, PURPLE = "success", "failed", "skipped", "deferred"
_CHECKS = ("check_mpa", "check_indirect_provider_link", "check_mpn_id", "check_customer_mca")
_GATES = ("wait_for_cut_over", "wait_for_wave")
_CONVERT = ("convert.buy_nce", "convert.wait_for_nce", "convert.cancel_legacy")
_PLANNED = dict.fromkeys(("plan_conversions", "approve_plan"), GREEN)
_BEFORE_THE_PLAN = dict.fromkeys(
    ("open_run", *_CHECKS, "wait_for_opt_out_deadline", "honour_opt_out", *_GATES), GREEN
)


def _batches(count: int) -> dict[str, str]:
    return {f"{task}[{number}]": GREEN for task in _CONVERT for number in range(count)}


def _waiting(**checks: str) -> dict[str, str | None]:
    later = ("honour_opt_out", *_GATES, "plan_conversions", "approve_plan", *_CONVERT, "close_run")
    begun = dict.fromkeys(("open_run", *_CHECKS), GREEN)
    return {**begun, "wait_for_opt_out_deadline": PURPLE, **dict.fromkeys(later), **checks}


WAITING: dict[str, dict[str, str | None]] = {
    CONVERTED: _waiting(),
    OPTED_OUT: _waiting(check_mpa=PURPLE),
    BLOCKED: _waiting(check_mpa=PURPLE),
    LATE: _waiting(check_mpa=PURPLE),
    MIXED: _waiting(),
}
"""Every task of every partner's run in June; None: not yet looked at."""
TASKS: dict[str, dict[str, str]] = {
    CONVERTED: {**_BEFORE_THE_PLAN, **_PLANNED, **_batches(2), "close_run": GREEN},
    OPTED_OUT: {
        **_BEFORE_THE_PLAN,
        "check_mpa": PINK,  # missing to the end, and of no matter once the opt-out was decided
        **dict.fromkeys(("honour_opt_out", *_GATES, "plan_conversions", "approve_plan", *_CONVERT), PINK),
        "close_run": GREEN,
    },
    BLOCKED: {
        **_BEFORE_THE_PLAN,
        "check_mpa": RED,
        **_PLANNED,
        **dict.fromkeys(_CONVERT, PINK),
        "close_run": RED,
    },
    LATE: {**_BEFORE_THE_PLAN, **_PLANNED, **_batches(2), "close_run": GREEN},
    MIXED: {**_BEFORE_THE_PLAN, **_PLANNED, **_batches(1), "close_run": GREEN},
}
"""Every task of every partner's run at the end: purple has become green, red or pink."""
RUNS = {CONVERTED: GREEN, OPTED_OUT: GREEN, BLOCKED: RED, LATE: GREEN, MIXED: GREEN}
