"""One rehearsal from its beginning, or from where it stood, to its end.

Responsible for the order of things and for the bound on all of it. Leaves the stack to `scripts.stack`,
the clock to `keeper`, the time left to `forecast`, the provider's typing to `desk` and the verdict to
`comparison`.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from include.nce.domain.readiness import Answer
from include.nce.ledger.reports import CampaignStatus, PartnerStatus
from scripts.demo.airflow import PARTNER_DAG, PLAN, UNDO, UNDO_DAG, Airflow, Programs, Workload
from scripts.demo.comparison import Holding, differences, stands
from scripts.demo.desk import Desk
from scripts.demo.display import Display, Progress, count, display_for
from scripts.demo.forecast import ALONE, Forecast, Standing
from scripts.demo.keeper import CALM_SECONDS, ClockKeeper
from scripts.demo.ledger import LedgerReader
from scripts.demo.simulator import Simulator
from scripts.demo.story import Story
from scripts.stack.errors import NotAnswering, StackError
from scripts.stack.stack import Stack
from scripts.stack.turn import alone

CAMPAIGN = "csp-commercial-2022"
CAMPAIGN_FILE = Path("include/campaigns") / f"{CAMPAIGN}.yaml"
RUN_ID = f"{CAMPAIGN}__enrol"
LOOK_SECONDS = 0.5
STATUS_SECONDS = 4.0
REPAIR_AFTER_SECONDS = 15.0
PATIENCE_SECONDS = 90.0
"""How long a part of the stack may fail to answer before the rehearsal gives up; a repair takes half."""
USUAL_COMMAND_SECONDS = 2.0
"""What a command at the desk takes where none was needed to begin with."""
SETTLE_SECONDS = 120.0
"""How long Airflow may take, after the story's end, to finish what it has in hand."""


@dataclass
class Rehearsal:
    """Follows the campaign of `stack` and gives up after `minutes` of real time."""

    stack: Stack
    console: Console
    minutes: float
    scenario: Path | None = None
    roster: str | None = None

    def run(self) -> bool:
        """Play the story to its end; True when it ended as it should. Raises StackError."""
        installation = self.stack.installation
        installation.make_folders()
        with alone(installation.local / "demo.lock", "demo follows this campaign"):
            return self._run()

    def _run(self) -> bool:
        began_s = time.monotonic()
        self.stack.up(self.scenario)
        installation = self.stack.installation
        metadata, ledger_url = self.stack.database_urls()
        airflow = Airflow(installation.airflow_url, "admin", installation.secrets.passwords["admin"])
        work = Workload(metadata)
        ledger = LedgerReader(ledger_url, CAMPAIGN)
        desk = Desk(
            CAMPAIGN, installation.checkout, self.stack.environment(), installation.local / "entries.json"
        )
        with Simulator(installation.simulator_url) as simulator:
            story = Story.read(simulator.scenario())
            keeper = ClockKeeper(simulator, stack_fault=self.stack.fault, at_work=work.at_work)
            follow = Follow(
                self.stack,
                story,
                simulator,
                airflow,
                work,
                ledger,
                desk,
                keeper,
                display_for(self.console, f"{story.name}: {CAMPAIGN}"),
                roster=self.roster,
                minutes=self.minutes,
                began_s=began_s,
            )
            with _kept(keeper):
                follow.to_the_end()
            status = ledger.status(with_subscriptions=True)
            self._print_outcomes(status)
            found = differences(story.expectations, status, Holding.read_all(simulator.state()))
        return self._print_verdict(story, found)

    def _print_outcomes(self, status: CampaignStatus) -> None:
        width = max((len(row.partner) for row in status.partners), default=0)
        for row in status.partners:
            self._line(f"{row.partner:<{width}}  {stands(row):<14} {row.sentence or _open_points(row)}")

    def _print_verdict(self, story: Story, found: list[str]) -> bool:
        for sentence in found:
            self._line(f"DIFFERENT  {sentence}")
        total = len(story.expectations)
        if found:
            plural = "s" if len(found) > 1 else ""
            self._line(f"The story '{story.name}' ended with {len(found)} difference{plural}.")
        else:
            self._line(f"The story '{story.name}' ended as it expects, in all {total} points.")
        return not found

    def _line(self, text: str) -> None:
        self.console.print(text.rstrip(), markup=False, highlight=False, soft_wrap=True)


