"""Which limit a call counts on, how long it waits for it, and what is said when it may not be sent."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import pytest

from include.nce.domain.errors import FailureClass
from include.nce.partner_center.budget import (
    LONGEST_WAIT_OF_A_WRITE_SECONDS,
    BudgetSpent,
    BudgetUnknown,
    SharedBudget,
)
from include.nce.partner_center.limits import DOCUMENTED, CallRate, Limit, read_limits
from include.nce.partner_center.migrations import CREATE, VALIDATE
from include.nce.partner_center.transport import LONGEST_WAIT_SECONDS, Call

PROVIDER, CUSTOMER = "3B33E682-00C3-41EE-9DD2-A548ADF56438", "D3A1F6C0-0000-4000-8000-000000000001"
MOMENT_MS = 1_657_497_600_000


@dataclass
class Answered:
    wait_seconds: float
    moment_ms: int | None = MOMENT_MS


class FakeSlots:
    """Answers one wait after the other, and remembers what it was asked; a fault is raised."""

    def __init__(self, *answers: Answered | ConnectionError) -> None:
        self.answers = list(answers) or [Answered(0.0)]
        self.asked: list[dict[str, Any]] = []
        self.paused: list[tuple[str, str, float | None]] = []
        self.away = False

    async def book_call(self, provider_id, limit_name, tenant_id, **asked) -> Answered:
        self.asked.append({"provider": provider_id, "limit": limit_name, "tenant": tenant_id, **asked})
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, ConnectionError):
            raise answer
        return answer

    async def pause_calls(self, provider_id, limit_name, tenant_id, *, seconds) -> float:
        if self.away:
            raise ConnectionError("no route to host")
        self.paused.append((limit_name, tenant_id, seconds))
        return seconds or 5.0


class Naps:
    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


def budget_on(slots: FakeSlots, naps: Naps | None = None, limits=DOCUMENTED) -> SharedBudget:
    return SharedBudget(slots, PROVIDER, limits, sleep=naps or Naps())


READ = Call("read subscription", "GET", f"/v1/customers/{CUSTOMER}/subscriptions/s", customer_id=CUSTOMER)
WRITE = Call(
    CREATE,
    "POST",
    f"/v1/customers/{CUSTOMER}/migrations/newcommerce",
    writes=True,
    customer_id=CUSTOMER,
)


@pytest.mark.parametrize(
    ("call", "limit", "tenant", "calls", "seconds"),
    [
        (WRITE, "create_migration", PROVIDER, 100, 300),
        (Call(VALIDATE, "POST", "/v1/x", customer_id=CUSTOMER), "validate_migration", CUSTOMER, 450, 300),
        (READ, "resources", CUSTOMER, 500, 60),
        (Call("list customers", "GET", "/v1/customers"), "resources", PROVIDER, 500, 60),
        (Call("list resellers", "GET", "/v1/relationships"), "unpublished", PROVIDER, None, None),
    ],
    ids=lambda value: value.operation if isinstance(value, Call) else None,
)
async def test_a_call_counts_on_the_limit_microsoft_publishes_for_it(call, limit, tenant, calls, seconds):
    slots = FakeSlots()
    await budget_on(slots).take(call)
    asked = slots.asked[0]
    assert (asked["provider"], asked["limit"], asked["tenant"]) == (PROVIDER.lower(), limit, tenant.lower())
    assert (asked["calls"], asked["window_seconds"]) == (calls, seconds)


async def test_a_call_sleeps_until_its_moment_and_claims_it():
    slots, naps = FakeSlots(Answered(12.5), Answered(0.0)), Naps()
    await budget_on(slots, naps).take(READ)
    assert (naps.taken, [asked["held_ms"] for asked in slots.asked]) == ([12.5], [None, MOMENT_MS])


async def test_waits_in_a_row_together_are_no_longer_than_one_may_be():
    slots = FakeSlots(Answered(20.0), Answered(30.0), Answered(0.0))
    await budget_on(slots).take(READ)
    assert [asked["longest_wait_seconds"] for asked in slots.asked] == [
        LONGEST_WAIT_SECONDS,
        LONGEST_WAIT_SECONDS - 20,
        LONGEST_WAIT_SECONDS - 50,
    ]


async def test_a_write_waits_only_as_long_as_its_lock_is_fresh():
    slots = FakeSlots()
    await budget_on(slots).take(WRITE)
    assert slots.asked[0]["longest_wait_seconds"] == LONGEST_WAIT_OF_A_WRITE_SECONDS


async def test_a_spent_budget_says_when_to_come_back():
    with pytest.raises(BudgetSpent) as raised:
        await budget_on(FakeSlots(Answered(214.0, None))).take(WRITE)
    assert (raised.value.failure_class, raised.value.retry_after_seconds) == (FailureClass.WAIT, 214.0)


@pytest.mark.parametrize("answer", [Answered(214.0, None), ConnectionError("no route to host")])
async def test_a_write_that_the_budget_held_back_had_no_effect(answer):
    with pytest.raises((BudgetSpent, BudgetUnknown)) as raised:
        await budget_on(FakeSlots(answer)).take(WRITE)
    assert not raised.value.leaves_effect_unknown


async def test_nothing_is_sent_while_the_store_does_not_answer():
    with pytest.raises(BudgetUnknown, match="was not sent") as raised:
        await budget_on(FakeSlots(ConnectionError("no route to host"))).take(READ)
    assert raised.value.failure_class is FailureClass.WAIT


async def test_a_429_makes_everybody_wait_as_long_as_microsoft_says():
    slots = FakeSlots()
    await budget_on(slots).throttled(READ, 57.0)
    assert slots.paused == [("resources", CUSTOMER.lower(), 57.0)]


async def test_a_429_stands_in_the_log_with_the_ids_of_its_call(caplog):
    await budget_on(FakeSlots()).throttled(replace(READ, request_id="r", correlation_id="c"), 57.0)
    assert "Microsoft throttles 'read subscription'" in caplog.text
    assert "(request r, correlation c)" in caplog.text


async def test_a_429_while_the_store_is_away_is_only_remarked(caplog):
    slots = FakeSlots()
    slots.away = True
    await budget_on(slots).throttled(READ, 57.0)
    assert "others do not know of this 429" in caplog.text


def test_an_operators_limit_takes_the_place_of_the_documented_one():
    limits, faults = read_limits({"create_migration": {"calls": 80, "seconds": 300}})
    assert (limits[Limit.CREATE_MIGRATION], limits[Limit.RESOURCES]) == (
        CallRate(80, 300),
        DOCUMENTED[Limit.RESOURCES],
    )
    assert faults == []


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("80", "is no object"),
        ({"create": {"calls": 80, "seconds": 300}}, "'limits.create' is not known"),
        ({"resources": 80}, "'limits.resources' is no rate"),
        ({"resources": {"calls": 0, "seconds": 60}}, "'limits.resources' is no rate"),
        ({"resources": {"calls": 8.5, "seconds": 60}}, "'limits.resources' is no rate"),
        ({"resources": {"calls": True, "seconds": 60}}, "'limits.resources' is no rate"),
        ({"resources": {"calls": 8, "seconds": 0}}, "'limits.resources' is no rate"),
        ({"resources": {"calls": 8, "seconds": 60, "burst": 2}}, "'limits.resources' is no rate"),
    ],
)
def test_a_faulty_limit_is_told_in_one_sentence_and_changes_nothing(value, words):
    limits, (fault,) = read_limits(value)
    assert words in fault
    assert limits == DOCUMENTED


@pytest.mark.parametrize(
    ("rate", "warned"),
    [
        (CallRate(100, 300), False),
        (CallRate(101, 300), True),
        (CallRate(1, 3), False),
        (CallRate(2, 3), True),
        (CallRate(60, 200), True),
        (CallRate(100, 600), False),
    ],
)
async def test_a_limit_above_microsofts_is_used_with_a_warning(rate, warned, caplog):
    with caplog.at_level(logging.WARNING):
        budget_on(FakeSlots(), limits={**DOCUMENTED, Limit.CREATE_MIGRATION: rate})
    assert ("more than Microsoft's published" in caplog.text) is warned
