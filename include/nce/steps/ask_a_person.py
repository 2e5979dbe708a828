"""A question to a person: what stands, what is on record as asked, and what an answer leads to.

Airflow shows the question and takes the answer; the ledger says what was asked and which answer counts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from include.nce.domain.errors import InputRefused
from include.nce.domain.privacy import masked
from include.nce.domain.question import (
    AskedQuestion,
    PersonsAnswer,
    Question,
    QuestionKind,
    Standing,
    why_not_taken,
)
from include.nce.steps.approve_plan import approve_plan, follow_plan_answer
from include.nce.steps.confirm_rerun import confirm_rerun, follow_rerun_answer
from include.nce.steps.plan_undo import approve_undo, follow_undo_answer
from include.nce.steps.ports import Clock, Ledger


@dataclass(frozen=True)
class _Matter:
    """What is decided: what would be asked now, and what follows from an answer that counts."""

    standing: Callable[..., Awaitable[Standing]]
    follow: Callable[..., Awaitable[str]]


_MATTERS: Mapping[QuestionKind, _Matter] = {
    QuestionKind.APPROVE_PLAN: _Matter(approve_plan, follow_plan_answer),
    QuestionKind.APPROVE_UNDO: _Matter(approve_undo, follow_undo_answer),
    QuestionKind.CONFIRM_RERUN: _Matter(confirm_rerun, follow_rerun_answer),
}


async def what_stands(kind: QuestionKind, run_id: str, *, ledger: Ledger, clock: Clock) -> Standing:
    """Whether the run may go on, or what has to be asked now."""
    standing = await _MATTERS[kind].standing(run_id, ledger=ledger, clock=clock)
    if standing.question is None:
        return standing
    return replace(standing, question=_without_persons(standing.question))


async def put_question(question: Question, *, ledger: Ledger, clock: Clock) -> AskedQuestion:
    """Put on record what Airflow shows. The same question that still stands is not put twice."""
    return await ledger.record_question(_without_persons(question), at=await clock.now())


def _without_persons(question: Question) -> Question:
    """What is shown and what is on record are the same: neither holds an address or a telephone number."""
    return replace(question, subject=masked(question.subject), body=masked(question.body))


async def take_answer(
    kind: QuestionKind, run_id: str, answer: PersonsAnswer, *, ledger: Ledger, clock: Clock
) -> str:
    """Record a person's answer to the standing question, and do what follows; what happened, in a sentence.

    Raises InputRefused when the answer does not count: it has no name, is to another question, or comes too
    late. The refusal goes on record, too. The same answer again changes nothing.
    """
    asked = await ledger.question(run_id, kind)
    if asked is None:
        raise InputRefused([f"Run '{run_id}' has asked nothing."])
    matter, now_at = _MATTERS[kind], await clock.now()
    if asked.answer is not None and asked.answer.given_at == answer.given_at:
        return f"{answer.who}'s answer was taken before"
    now_asked = (await matter.standing(run_id, ledger=ledger, clock=clock)).question
    refused = why_not_taken(asked, answer, now_asked)
    if not refused:
        # First what follows, and it can be done twice: whatever dies in between, the answer is taken again.
        said = await matter.follow(asked.question, answer, ledger=ledger, clock=clock)
    await ledger.record_question_answer(asked.question_id, answer, refused=refused, at=now_at)
    if refused:
        raise InputRefused([refused])
    return said


async def is_known(kind: QuestionKind, run_id: str, answer: PersonsAnswer, *, ledger: Ledger) -> bool:
    """Whether this very answer was dealt with before, taken or refused."""
    return await ledger.has_answer(run_id, kind, answer.given_at)
