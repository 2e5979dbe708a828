"""The tasks of the DAGs: what each does is said by its step, how Airflow runs it is said here.

Waits start and end in the triggerer; steps that decide or spend run on a worker.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from airflow.triggers.base import StartTriggerArgs

from include.nce.domain.approval import SHORT_HASH
from include.nce.domain.errors import InputRefused, PartnerCenterFault
from include.nce.domain.readiness import Check
from include.nce.orchestration.retry_policy import RetryWhatTimeHelps, with_who_acts

_GREY, _VIOLET, _BLUE, _ORANGE = "#e8eaed", "#ede0f7", "#dbeafe", "#fde8d0"


class _Wait(BaseOperator):
    """A task that lives in the triggerer: no worker, no Airflow retries, no timeout."""

    start_from_trigger = True
    template_fields: Sequence[str] = ("run_id",)
    ui_color = _VIOLET

    def __init__(self, *, trigger: str, trigger_kwargs: dict[str, Any], **kwargs: Any) -> None:
        kwargs.update(retries=0, execution_timeout=None)
        super().__init__(**kwargs)
        self.run_id = "{{ run_id }}"
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls=f"include.nce.orchestration.triggers.{trigger}",
            trigger_kwargs={"run_id": self.run_id, **trigger_kwargs},
            next_method="execute_complete",
            timeout=None,
        )

    def execute(self, context: Context) -> None:
        raise AirflowFailException(f"{self.task_id} belongs in the triggerer, but a worker was given it.")

    def execute_complete(self, context: Context, event: Any = None) -> None:
        """Never reached: the trigger ends the task itself."""


class ReadinessCheck(_Wait):
    """Watches one check. Purple: outstanding. Green: in order. Red: still missing at the cut-over."""

    def __init__(self, *, check: str, **kwargs: Any) -> None:
        super().__init__(trigger="ReadinessTrigger", trigger_kwargs={"check": Check(check).value}, **kwargs)


class MomentGate(_Wait):
    """Opens when a moment of the campaign is over; follows the date while it waits."""

    ui_color = _GREY

    def __init__(self, *, moment: str, **kwargs: Any) -> None:
        super().__init__(trigger="GateTrigger", trigger_kwargs={"moment": moment}, **kwargs)


class WaveGate(_Wait):
    """Opens when the partner's wave has begun and the campaign is not stopped."""

    ui_color = _GREY

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trigger="WaveTrigger", trigger_kwargs={}, **kwargs)


class NceActive(_Wait):
    """Waits until the batch's New Commerce subscriptions are active."""

    template_fields: Sequence[str] = ("run_id", "batch_no")

    def __init__(self, **kwargs: Any) -> None:
        self.batch_no = "{{ ti.map_index }}"
        super().__init__(trigger="CoverageTrigger", trigger_kwargs={"batch_no": self.batch_no}, **kwargs)


class _Step(BaseOperator):
    """A task on a worker that runs one step and says its result.

    What the step raises is judged by `retry_policy`; what it says is judged here, and is final.
    """

    ui_color = _BLUE

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"retry_policy": RetryWhatTimeHelps(), **kwargs})

    def execute(self, context: Context) -> Any:
        from include.nce.orchestration.composition import run

        try:
            return run(self.work(context))
        except (InputRefused, PartnerCenterFault) as told:
            # The log shows the sentence, not the way to it.
            raise told.with_traceback(None) from None

    async def work(self, context: Context) -> Any:
        raise NotImplementedError


class _FirstStep(_Step):
    """The first step of a DAG. Why it refuses becomes the run's note."""

    def execute(self, context: Context) -> Any:
        try:
            return super().execute(context)
        except (InputRefused, PartnerCenterFault) as refused:
            # Another try takes it away again.
            context["ti"].xcom_push(key="sentence", value=f"failed: {with_who_acts(refused)}")
            raise


class OpenRun(_FirstStep):
    """Opens the partner's run in the ledger."""

    async def work(self, context: Context) -> None:
        from include.nce.orchestration.composition import product
        from include.nce.orchestration.params import MigrationConf
        from include.nce.steps.open_run import open_run

        conf = MigrationConf.read(context["params"])
        async with product() as world:
            run = await open_run(
                context["run_id"], conf.campaign, conf.partner, conf.mode,
                partner_center=world.partner_center, ledger=world.ledger, clock=world.clock,
            )  # fmt: skip
        self.log.info("Opened %s for %s, mode %s.", run.run_id, run.partner.name, run.mode)


