"""Rate limits, in real seconds over a sliding window."""

from __future__ import annotations

from typing import Any

from simulator.schema import Throttling
from simulator.throttle import Throttle
from tests.simulator.bench import bench, legacy


class Seconds:
    """Real seconds in the hands of a test."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def custom(**limits: Any) -> Throttling:
    return Throttling(mode="custom", **limits)


def test_the_documented_create_limit_is_100_in_five_minutes() -> None:
    throttle = Throttle(Throttling(), Seconds())
    waits = [throttle.wait_s("create_migration", "provider") for _ in range(101)]
    assert waits == [0] * 100 + [300]


def test_the_wait_that_is_named_is_enough() -> None:
    clock = Seconds()
    throttle = Throttle(custom(resources={"calls": 3, "seconds": 10}), clock)
    for clock.now in (0.0, 1.0, 2.0):
        assert throttle.wait_s("resources", "a") == 0
    clock.now = 3.0
    wait = throttle.wait_s("resources", "a")
    clock.now += wait
    assert (wait, throttle.wait_s("resources", "a")) == (8, 0)


def test_refused_calls_count_too() -> None:
    clock = Seconds()
    throttle = Throttle(custom(resources={"calls": 1, "seconds": 10}), clock)
    throttle.wait_s("resources", "a")
    for clock.now in (5.0, 9.0):
        assert throttle.wait_s("resources", "a") > 0
    clock.now = 11.0
    assert throttle.wait_s("resources", "a") == 10


def test_each_key_has_its_own_window() -> None:
    throttle = Throttle(custom(resources={"calls": 1, "seconds": 10}), Seconds())
    assert [throttle.wait_s("resources", key) for key in "ab"] == [0, 0]


def test_off_is_off() -> None:
    throttle = Throttle(Throttling(mode="off"), Seconds())
    assert {throttle.wait_s("create_migration", "p") for _ in range(500)} == {0}


async def test_validate_is_limited_per_customer() -> None:
    limits = {"mode": "custom", "validate_per_customer": {"calls": 1, "seconds": 300}}
    async with bench(legacy(), throttling=limits) as sim:
        await sim.validate("premium")
        path = f"/customers/{sim.alfa}/migrations/newcommerce/validate"
        answer = await sim.post(path, {"currentSubscriptionId": sim.id("premium")})
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["Retry-After"]) <= 300


async def test_a_throttled_create_does_nothing() -> None:
    limits = {"mode": "custom", "create_migration": {"calls": 1, "seconds": 300}}
    async with bench(legacy(), legacy("other"), throttling=limits) as sim:
        await sim.migrate("premium")
        assert (await sim.migrate("other")).status_code == 429
        assert (await sim.subscription("other"))["status"] == "active"
