"""One limit's window: who may leave when, on a clock that only the test moves."""

from __future__ import annotations

import heapq
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.nce.ledger.call_budgets import LATE, MARGIN, PACE, CallSlot, Window

START_SECONDS = 1_657_497_600.0
PATIENT_SECONDS = 3600.0
CALLS, SECONDS = 3, 100.0
LENGTH_SECONDS = SECONDS * (1 + MARGIN)
OVERSLEEPING_SECONDS = SECONDS * LATE
WAY_SECONDS = SECONDS * (MARGIN - LATE)
STEP_SECONDS = SECONDS * PACE / CALLS


class Budget:
    """A window and its clock."""

    def __init__(self) -> None:
        self.now_seconds = START_SECONDS
        self.window = Window(CALLS, int(SECONDS * 1000))

    def book(
        self, *, held: CallSlot | None = None, longest_wait_seconds: float = PATIENT_SECONDS
    ) -> CallSlot:
        self.window, slot = self.window.book(
            round(self.now_seconds * 1000),
            round(longest_wait_seconds * 1000),
            held.moment_ms if held else None,
        )
        return slot

    def pass_(self, seconds: float) -> None:
        self.now_seconds += seconds

    def pause(self, seconds: float) -> None:
        until = round((self.now_seconds + seconds) * 1000)
        self.window = replace(self.window, paused_until=until)


@pytest.fixture
def budget() -> Budget:
    return Budget()


@pytest.fixture
def full_budget(budget: Budget) -> Budget:
    for _ in range(CALLS):
        budget.book()
        budget.pass_(1)
    return budget


def test_as_many_calls_as_the_limit_says_leave_at_once(budget):
    assert [budget.book().wait_seconds for _ in range(CALLS)] == [0.0] * CALLS


def test_those_that_wait_leave_in_step_as_the_window_moves(full_budget):
    waits = [full_budget.book().wait_seconds for _ in range(CALLS)]
    first = LENGTH_SECONDS - 3
    assert waits == pytest.approx([first, first + STEP_SECONDS, first + 2 * STEP_SECONDS], abs=0.01)


def test_nobody_overtakes_those_that_wait(full_budget):
    full_budget.book()
    behind = full_budget.book()
    full_budget.pass_(LENGTH_SECONDS - 1)  # the window is empty
    assert full_budget.book().wait_seconds == pytest.approx(
        behind.wait_seconds - (LENGTH_SECONDS - 1) + STEP_SECONDS, abs=0.01
    )


def test_the_call_after_a_full_round_of_bookings_waits_for_two_windows(full_budget):
    for _ in range(CALLS):
        full_budget.book()
    assert full_budget.book().wait_seconds == pytest.approx(2 * LENGTH_SECONDS - 3, abs=0.01)


def test_who_holds_a_moment_may_leave_when_it_has_come(full_budget):
    held = full_budget.book()
    full_budget.pass_(held.wait_seconds)
    assert full_budget.book(held=held).wait_seconds == 0.0


def test_a_moment_that_is_claimed_counts_once(full_budget):
    held = full_budget.book()
    full_budget.pass_(held.wait_seconds)
    full_budget.book(held=held)
    full_budget.pass_(1)
    assert full_budget.book().wait_seconds == 0.0  # of the first three only the last is still in the window


def test_who_wakes_early_waits_for_the_rest(full_budget):
    held = full_budget.book()
    full_budget.pass_(held.wait_seconds - 7)
    assert full_budget.book(held=held).wait_seconds == pytest.approx(7)


def test_what_is_too_far_off_takes_no_place(full_budget):
    refused = full_budget.book(longest_wait_seconds=60)
    assert (refused.moment_ms, full_budget.window.booked) == (None, ())
    assert refused.wait_seconds == pytest.approx(LENGTH_SECONDS - 3, abs=0.01)


def test_a_place_that_nobody_claims_is_free_again(full_budget):
    dead = full_budget.book()
    full_budget.pass_(dead.wait_seconds + OVERSLEEPING_SECONDS + 1.1)
    waits = [full_budget.book().wait_seconds for _ in range(CALLS)]
    assert waits == [0.0] * CALLS  # the first two of the window have left it, and the third by now as well


def test_a_dead_process_does_not_move_those_behind_it(full_budget):
    full_budget.book()
    behind = full_budget.book()
    full_budget.pass_(behind.wait_seconds)
    assert full_budget.book(held=behind).wait_seconds == 0.0


def test_who_oversleeps_while_others_call_waits_again(full_budget):
    late = full_budget.book()
    full_budget.pass_(late.wait_seconds + OVERSLEEPING_SECONDS + 3)
    for _ in range(CALLS):
        full_budget.book()
    assert full_budget.book(held=late).wait_seconds > SECONDS / 2


