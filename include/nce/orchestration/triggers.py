"""The waits that live in the triggerer: readiness watchers, dated gates, and the wait for active NCE.

They start and end there and never enter a worker. A trigger may run twice (triggerer restart, two
triggerers), so everything here reads, or notes what it read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from uuid import UUID

from airflow.triggers.base import (
    BaseTrigger,
    TaskFailedEvent,
    TaskSkippedEvent,
    TaskSuccessEvent,
    TriggerEvent,
)

from include.nce.domain.errors import InputRefused, PartnerCenterFault
from include.nce.domain.readiness import Answer, Check, Finding, WatchWord, at_cut_over, watch_word
from include.nce.orchestration.patience import patiently

if TYPE_CHECKING:
    from include.nce.orchestration.pulse import Beat, Pulse
    from include.nce.steps.confirm_nce import Coverage

_UNCLEAR_EVERY = timedelta(minutes=30)
"""How soon, on the campaign's clock, a question is asked again to which no usable answer came."""


class _Wait(BaseTrigger):
    """Rides out every outage and ends with one event. A refusal about the run itself ends it red."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        try:
            event = await patiently(self.wait, self.log)
        except InputRefused as refused:
            self.log.error("%s", refused)
            event = TaskFailedEvent()
        yield event

    async def wait(self) -> TriggerEvent:
        """Wait for it, from the beginning; may be called again after an outage."""
        raise NotImplementedError


class ReadinessTrigger(_Wait):
    """Asks one readiness check until it is satisfied, an opt-out is decided, or the cut-over has come.

    A transient fault never ends it: the watcher rides it out and asks again.
    """

    def __init__(self, check: str, run_id: str) -> None:
        super().__init__()
        self.check = check
        self.run_id = run_id
        self._told = ""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            "include.nce.orchestration.triggers.ReadinessTrigger",
            {"check": self.check, "run_id": self.run_id},
        )

    async def wait(self) -> TriggerEvent:
        word, finding = await self._watch()
        if word is WatchWord.GREEN:
            self.log.info("%s", finding.sentence)
            return TaskSuccessEvent()
        if word is WatchWord.SKIP:
            self.log.info("The partner has opted out: this check does not matter any more.")
            return TaskSkippedEvent()
        self.log.error("%s", at_cut_over(finding).sentence)
        return TaskFailedEvent()

    async def _watch(self) -> tuple[WatchWord, Finding]:
        from include.nce.orchestration.pulse import pulse
        from include.nce.steps.readiness import ask

        async with pulse() as shared:
            run = await shared.world.ledger.run(self.run_id)
            finding: Finding | None = None
            asked_at: datetime | None = None
            async for beat in shared.beats(run):
                cut_over = beat.now_at >= beat.campaign.cut_over_at()
                opted_out = beat.has_opted_out(run.partner)
                if finding is None or not opted_out:
                    if finding is not None and not cut_over and not _due(finding, asked_at, beat):
                        continue
                    async with shared.calls:
                        finding = await ask(
                            Check(self.check), run.partner, beat.campaign, shared.world.partner_center
                        )
                    asked_at = beat.now_at
                    if finding.sentence != self._told:
                        self._say(finding)
                        self._told = finding.sentence
                    await shared.world.ledger.record_finding(run.run_id, finding, at=beat.now_at)
                word = watch_word(finding, cut_over=cut_over, opted_out=opted_out, once=run.mode == "plan")
                if word is not WatchWord.WAIT:
                    return word, finding
        raise AssertionError("the pulse never ends by itself")

    def _say(self, finding: Finding) -> None:
        if finding.answer in (Answer.MISSING, Answer.WAITING_FOR_MICROSOFT):
            self.log.info("Outstanding. %s", finding.sentence)
        elif finding.answer is Answer.CANNOT_TELL:
            self.log.warning("No answer yet. %s", finding.reason)


def _due(last: Finding, asked_at: datetime | None, beat: Beat) -> bool:
    if asked_at is None:
        return True
    cadence = timedelta(minutes=beat.campaign.cadence.check_every_minutes)
    if last.answer is Answer.CANNOT_TELL:
        cadence = min(cadence, _UNCLEAR_EVERY)
    return beat.now_at - asked_at >= cadence


class GateTrigger(_Wait):
    """Opens once a moment of the campaign is over, wherever that moment is moved to while it waits."""

    def __init__(self, moment: str, run_id: str) -> None:
        super().__init__()
        self.moment = moment
        self.run_id = run_id
        self._told: datetime | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            "include.nce.orchestration.triggers.GateTrigger",
            {"moment": self.moment, "run_id": self.run_id},
        )

    async def wait(self) -> TriggerEvent:
        from include.nce.orchestration.pulse import pulse

        async with pulse() as shared:
            run = await shared.world.ledger.run(self.run_id)
            if run.mode == "plan":
                self.log.info("Mode plan: nothing is bought, so nothing is waited for.")
                return TaskSuccessEvent()
            async for beat in shared.beats(run):
                zone = beat.campaign.zone_of(run.partner.zone)
                opens_at = getattr(beat.campaign.moments, self.moment).instant(zone)
                if beat.now_at >= opens_at:
                    self.log.info("%s is over (%s UTC): going on.", self.moment, f"{opens_at:%Y-%m-%d %H:%M}")
                    return TaskSuccessEvent()
                if opens_at != self._told:
                    word = "Waiting until" if self._told is None else "The date was moved; now waiting until"
                    self.log.info("%s %s UTC (%s).", word, f"{opens_at:%Y-%m-%d %H:%M}", self.moment)
                    self._told = opens_at
        raise AssertionError("the pulse never ends by itself")


async def answer_in_airflow(ti_id: UUID) -> dict[str, Any] | None:
    """The answer that Airflow has for a task instance, as the event it would hand over; None: it has none.

    Only a triggerer may ask: the supervisor of a task refuses the question (Airflow 3.3.2, run).
    """
    from airflow.sdk.exceptions import AirflowRuntimeError
    from airflow.sdk.execution_time.hitl import get_hitl_detail_content_detail

    try:
        given = await asyncio.to_thread(get_hitl_detail_content_detail, ti_id)
    except AirflowRuntimeError as error:
        if (error.error.detail or {}).get("status_code") == HTTPStatus.NOT_FOUND:
            return None  # it has not asked before
        raise
    if not given.response_received or given.responded_at is None:
        return None
    person = given.responded_by_user
    return {
        "chosen_options": list(given.chosen_options or ()),
        "params_input": dict(given.params_input or {}),
        "responded_at": given.responded_at.isoformat(),
        "responded_by_user": {"id": person.id, "name": person.name} if person else None,
    }


class AnswerTrigger(_Wait):
    """Looks whether Airflow has an answer that its task never saw; the event is for the deferred task."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return ("include.nce.orchestration.triggers.AnswerTrigger", {})

    async def wait(self) -> TriggerEvent:
        return TriggerEvent({"given": await answer_in_airflow(_instance_of(self))})


