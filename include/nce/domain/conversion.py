"""Converting one legacy subscription: routes, states, timing, and what must be true of the result.

Pure rules. Sending belongs to the steps, remembering to the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from include.nce.domain.campaign import Campaign, Safety
from include.nce.domain.subscription import Subscription

TERM_MONTHS = {"P1M": 1, "P1Y": 12, "P3Y": 36}


class Route(str, Enum):
    """`migrate`: Microsoft's migration moves and suspends. `purchase`: we buy, wait, then suspend."""

    MIGRATE = "migrate"
    PURCHASE = "purchase"


class ConversionState(str, Enum):
    """How far one conversion is. Each state is reached once its fact is on record.

    planned -> sent -> accepted -> covered -> converted. `unknown`: sent, and no answer came. `hands_off`:
    Microsoft finishes or reverts a failed migration. `waiting`: nothing was bought, time helps. `drifted`:
    legacy is not as it was planned any more; nothing was bought, a new plan is needed. `refused`, `held` and
    `failed` (reverted by Microsoft): nothing was bought, a later plan may try again. `by_others`: somebody
    else converted it. `stranded`: NCE is bought and legacy cannot be suspended: never bought again,
    a person looks. `undoing`: it is being taken back, so nothing else touches it. `undone`: legacy is active
    again and NCE is cancelled.
    """

    PLANNED = "planned"
    SENT = "sent"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    HANDS_OFF = "hands_off"
    COVERED = "covered"
    CONVERTED = "converted"
    REFUSED = "refused"
    FAILED = "failed"
    HELD = "held"
    WAITING = "waiting"
    DRIFTED = "drifted"
    BY_OTHERS = "by_others"
    STRANDED = "stranded"
    UNDOING = "undoing"
    UNDONE = "undone"


PENDING_STATES = frozenset(
    {ConversionState.SENT, ConversionState.UNKNOWN, ConversionState.ACCEPTED, ConversionState.HANDS_OFF}
)
"""Something was sent and NCE does not cover legacy yet."""
UNRESOLVED_STATES = frozenset(
    {
        ConversionState.UNKNOWN,
        ConversionState.REFUSED,
        ConversionState.FAILED,
        ConversionState.HELD,
        ConversionState.WAITING,
        ConversionState.DRIFTED,
        ConversionState.STRANDED,
        ConversionState.UNDOING,
    }
)
RETRIABLE_STATES = frozenset(
    {
        ConversionState.PLANNED,
        ConversionState.WAITING,
        ConversionState.DRIFTED,
        ConversionState.REFUSED,
        ConversionState.HELD,
        ConversionState.FAILED,
    }
)
"""Nothing of ours exists at Microsoft: a new plan may start it afresh (back to `planned`)."""
PLANNED_AFRESH_STATES = RETRIABLE_STATES | {ConversionState.BY_OTHERS}
"""States from which a new plan that wants it bought starts it afresh. What somebody else moved is among them:
a plan wants it again only once their move is gone."""
UNDER_WAY_STATES = PENDING_STATES | {ConversionState.COVERED, ConversionState.STRANDED}
"""Something of ours may exist at Microsoft: a new plan carries it on, and never starts it again."""


class MigrationState(str, Enum):
    """Microsoft's migration states; a text nobody knows reads as still in progress."""

    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True)
class Migration:
    """One New Commerce migration as Partner Center reports it."""

    migration_id: str | None
    legacy_id: str
    customer_id: str
    state: MigrationState
    started_at: datetime | None = None
    completed_at: datetime | None = None
    catalogue_item: str | None = None
    nce_subscription_id: str | None = None
    nce_order_id: str | None = None
    seats: int | None = None
    reference: str | None = None
    microsoft_led: bool = False
    add_ons: tuple[Migration, ...] = ()

    def flattened(self) -> tuple[Migration, ...]:
        return (self, *self.add_ons)


@dataclass(frozen=True)
class ConversionRequest:
    """What is asked of Microsoft for one subscription: only what differs from legacy is set."""

    legacy_id: str
    customer_id: str
    term: str | None = None
    billing: str | None = None
    seats: int | None = None
    full_term: bool = False
    add_ons: tuple[ConversionRequest, ...] = ()
    reference: str | None = None


