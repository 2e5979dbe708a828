"""The campaign from its first day to its last in a real Airflow, and what operators do once it is over.

The story is played once. How it ended is read once, right then; what comes after must leave it as it was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.demo.rehearsal import CAMPAIGN_FILE
from scripts.stack.installation import CHECKOUT
from tests.e2e import endings
from tests.e2e.portal import act_on_nce
from tests.e2e.stage import CAMPAIGN_DAG, RECONCILE_DAG, Ending, Stage, World, until
from tests.e2e.story import (
    BLOCKED,
    CAMPAIGN,
    CLASSES,
    CONVERTED,
    CUSTOMERS,
    LATE,
    LEGACY,
    MIGRATIONS,
    MIXED,
    NAMES,
    OPTED_OUT,
    ORDERS,
    OUTCOMES,
    PARTNERS,
    ROSTER,
    RUNS,
    SUCCESSORS,
    TASKS,
)

UNDO_DAG = "nce_undo"
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

    def test_an_outstanding_check_ends_skipped_once_the_opt_out_is_ruled_on(self, played: Played) -> None:
        row = next(each for each in played.ending.status["partners"] if each["partner"] == OPTED_OUT)
        assert row["checks"]["check_mpa"]["answer"] == "missing"
        assert row["checks"]["check_mpa"]["asked_at"] < "2022-07-01T06:00:00Z"
        assert played.ending.tasks[OPTED_OUT]["check_mpa"] == "skipped"

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
        before = {run_id: stage.run(run_id)["start_date"] for run_id in stage.run_ids()}
        printed = stage.nce("backfill", CONVERTED, "--yes", "--wait")
        [further] = stage.run_ids() - set(before)
        assert further.startswith(f"{CAMPAIGN}__{CONVERTED}__2022-07-")
        assert stage.finished(further) == "success"
        [latest] = re.findall(rf"{CONVERTED}: run (\S+), closed", printed)
        assert latest in before  # other tests may have run the partner again
        assert latest.startswith(f"{CAMPAIGN}__{CONVERTED}")
        assert "This would do: 0 purchases, 0 cancellations, 1 partner." in printed
        assert {run_id: stage.run(run_id)["start_date"] for run_id in before} == before
        assert endings.writes(stage.requests(since=last)) == []

    @pytest.mark.parametrize("answer", ["Reject", "Approve"])
    def test_airflow_shows_what_running_again_would_do_and_waits_for_a_person(
        self, played: Played, answer: str
    ) -> None:
        stage, last = played.stage, played.stage.last_request()
        before, run_id = stage.run_ids(), f"asked-{answer.lower()}"
        question = stage.asked(
            run_id, "confirm_rerun", campaign=CAMPAIGN, partners=[CONVERTED], existing="rerun"
        )
        assert question["body"].startswith("This would do: 0 purchases, 0 cancellations, 1 partner.")
        [further] = re.findall(rf"`({CAMPAIGN}__{CONVERTED}__2022-07-[0-9-]+)`", question["body"])
        assert stage.run_ids() == before
        assert stage.answered(run_id, "confirm_rerun", answer) == "success"
        rejected = answer == "Reject"
        states = stage.tasks(run_id, CAMPAIGN_DAG)
        assert states["confirm_rerun"] == ("skipped" if rejected else "success")
        assert {states[task] for task in states if task.startswith("start_partners")} == {
            "skipped" if rejected else "success"
        }
        assert stage.run_ids() - before == (set() if rejected else {further})
        assert rejected or stage.finished(further) == "success"
        assert endings.writes(stage.requests(since=last)) == []
        note = "Run again: 0 purchases, 0 cancellations, 1 partner."
        assert stage.run(run_id, CAMPAIGN_DAG)["note"] == note

    def test_a_stopped_campaign_holds_a_run_at_its_wave_and_a_release_lets_it_go_on(
        self, played: Played
    ) -> None:
        stage = played.stage
        stage.nce("campaign", "stop", "--reason", "the test looks", "--by", "anna")
        run_id = _run_again(stage, CONVERTED)
        until("the run waits", lambda: stage.tasks(run_id).get("wait_for_wave") == "deferred")
        why = "The campaign was stopped by anna"
        until("it says why", lambda: why in stage.log(run_id, "wait_for_wave"))
        assert "stopped by anna" in stage.nce("status")
        stage.nce("campaign", "release", "--reason", "the test has seen", "--by", "anna")
        assert stage.finished(run_id) == "success"

    def test_a_partner_waits_for_a_pilot_that_converted_nothing_until_an_operator_takes_it_out(
        self, played: Played, tmp_path: Path
    ) -> None:
        stage, last = played.stage, played.stage.last_request()
        with policy(stage, tmp_path) as is_now:
            is_now(pilot=[BLOCKED], then=[10])
            run_id = _run_again(stage, CONVERTED)
            until("the run waits", lambda: stage.tasks(run_id).get("wait_for_wave") == "deferred")
            until("the pilot has begun", lambda: begun_waves(stage) == [[BLOCKED]])
            why = "The pilot has converted nothing"
            until("it says why", lambda: why in stage.log(run_id, "wait_for_wave"))
            is_now(then=[10], quiet_hours=0)
            assert stage.finished(run_id) == "success"
            pilot, everybody_else = begun_waves(stage)
        assert pilot == [BLOCKED]
        assert CONVERTED in everybody_else
        assert BLOCKED not in everybody_else
        assert endings.writes(stage.requests(since=last)) == []


class TestUndo:
    """A person approves through Airflow's own API, and a partner's conversions are taken back."""

    def test_nothing_is_sent_before_a_person_approved_it_and_then_legacy_comes_first(
        self, played: Played
    ) -> None:
        stage, last, run_id = played.stage, played.stage.last_request(), "undo-delta"
        began = stage.nce("undo", "list", "--partner", LATE)
        assert LEGACY["mulini/e1"] in began
        body = {
            "dag_run_id": run_id,
            "logical_date": None,
            "conf": {"campaign": CAMPAIGN, "partner": LATE, "everything": True, "reason": "late opt-out"},
        }
        assert stage.airflow("POST", f"dags/{UNDO_DAG}/dagRuns", body) is not None
        question = _question(stage, run_id)
        assert question["subject"] == f"Undo 2 subscriptions of 1 customer of {LATE}?"
        assert question["body"].count("hours left") == 2
        assert endings.writes(stage.requests(since=last)) == []

        assert stage.answered(run_id, "approve_undo", "Approve", UNDO_DAG) == "success"
        assert set(stage.tasks(run_id, UNDO_DAG).values()) == {"success"}

        world = stage.world()
        sent = [NAMES.get(each["path"].rpartition("/")[2].lower(), "NCE")
                for each in endings.writes(stage.requests(since=last))]  # fmt: skip
        assert sorted(sent) == ["NCE", "NCE", "mulini/e1", "mulini/intune"]
        for name in ("mulini/e1", "mulini/intune"):
            assert world.subscriptions[LEGACY[name]]["status"] == "active"
            assert sent.index(name) < len(sent) - 1 - sent[::-1].index("NCE")
        successors = {
            each["id"]: each["status"]
            for each in world.subscriptions.values()
            if each["customer"] == CUSTOMERS["mulini"] and each["line"] == "nce"
        }
        assert list(successors.values()) == ["deleted", "deleted"]
        assert str(stage.run(run_id, UNDO_DAG)["note"]).startswith("undone: admin approved it.")
        assert "admin approved the undo of run undo-delta" in stage.nce("explain", LEGACY["mulini/e1"])


def _question(stage: Stage, run_id: str) -> dict[str, Any]:
    """What the run asks under *Required Actions*, once it does."""
    path = f"dags/{UNDO_DAG}/dagRuns/{run_id}/hitlDetails"
    asked: list[dict[str, Any]] = []

    def looks() -> bool:
        asked[:] = (stage.airflow("GET", path) or {}).get("hitl_details", [])
        return bool(asked)

    until(f"{run_id} asks", looks)
    return asked[0]


class TestReconcile:
    """The comparison with Partner Center, started by hand as a rehearsal does."""

    def test_after_a_campaign_that_went_well_nothing_differs_and_nothing_is_touched(
        self, played: Played
    ) -> None:
        stage = played.stage
        with nothing_happens(stage):
            assert stage.trigger(RECONCILE_DAG, "all-is-well") == "success"
        assert stage.run("all-is-well", RECONCILE_DAG)["note"] == (
            f"{CAMPAIGN}: No coverage is missing or double. Compared {len(PARTNERS)} of {len(PARTNERS)} "
            "partners. 0 other findings open."
        )
        assert set(stage.tasks("all-is-well", RECONCILE_DAG)) == {
            "list_partners", "reconcile_partners[0]", "close_reconcile",
        }  # fmt: skip

    def test_what_a_person_did_in_the_portal_is_red_and_stops_the_campaign_until_it_is_put_right(
        self, played: Played
    ) -> None:
        stage, about = played.stage, (CUSTOMERS["rifugi"], LEGACY["rifugi/e3"])
        act_on_nce(stage, "suspend", *about)
        try:
            with nothing_happens(stage):
                assert stage.trigger(RECONCILE_DAG, "suspended", campaign=CAMPAIGN) == "failed"
            note = stage.run("suspended", RECONCILE_DAG)["note"]
            [found] = json.loads(stage.nce("findings", "--json"))["findings"]
        finally:
            act_on_nce(stage, "reactivate", *about)
            stage.nce("campaign", "release", "--reason", "it is put right", "--by", "anna")
        assert "The campaign was stopped by its brake" in note
        assert f"1 subscription without coverage, 0 covered twice, at {CONVERTED}: act today" in note
        tasks = stage.tasks("suspended", RECONCILE_DAG)
        assert (tasks["reconcile_partners[0]"], tasks["close_reconcile"]) == ("success", "failed")
        assert (found["kind"], found["gap"], found["subscription"]) == ("nce_suspended", "zero", about[1])
        assert re.search(r"new: Subscription .* is billed all the same", stage.mapped_log("suspended"))

        stage.nce("reconcile", CONVERTED, "--wait")
        assert json.loads(stage.nce("findings", "--json"))["findings"] == []

    def test_it_never_starts_by_itself_in_a_rehearsal(self, played: Played) -> None:
        described = played.stage.airflow("GET", f"dags/{RECONCILE_DAG}")
        assert (described["is_paused"], described["timetable_summary"]) == (False, None)
        assert described["next_dagrun_run_after"] is None


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

    def test_a_roster_with_duplicates_is_told_line_by_line(self, played: Played) -> None:
        rows = ROSTER.read_text().splitlines()
        roster = played.stage.rosters / "twice.csv"
        roster.write_text("\n".join([*rows, rows[1].replace("alpina-informatica", "alpina")]))
        log = _refused(
            played.stage, "twice", "check_campaign", r"twice\.csv, line 7.*tenant_id.*already on line 2",
            roster=str(roster),
        )  # fmt: skip
        assert re.search(r"twice\.csv, line 7.*mpn_id.*already on line 2", log)

    def test_a_roster_whose_columns_can_be_read_in_two_ways_is_refused(self, played: Played) -> None:
        roster = played.stage.rosters / "ambiguous.csv"
        roster.write_text(ROSTER.read_text().replace("Provincia", "Nome"))
        _refused(
            played.stage, "ambiguous", "check_campaign", r"ambiguous\.csv, line 1.*name", roster=str(roster)
        )

    def test_a_roster_outside_the_places_for_rosters_is_not_opened(self, played: Played) -> None:
        for number, named in enumerate(("/etc/passwd", "http://127.0.0.1:9/roster.csv")):
            log = _refused(
                played.stage, f"elsewhere-{number}", "check_campaign",
                r"in a place that rosters are read from", roster=named,
            )  # fmt: skip
            assert "root:" not in log

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


class TestSecurity:
    """Nobody unknown sees anything, and nothing secret or personal is left behind by whatever was done."""

    @pytest.mark.parametrize(
        ("who", "statuses"),
        [("viewer", (200, 403, 403)), ("operator", (200, 200, 403)), ("admin", (200, 200, 200)),
         (None, (401, 401, 401))],
    )  # fmt: skip
    def test_the_board_is_open_as_far_as_the_role_goes(
        self, played: Played, who: str | None, statuses: tuple[int, ...]
    ) -> None:
        here = f"/nce/api/campaigns/{CAMPAIGN}"
        version = played.stage.as_person(who, "GET", here)
        opt_out = {"partner": BLOCKED, "received": "2022-07-14T10:00:00Z", "note": "form no. 4711"}
        standing = json.loads(played.stage.nce("status", "--json"))["version"]
        # Where it stands already: moving it there again makes no new version.
        date = {"moment": "cut_over", "value": "2022-07-11T00:00:00Z", "reason": "again"}
        entered = played.stage.as_person(who, "POST", f"{here}/opt-outs", opt_out)
        moved = played.stage.as_person(who, "POST", f"{here}/dates", date)
        assert (version.status_code, entered.status_code, moved.status_code) == statuses
        if moved.status_code == 200:
            assert moved.json() == {"version": standing, "author": "admin"}

    @pytest.mark.parametrize(("who", "status"), [("viewer", 403), ("operator", 404), (None, 401)])
    def test_approving_takes_the_right_to_run(self, played: Played, who: str | None, status: int) -> None:
        """Airflow's own human-in-the-loop: a viewer is turned away before it is looked what waits."""
        path = f"dags/nce_partner_migration/dagRuns/{CAMPAIGN}__{CONVERTED}/taskInstances/open_run/-1"
        answer = played.stage.as_person(
            who, "PATCH", f"/api/v2/{path}/hitlDetails", {"chosen_options": ["Approve"], "params_input": {}}
        )
        assert answer.status_code == status

    def test_nothing_secret_or_personal_is_left_behind(self, played: Played) -> None:
        stage, run_id = played.stage, f"{CAMPAIGN}__{CONVERTED}__canary"
        fault = {"operation": "get_agreement_status", "kind": "status", "status": 400, "code": 2299,
                 "description": " ".join(["Ask", *CANARIES]), "count": None}  # fmt: skip
        stage.simulator("POST", "faults", fault)
        conf = {"partner": CONVERTED, "campaign": CAMPAIGN, "mode": "plan"}
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        assert stage.airflow("POST", "dags/nce_partner_migration/dagRuns", body) is not None
        try:
            until("the check has its answer", lambda: stage.tasks(run_id).get("check_mpa") == "failed")
        finally:
            (account,) = stage.simulator("DELETE", "faults")
            # What follows would try again for minutes.
            path = f"dags/nce_partner_migration/dagRuns/{run_id}"
            assert stage.airflow("PATCH", path, {"state": "failed"}) is not None
        assert account["used"], "no answer carried the canaries"
        assert "[removed]" in stage.log(run_id, "check_mpa")
        left = {
            "logs": stage.logs(),
            "Airflow's database": stage.dump("metadata"),
            "ledger": stage.dump("ledger"),
        }
        assert all("csp-commercial-2022" in text for text in left.values()), "nothing was searched"
        for where, text in left.items():
            found = [what for what, secret in {**stage.secrets(), **PERSONAL}.items() if secret in text]
            assert found == [], f"found in {where}"
            assert not TOKEN.search(text), f"a token is in {where}"


