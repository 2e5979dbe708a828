"""The note of a run: when a run ends, its outcome is written where operators look first.

Airflow calls this listener in the scheduler. It copies what the closing task said, or why the first one
refused, from Airflow's own database; a task cannot write its run's note itself. Likewise what a campaign's
start would do.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow.listeners import hookimpl

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun

log = logging.getLogger(__name__)

NOTED = {
    "nce_partner_migration": ("open_run", "close_run"),
    "nce_campaign": ("check_campaign", "confirm_rerun"),
    "nce_undo": ("plan_undo", "close_undo"),
    "nce_reconcile": ("list_partners", "close_reconcile"),
}
"""DAG -> the tasks whose sentence is its run's note; the first that said one counts."""
LONGEST_NOTE = 900
"""Airflow keeps 1,000 characters."""


@hookimpl
def on_dag_run_success(dag_run: DagRun, msg: str) -> None:
    _note(dag_run)


@hookimpl
def on_dag_run_failed(dag_run: DagRun, msg: str) -> None:
    _note(dag_run)


def _note(dag_run: DagRun) -> None:
    tasks = NOTED.get(dag_run.dag_id)
    if tasks is None:
        return
    from airflow.models.xcom import XComModel
    from sqlalchemy.orm import object_session

    session = object_session(dag_run)
    if session is None:
        return
    said = dict(
        session.execute(
            XComModel.get_many(
                run_id=dag_run.run_id,
                key="sentence",
                dag_ids=dag_run.dag_id,
                task_ids=list(tasks),
            ).with_only_columns(XComModel.task_id, XComModel.value)
        )
        .tuples()
        .all()
    )
    # What could not be opened can only be closed without a reason.
    sentence = next((said[task] for task in tasks if said.get(task)), None)
    if sentence:
        text = XComModel.deserialize_value(_Value(sentence)) if not isinstance(sentence, str) else sentence
        dag_run.note = str(text)[:LONGEST_NOTE]


class _Value:
    """XCom's deserialiser reads `.value`."""

    def __init__(self, value: object) -> None:
        self.value = value
