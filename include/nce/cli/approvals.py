"""`nce approval`: what waits for a person's word in Airflow, and giving it from the command line.

Airflow asks and knows who may answer; the task that asked puts the answer on record in the ledger, bound to
the hash of the plan.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from include.nce.cli.display import Document, Instant, Part, in_utc, print_json, print_table, remark, say
from include.nce.cli.entry import as_command
from include.nce.cli.surroundings import JsonOption
from include.nce.domain.errors import InputRefused

if TYPE_CHECKING:
    from include.nce.cli.airflow_api import Question

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
    """One question that nobody has answered yet."""

    dag_id: str
    run_id: str
    task_id: str
    subject: str
    asked_at: Instant


class PendingQuestions(Document):
    """What `nce approval list --json` prints."""

    questions: list[PendingQuestion]


@approval_app.command("list")
@as_command
async def list_(as_json: JsonOption = False) -> None:
    """List what waits for a person's word, oldest first."""
    from include.nce.cli.airflow_api import AirflowApi

    with AirflowApi.open() as airflow:
        questions = airflow.questions()
    if as_json:
        print_json(
            PendingQuestions(
                questions=[
                    PendingQuestion(
                        dag_id=q.dag_id,
                        run_id=q.run_id,
                        task_id=q.task_id,
                        subject=q.subject,
                        asked_at=q.asked_at,
                    )
                    for q in questions
                ]
            )
        )
    elif questions:
        print_table(
            ("RUN", "TASK", "ASKED (UTC)", "QUESTION"),
            [(q.run_id, q.task_id, in_utc(q.asked_at), q.subject) for q in questions],
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
    _answer(run, "Approve", comment, yes=yes)


@approval_app.command("reject")
@as_command
async def reject(run: RunArgument, comment: CommentOption, yes: YesOption = False) -> None:
    """Reject what a run asks.

    Nothing of it is done; what the plan would have bought is held with your comment.
    """
    if not comment.strip():
        raise InputRefused(["comment: it is empty; say why, it stays on record."])
    _answer(run, "Reject", comment, yes=yes)


def _answer(run: str, word: str, comment: str, *, yes: bool) -> None:
    from include.nce.cli.airflow_api import AirflowApi

    with AirflowApi.open() as airflow:
        question = _meant(run, airflow.questions())
        if not yes:
            say(question.subject)
            for line in question.body.splitlines():
                say(line)
            if not sys.stdin.isatty():
                raise InputRefused(["Nobody can be asked here; look at the question, then add --yes."])
            if not typer.confirm(f"{word} it?"):
                say("Nothing was answered.")
                return
        airflow.answer(question, word, comment.strip())
        say(f"{word}: {question.subject}")
        remark(airflow.page(question.dag_id, question.run_id))


def _meant(run: str, questions: list[Question]) -> Question:
    fitting = [q for q in questions if q.run_id == run] or [
        q for q in questions if run in q.run_id.split("__")
    ]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise InputRefused([f"Run '{run}' asks nothing; see nce approval list."])
    raise InputRefused([f"Several runs of '{run}' ask; name one: {', '.join(q.run_id for q in fitting)}."])