CANARIES = ("ludovica.canary@rifugi.example", "+39 055 123 4567", "eyJhbGciOiJub25l.Y2FuYXJ5LWNhbmFyeQ.c2ln")
PERSONAL = {
    **{f"canary {number}": canary for number, canary in enumerate(CANARIES)},
    "a customer's contact": "contact@",
    "a customer's telephone": "0600000000",
    "a person of the provider": '"Agent"',
}
TOKEN = re.compile(r"eyJ[\w-]{10,}\.[\w-]{10,}\.")


@contextmanager
def policy(stage: Stage, folder: Path) -> Iterator[Callable[..., None]]:
    """An operator imports the campaign with other waves; the one that was played has none."""
    lines = (CHECKOUT / CAMPAIGN_FILE).read_text().splitlines()
    kept = [line for line in lines if not line.startswith("roster:")]
    file = folder / "campaign.yaml"

    def is_now(**waves: Any) -> None:
        added = {"roster": str(ROSTER), **({"waves": waves} if waves else {})}
        file.write_text("\n".join([*kept, yaml.safe_dump(added)]))
        stage.nce("campaign", "import", str(file), "--by", "anna")

    try:
        yield is_now
    finally:
        is_now()


def begun_waves(stage: Stage) -> list[list[str]]:
    waves = json.loads(stage.nce("campaign", "waves", "--json"))["waves"]
    return [wave["partners"] for wave in waves if wave["begun_at"]]


def _run_again(stage: Stage, partner: str) -> str:
    """Start a partner whose run has ended; the id of the run that it gets."""
    before = stage.run_ids()
    stage.nce("backfill", partner, "--yes", "--wait")
    [further] = stage.run_ids() - before
    return further


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
    assert re.search(sentence, str(stage.run(run_id, CAMPAIGN_DAG)["note"]))
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