@dataclass
class Follow:
    """The way from wherever the campaign stands to the end of its story."""

    stack: Stack
    story: Story
    simulator: Simulator
    airflow: Airflow
    work: Workload
    ledger: LedgerReader
    desk: Desk
    keeper: ClockKeeper
    display: Display
    roster: str | None
    minutes: float
    began_s: float
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        self._clock = self.simulator.clock()
        self._enrolled = False
        self._ended_s: float | None = None
        self._rows: list[PartnerStatus] = []
        self._reds = 0
        self._status_s = float("-inf")
        self._repaired_s = float("-inf")
        self._programs: dict[str, Programs] = {}

    def to_the_end(self) -> None:
        """Start the campaign unless it was started, and follow it until its story has ended."""
        if self._clock.ended:
            return
        command_s = self._start_campaign()
        self._programs = self.work.programs()
        self._forecast = Forecast(self._standing(), command_s)
        trouble_s: float | None = None
        with self.display:
            while not self._is_over():
                self._refuse_to_wait_longer()
                self._repair_if_needed()
                try:
                    self._act()
                    self.display.show(self._look())
                    trouble_s = None
                except NotAnswering:
                    trouble_s = self.monotonic() if trouble_s is None else trouble_s
                    if self.monotonic() - trouble_s > PATIENCE_SECONDS:
                        raise
                self.sleep(LOOK_SECONDS)

    def _start_campaign(self) -> float:
        """Start the campaign unless it was started; how long a command at the desk takes on this machine."""
        if self.airflow.campaign_state(RUN_ID) != "none":
            return USUAL_COMMAND_SECONDS
        began_s = self.monotonic()
        self.desk.import_campaign(CAMPAIGN_FILE, self.roster)
        command_s = self.monotonic() - began_s
        self.airflow.start_campaign(RUN_ID, {"campaign": CAMPAIGN, "mode": "apply"})
        return command_s

    def _act(self) -> None:
        """Let the campaign begin once all partner runs exist; enter what came in, approve what is asked."""
        self._enrolled = self._enrolled or self._is_enrolled()
        if self._enrolled:
            self._make_entries()
            for run_id in self.work.to_approve(PLAN):
                self.desk.approve(run_id)
            for run_id in self.work.to_approve(UNDO):
                self.airflow.approve_undo(run_id)
            self.keeper.release()
        self._clock = self.simulator.clock()
        if self._clock.ended and self._ended_s is None:
            self._ended_s = self.monotonic()

    def _is_enrolled(self) -> bool:
        """Whether all partner runs exist; until then the campaign has not begun."""
        state = self.airflow.campaign_state(RUN_ID)
        if state == "failed":
            raise StackError(
                f"The campaign could not be enrolled; read the red task at {self.airflow.run_page(RUN_ID)}."
            )
        return state == "success"

    def _make_entries(self) -> None:
        """Enter what the provider has received by now, and stop the clock at the next such moment."""
        now_at = self._clock.now_at
        open_entries = [entry for entry in self.story.entries if not self.desk.is_made(entry)]
        for entry in open_entries:
            if entry.at <= now_at:
                self.keeper.not_beyond = now_at
                self.desk.make(entry)
        self.keeper.not_beyond = next((entry.at for entry in open_entries if entry.at > now_at), None)

    def _repair_if_needed(self) -> None:
        """Bring up again what has died; leave what somebody took down."""
        since_s, now_s = self.keeper.faulty_since_s, self.monotonic()
        if since_s is None or now_s - max(since_s, self._repaired_s) < REPAIR_AFTER_SECONDS:
            return
        if self.stack.was_taken_down():
            raise StackError("The rehearsal was taken down; `make demo` goes on where it stood.")
        self.stack.up()
        self._repaired_s = self.monotonic()

    def _is_over(self) -> bool:
        """Whether the story has ended and Airflow has nothing in hand any more."""
        if self._ended_s is None:
            return False
        if self.keeper.fault is None and self.keeper.calm_s > 2 * CALM_SECONDS:
            return True
        if self.monotonic() - self._ended_s > SETTLE_SECONDS:
            raise StackError(
                f"Airflow is still at work {SETTLE_SECONDS:.0f} s after the story's end; look at "
                f"{self.stack.installation.airflow_url} and run `make demo` again."
            )
        return False

    def _refuse_to_wait_longer(self) -> None:
        if self.monotonic() - self.began_s > self.minutes * 60:
            raise StackError(
                f"The story is not at its end after {self.minutes:g} minutes, the campaign clock "
                f"stands at {self._clock.now_at:%Y-%m-%d %H:%M}Z; `make demo` goes on, "
                "NCE_DEMO_MINUTES gives it more."
            )

    def _look(self) -> Progress:
        now_s, clock = self.monotonic(), self._clock
        if now_s - self._status_s > STATUS_SECONDS and self.keeper.fault is None:
            self._status_s = now_s
            self._rows = self.ledger.status().partners if self._enrolled else []
            self._reds = self.work.reds()
        if self.keeper.fault is None:
            self._programs = self.work.programs()
        stages, converted, to_convert = count(self._rows)
        return Progress(
            now_at=clock.now_at,
            ends_at=clock.ends_at,
            speed=clock.speed,
            state=self._state(),
            elapsed_s=now_s - self.began_s,
            left_s=self._forecast.left_s(self._standing()),
            reds=self._reds,
            stages=stages,
            converted=converted,
            to_convert=to_convert,
        )

    def _standing(self) -> Standing:
        programs, none = self._programs, Programs()
        weights = {dag_id: ALONE if dag_id == UNDO_DAG else 1 for dag_id in programs}
        done = sum(weights[dag_id] * each.done for dag_id, each in programs.items())
        to_do = sum(weights[dag_id] * each.to_do for dag_id, each in programs.items())
        if not self._enrolled:  # each partner is started by one task, and its run is still to come
            to_do = max(to_do, self.story.partners * (1 + programs.get(PARTNER_DAG, none).a_run))
        entries = self.story.entries
        open_entries = [entry for entry in entries if not self.desk.is_made(entry)]
        undos = sum(entry.starts_undo for entry in open_entries)
        to_enter = len(open_entries) + undos * programs.get(UNDO_DAG, none).a_run
        return Standing(
            elapsed_s=self.monotonic() - self.began_s,
            scheduled_s=self.story.seconds_left(self._clock.now_at, self._clock.ends_at),
            done=done + ALONE * (len(entries) - len(open_entries)),
            to_do=to_do + ALONE * to_enter,
        )

    def _state(self) -> str:
        if self._clock.ended:
            return "at its end, Airflow finishes"
        if self.keeper.fault is not None:
            return f"waiting for Airflow: {self.keeper.fault}"
        if not self._enrolled:
            return "standing still: partners are being enrolled"
        return "running" if self._clock.running else "standing still"


def _open_points(row: PartnerStatus) -> str:
    """What the open run of a partner waits for."""
    missing = [check for check in row.checks.values() if check.answer is not Answer.SATISFIED]
    return " ".join(f"{check.reason} {check.remedy}".strip() for check in missing)


@contextlib.contextmanager
def _kept(keeper: ClockKeeper) -> Iterator[None]:
    """Beat in the background; when this ends, so does the lease, and the clock stands still."""
    over = threading.Event()
    thread = threading.Thread(target=keeper.keep, args=(over,), name="clock keeper", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=10)
