"""Batches of what is due, and how a run ends."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.nce.domain.classification import SubscriptionClass, Verdict
from include.nce.domain.conversion import Route
from include.nce.domain.outcome import RunOutcome, worst
from include.nce.domain.plan import batches, outcome_of, tally
from tests.support.examples import at, legacy, legacy_id

C, O = SubscriptionClass, RunOutcome  # noqa: E741 - the table below reads better so
NOON = at("2022-07-11 12:00")


def due(number: int, *, customer: str = "a", hours: int = 0, add_ons: int = 0, **changes: Any) -> Verdict:
    facts: dict[str, Any] = {
        "klass": C.DUE,
        "route": Route.MIGRATE,
        "last_safe_start_at": NOON + timedelta(hours=hours),
        "bundle": tuple(f"add-on-{number}-{n}" for n in range(add_ons)),
    }
    return Verdict(legacy(number, customer_id=customer), reason="", **{**facts, **changes})


def ids(*numbers: int) -> list[str]:
    return [legacy_id(n) for n in numbers]


def test_what_is_most_urgent_goes_first() -> None:
    assert batches([due(1, hours=9), due(2, hours=-3), due(3, hours=1)], 100) == [ids(2, 3, 1)]


def test_what_has_no_last_safe_start_goes_last() -> None:
    assert batches([due(1, last_safe_start_at=None), due(2, hours=9)], 100) == [ids(2, 1)]


def test_equally_urgent_lines_of_a_customer_stay_together() -> None:
    assert batches([due(1, customer="b"), due(2, customer="a"), due(3, customer="b")], 100) == [ids(2, 1, 3)]


def test_a_batch_never_mixes_routes() -> None:
    bought = due(2, hours=-5, route=Route.PURCHASE)

    assert batches([due(1), bought, due(3)], 100) == [ids(1, 3), ids(2)]


def test_add_ons_count_towards_the_size() -> None:
    assert batches([due(1, add_ons=2), due(2, hours=1, add_ons=1), due(3, hours=2)], 5) == [ids(1, 2), ids(3)]


def test_a_bundle_larger_than_a_batch_gets_one_of_its_own() -> None:
    assert batches([due(1, add_ons=7), due(2, hours=1)], 5) == [ids(1), ids(2)]


def test_only_due_bases_are_in_batches() -> None:
    verdicts = [due(1), due(2, travels_with=legacy_id(1)), *(due(9, klass=k) for k in C if k is not C.DUE)]

    assert batches(verdicts, 100) == [ids(1)]


def test_nothing_due_makes_no_batch() -> None:
    assert batches([], 100) == []


@given(
    lines=st.lists(
        st.tuples(
            st.sampled_from(list(Route)),
            st.sampled_from("abc"),
            st.integers(-200, 200),
            st.integers(0, 4),
            st.sampled_from([C.DUE, C.DUE, C.SCHEDULED, C.HELD]),
        ),
        max_size=40,
    ),
    size=st.integers(1, 12),
)
def test_every_due_base_is_in_exactly_one_batch_and_every_batch_keeps_its_promises(
    lines: list[tuple[Route, str, int, int, SubscriptionClass]], size: int
) -> None:
    verdicts = [
        due(n, route=route, customer=customer, hours=hours, add_ons=add_ons, klass=klass)
        for n, (route, customer, hours, add_ons, klass) in enumerate(lines)
    ]
    by_id = {v.subscription.subscription_id: v for v in verdicts}
    made = batches(verdicts, size)

    placed = [key for batch in made for key in batch]
    assert sorted(placed) == sorted(key for key, v in by_id.items() if v.klass is C.DUE)
    for batch in made:
        members = [by_id[key] for key in batch]
        assert len({v.route for v in members}) == 1
        assert len(members) == 1 or sum(1 + len(v.bundle) for v in members) <= size
    for route in Route:
        starts = [by_id[key].last_safe_start_at for key in placed if by_id[key].route is route]
        assert starts == sorted(starts, key=lambda moment: moment or NOON)


def test_the_tally_counts_in_the_order_of_the_classes() -> None:
    counted = tally([due(1), due(2, klass=C.EXEMPT), due(3), due(4, klass=C.HELD)])

    assert list(counted.items()) == [("exempt", 1), ("held", 1), ("due", 2)]


@pytest.mark.parametrize(
    ("classes", "blocked", "opted_out", "outcome"),
    [
        ([], False, False, O.NOTHING_TO_DO),
        ([C.EXEMPT, C.NOT_LEGACY, C.RENEWS_IN_LEGACY, C.ALREADY_MIGRATED], False, False, O.NOTHING_TO_DO),
        ([C.CONVERTED, C.EXEMPT], False, False, O.CONVERTED),
        ([C.CONVERTED, C.SCHEDULED], False, False, O.SCHEDULED),
        ([C.OPTED_OUT], False, True, O.OPTED_OUT),
        ([C.OPTED_OUT, C.EXEMPT, C.RENEWS_IN_LEGACY], False, True, O.OPTED_OUT),
        ([C.OPTED_OUT, C.LAPSES], False, True, O.PARTLY_HELD),
        # One customer's opt-out leaves a subscription at risk in a run that goes on.
        ([C.OPTED_OUT, C.CONVERTED], False, False, O.PARTLY_HELD),
        ([C.HELD, C.CONVERTED, C.SCHEDULED], False, False, O.PARTLY_HELD),
        ([C.NOT_ELIGIBLE, C.CONVERTED], False, False, O.PARTLY_HELD),
        ([C.LAPSES], False, False, O.PARTLY_HELD),
        ([C.HELD], True, False, O.BLOCKED),
        ([C.DUE, C.CONVERTED], False, False, O.UNRESOLVED),
        ([C.DUE, C.HELD], True, False, O.UNRESOLVED),
        ([C.FAILED, C.DUE, C.CONVERTED], True, False, O.FAILED),
    ],
)
def test_the_outcome_is_the_worst_thing_that_is_true(
    classes: list[SubscriptionClass], blocked: bool, opted_out: bool, outcome: RunOutcome
) -> None:
    assert outcome_of(classes, blocked=blocked, opted_out=opted_out) is outcome


def test_only_what_somebody_has_to_act_on_is_red() -> None:
    assert {o for o in O if o.needs_somebody} == {O.BLOCKED, O.UNRESOLVED, O.FAILED}


def test_nothing_happened_is_nothing_to_do() -> None:
    assert worst([]) is O.NOTHING_TO_DO
