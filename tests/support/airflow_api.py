"""A small Airflow: the part of its public REST API that starting and following runs needs.

Serves on a loopback port in a thread. Tests say how runs end and what happens while they run, and read what
was started.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

USER, PASSWORD, TOKEN = "operator", "s3cret-password", "the-token"


@dataclass
class FakeAirflow:
    """Its DAGs, its runs, and how a started run goes on.

    A run is `running` at the first `looks` looks and ends as `ends_as`; `on_run` is called with the run's id
    when it begins, in place of its tasks. `refusal` is the detail with which it refuses a conf.
    """

    dags: set[str] = field(default_factory=lambda: {"nce_campaign", "nce_partner_migration", "nce_reconcile"})
    paused: set[str] = field(default_factory=set)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    started: list[dict[str, Any]] = field(default_factory=list)
    cleared: list[str] = field(default_factory=list)
    tasks: list[tuple[str, str]] = field(default_factory=list)
    ends_as: str = "success"
    looks: int = 0
    refusal: Any = None
    forbidden: bool = False
    questions: list[dict[str, Any]] = field(default_factory=list)
    """Required actions, as Airflow lists them; `ask` adds one, an answer takes it away."""
    answers: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    may_answer: bool = True
    on_run: Callable[[str], None] = lambda run_id: None
    address: str = ""

    def begin(self, run_id: str) -> None:
        self.runs[run_id] = {"state": "queued", "looks": self.looks}
        self.on_run(run_id)

    def ask(self, run_id: str, subject: str, body: str = "", dag_id: str = "nce_partner_migration") -> None:
        """A task of this run waits for a person's word."""
        task = {"dag_id": dag_id, "dag_run_id": run_id, "task_id": "approve_plan", "map_index": -1}
        self.questions.append(
            {"task_instance": task, "subject": subject, "body": body, "created_at": "2022-07-11T08:00:00Z"}
        )

    def answer(self, method: str, path: str, body: Any, token: str | None) -> tuple[int, Any]:
        """Status and body of one request."""
        parts = urlsplit(path)
        if parts.path == "/auth/token":
            right = body == {"username": USER, "password": PASSWORD}
            return (201, {"access_token": TOKEN}) if right else (401, {"detail": "Invalid credentials"})
        if token != f"Bearer {TOKEN}":
            return 401, {"detail": "Not authenticated"}
        if self.forbidden:
            return 403, {"detail": "Forbidden"}
        words = [unquote(word) for word in parts.path.removeprefix("/api/v2/dags/").split("/")]
        if words[-1] == "hitlDetails":
            return self._hitl(method, words, body, parse_qs(parts.query))
        if words[0] not in self.dags:
            return 404, {"detail": f"The Dag with ID: `{words[0]}` was not found"}
        if len(words) == 1:
            return 200, {"dag_id": words[0], "is_paused": words[0] in self.paused}
        if method == "POST" and len(words) == 2:
            return self._start(words[0], body)
        run = self.runs.get(words[2])
        if run is None:
            return 404, {"detail": "The DagRun was not found"}
        if words[3:] == ["clear"]:
            self.cleared.append(words[2])
            self.begin(words[2])
            return 200, {"dag_run_id": words[2], "state": "queued"}
        if words[3:] == ["taskInstances"]:
            return 200, self._tasks(parse_qs(parts.query))
        if run["state"] in ("queued", "running"):
            run["state"] = "running" if run["looks"] else self.ends_as
            run["looks"] -= 1
        return 200, {"dag_run_id": words[2], "state": run["state"]}

    def _start(self, dag_id: str, body: dict[str, Any]) -> tuple[int, Any]:
        if self.refusal is not None:
            return 400, {"detail": self.refusal}
        if body["dag_run_id"] in self.runs:
            return 409, {"detail": "The DagRun already exists"}
        assert body["logical_date"] is None
        self.started.append({"dag_id": dag_id, **body})
        self.begin(body["dag_run_id"])
        return 200, {"dag_run_id": body["dag_run_id"], "state": "queued"}

    def _hitl(
        self, method: str, words: list[str], body: Any, wanted: dict[str, list[str]]
    ) -> tuple[int, Any]:
        if method == "GET":
            assert (words[:3], wanted["response_received"]) == (["~", "dagRuns", "~"], ["false"])
            offset, limit = int(wanted["offset"][0]), int(wanted["limit"][0])
            page = self.questions[offset : offset + limit]
            return 200, {"hitl_details": page, "total_entries": len(self.questions)}
        if not self.may_answer:
            return 403, {"detail": "Forbidden"}
        asked = [q for q in self.questions if q["task_instance"]["dag_run_id"] == words[2]]
        if not asked:
            return 409, {"detail": "already been updated"}
        self.questions.remove(asked[0])
        self.answers.append((words[2], body))
        return 200, {"responded_at": "2022-07-11T09:00:00Z"}

    def _tasks(self, wanted: dict[str, list[str]]) -> dict[str, Any]:
        found = [
            {"task_id": task, "state": state}
            for task, state in self.tasks
            if task in wanted.get("task_id", [task]) and state in wanted.get("state", [state])
        ]
        offset, limit = int(wanted.get("offset", ["0"])[0]), int(wanted["limit"][0])
        return {"task_instances": found[offset : offset + limit], "total_entries": len(found)}


@contextmanager
def serving(answer: Callable[[str, str, Any, str | None], tuple[int, Any]]) -> Iterator[str]:
    """Answer HTTP requests on a loopback port; the address."""

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            status, document = answer(self.command, self.path, body, self.headers.get("Authorization"))
            text = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = _serve

        def log_message(self, *words: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def fake_airflow() -> Iterator[FakeAirflow]:
    """A fake that serves at its `address`."""
    airflow = FakeAirflow()
    with serving(airflow.answer) as address:
        airflow.address = address
        yield airflow
