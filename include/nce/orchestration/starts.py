"""The task that starts a partner's run: what it starts is read from the ledger, no other task hands it on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from include.nce.domain.errors import InputRefused

PARTNER_DAG = "nce_partner_migration"


class StartPartner(TriggerDagRunOperator):
    """Starts the run with this number in the list that its own run has on record."""

    template_fields: Sequence[str] = ("number",)

    def __init__(self, *, number: Any, **kwargs: Any) -> None:
        super().__init__(trigger_dag_id=PARTNER_DAG, skip_when_already_exists=True, **kwargs)
        self.number = number

    def execute(self, context: Context) -> Any:
        from include.nce.orchestration.composition import product, run
        from include.nce.steps.start_partners import start_of

        async def order() -> Any:
            async with product() as world:
                return await start_of(context["run_id"], self.number, ledger=world.ledger)

        try:
            found = run(order())
        except InputRefused as refused:
            raise AirflowFailException(str(refused)) from None
        self.trigger_run_id, self.conf = found["trigger_run_id"], found["conf"]
        self.note, self.reset_dag_run = found["note"], found["reset_dag_run"]
        return super().execute(context)


def state_of(context: Context) -> Callable[[str], str | None]:
    """What Airflow says of a partner's run: `open`, `ended`, or None where it does not know it."""
    ti = context["ti"]

    def state(run_id: str) -> str | None:
        if not ti.get_dr_count(PARTNER_DAG, run_ids=[run_id]):
            return None
        return (
            "open"
            if ti.get_dr_count(PARTNER_DAG, run_ids=[run_id], states=["queued", "running"])
            else "ended"
        )

    return state