class HonourOptOut(_Step):
    """Decides the opt-out; an opted-out partner's later tasks are skipped."""

    async def work(self, context: Context) -> None:
        from include.nce.domain.opt_out import OptOutVerdict
        from include.nce.orchestration.composition import product
        from include.nce.steps.honour_opt_out import honour_opt_out

        async with product() as world:
            ruling = await honour_opt_out(
                context["run_id"],
                partner_center=world.partner_center, ledger=world.ledger, clock=world.clock,
            )  # fmt: skip
            run = await world.ledger.run(context["run_id"])
        single = len(ruling.customers_in_time)
        if ruling.partner is OptOutVerdict.IN_TIME and run.mode == "apply":
            raise AirflowSkipException("Opted out in time: nothing is bought and nothing cancelled.")
        if ruling.partner is OptOutVerdict.LATE:
            self.log.warning(
                "An opt-out arrived too late: the subscriptions are held for a person's decision."
            )
        elif single:
            self.log.info("Single customers that opted out in time and are left alone: %d.", single)
        else:
            self.log.info("No opt-out on record: going on.")


class PlanConversions(_Step):
    """Writes the plan; returns one reference for each batch."""

    async def work(self, context: Context) -> list[dict[str, int]]:
        from include.nce.orchestration.composition import product
        from include.nce.orchestration.params import MigrationConf
        from include.nce.steps.plan_conversions import plan_conversions

        ti = context["ti"]
        async with product() as world:
            planned = await plan_conversions(
                context["run_id"],
                partner_center=world.partner_center, ledger=world.ledger, clock=world.clock,
                last_try=ti.try_number > (self.retries or 0),
                only_plan=MigrationConf.read(context["params"]).plan,
            )  # fmt: skip
            run = await world.ledger.run(context["run_id"])
        words = ", ".join(f"{count} {name}" for name, count in planned.classes.items())
        self.log.info(
            "Plan %s: %s; %d batches.",
            planned.hash[:SHORT_HASH],
            words or "no subscriptions",
            planned.batches,
        )
        if planned.opted_out and run.mode == "apply":
            raise AirflowSkipException("Opted out in time: nothing is bought and nothing cancelled.")
        return [{"plan_id": planned.plan_id, "batch_no": number} for number in range(planned.batches)]


