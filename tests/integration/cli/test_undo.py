"""`nce undo`, and what `nce opt-out`, `status` and `explain` say about what is taken back."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import jsonschema
import pytest

from include.nce.cli.undo import UndoList
from include.nce.domain.conversion import ConversionState
from include.nce.domain.undo import CaseState, UndoCause
from include.nce.domain.undo_case import UndoCase
from include.nce.ledger.ledger import PostgresLedger
from include.nce.orchestration.params import UndoConf
from tests.integration.cli.conftest import Desk
from tests.integration.ledger.scene import AT, CAMPAIGN, CUSTOMER, LATER, RUN, due, guid
from tests.support.airflow_api import FakeAirflow
from tests.support.scene import bring

UNTIL = LATER + timedelta(hours=168)


@pytest.fixture
def sold(desk: Desk) -> Desk:
    """rossi's subscriptions are converted on 1 June: a base with an add-on, and another one."""

    async def set_scene(ledger: PostgresLedger) -> None:
        await ledger.open_run(RUN, CAMPAIGN, "rossi", "apply", at=AT)
        verdicts = [due("one"), due("extra", travels_with="one"), due("two")]
        await ledger.record_survey(RUN, [v.subscription for v in verdicts], [], at=AT)
        await ledger.record_verdicts(RUN, verdicts, [[guid("one"), guid("two")]], at=AT)
        for line in await ledger.conversions(RUN):
            await bring(ledger, line.conversion_id, ConversionState.CONVERTED, "NCE is active", at=LATER,
                nce_subscription_id=guid(f"nce of {line.legacy_id}"), undoable_until_at=UNTIL,
            )  # fmt: skip

    desk.ledger(set_scene)
    desk.moves_to(UNTIL - timedelta(hours=20))
    return desk


def cases(desk: Desk) -> list[UndoCase]:
    return list(desk.ledger(lambda ledger: ledger.undo_cases(CAMPAIGN, closed=True)))


def listed(desk: Desk, *words: str) -> dict[str, Any]:
    document = json.loads(desk.nce("undo", "list", "--json", *words).stdout)
    jsonschema.validate(document, UndoList.model_json_schema(by_alias=True, mode="serialization"))
    return dict(document)


def test_what_could_be_undone_is_listed_with_its_hours(sold: Desk) -> None:
    document = listed(sold)
    assert document["cases"] == []
    assert {each["subscription"]: each["subscriptions"] for each in document["undoable"]} == {
        guid("one"): 2, guid("two"): 1
    }  # fmt: skip
    assert {each["hours_left"] for each in document["undoable"]} == {20.0}
    assert guid("one") in sold.nce("undo", "list").stdout


def test_what_is_over_is_not_listed_as_possible(sold: Desk) -> None:
    sold.moves_to(UNTIL + timedelta(seconds=1))
    assert listed(sold)["undoable"] == []


def test_an_opt_out_after_the_purchase_opens_cases_and_says_how_long_still(sold: Desk) -> None:
    done = sold.nce("opt-out", "add", "rossi", "--received", "2022-06-07T08:00:00Z", "--by", "anna")
    for case in cases(sold):
        assert f"Bought already, {case.base_id}: undo case {case.case_id}, 20 hours left." in done.stdout
    assert [(case.cause, case.state, case.opened_by) for case in cases(sold)] == [
        (UndoCause.OPT_OUT, CaseState.OPEN, "anna")
    ] * 2
    again = sold.nce("opt-out", "add", "rossi", "--received", "2022-06-07T08:00:00Z")
    assert "undo case 1, 20 hours left" in again.stdout
    assert len(cases(sold)) == 2
    assert listed(sold)["undoable"] == []


def test_a_list_of_opt_outs_opens_them_too(sold: Desk, tmp_path: Any) -> None:
    file = tmp_path / "opt-outs.csv"
    file.write_text(f"partner;received;customer\nrossi;2022-06-07 09:15;{CUSTOMER}\n")
    done = sold.nce("opt-out", "import", str(file))
    assert "undo case 1, 20 hours left" in done.stdout
    assert len(cases(sold)) == 2


def test_when_the_window_is_over_already_a_person_decides(sold: Desk) -> None:
    sold.moves_to(UNTIL + timedelta(hours=1))
    done = sold.nce("opt-out", "add", "rossi")
    assert "Too late to undo: the window closed on" in done.stdout
    assert {each["hours_left"] for each in listed(sold)["cases"]} == {0.0}
    assert "over" in sold.nce("undo", "list").stdout


def test_a_withdrawn_opt_out_closes_its_cases(sold: Desk) -> None:
    sold.nce("opt-out", "add", "rossi")
    done = sold.nce("opt-out", "withdraw", "rossi")
    assert done.stdout.count("is closed: The opt-out was withdrawn: NCE stays.") == 2
    assert listed(sold)["cases"] == []
    assert len(listed(sold, "--closed")["cases"]) == 2


def test_cases_come_page_by_page(sold: Desk) -> None:
    sold.nce("opt-out", "add", "rossi")
    first = sold.nce("undo", "list", "--limit", "1")
    assert "More: --after 1 shows them." in first.stderr
    assert [each["case"] for each in listed(sold, "--after", "1")["cases"]] == [2]


