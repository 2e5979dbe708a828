"""Questions on record: what people were asked as it was shown, and what they answered.

Which answer counts is said by `domain.question`; here it is kept, and a question is answered once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from include.nce.domain.question import AskedQuestion, PersonsAnswer, Question, QuestionKind
from include.nce.ledger.tables import QuestionAnswerRow, QuestionRow, RunEvent, RunHistoryRow, RunRow
from include.nce.ledger.transactions import Transactions, in_turn


class Questions(Transactions):
    """Implements `include.nce.steps.ports.QuestionRecords`."""

    async def record_question(self, question: Question, *, at: datetime) -> AskedQuestion:
        """Put a question on record; the run's latest is kept when it is the same and still stands."""
        async with self._transaction() as session:
            await in_turn(session, "question", question.run_id, question.kind.value)
            standing = await _latest(session, question.run_id, question.kind)
            if standing is not None and standing.stands and standing.question == question:
                return standing
            row = QuestionRow(
                kind=question.kind,
                run_id=question.run_id,
                campaign=question.campaign,
                partner=question.partner,
                about=question.about,
                subject=question.subject,
                body=question.body,
                fingerprint=question.fingerprint,
                asked_at=at,
            )
            session.add(row)
            await session.flush()
            return AskedQuestion(row.question_id, question, at)

    async def question(self, run_id: str, kind: QuestionKind) -> AskedQuestion | None:
        """The run's latest question of the kind, answered or not."""
        async with self._transaction() as session:
            return await _latest(session, run_id, kind)

    async def questions(self, run_ids: Collection[str]) -> Mapping[str, AskedQuestion]:
        """The latest question of each of these runs; a run that asked nothing is left out."""
        async with self._transaction() as session:
            found = {}
            for run_id, kind in (
                await session.execute(
                    select(QuestionRow.run_id, QuestionRow.kind)
                    .where(QuestionRow.run_id.in_(run_ids))
                    .distinct()
                )
            ).tuples():
                found[run_id] = await _latest(session, run_id, kind)
        return {run_id: asked for run_id, asked in found.items() if asked is not None}

    async def record_question_answer(
        self, question_id: int, answer: PersonsAnswer, *, refused: str, at: datetime
    ) -> None:
        """Keep an answer; `refused` says why it does not count, empty where it does. Kept once."""
        async with self._transaction() as session:
            question = await session.get_one(QuestionRow, question_id)
            await in_turn(session, "question", question.run_id, question.kind.value)
            if await _known(session, question.run_id, question.kind, answer.given_at):
                return
            session.add(
                QuestionAnswerRow(
                    question_id=question_id,
                    about=answer.about,
                    approved=answer.approved,
                    who=answer.who,
                    comment=answer.comment,
                    given_at=answer.given_at,
                    refused=refused,
                    at=at,
                )
            )

    async def has_answer(self, run_id: str, kind: QuestionKind, given_at: datetime) -> bool:
        """Whether the answer that Airflow took at this moment is on record, taken or refused."""
        async with self._transaction() as session:
            return await _known(session, run_id, kind, given_at)


async def _latest(session: AsyncSession, run_id: str, kind: QuestionKind) -> AskedQuestion | None:
    row = await session.scalar(
        select(QuestionRow)
        .where(QuestionRow.run_id == run_id, QuestionRow.kind == kind)
        .order_by(QuestionRow.question_id.desc())
        .limit(1)
    )
    if row is None:
        return None
    answer = await session.scalar(
        select(QuestionAnswerRow).where(
            QuestionAnswerRow.question_id == row.question_id, QuestionAnswerRow.refused == ""
        )
    )
    question = Question(row.kind, row.run_id, row.campaign, row.partner, row.about, row.subject, row.body)
    taken = (
        None
        if answer is None
        else PersonsAnswer(answer.approved, answer.who, answer.given_at, answer.about, answer.comment)
    )
    return AskedQuestion(row.question_id, question, row.asked_at, taken, await _overtaken_by(session, row))


async def _overtaken_by(session: AsyncSession, row: QuestionRow) -> str:
    """The latest run that was opened to buy for the partner since a plan was asked about; empty: none."""
    if row.kind is not QuestionKind.APPROVE_PLAN:
        return ""
    later = await session.scalar(
        select(RunHistoryRow.run_id)
        .join(RunRow, RunRow.run_id == RunHistoryRow.run_id)
        .where(
            RunRow.campaign == row.campaign,
            RunRow.partner == row.partner,
            RunRow.run_id != row.run_id,
            RunHistoryRow.mode == "apply",
            RunHistoryRow.event != RunEvent.CLOSED,
            RunHistoryRow.recorded_at > row.recorded_at,
        )
        .order_by(RunHistoryRow.history_id.desc())
        .limit(1)
    )
    return later or ""


async def _known(session: AsyncSession, run_id: str, kind: QuestionKind, given_at: datetime) -> bool:
    query = (
        select(QuestionAnswerRow.answer_id)
        .join(QuestionRow, QuestionRow.question_id == QuestionAnswerRow.question_id)
        .where(
            QuestionRow.run_id == run_id,
            QuestionRow.kind == kind,
            QuestionAnswerRow.given_at == given_at,
        )
        .limit(1)
    )
    return await session.scalar(query) is not None
