"""`nce approval`: what waits for a person's word in Airflow, and giving it from the command line.

Airflow asks and knows who may answer; the ledger says which question stands. What is shown here is the
question on record, and the answer carries its hash to the task that asked, which puts it on record.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from include.nce.cli.display import Document, Instant, Part, in_utc, print_json, print_table, remark, say
from include.nce.cli.entry import as_command
from include.nce.cli.surroundings import JsonOption, open_ledger
from include.nce.domain.errors import InputRefused
from include.nce.domain.privacy import masked

if TYPE_CHECKING:
    from include.nce.cli.airflow_api import AirflowApi, Question
    from include.nce.domain.question import AskedQuestion

approval_app = typer.Typer(
    name="approval", no_args_is_help=True, help="Plans and other questions that wait for a person's word."
)

RunArgument = Annotated[
    str,
    typer.Argument(metavar="RUN|PARTNER", help="The run that asks, or its partner; see nce approval list."),
]
CommentOption = Annotated[str, typer.Option(metavar="TEXT", help="Why; it stays on record.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not show the question and ask again.")]


class PendingQuestion(Part):
    """One question that Airflow shows as unanswered.

    `hash` is what is decided, `fingerprint` that of the text; null: asked by a version that put nothing on
    record. `stands`: an answer would count.
    """

    dag_id: str
    run_id: str
    task_id: str
    subject: str
    asked_at: Instant
    hash: str | None
    fingerprint: str | None
    stands: bool


class PendingQuestions(Document):
    """What `nce approval list --json` prints."""

    questions: list[PendingQuestion]


@approval_app.command("list")
@as_command
async def list_(as_json: JsonOption = False) -> None:
    """List what waits for a person's word, oldest first."""
    from include.nce.cli.airflow_api import AirflowApi

    with AirflowApi.open() as airflow:
        pending = await _pending(airflow)
    if as_json:
        print_json(PendingQuestions(questions=[each.told for each in pending]))
    elif pending:
        print_table(
            ("RUN", "TASK", "ASKED (UTC)", "HASH", "QUESTION"),
            [
                (
                    each.shown.run_id,
                    each.shown.task_id,
                    in_utc(each.shown.asked_at),
                    each.asked.question.short_hash if each.asked else "-",
                    each.shown.subject if each.stands else f"does not stand: {each.why_not}",
                )
                for each in pending
            ],
        )
    else:
        say("Nothing waits for a person's word.")


@approval_app.command("give")
@as_command
async def give(run: RunArgument, comment: CommentOption = "", yes: YesOption = False) -> None:
    """Approve what a run asks.

    The whole question is shown first. The approval is bound to the plan as it is now, and names the
    Airflow user that `nce` is logged in as.
    """
    await _answer(run, "Approve", comment, yes=yes)


@approval_app.command("reject")
@as_command
async def reject(run: RunArgument, comment: CommentOption, yes: YesOption = False) -> None:
    """Reject what a run asks.

    Nothing of it is done; what the plan would have bought is held with your comment.
    """
    if not comment.strip():
        raise InputRefused(["comment: it is empty; say why, it stays on record."])
    await _answer(run, "Reject", comment, yes=yes)


@dataclass(frozen=True)
class _Pending:
    """What Airflow shows, beside what the ledger has on record for that run."""

    shown: Question
    asked: AskedQuestion | None

    @property
    def why_not(self) -> str:
        """Why an answer would not count; empty: it would."""
        if self.asked is None:
            return ""
        if self.asked.overtaken_by:
            return f"run {self.asked.overtaken_by} was started for this partner since."
        if self.asked.answer is not None:
            return f"{self.asked.answer.who} has answered it, and its task has not gone on yet."
        question = self.asked.question
        if (masked(self.shown.subject), masked(self.shown.body)) != (question.subject, question.body):
            return "Airflow shows another text than the one on record; start the partner again."
        return ""

    @property
    def stands(self) -> bool:
        return not self.why_not

    @property
    def told(self) -> PendingQuestion:
        return PendingQuestion(
            dag_id=self.shown.dag_id,
            run_id=self.shown.run_id,
            task_id=self.shown.task_id,
            subject=self.shown.subject,
            asked_at=self.shown.asked_at,
            hash=self.asked.question.about if self.asked else None,
            fingerprint=self.asked.question.fingerprint if self.asked else None,
            stands=self.stands,
        )


async def _pending(airflow: AirflowApi) -> list[_Pending]:
    shown = airflow.questions()
    async with open_ledger() as ledger:
        asked = await ledger.questions([question.run_id for question in shown])
    return [_Pending(question, asked.get(question.run_id)) for question in shown]


async def _answer(run: str, word: str, comment: str, *, yes: bool) -> None:
    from include.nce.cli.airflow_api import AirflowApi

    with AirflowApi.open() as airflow:
        pending = _meant(run, await _pending(airflow))
        question = pending.shown
        if not pending.stands:
            raise InputRefused([f"The question of {question.run_id} does not stand: {pending.why_not}"])
        if not yes:
            say(question.subject)
            for line in question.body.splitlines():
                say(line)
            if not sys.stdin.isatty():
                raise InputRefused(["Nobody can be asked here; look at the question, then add --yes."])
            if not typer.confirm(f"{word} it?"):
                say("Nothing was answered.")
                return
        form = {"comment": comment.strip()}
        if pending.asked is not None:
            form["hash"] = pending.asked.question.about
        airflow.answer(question, word, form)
        say(f"{word}: {question.subject}")
        remark(airflow.page(question.dag_id, question.run_id))


def _meant(run: str, pending: list[_Pending]) -> _Pending:
    fitting = [each for each in pending if each.shown.run_id == run]
    if not fitting:
        of_partner = [each for each in pending if run in each.shown.run_id.split("__")]
        fitting = [each for each in of_partner if each.stands] or of_partner
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise InputRefused([f"Run '{run}' asks nothing; see nce approval list."])
    named = ", ".join(each.shown.run_id for each in fitting)
    raise InputRefused([f"Several runs of '{run}' ask; name one: {named}."])
