"""`nce check-connection` says in one sentence whether the connection works."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from include.nce.cli.app import app
from include.nce.orchestration.partner_center_hook import PartnerCenterHook


def told(monkeypatch: pytest.MonkeyPatch, works: bool, sentence: str) -> tuple[int, str, str]:
    monkeypatch.setattr(PartnerCenterHook, "test_connection", lambda _: (works, sentence))
    done = CliRunner().invoke(app, ["check-connection"])
    return done.exit_code, done.stdout.strip(), done.stderr.strip()


def test_a_connection_that_works_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(monkeypatch, True, "Both work.") == (0, "Both work.", "")


def test_a_connection_that_does_not_work_ends_with_1_and_its_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code, out, error = told(monkeypatch, False, "App-only does not work: the client secret is wrong.")
    assert (code, out) == (1, "")
    assert "the client secret is wrong" in error


def test_what_is_missing_in_the_connection_is_told_without_asking_anybody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PARTNER_CENTER", '{"conn_type": "partner_center", "login": "client-id"}')
    done = CliRunner().invoke(app, ["check-connection"])
    assert done.exit_code == 1
    assert "enter the client secret of the app registration" in done.stderr
    assert "Traceback" not in done.stderr
