"""Taking a conversion back: what may be sent next, in which order, and when nothing may be sent at all.

The order is what keeps a customer covered. Legacy is reactivated first, the base before its add-ons; only
when every legacy subscription of the bundle is seen active does the undo gate let a New Commerce subscription
be cancelled, the add-ons before their base. Nothing here suspends anything: that way leads through
`cancellation` alone.

The window is Microsoft's: 168 hours from the creation of the New Commerce subscription, to the second
(new-commerce-cancellation-policy, 07/27/2023). What counts is the moment Partner Center states on the
subscription; none means that it cannot be cancelled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import InitVar, dataclass
from datetime import datetime
from enum import Enum

from include.nce.domain.conversion import Conversion
from include.nce.domain.lineage import has_ended, is_over
from include.nce.domain.opt_out import OptOut, OptOutVerdict, rule_on
from include.nce.domain.subscription import Status, Subscription, SubscriptionKind


class UndoCause(str, Enum):
    """Why a case was opened."""

    OPT_OUT = "opt_out"
    OPERATOR = "operator"


class CaseState(str, Enum):
    """How far one undo case is; it is about one bundle. The last two are closed.

    `open`: nothing was sent. `undoing`: something was. `too_late`: Microsoft's window or the legacy term is
    over. `person_decides`: NCE stays as it is, because Partner Center or the undo gate says no.
    `double_covered`: legacy is active again and NCE cannot be cancelled, so the customer pays twice.
    """

    OPEN = "open"
    UNDOING = "undoing"
    TOO_LATE = "too_late"
    PERSON_DECIDES = "person_decides"
    DOUBLE_COVERED = "double_covered"
    UNDONE = "undone"
    CLOSED = "closed"

    @property
    def is_closed(self) -> bool:
        return self in (CaseState.UNDONE, CaseState.CLOSED)

    @property
    def nothing_sent(self) -> bool:
        """It may be closed without leaving anything half done at Microsoft."""
        return self in (CaseState.OPEN, CaseState.TOO_LATE, CaseState.PERSON_DECIDES)

    @property
    def needs_somebody(self) -> bool:
        """Nothing goes on by itself, and starting it again is no cure."""
        return self in (CaseState.TOO_LATE, CaseState.PERSON_DECIDES, CaseState.DOUBLE_COVERED)


@dataclass(frozen=True)
class UndoPair:
    """One subscription of a bundle as read from Partner Center moments ago, with what replaced it.

    None where Partner Center lists it no more. `seats_before` are legacy's when it was converted.
    `nce_seats_approved` is the count a person approved; None: nobody was asked yet.
    """

    legacy_id: str
    legacy: Subscription | None
    nce_id: str | None
    nce: Subscription | None
    expected_product_and_sku: str | None
    seats_before: int | None = None
    nce_seats_approved: int | None = None


class UndoWord(str, Enum):
    REACTIVATE = "reactivate"
    CANCEL = "cancel"
    WAIT = "wait"
    DONE = "done"
    REFUSE = "refuse"
    TOO_LATE = "too_late"


_GATE = object()


@dataclass(frozen=True)
class CancellationPermit:
    """The undo gate's word that this New Commerce subscription may be cancelled. Only the gate makes one, and
    the client cancels nothing without."""

    customer_id: str
    nce_id: str
    made_by: InitVar[object] = None

    def __post_init__(self, made_by: object) -> None:
        if made_by is not _GATE:
            raise TypeError("only the undo gate permits a cancellation")


@dataclass(frozen=True)
class UndoRuling:
    """The word, about which legacy subscription of the bundle, and why.

    `double_covered`: as things stand the customer pays for some subscription on both sides.
    """

    word: UndoWord
    reason: str
    legacy_id: str | None = None
    double_covered: bool = False
    permit: CancellationPermit | None = None


def next_undo_step(bundle: Sequence[UndoPair], *, now_at: datetime) -> UndoRuling:
    """What to send next to undo a bundle, the base first. One thing at a time: look again after each.

    Everything is judged before the first thing is sent: a bundle of which one part cannot be undone is left
    whole. `WAIT` says that time helps, `REFUSE` that a person decides, `TOO_LATE` that Microsoft's window or
    legacy's term is over.
    """
    if not bundle:
        return UndoRuling(UndoWord.REFUSE, "nothing of ours is on record for it")
    doubled = any(_paid_twice(pair) for pair in bundle)
    for pair in bundle:
        ruling = _obstacle(pair, now_at)
        if ruling is not None:
            return UndoRuling(ruling.word, ruling.reason, pair.legacy_id, doubled)
    for pair in bundle:
        if pair.legacy is not None and pair.legacy.status is Status.SUSPENDED:
            why = "legacy comes first" if _lives(pair.nce) else "NCE is gone, so the customer needs it back"
            return UndoRuling(UndoWord.REACTIVATE, why, pair.legacy_id, doubled)
    for pair in reversed(bundle):
        if _lives(pair.nce):
            return undo_gate(bundle, legacy_id=pair.legacy_id, now_at=now_at)
    return UndoRuling(UndoWord.DONE, "legacy is active and NCE is cancelled")


def undo_gate(bundle: Sequence[UndoPair], *, legacy_id: str, now_at: datetime) -> UndoRuling:
    """May the New Commerce subscription that replaced `legacy_id` be cancelled now?

    The counterpart of the cancel gate, and as strict: never unless legacy is active again for the whole
    bundle, with the same customer, enough seats and a term that has not ended.
    """
    pair = next((item for item in bundle if item.legacy_id == legacy_id), None)
    doubled = any(_paid_twice(item) for item in bundle)

    def no(word: UndoWord, reason: str) -> UndoRuling:
        return UndoRuling(word, reason, legacy_id, doubled)

    if pair is None:
        return no(UndoWord.REFUSE, f"subscription {legacy_id} is not part of what was read")
    for item in bundle:
        why = why_legacy_does_not_cover(item, now_at)
        if why is not None:
            about = "" if item is pair else f"of its bundle, {item.legacy_id} is not covered: "
            return no(UndoWord.REFUSE, about + why)
    why = why_not_ours_to_cancel(pair)
    if why is not None:
        return no(UndoWord.REFUSE, why)
    window = window_of(pair.nce)
    if pair.nce is None or window is None or now_at > window:
        return no(UndoWord.TOO_LATE, _too_late(pair.nce))
    permit = CancellationPermit(pair.nce.customer_id, pair.nce.subscription_id, _GATE)
    return UndoRuling(UndoWord.CANCEL, "legacy is active and covers it", legacy_id, doubled, permit)


def why_legacy_does_not_cover(pair: UndoPair, now_at: datetime) -> str | None:
    """None when legacy stands in for NCE at this moment; else what is wrong, in a sentence."""
    legacy, nce = pair.legacy, pair.nce
    if legacy is None:
        return f"Partner Center does not list legacy {pair.legacy_id} any more"
    if not legacy.is_legacy:
        return f"subscription {pair.legacy_id} is no legacy subscription"
    if nce is not None and nce.customer_id != legacy.customer_id:
        return f"NCE subscription {nce.subscription_id} belongs to another customer"
    if legacy.status is not Status.ACTIVE:
        return f"legacy is {legacy.status.value}, not active"
    if legacy.term_end_at is None or now_at >= legacy.term_end_at:
        return _term_over(legacy)
    return _why_too_few_seats(legacy, nce, pair.seats_before)


def _why_too_few_seats(
    legacy: Subscription, nce: Subscription | None, seats_before: int | None
) -> str | None:
    """As many as NCE has, or as before: what was added in NCE alone is not legacy's to bring back."""
    as_before = seats_before is not None and legacy.seats >= seats_before
    if nce is None or nce.seats <= legacy.seats or as_before:
        return None
    return f"legacy has {legacy.seats} seats, NCE has {nce.seats}"


