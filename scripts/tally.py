"""What was tried, for the table that `make test-safety` prints: how often each fault, and what broke."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

VARIABLE = "SAFETY_TALLY"


@dataclass(frozen=True)
class Tried:
    """`times` counts faults that happened, not faults that were asked for."""

    part: str
    fault: str
    times: int
    violations: int

    def __add__(self, other: Tried) -> Tried:
        return Tried(self.part, self.fault, self.times + other.times, self.violations + other.violations)


def note(part: str, fault: str, times: int, violations: int) -> None:
    """Keep it for the table, when somebody wants one."""
    file = os.environ.get(VARIABLE)
    if file:
        with Path(file).open("a") as table:
            table.write(json.dumps(asdict(Tried(part, fault, times, violations))) + "\n")


def read(file: Path) -> list[Tried]:
    """Everything that was noted, in order."""
    return [Tried(**json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []
