"""What the rehearsal says to Airflow and to the simulator, and what it makes of their answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import httpx
import pytest
from sqlalchemy.engine import make_url

from scripts.demo.airflow import PLAN, UNDO, Airflow, Programs, Workload
from scripts.demo.simulator import ClockReading, Simulator
from scripts.stack import databases
from scripts.stack.errors import NotAnswering, StackError

PASSWORD = "geheim"
Answer = Callable[[httpx.Request], httpx.Response]


class FakeAirflow:
    """Airflow's REST API as far as the rehearsal uses it."""

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self.tokens = 0
        self.import_errors: list[dict[str, str]] = []
        self.known = True
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"{request.method} {request.url.path}")
        if request.url.path == "/auth/token":
            if json.loads(request.content) != {"username": "admin", "password": PASSWORD}:
                return httpx.Response(401, json={"detail": "Invalid credentials"})
            self.tokens += 1
            return httpx.Response(201, json={"access_token": f"token-{self.tokens}"})
        if request.headers.get("Authorization") != f"Bearer token-{self.tokens}":
            return httpx.Response(401, json={"detail": "Invalid JWT token"})
        return self._answer(request)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/api/v2/importErrors":
            return httpx.Response(200, json={"import_errors": self.import_errors})
        if path == "/api/v2/dags/nce_campaign":
            return httpx.Response(200 if self.known else 404, json={})
        if request.method == "POST":
            body = json.loads(request.content)
            if body["dag_run_id"] in self.runs:
                return httpx.Response(409, json={"detail": "it exists"})
            self.runs[body["dag_run_id"]] = body
            return httpx.Response(200, json={"state": "queued"})
        run = self.runs.get(path.rsplit("/", 1)[-1])
        return httpx.Response(200, json={"state": "running"}) if run else httpx.Response(404, json={})


@pytest.fixture
def fake() -> FakeAirflow:
    return FakeAirflow()


def _airflow(answer: Answer, password: str = PASSWORD) -> Airflow:
    return Airflow("http://127.0.0.1:1", "admin", password, transport=httpx.MockTransport(answer))


def test_the_campaign_is_started_under_its_name(fake: FakeAirflow) -> None:
    _airflow(fake).start_campaign("run-1", {"campaign": "c"})
    assert fake.runs == {"run-1": {"dag_run_id": "run-1", "logical_date": None, "conf": {"campaign": "c"}}}


def test_a_campaign_that_runs_is_kept(fake: FakeAirflow) -> None:
    airflow = _airflow(fake)
    airflow.start_campaign("run-1", {"campaign": "c"})
    airflow.start_campaign("run-1", {"campaign": "other"})
    assert fake.runs["run-1"]["conf"] == {"campaign": "c"}


def test_the_state_of_a_run_is_airflows_word_or_none(fake: FakeAirflow) -> None:
    airflow = _airflow(fake)
    assert airflow.campaign_state("run-1") == "none"
    airflow.start_campaign("run-1", {})
    assert airflow.campaign_state("run-1") == "running"


