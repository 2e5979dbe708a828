"""What the story expects of the product, and what its provider does on the way.

Reads the part of a scenario that the simulator keeps for the rehearsal. Leaves the world to the simulator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scripts.demo.simulator import moment


@dataclass(frozen=True)
class Expectation:
    """How one partner (`subscription` None) or one subscription ends."""

    partner: str
    subscription: str | None
    outcome: str
    reason: str | None

    def __str__(self) -> str:
        return (
            self.partner if self.subscription is None else f"{self.partner}, subscription {self.subscription}"
        )


@dataclass(frozen=True)
class Entry:
    """What the provider's people type at `at`: `words` are those of the project's command line."""

    at: datetime
    words: tuple[str, ...]

    @property
    def key(self) -> str:
        """Names this entry of the story, to know that it was made."""
        return " ".join([self.at.isoformat(), *self.words])

    @property
    def starts_undo(self) -> bool:
        """Whether Airflow undoes conversions because of it."""
        return self.words[:2] == ("undo", "start")


@dataclass(frozen=True)
class Story:
    """The rehearsal's part of a scenario."""

    name: str
    partners: int
    expectations: tuple[Expectation, ...]
    entries: tuple[Entry, ...]
    speeds: tuple[tuple[datetime, float], ...]

    @classmethod
    def read(cls, scenario: Mapping[str, Any]) -> Story:
        """Read a scenario as the simulator gives it, with ids and defaults filled in."""
        speeds = [
            (moment(each["from"]), float(each["speed"])) for each in scenario["clock"].get("schedule") or []
        ]
        return cls(
            name=str(scenario["name"]),
            partners=len(scenario.get("partners") or []),
            expectations=tuple(_expectations(scenario)),
            entries=tuple(sorted(_entries(scenario), key=lambda entry: entry.at)),
            speeds=tuple(speeds),
        )

    def seconds_left(self, now: datetime, end: datetime) -> float:
        """Real seconds from `now` to `end` when nothing slows the clock down."""
        left, turns = 0.0, [*self.speeds, (end, 1.0)]
        speed = next((pace for start, pace in reversed(self.speeds) if start <= now), 1.0)
        for start, pace in turns:
            if start > now:
                stop = min(start, end)
                left += (stop - now).total_seconds() / speed
                now, speed = stop, pace
        return left


def _expectations(scenario: Mapping[str, Any]) -> Iterator[Expectation]:
    for partner in scenario.get("partners") or []:
        expect = partner.get("expect")
        if expect:
            yield Expectation(partner["id"], None, expect["outcome"], expect.get("reason"))
        for customer in partner.get("customers") or []:
            for subscription in customer.get("subscriptions") or []:
                expect = subscription.get("expect")
                if expect:
                    name = str(subscription["id"]).lower()
                    yield Expectation(partner["id"], name, expect["outcome"], expect.get("reason"))


def _entries(scenario: Mapping[str, Any]) -> Iterator[Entry]:
    for each in scenario.get("opt_outs") or []:
        of = ["--customer", each["customer"]] if each.get("customer") else []
        by = ["--by", each["by"]]
        note = ["--note", each["note"]] if each.get("note") else []
        received_at = moment(each["received_at"])
        entered_at = moment(each["enter_at"]) if each.get("enter_at") else received_at
        words = ["opt-out", "add", each["partner"], *of, "--received", received_at.isoformat(), *by, *note]
        yield Entry(entered_at, tuple(words))
        if each.get("withdrawn_at"):
            back_at = moment(each["withdrawn_at"])
            words = ["opt-out", "withdraw", each["partner"], *of, "--at", back_at.isoformat(), *by]
            yield Entry(back_at, tuple(words))
    for each in scenario.get("moves") or []:
        words = ["campaign", "move-date", each["moment"], moment(each["to"]).isoformat(), "--by", each["by"]]
        yield Entry(moment(each["at"]), tuple(words))
    for each in scenario.get("undos") or []:
        why = ["--reason", each["reason"], "--by", each["by"]]
        yield Entry(moment(each["at"]), ("undo", "start", each["subscription"], *why, "--yes"))
