"""The question of an undo: what a person reads, and that the answer is on record before anything follows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, TaskAwaitingInput, TaskDeferred
from airflow.triggers.base import TriggerEvent

from include.nce.domain.errors import InputRefused
from include.nce.orchestration import composition
from include.nce.orchestration.params import UndoConf
from include.nce.orchestration.questions import ApproveUndo
from tests.support.examples import CAMPAIGN, CUSTOMER, legacy, legacy_id
from tests.support.one_partner import OnePartner
from tests.support.required_actions import RequiredActions
from tests.support.undoing import UNDO_RUN, plan


class Stage:
    """A planned undo, the operator, and what it asked Airflow to ask."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = OnePartner()
        asyncio.run(self._planned())
        self.row = RequiredActions.instead_of_airflow(monkeypatch)
        self.skipped: list[Any] = []
        with DAG("undo", schedule=None):
            self.operator = ApproveUndo(task_id="approve_undo")
        monkeypatch.setattr(composition, "product", self._product)
        monkeypatch.setattr(self.operator, "skip", lambda **what: self.skipped.append(what))
        ti = SimpleNamespace(id=UUID(int=1))
        self.context: Any = {"run_id": UNDO_RUN, "task": self.operator, "task_instance": ti, "ti": ti}

    async def _planned(self) -> None:
        await self.world.convert(legacy())
        await plan(self.world)

    @asynccontextmanager
    async def _product(self) -> AsyncIterator[Any]:
        yield SimpleNamespace(ledger=self.world.records, clock=self.world.clock)

    def ask(self) -> None:
        with pytest.raises(TaskAwaitingInput):
            self.begins()

    def begins(self) -> None:
        """A worker looks, the triggerer reads what Airflow has, and a worker asks."""
        with pytest.raises(TaskDeferred) as deferred:
            self.operator.execute(self.context)
        trigger = deferred.value.trigger
        trigger._task_instance = self.context["ti"]

        async def looks() -> TriggerEvent:
            return await anext(trigger.run())

        getattr(self.operator, deferred.value.method_name)(self.context, composition.run(looks()).payload)

    def answered(self, option: str, user: Any) -> Any:
        return self.operator.execute_complete(self.context, self.row.answer(option, user))

    def on_record(self) -> Any:
        return asyncio.run(self.world.records.undo_answer(1))


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


CARLA = {"id": "7", "name": "carla"}


def test_a_person_is_asked_with_the_lines_and_the_hours(stage: Stage) -> None:
    stage.ask()
    shown = stage.row.shown
    assert shown is not None
    assert shown.subject == "Undo 1 subscription of 1 customer of rossi-informatica?"
    assert legacy_id(1) in str(shown.body)
    assert "hours left" in str(shown.body)
    assert "the partner wants it back" in str(shown.body)
    assert (shown.options, shown.defaults) == (["Approve", "Reject"], None)


def test_an_approval_is_on_record_with_its_name_and_fingerprint(stage: Stage) -> None:
    stage.ask()
    stage.answered("Approve", CARLA)
    standing = asyncio.run(stage.world.records.undo_plan(UNDO_RUN))
    assert standing is not None
    answer = stage.on_record()
    assert (answer.approved, answer.who, answer.hash) == (True, "carla", standing.hash)


def test_a_rejection_is_on_record_too(stage: Stage) -> None:
    stage.ask()
    stage.answered("Reject", CARLA)
    assert (stage.on_record().approved, stage.on_record().who) == (False, "carla")


@pytest.mark.parametrize("user", [None, {}])
def test_nobodys_answer_approves_nothing(stage: Stage, user: Any) -> None:
    stage.ask()
    with pytest.raises(AirflowFailException, match="goes on record under a name"):
        stage.answered("Approve", user)
    assert stage.on_record() is None


def test_an_answer_to_lines_that_have_changed_since_is_refused_and_told(stage: Stage) -> None:
    """plan_undo alone was cleared while the question stood: the answer is not about the new plan."""
    stage.ask()
    [made] = stage.world.microsoft.bought[legacy_id(1)]
    stage.world.microsoft.change(made, seats=12)
    asyncio.run(plan(stage.world))
    with pytest.raises(AirflowFailException, match="carla's answer does not count"):
        stage.answered("Approve", CARLA)
    assert asyncio.run(stage.world.records.undo_answer(2)) is None


def test_lines_that_were_asked_about_before_are_not_asked_again_where_airflow_shows_the_old_ones(
    stage: Stage,
) -> None:
    stage.ask()
    [made] = stage.world.microsoft.bought[legacy_id(1)]
    stage.world.microsoft.change(made, seats=12)
    asyncio.run(plan(stage.world))
    with pytest.raises(AirflowFailException, match="nce undo start rossi-informatica"):
        stage.begins()


def test_an_answer_that_airflow_took_and_the_task_never_saw_is_followed(stage: Stage) -> None:
    stage.ask()
    stage.row.answer("Approve", CARLA)
    stage.begins()
    assert (stage.on_record().approved, stage.on_record().who) == (True, "carla")
    assert stage.row.wiped == 0


FORM = {"campaign": CAMPAIGN, "partner": "rossi-informatica", "reason": "they want it back"}


@pytest.mark.parametrize(
    "scope",
    [{"subscription": legacy_id(1)}, {"customer": CUSTOMER}, {"everything": True}],
)
def test_the_form_takes_exactly_one_scope(scope: dict[str, Any]) -> None:
    assert UndoConf.read({**FORM, **scope}).partner == "rossi-informatica"


@pytest.mark.parametrize(
    "conf",
    [
        FORM,
        {**FORM, "subscription": legacy_id(1), "everything": True},
        {**FORM, "subscription": legacy_id(1), "customer": CUSTOMER},
        {**FORM, "everything": True, "reason": ""},
        {**FORM, "everything": True, "partner": None},
        {**FORM, "subscription": "acme"},
    ],
)
def test_a_form_that_is_not_clear_is_refused(conf: dict[str, Any]) -> None:
    with pytest.raises(InputRefused, match="and trigger again"):
        UndoConf.read(conf)
