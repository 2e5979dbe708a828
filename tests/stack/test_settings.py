"""Airflow's settings here: what the promised sizes need, and what must stay off."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy.engine import make_url

from include.nce.orchestration.open_files import SPARE
from scripts.stack.airflow_settings import LARGEST_ROSTER, TASKS_AT_ONCE, WAITS_AT_ONCE, settings
from scripts.stack.installation import Installation

COMPOSE = Path(__file__).resolve().parents[2] / "docker-compose.yaml"
HOUR = 3600


@pytest.fixture
def stack(tmp_path: Path) -> dict[tuple[str, str], str]:
    (tmp_path / ".local").mkdir(mode=0o700)
    return settings(Installation(tmp_path), make_url("postgresql+psycopg://u:p@127.0.0.1/x"))


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))


def interpolated(text: str, **variables: str) -> str:
    """What Compose makes of it: a variable, or its default when it is not set."""
    variable = re.compile(r"\$\{(\w+):-([^${}]*)\}")
    while (inner := variable.sub(lambda found: variables.get(found[1]) or found[2], text)) != text:
        text = inner
    return text


def test_the_largest_roster_that_is_promised_can_be_started(stack, compose) -> None:
    containers = compose["x-airflow"]["environment"]
    assert int(stack["core", "max_map_length"]) >= LARGEST_ROSTER
    assert int(containers["AIRFLOW__CORE__MAX_MAP_LENGTH"]) >= LARGEST_ROSTER


def test_nobody_can_have_a_connections_secrets_sent_elsewhere(stack, compose) -> None:
    """Airflow's default is Disabled."""
    assert ("core", "test_connection") not in stack
    assert not [name for name in compose["x-airflow"]["environment"] if "TEST_CONNECTION" in name]


def test_no_more_is_handed_out_than_the_workers_can_take(stack, compose) -> None:
    assert stack["core", "executor"] == "LocalExecutor"  # whose workers are as many as `parallelism`
    assert int(stack["core", "parallelism"]) == TASKS_AT_ONCE
    places = compose["x-worker"]["command"][-1]
    handed_out = compose["x-airflow"]["environment"]["AIRFLOW__CORE__PARALLELISM"]
    for said in ({}, {"NCE_WORKER_CONCURRENCY": "8"}):
        assert interpolated(handed_out, **said) == interpolated(places, **said)


def test_with_several_workers_their_places_together_are_named(compose) -> None:
    handed_out = compose["x-airflow"]["environment"]["AIRFLOW__CORE__PARALLELISM"]
    assert interpolated(handed_out, NCE_WORKER_CONCURRENCY="8", NCE_TASKS_AT_ONCE="24") == "24"


def test_a_task_outlasts_hours_in_the_queue(stack, compose) -> None:
    containers = compose["x-airflow"]["environment"]
    assert int(stack["scheduler", "task_queued_timeout"]) >= 2 * HOUR
    assert int(containers["AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT"]) >= 2 * HOUR


def test_a_triggerer_has_room_for_the_log_of_each_wait(stack, compose) -> None:
    assert int(stack["triggerer", "capacity"]) == WAITS_AT_ONCE  # for which `up` makes room
    waits = int(compose["x-airflow"]["environment"]["AIRFLOW__TRIGGERER__CAPACITY"])
    triggerers = [
        name for name, service in compose["services"].items() if "triggerer" in service.get("command", [])
    ]
    assert triggerers
    for name in triggerers:
        assert compose["services"][name]["ulimits"]["nofile"]["hard"] >= waits + SPARE
