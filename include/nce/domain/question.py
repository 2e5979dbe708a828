"""What a person is asked, and which answer counts.

A question stands for one hash: of a plan, of an undo's lines, of what is started again. What is on record was
asked, whatever Airflow shows, and only an answer to the question that stands is followed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import Enum

from include.nce.domain.approval import SHORT_HASH
from include.nce.domain.author import Author
from include.nce.domain.errors import InputRefused


class QuestionKind(str, Enum):
    """The value is the id of the task that asks."""

    APPROVE_PLAN = "approve_plan"
    APPROVE_UNDO = "approve_undo"
    CONFIRM_RERUN = "confirm_rerun"


@dataclass(frozen=True)
class Question:
    """What one run asks. `about` is the hash of what is decided; subject and body (Markdown) are shown.

    `partner` is empty where the question is about the whole campaign.
    """

    kind: QuestionKind
    run_id: str
    campaign: str
    partner: str
    about: str
    subject: str
    body: str

    @property
    def short_hash(self) -> str:
        return self.about[:SHORT_HASH]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the question as it is shown; the same on every machine and in every process."""
        facts = {**asdict(self), "kind": self.kind.value}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class PersonsAnswer:
    """What a person answered. `given_at` is the machine's time at which Airflow took it.

    `about` is the hash that the answered page carried; empty: it carried none, and the answer is to what the
    page of this run shows.
    """

    approved: bool
    who: str
    given_at: datetime
    about: str = ""
    comment: str = ""


@dataclass(frozen=True)
class AskedQuestion:
    """A question on record, with the answer that counts and the later run that took its partner over."""

    question_id: int
    question: Question
    asked_at: datetime
    answer: PersonsAnswer | None = None
    overtaken_by: str = ""

    @property
    def stands(self) -> bool:
        return self.answer is None and not self.overtaken_by


@dataclass(frozen=True)
class Standing:
    """Whether a run may go on (it asks nothing), and why, in a sentence."""

    sentence: str
    question: Question | None = None

    @property
    def may_go_on(self) -> bool:
        return self.question is None


def why_not_taken(asked: AskedQuestion, answer: PersonsAnswer, now_asked: Question | None) -> str:
    """Why an answer does not count; empty: it does. `now_asked`: what would be asked at this moment."""
    question = asked.question
    try:
        Author(answer.who)
    except InputRefused as nameless:
        return str(nameless)
    if asked.overtaken_by:
        return (
            f"{answer.who}'s answer does not count: run {asked.overtaken_by} was started for this partner "
            f"since, and the question about {question.short_hash} does not stand any more."
        )
    if answer.about and answer.about != question.about:
        return (
            f"{answer.who}'s answer does not count: it is about {answer.about[:SHORT_HASH]}, and the "
            f"standing question is about {question.short_hash}."
        )
    if asked.answer is not None:
        return f"{answer.who}'s answer does not count: {asked.answer.who} has answered before."
    if now_asked is not None and now_asked.about != question.about:
        return (
            f"{answer.who}'s answer does not count: it is about {question.short_hash}, and by now "
            f"{now_asked.short_hash} would have to be decided."
        )
    return ""
