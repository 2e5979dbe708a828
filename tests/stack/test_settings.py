"""Airflow's settings here: what the promised sizes need, and what must stay off."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy.engine import make_url

from include.nce.orchestration.open_files import SPARE
from scripts.stack.airflow_settings import LARGEST_ROSTER, settings
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


def default(text: str) -> str:
    """What Compose puts in when the variables are not set."""
    while (shorter := re.sub(r"\$\{\w+:-([^${}]*)\}", r"\1", text)) != text:
        text = shorter
    return text


def test_the_largest_roster_that_is_promised_can_be_started(stack, compose) -> None:
    containers = compose["x-airflow"]["environment"]
    assert int(stack["core", "max_map_length"]) >= LARGEST_ROSTER
    assert int(containers["AIRFLOW__CORE__MAX_MAP_LENGTH"]) >= LARGEST_ROSTER


def test_nobody_can_have_a_connections_secrets_sent_elsewhere(stack, compose) -> None:
    """Airflow's default is Disabled."""
    assert ("core", "test_connection") not in stack
    assert not [name for name in compose["x-airflow"]["environment"] if "TEST_CONNECTION" in name]


def test_no_more_is_handed_out_than_the_workers_can_take(compose) -> None:
    places = default(compose["x-worker"]["command"][-1])
    assert default(compose["x-airflow"]["environment"]["AIRFLOW__CORE__PARALLELISM"]) == places


def test_a_task_outlasts_hours_in_the_queue(stack, compose) -> None:
    containers = compose["x-airflow"]["environment"]
    assert int(stack["scheduler", "task_queued_timeout"]) >= 2 * HOUR
    assert int(containers["AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT"]) >= 2 * HOUR


def test_a_triggerer_has_room_for_the_log_of_each_wait(compose) -> None:
    waits = int(compose["x-airflow"]["environment"]["AIRFLOW__TRIGGERER__CAPACITY"])
    triggerers = [
        name for name, service in compose["services"].items() if "triggerer" in service.get("command", [])
    ]
    assert triggerers
    for name in triggerers:
        assert compose["services"][name]["ulimits"]["nofile"]["hard"] >= waits + SPARE
