"""The tasks of `nce_undo`: what each does is said by its step, how Airflow runs it is said here.

The question to a person is asked by `questions.ApproveUndo`.
"""

from __future__ import annotations

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from include.nce.orchestration.operators import _FirstStep, _Step, failed_tasks


class PlanUndo(_FirstStep):
    """Writes down what would be undone."""

    async def work(self, context: Context) -> None:
        from include.nce.orchestration.composition import product
        from include.nce.orchestration.params import UndoConf
        from include.nce.steps.plan_undo import UndoWish, plan_undo, say_line

        conf = UndoConf.read(context["params"])
        wish = UndoWish(
            conf.campaign,
            conf.partner,
            conf.reason,
            conf.asked_by or "the trigger form",
            subscription_id=conf.subscription,
            customer_id=conf.customer,
        )
        async with product() as world:
            planned = await plan_undo(
                context["run_id"], wish,
                partner_center=world.partner_center, ledger=world.ledger, clock=world.clock,
            )  # fmt: skip
        for line in planned.plan.lines:
            self.log.info(say_line(line, planned.now_at))
        if not planned.possible:
            first = planned.plan.lines[0]
            raise AirflowFailException(
                f"Nothing of it can be undone now: {first.legacy_id}: {first.why}. A person decides; see nce "
                "undo list."
            )


class UndoConversions(_Step):
    """Takes back what was approved, and nothing else."""

    ui_color = "#fde8d0"

    async def work(self, context: Context) -> None:
        import asyncio

        from include.nce.orchestration.composition import product
        from include.nce.steps.undo_conversion import undo_conversions

        async with product() as world:
            done = await undo_conversions(
                context["run_id"],
                partner_center=world.partner_center, ledger=world.ledger, clock=world.clock,
                pause=asyncio.sleep,
            )  # fmt: skip
        for sentence in (*done.pending, *done.stopped):
            self.log.error(sentence)
        if done.stopped:
            raise AirflowFailException(
                f"{done.undone} undone, {len(done.stopped)} for a person to decide. {done.stopped[0]}"
            )
        if done.pending:
            raise AirflowException(
                f"{done.undone} undone, {len(done.pending)} not confirmed yet. {done.pending[0]}"
            )
        self.log.info("All %d cases are undone.", done.undone)


class CloseUndo(_Step):
    """Says how the undo ended; its colour is the run's."""

    ui_color = "#e8eaed"

    async def work(self, context: Context) -> None:
        from include.nce.orchestration.composition import product
        from include.nce.steps.close_undo import close_undo

        async with product() as world:
            closed = await close_undo(context["run_id"], failed_tasks(context), ledger=world.ledger)
        told = f"{closed.outcome}: {closed.sentence}"
        context["ti"].xcom_push(key="sentence", value=told)
        if closed.needs_somebody:
            raise AirflowFailException(told)
        self.log.info("%s", told)
