"""What differs between the ledger and Partner Center, whose business it is, and what may be put right
unasked.

Pure: it is handed what the ledger knows of one bundle and what the customer holds now. Reading belongs to the
step, remembering to the ledger. A repair named here is never a purchase, a reactivation or the cancellation
of a New Commerce subscription: it finishes or marks what is already so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from include.nce.domain.campaign import Campaign
from include.nce.domain.classification import SubscriptionClass
from include.nce.domain.conversion import Conversion, ConversionState, Phase, Route, why_not_covered
from include.nce.domain.lineage import (
    is_active,
    is_billed_twice_too_long,
    is_out_of_patience,
    is_over,
    is_successor,
    serves,
)
from include.nce.domain.readiness import Owner
from include.nce.domain.subscription import Status, Subscription

ANSWER_TAKES = timedelta(hours=1)
"""No call is on its way for so long: what was sent before and has no answer has lost it."""


class FindingKind(str, Enum):
    """What is wrong, worst first. One subscription has at most one open finding of a kind."""

    ZERO_COVERAGE = "zero_coverage"
    """Legacy has ended, nothing active replaces it, and the customer was to be converted."""
    DOUBLE_COVERAGE = "double_coverage"
    """Converted, and legacy is active again beside NCE: both are billed."""
    NCE_SUSPENDED = "nce_suspended"
    """A person suspended the NCE subscription. It is still billed."""
    NCE_CANCELLED = "nce_cancelled"
    """The NCE subscription was cancelled, has expired, or is not listed any more."""
    LEGACY_STILL_BILLED = "legacy_still_billed"
    """NCE is active, and legacy was not ended within the campaign's patience: both are billed."""
    OUTCOME_UNKNOWN = "outcome_unknown"
    """A purchase was sent and never answered: it may or may not have been made."""
    STUCK = "stuck"
    """A conversion has been in one state for longer than it ever takes."""
    SEATS_SHORT = "seats_short"
    """NCE has fewer seats than legacy had."""
    LEGACY_VANISHED = "legacy_vanished"
    """A legacy subscription we know is not listed any more."""
    ENDED_UNCOVERED = "ended_uncovered"
    """Legacy has ended without a successor, and it was not ours to convert."""
    SAME_PRODUCT_CANDIDATE = "same_product_candidate"
    """An NCE subscription of the same product does not say what it replaces: only a person can tell."""
    CONVERTED_BY_OTHERS = "converted_by_others"
    """Somebody else moved it."""
    LEGACY_SEATS_CHANGED = "legacy_seats_changed"
    """Legacy has another number of seats than when it was planned."""


class Severity(str, Enum):
    """`critical`: today, somebody is without service or pays twice. `serious`: a person acts. `notice`: a
    person looks when there is time."""

    CRITICAL = "critical"
    SERIOUS = "serious"
    NOTICE = "notice"

    @property
    def rank(self) -> int:
        """0 is the worst."""
        return list(Severity).index(self)


class CoverageGap(str, Enum):
    """What a finding means for the customer: nothing serves it, or it is served and billed twice."""

    NONE = "none"
    ZERO = "zero"
    DOUBLE = "double"


class Repair(str, Enum):
    """What is safe without asking anybody, because nothing new comes to be and nothing uncovered ends."""

    FINISH = "finish"
    """Run the steps of its batch that look and finish: `confirm_nce`, then `cancel_legacy` past its gate."""
    MARK_BY_OTHERS = "mark_by_others"
    """Nothing of ours is at Microsoft, and an NCE subscription says that it came from this one."""
    NOTE_UNANSWERED = "note_unanswered"
    """Sent, and nobody is waiting for the answer any more: its outcome is unknown, and is to be looked up."""


