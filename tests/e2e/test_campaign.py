"""The campaign from its first day to its last in a real Airflow, and what operators do once it is over.

The story is played once. How it ended is read once, right then; what comes after must leave it as it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import endings
from tests.e2e.stage import CAMPAIGN_DAG, Ending, Stage, World
from tests.e2e.story import (
    BLOCKED,
    CAMPAIGN,
    CLASSES,
    CONVERTED,
    MIGRATIONS,
    MIXED,
    OPTED_OUT,
    ORDERS,
    OUTCOMES,
    PARTNERS,
    ROSTER,
    RUNS,
    SUCCESSORS,
    TASKS,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Played:
    """The stage, how the world was before, how everything ended, and what the demo printed."""

    stage: Stage
    before: World
    ending: Ending
    printed: str


@pytest.fixture(scope="module")
def played(stage: Stage) -> Played:
    stage.up()
    before = stage.world()
    printed = stage.play()
    return Played(stage, before, stage.ending(), printed)


class TestEnding:
    """How the story ended."""

    def test_every_partner_and_subscription_ends_as_the_story_says(self, played: Played) -> None:
        partners = {each["partner"]: each["outcome"] for each in played.ending.status["partners"]}
        assert partners == OUTCOMES
        assert endings.classes_of(played.ending.status) == CLASSES

    def test_exactly_the_right_subscriptions_are_bought(self, played: Played) -> None:
        endings.assert_bought_exactly(played.before, played.ending.world)

    def test_exactly_the_right_subscriptions_are_suspended(self, played: Played) -> None:
        endings.assert_suspended_exactly(played.ending.world)

    def test_nothing_else_is_touched(self, played: Played) -> None:
        endings.assert_nothing_else_touched(played.before, played.ending.world)

    def test_each_bundle_is_sent_once(self, played: Played) -> None:
        sent = endings.writes(played.ending.world.requests)
        assert {each["operation"] for each in sent} == {
            "create_migration", "create_cart", "checkout_cart", "update_subscription"
        }  # fmt: skip
        for operation, expected in {
            "create_migration": MIGRATIONS,
            "checkout_cart": ORDERS,
            "update_subscription": ORDERS,
        }.items():
            customers = [endings.customer_of(each) for each in sent if each["operation"] == operation]
            assert sorted(customers) == sorted(expected), operation

    def test_of_an_opted_out_partners_customers_nothing_is_even_asked_to_change(self, played: Played) -> None:
        requests = played.ending.world.requests
        assert [each for each in requests if endings.customer_of(each) == "velieri"] != []
        assert [
            each
            for each in requests
            if endings.customer_of(each) in ("velieri", "pescherecci") and each["method"] != "GET"
        ] == []

    def test_the_command_line_names_what_partner_center_holds(self, played: Played) -> None:
        successors = endings.bought(played.before, played.ending.world)
        assert endings.nce_of(played.ending.status) == endings.ids(successors)

    @pytest.mark.parametrize("partner", PARTNERS)
    def test_every_task_has_the_colour_that_operators_are_told(self, played: Played, partner: str) -> None:
        assert played.ending.tasks[partner] == TASKS[partner]
        assert played.ending.runs[partner]["state"] == RUNS[partner]

    @pytest.mark.parametrize("partner", PARTNERS)
    def test_the_note_of_a_run_is_the_sentence_that_closed_it(self, played: Played, partner: str) -> None:
        row = next(each for each in played.ending.status["partners"] if each["partner"] == partner)
        assert played.ending.runs[partner]["note"] == f"{row['outcome']}: {row['sentence']}"

    def test_the_note_of_a_blocked_run_says_what_is_missing_and_who_acts(self, played: Played) -> None:
        note = played.ending.runs[BLOCKED]["note"]
        assert note.startswith("blocked: ")
        assert "Microsoft Partner Agreement" in note
        assert "Who acts: partner" in note

    def test_the_demo_says_that_all_is_as_expected(self, played: Played) -> None:
        points = len(CLASSES) + len(OUTCOMES)
        assert f"ended as it expects, in all {points} points." in played.printed


class TestRunningAgain:
    """What is finished stays finished."""

    def test_clearing_finished_runs_changes_nothing_at_partner_center(self, played: Played) -> None:
        stage, before, last = played.stage, played.stage.world(), played.stage.last_request()
        cleared = (CONVERTED, OPTED_OUT, MIXED)
        for partner in cleared:
            stage.clear(f"{CAMPAIGN}__{partner}")
        states = {partner: stage.finished(f"{CAMPAIGN}__{partner}") for partner in cleared}
        assert states == {partner: RUNS[partner] for partner in cleared}
        asked = stage.requests(since=last)
        assert {"rifugi", "velieri", "traghetti"} <= {
            endings.customer_of(each) for each in asked
        }  # it did look
        assert endings.writes(asked) == []
        assert stage.world().subscriptions == before.subscriptions

    def test_a_backfill_runs_the_named_partner_and_no_other(self, played: Played) -> None:
        stage, last = played.stage, played.stage.last_request()
        began = {partner: _began(stage, partner) for partner in PARTNERS}
        printed = stage.nce("backfill", CONVERTED, "--wait")
        assert stage.finished(f"{CAMPAIGN}__{CONVERTED}") == "success"
        assert f"{CONVERTED}: run {CAMPAIGN}__{CONVERTED}, closed" in printed
        assert {partner for partner in PARTNERS if _began(stage, partner) != began[partner]} == {CONVERTED}
        assert endings.writes(stage.requests(since=last)) == []


class TestBadInput:
    """A run that cannot go on says why in its first task, and nothing happens."""

    def test_an_unknown_partner_is_refused_by_the_first_task(self, played: Played) -> None:
        stage, run_id = played.stage, f"{CAMPAIGN}__brezza-digitle"
        with nothing_happens(stage):
            assert stage.trigger(
                "nce_partner_migration", run_id, partner="brezza-digitle", campaign=CAMPAIGN
            ) == ("failed")
        tasks = stage.tasks(run_id)
        assert tasks.pop("open_run") == "failed"
        assert tasks.pop("close_run") == "failed"
        assert set(tasks.values()) == {"upstream_failed"}
        sentence = rf"Partner 'brezza-digitle' .*{OPTED_OUT}"
        assert re.search(sentence, stage.log(run_id, "open_run"))
        assert re.search(sentence, str(stage.run(run_id)["note"]))

    def test_a_partner_that_is_not_in_the_roster_starts_no_run(self, played: Played) -> None:
        _refused(
            played.stage,
            "a-stranger",
            "check_campaign",
            r"Partner nessuno is not in the roster",
            roster=str(ROSTER),
            partners=["nessuno"],
        )

    def test_an_unknown_campaign_starts_no_run(self, played: Played) -> None:
        _refused(
            played.stage, "nowhere", "check_campaign", rf"'csp-commercial-2021'.*{CAMPAIGN}",
            campaign="csp-commercial-2021",
        )  # fmt: skip

    def test_a_roster_with_duplicates_is_told_line_by_line(self, played: Played, tmp_path: Path) -> None:
        rows = ROSTER.read_text().splitlines()
        roster = tmp_path / "twice.csv"
        roster.write_text("\n".join([*rows, rows[1].replace("alpina-informatica", "alpina")]))
        log = _refused(
            played.stage, "twice", "check_campaign", r"twice\.csv, line 7.*tenant_id.*already on line 2",
            roster=str(roster),
        )  # fmt: skip
        assert re.search(r"twice\.csv, line 7.*mpn_id.*already on line 2", log)

    def test_a_roster_whose_columns_can_be_read_in_two_ways_is_refused(
        self, played: Played, tmp_path: Path
    ) -> None:
        roster = tmp_path / "ambiguous.csv"
        roster.write_text(ROSTER.read_text().replace("Provincia", "Nome"))
        _refused(
            played.stage, "ambiguous", "check_campaign", r"ambiguous\.csv, line 1.*name", roster=str(roster)
        )

    def test_a_connection_that_partner_center_refuses_is_the_providers_to_mend(self, played: Played) -> None:
        with connection(played.stage, login="00000000-0000-0000-0000-000000000000"):
            _refused(played.stage, "wrong-login", "check_campaign", r"Who acts: provider\.")

    def test_a_connection_to_nowhere_is_told_with_its_address(self, played: Played) -> None:
        with connection(played.stage, port=9):
            _refused(
                played.stage,
                "wrong-port",
                "check_campaign",
                r"no simulator answers at http://127\.0\.0\.1:9 ",
            )


def _began(stage: Stage, partner: str) -> Any:
    return stage.run(f"{CAMPAIGN}__{partner}")["start_date"]


@contextmanager
def nothing_happens(stage: Stage) -> Iterator[None]:
    """What is done inside sends nothing that changes anything, and changes nothing."""
    before, last = stage.world(), stage.last_request()
    yield
    assert endings.writes(stage.requests(since=last)) == []
    assert stage.world().subscriptions == before.subscriptions


def _refused(stage: Stage, run_id: str, task_id: str, sentence: str, **conf: Any) -> str:
    """Start the campaign with `conf`: `task_id` refuses it with `sentence`, and no partner's run starts."""
    runs = stage.run_ids()
    with nothing_happens(stage):
        state = stage.trigger(CAMPAIGN_DAG, run_id, **{"campaign": CAMPAIGN, "existing": "rerun", **conf})
    assert state == "failed"
    assert stage.tasks(run_id, CAMPAIGN_DAG)[task_id] == "failed"
    assert stage.tasks(run_id, CAMPAIGN_DAG)["start_partners"] == "upstream_failed"
    assert stage.run_ids() == runs
    log = stage.log(run_id, task_id, CAMPAIGN_DAG)
    assert re.search(sentence, log), log
    return log


@contextmanager
def connection(stage: Stage, **fields: Any) -> Iterator[None]:
    """The connection partner_center with other `fields`, put right afterwards."""
    path, mask = "connections/partner_center", "&".join(f"update_mask={name}" for name in fields)
    right = stage.airflow("GET", path)

    def put(values: dict[str, Any]) -> None:
        body = {"connection_id": "partner_center", "conn_type": right["conn_type"], **values}
        assert stage.airflow("PATCH", f"{path}?{mask}", body) is not None

    put(fields)
    try:
        yield
    finally:
        put({name: right[name] for name in fields})


def test_each_successor_is_in_the_list_of_the_story() -> None:
    assert set(SUCCESSORS) == {name for name, klass in CLASSES.items() if klass == "converted"}
