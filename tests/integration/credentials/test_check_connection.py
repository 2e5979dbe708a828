"""`nce check-connection`: reads the connection as Airflow has it, says one sentence, and shows no secret."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from include.nce.cli.app import app
from tests.integration.credentials.conftest import PROJECT, SignInService
from tests.simulator.bench import REFRESH, SECRET

ENTER = """
import sys
from airflow.models.connection import Connection
from airflow.utils.session import create_session

with create_session() as session:
    tables = Connection.metadata.tables
    Connection.metadata.create_all(session.get_bind(), [tables["team"], tables["connection"]])
    session.add(Connection.from_json(sys.stdin.read(), conn_id="partner_center"))
"""


LOGGING_LEVEL = "AIRFLOW__LOGGING__LOGGING_LEVEL"


@pytest.fixture(autouse=True)
def logging_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command sets it; here it ends with the test."""
    monkeypatch.setenv(LOGGING_LEVEL, "INFO")


def check() -> Result:
    return CliRunner().invoke(app, ["check-connection"])


def change(monkeypatch: pytest.MonkeyPatch, **fields: object) -> None:
    entered = json.loads(os.environ["AIRFLOW_CONN_PARTNER_CENTER"]) | fields
    monkeypatch.setenv("AIRFLOW_CONN_PARTNER_CENTER", json.dumps(entered))


def test_a_connection_that_does_not_work_ends_with_1_and_a_sentence(
    airflow_connections: SignInService, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(monkeypatch, password="not-the-secret")
    done = check()
    assert done.exit_code == 1
    assert "the client secret is wrong (AADSTS7000215)" in done.stderr
    assert "not-the-secret" not in done.stderr


def test_a_connection_with_faults_ends_with_2_and_asks_nobody(
    airflow_connections: SignInService, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(monkeypatch, password="", extra={"refresh_token": REFRESH})
    done = check()
    assert done.exit_code == 2
    assert done.stderr.splitlines()[:2] == [
        "Connection 'partner_center': password is empty; enter the client secret of the app registration.",
        "Connection 'partner_center': extra field 'tenant_id' is empty; enter the provider's own tenant id.",
    ]
    assert airflow_connections.statuses("get_token_v2") == {}


def test_a_connection_that_airflow_does_not_know_ends_with_2_and_says_where_it_is_added(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_PARTNER_CENTER", raising=False)
    done = check()
    assert done.exit_code == 2
    assert done.stderr.startswith("This Airflow knows no connection 'partner_center'")
    assert "Admin, Connections" in done.stderr


def test_what_was_entered_in_airflow_is_read_and_nothing_but_the_sentence_is_printed(
    airflow_connections: SignInService, tmp_path: Path
) -> None:
    """Outside of a task, Airflow's SDK alone would look into the environment only."""
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
        "PYTHONPATH": str(PROJECT),
    }
    entered = environment.pop("AIRFLOW_CONN_PARTNER_CENTER")
    subprocess.run(
        [sys.executable, "-c", ENTER], input=entered, env=environment, cwd=tmp_path, text=True, check=True
    )
    done = subprocess.run(
        [sys.executable, "-m", "include.nce.cli", "check-connection"],
        env=environment, cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == f"App-only works and App+User works (rehearsal at {airflow_connections.address}).\n"
    assert (done.returncode, done.stderr) == (0, "")
    assert [secret for secret in (SECRET, REFRESH) if secret in done.stdout + done.stderr] == []