@pytest.mark.parametrize(
    ("words", "scope"),
    [
        ([guid("extra")], {"subscription": guid("extra"), "customer": None, "everything": False}),
        ([guid(f"nce of {guid('one')}")], {"subscription": guid(f"nce of {guid('one')}")}),
        (["--customer", CUSTOMER], {"subscription": None, "customer": CUSTOMER, "everything": False}),
        (["--partner", "rossi"], {"subscription": None, "customer": None, "everything": True}),
    ],
)
def test_a_start_is_a_run_of_nce_undo_that_its_form_accepts(
    sold: Desk, airflow: FakeAirflow, words: list[str], scope: dict[str, Any]
) -> None:
    airflow.dags.add("nce_undo")
    done = sold.nce("undo", "start", *words, "--reason", "they want it back", "--by", "anna", "--yes")
    assert done.exit_code == 0, done.stderr
    [run] = airflow.started
    assert run["dag_id"] == "nce_undo"
    assert run["conf"] == {**run["conf"], **scope, "campaign": CAMPAIGN, "partner": "rossi"}
    conf = UndoConf.read(run["conf"])
    assert (conf.reason, conf.asked_by) == ("they want it back", "anna")
    assert "legacy is reactivated, then NCE is cancelled" in done.stdout
    assert "waits for a person's approval" in done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--reason", "because"], "Name one: a SUBSCRIPTION"),
        ([guid("one"), "--customer", CUSTOMER, "--reason", "because"], "Name one"),
        (["acme", "--reason", "because"], "subscription: 'acme' is no id"),
        ([guid("one"), "--yes"], "reason: it is empty"),
        ([guid("one"), "--reason", "ok", "--yes"], "reason: write at least 3 characters"),
        ([guid("nothing"), "--reason", "because", "--yes"], "nothing is bought, or it is undone already"),
        (["--partner", "verdi", "--reason", "because", "--yes"], "Of verdi nothing is bought"),
        ([guid("one"), "--reason", "because"], "Nobody is there to answer: say --yes."),
    ],
)
def test_what_cannot_be_started_is_refused_in_one_sentence(
    sold: Desk, airflow: FakeAirflow, words: list[str], sentence: str
) -> None:
    airflow.dags.add("nce_undo")
    done = sold.nce("undo", "start", *words)
    assert (done.exit_code, airflow.started) == (2, [])
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_paused_dag_is_said_before_anything_waits_for_nobody(sold: Desk, airflow: FakeAirflow) -> None:
    airflow.dags.add("nce_undo")
    airflow.paused.add("nce_undo")
    done = sold.nce("undo", "start", guid("one"), "--reason", "because", "--yes")
    assert (done.exit_code, airflow.started) == (1, [])
    assert "nce_undo is paused" in done.stderr


def test_a_person_decides_that_nce_stays(sold: Desk) -> None:
    sold.nce("opt-out", "add", "rossi")
    done = sold.nce("undo", "keep", "1", "--reason", "they stay after all", "--by", "dora")
    assert "Case 1 is closed: dora decided that NCE stays: they stay after all" in done.stdout
    assert [case.state for case in cases(sold)] == [CaseState.CLOSED, CaseState.OPEN]
    again = sold.nce("undo", "keep", "1", "--reason", "they stay after all")
    assert again.exit_code == 2
    assert "is closed already" in again.stderr


def test_what_is_covered_twice_is_ended_by_the_next_run(sold: Desk) -> None:
    sold.nce("opt-out", "add", "rossi")

    async def doubled(ledger: PostgresLedger) -> None:
        line = (await ledger.undo_members(2))[0].conversion
        await bring(ledger, line.conversion_id, ConversionState.UNDOING, "COVERED TWICE", at=UNTIL)

    sold.ledger(doubled)
    done = sold.nce("undo", "keep", "2", "--reason", "they stay", "--by", "dora")
    assert "nce backfill rossi ends them past the cancel gate" in done.stderr


def test_status_and_explain_tell_what_is_taken_back(sold: Desk) -> None:
    sold.nce("opt-out", "add", "rossi", "--by", "anna")

    async def undone(ledger: PostgresLedger) -> None:
        for member in await ledger.undo_members(2):
            await bring(
                ledger, member.conversion.conversion_id, ConversionState.UNDONE, "undone, carla", at=UNTIL
            )
        await ledger.move_undo_case(2, CaseState.UNDONE, "Undone, approved by carla.", by="carla", at=UNTIL)

    sold.ledger(undone)
    [partner] = json.loads(sold.nce("status", "--partner", "rossi", "--json").stdout)["partners"]
    undone_base = cases(sold)[1].base_id
    by_id = {each["subscription"]: each for each in partner["subscriptions"]}
    assert (by_id[undone_base]["class"], by_id[undone_base]["undo_case"]) == ("undone", None)
    assert partner["open_undo_cases"] == 1
    open_base = cases(sold)[0].base_id
    assert (by_id[open_base]["class"], by_id[open_base]["undo_case"]) == ("converted", 1)
    table = sold.nce("status", "--partner", "rossi").stdout
    assert "Undo cases open: 1." in table
    assert "Undo case 1 is open." in table
    story = sold.nce("explain", undone_base).stdout
    assert "Undo case 2 is open (anna)." in story
    assert "Undo case 2 is undone (carla). Undone, approved by carla." in story
