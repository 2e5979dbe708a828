"""The cancel gate as one table: legacy is touched only when NCE covers it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.nce.domain.cancellation import CoveredPair, GateWord, cancel_gate
from include.nce.domain.subscription import Status, Subscription, SubscriptionKind
from tests.support.examples import (
    AUDIO_NCE,
    BASIC_NCE,
    OTHER_CUSTOMER,
    add_on,
    legacy,
    legacy_id,
    nce,
    nce_id,
)

SUSPEND, WAIT, REFUSE, DONE = GateWord.SUSPEND, GateWord.WAIT, GateWord.REFUSE, GateWord.ALREADY_DONE


def pair(old: Subscription | None = None, new: Subscription | None = None, **changes: Any) -> CoveredPair:
    facts: dict[str, Any] = {"expected_product_and_sku": BASIC_NCE, "on_its_way": True}
    return CoveredPair(old or legacy(), new, **{**facts, **changes})


def extra(new: Subscription | None, **changes: Any) -> CoveredPair:
    return pair(add_on(2), new, **{"expected_product_and_sku": AUDIO_NCE, **changes})


COVERED = pair(new=nce())
AUDIO_ACTIVE = nce(2, offer_id=f"{AUDIO_NCE}:CFQ7TTC0K9ZZ", seats=4)


@pytest.mark.parametrize(
    ("bundle", "word", "says"),
    [
        ([COVERED], SUSPEND, "NCE covers it"),
        ([pair(new=nce(seats=11))], SUSPEND, "NCE covers it"),
        ([pair(new=nce(), expected_product_and_sku=None)], SUSPEND, "NCE covers it"),
        ([COVERED, extra(AUDIO_ACTIVE)], SUSPEND, "NCE covers it"),
        # Not yet.
        ([pair()], WAIT, "no NCE subscription is known yet"),
        ([pair(new=nce(status=Status.PENDING))], WAIT, "is pending, not active"),
        ([COVERED, extra(None)], WAIT, f"of its bundle, {legacy_id(2)} is not covered"),
        ([COVERED, extra(nce(2, status=Status.PENDING))], WAIT, "is pending, not active"),
        # Nothing is coming any more, or it was never bought.
        ([pair(on_its_way=False)], REFUSE, "no NCE subscription is known yet"),
        ([pair(new=nce(status=Status.PENDING), on_its_way=False)], REFUSE, "is pending"),
        ([COVERED, extra(None, on_its_way=False)], REFUSE, f"{legacy_id(2)} is not covered"),
        # What is there does not cover it, and waiting does not help.
        ([pair(new=nce(status=Status.SUSPENDED))], REFUSE, "is suspended, not active"),
        ([pair(new=nce(status=Status.DELETED))], REFUSE, "is deleted, not active"),
        ([pair(new=nce(status=Status.OTHER))], REFUSE, "is other, not active"),
        ([pair(new=nce(seats=9))], REFUSE, "has 9 seats, legacy has 10"),
        ([pair(new=nce(customer_id=OTHER_CUSTOMER))], REFUSE, "belongs to another customer"),
        ([pair(new=AUDIO_ACTIVE)], REFUSE, f"is {AUDIO_NCE}, expected {BASIC_NCE}"),
        ([pair(new=legacy(9))], REFUSE, "is no NCE subscription"),
        ([COVERED, extra(nce(2, offer_id=f"{AUDIO_NCE}:A", seats=3))], REFUSE, "has 3 seats, legacy has 4"),
        # Legacy itself.
        ([pair(legacy(status=Status.SUSPENDED), nce())], DONE, "legacy is suspended"),
        ([pair(legacy(status=Status.DELETED), nce())], DONE, "legacy is deleted"),
        ([pair(legacy(status=Status.EXPIRED), nce())], DONE, "legacy is expired"),
        ([pair(legacy(status=Status.SUSPENDED))], WAIT, "no NCE subscription is known yet"),
        ([pair(legacy(status=Status.OTHER), nce())], REFUSE, "unknown state 'other'"),
        ([COVERED, pair(add_on(2, status=Status.OTHER, seats=0), nce(2))], REFUSE, "unknown state 'other'"),
        ([pair(legacy(status=Status.PENDING), nce())], REFUSE, "unknown state 'pending'"),
        ([pair(legacy(kind=SubscriptionKind.NCE), nce())], REFUSE, "is no legacy subscription"),
        ([extra(AUDIO_ACTIVE)], REFUSE, "is not part of what was read"),
        ([], REFUSE, "is not part of what was read"),
    ],
)
def test_the_cancel_gate(bundle: list[CoveredPair], word: GateWord, says: str) -> None:
    ruling = cancel_gate(bundle, legacy_id=legacy_id(1), bought_by_us=True, suspended_by_microsoft=False)

    assert ruling.word is word
    assert says in ruling.reason


@pytest.mark.parametrize("bundle", [[COVERED], [pair(legacy(status=Status.SUSPENDED), nce())]])
def test_what_we_did_not_buy_is_not_cancelled(bundle: list[CoveredPair]) -> None:
    ruling = cancel_gate(bundle, legacy_id=legacy_id(1), bought_by_us=False, suspended_by_microsoft=False)

    assert ruling.word is REFUSE


def test_the_gate_tells_which_subscription_stands_in_the_way() -> None:
    ruling = cancel_gate(
        [COVERED, extra(None)], legacy_id=legacy_id(1), bought_by_us=True, suspended_by_microsoft=False
    )

    assert ruling.uncovered_id == legacy_id(2)


def test_what_microsoft_should_have_suspended_and_did_not_is_suspended() -> None:
    ruling = cancel_gate([COVERED], legacy_id=legacy_id(1), bought_by_us=True, suspended_by_microsoft=True)

    assert (ruling.word, ruling.reason) == (SUSPEND, "Microsoft did not suspend it, so we do")


@given(
    legacy_seats=st.integers(1, 400),
    nce_seats=st.integers(0, 400),
    nce_status=st.sampled_from(list(Status)),
    legacy_status=st.sampled_from(list(Status)),
    sku=st.sampled_from([BASIC_NCE, AUDIO_NCE]),
    add_on_covered=st.booleans(),
    ours=st.booleans(),
    on_its_way=st.booleans(),
)
def test_nothing_is_suspended_unless_everything_holds(
    legacy_seats: int,
    nce_seats: int,
    nce_status: Status,
    legacy_status: Status,
    sku: str,
    add_on_covered: bool,
    ours: bool,
    on_its_way: bool,
) -> None:
    old = legacy(seats=legacy_seats, status=legacy_status)
    new = nce(seats=nce_seats, status=nce_status, offer_id=f"{sku}:CFQ7TTC0K9ZZ")
    bundle = [
        pair(old, new, on_its_way=on_its_way),
        extra(AUDIO_ACTIVE if add_on_covered else None, on_its_way=on_its_way),
    ]
    ruling = cancel_gate(bundle, legacy_id=legacy_id(1), bought_by_us=ours, suspended_by_microsoft=False)

    holds = (
        ours
        and nce_status is Status.ACTIVE
        and legacy_status is Status.ACTIVE
        and sku == BASIC_NCE
        and nce_seats >= legacy_seats
        and add_on_covered
    )
    assert (ruling.word is SUSPEND) == holds


def test_the_reason_names_the_nce_subscription() -> None:
    ruling = cancel_gate(
        [pair(new=nce(seats=1))], legacy_id=legacy_id(1), bought_by_us=True, suspended_by_microsoft=False
    )

    assert nce_id(1) in ruling.reason
