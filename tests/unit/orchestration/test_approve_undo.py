"""The question of an undo: what a person reads, and that the answer is on record before anything follows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskAwaitingInput

from include.nce.domain.errors import InputRefused
from include.nce.orchestration import composition
from include.nce.orchestration.params import UndoConf
from include.nce.orchestration.questions import ApproveUndo
from tests.support.examples import CAMPAIGN, CUSTOMER, legacy, legacy_id
from tests.support.one_partner import OnePartner
from tests.support.undoing import UNDO_RUN, plan


class TaskInstance:
    def __init__(self) -> None:
        self.id = "ti"
        self.said: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.said[key] = value

    def xcom_pull(self, task_ids: str, key: str) -> Any:
        assert task_ids == "approve_undo"
        return self.said[key]


class Stage:
    """A planned undo, the operator, and what it asked Airflow to ask."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = OnePartner()
        asyncio.run(self._planned())
        self.asked: dict[str, Any] = {}
        self.skipped: list[Any] = []
        self.operator = ApproveUndo(task_id="approve_undo")
        monkeypatch.setattr(composition, "product", self._product)
        monkeypatch.setattr(
            "airflow.providers.standard.operators.hitl.upsert_hitl_detail",
            lambda **question: self.asked.update(question),
        )
        monkeypatch.setattr(self.operator, "skip", lambda **what: self.skipped.append(what))
        ti = TaskInstance()
        self.context: Any = {
            "run_id": UNDO_RUN,
            "params": {"reason": "they want it back"},
            "task": self.operator,
            "task_instance": ti,
            "ti": ti,
        }

    async def _planned(self) -> None:
        await self.world.convert(legacy())
        await plan(self.world)

    @asynccontextmanager
    async def _product(self) -> AsyncIterator[Any]:
        yield SimpleNamespace(ledger=self.world.records, clock=self.world.clock)

    def ask(self) -> None:
        with pytest.raises(TaskAwaitingInput):
            self.operator.execute(self.context)

    def answered(self, option: str, user: Any) -> Any:
        event = {
            "chosen_options": [option],
            "params_input": {},
            "responded_at": datetime(2022, 7, 11, tzinfo=timezone.utc),
            "responded_by_user": user,
        }
        return self.operator.execute_complete(self.context, event)

    def on_record(self) -> Any:
        return asyncio.run(self.world.records.undo_answer(1))


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


CARLA = {"id": "7", "name": "carla"}


def test_a_person_is_asked_with_the_lines_and_the_hours(stage: Stage) -> None:
    stage.ask()
    assert stage.asked["subject"] == "Undo 1 subscription of 1 customer of rossi-informatica?"
    assert legacy_id(1) in stage.asked["body"]
    assert "hours left" in stage.asked["body"]
    assert "they want it back" in stage.asked["body"]
    assert (stage.asked["options"], stage.asked["defaults"]) == (["Approve", "Reject"], None)


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
    with pytest.raises(AirflowFailException, match="approves nothing"):
        stage.answered("Approve", user)
    assert stage.on_record() is None


def test_an_answer_is_about_the_lines_that_were_shown(stage: Stage) -> None:
    """Somebody cleared plan_undo alone while the question stood: the answer is not about the new plan."""
    stage.ask()
    shown = stage.context["ti"].said["hash"]
    [made] = stage.world.microsoft.bought[legacy_id(1)]
    stage.world.microsoft.change(made, seats=12)
    asyncio.run(plan(stage.world))
    stage.answered("Approve", CARLA)
    answer = asyncio.run(stage.world.records.undo_answer(2))
    latest = asyncio.run(stage.world.records.undo_plan(UNDO_RUN))
    assert latest is not None
    assert answer is not None
    assert answer.hash == shown != latest.hash


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
