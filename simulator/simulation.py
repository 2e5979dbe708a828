"""The running simulator: world, clock, limits, faults, log and journal put together.

Responsible for seeding, resetting and taking up an earlier state, and for the order "time passes, call is
done, state is saved". Leaves calls to `exchange` and control to `control`.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from simulator.behaviour import HAPPENINGS
from simulator.clock import CampaignClock, Mode
from simulator.faults import FaultDesk
from simulator.identity import TokenDesk
from simulator.journal import Journal
from simulator.records import FaultRecord
from simulator.requests_log import RequestLog
from simulator.routes import OPERATIONS
from simulator.scenario import ScenarioError, parse_scenario
from simulator.schema import Fault, Scenario
from simulator.throttle import Throttle
from simulator.world import World, seed

CLOCK_SAVED_EVERY_S = 0.5
STICKY = ("create_migration", "checkout_cart", "create_order")


class Simulation:
    """Everything one simulator process works with."""

    def __init__(
        self,
        scenario_text: str,
        *,
        source: str = "scenario",
        state: Path | None = None,
        mode: Mode = "leased",
        monotonic: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Seeds `scenario_text`, or goes on with what `state` holds when it was begun with the same text."""
        self._monotonic = monotonic
        self._started_in: Mode = mode
        self._journal = Journal(state)
        self._clock_saved = 0.0
        self.log = RequestLog()
        self.faults = FaultDesk()
        begun_with = self._journal.value("begun_with")
        if begun_with is not None and begun_with != scenario_text:
            self._journal.close()
            raise StateMismatch(
                f"{state} belongs to another scenario; remove the file or name the scenario it began with."
            )
        key = self._journal.value("signing_key") or secrets.token_hex(32)
        self.tokens = TokenDesk(bytes.fromhex(key))
        if begun_with is None:
            self.seed(scenario_text, source)
            self._journal.save([("value", "signing_key", key), ("value", "begun_with", scenario_text)])
        else:
            self._resume(state)

    def seed(self, text: str, source: str = "scenario", mode: Mode | None = None) -> None:
        """Replaces the world. A faulty scenario raises `ScenarioError` and changes nothing."""
        scenario = read_scenario(text, source)
        if hasattr(self, "world"):
            self.faults.release_all(self.world)
        self.scenario_text = text
        self._start(scenario, mode or self._started_in)
        seed(self.world)
        self.world.settle(self.clock.now)
        self._journal.save(self.world.unsaved(), replace_all=True)
        self._journal.save([("value", "scenario", text)])
        self._save_clock()

    def reset(self) -> None:
        """Back to the beginning of the scenario that was seeded last."""
        self.seed(self.scenario_text, mode=self.clock.mode)

    def _start(self, scenario: Scenario, mode: Mode) -> None:
        self.clock = CampaignClock(scenario.clock, mode, self._monotonic)
        self.world = World(scenario, HAPPENINGS)
        self.throttle = Throttle(scenario.throttling)
        self.log.clear()

    def _resume(self, state: Path | None) -> None:
        try:
            self._take_up()
        except (ScenarioError, ValueError, KeyError):
            self._journal.close()
            raise StateMismatch(f"{state} was written by another version; remove the file.") from None

    def _take_up(self) -> None:
        self.scenario_text = self._journal.value("scenario") or ""
        self._start(parse_scenario(self.scenario_text), self._started_in)
        self.world.load(self._journal)
        clock = json.loads(self._journal.value("clock") or "{}")
        if clock:
            self.clock.restore(datetime.fromisoformat(clock["now"]), clock["mode"])
        self.world.now = self.clock.now

    def catch_up(self) -> datetime:
        """Lets campaign time pass to now."""
        return self.clock.catch_up(self.world)

    def save(self) -> None:
        """Puts what changed on disk. The clock goes with it, and by itself twice a second."""
        rows = list(self.world.unsaved())
        if rows:
            self._journal.save([*rows, self._clock_row()])
            self._clock_saved = time.monotonic()
        elif time.monotonic() - self._clock_saved >= CLOCK_SAVED_EVERY_S:
            self._save_clock()

    def _save_clock(self) -> None:
        self._journal.save([self._clock_row()])
        self._clock_saved = time.monotonic()

    def _clock_row(self) -> tuple[str, str, str]:
        clock = {"now": self.clock.now.isoformat(), "mode": self.clock.mode}
        return "value", "clock", json.dumps(clock)

    def queue_faults(self, faults: list[Fault]) -> list[FaultRecord]:
        """Queues faults behind the ones that are there."""
        taken = {int(row.id[1:]) for row in self.world.faults}
        first = max(taken, default=0) + 1
        return [
            self.world.faults.add(FaultRecord(id=f"f{first + index}", fault=fault))
            for index, fault in enumerate(faults)
        ]

    def close(self) -> None:
        """Saves and lets go of the file."""
        self.faults.let_go()
        self.catch_up()
        self.save()
        self._save_clock()
        self._journal.close()


def read_scenario(text: str, source: str) -> Scenario:
    """Reads a scenario whose faults and latencies name operations that exist; raises `ScenarioError`."""
    scenario = parse_scenario(text, source)
    faults = [
        f"{source}: faults[{index}]: {sentence}"
        for index, fault in enumerate(scenario.faults)
        if (sentence := unfit(fault))
    ]
    names = {operation.name for operation in OPERATIONS} | {"*"}
    faults += [
        f"{source}: latency_ms: {name} is no operation." for name in scenario.latency_ms if name not in names
    ]
    if faults:
        raise ScenarioError(faults)
    return scenario


def unfit(fault: Fault) -> str | None:
    """Why this fault can never be carried out, in one sentence; None when it can."""
    if fault.operation != "*" and fault.operation not in {operation.name for operation in OPERATIONS}:
        return f"{fault.operation} is no operation; GET /openapi.json names them."
    if fault.kind == "stuck" and fault.operation not in STICKY:
        return f"stuck fits only {', '.join(STICKY)}."
    return None


class StateMismatch(Exception):
    """The state file cannot be taken up; the message is one sentence."""