@pytest.mark.parametrize("status", [200, 409])
def test_an_undo_is_approved_as_the_page_does_it_and_once(status: int) -> None:
    sent: list[tuple[str, str, dict[str, Any]]] = []

    def take(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/auth/token":
            return httpx.Response(201, json={"access_token": "t"})
        sent.append((request.method, request.url.path, json.loads(request.content)))
        return httpx.Response(status, json={"detail": "answered"})

    _airflow(take).approve_undo("c__undo__rossi")
    task = "/api/v2/dags/nce_undo/dagRuns/c__undo__rossi/taskInstances/approve_undo/-1/hitlDetails"
    assert sent == [("PATCH", task, {"chosen_options": ["Approve"], "params_input": {}})]


def test_an_expired_token_is_renewed(fake: FakeAirflow) -> None:
    airflow = _airflow(fake)
    airflow.start_campaign("run-1", {})
    fake.tokens += 1
    assert airflow.campaign_state("run-1") == "running"


def test_one_token_serves_many_calls(fake: FakeAirflow) -> None:
    airflow = _airflow(fake)
    for _ in range(3):
        airflow.campaign_state("run-1")
    assert fake.asked.count("POST /auth/token") == 1


def test_a_refused_login_is_told_without_the_password(fake: FakeAirflow) -> None:
    with pytest.raises(StackError, match=r"refuses the login of admin .*Invalid credentials") as refusal:
        _airflow(fake, "falsch").campaign_state("run-1")
    assert "falsch" not in str(refusal.value)


def test_a_dag_that_cannot_be_loaded_is_told_with_its_file_and_fault(fake: FakeAirflow) -> None:
    fake.known = False
    trace = "Traceback (most recent call last):\n  ...\nNameError: name 'x' is not defined\n"
    fake.import_errors = [{"filename": "nce_campaign.py", "stack_trace": trace}]
    with pytest.raises(StackError, match=r"cannot load nce_campaign\.py: NameError: name 'x' is not defined"):
        _airflow(fake).start_campaign("run-1", {})


def test_an_airflow_that_cannot_be_reached_may_answer_later() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(NotAnswering, match="make status"):
        _airflow(refuse).campaign_state("run-1")


CLOCK = {
    "now": "2022-06-25T10:00:00Z",
    "running": True,
    "speed": 0.0,
    "nominal_speed": 3600.0,
    "starts_at": "2022-06-20T00:00:00Z",
    "ends_at": "2022-07-20T00:00:00Z",
}


def _utc(month: int, day: int, hour: int = 0) -> datetime:
    return datetime(2022, month, day, hour, tzinfo=timezone.utc)


def test_the_campaign_clock_is_read_in_utc() -> None:
    with Simulator(
        "http://sim", transport=httpx.MockTransport(lambda _: httpx.Response(200, json=CLOCK))
    ) as sim:
        reading = sim.clock()
    assert reading == ClockReading(_utc(6, 25, 10), True, 3600.0, _utc(6, 20), _utc(7, 20))
    assert not reading.ended


def test_a_lease_says_how_long_how_busy_and_how_far() -> None:
    sent: list[Any] = []

    def take(request: httpx.Request) -> httpx.Response:
        sent.append((request.url.path, json.loads(request.content)))
        return httpx.Response(200, json=CLOCK)

    with Simulator("http://sim", transport=httpx.MockTransport(take)) as sim:
        sim.lease(busy=True, not_beyond=_utc(6, 30))
    lease = {"seconds": 3.0, "busy": True, "not_beyond": "2022-06-30T00:00:00+00:00"}
    assert sent == [("/__sim__/clock/lease", lease)]


@pytest.mark.parametrize("answer", [httpx.Response(500), httpx.Response(200, text="<html>")])
def test_a_simulator_that_answers_nonsense_may_answer_later(answer: httpx.Response) -> None:
    with (
        Simulator("http://sim", transport=httpx.MockTransport(lambda _: answer)) as sim,
        pytest.raises(NotAnswering),
    ):
        sim.clock()


@pytest.fixture
def workload(empty_database: str) -> Iterator[tuple[Workload, Callable[[str], None]]]:
    """The columns of Airflow's tables that are read, and a way to fill them."""
    url = make_url(empty_database)
    with databases.connect(url) as connection:

        def execute(statement: str) -> None:
            connection.execute(statement.encode())

        columns = "dag_id text, state text, task_id text, run_id text, updated_at timestamptz"
        execute(f"create table task_instance ({columns})")
        execute("create table dag_run (dag_id text, state text)")
        execute("create table dag (dag_id text, is_paused boolean)")
        execute("create table serialized_dag (dag_id text, data json, created_at timestamptz)")
        execute("insert into dag values ('nce_campaign', false), ('nce_paused', true)")
        yield Workload(url), execute


@pytest.mark.parametrize("state", ["scheduled", "queued", "running", "up_for_retry", "restarting"])
def test_a_task_in_hand_is_work(workload: tuple[Workload, Callable[[str], None]], state: str) -> None:
    work, execute = workload
    execute(f"insert into task_instance values ('nce_campaign', '{state}')")
    assert work.at_work()


@pytest.mark.parametrize(
    "row", ["('nce_campaign', 'deferred')", "('nce_campaign', null)", "('nceXcampaign', 'running')"]
)
def test_what_waits_or_is_not_ours_is_no_work(
    workload: tuple[Workload, Callable[[str], None]], row: str
) -> None:
    work, execute = workload
    execute(f"insert into task_instance values {row}")
    assert not work.at_work()


@pytest.mark.parametrize(("dag", "busy"), [("nce_campaign", True), ("nce_paused", False)])
def test_a_run_about_to_begin_is_work_unless_its_dag_is_paused(
    workload: tuple[Workload, Callable[[str], None]], dag: str, busy: bool
) -> None:
    work, execute = workload
    execute(f"insert into dag_run values ('{dag}', 'queued')")
    assert work.at_work() is busy


@pytest.mark.parametrize(("task", "asked"), [(PLAN, True), (UNDO, True), ("confirm_rerun", False)])
def test_a_plan_or_an_undo_that_waits_for_approval_is_work_for_the_desk(
    workload: tuple[Workload, Callable[[str], None]], task: str, asked: bool
) -> None:
    work, execute = workload
    execute(f"insert into task_instance values ('nce_campaign', 'awaiting_input', '{task}', 'one', now())")
    assert (work.to_approve(PLAN), work.to_approve(UNDO)) == ([], [])
    execute("update task_instance set updated_at = now() - interval '1 minute'")
    found = {name: work.to_approve(name) for name in (PLAN, UNDO)}
    assert found == {PLAN: [], UNDO: []} | ({task: ["one"]} if asked else {})
    assert work.at_work() is asked


def test_reds_are_the_failed_tasks_of_our_dags(workload: tuple[Workload, Callable[[str], None]]) -> None:
    work, execute = workload
    execute(
        "insert into task_instance values ('nce_x', 'failed'), ('nce_x', 'upstream_failed'), ('y', 'failed')"
    )
    assert work.reds() == 1


def _serialized(dag_id: str, *, at: str, **begins_in_the_triggerer: bool) -> str:
    tasks = [
        {"__type": "operator", "__var": {"task_id": name} | ({"start_from_trigger": True} if begins else {})}
        for name, begins in begins_in_the_triggerer.items()
    ]
    return (
        f"insert into serialized_dag values ('{dag_id}', '{json.dumps({'dag': {'tasks': tasks}})}', '{at}')"
    )


def test_programs_are_the_tasks_that_take_a_process(
    workload: tuple[Workload, Callable[[str], None]],
) -> None:
    work, execute = workload
    execute(_serialized("nce_undo", at="2022-06-20", plan_undo=False))
    execute(_serialized("nce_x", at="2022-06-20", open=False, wait=False, buy=False, was_taken_out=False))
    execute(_serialized("nce_x", at="2022-06-21", open=False, wait=True, buy=False))
    execute(_serialized("other", at="2022-06-21", open=False))
    execute(
        "insert into task_instance (dag_id, task_id, state) values ('nce_x', 'open', 'success'), "
        "('nce_x', 'open', 'failed'), ('nce_x', 'open', 'skipped'), ('nce_x', 'open', 'upstream_failed'), "
        "('nce_x', 'buy', null), ('nce_x', 'buy', 'queued'), ('nce_x', 'buy', 'up_for_retry'), "
        "('nce_x', 'wait', 'success'), ('nce_x', 'wait', null), ('other', 'open', null)"
    )
    assert work.programs() == {
        "nce_undo": Programs(a_run=1, done=0, to_do=0),
        "nce_x": Programs(a_run=2, done=2, to_do=3),
    }


def test_a_metadata_database_that_is_away_may_answer_later() -> None:
    away = Workload(make_url("postgresql+psycopg://me:geheim@127.0.0.1:1/x"))
    with pytest.raises(NotAnswering, match="cannot be asked") as refusal:
        away.at_work()
    assert "geheim" not in str(refusal.value)
