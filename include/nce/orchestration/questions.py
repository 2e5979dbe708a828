"""The tasks that ask a person, by Airflow's own human-in-the-loop.

Such a task waits in `awaiting_input`, without worker or trigger, under *Required Actions*.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from airflow.triggers.base import StartTriggerArgs

_VIOLET, _AMBER = "#ede0f7", "#fef3c7"


class ApprovePlan(ApprovalOperator):
    """One approval between the plan and the batches, asked for only where the campaign's policy wants one.

    Starts in the triggerer, and ends there when nobody has to be asked. Otherwise a worker asks, and the task
    waits in Airflow's `awaiting_input`, where it costs nothing; the answer goes to the ledger first.
    """

    start_from_trigger = True
    template_fields: Sequence[str] = ("run_id",)
    ui_color = _VIOLET

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(subject="Approve the plan?", **kwargs)
        self.run_id = "{{ run_id }}"
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls="include.nce.orchestration.triggers.ApprovalTrigger",
            trigger_kwargs={"run_id": self.run_id},
            next_method="ask",
            timeout=None,
        )

    def ask(self, context: Context, event: Any = None) -> Any:
        """Ask a person about the plan as it is now; the operator's own words go into the question."""
        from include.nce.orchestration.composition import product, run
        from include.nce.steps.approve_plan import approve_plan

        async def standing() -> Any:
            async with product() as world:
                return await approve_plan(context["run_id"], ledger=world.ledger, clock=world.clock)

        found = run(standing())
        self.log.info("%s", found.sentence)
        if found.may_go_on:
            return None
        self.subject, self.body = found.subject, found.body
        context["ti"].xcom_push(key="plan_hash", value=found.plan_hash)
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        from include.nce.orchestration.composition import product, run
        from include.nce.steps.approve_plan import record_answer

        if "error" not in event:
            person = event["responded_by_user"] or {}

            async def keep() -> str:
                async with product() as world:
                    return await record_answer(
                        context["run_id"],
                        str(context["ti"].xcom_pull(task_ids=self.task_id, key="plan_hash")),
                        approved=event["chosen_options"] == [self.APPROVE],
                        decided_by=str(person.get("name") or person.get("id") or "unknown"),
                        comment=str((event["params_input"] or {}).get("comment") or ""),
                        ledger=world.ledger,
                        clock=world.clock,
                    )

            self.log.info("%s.", run(keep()))
        super().execute_complete(context, event)


class ApproveUndo(ApprovalOperator):
    """Asks a person, always; the answer goes into the ledger with the name before anything follows it."""

    ui_color = _AMBER
    template_fields: Sequence[str] = ()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(subject="Undo?", **kwargs)

    def execute(self, context: Context) -> Any:
        from include.nce.orchestration.composition import product, run
        from include.nce.steps.plan_undo import UndoPlanned, question

        async def asked() -> UndoPlanned:
            async with product() as world:
                plan = await world.ledger.undo_plan(context["run_id"])
                if plan is None:
                    raise AirflowFailException(f"{context['run_id']} has no undo plan: clear plan_undo.")
                return UndoPlanned(plan, await world.clock.now())

        planned = run(asked())
        self.subject, self.body = question(planned, str(context["params"]["reason"]))
        context["ti"].xcom_push(key="hash", value=planned.plan.hash)
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        from include.nce.orchestration.composition import product, run
        from include.nce.steps.plan_undo import answer_undo

        if "error" not in event:
            person = event.get("responded_by_user") or {}
            who = str(person.get("name") or person.get("id") or "")
            if not who:
                raise AirflowFailException("Nobody's name came with the answer, so it approves nothing.")

            async def keep() -> None:
                async with product() as world:
                    await answer_undo(
                        context["run_id"],
                        str(context["ti"].xcom_pull(task_ids=self.task_id, key="hash")),
                        approved=event["chosen_options"] == [self.APPROVE],
                        who=who,
                        ledger=world.ledger,
                        clock=world.clock,
                    )

            run(keep())
        return super().execute_complete(context, event)


class ConfirmRerun(ApprovalOperator):
    """Shows what starting the partners again would do, and waits for a person where the form says so."""

    template_fields: Sequence[str] = ()

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("subject", "Start these partners again?")
        super().__init__(**kwargs)

    def execute(self, context: Context) -> Any:
        from include.nce.domain.errors import InputRefused
        from include.nce.orchestration.composition import run
        from include.nce.orchestration.params import CampaignConf

        conf = CampaignConf.read(context["params"])
        if conf.existing != "rerun" or conf.mode != "apply":
            self.log.info("Nothing is run again: no question.")
            return None
        orders = context["ti"].xcom_pull(task_ids="enrol_partners") or []
        try:
            would_do = run(_would_do(conf.campaign, [order["conf"]["partner"] for order in orders]))
        except InputRefused as refused:
            raise AirflowFailException(str(refused)) from None
        self.log.info("This would do: %s", would_do)
        context["ti"].xcom_push(key="sentence", value=f"Run again: {would_do}")
        if not conf.ask:
            self.log.info("The form says not to ask: going on.")
            return None
        self.body = f"This would do: {would_do}"
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        who = (event.get("responded_by_user") or {}).get("name", "somebody")
        if event.get("chosen_options") == [self.REJECT]:
            raise AirflowSkipException(f"Rejected by {who}: nothing is started.")
        answered = super().execute_complete(context, event)
        self.log.info("Approved by %s.", who)
        return answered


async def _would_do(campaign: str, partners: list[str]) -> str:
    from include.nce.orchestration.composition import product
    from include.nce.steps.people.start_runs import preview_start

    async with product() as world:
        return await preview_start(campaign, partners, ledger=world.ledger, clock=world.clock)
