"""When campaign time may pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone

import pytest

from scripts.demo.keeper import CALM_SECONDS, ClockKeeper
from scripts.stack.errors import NotAnswering

ENTRY_AT = datetime(2022, 6, 25, 10, tzinfo=timezone.utc)


@dataclass
class World:
    """The simulator's clock, Airflow and the real time, as the keeper sees them."""

    now_s: float = 1000.0
    fault: str | None = None
    at_work: bool = False
    silent: str = ""
    leases: list[tuple[bool, datetime | None]] = field(default_factory=list)

    def lease(self, *, busy: bool, not_beyond: datetime | None) -> None:
        self._speak("simulator")
        self.leases.append((busy, not_beyond))

    def ask_fault(self) -> str | None:
        return self.fault

    def ask_work(self) -> bool:
        self._speak("database")
        return self.at_work

    def _speak(self, part: str) -> None:
        if self.silent == part:
            raise NotAnswering(f"The {part} does not answer.")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def keeper(world: World) -> ClockKeeper:
    keeper = ClockKeeper(
        world, stack_fault=world.ask_fault, at_work=world.ask_work, monotonic=lambda: world.now_s
    )
    world.now_s += 100
    return keeper


def test_no_time_passes_before_the_campaign_has_begun(world: World, keeper: ClockKeeper) -> None:
    keeper.beat()
    assert world.leases == []


def test_time_passes_while_airflow_is_well(world: World, keeper: ClockKeeper) -> None:
    keeper.release()
    keeper.beat()
    assert world.leases == [(False, None)]


def test_no_time_passes_while_airflow_is_unwell(world: World, keeper: ClockKeeper) -> None:
    keeper.release()
    world.fault = "scheduler has ended"
    keeper.beat()
    assert world.leases == []
    assert keeper.fault == "scheduler has ended"


def test_time_passes_again_when_airflow_has_recovered(world: World, keeper: ClockKeeper) -> None:
    keeper.release()
    world.fault = "scheduler has ended"
    keeper.beat()
    world.fault = None
    keeper.beat()
    assert world.leases == [(False, None)]
    assert keeper.faulty_since_s is None


@pytest.mark.parametrize("part", ["simulator", "database"])
def test_what_cannot_be_learnt_counts_as_unwell(world: World, keeper: ClockKeeper, part: str) -> None:
    keeper.release()
    world.silent = part
    keeper.beat()
    assert world.leases == []
    assert keeper.fault == f"The {part} does not answer."


def test_a_fault_is_dated_from_when_it_began(world: World, keeper: ClockKeeper) -> None:
    world.fault = "scheduler has ended"
    keeper.beat()
    began_s = world.now_s
    world.now_s += 30
    keeper.beat()
    assert keeper.faulty_since_s == began_s


def test_it_is_busy_while_anything_is_at_work(world: World, keeper: ClockKeeper) -> None:
    keeper.release()
    world.at_work = True
    keeper.beat()
    assert world.leases == [(True, None)]


def test_a_gap_between_two_tasks_does_not_make_it_idle(world: World, keeper: ClockKeeper) -> None:
    keeper.release()
    world.at_work = True
    keeper.beat()
    world.at_work = False
    world.now_s += CALM_SECONDS - 0.1
    keeper.beat()
    assert world.leases[-1] == (True, None)


def test_it_is_idle_after_a_calm(world: World, keeper: ClockKeeper) -> None:
    keeper.release()
    world.at_work = True
    keeper.beat()
    world.at_work = False
    world.now_s += CALM_SECONDS
    keeper.beat()
    assert world.leases[-1] == (False, None)


def test_time_never_passes_what_the_provider_has_to_enter(world: World, keeper: ClockKeeper) -> None:
    keeper.release()
    keeper.not_beyond = ENTRY_AT
    keeper.beat()
    assert world.leases == [(False, ENTRY_AT)]
