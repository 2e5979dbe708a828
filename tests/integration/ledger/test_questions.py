"""What a question relies on, asked of the real ledger and of the fake alike."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from include.nce.domain.question import PersonsAnswer, Question, QuestionKind
from include.nce.domain.starts import StartList
from tests.integration.ledger.scene import AT, CAMPAIGN, LATER, RUN
from tests.integration.ledger.test_contract import ledger

__all__ = ["ledger"]  # the fixture: fake and real

KIND = QuestionKind.APPROVE_PLAN
ASKED = Question(
    KIND, RUN, CAMPAIGN, "rossi", "f6ade2fe" * 8, "Rossi: buy 2 subscriptions?", "**Plan f6ade2fe**"
)
GIVEN_AT = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
YES = PersonsAnswer(True, "olga", GIVEN_AT, ASKED.about, "looks right")


async def test_a_question_that_stands_is_kept_once(ledger):
    first = await ledger.record_question(ASKED, at=AT)
    again = await ledger.record_question(ASKED, at=LATER)
    assert (again.question_id, again.asked_at) == (first.question_id, AT)
    assert await ledger.question(RUN, KIND) == first
    assert await ledger.question(RUN, QuestionKind.CONFIRM_RERUN) is None


async def test_the_latest_question_of_a_run_stands(ledger):
    await ledger.record_question(ASKED, at=AT)
    other = replace(ASKED, about="4c24a501" * 8)
    await ledger.record_question(other, at=LATER)
    standing = await ledger.question(RUN, KIND)
    assert (standing.question, standing.asked_at, standing.stands) == (other, LATER, True)
    assert {run: asked.question for run, asked in (await ledger.questions([RUN, "x"])).items()} == {
        RUN: other
    }


async def test_an_answer_that_counts_is_kept_with_its_question_and_the_next_one_is_a_new_one(ledger):
    asked = await ledger.record_question(ASKED, at=AT)
    for _ in range(2):
        await ledger.record_question_answer(asked.question_id, YES, refused="", at=LATER)
    answered = await ledger.question(RUN, KIND)
    assert (answered.answer, answered.stands) == (YES, False)
    assert (await ledger.record_question(ASKED, at=LATER)).question_id != asked.question_id


async def test_a_refused_answer_leaves_the_question_standing_and_is_known(ledger):
    asked = await ledger.record_question(ASKED, at=AT)
    await ledger.record_question_answer(asked.question_id, YES, refused="it has no name", at=LATER)
    assert (await ledger.question(RUN, KIND)).stands
    assert await ledger.has_answer(RUN, KIND, GIVEN_AT)
    assert not await ledger.has_answer(RUN, KIND, GIVEN_AT + timedelta(seconds=1))
    assert not await ledger.has_answer(RUN, QuestionKind.APPROVE_UNDO, GIVEN_AT)


@pytest.mark.parametrize(("partner", "mode", "stands"), [
    ("rossi", "apply", False), ("rossi", "plan", True), ("verdi", "apply", True),
])  # fmt: skip
async def test_a_later_run_that_buys_for_the_partner_takes_over(ledger, partner, mode, stands):
    await ledger.record_question(ASKED, at=AT)
    later = f"{CAMPAIGN}__{partner}__2022-09-16"
    await ledger.open_run(later, CAMPAIGN, partner, mode, at=LATER)
    found = await ledger.question(RUN, KIND)
    assert (found.stands, found.overtaken_by) == (stands, "" if stands else later)
    assert (await ledger.record_question(ASKED, at=LATER)).stands


async def test_a_run_that_was_there_before_takes_nothing_over(ledger):
    await ledger.open_run(f"{RUN}__2022-09-16", CAMPAIGN, "rossi", "apply", at=LATER)
    await ledger.record_question(ASKED, at=AT)
    assert (await ledger.question(RUN, KIND)).stands


async def test_what_a_run_starts_is_its_latest_list(ledger):
    order = {"trigger_run_id": RUN, "conf": {"partner": "rossi"}, "note": "Rossi", "reset_dag_run": False}
    first = StartList("start", CAMPAIGN, "apply", True, True, (order,))
    latest = replace(first, orders=({**order, "trigger_run_id": f"{RUN}__2022-09-16"},))
    assert await ledger.starts("start") is None
    for starts in (first, latest):
        await ledger.record_starts(starts, at=AT)
    found = await ledger.starts("start")
    assert (found, found.hash) == (latest, latest.hash)
    assert latest.hash != first.hash


async def test_the_runs_of_a_partner_are_known_and_which_of_them_have_asked(ledger):
    further = f"{RUN}__2022-09-16"
    await ledger.open_run(further, CAMPAIGN, "rossi", "apply", at=LATER)
    await ledger.record_question(ASKED, at=AT)
    runs = await ledger.run_ids_of(CAMPAIGN, ["rossi", "verdi"])
    assert runs == {RUN: "rossi", further: "rossi"}
    assert set(await ledger.runs_that_asked(list(runs))) == {RUN}


async def test_the_database_itself_lets_one_answer_count(postgres_ledger):
    asked = await postgres_ledger.record_question(ASKED, at=AT)
    await postgres_ledger.record_question_answer(asked.question_id, YES, refused="", at=LATER)
    later = replace(YES, who="bruno", given_at=GIVEN_AT + timedelta(minutes=1))
    with pytest.raises(IntegrityError):
        await postgres_ledger.record_question_answer(asked.question_id, later, refused="", at=LATER)


async def test_the_fingerprint_on_record_is_that_of_the_text(postgres_ledger):
    await postgres_ledger.record_question(ASKED, at=AT)
    async with postgres_ledger._transaction() as session:
        kept = (await session.execute(text("SELECT fingerprint, about FROM questions"))).one()
    assert tuple(kept) == (ASKED.fingerprint, ASKED.about)
    assert replace(ASKED, body="another").fingerprint != ASKED.fingerprint
