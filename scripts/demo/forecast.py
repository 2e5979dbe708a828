"""How long a rehearsal still takes.

Two things take real time. The clock's own way to the end of the story is known: its schedule says how fast
it runs. What holds the clock up is not: it all but stands while Airflow works or the desk types. That is
counted in programs, a task on a worker or a command at the desk, and a program takes as long as those so far.
"""

from __future__ import annotations

from dataclasses import dataclass

AT_FIRST = 20
"""For how many programs counts that one was thought to take as long as a command, before there were any."""
AN_ENTRY = 2
"""An entry counts as so many programs: nothing runs beside it."""
AN_UNDO_TASK = 3
"""So does a task of an undo: they run one after the other, and the desk is asked in between."""


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
        return now.scheduled_s + now.to_do * self._program_s(now)

    def _program_s(self, now: Standing) -> float:
        passed_s = self.began.scheduled_s - now.scheduled_s
        held_up_s = max(0.0, now.elapsed_s - self.began.elapsed_s - passed_s)
        return (AT_FIRST * self.command_s + held_up_s) / (AT_FIRST + now.done - self.began.done)