@dataclass(frozen=True)
class KnownLine:
    """What the ledger says of one legacy subscription.

    `klass` is what becomes of it by the partner's latest plan and its conversion, `planned_seats` legacy's
    seats in that plan, `last_status` what the latest survey read. None: never planned, never surveyed.
    `unanswered_at`: when a purchase of its conversion was last sent whose answer is not on record.
    """

    legacy_id: str
    customer_id: str
    base_id: str
    offer_id: str = ""
    offer_name: str = ""
    klass: SubscriptionClass | None = None
    planned_seats: int | None = None
    last_status: Status | None = None
    term_end_at: datetime | None = None
    expected_product_and_sku: str | None = None
    conversion: Conversion | None = None
    unanswered_at: datetime | None = None


@dataclass(frozen=True)
class Pair:
    """One line beside what Partner Center holds of it now.

    `nce` is its counterpart: by the ledger's id, by where it was migrated from, or by our order. `candidates`
    are NCE subscriptions of the expected product that nobody can place. `doubtful`: something else of this
    customer's could not be read, so that what is not seen may be there all the same.
    """

    line: KnownLine
    legacy: Subscription | None
    nce: Subscription | None
    candidates: tuple[Subscription, ...] = ()
    doubtful: bool = False


@dataclass(frozen=True)
class Discrepancy:
    """One difference: what is so, who acts, and how and by when."""

    legacy_id: str
    customer_id: str
    kind: FindingKind
    severity: Severity
    what: str
    owner: Owner
    remedy: str
    gap: CoverageGap = CoverageGap.NONE
    act_by_at: datetime | None = None
    nce_subscription_id: str | None = None

    @property
    def sentence(self) -> str:
        """What, who must act, how, by when. The same for as long as the facts are the same."""
        return f"{self.what} Who acts: {self.owner.value}. {self.remedy}"


@dataclass(frozen=True)
class Comparison:
    """What came of comparing some lines. `unclear`: legacy id -> why nothing can be said about it now."""

    discrepancies: tuple[Discrepancy, ...] = ()
    repairs: tuple[tuple[str, Repair], ...] = ()
    unclear: tuple[tuple[str, str], ...] = ()


def compare(bundle: Sequence[Pair], campaign: Campaign, now_at: datetime) -> Comparison:
    """Compare one bundle. After a conversion each of its members stands alone, so each is judged by itself;
    what may be suspended is judged for the whole bundle by the cancel gate.
    """
    discrepancies: list[Discrepancy] = []
    repairs: list[tuple[str, Repair]] = []
    unclear: list[tuple[str, str]] = []
    for pair in bundle:
        why = _why_unclear(pair)
        if why is not None:
            unclear.append((pair.line.legacy_id, why))
            continue
        judged = _Judged(pair, campaign, now_at)
        discrepancies.extend(judged.discrepancies())
        repairs.extend((pair.line.legacy_id, repair) for repair in judged.repairs())
    return Comparison(tuple(discrepancies), tuple(repairs), tuple(unclear))


def _why_unclear(pair: Pair) -> str | None:
    """Unknown is neither fine nor wrong: about such a line nothing is said, and what was found stays."""
    for held in (pair.legacy, pair.nce):
        if held is not None and held.status is Status.OTHER:
            return f"subscription {held.subscription_id} is in a state that cannot be read"
    if pair.nce is None and pair.doubtful:
        return "another subscription of the customer cannot be read, and may be its successor"
    return None


_LEFT_ALONE = (SubscriptionClass.EXEMPT, SubscriptionClass.NOT_LEGACY)
_NOT_OURS = {
    SubscriptionClass.OPTED_OUT: (Owner.PARTNER, Severity.NOTICE),
    SubscriptionClass.LAPSES: (Owner.PARTNER, Severity.NOTICE),
    SubscriptionClass.HELD: (Owner.OPERATOR, Severity.SERIOUS),
    SubscriptionClass.NOT_ELIGIBLE: (Owner.OPERATOR, Severity.SERIOUS),
    SubscriptionClass.UNDONE: (Owner.OPERATOR, Severity.SERIOUS),
}
"""Nobody promised that these would be converted; when they end, it is told, and is no sign that we failed."""
_WILL_MOVE = (SubscriptionClass.DUE, SubscriptionClass.SCHEDULED)


