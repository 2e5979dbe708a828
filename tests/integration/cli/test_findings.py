"""`nce findings`, `nce reconcile`, and what `nce explain` tells of findings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from include.nce.cli import airflow_api
from include.nce.domain.readiness import Owner
from include.nce.domain.reconciliation import CoverageGap, Discrepancy, FindingKind, Severity
from include.nce.ledger.ledger import PostgresLedger
from tests.integration.cli.conftest import Desk
from tests.integration.ledger.scene import AT, CAMPAIGN, CUSTOMER, LATER, RUN, guid, subscription
from tests.support.airflow_api import FakeAirflow

K = FindingKind


@pytest.fixture(autouse=True)
def _looks_follow_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airflow_api, "LOOK_EVERY_SECONDS", 0.0)


def found(name: str, kind: FindingKind, severity: Severity, gap: CoverageGap) -> Discrepancy:
    return Discrepancy(
        guid(name), CUSTOMER, kind, severity, f"{name}: it is so.", Owner.OPERATOR, "Somebody looks.", gap
    )


DOUBLE = found("one", K.DOUBLE_COVERAGE, Severity.CRITICAL, CoverageGap.DOUBLE)
SHORT = found("one", K.SEATS_SHORT, Severity.SERIOUS, CoverageGap.NONE)
GONE = found("two", K.ZERO_COVERAGE, Severity.CRITICAL, CoverageGap.ZERO)


@pytest.fixture
def compared(desk: Desk) -> Desk:
    """Two findings are open at rossi, and one is gone; verdi has one."""

    async def recorded(ledger: PostgresLedger) -> None:
        await ledger.open_run(RUN, CAMPAIGN, "rossi", "apply", at=AT)
        await ledger.record_survey(RUN, [subscription("one"), subscription("two")], [], at=AT)
        for number, (at, discrepancies) in enumerate(
            [(AT, [SHORT, DOUBLE, GONE]), (LATER, [SHORT]), (LATER, [SHORT, DOUBLE])]
        ):
            await ledger.record_comparison(
                f"run-{number}", CAMPAIGN, "rossi", discrepancies,
                compared=[guid("one"), guid("two")], lines=2, unread="", at=at,
            )  # fmt: skip
        await ledger.record_comparison(
            "run-2", CAMPAIGN, "verdi", [SHORT], compared=[guid("one")], lines=1, unread="", at=LATER
        )

    desk.ledger(recorded)
    return desk


def shown(desk: Desk, *words: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(desk.nce("findings", "--json", *words).stdout)
    return document


def test_the_worst_is_listed_first_with_who_acts_and_how(compared: Desk) -> None:
    lines = compared.nce("findings").stdout.splitlines()
    assert [line.split()[1:4] for line in lines[1:]] == [
        ["critical", "rossi", "double_coverage"],
        ["serious", "rossi", "seats_short"],
        ["serious", "verdi", "seats_short"],
    ]
    assert "(for the 2. time) one: it is so. Who acts: operator. Somebody looks." in lines[1]


def test_what_is_gone_is_shown_when_asked_for(compared: Desk) -> None:
    lines = compared.nce("findings", "--all", "--partner", "rossi").stdout.splitlines()
    assert len(lines) == 4
    assert any("(gone 2022-06-01 14:00) two: it is so." in line for line in lines)


def test_pages_follow_each_other(compared: Desk) -> None:
    first = compared.nce("findings", "--limit", "2").stdout.splitlines()
    assert first[-1].startswith("There are more: add --after ")
    number = first[-1].removeprefix("There are more: add --after ").rstrip(".")
    second = compared.nce("findings", "--limit", "2", "--after", number).stdout.splitlines()
    assert [line.split()[2] for line in second[1:]] == ["verdi"]


def test_the_document_has_the_findings_and_where_the_next_page_begins(compared: Desk) -> None:
    page = shown(compared, "--limit", "1")
    (entry,) = page["findings"]
    assert (page["schema"], page["campaign"], page["after"]) == (1, CAMPAIGN, entry["finding"])
    assert (entry["kind"], entry["gap"], entry["owner"], entry["times"], entry["resolved_at"]) == (
        "double_coverage", "double", "operator", 2, None,
    )  # fmt: skip
    assert (entry["first_seen_at"], entry["since_at"]) == ("2022-06-01T08:00:00Z", "2022-06-01T14:00:00Z")
    last = shown(compared, "--after", str(shown(compared)["findings"][-1]["finding"]))
    assert (last["findings"], last["after"]) == ([], None)


def test_no_findings_are_said_in_words(desk: Desk) -> None:
    assert desk.nce("findings").stdout == "No findings.\n"


def test_a_page_behind_the_last_finding_is_said_in_words(compared: Desk) -> None:
    last = str(shown(compared)["findings"][-1]["finding"])
    assert compared.nce("findings", "--after", last).stdout == "No more findings.\n"


@pytest.mark.parametrize("words", [["--partner", "verdy"], ["--after", "9999"]])
def test_what_nobody_knows_is_refused(compared: Desk, words: list[str]) -> None:
    assert compared.nce("findings", *words).exit_code == 2


@pytest.mark.parametrize("subject", ["rossi", guid("one")])
def test_explain_tells_the_life_of_a_finding(compared: Desk, subject: str) -> None:
    document = json.loads(compared.nce("explain", subject, "--json").stdout)
    told = [
        entry["sentence"].split(":")[0]
        for entry in document["entries"]
        if entry["kind"] == "finding" and "double_coverage" in entry["sentence"]
    ]
    assert told == ["Found", "Not found any more", "Found again"]


def test_explain_of_a_subscription_tells_nothing_of_another(compared: Desk) -> None:
    document = json.loads(compared.nce("explain", guid("one"), "--json").stdout)
    assert not any("zero_coverage" in entry["sentence"] for entry in document["entries"])


# nce reconcile


def test_a_comparison_is_one_run_of_its_dag(desk: Desk, airflow: FakeAirflow) -> None:
    done = desk.nce("reconcile")
    [run] = airflow.started
    assert (run["dag_id"], run["conf"]) == (
        "nce_reconcile",
        {"campaign": CAMPAIGN, "partners": [], "repair": True},
    )
    assert run["dag_run_id"].startswith(f"{CAMPAIGN}__reconcile__")
    assert done.stdout.splitlines() == [
        f"Started {run['dag_run_id']}",
        f"{airflow.address}/dags/nce_reconcile/runs/{run['dag_run_id']}",
    ]


def test_partners_and_repair_travel_in_a_conf_that_the_dag_accepts(desk: Desk, airflow: FakeAirflow) -> None:
    from include.nce.orchestration.params import ReconcileConf

    desk.nce("reconcile", "verdi", "rossi", "verdi", "--no-repair")
    conf = airflow.started[0]["conf"]
    assert conf == {"campaign": CAMPAIGN, "partners": ["verdi", "rossi"], "repair": False}
    assert ReconcileConf.read(conf) == ReconcileConf(
        campaign=CAMPAIGN, partners=("verdi", "rossi"), repair=False
    )


def test_an_unknown_partner_never_reaches_airflow(desk: Desk, airflow: FakeAirflow) -> None:
    done = desk.nce("reconcile", "verdy")
    assert done.exit_code == 2
    assert "did you mean 'verdi'?" in done.stderr
    assert airflow.started == []


def test_a_paused_dag_is_said_instead_of_waited_for(desk: Desk, airflow: FakeAirflow) -> None:
    airflow.paused = {"nce_reconcile"}
    done = desk.nce("reconcile")
    assert done.exit_code == 1
    assert done.stderr.startswith("nce_reconcile is paused")
    assert airflow.started == []


def test_waiting_ends_with_the_gaps(compared: Desk, airflow: FakeAirflow) -> None:
    airflow.looks = 2
    done = compared.nce("reconcile", "--wait")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1] == (
        "Compared. Without coverage: 0, covered twice: 1. See: nce findings."
    )


def test_a_red_comparison_is_told_with_its_task(compared: Desk, airflow: FakeAirflow) -> None:
    airflow.ends_as = "failed"
    airflow.tasks = [("close_reconcile", "failed")]
    done = compared.nce("reconcile", "--wait")
    assert done.exit_code == 1
    assert "is red in close_reconcile; its note says why." in done.stderr