def test_a_pause_holds_back_a_call_for_which_there_is_room(budget):
    budget.pause(30)
    assert budget.book().wait_seconds == pytest.approx(30)


def test_a_pause_holds_back_who_was_booked_before_it_began(full_budget):
    held = full_budget.book()
    full_budget.pass_(held.wait_seconds)
    full_budget.pause(30)
    assert full_budget.book(held=held).wait_seconds == pytest.approx(30)


def test_who_oversleeps_leaves_at_once_while_its_place_is_still_free(full_budget):
    late, behind = full_budget.book(), full_budget.book()
    full_budget.pass_(late.wait_seconds + OVERSLEEPING_SECONDS + 3)
    assert full_budget.book(held=late).wait_seconds == 0.0
    full_budget.pass_(behind.wait_seconds - late.wait_seconds - OVERSLEEPING_SECONDS - 3)
    assert full_budget.book(held=behind).wait_seconds == 0.0


def test_who_oversleeps_takes_no_place_from_those_that_wait(full_budget):
    late, *behind = (full_budget.book() for _ in range(CALLS))
    passed = late.wait_seconds + OVERSLEEPING_SECONDS + 1.1
    full_budget.pass_(passed)
    last = full_budget.book()  # it now has the place that was free again
    assert full_budget.book(held=late).wait_seconds > last.wait_seconds
    for slot in behind:
        assert full_budget.book(held=slot).wait_seconds == pytest.approx(slot.wait_seconds - passed, abs=0.01)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["call", "wake", "die", "pause"]),
            st.floats(0, 60),
            st.floats(0, WAY_SECONDS),
        ),
        max_size=60,
    )
)
def test_no_window_of_microsofts_ever_sees_more_than_the_limit(steps):
    """Whoever comes, waits, oversleeps, dies or is paused, and however long a call is on its way."""
    budget, held, arrivals = Budget(), [], []

    def left(slot: CallSlot, way_seconds: float) -> None:
        if slot.wait_seconds == 0:
            arrivals.append(budget.now_seconds + way_seconds)
        elif slot.moment_ms is not None:
            held.append(slot)

    for act, seconds, way_seconds in steps:
        budget.pass_(seconds)
        if act == "pause":
            budget.pause(seconds)
        elif act == "die" and held:
            held.pop(0)
        elif act == "wake" and held:
            left(budget.book(held=held.pop(0)), way_seconds)
        else:
            left(budget.book(), way_seconds)
    arrivals.sort()
    for first, beyond in zip(arrivals, arrivals[CALLS:], strict=False):
        assert beyond - first >= SECONDS - 0.01


def arrivals_of(
    callers: int, calls: int, windows: int, seed: int, dying: int = 0, latest_ms: int = 300
) -> list[float]:
    """When the calls of so many callers arrive who each call again as soon as they are answered; in windows
    since the first arrival. Everybody wakes late, by `latest_ms` at most, and every call is on its way for a
    while. The `dying` never wake from their first wait."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    window, arrivals = Window(calls, 60_000), []
    awake: list[tuple[float, int, int | None]] = [
        (chance.random(), caller, None) for caller in range(callers)
    ]
    heapq.heapify(awake)
    while (now := awake[0][0]) < windows * 60_000 + 1000:
        _, caller, held = heapq.heappop(awake)
        window, slot = window.book(round(now), 3_600_000, held)
        if slot.wait_seconds:
            again = slot.moment_ms + chance.uniform(1, latest_ms)
            if caller >= dying:
                heapq.heappush(awake, (again, caller, slot.moment_ms))
        else:
            arrivals.append(now + chance.uniform(5, 300))
            heapq.heappush(awake, (arrivals[-1] + 5, caller, None))
    arrivals.sort()
    return [(at - arrivals[0]) / 60_000 for at in arrivals]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("callers", "dying"), [(4, 0), (16, 0), (100, 0), (20, 4)])
def test_in_the_long_run_every_window_is_used_up_and_none_sees_more_than_the_limit(callers, dying, seed):
    arrivals = arrivals_of(callers, calls=100, windows=60, seed=seed, dying=dying)
    assert all(beyond - first >= 1 for first, beyond in zip(arrivals, arrivals[100:], strict=False))
    used = [sum(number <= at < number + 1 for at in arrivals) for number in range(60)]
    assert min(used) >= 95, used


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("callers", [4, 16])
def test_where_every_other_caller_oversleeps_nine_tenths_of_each_window_are_still_used(callers, seed):
    too_late_ms = 2 * int(60_000 * LATE)
    arrivals = arrivals_of(callers, calls=100, windows=60, seed=seed, latest_ms=too_late_ms)
    assert all(beyond - first >= 1 for first, beyond in zip(arrivals, arrivals[100:], strict=False))
    used = [sum(number <= at < number + 1 for at in arrivals) for number in range(60)]
    assert min(used) >= 90, used
