"""Undo: legacy first, NCE only past the gate, and nothing once Microsoft's window is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.nce.domain.conversion import Conversion, ConversionState
from include.nce.domain.opt_out import OptOut
from include.nce.domain.subscription import Status, Subscription, SubscriptionKind
from include.nce.domain.undo import (
    CaseState,
    UndoLine,
    UndoPair,
    UndoWord,
    cases_called_for,
    hash_of,
    hours_left,
    late_case_state,
    may_be_converted_again,
    next_undo_step,
    no_longer_called_for,
    undo_gate,
)
from tests.support.examples import (
    AUDIO_NCE,
    BASIC_NCE,
    CUSTOMER,
    OTHER_CUSTOMER,
    add_on,
    at,
    conversion,
    legacy,
    legacy_id,
    nce,
    nce_id,
)

NOW = at("2022-07-15 10:00")
UNTIL = at("2022-07-18 10:00")
SUSPENDED, ACTIVE, DELETED = Status.SUSPENDED, Status.ACTIVE, Status.DELETED
W = UndoWord


def bought(number: int = 1, **changes: Any) -> Subscription:
    facts: dict[str, Any] = {"cancellable_until_at": UNTIL, "migrated_from_id": legacy_id(number)}
    if number == 2:
        facts |= {"offer_id": f"{AUDIO_NCE}:CFQ7TTC0K9ZZ", "seats": 4}
    return nce(number, **{**facts, **changes})


def pair(old: Subscription | None = None, new: Subscription | None = None, **changes: Any) -> UndoPair:
    old = old or legacy(status=SUSPENDED)
    number = int(old.subscription_id[-12:])
    facts: dict[str, Any] = {
        "legacy_id": old.subscription_id,
        "legacy": old,
        "nce_id": nce_id(number),
        "nce": new or bought(number),
        "expected_product_and_sku": AUDIO_NCE if number == 2 else BASIC_NCE,
        "seats_before": old.seats,
    }
    return UndoPair(**{**facts, **changes})


def extra(status: Status = SUSPENDED, new: Subscription | None = None, **changes: Any) -> UndoPair:
    return pair(add_on(2, status=status), new, **changes)


BACK = pair(legacy())
GONE = bought(status=DELETED, cancellable_until_at=None)


@pytest.mark.parametrize(
    ("bundle", "word", "about", "says"),
    [
        # The order: legacy, the base first; then NCE, the base last.
        ([pair()], W.REACTIVATE, 1, "legacy comes first"),
        ([pair(), extra()], W.REACTIVATE, 1, "legacy comes first"),
        ([BACK, extra()], W.REACTIVATE, 2, "legacy comes first"),
        ([BACK, extra(ACTIVE)], W.CANCEL, 2, "legacy is active"),
        ([BACK, extra(ACTIVE, bought(2, status=DELETED))], W.CANCEL, 1, "legacy is active"),
        ([BACK], W.CANCEL, 1, "legacy is active"),
        ([pair(legacy(), GONE)], W.DONE, None, "NCE is cancelled"),
        ([pair(legacy(), nce=None)], W.DONE, None, "NCE is cancelled"),
        # NCE is still billed when it is suspended: it is cancelled all the same.
        ([pair(legacy(), bought(status=SUSPENDED))], W.CANCEL, 1, "legacy is active"),
        # Somebody cancelled NCE by hand: the customer needs legacy back, whatever the window says.
        ([pair(new=GONE)], W.REACTIVATE, 1, "NCE is gone"),
        # To the second.
        ([pair(new=bought(cancellable_until_at=NOW))], W.REACTIVATE, 1, "legacy comes first"),
        (
            [pair(new=bought(cancellable_until_at=NOW - timedelta(seconds=1)))],
            W.TOO_LATE, 1, "168 hours ended on 2022-07-15 09:59:59",
        ),
        ([pair(new=bought(cancellable_until_at=None))], W.TOO_LATE, 1, "allows no cancellation"),
        # Legacy cannot come back.
        ([pair(legacy(status=SUSPENDED, term_end_at=NOW))], W.TOO_LATE, 1, "term ended on 2022-07-15 10:00"),
        ([pair(legacy(status=SUSPENDED, term_end_at=None))], W.TOO_LATE, 1, "no term end"),
        ([pair(legacy(status=DELETED))], W.TOO_LATE, 1, "legacy is deleted"),
        ([pair(legacy(status=Status.EXPIRED))], W.TOO_LATE, 1, "legacy is expired"),
        ([pair(legacy(status=Status.OTHER))], W.REFUSE, 1, "unknown state 'other'"),
        ([pair(legacy=None)], W.REFUSE, 1, "does not list legacy"),
        ([pair(legacy(kind=SubscriptionKind.NCE))], W.REFUSE, 1, "is no legacy subscription"),
        # What is there is not what we bought, or not what was approved.
        ([pair(nce=None, nce_id=None)], W.REFUSE, 1, "no NCE subscription is known"),
        ([pair(new=bought(kind=SubscriptionKind.SOFTWARE))], W.REFUSE, 1, "is no NCE subscription"),
        ([pair(new=bought(offer_id=f"{AUDIO_NCE}:X"))], W.REFUSE, 1, f"expected {BASIC_NCE}"),
        ([pair(new=bought(migrated_from_id=legacy_id(9)))], W.REFUSE, 1, f"came from {legacy_id(9)}"),
        ([pair(new=bought(customer_id=OTHER_CUSTOMER))], W.REFUSE, 1, "belongs to another customer"),
        ([pair(new=bought(status=Status.OTHER))], W.REFUSE, 1, "is other"),
        ([pair(nce_seats_approved=11)], W.REFUSE, 1, "11 were approved"),
        # Seats: as many as NCE has, or as before.
        ([pair(new=bought(seats=12))], W.REACTIVATE, 1, "legacy comes first"),
        ([pair(legacy(status=SUSPENDED, seats=9), seats_before=10)], W.REFUSE, 1, "has 9 seats, NCE has 10"),
        ([pair(legacy(status=SUSPENDED, seats=9), seats_before=None)], W.REFUSE, 1, "NCE has 10"),
        # A bundle of which one part cannot be undone is left whole.
        ([pair(), extra(new=bought(2, cancellable_until_at=None))], W.TOO_LATE, 2, "no cancellation"),
        ([pair(), extra(new=bought(2, status=Status.PENDING))], W.WAIT, 2, "is not active yet"),
        ([], W.REFUSE, None, "nothing of ours"),
    ],
)  # fmt: skip
def test_what_is_sent_next(bundle: list[UndoPair], word: UndoWord, about: int | None, says: str) -> None:
    ruling = next_undo_step(bundle, now_at=NOW)

    assert (ruling.word, ruling.legacy_id) == (word, legacy_id(about) if about else None)
    assert says in ruling.reason


@pytest.mark.parametrize(
    ("bundle", "word", "says"),
    [
        ([BACK], W.CANCEL, "covers it"),
        ([BACK, extra(ACTIVE)], W.CANCEL, "covers it"),
        ([pair()], W.REFUSE, "legacy is suspended, not active"),
        ([BACK, extra()], W.REFUSE, f"of its bundle, {legacy_id(2)} is not covered: legacy is suspended"),
        ([pair(legacy(status=Status.OTHER))], W.REFUSE, "legacy is other"),
        ([pair(legacy=None)], W.REFUSE, "does not list"),
        ([pair(legacy(kind=SubscriptionKind.NCE))], W.REFUSE, "is no legacy"),
        ([pair(legacy(term_end_at=NOW))], W.REFUSE, "term ended"),
        ([pair(legacy(term_end_at=None))], W.REFUSE, "no term end"),
        ([pair(legacy(customer_id=OTHER_CUSTOMER))], W.REFUSE, "belongs to another customer"),
        ([pair(legacy(seats=9), seats_before=10)], W.REFUSE, "has 9 seats, NCE has 10"),
        ([pair(legacy(), nce=None)], W.REFUSE, "no NCE subscription is known"),
        ([pair(legacy(), bought(status=DELETED))], W.REFUSE, "is deleted"),
        ([pair(legacy(), bought(cancellable_until_at=None))], W.TOO_LATE, "no cancellation"),
        ([extra(ACTIVE)], W.REFUSE, "is not part of what was read"),
    ],
)
def test_the_undo_gate(bundle: list[UndoPair], word: UndoWord, says: str) -> None:
    ruling = undo_gate(bundle, legacy_id=legacy_id(1), now_at=NOW)

    assert ruling.word is word
    assert says in ruling.reason


@given(
    legacy_status=st.sampled_from(list(Status)),
    extra_status=st.sampled_from(list(Status)),
    nce_status=st.sampled_from(list(Status)),
    seats=st.integers(1, 20),
    seconds_left=st.integers(-2, 2),
    term_left=st.integers(-2, 2),
    same_customer=st.booleans(),
)
def test_nce_is_never_cancelled_unless_legacy_covers_the_whole_bundle(
    legacy_status: Status,
    extra_status: Status,
    nce_status: Status,
    seats: int,
    seconds_left: int,
    term_left: int,
    same_customer: bool,
) -> None:
    old = legacy(
        status=legacy_status,
        seats=seats,
        term_end_at=NOW + timedelta(seconds=term_left),
        customer_id=CUSTOMER if same_customer else OTHER_CUSTOMER,
    )
    new = bought(status=nce_status, cancellable_until_at=NOW + timedelta(seconds=seconds_left))
    bundle = [pair(old, new, seats_before=10), extra(extra_status)]
    holds = (
        legacy_status is ACTIVE
        and extra_status is ACTIVE
        and nce_status in (ACTIVE, SUSPENDED)
        and seats >= 10
        and seconds_left >= 0
        and term_left > 0
        and same_customer
    )

    assert (undo_gate(bundle, legacy_id=legacy_id(1), now_at=NOW).word is W.CANCEL) == holds
    step = next_undo_step(bundle, now_at=NOW)
    if step.word is W.CANCEL and step.legacy_id == legacy_id(1):
        assert holds


def test_who_pays_twice_is_said() -> None:
    over = bought(cancellable_until_at=NOW - timedelta(hours=1))

    assert next_undo_step([pair(legacy(), over)], now_at=NOW).double_covered
    assert not next_undo_step([pair(new=over)], now_at=NOW).double_covered
    assert not next_undo_step([pair(legacy(), GONE)], now_at=NOW).double_covered


def line(**changes: Any) -> UndoLine:
    facts: dict[str, Any] = {
        "case_id": 1,
        "conversion_id": 1,
        "customer_id": CUSTOMER,
        "legacy_id": legacy_id(1),
        "base_id": legacy_id(1),
        "nce_id": nce_id(1),
        "offer_name": "Business Basic",
        "route": "migrate",
        "legacy_seats": 10,
        "nce_seats": 10,
        "legacy_ends_at": NOW,
        "window_until_at": UNTIL,
        "word": W.REACTIVATE,
        "why": "",
    }
    return UndoLine(**{**facts, **changes})


@pytest.mark.parametrize(
    "changes", [{"nce_id": nce_id(2)}, {"nce_seats": 11}, {"legacy_id": legacy_id(2)}, {"base_id": "x"}]
)
def test_an_approval_is_bound_to_what_would_be_taken_back(changes: dict[str, Any]) -> None:
    assert hash_of([line()]) != hash_of([line(**changes)])


def test_an_approval_is_not_bound_to_the_time_or_to_how_far_it_is() -> None:
    assert hash_of([line()]) == hash_of([line(word=W.CANCEL, why="later", window_until_at=None)])


def test_the_order_of_lines_is_no_part_of_an_approval() -> None:
    other = line(legacy_id=legacy_id(2))
    assert hash_of([line(), other]) == hash_of([other, line()])
    assert hash_of([line(), other]) != hash_of([line()])


@pytest.mark.parametrize(
    ("until_at", "hours", "state"),
    [
        (NOW + timedelta(hours=3, minutes=30), 3.5, CaseState.OPEN),
        (NOW, 0.0, CaseState.OPEN),
        (NOW - timedelta(seconds=1), 0.0, CaseState.TOO_LATE),
        (None, None, CaseState.OPEN),
    ],
)
def test_hours_left(until_at: Any, hours: float | None, state: CaseState) -> None:
    assert hours_left(until_at, NOW) == hours
    assert late_case_state(until_at, NOW) is state


DEADLINE = at("2022-06-30 22:00")
LATE, TIMELY = at("2022-07-12 09:00"), at("2022-06-29 09:00")


def form(received_at: Any, customer_id: str | None = None, **changes: Any) -> OptOut:
    return OptOut("rossi", received_at, "anna", customer_id, **changes)


def sold(state: ConversionState = ConversionState.CONVERTED, number: int = 1, base: int = 1) -> Conversion:
    return conversion(number, state, base_id=legacy_id(base))


@pytest.mark.parametrize(
    ("forms", "scope", "says"),
    [
        ([form(LATE)], "partner", "after the deadline and after the purchase"),
        ([form(LATE, CUSTOMER)], "customer", "after the deadline"),
        ([form(TIMELY)], "partner", "in time, and was recorded only after the purchase"),
        ([form(LATE), form(TIMELY, CUSTOMER)], "customer", "in time"),
    ],
)
def test_an_opt_out_calls_for_taking_back_what_was_bought(forms: list[OptOut], scope: str, says: str) -> None:
    [called] = cases_called_for([sold(), sold(number=2)], forms, DEADLINE)

    assert (called.customer_id, called.base_id, called.scope) == (CUSTOMER, legacy_id(1), scope)
    assert called.received_at == min(f.received_at for f in forms)
    assert says in called.reason


@pytest.mark.parametrize(
    "forms", [[], [form(LATE, OTHER_CUSTOMER)], [form(LATE, withdrawn_at=LATE + timedelta(hours=1))]]
)
def test_what_nobody_opted_out_of_is_not_taken_back(forms: list[OptOut]) -> None:
    assert cases_called_for([sold()], forms, DEADLINE) == []
    assert no_longer_called_for(CUSTOMER, forms)


@pytest.mark.parametrize("state", sorted(set(ConversionState)))
def test_only_what_is_bought_can_be_taken_back(state: ConversionState) -> None:
    """What is unknown may be bought: it is not overlooked."""
    nothing_bought = {
        "planned",
        "refused",
        "failed",
        "held",
        "waiting",
        "drifted",
        "by_others",
        "undone",
        "later",
    }
    called = cases_called_for([sold(state)], [form(LATE)], DEADLINE)

    assert bool(called) == (state.value not in nothing_bought)


@pytest.mark.parametrize(
    ("confirmed_at", "may"),
    [(None, False), (NOW - timedelta(days=9), False), (NOW, False), (NOW + timedelta(seconds=1), True)],
)
def test_what_was_undone_is_converted_again_only_by_a_later_decision(confirmed_at: Any, may: bool) -> None:
    assert may_be_converted_again(NOW, confirmed_at) is may


def test_the_pairs_of_these_tests_are_what_they_say() -> None:
    assert replace(pair(), legacy=legacy()) == BACK
