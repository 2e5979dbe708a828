"""The campaign clock: exact accounting of campaign time in real time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.clock import CampaignClock
from simulator.schema import ClockPlan
from tests.simulator.bench import at, bench, legacy

STARTS, ENDS = at("2022-06-20T00:00:00Z"), at("2022-07-20T00:00:00Z")


class Quiet:
    """A world in which moments come and may start or end a conversion."""

    def __init__(
        self, moments: list[datetime] | None = None, converting_until: datetime | None = None
    ) -> None:
        self.moments = sorted(moments or [])
        self.seen: list[datetime] = []
        self._converting_until = converting_until
        self._now = STARTS

    def next_moment(self) -> datetime | None:
        return next((moment for moment in self.moments if moment not in self.seen), None)

    def settle(self, now: datetime) -> None:
        self._now = now
        self.seen += [moment for moment in self.moments if moment <= now and moment not in self.seen]

    def converting(self) -> bool:
        return self._converting_until is not None and self._now < self._converting_until


class Real:
    """Real time in the hands of a test."""

    def __init__(self) -> None:
        self.ns = 5_000_000_000

    def __call__(self) -> int:
        return self.ns

    def pass_s(self, seconds: float) -> None:
        self.ns += round(seconds * 1e9)


def plan(**more: Any) -> ClockPlan:
    return ClockPlan(starts_at=STARTS, ends_at=ENDS, **more)


def test_no_time_passes_without_a_lease() -> None:
    real = Real()
    clock = CampaignClock(plan(), "leased", real)
    real.pass_s(100)
    assert clock.catch_up(Quiet()) == STARTS


def test_time_passes_only_as_long_as_the_lease() -> None:
    real, world = Real(), Quiet()
    clock = CampaignClock(plan(), "leased", real)
    clock.lease(world, 3, busy=False, not_beyond=None)
    real.pass_s(10)
    assert clock.catch_up(world) == STARTS + timedelta(seconds=3)
    assert not clock.running()


def test_a_lease_that_was_renewed_late_leaves_out_the_gap() -> None:
    real, world = Real(), Quiet()
    clock = CampaignClock(plan(), "leased", real)
    clock.lease(world, 3, busy=False, not_beyond=None)
    real.pass_s(5)
    clock.lease(world, 3, busy=False, not_beyond=None)
    real.pass_s(1)
    assert clock.catch_up(world) == STARTS + timedelta(seconds=4)


def test_a_change_of_speed_inside_one_look_is_exact() -> None:
    real, world = Real(), Quiet()
    schedule = [{"from": STARTS, "speed": 3600}, {"from": STARTS + timedelta(hours=2), "speed": 60}]
    clock = CampaignClock(plan(schedule=schedule), "free", real)
    real.pass_s(5)
    assert clock.catch_up(world) == STARTS + timedelta(hours=2, minutes=3)


@given(st.lists(st.integers(min_value=1, max_value=400_000_000), min_size=1, max_size=40))
def test_it_does_not_matter_how_often_one_looks(slices: list[int]) -> None:
    schedule = [
        {"from": STARTS, "speed": 86400},
        {"from": STARTS + timedelta(hours=7), "speed": 17},
        {"from": STARTS + timedelta(hours=7, seconds=3), "speed": 3600},
    ]
    often, once = Real(), Real()
    looked_often = CampaignClock(plan(schedule=schedule), "free", often)
    looked_once = CampaignClock(plan(schedule=schedule), "free", once)
    for piece in slices:
        often.ns += piece
        looked_often.catch_up(Quiet())
    once.ns += sum(slices)
    assert abs(looked_often.now - looked_once.catch_up(Quiet())) <= timedelta(microseconds=5 + len(slices))


def test_it_never_passes_the_moment_that_the_lease_names() -> None:
    real, world = Real(), Quiet()
    clock = CampaignClock(plan(), "leased", real)
    stop = STARTS + timedelta(seconds=2)
    clock.lease(world, 60, busy=False, not_beyond=stop)
    real.pass_s(30)
    assert clock.catch_up(world) == stop


def test_it_never_passes_the_end_of_the_story() -> None:
    real = Real()
    clock = CampaignClock(plan(schedule=[{"from": STARTS, "speed": 1e7}]), "free", real)
    real.pass_s(30)
    assert clock.catch_up(Quiet()) == ENDS


def test_it_stops_at_every_happening_on_the_way() -> None:
    real, world = Real(), Quiet([STARTS + timedelta(minutes=1), STARTS + timedelta(minutes=2)])
    clock = CampaignClock(plan(schedule=[{"from": STARTS, "speed": 3600}]), "free", real)
    real.pass_s(1)
    clock.catch_up(world)
    assert world.seen == world.moments


def test_it_is_slow_exactly_as_long_as_something_converts() -> None:
    real = Real()
    done = STARTS + timedelta(minutes=10)
    world = Quiet([done], converting_until=done)
    clock = CampaignClock(plan(schedule=[{"from": STARTS, "speed": 3600}], while_converting=60), "free", real)
    real.pass_s(11)
    assert clock.catch_up(world) == done + timedelta(hours=1)


def test_a_busy_lease_slows_it_down() -> None:
    real, world = Real(), Quiet()
    clock = CampaignClock(plan(schedule=[{"from": STARTS, "speed": 3600}], while_busy=10), "leased", real)
    clock.lease(world, 3, busy=True, not_beyond=None)
    real.pass_s(2)
    assert clock.catch_up(world) == STARTS + timedelta(seconds=20)


def test_it_does_not_go_back() -> None:
    clock = CampaignClock(plan(), "manual", Real())
    clock.advance_to(Quiet(), STARTS + timedelta(days=1))
    with pytest.raises(ValueError, match="campaign time only goes forward"):
        clock.advance_to(Quiet(), STARTS)


async def test_the_control_surface_leases_time() -> None:
    async with bench(legacy(), mode="leased") as sim:
        assert (await sim.control("GET", "/clock")).json()["running"] is False
        await sim.control("POST", "/clock/lease", {"seconds": 3, "not_beyond": "2022-07-11T06:00:01Z"})
        sim.real_ns += 2_000_000_000
        clock = (await sim.control("GET", "/clock")).json()
        assert clock["now"] == clock["held_at"] == "2022-07-11T06:00:01Z"
        assert clock["lease_left_s"] == 1.0


async def test_a_leased_clock_is_not_advanced_by_hand() -> None:
    async with bench(legacy(), mode="leased") as sim:
        assert (await sim.control("POST", "/clock/advance", {"seconds": 1})).status_code == 409


async def test_the_mode_and_the_moment_can_be_set() -> None:
    async with bench(legacy(), mode="leased") as sim:
        wish = {"mode": "manual", "now": "2022-07-12T00:00:00Z"}
        clock = (await sim.control("PUT", "/clock", wish)).json()
        assert (clock["mode"], clock["now"], clock["running"]) == ("manual", "2022-07-12T00:00:00Z", False)
        assert (await sim.control("PUT", "/clock", {"now": "2022-07-11T00:00:00Z"})).status_code == 409
        assert (
            await sim.control("POST", "/clock/advance", {"to": "2023-01-01T00:00:00Z"})
        ).status_code == 409


async def test_orders_and_migrations_of_callers_slow_the_clock_those_of_the_portal_do_not() -> None:
    event = {"at": "2022-07-11T07:00:00Z", "kind": "migrate_in_portal", "subscription": "other"}
    async with bench(legacy(), legacy("other"), events=[event]) as sim:
        await sim.go_to("2022-07-11T07:00:00Z")
        assert (await sim.control("GET", "/clock")).json()["converting"] is False
        await sim.migrate("premium")
        assert (await sim.control("GET", "/clock")).json()["converting"] is True
        await sim.go_to("2022-07-11T11:00:00Z")
        assert (await sim.control("GET", "/clock")).json()["converting"] is False
