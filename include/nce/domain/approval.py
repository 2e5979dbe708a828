"""What a plan buys, as something a person can approve: its lines, their hash, and who has to agree to it.

A hash stands for exactly these lines with exactly these terms. What was approved is what runs; a line that
has changed since drifts out of its plan and waits for a new one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import Enum

from include.nce.domain.campaign import Approvals
from include.nce.domain.classification import SubscriptionClass, Verdict
from include.nce.domain.conversion import Route, is_longer_commitment
from include.nce.domain.readiness import Owner
from include.nce.domain.subscription import Subscription

SHORT_HASH = 8
"""So many characters of a hash are shown to people, and accepted from them."""


@dataclass(frozen=True)
class PlannedLine:
    """One subscription a plan buys and ends: what legacy was when it was planned, and what is bought for it.

    `seats` None: as many as legacy has. `product_and_sku` None: whatever Microsoft's migration makes of it.
    """

    legacy_id: str
    customer_id: str
    base_id: str
    offer_id: str
    route: Route
    legacy_seats: int
    legacy_term: str | None
    legacy_billing: str | None
    term_end_at: datetime | None
    term: str | None
    billing: str | None
    seats: int | None
    product_and_sku: str | None

    @property
    def bought_seats(self) -> int:
        return max(self.seats or 0, self.legacy_seats)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the line; the same on every machine and in every process."""
        facts = {**asdict(self), "term_end_at": self.term_end_at and self.term_end_at.isoformat()}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def plan_hash(lines: Iterable[PlannedLine]) -> str:
    """SHA-256 over the lines, whatever their order. A plan that buys nothing has one too."""
    return hashlib.sha256("\n".join(sorted(line.fingerprint for line in lines)).encode()).hexdigest()


_BOUGHT = (SubscriptionClass.DUE, SubscriptionClass.SCHEDULED)


def planned_lines(verdicts: Iterable[Verdict]) -> dict[str, PlannedLine]:
    """Legacy id -> what the plan buys, now or when its window opens. What was begun before is not bought."""
    return {
        v.subscription.subscription_id: PlannedLine(
            legacy_id=v.subscription.subscription_id,
            customer_id=v.subscription.customer_id,
            base_id=v.travels_with or v.subscription.subscription_id,
            offer_id=v.subscription.offer_id.lower(),
            route=v.route,
            legacy_seats=v.subscription.seats,
            legacy_term=v.subscription.term,
            legacy_billing=v.subscription.billing,
            term_end_at=v.subscription.term_end_at,
            term=v.term,
            billing=v.billing,
            seats=v.seats,
            product_and_sku=v.expected_product_and_sku,
        )
        for v in verdicts
        if v.klass in _BOUGHT and v.route is not None and not v.begun
    }


class ApprovalWord(str, Enum):
    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Approval:
    """What a person said about the plan of one partner with this hash."""

    plan_hash: str
    word: ApprovalWord
    decided_by: str
    at: datetime
    comment: str = ""

    @property
    def approved(self) -> bool:
        return self.word is ApprovalWord.APPROVED

    @property
    def sentence(self) -> str:
        why = f": {self.comment}" if self.comment else ""
        return f"{self.decided_by} {self.word.value} plan {self.plan_hash[:SHORT_HASH]}{why}"


@dataclass(frozen=True)
class PlanOnRecord:
    """A plan as it was written down, with the lines its hash stands for.

    A plan that carries out an earlier one has that one's hash and lines; `plan_id` is the one they are
    written in, `made_at` when the later one was made.
    """

    plan_id: int
    number: int
    hash: str
    made_at: datetime
    lines: Mapping[str, PlannedLine]

    @property
    def short_hash(self) -> str:
        return self.hash[:SHORT_HASH]

    @property
    def is_genuine(self) -> bool:
        """Whether the lines on record still are those the hash was made of."""
        return plan_hash(self.lines.values()) == self.hash