class _Judged:
    """One pair under the rule."""

    def __init__(self, pair: Pair, campaign: Campaign, now_at: datetime) -> None:
        self.line, self.legacy, self.nce = pair.line, pair.legacy, pair.nce
        self.candidates = pair.candidates
        self.campaign, self.now_at = campaign, now_at
        self.conversion = pair.line.conversion

    def discrepancies(self) -> Iterator[Discrepancy]:
        conversion = self.conversion
        if conversion is None:
            return self._untouched()
        if conversion.state.phase is Phase.DONE:
            return self._done(conversion)
        if conversion.state.phase is Phase.BOUGHT:
            return self._bought(conversion)
        if conversion.state.phase is Phase.AT_MICROSOFT:
            return self._under_way(conversion)
        if conversion.state.is_in_doubt:
            return self._in_doubt(conversion)
        if conversion.state is ConversionState.UNDOING:
            return self._being_undone()
        return self._untouched()

    def repairs(self) -> Iterator[Repair]:
        conversion = self.conversion
        if conversion is None:
            return
        sent = self.line.unanswered_at is not None
        if conversion.state.is_unsent:
            if not conversion.at_microsoft and not sent and self._successor() is not None:
                yield Repair.MARK_BY_OTHERS
            return
        if conversion.state is ConversionState.SENT and sent and self._answer_is_lost():
            yield Repair.NOTE_UNANSWERED
        if self._worth_finishing(conversion):
            yield Repair.FINISH

    def _worth_finishing(self, conversion: Conversion) -> bool:
        """Whether its steps would get further, and its own run is no longer at it."""
        if conversion.state.is_in_doubt:
            # Whether an order was made is learnt only by submitting its cart again, and that is `buy_nce`'s.
            sent = conversion.state is ConversionState.UNKNOWN or self.line.unanswered_at is not None
            return sent and conversion.route is Route.MIGRATE and self._answer_is_lost()
        if conversion.state.phase is Phase.AT_MICROSOFT and self._out_of_patience():
            return True
        quiet = self._for_minutes(self.campaign.cadence.coverage_quiet_minutes)
        unfinished = conversion.state.phase in (Phase.AT_MICROSOFT, Phase.BOUGHT)
        return unfinished and quiet and is_active(self.nce)

    # How long

    def _since(self) -> datetime | None:
        return self.conversion.state_since_at if self.conversion is not None else None

    def _for_minutes(self, minutes: float) -> bool:
        since_at = self._since()
        return since_at is not None and self.now_at - since_at >= timedelta(minutes=minutes)

    def _out_of_patience(self) -> bool:
        conversion = self.conversion
        return conversion is not None and is_out_of_patience(conversion, self.campaign, self.now_at)

    def _billed_twice_too_long(self) -> bool:
        conversion = self.conversion
        return conversion is not None and is_billed_twice_too_long(conversion, self.campaign, self.now_at)

    def _answer_is_lost(self) -> bool:
        sent_at = self.line.unanswered_at or self._since()
        return sent_at is not None and self.now_at - sent_at >= ANSWER_TAKES

    # What is there

    def _successor(self) -> Subscription | None:
        """An NCE subscription that says it came from this one and that no conversion of ours made."""
        if self.nce is None or not is_successor(self.nce, self.line.legacy_id):
            return None
        ours = self.conversion.nce_subscription_id if self.conversion is not None else None
        return self.nce if self.nce.subscription_id != ours else None

    def _gap(self) -> CoverageGap:
        if is_active(self.legacy) and is_active(self.nce):
            return CoverageGap.DOUBLE
        return CoverageGap.NONE if serves(self.legacy) or serves(self.nce) else CoverageGap.ZERO

    def _why_not_covered(self) -> str | None:
        if self.legacy is None:
            return "legacy is not listed any more"
        return why_not_covered(
            self.legacy,
            self.nce,
            expected_product_and_sku=self.line.expected_product_and_sku,
            active=is_active(self.nce),
        )

    def _replacement(self) -> Subscription | None:
        """A candidate that could serve the customer, if a person says that it replaces this one."""
        seats = self._legacy_seats()
        return next(
            (c for c in self.candidates if c.status is Status.ACTIVE and c.seats >= (seats or 0)), None
        )

    def _legacy_seats(self) -> int | None:
        return self.legacy.seats if self.legacy is not None else self.line.planned_seats

    # The words

    def _name(self) -> str:
        named = f" ({self.line.offer_name})" if self.line.offer_name else ""
        return f"Subscription {self.line.legacy_id}{named} of customer {self.line.customer_id}"

    def _legacy_words(self) -> str:
        return f"legacy is {self.legacy.status.value}" if self.legacy else "legacy is not listed any more"

    def _nce_words(self) -> str:
        if self.nce is not None:
            return f"NCE subscription {self.nce.subscription_id} is {self.nce.status.value}"
        known = self.conversion.nce_subscription_id if self.conversion is not None else None
        return f"NCE subscription {known} is not listed any more" if known else "no NCE subscription is there"

    def _term_end(self) -> datetime | None:
        return (self.legacy.term_end_at if self.legacy else None) or self.line.term_end_at

    def _found(
        self,
        kind: FindingKind,
        what: str,
        remedy: str,
        *,
        owner: Owner = Owner.OPERATOR,
        severity: Severity = Severity.SERIOUS,
        gap: CoverageGap = CoverageGap.NONE,
        act_by_at: datetime | None = None,
    ) -> Discrepancy:
        """A gap in the coverage is always critical."""
        return Discrepancy(
            self.line.legacy_id,
            self.line.customer_id,
            kind,
            severity if gap is CoverageGap.NONE else Severity.CRITICAL,
            f"{self._name()}: {what}.",
            owner,
            remedy,
            gap,
            act_by_at,
            self.nce.subscription_id if self.nce is not None else None,
        )

    # Nothing of ours is at Microsoft

    def _untouched(self) -> Iterator[Discrepancy]:
        if self.conversion is None and self.line.klass in _LEFT_ALONE:
            return
        successor = self._successor()
        if successor is not None:
            yield from self._moved_by_others(successor)
        elif serves(self.legacy):
            yield from self._still_in_legacy()
        elif self.legacy is None:
            if self.line.last_status is Status.ACTIVE:
                yield self._vanished()
        else:
            yield from self._ended()

    def _moved_by_others(self, successor: Subscription) -> Iterator[Discrepancy]:
        yield self._found(
            FindingKind.CONVERTED_BY_OTHERS,
            f"somebody else moved it to NCE subscription {successor.subscription_id}",
            "Nothing is bought for it any more. Run the partner again when there is time, so that its plan "
            "says so.",
            severity=Severity.NOTICE,
        )
        began_at = successor.created_at
        hours = self.campaign.cadence.purchase_patience_hours
        settled = began_at is None or self.now_at - began_at >= timedelta(hours=hours)
        if settled and self._gap() is CoverageGap.DOUBLE:
            yield self._double(successor)
        elif successor.status is Status.SUSPENDED:
            yield self._suspended(successor)

    def _still_in_legacy(self) -> Iterator[Discrepancy]:
        if self.candidates:
            yield self._candidate(self.candidates[0], severity=Severity.NOTICE)
        seats, planned = self._legacy_seats(), self.line.planned_seats
        if self.line.klass in _WILL_MOVE and planned is not None and seats != planned:
            yield self._found(
                FindingKind.LEGACY_SEATS_CHANGED,
                f"legacy has {seats} seats, and had {planned} when it was planned",
                "An operator runs the partner again, so that its plan is of what is there. As many seats are "
                "bought as legacy has at that moment.",
                severity=Severity.NOTICE,
            )

    def _vanished(self) -> Discrepancy:
        return self._found(
            FindingKind.LEGACY_VANISHED,
            "Partner Center does not list it any more, and it was active when it was last looked at",
            "An operator asks the partner whether it was cancelled or moved to another provider, and looks "
            "it up in Partner Center.",
        )

    def _ended(self) -> Iterator[Discrepancy]:
        replacement = self._replacement()
        if replacement is not None:
            yield self._candidate(replacement, severity=Severity.SERIOUS)
        elif self.line.klass in _NOT_OURS:
            owner, severity = _NOT_OURS[self.line.klass]
            yield self._found(
                FindingKind.ENDED_UNCOVERED,
                f"{self._legacy_words()}, and nothing replaces it",
                "If the customer still wants it, the partner buys it in New Commerce.",
                owner=owner,
                severity=severity,
            )
        elif self.line.klass is not None:
            yield self._zero(f"{self._legacy_words()}, though nothing of ours replaces it")

    def _zero(self, what: str) -> Discrepancy:
        term_end_at = self._term_end()
        back = "reactivates legacy"
        if term_end_at is not None:
            back += f" (possible before its term ends on {term_end_at:%Y-%m-%d %H:%M} UTC)"
        return self._found(
            FindingKind.ZERO_COVERAGE,
            f"{what}: the customer has no service",
            f"Today an operator asks the partner whether the customer still wants it, and then {back} or "
            "buys New Commerce by hand.",
            gap=CoverageGap.ZERO,
            act_by_at=term_end_at,
        )

    def _candidate(self, candidate: Subscription, *, severity: Severity) -> Discrepancy:
        return self._found(
            FindingKind.SAME_PRODUCT_CANDIDATE,
            f"{self._legacy_words()}, and NCE subscription {candidate.subscription_id} of the same product "
            "is there, which does not say what it replaces",
            "An operator asks the partner whether it replaces this one: if so, legacy is ended by hand; if "
            "not, this one is converted by hand.",
            severity=severity,
            act_by_at=self._term_end(),
        )

    # Sent, and no answer

    def _in_doubt(self, conversion: Conversion) -> Iterator[Discrepancy]:
        if not self._answer_is_lost():
            return
        sent_at = self.line.unanswered_at
        if conversion.state is ConversionState.SENT and sent_at is None:
            yield self._found(
                FindingKind.STUCK,
                "its purchase was intended and never sent: nothing was bought",
                "An operator clears buy_nce of its batch with what is downstream, or runs the partner again.",
                act_by_at=self._term_end(),
            )
            return
        when = f" on {sent_at:%Y-%m-%d %H:%M} UTC" if sent_at is not None else ""
        gap = self._gap() if self._out_of_patience() else CoverageGap.NONE
        seen = f" ({self._nce_words()})" if self.nce is not None else ""
        yield self._found(
            FindingKind.OUTCOME_UNKNOWN,
            f"its purchase was sent{when} and no answer is on record, so it may or may not have been made"
            + seen,
            "An operator clears buy_nce of its batch with what is downstream: it looks first. Nobody buys it "
            "by hand before that.",
            gap=gap,
            act_by_at=self._term_end(),
        )

    # Microsoft is at it

    def _under_way(self, conversion: Conversion) -> Iterator[Discrepancy]:
        if self.nce is not None and (self.nce.status is Status.SUSPENDED or is_over(self.nce)):
            yield from self._lost_nce()
        elif self._out_of_patience():
            yield self._too_long(conversion)

    def _too_long(self, conversion: Conversion) -> Discrepancy:
        since_at = conversion.state_since_at
        since = f" since {since_at:%Y-%m-%d %H:%M} UTC" if since_at is not None else ""
        gap = self._gap()
        kind = {
            CoverageGap.NONE: FindingKind.STUCK,
            CoverageGap.ZERO: FindingKind.ZERO_COVERAGE,
            CoverageGap.DOUBLE: FindingKind.LEGACY_STILL_BILLED,
        }[gap]
        return self._found(
            kind,
            f"its conversion is {conversion.state.value}{since}, longer than it ever takes; "
            f"{self._legacy_words()}, {self._nce_words()}",
            "Today an operator compares both sides in Partner Center and opens a ticket with the ids that "
            "`nce explain` tells; then clears cancel_legacy of its batch. It is not bought again.",
            gap=gap,
            act_by_at=self._term_end(),
        )

    # Bought, and not finished

    def _bought(self, conversion: Conversion) -> Iterator[Discrepancy]:
        told_by_its_run = conversion.state is ConversionState.STRANDED
        if self.nce is None and not conversion.at_microsoft:
            yield self._found(
                FindingKind.STUCK,
                f"whether it was bought is not known ({conversion.reason or 'no reason noted'})",
                "An operator looks in Partner Center for its order, and tells the partner.",
                gap=self._gap(),
                act_by_at=self._term_end(),
            )
        elif self.nce is None or self.nce.status is Status.SUSPENDED or is_over(self.nce):
            yield from self._lost_nce()
        elif self.nce.status is not Status.ACTIVE:
            if told_by_its_run or self._out_of_patience():
                yield self._too_long(conversion)
        else:
            overdue = told_by_its_run or self._billed_twice_too_long()
            yield from self._active_and_unfinished(conversion, overdue=overdue)

    def _active_and_unfinished(self, conversion: Conversion, *, overdue: bool) -> Iterator[Discrepancy]:
        why = self._why_not_covered()
        if self._short_of_seats():
            yield self._seats_short(gap=self._gap() if overdue else CoverageGap.NONE)
        elif not overdue:
            return
        elif self._gap() is CoverageGap.DOUBLE:
            yield self._still_billed(
                "NCE covers it, and legacy is still active"
                if why is None
                else f"legacy is still active beside NCE, and cannot be ended: {why}"
            )
        else:
            yield self._found(
                FindingKind.STUCK,
                f"it was bought, {self._legacy_words()}, and the ledger still says {conversion.state.value}"
                if why is None
                else f"it was bought, and {why}",
                "An operator compares both sides in Partner Center, corrects NCE where it is wrong, and "
                "clears cancel_legacy of its batch: it looks again and finishes.",
            )

    def _still_billed(self, what: str) -> Discrepancy:
        return self._found(
            FindingKind.LEGACY_STILL_BILLED,
            f"{what}: the customer is billed twice",
            "Today an operator clears cancel_legacy of its batch; it ends legacy where NCE covers it, and "
            "says what is in the way where it does not.",
            gap=CoverageGap.DOUBLE,
            act_by_at=self._term_end(),
        )

    def _short_of_seats(self) -> bool:
        seats = self._legacy_seats()
        return self.nce is not None and seats is not None and self.nce.seats < seats

    def _seats_short(self, *, gap: CoverageGap) -> Discrepancy:
        twice = "" if gap is CoverageGap.NONE else "; legacy is still active, so the customer is billed twice"
        nce_seats = self.nce.seats if self.nce is not None else 0
        return self._found(
            FindingKind.SEATS_SHORT,
            f"NCE has {nce_seats} seats, legacy has {self._legacy_seats()}{twice}",
            "An operator asks the partner which number is right, and corrects NCE in Partner Center.",
            gap=gap,
        )

    def _lost_nce(self) -> Iterator[Discrepancy]:
        """Our NCE subscription is suspended, cancelled, expired, or not listed any more."""
        if self.nce is not None and self.nce.status is Status.SUSPENDED:
            yield self._suspended(self.nce)
            return
        replacement = self._replacement() if not serves(self.legacy) else None
        if replacement is not None:
            yield self._candidate(replacement, severity=Severity.SERIOUS)
            return
        term_end_at = self._term_end()
        ends = f", which ends on {term_end_at:%Y-%m-%d %H:%M} UTC" if term_end_at is not None else ""
        if serves(self.legacy):
            yield self._found(
                FindingKind.NCE_CANCELLED,
                f"{self._nce_words()}, and the customer is back in legacy{ends}",
                "An operator asks the partner who took the conversion back and what is to become of legacy.",
                act_by_at=term_end_at,
            )
            return
        yield self._found(
            FindingKind.NCE_CANCELLED,
            f"{self._nce_words()} and {self._legacy_words()}: the customer has no service",
            "Today an operator asks the partner whether that was meant. If not: legacy can be reactivated "
            f"before its term ends{f' on {term_end_at:%Y-%m-%d %H:%M} UTC' if term_end_at else ''}, or New "
            "Commerce is bought by hand. Changed to another product: nothing is to be done.",
            gap=CoverageGap.ZERO,
            act_by_at=term_end_at,
        )

    def _suspended(self, nce: Subscription) -> Discrepancy:
        gap = self._gap()
        without = gap is CoverageGap.ZERO
        return self._found(
            FindingKind.NCE_SUSPENDED,
            f"NCE subscription {nce.subscription_id} is suspended, and is billed all the same; "
            + (f"{self._legacy_words()}: the customer has no service" if without else self._legacy_words()),
            "Today an operator asks the partner who suspended it and why, and reactivates it in Partner "
            "Center unless that was meant.",
            gap=gap,
            act_by_at=nce.cancellable_until_at,
        )

    # Being taken back

    def _being_undone(self) -> Iterator[Discrepancy]:
        """How far it is, its undo case tells; here only whether the customer has service, and pays once."""
        gap = self._gap()
        if gap is CoverageGap.ZERO:
            yield self._zero(f"it is being undone, {self._legacy_words()} and {self._nce_words()}")
        elif gap is CoverageGap.DOUBLE and self._billed_twice_too_long():
            yield self._found(
                FindingKind.DOUBLE_COVERAGE,
                f"it is being undone, {self._legacy_words()} and {self._nce_words()}: the customer is billed "
                "twice",
                "Today an operator looks at its undo case (nce undo list): clears undo_conversions, or keeps "
                "NCE with nce undo keep.",
                gap=CoverageGap.DOUBLE,
                act_by_at=self.nce.cancellable_until_at if self.nce is not None else None,
            )

    # Finished

    def _done(self, conversion: Conversion) -> Iterator[Discrepancy]:
        by_others = conversion.state is ConversionState.BY_OTHERS
        if self.nce is None or self.nce.status is Status.SUSPENDED or is_over(self.nce):
            still_moving = by_others and self.nce is None and not self._out_of_patience()
            if not still_moving:
                yield from self._lost_nce()
        elif self._gap() is CoverageGap.DOUBLE:
            # Microsoft takes a while to suspend what somebody else has migrated.
            if not by_others or self._billed_twice_too_long():
                yield self._double(self.nce)
        elif self._short_of_seats():
            yield self._seats_short(gap=CoverageGap.NONE)

    def _double(self, nce: Subscription) -> Discrepancy:
        until_at = nce.cancellable_until_at
        until = f" until {until_at:%Y-%m-%d %H:%M} UTC" if until_at is not None else ""
        return self._found(
            FindingKind.DOUBLE_COVERAGE,
            f"it is converted, and legacy is active beside NCE subscription {nce.subscription_id}: the "
            "customer is billed twice",
            "Today an operator asks the partner who reactivated legacy and why, and ends one of the two in "
            f"Partner Center: legacy by suspending it, or NCE, which can be cancelled{until}.",
            gap=CoverageGap.DOUBLE,
            act_by_at=until_at,
        )