def why_not_ours_to_cancel(pair: UndoPair) -> str | None:
    """None when this is the New Commerce subscription that replaced legacy, as it was approved."""
    nce = pair.nce
    if nce is None:
        return "no NCE subscription is known for it"
    if nce.kind is not SubscriptionKind.NCE:
        return f"subscription {nce.subscription_id} is no NCE subscription"
    if pair.expected_product_and_sku not in (None, nce.product_and_sku):
        return (
            f"NCE subscription {nce.subscription_id} is {nce.product_and_sku}, expected "
            f"{pair.expected_product_and_sku}"
        )
    if nce.migrated_from_id not in (None, pair.legacy_id):
        return f"NCE subscription {nce.subscription_id} came from {nce.migrated_from_id}"
    if pair.nce_seats_approved not in (None, nce.seats):
        return (
            f"NCE subscription {nce.subscription_id} has {nce.seats} seats, {pair.nce_seats_approved} were "
            "approved: start the undo again"
        )
    if nce.status not in (Status.ACTIVE, Status.SUSPENDED):
        return f"NCE subscription {nce.subscription_id} is {nce.status.value}"
    return None


def window_of(nce: Subscription | None) -> datetime | None:
    """The last moment at which it can be cancelled, as Partner Center states it; None: not at all."""
    return None if nce is None else nce.cancellable_until_at


