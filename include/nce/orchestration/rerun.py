"""The question before runs are started again, asked by Airflow's own human-in-the-loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException


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
