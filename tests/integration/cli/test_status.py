"""`nce status`: the table people read and the document programs read."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest

from include.nce.cli.status_document import StatusDocument
from include.nce.domain.classification import SubscriptionClass
from include.nce.domain.conversion import ConversionState
from include.nce.domain.errors import InputRefused
from include.nce.domain.opt_out import OptOutRuling, OptOutVerdict
from include.nce.ledger.ledger import PostgresLedger
from tests.integration.cli.conftest import Desk
from tests.integration.ledger.scene import AT, CAMPAIGN, RUN, due, guid, missing, partner
from tests.support.scene import bring

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture
def running_desk(desk: Desk) -> Desk:
    """rossi waits for its agreement and has a plan, verdi is finished, canarias has not begun."""

    async def set_scene(ledger: PostgresLedger) -> None:
        await ledger.open_run(RUN, CAMPAIGN, "rossi", "apply", at=AT)
        await ledger.record_finding(RUN, missing(), at=AT)
        held = due("held", klass=SubscriptionClass.HELD, reason="Auto-renew is off.", route=None)
        verdicts = [due("base"), held]
        await ledger.record_survey(RUN, [v.subscription for v in verdicts], [], at=AT)
        await ledger.record_verdicts(RUN, verdicts, [[guid("base")]], at=AT)
        await ledger.open_run(f"{CAMPAIGN}__verdi", CAMPAIGN, "verdi", "apply", at=AT)
        await ledger.close_run(f"{CAMPAIGN}__verdi", "converted", "All is done.", at=AT + timedelta(hours=1))

    desk.ledger(set_scene)
    return desk


def test_the_table_says_for_each_partner_how_it_stands_and_why(running_desk: Desk) -> None:
    lines = running_desk.nce("status").stdout.splitlines()
    assert lines[0] == (
        f"{CAMPAIGN}, version 1, 2022-06-20 08:00 UTC: 3 partners (1 converted, 1 not_started, 1 running); "
        "subscriptions: 1 held, 1 due"
    )
    row = {line.split()[0]: line for line in lines[2:5]}
    assert "✗" in row["rossi"]
    assert row["rossi"].endswith("The Microsoft Partner Agreement is not signed.")
    assert row["verdi"].endswith("All is done.")
    assert row["canarias"].endswith("No run yet: nce start.")


def test_the_document_keeps_its_shape(running_desk: Desk) -> None:
    document = json.loads(running_desk.nce("status", "--json").stdout)
    jsonschema.validate(document, StatusDocument.model_json_schema(by_alias=True, mode="serialization"))
    assert (document["schema"], document["campaign"], document["now"]) == (
        1,
        CAMPAIGN,
        "2022-06-20T08:00:00Z",
    )


def test_the_document_tells_stage_reason_and_every_subscription(running_desk: Desk) -> None:
    document = json.loads(running_desk.nce("status", "--json").stdout)
    stages = {row["partner"]: (row["stage"], row["outcome"]) for row in document["partners"]}
    assert stages == {
        "canarias": ("not_started", None), "rossi": ("running", None), "verdi": ("converted", "converted"),
    }  # fmt: skip
    [rossi] = [row for row in document["partners"] if row["partner"] == "rossi"]
    assert {row["subscription"]: row["class"] for row in rossi["subscriptions"]} == {
        guid("base"): "due", guid("held"): "held",
    }  # fmt: skip


def test_subscriptions_can_be_left_out_of_the_document(running_desk: Desk) -> None:
    document = json.loads(running_desk.nce("status", "--json", "--no-subscriptions").stdout)
    assert [row["subscriptions"] for row in document["partners"]] == [[], [], []]


def test_one_partner_is_shown_down_to_its_subscriptions(running_desk: Desk) -> None:
    shown = running_desk.nce("status", "--partner", "rossi").stdout
    assert f"{guid('held')}  -         Business Basic  5      2022-07-20 08:00  held   Auto-renew" in shown
    assert "check_mpa  ✗  The Microsoft Partner Agreement is not signed." in shown


@pytest.mark.parametrize(
    ("customers", "word"), [(["one"], "1 customer  "), (["one", "two"], "2 customers  ")]
)
def test_customers_that_opted_out_alone_are_counted(
    running_desk: Desk, customers: list[str], word: str
) -> None:
    ruling = OptOutRuling(OptOutVerdict.NONE, frozenset(map(guid, customers)), frozenset(), AT)
    running_desk.ledger(lambda ledger: ledger.record_opt_out_ruling(RUN, ruling, at=AT))
    assert word in running_desk.nce("status").stdout


def test_a_subscription_that_is_converted_names_its_successor_after_the_reason(running_desk: Desk) -> None:
    async def convert(ledger: PostgresLedger) -> None:
        [line] = await ledger.conversions(RUN)
        await bring(ledger, line.conversion_id, ConversionState.CONVERTED,
                    "NCE is active, legacy is suspended", at=AT,
            nce_subscription_id=guid("successor"),
        )  # fmt: skip

    running_desk.ledger(convert)
    shown = running_desk.nce("status", "--partner", "rossi").stdout
    assert f"NCE is active, legacy is suspended. NCE: {guid('successor')}." in shown


def test_only_partners_of_an_outcome_are_shown_on_request(running_desk: Desk) -> None:
    document = json.loads(running_desk.nce("status", "--json", "--outcome", "running").stdout)
    assert [row["partner"] for row in document["partners"]] == ["rossi"]
    assert document["totals"]["partners"] == 3


def test_an_outcome_that_does_not_exist_is_refused(desk: Desk) -> None:
    done = desk.nce("status", "--outcome", "converterd")
    assert done.exit_code == 2
    assert done.stderr.startswith(
        "Invalid value for --outcome: 'converterd' is none of running, not_started,"
    )
    assert done.stderr.count("\n") == 1


def test_thousands_of_partners_are_shown_page_by_page(desk: Desk) -> None:
    desk.ledger(lambda ledger: ledger.enrol(CAMPAIGN, [partner(f"p{n:04}") for n in range(1200)]))
    first = desk.nce("status", "--limit", "10")
    assert first.stderr == "1193 more: --after p0008 shows them, --limit 1203 all.\n"
    second = desk.nce("status", "--limit", "2", "--after", "p0008")
    assert [line.split()[0] for line in second.stdout.splitlines()[2:4]] == ["p0009", "p0010"]


def test_an_unknown_partner_is_met_with_the_one_that_looks_alike(desk: Desk) -> None:
    done = desk.nce("status", "--partner", "rosi")
    assert done.exit_code == 2
    assert done.stderr.endswith("did you mean 'rossi'?\n")


def test_a_silent_simulator_costs_only_the_time(desk: Desk) -> None:
    desk.environment["NCE_SIMULATOR_URL"] = "http://127.0.0.1:9"
    done = desk.nce("status", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["now"] is None
    assert done.stderr.startswith("The simulator at http://127.0.0.1:9 does not tell the campaign's time")


def test_texts_from_outside_are_neither_markup_nor_orders_to_the_terminal(desk: Desk) -> None:
    strange = partner("strange").model_copy(update={"name": "[red]Ditta[/red] \x1b[2J"})
    desk.ledger(lambda ledger: ledger.enrol(CAMPAIGN, [strange]))
    shown = desk.nce("status").stdout
    assert "[red]Ditta[/red] \ufffd[2J" in shown


def test_a_ledger_that_does_not_answer_is_one_sentence(desk: Desk) -> None:
    desk.environment["AIRFLOW_CONN_NCE_LEDGER"] = "postgres://nobody:hush@127.0.0.1:9/none"
    done = desk.nce("status")
    assert done.exit_code == 1
    assert done.stderr.startswith("The ledger at 127.0.0.1:9 does not answer as it should (")
    assert done.stderr.count("\n") == 1
    assert "hush" not in done.output


def test_a_ledger_without_tables_says_how_to_make_them(desk: Desk, empty_database: str) -> None:
    desk.environment["AIRFLOW_CONN_NCE_LEDGER"] = empty_database
    done = desk.nce("status")
    assert done.exit_code == 1
    assert "include.nce.ledger.migrate upgrade" in done.stderr


def test_an_environment_that_names_no_ledger_is_one_sentence(desk: Desk) -> None:
    desk.environment["AIRFLOW_CONN_NCE_LEDGER"] = ""
    done = desk.nce("status")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("No ledger is named: set AIRFLOW_CONN_NCE_LEDGER=")


def test_a_fault_of_its_own_is_a_sentence_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def breaks(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(PostgresLedger, "status", breaks)
    done = desk.nce("status")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "NCE_TRACEBACK=1" in done.stderr


def test_a_refusal_of_the_ledgers_is_no_fault_of_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuses(*args: object, **kwargs: object) -> None:
        raise InputRefused(["one", "two"])

    monkeypatch.setattr(PostgresLedger, "status", refuses)
    assert (desk.nce("status").exit_code, desk.nce("status").stderr) == (2, "one\ntwo\n")


def test_a_status_never_imports_airflow(desk: Desk) -> None:
    program = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from include.nce.cli.app import app\n"
        "done = CliRunner().invoke(app, ['status', '--json'])\n"
        "print(done.exit_code, {'airflow', 'alembic', 'httpx'} & {m.partition('.')[0] for m in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PROJECT,
        env={"AIRFLOW_CONN_NCE_LEDGER": desk.url, "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "0 set()"


def test_who_has_seen_enough_may_stop_reading(desk: Desk) -> None:
    desk.ledger(lambda ledger: ledger.enrol(CAMPAIGN, [partner(f"p{n:04}") for n in range(2000)]))
    command = f"{sys.executable} -m include.nce.cli status --json | head -1"
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=PROJECT,
        env={"AIRFLOW_CONN_NCE_LEDGER": desk.url, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("{\n", "")