def reasons_to_ask(lines: Sequence[PlannedLine], policy: Approvals) -> tuple[str, ...]:
    """Why a person has to approve a plan with these lines; empty: nobody has to."""
    if not lines:
        return ()
    seats = sum(line.bought_seats for line in lines)
    reasons = []
    if policy.always:
        reasons.append("the campaign has every plan approved")
    if policy.above_subscriptions is not None and len(lines) > policy.above_subscriptions:
        reasons.append(f"{len(lines)} subscriptions, more than {policy.above_subscriptions}")
    if policy.above_seats is not None and seats > policy.above_seats:
        reasons.append(f"{seats} seats, more than {policy.above_seats}")
    longer = [line for line in lines if is_longer_commitment(line.legacy_term, line.term)]
    if not policy.longer_commitments:
        longer = []
    if longer:
        reasons.append(f"{len(longer)} with a longer term than legacy has")
    changed = [line for line in lines if _costs_otherwise(line) and line not in longer]
    if policy.price_relevant_changes and changed:
        reasons.append(f"{len(changed)} with another term, billing cycle or seat count than legacy has")
    return tuple(reasons)


def _costs_otherwise(line: PlannedLine) -> bool:
    def differs(legacy: str | None, bought: str | None) -> bool:
        return None not in (legacy, bought) and legacy != bought

    return (
        differs(line.legacy_term, line.term)
        or differs(line.legacy_billing, line.billing)
        or line.bought_seats != line.legacy_seats
    )


def why_drifted(planned: PlannedLine, legacy: Subscription) -> str | None:
    """What about a subscription has changed since it was planned; None: nothing that matters."""
    facts = (
        ("seats", planned.legacy_seats, legacy.seats),
        ("term end", planned.term_end_at, legacy.term_end_at),
        ("offer", planned.offer_id, legacy.offer_id.lower()),
        ("term", planned.legacy_term, legacy.term),
        ("billing cycle", planned.legacy_billing, legacy.billing),
    )
    changed = [f"{what} {_plain(then)}, now {_plain(now)}" for what, then, now in facts if then != now]
    return ", ".join(changed) or None


def only_as_planned(verdicts: Sequence[Verdict], plan: PlanOnRecord) -> list[Verdict]:
    """The verdicts, with what is due and not word for word in `plan` held back, each bundle as a whole."""
    lines = planned_lines(v for v in verdicts if v.klass is SubscriptionClass.DUE)
    differing = {
        legacy_id: _how_it_differs(line, plan.lines.get(legacy_id))
        for legacy_id, line in lines.items()
        if plan.lines.get(legacy_id) != line
    }
    bases = {lines[legacy_id].base_id for legacy_id in differing}
    held = {legacy_id for legacy_id, line in lines.items() if line.base_id in bases}
    return [_held_back(v, plan, differing) if v.subscription.subscription_id in held else v for v in verdicts]


def _held_back(verdict: Verdict, plan: PlanOnRecord, differing: Mapping[str, str]) -> Verdict:
    why = differing.get(
        verdict.subscription.subscription_id, "a subscription it is converted with has changed"
    )
    return replace(
        verdict,
        klass=SubscriptionClass.HELD,
        reason=f"It is not as plan {plan.short_hash} has it: {why}.",
        owner=Owner.OPERATOR,
        remedy="An operator makes a new plan for this partner.",
        bundle=(),
    )


def _how_it_differs(line: PlannedLine, planned: PlannedLine | None) -> str:
    if planned is None:
        return "it is not in that plan"
    now, then = asdict(line), asdict(planned)
    return ", ".join(
        f"{name.replace('_', ' ')} {_plain(then[name])}, now {_plain(now[name])}"
        for name in now
        if now[name] != then[name]
    )


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return _moment(value) or ""
    return str(value.value if isinstance(value, Enum) else "none" if value is None else value)


def _moment(at: datetime | None) -> str | None:
    return None if at is None else f"{at:%Y-%m-%d %H:%M} UTC"