class BuyNce(_Step):
    """Buys each line of one batch; waits in the triggerer while the campaign is stopped."""

    ui_color = _ORANGE
    template_fields: Sequence[str] = ("batch",)

    def __init__(self, *, batch: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch = batch

    def execute(self, context: Context) -> None:
        report = super().execute(context)
        self.log.info("Batch %s: %s.", self.batch["batch_no"],
                      ", ".join(f"{count} {state}" for state, count in report.states.items()))  # fmt: skip
        for sentence in report.unresolved:
            self.log.info(sentence)
        if report.halted:
            from include.nce.orchestration.triggers import StandstillTrigger

            self.log.warning("The rest of the batch is not bought now. %s", report.halted)
            self.defer(
                trigger=StandstillTrigger(
                    context["run_id"], int(self.batch["plan_id"]), int(self.batch["batch_no"])
                ),
                method_name="execute_complete",
            )

    def execute_complete(self, context: Context, event: Any = None) -> None:
        self.execute(context)

    async def work(self, context: Context) -> Any:
        import asyncio

        from include.nce.orchestration.composition import product
        from include.nce.steps.buy_nce import buy_nce
        from include.nce.steps.cancel_legacy import cancel_legacy

        batch = (context["run_id"], int(self.batch["plan_id"]), int(self.batch["batch_no"]))
        async with product() as world:
            report = await buy_nce(
                *batch, partner_center=world.partner_center, ledger=world.ledger, clock=world.clock,
                pause=asyncio.sleep, last_try=context["ti"].try_number > (self.retries or 0),
            )  # fmt: skip
            if report.halted:
                # What is bought must not wait for a release with both sides billed.
                await cancel_legacy(
                    *batch, partner_center=world.partner_center, ledger=world.ledger, clock=world.clock
                )
        return report


class CancelLegacy(_Step):
    """Finishes each covered line of one batch; waits in the triggerer for the slow ones."""

    ui_color = _ORANGE
    template_fields: Sequence[str] = ("batch",)

    def __init__(self, *, batch: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch = batch

    def execute(self, context: Context) -> None:
        done = super().execute(context)
        if done.pending:
            from include.nce.orchestration.triggers import CoverageTrigger

            self.log.info("%d finished; %d still under way at Microsoft.", done.finished, done.pending)
            self.defer(
                trigger=CoverageTrigger(
                    context["run_id"],
                    int(self.batch["batch_no"]),
                    resumes=True,
                    plan_id=int(self.batch["plan_id"]),
                ),
                method_name="execute_complete",
            )
        if done.unresolved:
            for sentence in done.unresolved:
                self.log.error(sentence)
            raise AirflowFailException(
                f"{done.finished} finished, {len(done.unresolved)} unresolved. {done.unresolved[0]}"
            )
        self.log.info("All %d subscriptions of the batch are finished.", done.finished)

    def execute_complete(self, context: Context, event: Any = None) -> None:
        self.execute(context)

    async def work(self, context: Context) -> Any:
        from include.nce.orchestration.composition import product
        from include.nce.steps.brake import brake
        from include.nce.steps.cancel_legacy import cancel_legacy

        async with product() as world:
            done = await cancel_legacy(
                context["run_id"], int(self.batch["plan_id"]), int(self.batch["batch_no"]),
                partner_center=world.partner_center, ledger=world.ledger, clock=world.clock,
            )  # fmt: skip
            # A campaign that buys nothing at the moment has to notice its failures, too.
            run = await world.ledger.run(context["run_id"])
            record = await brake(
                await world.ledger.campaign(run.campaign), ledger=world.ledger, now_at=await world.clock.now()
            )
        if record.stopped:
            self.log.warning("%s", record.sentence)
        return done


def _task_name(instance: str) -> str:
    """`convert.cancel_legacy_0`, as Airflow lists a mapped task instance, is `cancel_legacy` to people."""
    return re.sub(r"_\d+$", "", instance.rpartition(".")[2])


def failed_tasks(context: Context) -> list[str]:
    """The tasks of this run that are red, without the one that asks."""
    ti = context["ti"]
    states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[context["run_id"]])
    return sorted(
        {
            _task_name(task)
            for task, state in states.get(context["run_id"], {}).items()
            if state == "failed" and task != ti.task_id
        }
    )


class CloseRun(_Step):
    """Closes the run with its worst outcome; its colour is the run's."""

    ui_color = _GREY

    async def work(self, context: Context) -> None:
        from include.nce.orchestration.composition import product
        from include.nce.steps.close_run import close_run

        ti, failed = context["ti"], failed_tasks(context)
        async with product() as world:
            closed = await close_run(context["run_id"], failed, ledger=world.ledger, clock=world.clock)
        ti.xcom_push(key="sentence", value=f"{closed.outcome.value}: {closed.sentence}")
        if closed.outcome.needs_somebody:
            raise AirflowFailException(f"{closed.outcome.value}: {closed.sentence}")
        self.log.info("%s: %s", closed.outcome.value, closed.sentence)


class CheckCampaign(_FirstStep):
    """Refuses a campaign that cannot run, before anything is started."""

    async def work(self, context: Context) -> None:
        from include.nce.domain.errors import InputRefused
        from include.nce.orchestration.composition import product
        from include.nce.orchestration.params import CampaignConf
        from include.nce.orchestration.roster import read_roster
        from include.nce.steps.enrol_partners import refuse_strangers

        conf = CampaignConf.read(context["params"])
        async with product() as world:
            campaign = await world.ledger.campaign(conf.campaign)
            roster = read_roster(campaign.roster, conf.roster)
            refuse_strangers(campaign.campaign, roster, conf.partners)
            await world.ledger.partners(campaign.campaign, outcomes=conf.outcomes)
            await world.sign_in()
            links = await world.partner_center.resellers()
        strangers = sorted(set(campaign.waves.pilot if campaign.waves else ()) - {p.partner for p in roster})
        if strangers:
            raise InputRefused(
                [
                    f"Campaign {campaign.campaign}, waves.pilot: partner '{name}' is not in the roster. "
                    "Correct it in the campaign file and import it."
                    for name in strangers
                ]
            )
        self.log.info(
            "Campaign %s: %d partners in the roster, %d resellers in Partner Center.",
            campaign.campaign, len(roster), len(links),
        )  # fmt: skip


class EnrolPartners(_Step):
    """Enrols the roster, puts on record which run each partner gets, and returns a number for each."""

    async def work(self, context: Context) -> list[int]:
        from include.nce.orchestration.composition import product
        from include.nce.orchestration.map_length import refuse_more_than_airflow_maps
        from include.nce.orchestration.params import CampaignConf
        from include.nce.orchestration.roster import read_roster
        from include.nce.orchestration.starts import state_of
        from include.nce.steps.enrol_partners import enrol_partners
        from include.nce.steps.start_partners import order_starts

        conf = CampaignConf.read(context["params"])
        async with product() as world:
            campaign = await world.ledger.campaign(conf.campaign)
            enrolled = await enrol_partners(
                conf.campaign,
                read_roster(campaign.roster, conf.roster),
                named=conf.partners,
                outcomes=conf.outcomes,
                partner_center=world.partner_center,
                ledger=world.ledger,
            )
            refuse_more_than_airflow_maps(len(enrolled.partners))
            starts = await order_starts(
                context["run_id"],
                conf.campaign,
                enrolled.partners,
                mode=conf.mode,
                again=conf.existing == "rerun",
                asks=conf.ask,
                state_of=state_of(context),
                ledger=world.ledger,
                clock=world.clock,
            )
        if enrolled.not_in_roster:
            self.log.warning("Linked to us but not in the roster: %s.", ", ".join(enrolled.not_in_roster))
        if enrolled.not_linked:
            self.log.warning("In the roster but not linked to us: %s.", ", ".join(enrolled.not_linked))
        return list(range(len(starts.orders)))
