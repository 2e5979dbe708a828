"""Questions and starts as the ledger keeps them, in memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime

from include.nce.domain.preview import Preview
from include.nce.domain.question import AskedQuestion, PersonsAnswer, Question, QuestionKind
from include.nce.domain.run import Run
from include.nce.domain.starts import StartList


class FakeQuestions:
    """`refused` holds the sentence of each answer that did not count."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: dict[str, Run] = {}
        self.asked: list[AskedQuestion] = []
        self.refused: list[str] = []
        self.would_do = Preview(0, 0, 0)
        """What starting partners again would do."""
        self._given: set[tuple[str, QuestionKind, datetime]] = set()
        self._starts: dict[str, StartList] = {}
        self._runs_then: dict[int, set[str]] = {}

    async def record_question(self, question: Question, *, at: datetime) -> AskedQuestion:
        standing = await self.question(question.run_id, question.kind)
        if standing is not None and standing.stands and standing.question == question:
            return standing
        self.asked.append(AskedQuestion(len(self.asked) + 1, question, at))
        self._runs_then[len(self.asked)] = set(self.runs)
        return self.asked[-1]

    async def question(self, run_id: str, kind: QuestionKind) -> AskedQuestion | None:
        mine = [a for a in self.asked if (a.question.run_id, a.question.kind) == (run_id, kind)]
        if not mine:
            return None
        return replace(mine[-1], overtaken_by=self._overtaken_by(mine[-1]))

    def _overtaken_by(self, asked: AskedQuestion) -> str:
        question = asked.question
        if question.kind is not QuestionKind.APPROVE_PLAN:
            return ""
        later = [
            run.run_id
            for run in self.runs.values()
            if run.run_id not in self._runs_then[asked.question_id]
            and (run.campaign, run.partner.partner, run.mode)
            == (question.campaign, question.partner, "apply")
        ]
        return later[-1] if later else ""

    async def questions(self, run_ids: Collection[str]) -> Mapping[str, AskedQuestion]:
        found = {}
        for asked in self.asked:
            question = asked.question
            latest = await self.question(question.run_id, question.kind)
            if question.run_id in run_ids and latest is not None:
                found[question.run_id] = latest
        return found

    async def record_question_answer(
        self, question_id: int, answer: PersonsAnswer, *, refused: str, at: datetime
    ) -> None:
        asked = self.asked[question_id - 1]
        key = (asked.question.run_id, asked.question.kind, answer.given_at)
        if key in self._given:
            return
        self._given.add(key)
        if refused:
            self.refused.append(refused)
        else:
            assert asked.answer is None, "a question is answered once"
            self.asked[question_id - 1] = replace(asked, answer=answer)

    async def has_answer(self, run_id: str, kind: QuestionKind, given_at: datetime) -> bool:
        return (run_id, kind, given_at) in self._given

    async def record_starts(self, starts: StartList, *, at: datetime) -> None:
        self._starts[starts.run_id] = starts

    async def starts(self, run_id: str) -> StartList | None:
        return self._starts.get(run_id)

    async def run_ids_of(self, campaign: str, partners: Collection[str]) -> Mapping[str, str]:
        return {
            run.run_id: run.partner.partner
            for run in self.runs.values()
            if run.campaign == campaign and run.partner.partner in partners
        }

    async def runs_that_asked(self, run_ids: Collection[str]) -> Collection[str]:
        return {asked.question.run_id for asked in self.asked if asked.question.run_id in run_ids}

    async def preview(self, campaign: str, partners: Collection[str], *, now_at: datetime) -> Preview:
        return replace(self.would_do, partners=len(partners))