def hours_left(until_at: datetime | None, now_at: datetime) -> float | None:
    """Hours until the window closes, not below zero; None where the window is not known."""
    if until_at is None:
        return None
    return max(0.0, (until_at - now_at).total_seconds() / 3600)


def _obstacle(pair: UndoPair, now_at: datetime) -> UndoRuling | None:
    """What keeps this part of a bundle, and so all of it, from being undone now."""
    legacy, nce = pair.legacy, pair.nce
    if nce is not None and nce.status is Status.PENDING:
        return UndoRuling(UndoWord.WAIT, f"NCE subscription {nce.subscription_id} is not active yet")
    if legacy is None:
        return UndoRuling(
            UndoWord.REFUSE, f"Partner Center does not list legacy {pair.legacy_id} any more: NCE stays"
        )
    lost = _why_legacy_cannot_come_back(legacy, now_at)
    if lost is not None:
        return lost
    return _why_nce_cannot_go(pair, legacy, now_at)


def _why_legacy_cannot_come_back(legacy: Subscription, now_at: datetime) -> UndoRuling | None:
    if not legacy.is_legacy:
        return UndoRuling(UndoWord.REFUSE, f"subscription {legacy.subscription_id} is no legacy subscription")
    if is_over(legacy):
        return UndoRuling(UndoWord.TOO_LATE, f"legacy is {legacy.status.value} and cannot come back")
    if legacy.term_end_at is None or now_at >= legacy.term_end_at:
        return UndoRuling(UndoWord.TOO_LATE, f"{_term_over(legacy)}, so it cannot come back")
    if legacy.status not in (Status.ACTIVE, Status.SUSPENDED):
        return UndoRuling(UndoWord.REFUSE, f"legacy is in the unknown state '{legacy.status.value}'")
    return None


def _why_nce_cannot_go(pair: UndoPair, legacy: Subscription, now_at: datetime) -> UndoRuling | None:
    nce = pair.nce
    if nce is None and pair.nce_id is None:
        return UndoRuling(UndoWord.REFUSE, "no NCE subscription is known for it")
    if not _lives(nce):
        return None  # a person cancelled it already, or we did: legacy has to come back
    why = why_not_ours_to_cancel(pair)
    if why is not None:
        return UndoRuling(UndoWord.REFUSE, why)
    if nce is not None and nce.customer_id != legacy.customer_id:
        return UndoRuling(
            UndoWord.REFUSE, f"NCE subscription {nce.subscription_id} belongs to another customer"
        )
    too_few = _why_too_few_seats(legacy, nce, pair.seats_before)
    if too_few is not None:
        return UndoRuling(UndoWord.REFUSE, too_few)
    window = window_of(nce)
    if window is None or now_at > window:
        return UndoRuling(UndoWord.TOO_LATE, _too_late(nce))
    return None


def _lives(nce: Subscription | None) -> bool:
    return nce is not None and not is_over(nce)


def _paid_twice(pair: UndoPair) -> bool:
    """An unknown state counts as paid: nobody should look away."""
    return _lives(pair.nce) and pair.legacy is not None and not has_ended(pair.legacy)


def _term_over(legacy: Subscription) -> str:
    if legacy.term_end_at is None:
        return "Partner Center gives no term end for legacy"
    return f"legacy's term ended on {legacy.term_end_at:%Y-%m-%d %H:%M} UTC"


