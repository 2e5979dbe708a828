"""Airflow's public REST API, as far as starting and following runs needs it.

Responsible for signing in (a JWT from `/auth/token`) and for one sentence about each refusal. Source:
https://airflow.apache.org/docs/apache-airflow/stable/stable-rest-api-ref.html, read for 3.3.2.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from include.nce.cli.entry import Unavailable
from include.nce.domain.errors import InputRefused

ANSWER_SECONDS = 30
LOOK_EVERY_SECONDS = 1.0
PAGE = 100
FINISHED = ("success", "failed")
URL_VARIABLE = "NCE_AIRFLOW_URL"
USER_VARIABLE = "NCE_AIRFLOW_USER"
PASSWORD_VARIABLE = "NCE_AIRFLOW_PASSWORD"  # noqa: S105 - the variable's name


class RunExists(Exception):
    """A run of this id is there already."""


@dataclass(frozen=True)
class Question:
    """One question of a task to a person; the body is Markdown."""

    dag_id: str
    run_id: str
    task_id: str
    subject: str
    body: str
    asked_at: datetime


class AirflowApi:
    """One signed-in user; use it as `with AirflowApi.open() as airflow`. Blocks while it waits."""

    def __init__(self, client: httpx.Client, user: str) -> None:
        self._client = client
        self._user = user
        self.address = str(client.base_url).rstrip("/")

    @classmethod
    @contextmanager
    def open(cls, environ: Mapping[str, str] = os.environ) -> Iterator[AirflowApi]:
        """Sign in at the Airflow the environment names. Raises `Unavailable` with what is wrong."""
        missing = [name for name in (URL_VARIABLE, USER_VARIABLE, PASSWORD_VARIABLE) if not environ.get(name)]
        if missing:
            raise Unavailable(
                f"No Airflow is named: set {', '.join(missing)}, or start a rehearsal: make demo."
            )
        address = environ[URL_VARIABLE].rstrip("/")
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Unavailable(
                f"{URL_VARIABLE} is '{address}'; write an address such as https://airflow.example.org."
            )
        # A proxy for the internet cannot reach this machine.
        outside = parts.hostname not in ("localhost", "127.0.0.1", "::1")
        with httpx.Client(base_url=address, timeout=ANSWER_SECONDS, trust_env=outside) as client:
            airflow = cls(client, environ[USER_VARIABLE])
            airflow._sign_in(environ[PASSWORD_VARIABLE])
            yield airflow

    def _sign_in(self, password: str) -> None:
        answer = self._send("POST", "/auth/token", {"username": self._user, "password": password})
        if answer.status_code in (401, 403):
            raise Unavailable(
                f"Airflow at {self.address} refuses user {self._user}; correct {USER_VARIABLE} "
                f"and {PASSWORD_VARIABLE}."
            )
        token = self._fields(answer).get("access_token")
        if not token:
            raise Unavailable(
                f"Airflow at {self.address} gave no token (HTTP {answer.status_code}); correct "
                f"{URL_VARIABLE}."
            )
        self._client.headers["Authorization"] = f"Bearer {token}"

    def start(self, dag_id: str, run_id: str, conf: Mapping[str, Any], note: str) -> None:
        """Start a run. Raises `RunExists` for a taken id, `InputRefused` for a conf Airflow refuses."""
        body = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf), "note": note}
        answer = self._send("POST", f"{_dag(dag_id)}/dagRuns", body)
        if answer.status_code == 409:
            raise RunExists(run_id)
        self._accepted(answer, dag_id)

    def start_again(self, dag_id: str, run_id: str, note: str) -> None:
        """Clear all tasks of a run, so that it runs again with the conf it has."""
        body = {"dry_run": False, "only_failed": False, "note": note}
        self._accepted(self._send("POST", f"{_run(dag_id, run_id)}/clear", body), dag_id)

    def state(self, dag_id: str, run_id: str) -> str | None:
        """`queued`, `running`, `success` or `failed`; None when there is no such run."""
        answer = self._send("GET", _run(dag_id, run_id))
        if answer.status_code == 404:
            return None
        return str(self._accepted(answer, dag_id)["state"])

    def is_paused(self, dag_id: str) -> bool:
        """Whether a person has paused the DAG: its new runs would wait until somebody unpauses it."""
        return bool(self._accepted(self._send("GET", _dag(dag_id)), dag_id)["is_paused"])

    def wait(self, dag_id: str, run_id: str, *, seconds: float) -> str:
        """The state in which the run finished. Raises `Unavailable` when it has not after `seconds`."""
        deadline = time.monotonic() + seconds
        while (state := self.state(dag_id, run_id)) not in FINISHED:
            if state is None:
                raise Unavailable(f"Run {run_id} of {dag_id} is gone: somebody deleted it in Airflow.")
            if time.monotonic() >= deadline:
                raise Unavailable(
                    f"After {seconds:.0f} s run {run_id} is still {state}; it goes on: "
                    f"{self.page(dag_id, run_id)}"
                )
            time.sleep(min(LOOK_EVERY_SECONDS, seconds))
        return state

    def task_states(self, dag_id: str, run_id: str, task_id: str) -> Counter[str]:
        """How many instances of a task are in each state; one for each map index."""
        states: Counter[str] = Counter()
        offset = 0
        while True:
            wanted = f"task_id={quote(task_id)}&limit={PAGE}&offset={offset}"
            answer = self._send("GET", f"{_run(dag_id, run_id)}/taskInstances?{wanted}")
            page = self._accepted(answer, dag_id)["task_instances"]
            states.update(str(task["state"]) for task in page)
            offset += len(page)
            if len(page) < PAGE:
                return states

    def failed_tasks(self, dag_id: str, run_id: str) -> list[str]:
        """The ids of the tasks that failed, without those that only followed."""
        answer = self._send("GET", f"{_run(dag_id, run_id)}/taskInstances?state=failed&limit={PAGE}")
        return sorted({str(task["task_id"]) for task in self._accepted(answer, dag_id)["task_instances"]})

    def questions(self) -> list[Question]:
        """What waits for a person's word in our DAGs, oldest first (Airflow's required actions)."""
        found: list[Question] = []
        while True:
            answer = self._send(
                "GET",
                f"{_dag('~')}/dagRuns/~/hitlDetails?response_received=false&dag_id_prefix_pattern=nce_"
                f"&state=awaiting_input&order_by=created_at&limit={PAGE}&offset={len(found)}",
            )
            page = self._accepted(answer, "its required actions")["hitl_details"]
            found += [_question(detail) for detail in page]
            if len(page) < PAGE:
                return found

    def answer(self, question: Question, option: str, form: Mapping[str, str]) -> None:
        """Answer as the signed-in user. Raises `Unavailable` when somebody was faster or may not be asked."""
        path = (
            f"{_run(question.dag_id, question.run_id)}/taskInstances/{quote(question.task_id)}/-1/hitlDetails"
        )
        answer = self._send("PATCH", path, {"chosen_options": [option], "params_input": dict(form)})
        if answer.status_code == 409:
            raise Unavailable(f"Somebody has answered {question.run_id} already; see nce approval list.")
        if answer.status_code == 403:
            raise Unavailable(f"User {self._user} may not answer it; use an account with the role Op.")
        self._accepted(answer, question.dag_id)

    def page(self, dag_id: str, run_id: str) -> str:
        """The address of the run in Airflow's pages."""
        return f"{self.address}/dags/{quote(dag_id)}/runs/{quote(run_id)}"

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        try:
            return self._client.request(method, path, json=body)
        except httpx.HTTPError as fault:
            raise Unavailable(
                f"Airflow at {self.address} does not answer ({fault or type(fault).__name__}); "
                f"start it, or correct {URL_VARIABLE}."
            ) from None

    def _accepted(self, answer: httpx.Response, dag_id: str) -> dict[str, Any]:
        """The answer's fields, or the sentence that tells why there are none."""
        if answer.is_success:
            return self._fields(answer)
        detail = self._fields(answer).get("detail")
        if answer.status_code in (400, 422):
            raise InputRefused([f"Airflow refuses to start {dag_id}: {_sentence(detail)}"])
        if answer.status_code == 404:
            raise Unavailable(
                f"Airflow at {self.address} does not know {dag_id}; see its import errors and its DAG folder."
            )
        if answer.status_code in (401, 403):
            raise Unavailable(f"User {self._user} may not start {dag_id}; use an account with the role Op.")
        what = f"HTTP {answer.status_code}: {_sentence(detail)}"
        raise Unavailable(f"Airflow at {self.address} answered {what}")

    @staticmethod
    def _fields(answer: httpx.Response) -> dict[str, Any]:
        try:
            fields = answer.json()
        except ValueError:
            return {}
        return fields if isinstance(fields, dict) else {}


def _question(detail: Mapping[str, Any]) -> Question:
    task = detail["task_instance"]
    return Question(
        dag_id=str(task["dag_id"]),
        run_id=str(task["dag_run_id"]),
        task_id=str(task["task_id"]),
        subject=str(detail["subject"]),
        body=str(detail["body"] or ""),
        asked_at=datetime.fromisoformat(str(detail["created_at"]).replace("Z", "+00:00")),
    )


def _dag(dag_id: str) -> str:
    return f"/api/v2/dags/{quote(dag_id)}"


def _run(dag_id: str, run_id: str) -> str:
    return f"{_dag(dag_id)}/dagRuns/{quote(run_id, safe='')}"


def _sentence(detail: object) -> str:
    """Airflow's `detail` is a text, or a list of pydantic's errors."""
    if isinstance(detail, list):
        detail = "; ".join(
            str(item.get("msg", item)) if isinstance(item, dict) else str(item) for item in detail
        )
    text = " ".join(str(detail or "no reason given").split())[:300]
    return text if text.endswith(".") else f"{text}."