@dataclass(frozen=True)
class Refusal:
    """One of Microsoft's reasons why a subscription is not eligible; its code, when it gave one."""

    code: int | None
    description: str


@dataclass(frozen=True)
class Eligibility:
    """Microsoft's word on one subscription before anything is created."""

    legacy_id: str
    eligible: bool
    catalogue_item: str | None = None
    refusals: tuple[Refusal, ...] = ()
    add_ons: tuple[Eligibility, ...] = ()

    @property
    def all_eligible(self) -> bool:
        return self.eligible and all(item.all_eligible for item in self.add_ons)

    def all_refusals(self) -> tuple[Refusal, ...]:
        return self.refusals + tuple(r for item in self.add_ons for r in item.all_refusals())


def last_safe_start_at(term_end_at: datetime, safety: Safety) -> datetime:
    """Term end less Microsoft's 24 h refusal, less the longest completion, less the campaign's margin."""
    return term_end_at - timedelta(hours=safety.refusal_hours + safety.completion_hours + safety.margin_hours)


def refused_from(term_end_at: datetime, safety: Safety) -> datetime:
    """From here on Microsoft converts only into a full new term, which is a person's decision."""
    return term_end_at - timedelta(hours=safety.refusal_hours)


def window_opens_at(term_end_at: datetime, campaign: Campaign) -> datetime:
    """When the conversion of a subscription with this term end becomes due; never before the cut-over."""
    cut_over = campaign.cut_over_at()
    if campaign.window.kind == "at_cutover":
        return cut_over
    return max(cut_over, term_end_at - timedelta(days=campaign.window.lead_days))


def is_longer_commitment(legacy_term: str | None, asked_term: str | None) -> bool:
    """A longer term than legacy has is a new commitment, and never made silently."""
    if asked_term is None:
        return False
    return TERM_MONTHS.get(asked_term, 0) > TERM_MONTHS.get(legacy_term or "P1Y", 12)


def why_not_covered(
    legacy: Subscription, nce: Subscription | None, *, expected_product_and_sku: str | None, active: bool
) -> str | None:
    """None when the NCE subscription covers the legacy one; else what is wrong, in a sentence.

    Covered: it exists, is active, belongs to the same customer, is the mapped SKU and has at least as many
    seats as legacy has now. `active` is the caller's word on the NCE status, so that a still pending one is
    told apart from a wrong one.
    """
    if nce is None:
        return "no NCE subscription is known yet"
    if nce.customer_id != legacy.customer_id:
        return f"NCE subscription {nce.subscription_id} belongs to another customer"
    if not active:
        return f"NCE subscription {nce.subscription_id} is {nce.status.value}, not active"
    if nce.product_and_sku is None:
        return f"subscription {nce.subscription_id} is no NCE subscription"
    if expected_product_and_sku is not None and nce.product_and_sku != expected_product_and_sku:
        it_is = f"NCE subscription {nce.subscription_id} is {nce.product_and_sku}"
        return f"{it_is}, expected {expected_product_and_sku}"
    if nce.seats < legacy.seats:
        return f"NCE subscription {nce.subscription_id} has {nce.seats} seats, legacy has {legacy.seats}"
    return None


def bundles(subscriptions: Iterable[Subscription]) -> dict[str, list[Subscription]]:
    """Base subscription id -> its legacy add-ons. An add-on whose base is not there stands alone."""
    legacy = {s.subscription_id: s for s in subscriptions if s.is_legacy}
    grouped: dict[str, list[Subscription]] = {}
    for item in legacy.values():
        base_id = _base_of(item, legacy)
        add_ons = grouped.setdefault(base_id, [])
        if base_id != item.subscription_id:
            add_ons.append(item)
    return grouped


def _base_of(item: Subscription, legacy: Mapping[str, Subscription]) -> str:
    """Up to where no further parent is known; a circle, which nobody documents, belongs to its least id."""
    seen = [item.subscription_id]
    parent_id = item.parent_id
    while parent_id is not None and parent_id in legacy:
        if parent_id in seen:
            return min(seen[seen.index(parent_id) :])
        seen.append(parent_id)
        parent_id = legacy[parent_id].parent_id
    return seen[-1]
