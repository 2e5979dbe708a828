"""Who replaces whom: whatever the order in which Partner Center lists it, and never what has ended."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.nce.domain.conversion import ConversionState, Route
from include.nce.domain.lineage import (
    counterparts,
    has_ended,
    is_billed_twice_too_long,
    is_out_of_patience,
    is_over,
    is_unplaced,
    serves,
    successor_of,
)
from include.nce.domain.subscription import Status, Subscription
from tests.support.examples import BASIC_NCE, at, campaign, conversion, legacy, legacy_id, nce, nce_id

S = ConversionState
NOW = at("2022-07-12 00:00")
ALIVE = [Status.ACTIVE, Status.PENDING, Status.SUSPENDED, Status.OTHER]
OVER = [Status.EXPIRED, Status.DELETED]


def successor(number: int, status: Status = Status.ACTIVE, created: str | None = None) -> Subscription:
    created_at = None if created is None else at(created)
    return nce(number, status=status, migrated_from_id=legacy_id(1), created_at=created_at)


@pytest.mark.parametrize("status", ALIVE)
def test_what_says_it_was_migrated_from_it_is_its_successor(status: Status) -> None:
    assert successor_of(legacy_id(1), [nce(2), successor(1, status)]) == successor(1, status)


@pytest.mark.parametrize("status", OVER)
def test_a_successor_that_has_ended_is_none(status: Status) -> None:
    assert successor_of(legacy_id(1), [successor(1, status)]) is None


@pytest.mark.parametrize("status", OVER)
def test_an_ended_successor_never_hides_a_living_one(status: Status) -> None:
    for listed in permutations([successor(1, status), successor(2), legacy(1), nce(3)]):
        assert successor_of(legacy_id(1), listed) == successor(2)


def test_of_several_the_one_that_we_know_counts_else_the_oldest() -> None:
    held = [successor(1, created="2022-07-11 10:00"), successor(2, created="2022-07-11 09:00"), successor(3)]
    for listed in permutations(held):
        assert successor_of(legacy_id(1), listed) == held[1]
        assert successor_of(legacy_id(1), listed, known_id=nce_id(3)) == held[2]


@given(
    st.lists(
        st.builds(
            successor,
            st.integers(1, 6),
            st.sampled_from(list(Status)),
            st.sampled_from([None, "2022-07-11 09:00", "2022-07-11 10:00"]),
        ),
        unique_by=lambda held: held.subscription_id,
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_the_list_never_matters(held: list[Subscription], chance) -> None:
    shuffled = list(held)
    chance.shuffle(shuffled)
    assert successor_of(legacy_id(1), held) == successor_of(legacy_id(1), shuffled)


@pytest.mark.parametrize(
    ("status", "legacy_is_billed", "nce_is_billed"),
    [
        (Status.ACTIVE, True, True),
        (Status.PENDING, True, True),
        (Status.SUSPENDED, False, True),
        (Status.EXPIRED, False, False),
        (Status.DELETED, False, False),
        (Status.OTHER, True, True),
    ],
)
def test_suspended_means_the_opposite_on_the_two_sides(
    status: Status, legacy_is_billed: bool, nce_is_billed: bool
) -> None:
    """A status nobody knows counts as billed: nobody looks away from it."""
    assert has_ended(legacy(1, status=status)) is not legacy_is_billed
    assert is_over(nce(1, status=status)) is not nce_is_billed


@pytest.mark.parametrize("status", list(Status))
def test_what_serves_a_customer_is_active_or_about_to_be(status: Status) -> None:
    assert serves(nce(1, status=status)) is (status in (Status.ACTIVE, Status.PENDING))
    assert not serves(None)


@pytest.mark.parametrize("status", list(Status))
def test_what_nobody_can_place_is_unplaced_until_it_has_ended(status: Status) -> None:
    assert is_unplaced(nce(1, status=status), ()) is (status in ALIVE)


def test_what_the_ledger_or_microsoft_can_place_is_not_unplaced() -> None:
    assert not is_unplaced(nce(1), {nce_id(1)})
    assert not is_unplaced(nce(1, order_id="o1"), {"o1"})
    assert not is_unplaced(successor(1), ())
    assert not is_unplaced(legacy(1), ())
    # No order is no place: None is among the orders of what was migrated.
    assert is_unplaced(nce(1, order_id=None), {None})


def test_two_lines_of_one_order_get_one_subscription_each_in_whatever_order() -> None:
    bought = {"route": Route.PURCHASE, "order_id": "o1", "expected_product_and_sku": BASIC_NCE}
    lines = [conversion(1, S.ACCEPTED, seats=10, **bought), conversion(2, S.ACCEPTED, seats=3, **bought)]
    made = [nce(1, order_id="o1", seats=10), nce(2, order_id="o1", seats=3)]
    for listed in permutations(made):
        for asked in permutations(lines):
            held = {s.subscription_id: s for s in listed}
            assert counterparts(asked, held) == {legacy_id(1): made[0], legacy_id(2): made[1]}


@pytest.mark.parametrize(("route", "hours"), [(Route.MIGRATE, 72), (Route.PURCHASE, 6)])
def test_patience_is_microsofts_for_a_migration_and_the_campaigns_for_a_purchase(
    route: Route, hours: int
) -> None:
    policy = campaign(cadence={"purchase_patience_hours": 6})
    line = conversion(1, S.ACCEPTED, route=route, state_since_at=NOW - timedelta(hours=hours))
    assert is_out_of_patience(line, policy, NOW)
    assert not is_out_of_patience(line, policy, NOW - timedelta(seconds=1))
    assert is_billed_twice_too_long(line, policy, NOW)
    assert not is_out_of_patience(conversion(1, S.ACCEPTED, route=route), policy, NOW)
