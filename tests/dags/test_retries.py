"""Airflow does what the retry policy says: real task runs, with a metadata database of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.dags.conftest import airflow_environment

ASKED_SECONDS = 7

_DAG = f"""
from datetime import timedelta
from airflow.sdk import DAG
from include.nce.domain.errors import InputRefused
from include.nce.orchestration.operators import _FirstStep, _Step
from include.nce.partner_center.errors import AgreementNotSigned, Throttled


class Throttle(_Step):
    async def work(self, context):
        if context["ti"].try_number == 1:
            raise Throttled("Too many calls.", retry_after_seconds={ASKED_SECONDS})


class Refuse(_Step):
    async def work(self, context):
        raise InputRefused(["Partner 'rosi' is not in the roster."])


class First(_FirstStep):
    async def work(self, context):
        raise InputRefused(["Partner 'rosi' is not in the roster."])


class Unsigned(_Step):
    async def work(self, context):
        raise AgreementNotSigned("The agreement is not signed.")


with DAG("tries", schedule=None, default_args={{"retries": 3, "retry_delay": timedelta(hours=9)}}) as dag:
    Throttle(task_id="throttled")
    Refuse(task_id="refused")
    Unsigned(task_id="unsigned")
    First(task_id="first")
"""

_RUN = """
import json, sys
from airflow.utils import db
db.initdb()
from airflow.dag_processing.dagbag import DagBag
dag = DagBag(sys.argv[1]).dags["tries"]
run = dag.test()
from airflow.models.taskinstance import TaskInstance
from airflow.models.taskinstancehistory import TaskInstanceHistory
from airflow.utils.session import create_session
from airflow.models.xcom import XComModel
from sqlalchemy import select
def told(row):
    return {
        "task": row.task_id, "state": str(row.state), "try": row.try_number, "reason": row.retry_reason,
        "delay": row.retry_delay_override, "began": row.start_date and row.start_date.timestamp(),
        "ended": row.end_date and row.end_date.timestamp(),
    }
with create_session() as session:
    latest = [told(row) for row in session.scalars(select(TaskInstance))]
    earlier = [told(row) for row in session.scalars(select(TaskInstanceHistory))]
    kept = session.scalars(select(XComModel).where(XComModel.key == "sentence"))
    said = {row.task_id: str(row.value) for row in kept}
print("TOLD " + json.dumps({"latest": latest, "earlier": earlier, "said": said}))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("airflow")
    folder = home / "dags"
    folder.mkdir()
    (folder / "tries.py").write_text(_DAG)
    environment = {**airflow_environment(home), "AIRFLOW__CORE__DAGS_FOLDER": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(folder)],
        env=environment, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("TOLD ")]
    assert lines, done.stdout[-3000:] + done.stderr[-3000:]
    found: dict[str, Any] = json.loads(lines[-1][5:])
    return {**found, "log": done.stdout + done.stderr}


def of(rows: list[dict[str, Any]], task: str) -> dict[str, Any]:
    [row] = [row for row in rows if row["task"] == task]
    return row


def test_the_wait_that_partner_center_asks_for_is_the_delay(told: dict[str, Any]) -> None:
    first, second = of(told["earlier"], "throttled"), of(told["latest"], "throttled")
    assert (first["try"], second["try"], second["state"]) == (1, 2, "success")
    assert first["delay"] == ASKED_SECONDS
    assert "Partner Center asks for 7 seconds." in first["reason"]
    assert ASKED_SECONDS <= second["began"] - first["ended"] < 60


@pytest.mark.parametrize("task", ["refused", "unsigned"])
def test_what_somebody_has_to_act_on_is_red_after_one_try(told: dict[str, Any], task: str) -> None:
    assert (of(told["latest"], task)["state"], of(told["latest"], task)["try"]) == ("failed", 1)
    assert [row for row in told["earlier"] if row["task"] == task] == []


def test_what_a_first_step_refuses_is_kept_for_the_runs_note(told: dict[str, Any]) -> None:
    assert list(told["said"]) == ["first"]
    assert "failed: Partner 'rosi' is not in the roster." in told["said"]["first"]


def test_a_refusal_is_logged_without_the_way_to_it(told: dict[str, Any]) -> None:
    assert "Partner 'rosi' is not in the roster." in told["log"]
    assert "composition.py" not in told["log"]
    assert "in work" not in told["log"]
