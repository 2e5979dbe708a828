"""Kills processes at crash points, and lets Airflow recover by itself.

Many partners run side by side, each with one crash of its own. Whoever arrives at its point is killed within
a tenth of a second; who was orphaned stands still until Airflow has started the next attempt, and then goes
on beside it. The campaign clock stands, except for one jump over the time Microsoft needs.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import psutil

from include.nce.ledger.locks import lock_key
from scripts.stack.postgres import EmbeddedPostgres
from scripts.stack.services import Keeper
from tests.e2e.stage import until
from tests.safety.crowd import Member
from tests.safety.points import SERVICES, Crash, Kill, read
from tests.safety.stage import CrashStage

LOOK_SECONDS = 0.1
CALM_SECONDS = 3.0
"""How long nobody new arrives before a triggerer with stopped waits is killed."""
STEP_SECONDS = 1500.0
MICROSOFT_TAKES_SECONDS = 3 * 3600
AT_WORK = ("scheduled", "queued", "running", "up_for_retry", "restarting")


@dataclass
class Killed:
    """The record of one kill."""

    pid: int
    at: float
    orphan: int | None = None
    lock_backend: int | None = None
    met: bool = False
    """An orphan was let go while the next attempt was at work beside it."""


@dataclass
class Wave:
    """Partners that run side by side, and what is killed of each."""

    stage: CrashStage
    crashes: Mapping[Member, Crash]
    clean: Sequence[Member] = ()
    killed: dict[str, Killed] = field(default_factory=dict)
    gone: set[Member] = field(default_factory=set)
    """Those that Airflow itself had ended at their point, before they could be killed there."""
    _lines: dict[str, int] = field(default_factory=dict)
    _waiting: dict[Kill, dict[Member, dict[str, Any]]] = field(default_factory=dict)
    _arrived_at: float = 0.0
    _aside: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    _repair: Future[None] | None = None

    @property
    def members(self) -> list[Member]:
        return [*self.crashes, *self.clean]

    def run(self) -> None:
        """From the first task to the end of every run."""
        for member, crash in self.crashes.items():
            if crash.point.look < 2:
                self._aim(member, crash)
        for member in self.members:
            self.stage.start(member)
        self._until("everybody has bought, and waits for Microsoft", self._all_bought)
        for member, crash in self.crashes.items():
            if crash.point.look == 2:
                self._aim(member, crash)
        self.stage.simulator("POST", "clock/advance", {"seconds": MICROSOFT_TAKES_SECONDS})
        self._until("every run has ended", self._all_ended)

    def _aim(self, member: Member, crash: Crash) -> None:
        target = self.stage.probe / "points" / f"{member.partner}.json"
        draft = target.with_suffix(".draft")
        draft.write_text(json.dumps(crash.point.wanted))
        draft.replace(target)

    def _until(self, what: str, holds: Callable[[], bool]) -> None:
        began, calm_since = time.monotonic(), time.monotonic()
        while True:
            if self._act() or self._at_work():
                calm_since = time.monotonic()
            elif holds():
                return
            elif time.monotonic() - calm_since > 15:
                # What waits for a later look waits for campaign time.
                self.stage.simulator("POST", "clock/advance", {"seconds": 1800})
                calm_since = time.monotonic()
            if time.monotonic() - began > STEP_SECONDS:
                raise AssertionError(
                    f"After {STEP_SECONDS:.0f} s it is still not so: {what}\n{self._standing()}"
                )
            time.sleep(LOOK_SECONDS)

    def _at_work(self) -> bool:
        states = self.stage.states()
        return any(
            state in AT_WORK for member in self.members for state in states.get(member.run_id, {}).values()
        ) or any(not self._settled(member) for member in self.killed_members)

    @property
    def killed_members(self) -> list[Member]:
        return [member for member in self.crashes if member.partner in self.killed]

    def _settled(self, member: Member) -> bool:
        """Whether no orphan of this partner stands still."""
        kill = self.killed[member.partner]
        return kill.orphan is None or (self.stage.probe / "go" / member.partner).exists()

    def _all_bought(self) -> bool:
        states = self.stage.states()
        return all(
            states.get(member.run_id, {}).get("buy_nce") == "success" and self._has_looked(member)
            for member in self.members
        ) and all(
            member.partner in self.killed or member in self.gone
            for member, crash in self.crashes.items()
            if crash.point.step == "buy_nce" or crash.point.look == 1
        )

    def _has_looked(self, member: Member) -> bool:
        lines = self._seen(member)[self._lines.get(member.partner, 0) :]
        return any(line["kind"] == "end" and line["step"] == "confirm_nce" for line in lines)

    def _all_ended(self) -> bool:
        states = self.stage.run_states()
        return all(states.get(member.run_id) in ("success", "failed") for member in self.members)

    def _standing(self) -> str:
        states = self.stage.states()
        return "\n".join(
            f"{member.partner} ({self.crashes.get(member)}; killed {self.killed.get(member.partner)}): "
            f"{states.get(member.run_id)}"
            for member in self.members
            if states.get(member.run_id, {}).get("close_run") != "success"
        )

    # Killing

    def _act(self) -> bool:
        """Kill whoever has arrived, let go whoever may go on; whether anything was done."""
        acted = False
        for member, crash in self.crashes.items():
            if member in self.gone:
                continue
            if member.partner not in self.killed:
                here = self._here(member)
                if here is not None:
                    acted = self._kill(member, crash, here) or acted
            elif not self._settled(member):
                acted = self._let_go(member, crash) or acted
        if self._repair is not None:
            if not self._repair.done():
                return True
            self._repair.result()
            self._repair = None
        if self._waiting and time.monotonic() - self._arrived_at > CALM_SECONDS:
            self._kill_service(*self._waiting.popitem())
            acted = True
        return acted

    def _here(self, member: Member) -> dict[str, Any] | None:
        try:
            here = json.loads((self.stage.probe / "reached" / f"{member.partner}.json").read_text())
        except FileNotFoundError:
            return None
        if here["kind"] == "request" and not self._is_held(here["fault"]):
            return None
        return dict(here)

    def _is_held(self, fault: str) -> bool:
        account = {each["id"]: each for each in self.stage.simulator("GET", "faults")}
        return bool(account[fault]["held"])

    def _kill(self, member: Member, crash: Crash, here: Mapping[str, Any]) -> bool:
        if crash.kill in SERVICES:
            victims = self._waiting.setdefault(crash.kill, {})
            if member in victims:
                return False
            victims[member] = dict(here)
            self._arrived_at = time.monotonic()
            return True
        child, supervisor = _alive(here["pid"]), _alive(here["ppid"])
        if child is None or supervisor is None:
            self.gone.add(member)  # on a busy machine a heartbeat comes late
            return True
        assert "LocalExecutor" in " ".join(supervisor.cmdline()), supervisor.cmdline()
        victim = child if crash.kill == "child" else supervisor
        record = Killed(pid=victim.pid, at=time.time())
        if not _kill_hard(victim):
            self.gone.add(member)
            return True
        if victim is supervisor:
            record.orphan = child.pid
            assert child.is_running(), "the orphan died with its supervisor"
            if crash.kill == "lock":
                record.lock_backend = self._end_lock_session(member)
        self.killed[member.partner] = record
        self._lines[member.partner] = len(self._seen(member))
        if crash.kill == "child" and here["kind"] == "request":
            # What was on its way when its sender died arrives now.
            self.stage.simulator("POST", f"faults/{here['fault']}/release")
        return True

    def _end_lock_session(self, member: Member) -> int:
        """The database session that holds the single-writer lock is gone, its owner is not."""
        key = lock_key("writer", member.customer_id, member.legacy_id) & 0xFFFFFFFFFFFFFFFF
        query = (
            "select pid, pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted"
            " and objsubid = 1 and classid::bigint = %s and objid::bigint = %s"
        )
        with self.stage.database(1) as ledger:
            found = ledger.execute(query, [key >> 32, key & 0xFFFFFFFF]).fetchall()
        assert len(found) == 1, f"{member.partner}: {len(found)} sessions hold the lock"
        return int(found[0][0])

    def _let_go(self, member: Member, crash: Crash) -> bool:
        """The next attempt is at work: from here on the orphan goes on beside it."""
        kill = self.killed[member.partner]
        later = self._seen(member)[self._lines[member.partner] :]
        next_one = [
            line for line in later
            if line["kind"] == "begin" and line["step"] == crash.point.step and line["pid"] != kill.orphan
        ]  # fmt: skip
        if not next_one:
            return False
        kill.met = psutil.pid_exists(kill.orphan or 0)
        here = self._here_again(member)
        if here["kind"] == "request":
            self.stage.simulator("POST", f"faults/{here['fault']}/release")
        (self.stage.probe / "go" / member.partner).touch()
        return True

    def _here_again(self, member: Member) -> dict[str, Any]:
        return dict(json.loads((self.stage.probe / "reached" / f"{member.partner}.json").read_text()))

    def _kill_service(self, kill: Kill, waiting: Mapping[Member, Mapping[str, Any]]) -> None:
        """Whoever works for it stands at its point: it is killed under them, and started again."""
        victims = {member: here for member, here in waiting.items() if _alive(here["pid"])}
        self.gone |= waiting.keys() - victims.keys()
        if not victims:
            return
        if kill == "postgres":
            pid = EmbeddedPostgres(self.stage.installation.local / "postgres").pid
            assert pid is not None, "PostgreSQL is not the stack's own"
            leader = psutil.Process(pid)
            family = [leader]
        else:
            keeper = Keeper(self.stage.installation.local / "run", self.stage.installation.logs)
            found = keeper.process(kill)
            assert found is not None, f"there is no {kill} to kill"
            leader = found
            children = leader.children(recursive=True)
            others = {here["pid"] for here in victims.values()} - {process.pid for process in children}
            assert not others, f"{others} do not work for {leader}, but {children} do"
            # The scheduler's workers run on without it, until it is started again.
            family = [leader, *children] if kill == "triggerer" else [leader]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=10)
        for member, here in victims.items():
            self.killed[member.partner] = Killed(pid=leader.pid, at=time.time())
            self._lines[member.partner] = len(self._seen(member))
            if here["kind"] == "request":
                self.stage.simulator("POST", f"faults/{here['fault']}/release")
        # Beside everything else: an orphan is let go when the next attempt begins, not half a minute later.
        self._repair = self._aside.submit(self.stage.up)

    def _seen(self, member: Member) -> list[dict[str, Any]]:
        return read(self.stage.probe / "seen" / f"{member.partner}.jsonl")


def _alive(pid: int) -> psutil.Process | None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    return None


def _kill_hard(process: psutil.Process) -> bool:
    """False when it had ended by itself before."""
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return False
    until(
        f"process {process.pid} is dead",
        lambda: _alive(process.pid) != process,
        seconds=10,
        every=0.02,
    )
    return True
