"""`nce plan`: a dry run from its start in Airflow to its lines on the screen."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence

import pytest

from include.nce.cli import airflow_api
from include.nce.domain.classification import SubscriptionClass, Verdict
from include.nce.domain.conversion import Route
from include.nce.ledger.ledger import PostgresLedger
from tests.integration.cli.conftest import Desk
from tests.integration.ledger.scene import AT, CAMPAIGN, due, guid
from tests.support.airflow_api import FakeAirflow

PLAN_RUN = f"{CAMPAIGN}__rossi__plan"


@pytest.fixture(autouse=True)
def _looks_follow_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airflow_api, "LOOK_EVERY_SECONDS", 0.0)


def dry_run(desk: Desk, verdicts: Sequence[Verdict]) -> Callable[[str], None]:
    """What a run of mode plan leaves in the ledger."""

    async def tasks(ledger: PostgresLedger) -> None:
        await ledger.open_run(PLAN_RUN, CAMPAIGN, "rossi", "plan", at=AT)
        await ledger.record_survey(PLAN_RUN, [v.subscription for v in verdicts], [], at=AT)
        await ledger.record_verdicts(PLAN_RUN, verdicts, [], at=AT)
        await ledger.close_run(PLAN_RUN, "planned", "", at=AT)

    def run(run_id: str) -> None:
        assert run_id == PLAN_RUN
        # Elsewhere, as Airflow's worker is: the command has an event loop of its own.
        worker = threading.Thread(target=lambda: desk.ledger(tasks))
        worker.start()
        worker.join()

    return run


VERDICTS = [
    due("base", bundle=(guid("addon"),)),
    due("addon", travels_with="base", seats=2),
    due("bought", route=Route.PURCHASE, billing="annual"),
    due("held", klass=SubscriptionClass.HELD, reason="Auto-renew is off.", route=None, seats=None),
]


def test_a_plan_shows_what_would_be_bought_and_how_it_would_be_cancelled(
    desk: Desk, airflow: FakeAirflow
) -> None:
    airflow.on_run = dry_run(desk, VERDICTS)
    done = desk.nce("plan", "rossi")
    assert done.exit_code == 0
    assert "Nothing was bought or cancelled." in done.stdout.splitlines()[0]
    assert done.stdout.splitlines()[1] == (
        "Would buy 3 NCE subscriptions with 12 seats in 2 batches, and end as many legacy ones: 2 suspended "
        "by Microsoft as it migrates them, 1 by us once NCE covers them."
    )
    rows = {line.split()[1]: line.split() for line in done.stdout.splitlines()[2:] if line}
    assert rows[guid("bought")][0] == "2"
    assert "Auto-renew is off." in " ".join(rows[guid("held")])


def test_the_document_has_batch_term_billing_and_seats_of_each_line(desk: Desk, airflow: FakeAirflow) -> None:
    airflow.on_run = dry_run(desk, VERDICTS)
    document = json.loads(desk.nce("plan", "rossi", "--json").stdout)
    assert (document["schema"], document["run_id"], document["totals"]) == (
        1,
        PLAN_RUN,
        {"held": 1, "due": 3},
    )
    lines = {line["subscription"]: line for line in document["lines"]}
    batches_and_seats = [
        (lines[guid(name)]["batch"], lines[guid(name)]["seats"]) for name in ("base", "addon", "held")
    ]
    assert batches_and_seats == [(1, 5), (1, 2), (None, None)]
    assert (lines[guid("bought")]["term"], lines[guid("bought")]["billing"]) == ("P1Y", "annual")


def test_the_run_is_a_dry_run_under_a_name_of_its_own(desk: Desk, airflow: FakeAirflow) -> None:
    airflow.on_run = dry_run(desk, VERDICTS)
    desk.nce("plan", "rossi")
    [run] = airflow.started
    assert (run["dag_id"], run["dag_run_id"], run["conf"]) == (
        "nce_partner_migration", PLAN_RUN, {"partner": "rossi", "campaign": CAMPAIGN, "mode": "plan"},
    )  # fmt: skip


def test_an_earlier_dry_run_is_run_again(desk: Desk, airflow: FakeAirflow) -> None:
    airflow.on_run = dry_run(desk, VERDICTS)
    desk.nce("plan", "rossi")
    airflow.on_run = dry_run(desk, VERDICTS[-1:])
    document = json.loads(desk.nce("plan", "rossi", "--json").stdout)
    assert airflow.cleared == [PLAN_RUN]
    assert (document["number"], document["totals"]) == (2, {"held": 1})


def test_a_dry_run_under_way_is_followed_not_started_again(desk: Desk, airflow: FakeAirflow) -> None:
    airflow.runs[PLAN_RUN] = {"state": "running", "looks": 3}
    dry_run(desk, VERDICTS)(PLAN_RUN)
    done = desk.nce("plan", "rossi")
    assert done.exit_code == 0
    assert (airflow.started, airflow.cleared) == ([], [])


def test_a_red_check_does_not_keep_the_plan_back(desk: Desk, airflow: FakeAirflow) -> None:
    airflow.on_run = dry_run(desk, VERDICTS[-1:])
    airflow.ends_as, airflow.tasks = "failed", [("check_mpa", "failed"), ("close_run", "failed")]
    done = desk.nce("plan", "rossi")
    assert done.exit_code == 0
    assert "Nothing would be bought or cancelled now." in done.stdout
    assert done.stderr.splitlines()[-1] == "check_mpa is red: what hangs on it is held, with the reason."


def test_a_run_that_made_no_plan_names_what_failed(desk: Desk, airflow: FakeAirflow) -> None:
    airflow.ends_as, airflow.tasks = "failed", [("open_run", "failed")]
    done = desk.nce("plan", "rossi")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1] == (
        f"Run {PLAN_RUN} made no plan, open_run failed: its last log line says why."
    )


def test_an_old_plan_is_never_shown_for_a_run_that_failed(desk: Desk, airflow: FakeAirflow) -> None:
    airflow.on_run = dry_run(desk, VERDICTS)
    desk.nce("plan", "rossi")
    airflow.on_run = lambda run_id: None
    airflow.ends_as, airflow.tasks = "failed", [("plan_conversions", "failed")]
    done = desk.nce("plan", "rossi")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "made no plan, plan_conversions failed" in done.stderr


def test_a_plan_in_another_ledger_is_told_apart(desk: Desk, airflow: FakeAirflow) -> None:
    airflow.on_run = dry_run(desk, VERDICTS)
    desk.nce("plan", "rossi")
    airflow.on_run = lambda run_id: None
    done = desk.nce("plan", "rossi")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "see that AIRFLOW_CONN_NCE_LEDGER names the one that Airflow uses." in done.stderr


def test_a_partner_that_is_not_enrolled_starts_nothing(desk: Desk, airflow: FakeAirflow) -> None:
    done = desk.nce("plan", "rosi")
    assert done.exit_code == 2
    assert "did you mean 'rossi'?" in done.stderr
    assert airflow.started == []


def test_a_plan_without_subscriptions_says_so(desk: Desk, airflow: FakeAirflow) -> None:
    airflow.on_run = dry_run(desk, [])
    assert desk.nce("plan", "rossi").stdout.splitlines()[1:] == [
        "Nothing would be bought or cancelled now.",
        "The partner's customers hold no subscriptions.",
    ]
