"""The tasks that ask a person, by Airflow's own human-in-the-loop.

Such a task waits in `awaiting_input`, without worker or trigger, under *Required Actions*. What was asked and
which answer counts is said by `steps.ask_a_person`; how Airflow shows a question and hands over an answer is
said here, once for all.

Airflow 3.3.2 keeps one question for each task instance, and shows the first one through retries and clears
(`upsert_hitl_detail`); so the task looks at what Airflow shows, and waits only when that is about what it
asks. An answer that Airflow took and the task never saw (a lost worker, a restart) is still in that row: a
trigger looks there before the task asks, because asking wipes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Context, Param
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskAwaitingInput
from airflow.triggers.base import StartTriggerArgs

from include.nce.domain.errors import InputRefused
from include.nce.domain.question import PersonsAnswer, Question, QuestionKind, Standing

_VIOLET, _AMBER = "#ede0f7", "#fef3c7"

COMMENT = "comment"
HASH = "hash"
"""The field of the form that carries what is asked about, so that the answer refers to it."""


class AskAPerson(ApprovalOperator):
    """Asks what stands, and follows an answer once it is in the ledger with a name."""

    kind: ClassVar[QuestionKind]
    template_fields: Sequence[str] = ()
    ui_color = _AMBER

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"subject": "Go on?", **kwargs})

    def execute(self, context: Context) -> None:
        if self._stands(context) is not None:
            from include.nce.orchestration.triggers import AnswerTrigger

            self.defer(trigger=AnswerTrigger(), method_name="ask")

    def ask(self, context: Context, event: Any = None) -> None:
        """Follow an answer that was given before the task could read it; else ask, and wait.

        Airflow calls this from the triggerer, where alone that answer can be read.
        """
        question = self._stands(context)
        if question is None:
            return
        given = (event or {}).get("given")
        if given and not self._told(self._dealt_with(context, _answer(given, approve=self.APPROVE))):
            self.log.info("An answer was given before this task could read it.")
            self.execute_complete(context, given)
            return
        shown = self._show(context, question)
        if shown is None:
            raise AirflowFailException(
                "This run has asked about something else before, and Airflow would show that again; by now "
                f"{question.short_hash} has to be decided. {self.remedy(question)}"
            )
        self._told(self._put(shown))
        self.log.info("Waiting for a person's answer about %s.", shown.short_hash)
        raise TaskAwaitingInput(method_name="execute_complete", timeout=None)

    def _stands(self, context: Context) -> Question | None:
        """What has to be asked; None: the task may go on."""
        standing: Standing = self._told(self._standing(context))
        self.log.info("%s", standing.sentence)
        self.tell(context, standing)
        return standing.question

    def tell(self, context: Context, standing: Standing) -> None:
        """Called with what stands, before it is asked."""

    def remedy(self, question: Question) -> str:
        return "Start it again."

    def execute_complete(self, context: Context, event: dict[str, Any]) -> None:
        """Follow a person's answer; Airflow calls this with it."""
        answer = _answer(event, approve=self.APPROVE)
        if self._told(self._on_record(context)) is None:
            # Asked by a version that put nothing on record: what Airflow shows says what it was about.
            standing: Standing = self._told(self._standing(context))
            shown = standing.question and self._show(context, standing.question)
            if shown is not None:
                self._told(self._put(shown))
        self.log.info("%s.", self._told(self._taken(context, answer)))
        if not answer.approved:
            self.rejected(context, answer)

    def rejected(self, context: Context, answer: PersonsAnswer) -> None:
        """What follows is skipped, and the run goes on to its closing task."""
        following = context["task"].get_direct_relatives(upstream=False)
        self.skip(ti=context["ti"], tasks=[task for task in following if not task.is_teardown])

    # What Airflow shows ------------------------------------------------------------------------------------

    def _show(self, context: Context, question: Question) -> Question | None:
        """Have Airflow show the question; what it shows then, or None when that is about something else."""
        from airflow.sdk.execution_time.comms import CreateHITLDetailPayload
        from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

        self.params[HASH] = Param(
            question.about,
            type="string",
            enum=[question.about],
            title="What is decided",
            description="The hash of what the question shows; the answer refers to it.",
        )
        shown: Any = SUPERVISOR_COMMS.send(
            msg=CreateHITLDetailPayload(
                ti_id=context["ti"].id,
                options=self.options,
                subject=question.subject,
                body=question.body,
                params=self.serialized_params,
                assigned_users=[],  # None is refused
            )
        )
        if not _is_about(question, shown.params, shown.body or ""):
            return None
        return replace(question, subject=shown.subject, body=shown.body or "")

    # What the ledger says ----------------------------------------------------------------------------------

    def _told(self, work: Any) -> Any:
        """Run one piece of work; a refusal is final and needs no traceback."""
        from include.nce.orchestration.composition import run

        try:
            return run(work)
        except InputRefused as refused:
            raise AirflowFailException(str(refused)) from None

    async def _standing(self, context: Context) -> Standing:
        from include.nce.orchestration.composition import product
        from include.nce.steps.ask_a_person import what_stands

        async with product() as world:
            return await what_stands(self.kind, context["run_id"], ledger=world.ledger, clock=world.clock)

    async def _put(self, question: Question) -> None:
        from include.nce.orchestration.composition import product
        from include.nce.steps.ask_a_person import put_question

        async with product() as world:
            await put_question(question, ledger=world.ledger, clock=world.clock)

    async def _on_record(self, context: Context) -> Any:
        from include.nce.orchestration.composition import product

        async with product() as world:
            return await world.ledger.question(context["run_id"], self.kind)

    async def _dealt_with(self, context: Context, answer: PersonsAnswer) -> bool:
        from include.nce.orchestration.composition import product
        from include.nce.steps.ask_a_person import is_known

        async with product() as world:
            return await is_known(self.kind, context["run_id"], answer, ledger=world.ledger)

    async def _taken(self, context: Context, answer: PersonsAnswer) -> str:
        from include.nce.orchestration.composition import product
        from include.nce.steps.ask_a_person import take_answer

        async with product() as world:
            return await take_answer(
                self.kind, context["run_id"], answer, ledger=world.ledger, clock=world.clock
            )


