"""Loads the DAG files once, as Airflow's DAG processor would, in a process that has seen no DAG before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]

_READ_DAGS = """
import json, sys
heavy_before = set(sys.modules)
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
print("DAGS " + json.dumps({
    "errors": {k: str(v) for k, v in bag.import_errors.items()},
    "dags": {
        dag.dag_id: {
            "doc": dag.doc_md,
            "schedule": str(dag.schedule),
            "max_active_runs": dag.max_active_runs,
            "params": {
                name: {**param.schema, "description": param.description}
                for name, param in ((name, dag.params.get_param(name)) for name in dag.params)
            },
            "tasks": {
                task.task_id: {
                    "downstream": sorted(task.downstream_task_ids),
                    "doc": task.doc_md,
                    "retries": task.retries,
                    "trigger_rule": getattr(task.trigger_rule, "value", task.trigger_rule),
                    "in_triggerer": bool(getattr(task, "start_from_trigger", False)),
                    "timeout": str(getattr(task, "execution_timeout", None)),
                    "mapped": type(task).__name__,
                    "teardown": bool(task.is_teardown),
                    "colours_the_run": bool(task.on_failure_fail_dagrun),
                }
                for task in dag.tasks
            },
        }
        for dag in bag.dags.values()
    },
}))
"""


def airflow_environment(home: Path) -> dict[str, str]:
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW")},
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/unused.db",
        "PYTHONPATH": str(PROJECT),
    }


@pytest.fixture(scope="session")
def dags(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("airflow")
    done = subprocess.run(
        [sys.executable, "-c", _READ_DAGS, str(PROJECT / "dags")],
        env=airflow_environment(home),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("DAGS ")]
    assert lines, done.stdout + done.stderr
    result = json.loads(lines[-1][5:])
    assert result["errors"] == {}
    dags: dict[str, Any] = result["dags"]
    return dags
