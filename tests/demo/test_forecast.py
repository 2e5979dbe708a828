"""What a rehearsal says is left, held against how long rehearsals really took.

A trace is what the forecast was told at each look of a real `make demo`, and how long a command at the desk
took. On another machine the clock runs as fast as here, and what holds it up takes longer, or shorter.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pytest

from scripts.demo.forecast import Forecast, Standing
from scripts.demo.keeper import CALM_SECONDS

TRACES = Path(__file__).parent / "traces"
A_FIFTH = 0.2
MOMENT_S = 2 * CALM_SECONDS
"""At the very end a fifth is less than the last program and the calm after it take."""


@dataclass(frozen=True)
class Trace:
    """A rehearsal from its first look to the end of its story."""

    command_s: float
    looks: tuple[Standing, ...]

    @classmethod
    def read(cls, name: str) -> Trace:
        with (TRACES / f"{name}.csv").open(newline="") as file:
            command_s = float(file.readline().partition(":")[2])
            looks = tuple(
                Standing(float(elapsed_s), float(scheduled_s), int(done), int(to_do))
                for elapsed_s, scheduled_s, done, to_do in csv.reader(file)
            )
        return cls(command_s, looks)

    def on_a_machine_that_takes(self, times: float) -> Trace:
        """The same rehearsal where everything but the clock takes so many times as long."""
        return Trace(self.command_s * times, tuple(self._slowed(times)))

    def _slowed(self, times: float) -> Iterator[Standing]:
        elapsed_s = self.looks[0].elapsed_s * times
        yield replace(self.looks[0], elapsed_s=elapsed_s)
        for before, after in pairwise(self.looks):
            by_the_clock_s = before.scheduled_s - after.scheduled_s
            held_up_s = after.elapsed_s - before.elapsed_s - by_the_clock_s
            elapsed_s += by_the_clock_s + held_up_s * times
            yield replace(after, elapsed_s=elapsed_s)


@pytest.mark.parametrize("times", [0.6, 1, 2])
@pytest.mark.parametrize("story", ["csp-commercial-2022", "five-partners"])
def test_from_the_first_minute_on_what_is_left_is_right_within_a_fifth(story: str, times: float) -> None:
    trace = Trace.read(story).on_a_machine_that_takes(times)
    ended_s = trace.looks[-1].elapsed_s
    forecast = Forecast(trace.looks[0], trace.command_s)
    told = {
        look.elapsed_s: (forecast.left_s(look), ended_s - look.elapsed_s)
        for look in trace.looks
        if look.elapsed_s >= 60
    }
    wrong = {
        round(elapsed_s): f"{left_s:.0f} s for {really_s:.0f} s"
        for elapsed_s, (left_s, really_s) in told.items()
        if abs(left_s - really_s) > max(A_FIFTH * really_s, MOMENT_S * times)
    }
    assert len(told) > 20, "the trace ends too early"
    assert wrong == {}


BEGAN = Standing(elapsed_s=30, scheduled_s=160, done=50, to_do=100)


def test_before_anything_has_run_a_command_at_the_desk_says_how_fast_the_machine_is() -> None:
    slow, fast = (Forecast(BEGAN, command_s).left_s(BEGAN) for command_s in (4.0, 1.0))
    assert slow - CALM_SECONDS - 160 == pytest.approx(4 * (fast - CALM_SECONDS - 160))


def test_what_has_run_says_how_long_the_rest_takes() -> None:
    forecast = Forecast(BEGAN, command_s=2.0)
    # 280 programs in 560 s beside the clock's own 60; 20 more were thought to take a command's two seconds.
    now = Standing(elapsed_s=650, scheduled_s=100, done=330, to_do=30)
    assert forecast.left_s(now) == pytest.approx(100 + 30 * (20 * 2.0 + 560) / (20 + 280) + CALM_SECONDS)


def test_a_clock_that_runs_by_its_schedule_makes_nothing_slower() -> None:
    forecast = Forecast(BEGAN, command_s=2.0)
    now = replace(BEGAN, elapsed_s=130, scheduled_s=60)
    assert forecast.left_s(now) == forecast.left_s(BEGAN) - 100


def test_with_nothing_to_do_only_the_clock_is_left() -> None:
    assert Forecast(BEGAN, command_s=2.0).left_s(replace(BEGAN, scheduled_s=12, to_do=0)) == 12
