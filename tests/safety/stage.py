"""The installation of the crash tests: Airflow with short timeouts, and the probe in its processes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import psycopg

from include.nce.intake.roster import load_roster
from include.nce.ledger.ledger import PostgresLedger
from scripts.stack.installation import CHECKOUT
from scripts.stack.stack import Stack
from tests.e2e.stage import UP_SECONDS, Stage
from tests.safety import crowd
from tests.safety.crowd import APPLICATION, CAMPAIGN, PROVIDER_TENANT, Member

HEARTBEAT_SECONDS = 20
AIRFLOW = {
    # A task whose supervisor is dead is tried again after this, not after five minutes. All three go
    # together: how long nothing is heard, how often the living speak, how often the scheduler listens.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(HEARTBEAT_SECONDS),
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "3",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "4",
    # Waits of a dead triggerer go to the next one after this.
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "3",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",
    # A scheduler that has been silent for so long is dead; a busy one must not take itself for it.
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "40",
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "3",
}
LIMITS = {
    name: {"calls": 100_000, "seconds": 60}
    for name in ("create_migration", "validate_migration", "resources")
}
"""So many points in a few minutes are more calls than Microsoft allows. The budget has its own tests."""
PROBE = CHECKOUT / "tests/safety/probe"


class CrashStage(Stage):
    """An installation with a crowd of partners, all of them due."""

    def __init__(self, members: Sequence[Member]) -> None:
        super().__init__(database_server=None)  # its own PostgreSQL: that one is killed, too
        self.members = list(members)
        self.probe = self._folder / "probe"
        for name in ("seen", "points", "reached", "go"):
            (self.probe / name).mkdir(parents=True)
        self._prepared = False
        self._story, self._campaign = crowd.write(self.members, self._folder)

    @cached_property
    def environment(self) -> dict[str, str]:
        variables = {
            **AIRFLOW,
            "CRASH_PROBE": str(self.probe),
            "CRASH_PROBE_SIMULATOR": self.installation.simulator_url,
            "PYTHONPATH": f"{PROBE}:{CHECKOUT}",
        }
        return {**Stage.environment.func(self), "SAFETY_VARIABLES": json.dumps(variables)}

    def up(self) -> None:
        """Bring everything up, or what is missing of it; the campaign clock is moved by hand."""
        self._run("tests.safety.bring_up", str(self._story), seconds=UP_SECONDS)
        if self._prepared:
            self._lift_limits()  # it has made the connections anew

    def prepare(self) -> None:
        """The campaign is imported, its partners are enrolled, and no call budget stands in the way."""
        self.simulator("PUT", "clock", {"mode": "manual"})
        self.nce("campaign", "import", str(self._campaign), "--by", "the desk")
        self._lift_limits()
        asyncio.run(self._enrol())
        self._prepared = True

    def _lift_limits(self) -> None:
        extra = {
            "tenant_id": PROVIDER_TENANT,
            "refresh_token": APPLICATION["refresh_token"],
            "authority": self.installation.simulator_url,
            "rehearsal": True,
            "limits": LIMITS,
        }
        body = {"connection_id": "partner_center", "conn_type": "partner_center", "extra": json.dumps(extra)}
        assert self.airflow("PATCH", "connections/partner_center?update_mask=extra", body) is not None

    async def _enrol(self) -> None:
        roster = load_roster(json.dumps(crowd.roster(self.members)), name="crowd")
        async with PostgresLedger.open(self._stack.database_urls()[1]) as ledger:
            await ledger.enrol(CAMPAIGN, roster)

    def start(self, member: Member) -> None:
        """Start the partner's run."""
        conf = {"partner": member.partner, "campaign": CAMPAIGN, "mode": "apply"}
        body = {"dag_run_id": member.run_id, "logical_date": None, "conf": conf}
        assert self.airflow("POST", "dags/nce_partner_migration/dagRuns", body) is not None

    # Its databases

    @property
    def _stack(self) -> Stack:
        return Stack(self.installation)

    @contextmanager
    def database(self, which: int) -> Iterator[psycopg.Connection[Any]]:
        """Airflow's metadata (0) or the ledger (1), in autocommit."""
        url = self._stack.database_urls()[which]
        dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
            yield connection

    def states(self) -> dict[str, dict[str, str | None]]:
        """State of each task of each partner's run; of mapped ones, the first."""
        query = "select run_id, task_id, state from task_instance where dag_id = 'nce_partner_migration'"
        found: dict[str, dict[str, str | None]] = {}
        with self.database(0) as metadata:
            for run_id, task_id, state in metadata.execute(query):
                found.setdefault(run_id, {})[task_id.rpartition(".")[2]] = state
        return found

    def run_states(self) -> dict[str, str]:
        """State of each partner's run."""
        query = "select run_id, state from dag_run where dag_id = 'nce_partner_migration'"
        with self.database(0) as metadata:
            return dict(metadata.execute(query).fetchall())
