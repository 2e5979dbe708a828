"""Crash points, and how they are found: one clean run for each route is recorded, and every commit that wrote
and every request of a followed step is a point, before and after.

Nothing is listed by hand: a step that commits once more has two more points at the next run of the tests.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Kill = Literal["child", "supervisor", "lock", "triggerer", "scheduler", "postgres"]
KILLS: dict[Kill, str] = {
    "child": "the task's process killed",
    "supervisor": "its supervisor killed, the task runs on as an orphan",
    "lock": "its supervisor killed, and the orphan has lost its lock",
    "triggerer": "the triggerer killed and started again",
    "scheduler": "the scheduler killed and started again, with all that it had in hand",
    "postgres": "PostgreSQL killed and started again, and Airflow with it",
}
SERVICES: tuple[Kill, ...] = ("triggerer", "scheduler", "postgres")
"""Killed for everybody at once, and started again by the programs of the stack."""
OUTAGES: tuple[Kill, ...] = ("scheduler", "postgres")
"""Killed only where Microsoft has done something and nobody was told: everything has to be started again."""


@dataclass(frozen=True)
class Point:
    """One place in a step at which a process is stopped. `look`: which of the two looks of the wait."""

    route: str
    step: str
    kind: Literal["commit", "request"]
    what: str
    number: int
    when: Literal["before", "after"]
    locked: bool = False
    look: int = 0

    @property
    def wanted(self) -> dict[str, Any]:
        """As the probe reads it."""
        return {
            "step": self.step, "kind": self.kind, "what": self.what, "number": self.number, "when": self.when,
        }  # fmt: skip

    def __str__(self) -> str:
        return f"{self.route}: {self.step}, {self.when} {self.kind} '{self.what}' no. {self.number}"


@dataclass(frozen=True)
class Crash:
    """A point and what is killed there."""

    point: Point
    kill: Kill

    def __str__(self) -> str:
        return f"{self.point}: {self.kill}"


def read(file: Path) -> list[dict[str, Any]]:
    """What the probe saw of one partner, in order."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def recorded(route: str, seen: Sequence[dict[str, Any]]) -> list[Point]:
    """Every point of a clean run. The wait looks twice: while Microsoft is at work, and when it is done."""
    found, looks = [], 0
    for line in seen:
        if line["kind"] == "begin":
            looks += line["step"] == "confirm_nce"
            continue
        if line["kind"] == "end":
            continue
        for when in ("before", "after"):
            found.append(
                Point(
                    route, line["step"], line["kind"], line["what"], line["number"], when,
                    locked=line["locked"], look=looks if line["step"] == "confirm_nce" else 0,
                )
            )  # fmt: skip
    return found


def crashes(points: Iterable[Point]) -> list[Crash]:
    """Everything that is killed: on a worker child and supervisor, where it holds a lock also that, and
    the triggerer where the step lives there."""
    found = []
    for point in points:
        kills: tuple[Kill, ...] = ("child", "supervisor")
        if point.step == "confirm_nce":
            kills = ("triggerer",)
        elif point.locked:
            kills = ("child", "supervisor", "lock")
        found += [Crash(point, kill) for kill in kills]
    return found


def outages(points: Iterable[Point]) -> list[list[Crash]]:
    """The scheduler and PostgreSQL die at the worst moments: Microsoft has done it, and nobody was told.

    A wave for each: whoever stands at its point under one of them does not survive the other.
    """
    worst = [
        point
        for point in points
        if point.when == "after" and point.kind == "request" and point.what.split()[0] in ("POST", "PATCH")
    ]
    return [[Crash(point, kill) for point in worst] for kill in OUTAGES]