class ApprovePlan(AskAPerson):
    """One approval between the plan and the batches, asked for only where the campaign's policy wants one.

    Starts in the triggerer, and ends there when nothing has to be asked; otherwise a worker asks.
    """

    kind = QuestionKind.APPROVE_PLAN
    start_from_trigger = True
    template_fields: Sequence[str] = ("run_id",)
    ui_color = _VIOLET

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run_id = "{{ run_id }}"
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls="include.nce.orchestration.triggers.ApprovalTrigger",
            trigger_kwargs={"run_id": self.run_id},
            next_method="ask",
            timeout=None,
        )

    def remedy(self, question: Question) -> str:
        return f"Start the partner again, which asks in a run of its own: nce backfill {question.partner}."


class ApproveUndo(AskAPerson):
    """Asks a person, always."""

    kind = QuestionKind.APPROVE_UNDO

    def remedy(self, question: Question) -> str:
        return f"Start the undo again, which asks in a run of its own: nce undo start {question.partner}."


class ConfirmRerun(AskAPerson):
    """Shows what starting the partners again would do, and waits for a person where the form says so."""

    kind = QuestionKind.CONFIRM_RERUN

    def tell(self, context: Context, standing: Standing) -> None:
        if standing.sentence.startswith("Run again"):
            context["ti"].xcom_push(key="sentence", value=standing.sentence)

    def remedy(self, question: Question) -> str:
        return "Trigger nce_campaign again, which asks in a run of its own."

    def rejected(self, context: Context, answer: PersonsAnswer) -> None:
        raise AirflowSkipException(f"Rejected by {answer.who}: nothing is started.")


def _answer(event: Mapping[str, Any], *, approve: str) -> PersonsAnswer:
    """A person's answer as Airflow hands it over; the one place that reads it."""
    person = event.get("responded_by_user") or {}
    said = event.get("params_input") or {}
    given_at = event["responded_at"]
    return PersonsAnswer(
        approved=event["chosen_options"] == [approve],
        who=str(person.get("name") or person.get("id") or "").strip(),
        given_at=given_at if isinstance(given_at, datetime) else datetime.fromisoformat(str(given_at)),
        about=str(said.get(HASH) or "").strip(),
        comment=str(said.get(COMMENT) or "").strip(),
    )


def _is_about(question: Question, shown: Mapping[str, Any], body: str) -> bool:
    """Whether what Airflow shows is about what is asked.

    A question of an earlier version has no field for its hash; its text names it.
    """
    field = shown.get(HASH)
    if field is None:
        return f"**Plan {question.short_hash}**" in body or f"Lines: `{question.about[:12]}`" in body
    return (field.get("value") if isinstance(field, Mapping) else field) == question.about
