"""`nce approval` and `nce apply`: giving a person's word, and carrying out one plan."""

from __future__ import annotations

import json
from typing import Any

import pytest

from include.nce.domain.question import AskedQuestion, PersonsAnswer, Question, QuestionKind
from tests.integration.cli.conftest import Desk
from tests.integration.ledger.scene import AT, CAMPAIGN, RUN, due, guid
from tests.support.airflow_api import FakeAirflow

SUBJECT = "Rossi S.r.l.: buy 2 subscriptions?"


BODY = "**Plan 3f2a9c1b** would buy\n\n| Offer | Seats |"
HASH = "3f2a9c1b" * 8


def put(desk: Desk, run_id: str = RUN, **changes: Any) -> AskedQuestion:
    """The question on record, as the task that asks puts it there."""
    facts = {"subject": SUBJECT, "body": BODY, "about": HASH, **changes}
    question = Question(QuestionKind.APPROVE_PLAN, run_id, CAMPAIGN, "rossi", **facts)
    return desk.ledger(lambda ledger: ledger.record_question(question, at=AT))


@pytest.fixture
def asked(desk: Desk, airflow: FakeAirflow) -> FakeAirflow:
    airflow.ask(RUN, SUBJECT, BODY)
    put(desk)
    return airflow


def test_what_waits_for_a_word_is_listed(desk: Desk, asked: FakeAirflow) -> None:
    done = desk.nce("approval", "list")
    assert done.exit_code == 0
    assert RUN in done.stdout
    assert SUBJECT in done.stdout


def test_more_questions_than_a_page_are_all_listed(desk: Desk, airflow: FakeAirflow) -> None:
    for number in range(230):
        airflow.ask(f"{CAMPAIGN}__partner-{number}", "buy?")
    listed = json.loads(desk.nce("approval", "list", "--json").stdout)["questions"]
    assert len({question["run_id"] for question in listed}) == 230


def test_nothing_to_say_is_said(desk: Desk, airflow: FakeAirflow) -> None:
    assert desk.nce("approval", "list").stdout == "Nothing waits for a person's word.\n"


@pytest.mark.parametrize("meant", [RUN, "rossi"])
def test_an_approval_goes_to_airflow_with_its_comment(desk: Desk, asked: FakeAirflow, meant: str) -> None:
    done = desk.nce("approval", "give", meant, "--yes", "--comment", " looks right ")
    assert done.exit_code == 0
    assert asked.answers == [
        (RUN, {"chosen_options": ["Approve"], "params_input": {"comment": "looks right", "hash": HASH}})
    ]


def test_a_rejection_needs_its_reason(desk: Desk, asked: FakeAirflow) -> None:
    refused = desk.nce("approval", "reject", "rossi", "--yes", "--comment", " ")
    assert (refused.exit_code, refused.stderr) == (2, "comment: it is empty; say why, it stays on record.\n")
    desk.nce("approval", "reject", "rossi", "--yes", "--comment", "not this week")
    assert [answer["chosen_options"] for _, answer in asked.answers] == [["Reject"]]


def test_without_a_person_to_look_at_it_nothing_is_answered(desk: Desk, asked: FakeAirflow) -> None:
    done = desk.nce("approval", "give", "rossi")
    assert done.exit_code == 2
    assert "Plan 3f2a9c1b" in done.stdout
    assert "add --yes" in done.stderr
    assert asked.answers == []


def test_who_asks_nothing_is_refused(desk: Desk, asked: FakeAirflow) -> None:
    done = desk.nce("approval", "give", "verdi", "--yes")
    assert (done.exit_code, done.stderr) == (2, "Run 'verdi' asks nothing; see nce approval list.\n")


def test_a_partner_of_whom_two_runs_ask_has_to_be_named_by_its_run(desk: Desk, asked: FakeAirflow) -> None:
    asked.ask(f"{RUN}__3f2a9c1b", SUBJECT, BODY)
    put(desk, f"{RUN}__3f2a9c1b")
    done = desk.nce("approval", "give", "rossi", "--yes")
    assert done.exit_code == 2
    assert f"{RUN}, {RUN}__3f2a9c1b" in done.stderr
    assert desk.nce("approval", "give", RUN, "--yes").exit_code == 0


def test_the_list_shows_what_is_decided_and_whether_an_answer_would_count(
    desk: Desk, asked: FakeAirflow
) -> None:
    asked.ask(f"{CAMPAIGN}__verdi", "Verdi: buy?")
    first, second = json.loads(desk.nce("approval", "list", "--json").stdout)["questions"]
    assert (first["hash"], first["stands"]) == (HASH, True)
    assert len(first["fingerprint"]) == 64
    assert (second["hash"], second["fingerprint"], second["stands"]) == (None, None, True)
    assert "3f2a9c1b" in desk.nce("approval", "list").stdout


