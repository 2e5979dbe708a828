"""The way of a rehearsal from its start to its story's end, with everything around it played."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from include.nce.ledger.reports import CampaignStatus
from scripts.demo.airflow import PARTNER_DAG, PLAN, UNDO, UNDO_DAG, Programs
from scripts.demo.display import Progress
from scripts.demo.forecast import ALONE
from scripts.demo.keeper import CALM_SECONDS, ClockKeeper
from scripts.demo.rehearsal import PATIENCE_SECONDS, REPAIR_AFTER_SECONDS, RUN_ID, SETTLE_SECONDS, Follow
from scripts.demo.simulator import ClockReading
from scripts.demo.story import Entry, Story
from scripts.stack.errors import NotAnswering, StackError
from scripts.stack.installation import Installation
from tests.support.status import campaign_status

STARTS_AT = datetime(2022, 6, 20, tzinfo=timezone.utc)
ENDS_AT = STARTS_AT + timedelta(days=10)
PARTNERS = 3
COMMAND_S = 2.0
SPEED = 86400.0
"""One campaign day in one real second."""


def _day(day: float) -> datetime:
    return STARTS_AT + timedelta(days=day)


@dataclass
class World:
    """Simulator, Airflow, desk, stack and display in one, with a real time of its own."""

    now_s: float = 0.0
    now_at: datetime = STARTS_AT
    states: list[str] = field(default_factory=lambda: ["none", "queued", "running", "success"])
    leased_s: float = -10.0
    limit: datetime | None = None
    started: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    entered: list[tuple[Entry, datetime]] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    shown: list[Progress] = field(default_factory=list)
    broken: str | None = None
    ran: dict[str, Programs] = field(default_factory=dict)
    asking: dict[str, list[str]] = field(default_factory=dict)
    approved: list[str] = field(default_factory=list)
    repairs: int = 0
    taken_down: bool = False
    silent: bool = False
    busy_until_s: float = 0.0
    happenings: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    keeper: ClockKeeper | None = None
    installation: Installation = field(default_factory=Installation)

    # the real time

    def sleep(self, seconds: float) -> None:
        """Let real time pass; the keeper beats in it, and the campaign clock follows its lease."""
        self.now_s += seconds
        for at_s, happen in [each for each in self.happenings if each[0] <= self.now_s]:
            happen()
            self.happenings.remove((at_s, happen))
        if self.now_s - self.leased_s <= 3:
            self.now_at = min(
                self.now_at + timedelta(seconds=SPEED * seconds), ENDS_AT, self.limit or ENDS_AT
            )
        assert self.keeper is not None
        self.keeper.beat()

    # the simulator

    def clock(self) -> ClockReading:
        if self.silent:
            raise NotAnswering("The simulator does not answer.")
        return ClockReading(self.now_at, self.now_s - self.leased_s <= 3, SPEED, STARTS_AT, ENDS_AT)

    def lease(self, *, busy: bool, not_beyond: datetime | None) -> None:
        self.leased_s, self.limit = self.now_s, not_beyond

    # Airflow

    def campaign_state(self, run_id: str) -> str:
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def start_campaign(self, run_id: str, conf: dict[str, Any]) -> None:
        self.started.append((run_id, conf))

    def run_page(self, run_id: str) -> str:
        return f"http://airflow/{run_id}"

    def at_work(self) -> bool:
        return self.now_s < self.busy_until_s

    def reds(self) -> int:
        return 0

    def programs(self) -> dict[str, Programs]:
        return self.ran

    def to_approve(self, task: str) -> list[str]:
        return [run_id for run_id in self.asking.get(task, []) if run_id not in self.approved]

    # the stack

    def fault(self) -> str | None:
        return self.broken

    def up(self) -> None:
        self.repairs += 1
        self.broken = None

    def was_taken_down(self) -> bool:
        return self.taken_down

    # the desk

    def import_campaign(self, file: object, roster: str | None) -> None:
        self.now_s += COMMAND_S
        self.done.append("import" if roster is None else f"import with {roster}")

    def is_made(self, entry: Entry) -> bool:
        return any(made == entry for made, _ in self.entered)

    def approve_undo(self, run_id: str) -> None:
        self.approved.append(run_id)

    def approve(self, run_id: str) -> None:
        self.approved.append(run_id)

    def make(self, entry: Entry) -> None:
        self.entered.append((entry, self.now_at))

    # the ledger

    def status(self) -> CampaignStatus:
        return campaign_status()

    # the display

    def __enter__(self) -> World:
        return self

    def __exit__(self, *reason: object) -> None:
        return None

    def show(self, progress: Progress) -> None:
        self.shown.append(progress)


@pytest.fixture
def world() -> World:
    return World()


def _follow(world: World, *entries: Entry, minutes: float = 10) -> Follow:
    world.keeper = ClockKeeper(
        world, stack_fault=world.fault, at_work=world.at_work, monotonic=lambda: world.now_s
    )
    story = Story("tiny", PARTNERS, (), entries, ((STARTS_AT, SPEED),))
    world_as_any: Any = world
    return Follow(
        stack=world_as_any,
        story=story,
        simulator=world_as_any,
        airflow=world_as_any,
        work=world_as_any,
        ledger=world_as_any,
        desk=world_as_any,
        keeper=world.keeper,
        display=world_as_any,
        roster=None,
        minutes=minutes,
        began_s=0.0,
        monotonic=lambda: world.now_s,
        sleep=world.sleep,
    )


def test_it_goes_to_the_end_of_the_story(world: World) -> None:
    _follow(world).to_the_end()
    assert world.now_at == ENDS_AT
    assert world.started == [(RUN_ID, {"campaign": "csp-commercial-2022", "mode": "apply"})]


def test_a_plan_and_an_undo_that_wait_for_approval_are_approved_once(world: World) -> None:
    world.asking = {PLAN: ["csp-commercial-2022__rossi"], UNDO: ["csp-commercial-2022__undo__rossi"]}
    _follow(world).to_the_end()
    assert world.approved == [*world.asking[PLAN], *world.asking[UNDO]]


def test_the_roster_that_is_named_goes_to_the_campaign(world: World) -> None:
    follow = _follow(world)
    replace(follow, roster="/data/partners.csv").to_the_end()
    assert world.done == ["import with /data/partners.csv"]


def test_a_campaign_that_was_started_is_not_started_again(world: World) -> None:
    world.states = ["success"]
    _follow(world).to_the_end()
    assert (world.started, world.done) == ([], [])


def test_after_the_end_there_is_nothing_to_follow(world: World) -> None:
    world.now_at = ENDS_AT
    _follow(world).to_the_end()
    assert (world.now_s, world.started) == (0.0, [])


def test_the_clock_stands_until_all_partner_runs_exist(world: World) -> None:
    world.states = ["none", "queued", *["running"] * 20, "success"]
    _follow(world).to_the_end()
    standing = [look for look in world.shown if "enrolled" in look.state]
    assert len(standing) == 21
    assert {look.now_at for look in standing} == {STARTS_AT}


def test_a_failed_enrolment_names_the_page_of_the_run(world: World) -> None:
    world.states = ["none", "running", "failed"]
    with pytest.raises(StackError, match=f"could not be enrolled.*http://airflow/{RUN_ID}"):
        _follow(world).to_the_end()
    assert world.now_at == STARTS_AT


def test_what_the_provider_receives_is_entered_at_its_moment_and_not_later(world: World) -> None:
    entries = [Entry(_day(day), ("opt-out", "add", str(day))) for day in (0, 2.5, 2.5001, 7)]
    _follow(world, *entries).to_the_end()
    assert [(entry.words[-1], at - entry.at) for entry, at in world.entered] == [
        (str(day), timedelta(0)) for day in (0, 2.5, 2.5001, 7)
    ]


def test_an_entry_that_was_made_in_an_earlier_call_is_not_made_again(world: World) -> None:
    entry = Entry(_day(2), ("opt-out", "add"))
    world.entered.append((entry, _day(2)))
    world.now_at = _day(4)
    _follow(world, entry).to_the_end()
    assert len(world.entered) == 1


def test_the_clock_waits_while_airflow_is_unwell_and_goes_on_after_the_repair(world: World) -> None:
    def kill() -> None:
        world.broken = "scheduler has ended; read scheduler.log"

    world.happenings.append((5.0, kill))
    _follow(world).to_the_end()
    waiting = [look for look in world.shown if look.state.startswith("waiting for Airflow")]
    assert world.repairs == 1
    assert waiting[-1].now_at - waiting[0].now_at <= timedelta(seconds=3 * SPEED)
    assert waiting[-1].elapsed_s - waiting[0].elapsed_s >= REPAIR_AFTER_SECONDS - 2
    assert world.now_at == ENDS_AT


def test_what_somebody_took_down_is_not_brought_up_again(world: World) -> None:
    world.broken, world.taken_down = "scheduler has ended", True
    with pytest.raises(StackError, match=r"was taken down.*make demo"):
        _follow(world).to_the_end()
    assert world.repairs == 0


def test_a_part_that_is_silent_for_a_moment_is_ridden_out(world: World) -> None:
    follow = _follow(world)
    world.happenings += [
        (3.0, lambda: setattr(world, "silent", True)),
        (9.0, lambda: setattr(world, "silent", False)),
    ]
    follow.to_the_end()
    assert world.now_at == ENDS_AT


def test_a_part_that_stays_silent_ends_the_rehearsal_with_its_sentence(world: World) -> None:
    follow = _follow(world)
    world.happenings.append((3.0, lambda: setattr(world, "silent", True)))
    with pytest.raises(NotAnswering, match="The simulator does not answer"):
        follow.to_the_end()
    assert PATIENCE_SECONDS < world.now_s < PATIENCE_SECONDS + 10


def test_it_waits_for_what_airflow_has_in_hand_at_the_end(world: World) -> None:
    world.busy_until_s = 40.0
    _follow(world).to_the_end()
    assert world.now_s > 40.0


def test_work_that_does_not_end_after_the_story_is_told(world: World) -> None:
    world.busy_until_s = 10_000.0
    with pytest.raises(StackError, match=rf"still at work {SETTLE_SECONDS:.0f} s after the story's end"):
        _follow(world).to_the_end()


def test_it_gives_up_after_the_minutes_it_was_given(world: World) -> None:
    world.states = ["none", "running"]
    with pytest.raises(
        StackError, match=r"not at its end after 2 minutes.*2022-06-20 00:00Z.*NCE_DEMO_MINUTES"
    ):
        _follow(world, minutes=2).to_the_end()
    assert world.now_s == pytest.approx(120, abs=2)


def test_what_is_left_counts_the_runs_that_are_still_to_come(world: World) -> None:
    world.states = ["none", "running", "success"]
    world.ran = {PARTNER_DAG: Programs(a_run=7), UNDO_DAG: Programs(a_run=4)}
    _follow(world).to_the_end()
    enrolling, released = world.shown[:2]
    assert enrolling.left_s == pytest.approx(10 + PARTNERS * (1 + 7) * COMMAND_S + CALM_SECONDS, abs=3)
    assert released.left_s == pytest.approx(10, abs=2)


def test_what_is_left_counts_the_open_tasks_and_what_is_still_to_be_entered(world: World) -> None:
    undo = Entry(_day(2), ("undo", "start", "x"))
    opt_out = Entry(_day(1), ("opt-out", "add"))
    world.ran = {PARTNER_DAG: Programs(7, 5, 20), UNDO_DAG: Programs(a_run=4)}
    world.states = ["success"]
    world.entered.append((opt_out, _day(1)))
    world.now_at = _day(1)
    _follow(world, opt_out, undo).to_the_end()
    left_s = 9 + (20 + ALONE * (1 + 4)) * COMMAND_S + CALM_SECONDS
    assert world.shown[0].left_s == pytest.approx(left_s, abs=1)


def test_it_says_that_nothing_is_left_when_the_story_has_ended(world: World) -> None:
    _follow(world).to_the_end()
    assert world.shown[-1].left_s == 0
