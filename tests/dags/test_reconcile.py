"""`nce_reconcile`: its arrows, its schedule, and that it leaves room for partners' runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.dags.conftest import PROJECT, airflow_environment

ARROWS = {
    "list_partners": ["reconcile_partners"],
    "reconcile_partners": ["close_reconcile"],
    "close_reconcile": [],
}

_READ = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization
bag = DagBag(sys.argv[1])
assert not bag.import_errors, bag.import_errors
dag = bag.dags["nce_reconcile"]
mapped = dag.get_task("reconcile_partners")
timetable = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
print("DAG " + json.dumps({
    "schedule": dag.schedule,
    "timetable": type(timetable).__name__ + " " + timetable.summary,
    "catchup": dag.catchup,
    "at_once": mapped.partial_kwargs["max_active_tis_per_dag"],
    "weights": sorted({str(task.weight_rule) for task in dag.tasks}),
}))
"""


def read(home: Path, **environment: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(PROJECT / "dags" / "nce_reconcile.py")],
        env={**airflow_environment(home), **environment},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("DAG ")]
    assert lines, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(lines[-1][4:])
    return found


def test_the_arrows(dags: dict[str, Any]) -> None:
    found = dags["nce_reconcile"]["tasks"]
    assert {name: task["downstream"] for name, task in found.items()} == ARROWS


def test_partners_are_mapped_by_the_page_on_workers(dags: dict[str, Any]) -> None:
    tasks = dags["nce_reconcile"]["tasks"]
    assert tasks["reconcile_partners"]["mapped"] == "MappedOperator"
    assert not any(task["in_triggerer"] for task in tasks.values())


def test_its_last_task_is_a_teardown_that_colours_the_run(dags: dict[str, Any]) -> None:
    close = dags["nce_reconcile"]["tasks"]["close_reconcile"]
    assert close["teardown"]
    assert close["colours_the_run"]


def test_two_comparisons_never_run_at_once(dags: dict[str, Any]) -> None:
    assert dags["nce_reconcile"]["max_active_runs"] == 1


@pytest.fixture(autouse=True)
def _no_schedule_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NCE_RECONCILE_SCHEDULE", raising=False)


def test_it_runs_daily_by_the_machines_clock_and_makes_up_for_no_missed_day(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert (found["schedule"], found["catchup"]) == ("30 3 * * *", False)
    assert found["timetable"] == "CronTriggerTimetable 30 3 * * *"


def test_it_leaves_workers_to_the_partners_runs(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert found["at_once"] == 2
    assert len(found["weights"]) == 1
    assert "absolute" in found["weights"][0].lower()


def test_in_a_rehearsal_it_is_only_started_by_hand(tmp_path: Path) -> None:
    found = read(tmp_path, NCE_RECONCILE_SCHEDULE="")
    assert found["schedule"] is None
    assert found["timetable"].startswith("NullTimetable")


def test_the_rehearsals_airflow_has_no_schedule_for_it(tmp_path: Path) -> None:
    from sqlalchemy.engine import make_url

    from scripts.stack.airflow_settings import environment
    from scripts.stack.installation import Installation

    installation = Installation(folder=tmp_path / "local", airflow_port=1, simulator_port=2)
    installation.make_folders()
    variables = environment(installation, make_url("postgresql+psycopg://x/y"), {**os.environ})
    assert variables["NCE_RECONCILE_SCHEDULE"] == ""
