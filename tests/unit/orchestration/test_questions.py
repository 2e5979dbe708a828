"""A question through clear, retry and restart: what Airflow shows, what stands, and whose answer counts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, TaskAwaitingInput
from airflow.sdk.execution_time.comms import CreateHITLDetailPayload
from airflow.sdk.module_loading import import_string
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from include.nce.domain.conversion import ConversionState
from include.nce.domain.question import QuestionKind
from include.nce.orchestration import composition
from include.nce.orchestration import pulse as triggers_pulse
from include.nce.orchestration.params import APPROVAL_FORM
from include.nce.orchestration.questions import ApprovePlan
from include.nce.orchestration.triggers import AnswerTrigger, ApprovalTrigger
from tests.support.examples import CAMPAIGN, campaign, legacy, legacy_id
from tests.support.one_partner import RUN, OnePartner
from tests.support.required_actions import RequiredActions

ASK = campaign(approvals={"always": True})
OLGA = {"id": "9", "name": "olga"}


class Stage:
    """A plan that has to be approved, and the task that asks; each call is a try of its own."""

    def __init__(self, world: OnePartner, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.row = RequiredActions.instead_of_airflow(monkeypatch)
        self.skipped: list[Any] = []
        composition.run(self.world.begin(legacy(1), document=ASK))
        self.first = self.plan()

        @asynccontextmanager
        async def product() -> AsyncIterator[Any]:
            yield SimpleNamespace(ledger=world.records, clock=world.clock)

        monkeypatch.setattr(composition, "product", product)
        monkeypatch.setattr(triggers_pulse, "product", lambda *, pool_size: product())

    def plan(self) -> str:
        return composition.run(self.world.plan()).hash

    def plan_anew(self) -> str:
        self.world.microsoft.change(legacy_id(1), seats=25)
        return self.plan()

    def task(self) -> tuple[ApprovePlan, Any]:
        with DAG("partner", schedule=None):
            task = ApprovePlan(task_id="approve_plan", params=APPROVAL_FORM)
        task.skip = lambda **what: self.skipped.append(what)  # type: ignore[method-assign]
        ti = SimpleNamespace(id=UUID(int=1), xcom_pull=None, xcom_push=None)
        return task, {"run_id": RUN, "task": task, "ti": ti, "task_instance": ti, "params": {}}

    def ask(self) -> None:
        """The try waits for a person."""
        with pytest.raises(TaskAwaitingInput):
            self.goes_on()

    def goes_on(self) -> None:
        """A try from its beginning: the triggerer looks, and a worker asks where that is needed."""
        task, context = self.task()
        trigger = ApprovalTrigger(RUN)
        trigger._task_instance = context["ti"]

        async def looks() -> TriggerEvent:
            return await anext(trigger.run())

        event = composition.run(looks())
        if not isinstance(event, TaskSuccessEvent):
            task.ask(context, event.payload)

    def resumes(self, answer: dict[str, Any]) -> None:
        task, context = self.task()
        task.execute_complete(context, answer)

    @property
    def approved(self) -> list[str]:
        return [word.plan_hash for *_, word in self.world.records.approvals if word.approved]


@pytest.fixture
def stage(world: OnePartner, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(world, monkeypatch)


@pytest.fixture
def world() -> OnePartner:
    return OnePartner()


def test_what_is_asked_is_on_record_as_airflow_shows_it_with_its_hash_in_the_form(stage: Stage) -> None:
    stage.ask()
    [asked] = stage.world.records.asked
    shown = stage.row.shown
    assert shown is not None
    assert (asked.question.subject, asked.question.body) == (shown.subject, shown.body)
    assert asked.question.about == stage.first == stage.row.carried["hash"]
    assert set(shown.params) == {"comment", "hash"}


def test_an_answer_is_recorded_with_name_and_comment_and_followed(stage: Stage) -> None:
    stage.ask()
    stage.resumes(stage.row.answer("Approve", OLGA, comment=" looks right "))
    [(*_, word)] = stage.world.records.approvals
    assert (word.plan_hash, word.decided_by, word.comment) == (stage.first, "olga", "looks right")
    stage.goes_on()  # a further try has nothing to ask


def test_an_answer_of_a_client_that_sends_no_form_is_to_what_airflow_shows(stage: Stage) -> None:
    stage.ask()
    stage.resumes({**stage.row.answer("Approve", OLGA), "params_input": {}})
    assert stage.approved == [stage.first]


def test_a_rejection_skips_what_follows_and_holds_the_lines(stage: Stage) -> None:
    stage.ask()
    stage.resumes(stage.row.answer("Reject", OLGA, comment="not this week"))
    assert stage.world.state() is ConversionState.HELD
    assert len(stage.skipped) == 1


@pytest.mark.parametrize("user", [None, {}, {"id": "", "name": " "}])
def test_an_answer_without_a_name_is_refused(stage: Stage, user: Any) -> None:
    stage.ask()
    with pytest.raises(AirflowFailException, match="goes on record under a name"):
        stage.resumes(stage.row.answer("Approve", user))
    assert stage.world.records.approvals == []


def test_a_run_that_is_cleared_never_has_another_plan_approved_by_its_first_question(stage: Stage) -> None:
    """Airflow goes on showing the first plan: the task does not wait for an answer to it."""
    stage.ask()
    second = stage.plan_anew()
    with pytest.raises(AirflowFailException, match=f"by now {second[:8]} has to be decided") as told:
        stage.goes_on()
    assert "nce backfill rossi-informatica" in str(told.value)
    assert stage.row.carried["hash"] == stage.first
    assert [asked.question.about for asked in stage.world.records.asked] == [stage.first]


def test_an_answer_to_the_first_plan_that_comes_after_the_second_was_made_is_refused(stage: Stage) -> None:
    stage.ask()
    answer = stage.row.answer("Approve", OLGA)
    stage.plan_anew()
    with pytest.raises(AirflowFailException, match="olga's answer does not count"):
        stage.resumes(answer)
    assert stage.world.records.approvals == []
    [told] = stage.world.records.refused
    assert stage.first[:8] in told


def test_a_run_that_is_cleared_with_the_plan_unchanged_waits_with_the_same_question(stage: Stage) -> None:
    stage.ask()
    shown = stage.row.shown
    stage.world.clock.advance(hours=70)  # the deadline in a new text would be another
    assert stage.plan() == stage.first
    stage.ask()
    assert stage.row.shown == shown
    stage.resumes(stage.row.answer("Approve", OLGA))
    assert stage.approved == [stage.first]


def test_an_answer_that_airflow_took_and_the_task_never_saw_is_followed_and_not_asked_for_again(
    stage: Stage,
) -> None:
    """The answered task waited past its token, or the scheduler died: Airflow begins it anew."""
    stage.ask()
    stage.row.answer("Approve", OLGA)
    stage.goes_on()
    assert stage.approved == [stage.first]
    assert stage.row.wiped == 0


def test_a_lost_answer_to_another_plan_is_refused_and_told(stage: Stage) -> None:
    stage.ask()
    stage.row.answer("Approve", OLGA)
    stage.plan_anew()
    with pytest.raises(AirflowFailException, match="olga's answer does not count"):
        stage.goes_on()
    assert stage.world.records.approvals == []


def test_after_a_rejection_a_cleared_task_asks_again_and_the_old_answer_is_not_taken_for_a_new_one(
    stage: Stage,
) -> None:
    stage.ask()
    stage.resumes(stage.row.answer("Reject", OLGA))
    assert stage.plan() == stage.first
    stage.ask()
    assert stage.approved == []
    stage.resumes(stage.row.answer("Approve", OLGA))
    assert stage.approved == [stage.first]


def test_a_question_that_waited_through_the_update_is_answered_by_what_its_text_says(stage: Stage) -> None:
    """It has no hash in its form and is not on record: its text names the plan."""
    stage.row.shown = CreateHITLDetailPayload(
        ti_id=UUID(int=1),
        options=["Approve", "Reject"],
        subject="Rossi Informatica S.r.l.: buy 1 subscriptions?",
        body=f"**Plan {stage.first[:8]}** of Rossi would buy **1 subscriptions**",
        params={"comment": {"value": ""}},
    )
    stage.resumes(stage.row.answer("Approve", OLGA))
    assert stage.approved == [stage.first]
    assert stage.world.records.asked[0].question.body == stage.row.shown.body


def test_a_question_that_waited_through_the_update_and_shows_another_plan_approves_nothing(
    stage: Stage,
) -> None:
    stage.row.shown = CreateHITLDetailPayload(
        ti_id=UUID(int=1),
        options=["Approve", "Reject"],
        subject="Rossi Informatica S.r.l.: buy 1 subscriptions?",
        body="**Plan f6ade2fe** of Rossi would buy **1 subscriptions**",
        params={"comment": {"value": ""}},
    )
    with pytest.raises(AirflowFailException, match="has asked nothing"):
        stage.resumes(stage.row.answer("Approve", OLGA))
    assert stage.approved == []


def test_a_question_whose_partner_has_a_later_run_approves_nothing(stage: Stage) -> None:
    stage.ask()
    later = f"{RUN}__2022-07-11"
    composition.run(
        stage.world.records.open_run(
            later, CAMPAIGN, "rossi-informatica", "apply", at=stage.world.clock.now_at
        )
    )
    with pytest.raises(AirflowFailException, match=later):
        stage.resumes(stage.row.answer("Approve", OLGA))
    assert stage.approved == []


def test_no_authority_travels_in_an_xcom(stage: Stage) -> None:
    """The task neither reads nor writes one: a user who may trigger can overwrite them."""
    stage.ask()
    stage.resumes(stage.row.answer("Approve", OLGA))
    on_record = composition.run(stage.world.records.question(RUN, QuestionKind.APPROVE_PLAN))
    assert on_record is not None
    assert on_record.answer is not None


def test_what_waiting_tasks_come_back_to_is_still_there(stage: Stage) -> None:
    """A task that waits through an update knows a path and a method by their names."""
    task, _ = stage.task()
    waits = task.start_trigger_args
    assert waits is not None
    assert waits.trigger_cls == "include.nce.orchestration.triggers.ApprovalTrigger"
    assert (waits.next_method, callable(task.ask)) == ("ask", True)
    for trigger in (ApprovalTrigger(RUN), AnswerTrigger()):
        path, arguments = trigger.serialize()
        assert type(import_string(path)(**arguments)) is type(trigger)


def test_a_task_that_comes_back_from_a_trigger_of_an_earlier_version_asks(stage: Stage) -> None:
    task, context = stage.task()
    with pytest.raises(TaskAwaitingInput):
        task.ask(context, {"plan_hash": stage.first})
