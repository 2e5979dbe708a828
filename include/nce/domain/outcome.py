"""How a partner's run ended, worst last, and what that means in one sentence."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum


class RunOutcome(str, Enum):
    """Outcomes in the order of how much they ask of somebody; the last one that applies is the run's."""

    PLANNED = "planned"
    NOTHING_TO_DO = "nothing_to_do"
    CONVERTED = "converted"
    SCHEDULED = "scheduled"
    OPTED_OUT = "opted_out"
    PARTLY_HELD = "partly_held"
    BLOCKED = "blocked"
    UNRESOLVED = "unresolved"
    FAILED = "failed"

    @property
    def needs_somebody(self) -> bool:
        """Red in the grid: somebody has to act before this partner is finished."""
        return self in (RunOutcome.BLOCKED, RunOutcome.UNRESOLVED, RunOutcome.FAILED)


def worst(outcomes: Iterable[RunOutcome]) -> RunOutcome:
    order = list(RunOutcome)
    return max(outcomes, key=order.index, default=RunOutcome.NOTHING_TO_DO)
