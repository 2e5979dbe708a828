"""`nce start` and `nce backfill`: what is sent to Airflow, and what is told when it does not do its part."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from include.nce.cli import airflow_api, runs
from include.nce.ledger.ledger import PostgresLedger
from tests.integration.cli.conftest import Desk
from tests.integration.ledger.scene import AT, CAMPAIGN, RUN, campaign, due, guid
from tests.support.airflow_api import PASSWORD, FakeAirflow


@pytest.fixture(autouse=True)
def _looks_follow_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airflow_api, "LOOK_EVERY_SECONDS", 0.0)


def test_the_whole_campaign_is_one_run_of_its_dag(desk: Desk, airflow: FakeAirflow) -> None:
    done = desk.nce("start", "--yes")
    [run] = airflow.started
    assert (run["dag_id"], run["conf"]) == (
        "nce_campaign",
        {
            "campaign": CAMPAIGN,
            "mode": "apply",
            "partners": [],
            "outcomes": [],
            "existing": "skip",
            "ask": False,
        },
    )
    assert run["dag_run_id"].startswith(f"{CAMPAIGN}__start__")
    assert done.stdout.splitlines() == [
        "This would do: 0 purchases, 0 cancellations, 3 partners; not planned yet: 3 partners.",
        f"Started {run['dag_run_id']}",
        f"{airflow.address}/dags/nce_campaign/runs/{run['dag_run_id']}",
    ]


def test_partners_mode_and_outcomes_travel_in_the_conf(desk: Desk, airflow: FakeAirflow) -> None:
    desk.nce(
        "start", "rossi", "verdi", "rossi", "--mode", "plan", "--existing", "rerun",
        "--outcome", "blocked", "--outcome", "failed",
    )  # fmt: skip
    assert airflow.started[0]["conf"] == {
        "campaign": CAMPAIGN,
        "mode": "plan",
        "partners": ["rossi", "verdi"],
        "outcomes": ["blocked", "failed"],
        "existing": "rerun",
        "ask": False,
    }


def test_the_conf_is_one_the_dag_accepts(desk: Desk, airflow: FakeAirflow) -> None:
    from include.nce.orchestration.params import SLUG, CampaignConf

    assert runs._SHORT_ID.pattern == SLUG
    desk.nce("start", "rossi", "--outcome", "blocked", "--yes")
    conf = airflow.started[0]["conf"]
    assert CampaignConf.read(conf).model_dump(exclude={"roster"}) == {**conf, "partners": ("rossi",),
                                                                      "outcomes": ("blocked",)}  # fmt: skip
    assert conf.keys() <= CampaignConf.model_fields.keys()


def test_waiting_ends_with_how_many_partners_were_started(desk: Desk, airflow: FakeAirflow) -> None:
    airflow.looks = 2
    airflow.tasks = [("start_partners", "success")] * 150 + [("start_partners", "skipped")] * 7
    done = desk.nce("start", "--yes", "--wait")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1] == "150 partners started, 7 left as they are."


def test_a_failed_enrolment_names_its_task(desk: Desk, airflow: FakeAirflow) -> None:
    airflow.ends_as = "failed"
    airflow.tasks = [("enrol_partners", "failed"), ("start_partners", "upstream_failed")]
    done = desk.nce("start", "--yes", "--wait")
    assert done.exit_code == 1
    assert "failed in enrol_partners; its last log line says why: http://" in done.stderr


def test_patience_ends_the_waiting_not_the_run(desk: Desk, airflow: FakeAirflow) -> None:
    airflow.looks = 10**9
    done = desk.nce("start", "--yes", "--wait", "--patience", "1")
    assert done.exit_code == 1
    assert "is still running; it goes on: http://" in done.stderr


def test_a_partner_that_is_not_enrolled_yet_is_left_to_the_roster(desk: Desk, airflow: FakeAirflow) -> None:
    done = desk.nce("start", "bianchi", "--yes")
    assert done.stderr == "Not enrolled yet, looked up in the roster: bianchi.\n"
    assert airflow.started[0]["conf"]["partners"] == ["bianchi"]


@pytest.fixture
def rostered(desk: Desk, tmp_path: Path) -> Desk:
    """The campaign names a roster that lies on this machine."""
    roster = tmp_path / "partners.csv"
    rows = [f"{name};{name.title()} S.r.l.;{guid(f'tenant {name}')}" for name in ("rossi", "bianchi")]
    roster.write_text("\n".join(["partner;name;tenant_id", *rows]))
    desk.ledger(lambda ledger: ledger.import_campaign(campaign(roster=str(roster)), "anna", "a roster"))
    return desk


def test_a_mistyped_partner_is_refused_before_anything_is_started(
    rostered: Desk, airflow: FakeAirflow
) -> None:
    done = rostered.nce("start", "rossi", "biancho", "--yes")
    assert (done.exit_code, done.stderr) == (
        2, f"Partner biancho is not in the roster of {CAMPAIGN}. Did you mean bianchi?\n",
    )  # fmt: skip
    assert airflow.started == []


def test_a_partner_that_joined_the_roster_later_is_started(rostered: Desk, airflow: FakeAirflow) -> None:
    done = rostered.nce("start", "bianchi", "--yes")
    assert (done.exit_code, done.stderr) == (0, "")
    assert airflow.started[0]["conf"]["partners"] == ["bianchi"]


def test_a_backfill_says_what_exists_before_it_starts_it_again(desk: Desk, airflow: FakeAirflow) -> None:
    async def set_scene(ledger: PostgresLedger) -> None:
        await ledger.open_run(RUN, CAMPAIGN, "rossi", "apply", at=AT)
        await ledger.record_survey(RUN, [due("base").subscription], [], at=AT)
        await ledger.record_verdicts(RUN, [due("base")], [[guid("base")]], at=AT)
        await ledger.close_run(RUN, "unresolved", "One is left.", at=AT + timedelta(hours=1))
        await ledger.open_run(f"{CAMPAIGN}__verdi", CAMPAIGN, "verdi", "apply", at=AT)

    desk.ledger(set_scene)
    done = desk.nce("backfill", "rossi", "verdi", "canarias", "--yes")
    assert done.stdout.splitlines()[:4] == [
        "canarias: no run on record.",
        f"rossi: run {RUN}, closed 2022-06-01 09:00 UTC as unresolved. Subscriptions: 1 due.",
        f"verdi: run {CAMPAIGN}__verdi, open since 2022-06-01 08:00 UTC; it begins anew. No plan yet.",
        "This would do: 1 purchase, 0 cancellations, 3 partners; not planned yet: 2 partners.",
    ]
    assert airflow.started[0]["conf"] == {
        "campaign": CAMPAIGN,
        "mode": "apply",
        "partners": ["rossi", "verdi", "canarias"],
        "outcomes": [],
        "existing": "rerun",
        "ask": False,
    }


def test_a_backfill_of_unknown_partners_starts_nothing(desk: Desk, airflow: FakeAirflow) -> None:
    done = desk.nce("backfill", "rossi", "verdy", "canaria")
    assert done.exit_code == 2
    assert [line.rpartition("; ")[2] for line in done.stderr.splitlines()] == [
        "did you mean 'canarias'?", "did you mean 'verdi'?",
    ]  # fmt: skip
    assert airflow.started == []


def test_a_paused_dag_is_said_instead_of_waited_for(desk: Desk, airflow: FakeAirflow) -> None:
    airflow.paused = {"nce_partner_migration"}
    done = desk.nce("start", "--yes")
    assert done.exit_code == 1
    assert done.stderr.startswith("nce_partner_migration is paused")
    assert airflow.started == []


def test_what_is_no_short_id_never_reaches_airflow(desk: Desk, airflow: FakeAirflow) -> None:
    done = desk.nce("start", "Rossi S.r.l.", "verdi")
    assert done.exit_code == 2
    assert done.stderr.startswith("partner: 'Rossi S.r.l.' is no short id; write")
    assert airflow.started == []


def test_what_airflow_refuses_in_the_conf_is_bad_input(desk: Desk, airflow: FakeAirflow) -> None:
    airflow.refusal = "Invalid input for param partners: 'x' does not match"
    done = desk.nce("start", "xx", "--yes")
    assert done.exit_code == 2
    assert "Airflow refuses to start nce_campaign: Invalid input for param partners" in done.stderr


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"NCE_AIRFLOW_PASSWORD": "wrong-secret"}, "refuses user operator; correct NCE_AIRFLOW_USER and"),
        ({"NCE_AIRFLOW_PASSWORD": ""}, "No Airflow is named: set NCE_AIRFLOW_PASSWORD"),
        ({"NCE_AIRFLOW_URL": "http://127.0.0.1:9"}, "Airflow at http://127.0.0.1:9 does not answer"),
        ({"NCE_AIRFLOW_URL": "airflow.example"}, "NCE_AIRFLOW_URL is 'airflow.example'; write an address"),
    ],
)
def test_an_airflow_that_cannot_be_used_is_one_sentence(
    desk: Desk, airflow: FakeAirflow, changed: dict[str, Any], sentence: str
) -> None:
    desk.environment.update(changed)
    done = desk.nce("start", "--yes")
    assert done.exit_code == 1
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert PASSWORD not in done.output
    assert "wrong-secret" not in done.output


def test_a_user_without_the_right_role_is_told_which(desk: Desk, airflow: FakeAirflow) -> None:
    airflow.forbidden = True
    done = desk.nce("start", "--yes")
    assert (done.exit_code, done.stderr) == (
        1, "User operator may not start nce_campaign; use an account with the role Op.\n",
    )  # fmt: skip


def test_an_airflow_without_the_dag_is_told_apart(desk: Desk, airflow: FakeAirflow) -> None:
    airflow.dags.clear()
    done = desk.nce("start", "--yes")
    assert done.exit_code == 1
    assert "does not know nce_campaign; see its import errors" in done.stderr
