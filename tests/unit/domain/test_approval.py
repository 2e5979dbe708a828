"""The hash of a plan, what drifts out of it, and when a person has to agree to it."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.nce.domain.approval import (
    Approval,
    ApprovalWord,
    PlannedLine,
    PlanOnRecord,
    only_as_planned,
    plan_hash,
    planned_lines,
    reasons_to_ask,
    why_drifted,
)
from include.nce.domain.campaign import Approvals
from include.nce.domain.classification import SubscriptionClass, Verdict
from include.nce.domain.conversion import Route
from include.nce.domain.readiness import Owner
from tests.support.examples import BASIC, BASIC_NCE, CUSTOMER, add_on, at, legacy, legacy_id

C = SubscriptionClass
NOBODY = Approvals(longer_commitments=False, price_relevant_changes=False)
ABOVE_TWO = NOBODY.model_copy(update={"above_subscriptions": 2})
ABOVE_20_SEATS = NOBODY.model_copy(update={"above_seats": 20})


def line(number: int = 1, **changes: Any) -> PlannedLine:
    facts: dict[str, Any] = {
        "legacy_id": legacy_id(number),
        "customer_id": CUSTOMER,
        "base_id": legacy_id(number),
        "offer_id": BASIC,
        "route": Route.MIGRATE,
        "legacy_seats": 10,
        "legacy_term": "P1Y",
        "legacy_billing": "monthly",
        "term_end_at": at("2022-07-20 08:00"),
        "term": "P1Y",
        "billing": "monthly",
        "seats": None,
        "product_and_sku": BASIC_NCE,
    }
    return PlannedLine(**{**facts, **changes})


OTHERWISE: dict[str, Any] = {
    "legacy_id": legacy_id(9),
    "customer_id": "another",
    "base_id": legacy_id(9),
    "offer_id": "another",
    "route": Route.PURCHASE,
    "legacy_seats": 11,
    "legacy_term": "P1M",
    "legacy_billing": "annual",
    "term_end_at": at("2022-07-21 08:00"),
    "term": "P3Y",
    "billing": "annual",
    "seats": 12,
    "product_and_sku": "CFQ7TTC0LH18:0002",
}


def verdict(number: int = 1, **changes: Any) -> Verdict:
    facts: dict[str, Any] = {
        "klass": C.DUE,
        "reason": "",
        "route": Route.MIGRATE,
        "term": "P1Y",
        "billing": "monthly",
        "expected_product_and_sku": BASIC_NCE,
    }
    subscription = changes.pop("subscription", legacy(number))
    return Verdict(subscription, **{**facts, **changes})


def plan(*lines: PlannedLine) -> PlanOnRecord:
    return PlanOnRecord(
        7, 3, plan_hash(lines), at("2022-07-01 00:00"), {each.legacy_id: each for each in lines}
    )


def test_every_field_of_a_line_is_tried_below() -> None:
    assert {field.name for field in fields(PlannedLine)} == set(OTHERWISE)


@pytest.mark.parametrize("name", OTHERWISE)
def test_whatever_changes_in_a_line_changes_the_hash(name: str) -> None:
    assert plan_hash([line()]) != plan_hash([line(**{name: OTHERWISE[name]})])


@given(st.permutations([1, 2, 3, 4]))
def test_the_order_of_the_lines_does_not_change_the_hash(order: list[int]) -> None:
    assert plan_hash(line(number) for number in order) == plan_hash(line(number) for number in (1, 2, 3, 4))


def test_one_line_more_or_fewer_changes_the_hash() -> None:
    assert len({plan_hash([]), plan_hash([line(1)]), plan_hash([line(1), line(2)])}) == 3


def test_the_hash_of_a_line_is_the_same_on_every_machine() -> None:
    """Approvals are kept for months: a change of this value makes every one of them void."""
    assert plan_hash([line()]) == ("4d0c8bc8eda5936658eb24ecbd22efbe3574220b90a788823e07a115c7d59e51")


def test_a_plan_whose_lines_were_changed_on_record_is_not_genuine() -> None:
    made = plan(line(1), line(2))
    assert made.is_genuine
    assert not replace(made, lines={**made.lines, legacy_id(2): line(2, seats=99)}).is_genuine


def test_what_is_due_or_scheduled_is_bought_and_nothing_else() -> None:
    bought = planned_lines(
        verdict(number, klass=klass, route=None if klass not in (C.DUE, C.SCHEDULED) else Route.MIGRATE)
        for number, klass in enumerate(C, start=1)
    )
    assert [list(C)[int(key[-12:]) - 1] for key in bought] == [C.SCHEDULED, C.DUE]


def test_what_an_earlier_plan_began_is_not_bought_by_this_one() -> None:
    assert planned_lines([verdict(begun=True)]) == {}


def test_a_line_says_what_legacy_was_and_what_is_bought() -> None:
    assert planned_lines([verdict()]) == {legacy_id(1): line()}


def test_an_add_on_belongs_to_its_base() -> None:
    lines = planned_lines([verdict(2, subscription=add_on(2), travels_with=legacy_id(1))])
    assert lines[legacy_id(2)].base_id == legacy_id(1)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"seats": 12}, "seats 10, now 12"),
        ({"seats": 3}, "seats 10, now 3"),
        ({"term_end_at": at("2022-08-01 00:00")}, "term end 2022-07-20 08:00 UTC, now 2022-08-01 00:00 UTC"),
        ({"term_end_at": None}, "now none"),
        ({"offer_id": "44444444-0000-4000-8000-00000000ffff"}, "offer"),
        ({"term": "P1M"}, "term P1Y, now P1M"),
        ({"billing": "annual"}, "billing cycle monthly, now annual"),
    ],
)
def test_what_legacy_is_otherwise_than_planned_is_named(changes: dict[str, Any], word: str) -> None:
    why = why_drifted(line(), legacy(1, **changes))
    assert why is not None
    assert word in why


@pytest.mark.parametrize(
    "changes", [{}, {"offer_id": BASIC.upper()}, {"auto_renew": False}, {"order_id": "x"}]
)
def test_what_does_not_matter_is_no_drift(changes: dict[str, Any]) -> None:
    assert why_drifted(line(), legacy(1, **changes)) is None


@pytest.mark.parametrize(
    ("policy", "lines", "asked"),
    [
        (NOBODY, [line()], []),
        (Approvals(always=True), [], []),
        (Approvals(always=True), [line()], ["every plan"]),
        (ABOVE_TWO, [line(1), line(2)], []),
        (ABOVE_TWO, [line(1), line(2), line(3)], ["3 subscriptions, more than 2"]),
        (ABOVE_20_SEATS, [line(1), line(2)], []),
        (ABOVE_20_SEATS, [line(1), line(2, seats=11)], ["21 seats, more than 20"]),
        (Approvals(), [line()], []),
        (Approvals(), [line(term="P3Y")], ["1 with a longer term"]),
        (Approvals(), [line(legacy_term=None, term="P3Y")], ["1 with a longer term"]),
        (Approvals(), [line(term="P1M")], ["another term"]),
        (Approvals(), [line(billing="annual")], ["another term, billing cycle"]),
        (Approvals(), [line(legacy_billing=None, billing="annual")], []),
        (Approvals(), [line(seats=10)], []),
        (Approvals(), [line(seats=4)], []),
        (Approvals(), [line(seats=15)], ["seat count"]),
        (Approvals(price_relevant_changes=False), [line(seats=15)], []),
        (Approvals(longer_commitments=False), [line(term="P3Y")], ["another term"]),
        (Approvals(), [line(1, term="P3Y"), line(2, seats=15)], ["1 with a longer", "1 with another"]),
    ],
)  # fmt: skip
def test_when_a_person_has_to_approve(policy: Approvals, lines: list[PlannedLine], asked: list[str]) -> None:
    reasons = reasons_to_ask(lines, policy)
    assert len(reasons) == len(asked)
    assert all(word in reason for word, reason in zip(asked, reasons, strict=True))


def test_a_plan_that_was_named_lets_through_what_is_as_it_stands_there() -> None:
    due = [verdict(1), verdict(2)]
    assert only_as_planned(due, plan(line(1), line(2), line(3))) == due


def test_what_has_changed_since_the_named_plan_is_held_with_the_reason() -> None:
    first, second = only_as_planned(
        [verdict(1), verdict(2, subscription=legacy(2, seats=12))], plan(line(1), line(2))
    )
    assert (first.klass, second.klass, second.owner) == (C.DUE, C.HELD, Owner.OPERATOR)
    assert "legacy seats 10, now 12" in second.reason


def test_what_the_named_plan_does_not_have_is_held() -> None:
    (only,) = only_as_planned([verdict(2)], plan(line(1)))
    assert (only.klass, "it is not in that plan" in only.reason) == (C.HELD, True)


def test_a_changed_add_on_holds_its_whole_bundle() -> None:
    base = verdict(1, bundle=(legacy_id(2),))
    extra = verdict(2, subscription=add_on(2, seats=5), travels_with=legacy_id(1))
    planned = [line(1), *planned_lines([replace(extra, subscription=add_on(2))]).values()]
    held = only_as_planned([base, extra], plan(*planned))
    assert [each.klass for each in held] == [C.HELD, C.HELD]
    assert "converted with has changed" in held[0].reason


@pytest.mark.parametrize("klass", [C.SCHEDULED, C.HELD, C.EXEMPT])
def test_a_named_plan_says_nothing_of_what_is_not_due(klass: SubscriptionClass) -> None:
    others = [verdict(5, klass=klass)]
    assert only_as_planned(others, plan()) == others


def test_an_approval_tells_who_said_what_about_which_plan() -> None:
    said = Approval("3f2a9c1b" + "0" * 56, ApprovalWord.REJECTED, "olga", at("2022-07-11 09:00"), "too early")
    assert said.sentence == "olga rejected plan 3f2a9c1b: too early"