def overtaken(desk: Desk) -> str:
    further = f"{RUN}__2022-09-16"
    desk.ledger(lambda ledger: ledger.open_run(further, CAMPAIGN, "rossi", "apply", at=AT))
    return further


def test_a_question_whose_partner_has_a_later_run_is_not_answered(desk: Desk, asked: FakeAirflow) -> None:
    further = overtaken(desk)
    done = desk.nce("approval", "give", RUN, "--yes")
    assert (done.exit_code, asked.answers) == (2, [])
    assert f"does not stand: run {further} was started for this partner since" in done.stderr
    assert "does not stand" in desk.nce("approval", "list").stdout


def test_a_partners_name_means_its_standing_question(desk: Desk, asked: FakeAirflow) -> None:
    further = overtaken(desk)
    asked.ask(further, SUBJECT, BODY)
    put(desk, further, about="4c24a501" * 8)
    assert desk.nce("approval", "give", "rossi", "--yes").exit_code == 0
    assert [(run, answer["params_input"]["hash"]) for run, answer in asked.answers] == [
        (further, "4c24a501" * 8)
    ]


def test_a_text_that_is_not_the_one_on_record_is_not_answered(desk: Desk, asked: FakeAirflow) -> None:
    put(desk, body="**Plan 4c24a501** would buy", about="4c24a501" * 8)
    done = desk.nce("approval", "give", RUN, "--yes")
    assert (done.exit_code, asked.answers) == (2, [])
    assert "Airflow shows another text than the one on record" in done.stderr


def test_a_user_who_may_not_answer_is_told_which_role_may(desk: Desk, asked: FakeAirflow) -> None:
    asked.may_answer = False
    done = desk.nce("approval", "give", "rossi", "--yes")
    assert done.exit_code == 1
    assert "role Op" in done.stderr


def plan_of(desk: Desk, run_id: str = RUN) -> str:
    async def plan(ledger: Any) -> str:
        verdicts = [due("one"), due("two")]
        await ledger.open_run(run_id, CAMPAIGN, "rossi", "plan", at=AT)
        await ledger.record_survey(run_id, [v.subscription for v in verdicts], [], at=AT)
        number = await ledger.record_verdicts(run_id, verdicts, [], at=AT)
        return str((await ledger.plan(number)).hash)

    return str(desk.ledger(plan))


def test_one_plan_is_carried_out_by_a_run_of_its_own(desk: Desk, airflow: FakeAirflow) -> None:
    made = plan_of(desk)
    done = desk.nce("apply", "rossi", made[:10])
    assert done.exit_code == 0
    (started,) = airflow.started
    assert (started["dag_id"], started["dag_run_id"]) == ("nce_partner_migration", f"{RUN}__{made[:8]}")
    assert started["conf"] == {"partner": "rossi", "campaign": CAMPAIGN, "mode": "apply", "plan": made}
    assert "at most 2 subscriptions are bought" in done.stdout


def test_the_same_plan_applied_again_clears_its_run(desk: Desk, airflow: FakeAirflow) -> None:
    made = plan_of(desk)
    for _ in range(2):
        assert desk.nce("apply", "rossi", made).exit_code == 0
    assert airflow.cleared == [f"{RUN}__{made[:8]}"]


def test_a_plan_that_nobody_made_starts_nothing(desk: Desk, airflow: FakeAirflow) -> None:
    plan_of(desk)
    done = desk.nce("apply", "rossi", "00000000")
    assert done.exit_code == 2
    assert "`nce plan rossi` makes one" in done.stderr
    assert airflow.started == []


def test_an_approval_is_told_by_explain_and_by_the_plan(desk: Desk, airflow: FakeAirflow) -> None:
    from include.nce.domain.approval import Approval, ApprovalWord

    made = plan_of(desk)

    async def approve(ledger: Any) -> None:
        said = Approval(made, ApprovalWord.APPROVED, "olga", AT, "looks right")
        await ledger.record_approval(CAMPAIGN, "rossi", said)

    desk.ledger(approve)
    for subject in ("rossi", guid("one")):
        assert f"olga approved plan {made[:8]}: looks right." in desk.nce("explain", subject).stdout


def test_explain_tells_what_was_asked_and_which_answer_did_not_count(
    desk: Desk, airflow: FakeAirflow
) -> None:
    asked = put(desk)
    answer = PersonsAnswer(True, "olga", AT, HASH)
    why = "olga's answer does not count: bruno has answered before."
    desk.ledger(lambda ledger: ledger.record_question_answer(asked.question_id, answer, refused=why, at=AT))
    told = desk.nce("explain", "rossi").stdout
    assert f"Run {RUN} asked: {SUBJECT}" in told
    assert why in told