def _instance_of(trigger: BaseTrigger) -> UUID:
    instance: Any = trigger.task_instance  # the triggerer sets it before it runs a trigger
    return UUID(str(instance.id))


class ApprovalTrigger(_Wait):
    """Ends the task at once when nothing has to be asked about the plan; else a worker asks a person.

    Its event carries an answer that Airflow has and the task never saw.
    """

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return ("include.nce.orchestration.triggers.ApprovalTrigger", {"run_id": self.run_id})

    async def wait(self) -> TriggerEvent:
        from include.nce.orchestration.pulse import pulse
        from include.nce.steps.approve_plan import approve_plan

        async with pulse() as shared:
            world = shared.world
            standing = await approve_plan(self.run_id, ledger=world.ledger, clock=world.clock)
        self.log.info("%s", standing.sentence)
        if standing.question is None:
            return TaskSuccessEvent()
        given = await answer_in_airflow(_instance_of(self))
        return TriggerEvent({"plan_hash": standing.question.about, "given": given})


class WaveTrigger(_Wait):
    """Opens once the partner's wave has begun and the campaign is not stopped."""

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id
        self._told = ""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return ("include.nce.orchestration.triggers.WaveTrigger", {"run_id": self.run_id})

    async def wait(self) -> TriggerEvent:
        from include.nce.orchestration.pulse import pulse

        async with pulse() as shared:
            run = await shared.world.ledger.run(self.run_id)
            if run.mode == "plan":
                self.log.info("Mode plan: nothing is bought, so nothing is waited for.")
                return TaskSuccessEvent()
            partner = run.partner.partner
            async for beat in shared.beats(run):
                look = await shared.waves(beat)
                if look is None:
                    continue
                why = look.why_not(partner)
                if not why:
                    if partner in look.ahead:
                        self.log.warning("The partner goes ahead of its wave. %s", look.ahead[partner])
                    else:
                        self.log.info("The partner may buy: going on.")
                    return TaskSuccessEvent()
                if why != self._told:
                    (self.log.warning if look.stopped else self.log.info)("%s", why)
                    self._told = why
        raise AssertionError("the pulse never ends by itself")


