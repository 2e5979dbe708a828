"""Airflow as the rehearsal sees it: start the campaign, ask how it goes.

Starts through the REST API, as an operator's script would. What is at work, done and to do is counted in the
metadata database: once a second, for thousands of task instances, that is one cheap query instead of many
pages.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
from sqlalchemy.engine import URL

from scripts.stack.errors import NotAnswering, StackError

KNOWN_SECONDS = 120
CAMPAIGN_DAG = "nce_campaign"
PARTNER_DAG = "nce_partner_migration"
UNDO_DAG = "nce_undo"
PLAN, UNDO = "approve_plan", "approve_undo"
"""The tasks that wait for somebody at the desk."""
OUR_DAGS = "nce\\_%"
AT_WORK = ("scheduled", "queued", "running", "up_for_retry", "restarting")
RAN = ("success", "failed")
OVER = (*RAN, "skipped", "upstream_failed", "removed")

_BUSY = """
select exists (
        select from task_instance
        where dag_id like %s and (state = any(%s) or (task_id = any(%s) and state = 'awaiting_input')))
    or exists (
        select from dag_run join dag using (dag_id)
        where dag_run.state = 'queued' and dag_id like %s and not dag.is_paused)
"""
_ASKS = """
select array_agg(run_id order by run_id) from task_instance
where task_id = %s and state = 'awaiting_input' and dag_id like %s
    and updated_at < now() - interval '6 seconds'
"""
# What the scheduler knows of each DAG says which of its tasks begin in the triggerer and so take no process.
_PROGRAMS = """
with task as (
    select dag_id, each -> '__var' ->> 'task_id' as task_id
    from (
        select distinct on (dag_id) dag_id, data from serialized_dag
        where dag_id like %s order by dag_id, created_at desc
    ) as latest, jsonb_array_elements(latest.data::jsonb -> 'dag' -> 'tasks') as each
    where each -> '__var' ->> 'start_from_trigger' is distinct from 'true'
)
select dag_id, count(distinct task_id), count(found.task_id) filter (where found.state = any(%s)),
    count(found.task_id) filter (where coalesce(found.state, '') <> all(%s))
from task left join task_instance as found using (dag_id, task_id)
group by dag_id
"""
_RED = "select count(*) from task_instance where state = 'failed' and dag_id like %s"


class Airflow:
    """A client of the REST API for one user. Raises StackError when it does not answer as it should."""

    def __init__(
        self, address: str, user: str, password: str, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._address = address
        self._user, self._password = user, password
        self._http = httpx.Client(base_url=address, timeout=30, trust_env=False, transport=transport)

    def start_campaign(self, run_id: str, conf: dict[str, Any]) -> None:
        """Start the campaign DAG as `run_id`; a run of that name is kept as it is."""
        self._wait_until_known(CAMPAIGN_DAG)
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        answer = self._send("POST", f"/api/v2/dags/{CAMPAIGN_DAG}/dagRuns", body)
        if answer.status_code not in (200, 201, 409):
            raise StackError(f"Airflow would not start {CAMPAIGN_DAG} ({_detail(answer)}).")

    def campaign_state(self, run_id: str) -> str:
        """State of that run as Airflow calls it (queued, running, success, failed); `none`: no such run."""
        answer = self._send("GET", f"/api/v2/dags/{CAMPAIGN_DAG}/dagRuns/{run_id}")
        if answer.status_code == 404:
            return "none"
        if answer.status_code != 200:
            raise NotAnswering(f"Airflow does not tell how {run_id} goes ({_detail(answer)}).")
        return str(answer.json()["state"])

    def approve_undo(self, run_id: str) -> None:
        """Approve an undo as the page *Required Actions* does; Airflow is the only place for it."""
        path = f"/api/v2/dags/{UNDO_DAG}/dagRuns/{run_id}/taskInstances/{UNDO}/-1/hitlDetails"
        answer = self._send("PATCH", path, {"chosen_options": ["Approve"], "params_input": {}})
        if answer.status_code not in (200, 409):  # 409: it is answered already
            raise NotAnswering(f"Airflow does not take the approval of {run_id} ({_detail(answer)}).")

    def run_page(self, run_id: str) -> str:
        """Address of the run's page."""
        return f"{self._address}/dags/{CAMPAIGN_DAG}/runs/{run_id}"

    def _wait_until_known(self, dag_id: str) -> None:
        deadline = time.monotonic() + KNOWN_SECONDS
        while self._send("GET", f"/api/v2/dags/{dag_id}").status_code != 200:
            faults = self._send("GET", "/api/v2/importErrors").json().get("import_errors", [])
            if faults:
                last_line = faults[0]["stack_trace"].strip().splitlines()[-1]
                raise StackError(f"Airflow cannot load {faults[0]['filename']}: {last_line}")
            if time.monotonic() > deadline:
                raise StackError(
                    f"Airflow does not know {dag_id} after {KNOWN_SECONDS} s; read the log dag-processor.log."
                )
            time.sleep(1)

    def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        try:
            if "Authorization" not in self._http.headers:
                self._log_in()
            answer = self._http.request(method, path, json=body)
            if answer.status_code == 401:  # the token's day is over
                self._log_in()
                answer = self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise NotAnswering(
                f"Airflow at {self._address} does not answer ({error}); run `make status`."
            ) from error
        return answer

    def _log_in(self) -> None:
        answer = self._http.post("/auth/token", json={"username": self._user, "password": self._password})
        if answer.status_code not in (200, 201):
            raise StackError(
                f"Airflow refuses the login of {self._user} ({_detail(answer)}); run `make reset`."
            )
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"


