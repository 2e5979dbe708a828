"""The same campaign with everything against it: dates move while runs wait for them, and Airflow and the demo
are killed while purchases are under way.

The campaign clock is held by hand up to the kill, so that nothing here depends on how fast the machine is. At
the moment of the kill three purchases are in three different states: Partner Center has migrated and not yet
answered, has checked out and not yet answered, and has the request but has not acted on it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import pytest

from tests.e2e import endings
from tests.e2e.stage import Ending, Stage, World, until
from tests.e2e.story import (
    BLOCKED,
    CAMPAIGN,
    CLASSES,
    CONVERTED,
    LATE,
    MIGRATIONS,
    MIXED,
    NAMES,
    OPTED_OUT,
    ORDERS,
    OUTCOMES,
    PARTNERS,
    RUNS,
    TASKS,
    WAITING,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

NOT_OPTED_OUT = (CONVERTED, BLOCKED, LATE, MIXED)
IN_FLIGHT = [
    {"operation": "create_migration", "kind": "hold", "after": True, "match": {"subscription": "rifugi/e3"}},
    {"operation": "checkout_cart", "kind": "hold", "after": True, "match": {"customer": "mulini"}},
    {
        "operation": "create_migration",
        "kind": "hold",
        "match": {"subscription": "traghetti/business-standard"},
    },
]
A_MINUTE_S = 60.0


@dataclass(frozen=True)
class Moved:
    """A gate whose date was moved later, was passed on the clock, and was moved back to before that.

    `at` is when it was moved back, in real time; `gates` are the task instances afterwards, by partner.
    """

    at: datetime
    gates: Mapping[str, Mapping[str, Any]]
    logs: Mapping[str, str]

    def opened_after_s(self, partner: str) -> float:
        """Real seconds from the move back to the opening; negative: it had opened before."""
        opened_at = datetime.fromisoformat(str(self.gates[partner]["end_date"]).replace("Z", "+00:00"))
        return (opened_at - self.at).total_seconds()


@dataclass(frozen=True)
class Interrupted:
    """What was seen on the way, and how it ended all the same."""

    before: World
    waiting: Mapping[str, Mapping[str, str | None]]
    deadline: Moved
    cut_over: Moved
    killed: World
    known: Mapping[str, str]
    ending: Ending
    printed: str


@pytest.fixture(scope="module")
def interrupted(stage: Stage) -> Interrupted:
    stage.up()
    before = stage.world()
    stage.simulator("PUT", "clock", {"mode": "manual"})
    with stage.playing():
        until("every run waits", lambda: _waits(stage))
        waiting = {partner: stage.tasks(f"{CAMPAIGN}__{partner}") for partner in PARTNERS}
        stage.set_clock("2022-06-29T18:00:00Z")
        until("both forms are entered", lambda: _forms(stage) == 2)
        deadline = _move_and_back(
            stage, "opt_out_deadline", PARTNERS,
            later="2022-07-02", clock="2022-07-01T12:00:00Z", back="2022-06-30",
        )  # fmt: skip
        until("the runs wait for the cut-over", lambda: _all_in(stage, "wait_for_cut_over", "deferred"))
        # Its agreement is signed later on the campaign's clock, which jumps next.
        until("the opt-out is ruled on", lambda: _all_in(stage, "check_mpa", "skipped", (OPTED_OUT,)))
        stage.simulator("POST", "faults", IN_FLIGHT)
        cut_over = _move_and_back(
            stage, "cut_over", NOT_OPTED_OUT,
            later="2022-07-13T00:00:00Z", clock="2022-07-11T06:00:00Z", back="2022-07-11T00:00:00Z",
        )  # fmt: skip
        until("three purchases are under way", lambda: _held(stage) == len(IN_FLIGHT))
        stage.kill_airflow()
    killed, known = stage.world(), endings.nce_of(json.loads(stage.nce("status", "--json")))
    # What was on its way when its sender died arrives now.
    stage.simulator("DELETE", "faults")
    stage.simulator("PUT", "clock", {"mode": "leased"})
    printed = stage.play()
    return Interrupted(before, waiting, deadline, cut_over, killed, known, stage.ending(), printed)


def _waits(stage: Stage) -> bool:
    """Whether every run stands where it has to wait, and every partner's agreement was asked about once."""
    asked = stage.requests(operation="get_agreement_status")
    return len(asked) >= len(PARTNERS) and all(
        stage.tasks(f"{CAMPAIGN}__{partner}") == WAITING[partner] for partner in PARTNERS
    )


def _forms(stage: Stage) -> int:
    return len(json.loads(stage.nce("opt-out", "list", "--json"))["opt_outs"])


def _all_in(stage: Stage, task_id: str, state: str, partners: tuple[str, ...] = NOT_OPTED_OUT) -> bool:
    return all(stage.tasks(f"{CAMPAIGN}__{partner}").get(task_id) == state for partner in partners)


def _held(stage: Stage) -> int:
    return sum(fault["held"] for fault in stage.simulator("GET", "faults"))