class CoverageTrigger(_Wait):
    """Looks at one batch until its NCE subscriptions are active, or until waiting on would withhold others.

    `resumes` tells whether a deferred task goes on afterwards (its event is for it) or the task ends here.
    `plan_id`: the plan whose batch it is, where that is known; else the run's latest.
    """

    def __init__(
        self, run_id: str, batch_no: int | str, resumes: bool = False, plan_id: int | None = None
    ) -> None:
        super().__init__()
        self.plan_id = plan_id
        self.run_id = run_id
        self.batch_no = batch_no
        self.resumes = resumes
        self._told = ""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            "include.nce.orchestration.triggers.CoverageTrigger",
            {
                "run_id": self.run_id,
                "batch_no": self.batch_no,
                "resumes": self.resumes,
                "plan_id": self.plan_id,
            },
        )

    async def wait(self) -> TriggerEvent:
        from include.nce.orchestration.pulse import pulse

        async with pulse() as shared:
            run = await shared.world.ledger.run(self.run_id)
            plan_id = self.plan_id or await shared.world.ledger.latest_plan_id(self.run_id)
            looked_at: datetime | None = None
            async for beat in shared.beats(run):
                if looked_at is None and self.resumes:
                    looked_at = beat.now_at  # the task that defers has looked a moment ago
                every = timedelta(minutes=beat.campaign.cadence.poll_conversions_every_minutes)
                if looked_at is not None and beat.now_at - looked_at < every:
                    continue
                looked_at = beat.now_at
                coverage = await self._look(shared, plan_id)
                if coverage is not None and coverage.worth_cancelling(
                    beat.now_at, beat.campaign.cadence.coverage_quiet_minutes
                ):
                    return TriggerEvent({"pending": coverage.pending}) if self.resumes else TaskSuccessEvent()
        raise AssertionError("the pulse never ends by itself")

    async def _look(self, shared: Pulse, plan_id: int) -> Coverage | None:
        coverage = await _look_at(self, shared, plan_id)
        if coverage is None:
            return None
        said = f"{coverage.pending} under way at Microsoft, {coverage.covered} ready to be finished."
        if said != self._told:
            self.log.info(said)
            self._told = said
        return coverage


class StandstillTrigger(_Wait):
    """Holds a batch that may not be bought now, until it may, or until something bought can be finished.

    Its event is for the task that deferred.
    """

    def __init__(self, run_id: str, plan_id: int, batch_no: int) -> None:
        super().__init__()
        self.run_id = run_id
        self.plan_id = plan_id
        self.batch_no = batch_no

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            "include.nce.orchestration.triggers.StandstillTrigger",
            {"run_id": self.run_id, "plan_id": self.plan_id, "batch_no": self.batch_no},
        )

    async def wait(self) -> TriggerEvent:
        from include.nce.orchestration.pulse import pulse

        async with pulse() as shared:
            run = await shared.world.ledger.run(self.run_id)
            looked_at: datetime | None = None
            async for beat in shared.beats(run):
                look = await shared.waves(beat)
                if look is not None and not look.why_not(run.partner.partner):
                    return TriggerEvent({"buy": True})
                every = timedelta(minutes=beat.campaign.cadence.poll_conversions_every_minutes)
                looked_at = looked_at or beat.now_at  # the task that defers has looked a moment ago
                if beat.now_at - looked_at < every:
                    continue
                looked_at = beat.now_at
                coverage = await _look_at(self, shared, self.plan_id)
                if coverage is not None and coverage.covered:
                    return TriggerEvent({"buy": False})
        raise AssertionError("the pulse never ends by itself")


async def _look_at(
    waiting: CoverageTrigger | StandstillTrigger, shared: Pulse, plan_id: int
) -> Coverage | None:
    """How the batch stands; None when Partner Center does not answer just now."""
    from include.nce.steps.confirm_nce import confirm_nce

    try:
        async with shared.calls:
            return await confirm_nce(
                waiting.run_id,
                plan_id,
                int(waiting.batch_no),
                partner_center=shared.world.partner_center,
                ledger=shared.world.ledger,
                clock=shared.world.clock,
            )
    except PartnerCenterFault as fault:
        waiting.log.warning("Partner Center does not answer, it is asked again: %s", fault.sentence)
        return None