def _too_late(nce: Subscription | None) -> str:
    window = window_of(nce)
    if window is None:
        return "Partner Center allows no cancellation of NCE: its 168 hours are over"
    return f"the 168 hours ended on {window:%Y-%m-%d %H:%M:%S} UTC"


# What a person approves ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class UndoLine:
    """One subscription of an undo plan, with what a person has to know to approve it.

    `word` is what would be done about its bundle, `why` the reason when that is nothing.
    """

    case_id: int
    conversion_id: int
    customer_id: str
    legacy_id: str
    base_id: str
    nce_id: str | None
    offer_name: str
    route: str
    legacy_seats: int | None
    nce_seats: int | None
    legacy_ends_at: datetime | None
    window_until_at: datetime | None
    word: UndoWord
    why: str

    @property
    def can_be_undone(self) -> bool:
        return self.word in (UndoWord.REACTIVATE, UndoWord.CANCEL, UndoWord.DONE)

    @property
    def identity(self) -> dict[str, object]:
        """What an approval is bound to: what would be taken back, not how far that is or what time it is."""
        return {
            "customer": self.customer_id,
            "legacy": self.legacy_id,
            "base": self.base_id,
            "nce": self.nce_id,
            "nce_seats": self.nce_seats,
        }


def hash_of(lines: Iterable[UndoLine]) -> str:
    """The fingerprint of exactly these lines, in whatever order they come."""
    facts = sorted(json.dumps(line.identity, sort_keys=True) for line in lines)
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


# Cases -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CalledFor:
    """A case that an opt-out calls for: about which bundle, and why."""

    customer_id: str
    base_id: str
    received_at: datetime
    scope: str
    reason: str


def cases_called_for(
    bought: Iterable[Conversion], opt_outs: Sequence[OptOut], deadline_at: datetime
) -> list[CalledFor]:
    """One case for each bundle that was bought although an opt-out stands.

    Late ones, and those that were received in time and typed in too late: the first is a wish, the second a
    wrong. The earliest opt-out that speaks for a customer is the case's.
    """
    ruling = rule_on(opt_outs, deadline_at)
    called: dict[tuple[str, str], CalledFor] = {}
    for item in bought:
        key = (item.customer_id, item.base_id)
        verdict = ruling.for_customer(item.customer_id)
        if not item.state.is_bought or key in called or verdict is OptOutVerdict.NONE:
            continue
        form = min(
            (o for o in opt_outs if o.stands() and o.customer_id in (None, item.customer_id)),
            key=lambda o: o.received_at,
        )
        whose = "the whole partner" if form.customer_id is None else f"customer {form.customer_id}"
        how = "in time, and was recorded only after the purchase" if verdict is OptOutVerdict.IN_TIME else (
            "after the deadline and after the purchase"
        )  # fmt: skip
        called[key] = CalledFor(
            item.customer_id,
            item.base_id,
            form.received_at,
            "partner" if form.customer_id is None else "customer",
            f"An opt-out of {whose}, received {form.received_at:%Y-%m-%d %H:%M} UTC, came {how}.",
        )
    return list(called.values())


def no_longer_called_for(customer_id: str, opt_outs: Collection[OptOut]) -> bool:
    """True when no opt-out speaks for this customer any more: what it called for may be closed."""
    return not any(o.stands() and o.customer_id in (None, customer_id) for o in opt_outs)


def may_be_converted_again(undone_at: datetime, confirmed_at: datetime | None) -> bool:
    """What was undone is never converted again, unless a person decided so after the undo.

    A confirmation that was given before (for the first conversion) says nothing about the second.
    """
    return confirmed_at is not None and confirmed_at > undone_at


def late_case_state(until_at: datetime | None, now_at: datetime) -> CaseState:
    """In which state a case begins: too late already, or open. An unknown window is open: it is asked."""
    return CaseState.TOO_LATE if until_at is not None and now_at > until_at else CaseState.OPEN


def too_late_sentence(until_at: datetime) -> str:
    return f"Too late to undo: the window closed on {until_at:%Y-%m-%d %H:%M:%S} UTC. A person decides."
