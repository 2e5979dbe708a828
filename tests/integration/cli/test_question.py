"""Before anything is started again it is shown what that would do, and a person agrees."""

from __future__ import annotations

from datetime import timedelta

import pytest

from include.nce.cli import question
from include.nce.domain.conversion import ConversionState
from include.nce.ledger.ledger import PostgresLedger
from tests.integration.cli.conftest import Desk
from tests.integration.ledger.scene import AT, CAMPAIGN, RUN, due, guid
from tests.support.airflow_api import FakeAirflow
from tests.support.scene import bring

REFUSED = "There is no terminal to ask on, and nothing was started: agree with --yes.\n"


@pytest.fixture
def _three_due(desk: Desk) -> None:
    """Rossi's run ended with three lines to buy; the others have no run."""

    async def set_scene(ledger: PostgresLedger) -> None:
        await ledger.open_run(RUN, CAMPAIGN, "rossi", "apply", at=AT)
        names = ["one", "two", "three"]
        await ledger.record_verdicts(RUN, [due(n) for n in names], [[guid(n) for n in names]], at=AT)
        await ledger.close_run(RUN, "unresolved", "Three are left.", at=AT + timedelta(hours=1))

    desk.ledger(set_scene)


def answering(monkeypatch: pytest.MonkeyPatch, desk: Desk, answer: str, *words: str):  # type: ignore[no-untyped-def]
    """The command with somebody at the keyboard who types `answer`."""
    from typer.testing import CliRunner

    from include.nce.cli.app import app

    monkeypatch.setattr(question, "_has_terminal", lambda: True)
    environment = {"AIRFLOW_CONN_NCE_LEDGER": desk.url, **desk.environment}
    return CliRunner(env=environment).invoke(app, list(words), prog_name="nce", input=f"{answer}\n")


@pytest.mark.usefixtures("_three_due")
@pytest.mark.parametrize("words", [("backfill", "rossi"), ("start", "rossi", "--existing", "rerun")])
def test_without_a_terminal_and_without_yes_nothing_starts(
    desk: Desk, airflow: FakeAirflow, words: tuple[str, ...]
) -> None:
    done = desk.nce(*words)
    assert (done.exit_code, done.stderr) == (2, REFUSED)
    assert done.stdout.splitlines()[-1] == "This would do: 3 purchases, 0 cancellations, 1 partner."
    assert airflow.started == []


@pytest.mark.usefixtures("_three_due")
def test_yes_on_the_keyboard_starts(
    desk: Desk, airflow: FakeAirflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = answering(monkeypatch, desk, "y", "backfill", "rossi")
    assert done.exit_code == 0
    assert done.stderr == "Go on? [y/N] "
    assert airflow.started[0]["conf"]["ask"] is False  # it has been asked here


@pytest.mark.usefixtures("_three_due")
@pytest.mark.parametrize("answer", ["", "n", "what?"])
def test_anything_else_starts_nothing(
    desk: Desk, airflow: FakeAirflow, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    done = answering(monkeypatch, desk, answer, "backfill", "rossi")
    assert (done.exit_code, done.stderr) == (1, "Go on? [y/N] Nothing was started.\n")
    assert airflow.started == []


@pytest.mark.usefixtures("_three_due")
def test_a_first_start_counts_only_those_it_would_start(desk: Desk, airflow: FakeAirflow) -> None:
    done = desk.nce("start", "--yes")
    assert done.stdout.splitlines()[0] == (
        "This would do: 0 purchases, 0 cancellations, 2 partners; not planned yet: 2 partners."
    )
    assert airflow.started


@pytest.mark.usefixtures("_three_due")
def test_outcomes_narrow_what_is_counted(desk: Desk, airflow: FakeAirflow) -> None:
    done = desk.nce("start", "--outcome", "unresolved", "--existing", "rerun", "--yes")
    assert done.stdout.splitlines()[0] == "This would do: 3 purchases, 0 cancellations, 1 partner."
    assert airflow.started[0]["conf"]["outcomes"] == ["unresolved"]


def test_what_is_bought_counts_as_a_cancellation_and_what_is_finished_as_nothing(
    desk: Desk, airflow: FakeAirflow
) -> None:
    async def set_scene(ledger: PostgresLedger) -> None:
        await ledger.open_run(RUN, CAMPAIGN, "rossi", "apply", at=AT)
        await ledger.record_verdicts(RUN, [due("a"), due("b")], [[guid("a"), guid("b")]], at=AT)
        first, second = await ledger.conversions(RUN)
        await bring(ledger, first.conversion_id, ConversionState.COVERED, at=AT)
        await bring(ledger, second.conversion_id, ConversionState.CONVERTED, at=AT)

    desk.ledger(set_scene)
    assert "This would do: 0 purchases, 1 cancellation, 1 partner." in desk.nce("backfill", "rossi").stdout
    assert airflow.started == []


def test_a_dry_run_asks_nothing(desk: Desk, airflow: FakeAirflow) -> None:
    done = desk.nce("start", "--mode", "plan")
    assert (done.exit_code, "This would do" in done.stdout) == (0, False)
    assert airflow.started


def test_partners_that_are_not_enrolled_are_not_planned_yet(desk: Desk, airflow: FakeAirflow) -> None:
    done = desk.nce("start", "bianchi", "--yes")
    assert "1 partner; not planned yet: 1 partner." in done.stdout


def test_a_campaign_nobody_is_enrolled_in_says_so(blank_desk: Desk, airflow: FakeAirflow) -> None:
    from tests.integration.ledger.scene import campaign

    async def set_scene(ledger: PostgresLedger) -> None:
        await ledger.import_campaign(campaign(), "anna", "first import")

    blank_desk.ledger(set_scene)
    done = blank_desk.nce("start", "--yes")
    assert done.stdout.startswith("This would do: enrol the partners of the roster and start each;")


def test_a_stopped_campaign_is_said_with_it(desk: Desk, airflow: FakeAirflow) -> None:
    desk.nce("campaign", "stop", "--reason", "fire", "--by", "anna")
    assert "The campaign was stopped by anna on" in desk.nce("backfill", "rossi").stdout