@dataclass(frozen=True)
class Programs:
    """The tasks of a DAG that take a process: in a run as it begins, done, to do in the runs there are."""

    a_run: int = 0
    done: int = 0
    to_do: int = 0


@dataclass(frozen=True)
class Workload:
    """Counts what Airflow has in hand of our DAGs, from its metadata database."""

    metadata: URL

    def at_work(self) -> bool:
        """Whether a task is about to run, runs, is tried again or asks the desk, or a run begins."""
        return bool(self._ask(_BUSY, [OUR_DAGS, list(AT_WORK), [PLAN, UNDO], OUR_DAGS]))

    def to_approve(self, task: str) -> list[str]:
        """The runs in which `task` waits for an approval, and has done so for as long as one reads it.

        Airflow 3.3.2 forgets an answer that comes while the asking process still leaves.
        """
        return list(self._ask(_ASKS, [task, OUR_DAGS]) or [])

    def reds(self) -> int:
        """How many tasks stand red and wait for somebody."""
        return int(self._ask(_RED, [OUR_DAGS]))

    def programs(self) -> dict[str, Programs]:
        """What has run and what is to run, by DAG."""
        rows = self._rows(_PROGRAMS, [OUR_DAGS, list(RAN), list(OVER)])
        return {dag_id: Programs(*counted) for dag_id, *counted in rows}

    def _ask(self, query: str, values: list[object]) -> Any:
        rows = self._rows(query, values)
        return rows[0][0] if rows else None

    def _rows(self, query: str, values: list[object]) -> list[tuple[Any, ...]]:
        try:
            with psycopg.connect(
                self.metadata.set(drivername="postgresql").render_as_string(hide_password=False),
                connect_timeout=5,
                options="-c statement_timeout=5000",
            ) as connection:
                return connection.execute(query.encode(), values).fetchall()
        except psycopg.Error as error:
            reason = str(error).strip() or type(error).__name__
            raise NotAnswering(
                f"Airflow's database cannot be asked ({reason}); run `make status`."
            ) from error


def _detail(answer: httpx.Response) -> str:
    try:
        return f"HTTP {answer.status_code}: {answer.json()['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code}"
