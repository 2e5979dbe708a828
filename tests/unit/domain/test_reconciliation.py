"""What is a finding, whose it is, and what may be put right: one row of the table a case."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import pytest

from include.nce.domain.classification import SubscriptionClass
from include.nce.domain.conversion import Conversion, ConversionState, Route
from include.nce.domain.readiness import Owner
from include.nce.domain.reconciliation import (
    Comparison,
    CoverageGap,
    Discrepancy,
    FindingKind,
    KnownLine,
    Pair,
    Repair,
    Severity,
    compare,
)
from include.nce.domain.subscription import Status, Subscription
from tests.support.examples import (
    BASIC_NCE,
    CUSTOMER,
    at,
    campaign,
    conversion,
    legacy,
    legacy_id,
    nce,
    nce_id,
)

K, S, C, G, R = FindingKind, ConversionState, SubscriptionClass, CoverageGap, Repair
NOW = at("2022-07-15 12:00")
FOUNDING = campaign()
MOMENT_AGO = NOW - timedelta(minutes=5)
AN_HOUR_AGO = NOW - timedelta(hours=1)
A_DAY_AGO = NOW - timedelta(hours=24)
THREE_DAYS_AGO = NOW - timedelta(hours=72)


def active(**changes: Any) -> Subscription:
    return legacy(1, **changes)


def suspended(**changes: Any) -> Subscription:
    return legacy(1, status=Status.SUSPENDED, **changes)


def ours(**changes: Any) -> Subscription:
    """The NCE subscription of our conversion."""
    return nce(1, **{"migrated_from_id": legacy_id(1), **changes})


def theirs(**changes: Any) -> Subscription:
    """One that somebody else migrated, of which the ledger knows nothing."""
    return nce(7, **{"migrated_from_id": legacy_id(1), **changes})


def by_hand(**changes: Any) -> Subscription:
    """The same product, bought by hand: it does not say what it replaces."""
    return nce(8, **changes)


@dataclass(frozen=True)
class Known:
    """A conversion, and since when its purchase is without an answer."""

    conversion: Conversion
    unanswered_at: datetime | None = None


def converted(
    state: ConversionState, since_at: Any = A_DAY_AGO, *, unanswered_at: Any = None, **changes: Any
) -> Known:
    facts: dict[str, Any] = {"migration_id": "m1", "nce_subscription_id": nce_id(1)}
    return Known(conversion(1, state, **{**facts, "state_since_at": since_at, **changes}), unanswered_at)


def purchased(state: ConversionState, since_at: Any = A_DAY_AGO, **changes: Any) -> Known:
    return converted(state, since_at, route=Route.PURCHASE, **changes)


def nothing_sent(state: ConversionState, **changes: Any) -> Known:
    return converted(state, **{"migration_id": None, "nce_subscription_id": None, **changes})


def look(
    known: Known | None,
    legacy_now: Subscription | None,
    nce_now: Subscription | None,
    *candidates: Subscription,
    doubtful: bool = False,
    **line: Any,
) -> Comparison:
    facts: dict[str, Any] = {
        "legacy_id": legacy_id(1),
        "customer_id": CUSTOMER,
        "base_id": legacy_id(1),
        "offer_name": "Business Basic",
        "klass": C.DUE,
        "planned_seats": 10,
        "last_status": Status.ACTIVE,
        "term_end_at": at("2022-07-20 08:00"),
        "expected_product_and_sku": BASIC_NCE,
    }
    if known is not None:
        facts |= {"conversion": known.conversion, "unanswered_at": known.unanswered_at}
    return compare(
        [Pair(KnownLine(**{**facts, **line}), legacy_now, nce_now, candidates, doubtful)], FOUNDING, NOW
    )


def only(result: Comparison) -> Discrepancy:
    (found,) = result.discrepancies
    return found


@dataclass(frozen=True)
class Case:
    """A situation, and what is to be said of it: kind and gap of each finding, and the repairs."""

    sentence: str
    result: Comparison
    found: tuple[tuple[FindingKind, CoverageGap], ...] = ()
    repairs: tuple[Repair, ...] = ()


FINE = [
    Case("converted, and legacy is ended", look(converted(S.CONVERTED), suspended(), ours())),
    Case("converted, and legacy is not even listed any more", look(converted(S.CONVERTED), None, ours())),
    Case("converted with more seats than legacy had",
         look(converted(S.CONVERTED), suspended(), ours(seats=11))),
    Case("moved by others, and known to be", look(nothing_sent(S.BY_OTHERS), suspended(), theirs())),
    Case("somebody's migration is still under way",
         look(nothing_sent(S.BY_OTHERS, since_at=A_DAY_AGO), suspended(), None)),
    Case("somebody's migration is done, and Microsoft suspends legacy in a moment",
         look(nothing_sent(S.BY_OTHERS, since_at=MOMENT_AGO), active(), theirs())),
    Case("converted, and NCE is pending for a moment, as when it renews",
         look(converted(S.CONVERTED), suspended(), ours(status=Status.PENDING))),
    Case("Microsoft has been migrating it for a day", look(converted(S.ACCEPTED), suspended(), None)),
    Case("Microsoft settles a failed migration", look(converted(S.HANDS_OFF), suspended(), None)),
    Case("an order is being provisioned",
         look(purchased(S.ACCEPTED, AN_HOUR_AGO), active(), ours(status=Status.PENDING))),
    Case("bought a moment ago, its own run is at it",
         look(purchased(S.COVERED, MOMENT_AGO), active(), ours())),
    Case("bought, and pending again for an hour",
         look(purchased(S.COVERED, AN_HOUR_AGO), active(), ours(status=Status.PENDING))),
    Case("sent a moment ago", look(converted(S.SENT, MOMENT_AGO, unanswered_at=MOMENT_AGO), active(), None)),
    Case("lost a moment ago, and its own run looks it up",
         look(converted(S.UNKNOWN, MOMENT_AGO, unanswered_at=MOMENT_AGO), active(), None)),
    Case("due, and nothing has happened yet", look(nothing_sent(S.PLANNED), active(), None)),
    Case("scheduled for later", look(None, active(), None, klass=C.SCHEDULED)),
    Case("never planned, and suspended when it was first seen", look(None, suspended(), None, klass=None)),
    Case("gone, and it had ended when it was last seen",
         look(None, None, None, klass=C.HELD, last_status=Status.SUSPENDED)),
    Case("a school's, and it has ended", look(None, suspended(), None, klass=C.EXEMPT)),
    Case("a school's beside an NCE subscription", look(None, active(), theirs(), klass=C.EXEMPT)),
    Case("a held one whose seats changed", look(None, active(seats=12), None, klass=C.HELD)),
    Case("migrated by somebody who then cancelled the new one",
         look(None, active(), theirs(status=Status.DELETED))),
]  # fmt: skip

DONE = [
    Case("legacy was reactivated by a person",
         look(converted(S.CONVERTED), active(), ours()), ((K.DOUBLE_COVERAGE, G.DOUBLE),)),
    Case("NCE was suspended by a person: nothing serves the customer, and it is billed",
         look(converted(S.CONVERTED), suspended(), ours(status=Status.SUSPENDED)),
         ((K.NCE_SUSPENDED, G.ZERO),)),
    Case("NCE was suspended, and legacy is back",
         look(converted(S.CONVERTED), active(), ours(status=Status.SUSPENDED)), ((K.NCE_SUSPENDED, G.NONE),)),
    Case("NCE was cancelled", look(converted(S.CONVERTED), suspended(), ours(status=Status.DELETED)),
         ((K.NCE_CANCELLED, G.ZERO),)),
    Case("NCE has expired", look(converted(S.CONVERTED), None, ours(status=Status.EXPIRED)),
         ((K.NCE_CANCELLED, G.ZERO),)),
    Case("NCE is not listed any more", look(converted(S.CONVERTED), suspended(), None),
         ((K.NCE_CANCELLED, G.ZERO),)),
    Case("the conversion was taken back by hand",
         look(converted(S.CONVERTED), active(), ours(status=Status.DELETED)), ((K.NCE_CANCELLED, G.NONE),)),
    Case("NCE was cancelled, and another one of the product is there",
         look(converted(S.CONVERTED), suspended(), ours(status=Status.DELETED), by_hand()),
         ((K.SAME_PRODUCT_CANDIDATE, G.NONE),)),
    Case("NCE was cancelled, and the other one of the product is too small",
         look(converted(S.CONVERTED), suspended(), ours(status=Status.DELETED), by_hand(seats=9)),
         ((K.NCE_CANCELLED, G.ZERO),)),
    Case("NCE was cancelled, and the other one of the product is not active yet",
         look(converted(S.CONVERTED), suspended(), ours(status=Status.DELETED),
              by_hand(status=Status.PENDING)),
         ((K.NCE_CANCELLED, G.ZERO),)),
    Case("NCE has fewer seats than legacy had",
         look(converted(S.CONVERTED), suspended(), ours(seats=8)), ((K.SEATS_SHORT, G.NONE),)),
    Case("NCE has fewer seats than legacy had when it was planned, and legacy is gone",
         look(converted(S.CONVERTED), None, ours(seats=8)), ((K.SEATS_SHORT, G.NONE),)),
    Case("somebody's migration left legacy active for a day",
         look(nothing_sent(S.BY_OTHERS), active(), theirs()), ((K.DOUBLE_COVERAGE, G.DOUBLE),)),
    Case("somebody's migration never brought anything",
         look(nothing_sent(S.BY_OTHERS, since_at=THREE_DAYS_AGO), suspended(), None),
         ((K.NCE_CANCELLED, G.ZERO),)),
]  # fmt: skip

UNFINISHED = [
    Case("NCE has been active for an hour and nobody has noted it",
         look(converted(S.ACCEPTED, AN_HOUR_AGO), suspended(), ours()), (), (R.FINISH,)),
    Case("Microsoft has been migrating it for three days: nothing serves the customer",
         look(converted(S.ACCEPTED, THREE_DAYS_AGO), suspended(), None), ((K.ZERO_COVERAGE, G.ZERO),),
         (R.FINISH,)),
    Case("Microsoft has been migrating it for three days, and legacy is active",
         look(converted(S.ACCEPTED, THREE_DAYS_AGO), active(), None), ((K.STUCK, G.NONE),), (R.FINISH,)),
    Case("Microsoft has been migrating it for three days, and both are active",
         look(converted(S.ACCEPTED, THREE_DAYS_AGO), active(), ours()), ((K.LEGACY_STILL_BILLED, G.DOUBLE),),
         (R.FINISH,)),
    Case("hands off for more than 72 hours",
         look(converted(S.HANDS_OFF, THREE_DAYS_AGO), suspended(), None), ((K.ZERO_COVERAGE, G.ZERO),),
         (R.FINISH,)),
    Case("a migration without a moment it began is not late",
         look(converted(S.ACCEPTED, None), suspended(), None)),
    Case("an order has been pending for a day",
         look(purchased(S.ACCEPTED), active(), ours(status=Status.PENDING)), ((K.STUCK, G.NONE),),
         (R.FINISH,)),
    Case("what is being provisioned was suspended by a person",
         look(purchased(S.ACCEPTED, AN_HOUR_AGO), active(), ours(status=Status.SUSPENDED)),
         ((K.NCE_SUSPENDED, G.NONE),)),
    Case("what is being provisioned was cancelled by a person",
         look(purchased(S.ACCEPTED, AN_HOUR_AGO), active(), ours(status=Status.DELETED)),
         ((K.NCE_CANCELLED, G.NONE),)),
    Case("bought, covered for an hour, and nobody has ended legacy",
         look(purchased(S.COVERED, AN_HOUR_AGO), active(), ours()), (), (R.FINISH,)),
    Case("bought, covered for a day, and legacy is still billed",
         look(purchased(S.COVERED), active(), ours()), ((K.LEGACY_STILL_BILLED, G.DOUBLE),), (R.FINISH,)),
    Case("a run gave up ending legacy a moment ago",
         look(purchased(S.STRANDED, MOMENT_AGO), active(), ours()), ((K.LEGACY_STILL_BILLED, G.DOUBLE),)),
    Case("a run gave up, and it covers now",
         look(purchased(S.STRANDED, AN_HOUR_AGO), active(), ours()), ((K.LEGACY_STILL_BILLED, G.DOUBLE),),
         (R.FINISH,)),
    Case("covered and ended for a day, and nobody has noted it",
         look(converted(S.COVERED), suspended(), ours()), ((K.STUCK, G.NONE),), (R.FINISH,)),
    Case("covered, and pending again for a day",
         look(purchased(S.COVERED), active(), ours(status=Status.PENDING)), ((K.STUCK, G.NONE),)),
    Case("a run gave up on what is still pending",
         look(purchased(S.STRANDED, MOMENT_AGO), active(), ours(status=Status.PENDING)),
         ((K.STUCK, G.NONE),)),
    Case("seats were added to legacy a moment ago",
         look(purchased(S.COVERED, MOMENT_AGO), active(seats=11), ours()), ((K.SEATS_SHORT, G.NONE),)),
    Case("seats were added to legacy, and both are billed for a day",
         look(purchased(S.COVERED), active(seats=11), ours()), ((K.SEATS_SHORT, G.DOUBLE),), (R.FINISH,)),
    Case("the wrong product was bought, and both are billed",
         look(purchased(S.STRANDED, MOMENT_AGO), active(), ours(offer_id="CFQ7TTC0XXXX:0001:X")),
         ((K.LEGACY_STILL_BILLED, G.DOUBLE),)),
    Case("the wrong product was migrated to",
         look(converted(S.STRANDED, MOMENT_AGO), suspended(), ours(offer_id="CFQ7TTC0XXXX:0001:X")),
         ((K.STUCK, G.NONE),)),
    Case("legacy is not listed any more, so nobody can end it",
         look(converted(S.STRANDED, MOMENT_AGO), None, ours()), ((K.STUCK, G.NONE),)),
    Case("the cart is gone, and nobody knows whether it was ordered",
         look(nothing_sent(S.STRANDED, reason="cart c is gone"), active(), None), ((K.STUCK, G.NONE),)),
    Case("the cart is gone, and legacy as well",
         look(nothing_sent(S.STRANDED), suspended(), None), ((K.STUCK, G.ZERO),)),
    Case("what was bought was cancelled before legacy was ended",
         look(purchased(S.COVERED, MOMENT_AGO), active(), ours(status=Status.DELETED)),
         ((K.NCE_CANCELLED, G.NONE),)),
    Case("what was bought is not listed any more",
         look(purchased(S.COVERED, MOMENT_AGO), active(), None), ((K.NCE_CANCELLED, G.NONE),)),
    Case("what was bought was suspended before legacy was ended",
         look(purchased(S.COVERED, MOMENT_AGO), active(), ours(status=Status.SUSPENDED)),
         ((K.NCE_SUSPENDED, G.NONE),)),
]  # fmt: skip

IN_DOUBT = [
    Case("a process died after it had sent",
         look(nothing_sent(S.SENT, since_at=AN_HOUR_AGO, unanswered_at=AN_HOUR_AGO), active(), None),
         ((K.OUTCOME_UNKNOWN, G.NONE),), (R.NOTE_UNANSWERED, R.FINISH)),
    Case("a process died after it had sent a checkout: only buy_nce may ask again",
         look(nothing_sent(S.SENT, route=Route.PURCHASE, since_at=AN_HOUR_AGO, unanswered_at=AN_HOUR_AGO),
              active(), None),
         ((K.OUTCOME_UNKNOWN, G.NONE),), (R.NOTE_UNANSWERED,)),
    Case("a process died before it could send",
         look(nothing_sent(S.SENT, since_at=AN_HOUR_AGO), active(), None), ((K.STUCK, G.NONE),)),
    Case("an answer was lost, and nobody has looked since",
         look(nothing_sent(S.UNKNOWN, since_at=AN_HOUR_AGO, unanswered_at=AN_HOUR_AGO), active(), None),
         ((K.OUTCOME_UNKNOWN, G.NONE),), (R.FINISH,)),
    Case("the answer to a checkout was lost",
         look(nothing_sent(S.UNKNOWN, route=Route.PURCHASE, since_at=AN_HOUR_AGO, unanswered_at=AN_HOUR_AGO),
              active(), None),
         ((K.OUTCOME_UNKNOWN, G.NONE),)),
    Case("an answer was lost, and the NCE subscription is there",
         look(nothing_sent(S.UNKNOWN, since_at=AN_HOUR_AGO, unanswered_at=AN_HOUR_AGO), suspended(), ours()),
         ((K.OUTCOME_UNKNOWN, G.NONE),), (R.FINISH,)),
    Case("an answer has been lost for three days, and nothing serves the customer",
         look(nothing_sent(S.UNKNOWN, since_at=THREE_DAYS_AGO), suspended(), None),
         ((K.OUTCOME_UNKNOWN, G.ZERO),), (R.FINISH,)),
    Case("in doubt since nobody knows when", look(nothing_sent(S.UNKNOWN, since_at=None), active(), None)),
]  # fmt: skip

UNTOUCHED = [
    Case("somebody moved what was planned",
         look(nothing_sent(S.PLANNED), suspended(), theirs()), ((K.CONVERTED_BY_OTHERS, G.NONE),),
         (R.MARK_BY_OTHERS,)),
    Case("somebody moved what has no conversion yet",
         look(None, suspended(), theirs(), klass=C.SCHEDULED), ((K.CONVERTED_BY_OTHERS, G.NONE),)),
    Case("somebody moved what a send is in doubt for: it may be ours",
         look(nothing_sent(S.WAITING, unanswered_at=MOMENT_AGO), suspended(), theirs()),
         ((K.CONVERTED_BY_OTHERS, G.NONE),)),
    Case("a migration of ours that had failed has finished after all",
         look(converted(S.FAILED, nce_subscription_id=None), suspended(), theirs()),
         ((K.CONVERTED_BY_OTHERS, G.NONE),)),
    Case("somebody moved it, and legacy is still active after a day",
         look(nothing_sent(S.PLANNED), active(), theirs(created_at=A_DAY_AGO)),
         ((K.CONVERTED_BY_OTHERS, G.NONE), (K.DOUBLE_COVERAGE, G.DOUBLE)), (R.MARK_BY_OTHERS,)),
    Case("somebody moved it, nobody knows when, and legacy is still active",
         look(nothing_sent(S.PLANNED), active(), theirs()),
         ((K.CONVERTED_BY_OTHERS, G.NONE), (K.DOUBLE_COVERAGE, G.DOUBLE)), (R.MARK_BY_OTHERS,)),
    Case("somebody moved it a moment ago, and Microsoft suspends legacy soon",
         look(nothing_sent(S.PLANNED), active(), theirs(created_at=MOMENT_AGO)),
         ((K.CONVERTED_BY_OTHERS, G.NONE),), (R.MARK_BY_OTHERS,)),
    Case("somebody moved it and suspended the new one",
         look(nothing_sent(S.PLANNED), suspended(), theirs(status=Status.SUSPENDED)),
         ((K.CONVERTED_BY_OTHERS, G.NONE), (K.NCE_SUSPENDED, G.ZERO)), (R.MARK_BY_OTHERS,)),
    Case("somebody moved it and cancelled the new one",
         look(nothing_sent(S.PLANNED), suspended(), theirs(status=Status.DELETED)),
         ((K.ZERO_COVERAGE, G.ZERO),)),
    Case("an NCE subscription that we took back is not somebody else's",
         look(converted(S.FAILED), active(), ours())),
    Case("the same product was bought by hand",
         look(nothing_sent(S.PLANNED), active(), None, by_hand()), ((K.SAME_PRODUCT_CANDIDATE, G.NONE),)),
    Case("legacy has more seats than when it was planned",
         look(nothing_sent(S.PLANNED), active(seats=12), None), ((K.LEGACY_SEATS_CHANGED, G.NONE),)),
    Case("legacy is not listed any more", look(nothing_sent(S.PLANNED), None, None),
         ((K.LEGACY_VANISHED, G.NONE),)),
    Case("due, and a person suspended it", look(nothing_sent(S.PLANNED), suspended(), None),
         ((K.ZERO_COVERAGE, G.ZERO),)),
    Case("refused, and then it ended",
         look(nothing_sent(S.REFUSED), legacy(1, status=Status.EXPIRED), None, klass=C.FAILED),
         ((K.ZERO_COVERAGE, G.ZERO),)),
    Case("due, it ended, and the same product was bought by hand",
         look(nothing_sent(S.PLANNED), suspended(), None, by_hand()), ((K.SAME_PRODUCT_CANDIDATE, G.NONE),)),
    Case("it should have renewed, and ended",
         look(None, suspended(term_end_at=None), None, klass=C.RENEWS_IN_LEGACY, term_end_at=None),
         ((K.ZERO_COVERAGE, G.ZERO),)),
    Case("held, and then it ended", look(None, suspended(), None, klass=C.HELD),
         ((K.ENDED_UNCOVERED, G.NONE),)),
    Case("opted out, and then it ended", look(None, suspended(), None, klass=C.OPTED_OUT),
         ((K.ENDED_UNCOVERED, G.NONE),)),
]  # fmt: skip


UNDOING = [
    Case("being undone, and legacy is not active again yet",
         look(converted(S.UNDOING), suspended(), ours(), klass=C.HELD)),
    Case("being undone, and NCE is not cancelled yet",
         look(converted(S.UNDOING, MOMENT_AGO), active(), ours(), klass=C.HELD)),
    Case("the undo stopped half way, and both are billed",
         look(converted(S.UNDOING), active(), ours(), klass=C.HELD), ((K.DOUBLE_COVERAGE, G.DOUBLE),)),
    Case("being undone, and legacy was ended again by somebody",
         look(converted(S.UNDOING), suspended(), ours(status=Status.DELETED), klass=C.HELD),
         ((K.ZERO_COVERAGE, G.ZERO),)),
]  # fmt: skip


@pytest.mark.parametrize(
    "case", [*FINE, *DONE, *UNFINISHED, *IN_DOUBT, *UNTOUCHED, *UNDOING], ids=lambda c: c.sentence
)
def test_the_table(case: Case) -> None:
    assert tuple((d.kind, d.gap) for d in case.result.discrepancies) == case.found
    assert tuple(repair for _, repair in case.result.repairs) == case.repairs
    assert case.result.unclear == ()


@pytest.mark.parametrize(
    "case", [*DONE, *UNFINISHED, *IN_DOUBT, *UNTOUCHED, *UNDOING], ids=lambda c: c.sentence
)
def test_each_finding_says_what_who_and_how_and_is_critical_when_coverage_is_wrong(case: Case) -> None:
    for found in case.result.discrepancies:
        assert found.what.startswith(f"Subscription {legacy_id(1)} (Business Basic) of customer {CUSTOMER}: ")
        assert f" Who acts: {found.owner.value}. " in found.sentence
        assert found.owner is not Owner.NOBODY
        assert found.remedy.endswith(".")
        assert (found.severity is Severity.CRITICAL) == (found.gap is not G.NONE)


@pytest.mark.parametrize(
    ("klass", "owner", "severity"),
    [
        (C.OPTED_OUT, Owner.PARTNER, Severity.NOTICE),
        (C.LAPSES, Owner.PARTNER, Severity.NOTICE),
        (C.HELD, Owner.OPERATOR, Severity.SERIOUS),
        (C.NOT_ELIGIBLE, Owner.OPERATOR, Severity.SERIOUS),
        (C.UNDONE, Owner.OPERATOR, Severity.SERIOUS),
    ],
)
def test_what_was_not_ours_to_convert_is_its_owners(klass: Any, owner: Owner, severity: Severity) -> None:
    found = only(look(None, suspended(), None, klass=klass))
    assert (found.owner, found.severity) == (owner, severity)


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (look(converted(S.CONVERTED), suspended(), ours(status=Status.SUSPENDED)),
         "is suspended, and is billed all the same; legacy is suspended: the customer has no service"),
        (look(converted(S.CONVERTED), active(), ours(cancellable_until_at=at("2022-07-18 09:00"))),
         "which can be cancelled until 2022-07-18 09:00 UTC"),
        (look(converted(S.CONVERTED), suspended(), None),
         f"NCE subscription {nce_id(1)} is not listed any more"),
        (look(nothing_sent(S.BY_OTHERS, since_at=THREE_DAYS_AGO), suspended(), None),
         "no NCE subscription is there"),
        (look(nothing_sent(S.PLANNED), suspended(), None),
         "possible before its term ends on 2022-07-20 08:00 UTC"),
        (look(nothing_sent(S.UNKNOWN, since_at=AN_HOUR_AGO, unanswered_at=AN_HOUR_AGO), active(), None),
         "was sent on 2022-07-15 11:00 UTC and no answer is on record"),
        (look(converted(S.HANDS_OFF, THREE_DAYS_AGO), suspended(), None),
         "is hands_off since 2022-07-12 12:00 UTC, longer than it ever takes"),
        (look(purchased(S.COVERED), active(seats=11), ours()), "NCE has 10 seats, legacy has 11; legacy is"),
        (look(nothing_sent(S.STRANDED, reason="cart c is gone"), active(), None),
         "not known (cart c is gone)"),
        (look(nothing_sent(S.PLANNED), active(), None, by_hand()), "does not say what it replaces"),
    ],
)  # fmt: skip
def test_a_sentence_has_the_facts_that_somebody_needs(result: Comparison, says: str) -> None:
    assert says in only(result).sentence


def test_a_sentence_is_the_same_tomorrow() -> None:
    known = KnownLine(
        legacy_id(1), CUSTOMER, legacy_id(1), conversion=converted(S.HANDS_OFF, THREE_DAYS_AGO).conversion
    )
    today, tomorrow = (
        only(compare([Pair(known, suspended(), None)], FOUNDING, NOW + timedelta(days=days)))
        for days in (0, 1)
    )
    assert today == tomorrow


@pytest.mark.parametrize(
    "result",
    [
        look(converted(S.CONVERTED), legacy(1, status=Status.OTHER), ours()),
        look(converted(S.CONVERTED), suspended(), ours(status=Status.OTHER)),
        look(converted(S.CONVERTED), suspended(), None, doubtful=True),
        look(None, suspended(), None, doubtful=True),
    ],
)
def test_what_cannot_be_read_is_neither_fine_nor_a_finding(result: Comparison) -> None:
    assert result.discrepancies == result.repairs == ()
    assert [one for one, _ in result.unclear] == [legacy_id(1)]


def test_what_is_seen_is_compared_although_something_else_cannot_be_read() -> None:
    result = look(converted(S.CONVERTED), active(), ours(), doubtful=True)
    assert only(result).kind is K.DOUBLE_COVERAGE


def test_each_member_of_a_bundle_is_judged_by_itself() -> None:
    base = Pair(
        KnownLine(legacy_id(1), CUSTOMER, legacy_id(1), conversion=converted(S.CONVERTED).conversion),
        active(),
        ours(),
    )
    add_on = Pair(
        KnownLine(legacy_id(2), CUSTOMER, legacy_id(1), conversion=converted(S.CONVERTED).conversion),
        legacy(2, status=Status.SUSPENDED),
        nce(2, status=Status.DELETED),
    )
    unread = Pair(KnownLine(legacy_id(3), CUSTOMER, legacy_id(1)), legacy(3, status=Status.OTHER), None)
    result = compare([base, add_on, unread], FOUNDING, NOW)
    assert {d.legacy_id: d.kind for d in result.discrepancies} == {
        legacy_id(1): K.DOUBLE_COVERAGE,
        legacy_id(2): K.NCE_CANCELLED,
    }
    assert [one for one, _ in result.unclear] == [legacy_id(3)]


EVERYTHING = list(
    product(
        [None, *S],
        [None, *(legacy(1, status=status) for status in Status)],
        [None, *(ours(status=status) for status in Status), *(theirs(status=status) for status in Status)],
        [True, False],
    )
)


def test_no_situation_at_all_leads_to_a_repair_that_could_do_harm() -> None:
    """Every state beside every pair of statuses, as old as they come, with and without a send in doubt."""
    for state, legacy_now, nce_now, sent in EVERYTHING:
        for known in (
            [None] if state is None else [
                replace(made, unanswered_at=THREE_DAYS_AGO if sent else None)
                for made in (converted(state, THREE_DAYS_AGO), nothing_sent(state, since_at=THREE_DAYS_AGO))
            ]
        ):  # fmt: skip
            result = look(known, legacy_now, nce_now)
            for _, repair in result.repairs:
                assert known is not None
                if repair is R.MARK_BY_OTHERS:
                    assert known.conversion.state.is_unsent
                    assert not known.conversion.at_microsoft
                    assert not sent
                elif repair is R.NOTE_UNANSWERED:
                    assert state is S.SENT
                else:
                    assert state in (S.SENT, S.UNKNOWN, S.ACCEPTED, S.HANDS_OFF, S.COVERED, S.STRANDED)
            kinds = [found.kind for found in result.discrepancies]
            assert len(kinds) == len(set(kinds))


def test_nothing_that_is_finished_is_ever_repaired() -> None:
    """What a person did to it afterwards was meant, or is undone by a person."""
    for state, legacy_now, nce_now, _ in EVERYTHING:
        if state in (S.CONVERTED, S.BY_OTHERS):
            assert look(converted(state, THREE_DAYS_AGO), legacy_now, nce_now).repairs == ()


def test_the_worst_comes_first() -> None:
    assert [severity.rank for severity in (Severity.CRITICAL, Severity.SERIOUS, Severity.NOTICE)] == [0, 1, 2]
