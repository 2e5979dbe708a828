"""How long a rehearsal still takes.

Two things take real time. The clock's own way to the end of the story is known: its schedule says how fast
it runs. What holds the clock up is not: it all but stands while Airflow works or the desk types. That is
counted in programs, a task on a worker or a command at the desk, and a program takes as long as those so far.
After the last of them the clock stands until Airflow counts as calm.
"""

from __future__ import annotations

from dataclasses import dataclass

from scripts.demo.keeper import CALM_SECONDS

AT_FIRST = 20
"""For how many programs counts that one was thought to take as long as a command, before there were any."""
ALONE = 2
"""For how many programs counts one beside which nothing runs: an entry, or a task of an undo."""


@dataclass(frozen=True)
class Standing:
    """How far a rehearsal is. `scheduled_s`: real seconds to the end of the story if nothing held the clock
    up. `done` and `to_do` are programs.
    """

    elapsed_s: float
    scheduled_s: float
    done: int
    to_do: int


@dataclass(frozen=True)
class Forecast:
    """What is left, seen from where this call began. `command_s`: how long a command at the desk took."""

    began: Standing
    command_s: float

    def left_s(self, now: Standing) -> float:
        """Real seconds to the end."""
        if not now.to_do:
            return now.scheduled_s
        return now.scheduled_s + now.to_do * self._program_s(now) + CALM_SECONDS

    def _program_s(self, now: Standing) -> float:
        passed_s = self.began.scheduled_s - now.scheduled_s
        held_up_s = max(0.0, now.elapsed_s - self.began.elapsed_s - passed_s)
        return (AT_FIRST * self.command_s + held_up_s) / (AT_FIRST + now.done - self.began.done)
