"""Converting one legacy subscription: routes, states, timing, and what must be true of the result.

Pure rules. Sending belongs to the steps, remembering to the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
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


class Phase(str, Enum):
    """What of a conversion exists at Microsoft. Each state belongs to one phase."""

    UNSENT = "unsent"
    """Nothing of ours exists there: a later plan may start it afresh."""
    IN_DOUBT = "in_doubt"
    """It was sent, and whether it arrived is looked up before anything else happens to it."""
    AT_MICROSOFT = "at_microsoft"
    """Microsoft took it, and NCE does not cover legacy yet."""
    BOUGHT = "bought"
    """NCE is bought, and legacy is not ended yet."""
    DONE = "done"
    """NCE has replaced legacy: nothing is left to do."""
    TAKEN_BACK = "taken_back"
    """A person had it undone: no plan and no suspension touches it."""
    FOREIGN = "foreign"
    """A later version of the product wrote a state that this one does not know, and leaves it alone."""


class ConversionState(str, Enum):
    """How far one conversion is. Each state is reached once its fact is on record; see `MOVES`.

    `waiting`: time helps. `drifted`: legacy is not as it was planned any more; a new plan is needed.
    `refused`, `held`, `failed` (reverted by Microsoft): a later plan may try again. `unknown`: sent, and no
    answer came. `hands_off`: Microsoft finishes or reverts a failed migration. `by_others`: it was moved by
    other means than ours. `stranded`: bought, and legacy cannot be suspended: never bought again, a person
    looks. `undone`: legacy is active again and NCE is cancelled.
    """

    phase: Phase

    PLANNED = "planned", Phase.UNSENT
    SENT = "sent", Phase.IN_DOUBT
    UNKNOWN = "unknown", Phase.IN_DOUBT
    ACCEPTED = "accepted", Phase.AT_MICROSOFT
    HANDS_OFF = "hands_off", Phase.AT_MICROSOFT
    COVERED = "covered", Phase.BOUGHT
    CONVERTED = "converted", Phase.DONE
    REFUSED = "refused", Phase.UNSENT
    FAILED = "failed", Phase.UNSENT
    HELD = "held", Phase.UNSENT
    WAITING = "waiting", Phase.UNSENT
    DRIFTED = "drifted", Phase.UNSENT
    BY_OTHERS = "by_others", Phase.DONE
    STRANDED = "stranded", Phase.BOUGHT
    UNDOING = "undoing", Phase.TAKEN_BACK
    UNDONE = "undone", Phase.TAKEN_BACK
    LATER = "later", Phase.FOREIGN
    """Never written: what this version reads in place of a state that it does not know."""

    def __new__(cls, value: str, phase: Phase = Phase.FOREIGN) -> ConversionState:
        state = str.__new__(cls, value)
        state._value_ = value
        state.phase = phase
        return state

    @classmethod
    def where(cls, holds: Callable[[ConversionState], bool]) -> frozenset[ConversionState]:
        """The states of which `holds` is true, for a query."""
        return frozenset(filter(holds, cls))

    @property
    def is_unsent(self) -> bool:
        """Nothing of ours exists at Microsoft."""
        return self.phase is Phase.UNSENT

    @property
    def is_in_doubt(self) -> bool:
        """Sent, and not known whether it arrived."""
        return self.phase is Phase.IN_DOUBT

    @property
    def is_pending(self) -> bool:
        """Sent, and NCE does not cover legacy yet."""
        return self.phase in (Phase.IN_DOUBT, Phase.AT_MICROSOFT)

    @property
    def is_under_way(self) -> bool:
        """Something of ours may exist at Microsoft: a new plan carries it on, and never starts it again."""
        return self.phase in (Phase.IN_DOUBT, Phase.AT_MICROSOFT, Phase.BOUGHT)

    @property
    def starts_afresh(self) -> bool:
        """A new plan that wants it bought starts it from the beginning. What was moved by others is wanted
        again only once their move is gone."""
        return self.is_unsent or self is ConversionState.BY_OTHERS

    @property
    def can_be_undone(self) -> bool:
        """Something of ours is bought and settled."""
        return self.phase is Phase.BOUGHT or self in (ConversionState.CONVERTED, ConversionState.UNDOING)

    @property
    def is_bought(self) -> bool:
        """Something of ours is bought, or may be: not buying any more is too late for an opt-out."""
        return self.is_pending or self.can_be_undone

    @property
    def was_tried(self) -> bool:
        """It counts for the brake and for its wave: a purchase left, or was refused."""
        return self.is_under_way or self.counts_as_failed or self is ConversionState.CONVERTED

    @property
    def counts_as_failed(self) -> bool:
        return self in (ConversionState.REFUSED, ConversionState.FAILED, ConversionState.STRANDED)

    @property
    def waits_for_microsoft(self) -> bool:
        """Its steps go on by themselves."""
        return self.phase is Phase.AT_MICROSOFT or self is ConversionState.COVERED

    @property
    def needs_somebody(self) -> bool:
        """It goes no further by itself in this run."""
        if self.is_unsent:
            return self is not ConversionState.PLANNED
        return self in (ConversionState.UNKNOWN, ConversionState.STRANDED, ConversionState.UNDOING)


@dataclass(frozen=True)
class Move:
    """From any of these states a conversion may get into that one, and what makes it."""

    sources: frozenset[ConversionState]
    to: ConversionState
    why: str


def _moves() -> Iterator[Move]:
    s = ConversionState
    unsent = s.where(lambda state: state.is_unsent)
    in_doubt = s.where(lambda state: state.is_in_doubt)
    at_microsoft = s.where(lambda state: state.phase is Phase.AT_MICROSOFT)
    bought = s.where(lambda state: state.phase is Phase.BOUGHT)

    yield Move(s.where(lambda state: state.starts_afresh), s.PLANNED, "a later plan")
    yield Move(unsent | in_doubt, s.SENT, "sent")
    yield Move(in_doubt, s.PLANNED, "it never left")
    for state, why in (
        (s.WAITING, "time helps"),
        (s.DRIFTED, "not as planned any more"),
        (s.HELD, "the last look says no"),
        (s.REFUSED, "Microsoft says no"),
        (s.BY_OTHERS, "moved by others"),
    ):
        yield Move(unsent | in_doubt, state, why)
    yield Move(unsent | in_doubt, s.UNKNOWN, "no answer")
    yield Move(unsent | in_doubt | at_microsoft, s.ACCEPTED, "Microsoft has it")
    yield Move(in_doubt | at_microsoft, s.HANDS_OFF, "failed, legacy suspended")
    yield Move(in_doubt | at_microsoft, s.FAILED, "Microsoft reverted it")
    yield Move(in_doubt | at_microsoft | bought, s.STRANDED, "a person looks")
    yield Move(at_microsoft | bought, s.COVERED, "NCE is active, seats enough")
    yield Move(bought, s.ACCEPTED, "NCE is not active any more")
    yield Move(bought, s.CONVERTED, "legacy ended")
    yield Move(s.where(lambda state: state.can_be_undone), s.UNDOING, "a person approved its undo")
    yield Move(s.where(lambda state: state.can_be_undone), s.UNDONE, "legacy active, NCE cancelled")
    yield Move(frozenset({s.UNDOING}), s.CONVERTED, "legacy cannot come back, NCE stays")
    yield Move(frozenset({s.UNDOING}), s.COVERED, "a person keeps NCE")
    yield Move(frozenset({s.UNDONE}), s.PLANNED, "a person decided it afterwards")


MOVES = tuple(_moves())
"""What may follow what. The ledger refuses every other move; the diagram in the architecture page is drawn
from this table. To stay in a state, with another reason, is no move."""
_FOLLOWS = {state: frozenset(move.to for move in MOVES if state in move.sources) for state in ConversionState}


def may_become(state: ConversionState, following: ConversionState) -> bool:
    """Whether `following` may come after `state`, or is the same."""
    return following is state or following in _FOLLOWS[state]


class ImpossibleMove(Exception):
    """A move that `MOVES` does not know: a fault of ours, and nothing is written."""


class Overtaken(Exception):
    """Another process moved this conversion since it was looked at: what was decided then is void."""


@dataclass(frozen=True)
class Conversion:
    """One legacy subscription's way to NCE; there is exactly one for each in the whole ledger.

    A base and its add-ons share `base_id`. `state_since_at` and `not_before_at` are the campaign's clock.
    """

    conversion_id: int
    campaign: str
    partner: str
    customer_id: str
    legacy_id: str
    base_id: str
    route: Route
    state: ConversionState
    seats: int | None = None
    term: str | None = None
    billing: str | None = None
    offer_id: str = ""
    expected_product_and_sku: str | None = None
    reference: str | None = None
    migration_id: str | None = None
    cart_id: str | None = None
    order_id: str | None = None
    nce_subscription_id: str | None = None
    reason: str = ""
    state_since_at: datetime | None = None
    not_before_at: datetime | None = None
    plan_id: int | None = None
    """The plan whose terms it has: the latest that started it afresh, not one that only carries it on."""
    undoable_until_at: datetime | None = None
    """Until when Microsoft lets NCE be cancelled, as Partner Center said when it became active."""

    @property
    def at_microsoft(self) -> bool:
        """A migration or an order of ours is on record."""
        return self.migration_id is not None or self.order_id is not None

    def refuse_move(self, state: ConversionState) -> None:
        """Raises `ImpossibleMove` when `state` cannot follow."""
        if not may_become(self.state, state):
            raise ImpossibleMove(
                f"Subscription {self.legacy_id} is {self.state.value} and cannot become {state.value}."
            )


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
