"""The reference page of the DAGs: every task with its text, every field of the trigger forms.

Responsible for reading the DAG files as Airflow's DAG processor does, in a process of their own. Writing the
page belongs to `scripts.reference`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
LOAD_SECONDS = 180

_READ_DAGS = """
import json, sys
from airflow.dag_processing.dagbag import DagBag

bag = DagBag(sys.argv[1])
print("DAGS " + json.dumps({
    "errors": {file: str(error) for file, error in bag.import_errors.items()},
    "dags": [
        {
            "id": dag.dag_id,
            "doc": dag.doc_md,
            "params": [
                {
                    **dag.params.get_param(name).schema,
                    "name": name,
                    "default": dag.params.get_param(name).value,
                    "description": dag.params.get_param(name).description,
                }
                for name in dag.params
            ],
            "tasks": [
                {
                    "id": task.task_id,
                    "doc": task.doc_md,
                    "downstream": sorted(task.downstream_task_ids),
                    "in_triggerer": bool(getattr(task, "start_from_trigger", False)),
                    "retries": task.retries,
                }
                for task in dag.topological_sort()
            ],
        }
        for _, dag in sorted(bag.dags.items())
    ],
}))
"""


@cache
def load_dags() -> Sequence[Mapping[str, Any]]:
    """The DAGs in the order of their ids, their tasks in the order in which they run.

    Raises RuntimeError with Airflow's words when a DAG file cannot be loaded.
    """
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-c", _READ_DAGS, str(CHECKOUT / "dags")],
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
                "AIRFLOW_HOME": home,
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "dags"),
                "AIRFLOW__CORE__PLUGINS_FOLDER": str(CHECKOUT / "plugins"),
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/unused.db",
                "PYTHONPATH": str(CHECKOUT),
            },
            capture_output=True,
            text=True,
            timeout=LOAD_SECONDS,
            check=False,
        )
    answer = next((line for line in done.stdout.splitlines() if line.startswith("DAGS ")), None)
    if answer is None:
        raise RuntimeError(f"The DAGs could not be loaded: {done.stderr.strip() or done.stdout.strip()}")
    loaded = json.loads(answer.removeprefix("DAGS "))
    if loaded["errors"]:
        raise RuntimeError(f"The DAGs could not be loaded: {loaded['errors']}")
    dags: Sequence[Mapping[str, Any]] = loaded["dags"]
    return dags


def dag_page() -> str:
    """The page: each DAG with its manual, its trigger form and its tasks."""
    parts = [
        "# DAGs",
        "What Airflow shows beside each DAG and task. How it all fits together is in "
        "[the operator's guide](../operations.md).",
    ]
    for dag in load_dags():
        parts += [
            f"## {dag['id']}",
            str(dag["doc"]).strip(),
            f"### Trigger form of {dag['id']}",
            "\n".join(_form(dag["params"])),
            f"### Tasks of {dag['id']}",
            "\n".join(_overview(dag["tasks"])),
            *(f"**{task['id']}**: {' '.join(str(task['doc']).split())}" for task in dag["tasks"]),
        ]
    return "\n\n".join(parts) + "\n"


def _form(params: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "| field | key in the conf | value | left out | meaning |"
    yield "|---|---|---|---|---|"
    for param in params:
        left_out = "-" if param["default"] is None else f"`{json.dumps(param['default'])}`"
        meaning = " ".join(str(param["description"]).split())
        yield f"| {param['title']} | `{param['name']}` | {_value(param)} | {left_out} | {meaning} |"


def _value(param: Mapping[str, Any]) -> str:
    if "enum" in param:
        return " or ".join(f"`{word}`" for word in param["enum"])
    if param["type"] == "boolean":
        return "`true` or `false`"
    if param["type"] == "array":
        return "list of texts"
    return f"text, `{param['pattern']}`" if "pattern" in param else "text"


def _overview(tasks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "| task | runs in | retries | then |"
    yield "|---|---|---|---|"
    for task in tasks:
        where = "triggerer" if task["in_triggerer"] else "worker"
        then = ", ".join(f"`{name}`" for name in task["downstream"]) or "-"
        yield f"| `{task['id']}` | {where} | {task['retries']} | {then} |"