def _move_and_back(
    stage: Stage, moment: str, partners: tuple[str, ...], *, later: str, clock: str, back: str
) -> Moved:
    gate = f"wait_for_{moment}"
    runs = {partner: f"{CAMPAIGN}__{partner}" for partner in partners}
    move = ("campaign", "move-date", moment)
    # Purple is not enough: the triggerer has to have read the date that is moved then.
    until(
        f"every {gate} says for what it waits",
        lambda: all("Waiting until" in stage.log(run_id, gate) for run_id in runs.values()),
    )
    stage.nce(*move, later, "--by", "the desk", "--reason", "Microsoft takes more time.")
    asked = len(stage.requests(operation="get_agreement_status"))
    stage.set_clock(clock)
    # A watcher of the same process that asks again has seen the new time, and so have the gates.
    until(
        "the old date has been passed", lambda: len(stage.requests(operation="get_agreement_status")) > asked
    )
    at = datetime.now(timezone.utc)
    stage.nce(*move, back, "--by", "the desk", "--reason", "Microsoft takes it back.")
    until(f"every {gate} has opened", lambda: _all_in(stage, gate, "success", partners), seconds=120)
    return Moved(
        at=at,
        gates={partner: stage.task(run_id, gate) for partner, run_id in runs.items()},
        logs={partner: stage.log(run_id, gate) for partner, run_id in runs.items()},
    )


def _assert_waited(moved: Moved, until_when: str) -> None:
    assert {
        partner: moved.opened_after_s(partner) for partner in moved.gates if moved.opened_after_s(partner) < 0
    } == {}
    assert {
        partner for partner, log in moved.logs.items() if f"now waiting until {until_when}" not in log
    } == set()


def _assert_followed(moved: Moved) -> None:
    late = {partner: s for partner in moved.gates if (s := moved.opened_after_s(partner)) > A_MINUTE_S}
    assert late == {}
    assert {gate["try_number"] for gate in moved.gates.values()} == {1}  # nobody cleared anything


@pytest.mark.parametrize("partner", PARTNERS)
def test_until_the_dates_come_a_run_waits_in_purple(interrupted: Interrupted, partner: str) -> None:
    assert interrupted.waiting[partner] == WAITING[partner]


def test_an_opt_out_deadline_moved_later_holds_the_runs_that_wait_for_it(interrupted: Interrupted) -> None:
    _assert_waited(interrupted.deadline, "2022-07-02 22:00 UTC")


def test_an_opt_out_deadline_moved_earlier_is_followed_within_a_minute(interrupted: Interrupted) -> None:
    _assert_followed(interrupted.deadline)


def test_a_cut_over_moved_later_holds_the_runs_that_wait_for_it(interrupted: Interrupted) -> None:
    _assert_waited(interrupted.cut_over, "2022-07-13 00:00 UTC")


def test_a_cut_over_moved_earlier_is_followed_within_a_minute(interrupted: Interrupted) -> None:
    _assert_followed(interrupted.cut_over)


def test_the_kill_came_between_purchases_and_their_records(interrupted: Interrupted) -> None:
    held = {"rifugi/e3", "mulini/intune"}
    assert held <= set(endings.bought(interrupted.before, interrupted.killed)) | _being_migrated(
        interrupted.killed
    )
    assert held.isdisjoint(interrupted.known)


def test_killed_in_the_middle_the_campaign_ends_as_if_nothing_had_happened(interrupted: Interrupted) -> None:
    status = interrupted.ending.status
    assert {each["partner"]: each["outcome"] for each in status["partners"]} == OUTCOMES
    assert endings.classes_of(status) == CLASSES


def test_killed_in_the_middle_exactly_the_right_subscriptions_are_bought(interrupted: Interrupted) -> None:
    endings.assert_bought_exactly(interrupted.before, interrupted.ending.world)


def test_killed_in_the_middle_exactly_the_right_subscriptions_are_suspended(interrupted: Interrupted) -> None:
    endings.assert_suspended_exactly(interrupted.ending.world)


def test_killed_in_the_middle_nothing_else_is_touched(interrupted: Interrupted) -> None:
    endings.assert_nothing_else_touched(interrupted.before, interrupted.ending.world)


def test_no_purchase_was_accepted_twice(interrupted: Interrupted) -> None:
    requests = interrupted.ending.world.requests
    assert endings.accepted(requests, "create_migration") == MIGRATIONS
    assert endings.accepted(requests, "checkout_cart") == ORDERS


def test_a_migration_that_was_sent_before_the_kill_is_looked_up_and_not_sent_again(
    interrupted: Interrupted,
) -> None:
    sent = [
        each
        for each in interrupted.ending.world.requests
        if each["operation"] == "create_migration" and endings.customer_of(each) in ("rifugi", "traghetti")
    ]
    assert sorted(endings.customer_of(each) for each in sent) == ["rifugi", "traghetti"]


def test_the_command_line_names_what_partner_center_holds_after_the_kill(interrupted: Interrupted) -> None:
    successors = endings.bought(interrupted.before, interrupted.ending.world)
    assert endings.nce_of(interrupted.ending.status) == endings.ids(successors)


@pytest.mark.parametrize("partner", PARTNERS)
def test_after_the_kill_every_task_ends_in_its_colour(interrupted: Interrupted, partner: str) -> None:
    assert interrupted.ending.tasks[partner] == TASKS[partner]
    assert interrupted.ending.runs[partner]["state"] == RUNS[partner]


def _being_migrated(world: World) -> set[str]:
    return {NAMES[line["legacy"].lower()] for each in world.migrations for line in each["lines"]}
