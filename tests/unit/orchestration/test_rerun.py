"""Tasks that ask or wait instead of going on: the question before a rerun, and the batch that is stopped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowSkipException,
    DagRunTriggerException,
    TaskAwaitingInput,
    TaskDeferred,
)

from include.nce.domain.conversion import ConversionState
from include.nce.domain.errors import InputRefused
from include.nce.domain.preview import Preview
from include.nce.orchestration import composition, roster
from include.nce.orchestration.composition import Product
from include.nce.orchestration.operators import BuyNce, CheckCampaign
from include.nce.orchestration.questions import ConfirmRerun
from include.nce.orchestration.starts import StartPartner
from include.nce.orchestration.triggers import StandstillTrigger
from include.nce.steps.start_partners import order_starts
from tests.support.examples import CAMPAIGN, IDENTITY, OTHER_CUSTOMER, campaign, legacy, partner
from tests.support.one_partner import RUN, OnePartner
from tests.support.required_actions import RequiredActions
from tests.support.scene import released


class Instance:
    """A task instance that remembers what it was told."""

    id = UUID(int=15)

    def __init__(self) -> None:
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


class _SignsIn:
    """The sign-in service takes every kind of token."""

    async def sign_in(self, kind: object) -> None:
        return None


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> OnePartner:
    world = OnePartner()

    @asynccontextmanager
    async def product() -> AsyncIterator[Product]:
        yield Product(world.microsoft, world.records, world.clock, _SignsIn())  # type: ignore[arg-type]

    world.records.would_do = Preview(3, 0, 1)
    monkeypatch.setattr(composition, "product", product)
    return world


FIRST_RUN = f"{CAMPAIGN}__rossi-informatica"
START = f"{CAMPAIGN}__start"
ANNA = {"id": "7", "name": "anna"}


class Stage:
    """The task that confirms and the tasks that start, with Airflow's row between them."""

    def __init__(self, world: OnePartner, monkeypatch: pytest.MonkeyPatch, **conf: Any) -> None:
        self.world = world
        self.row = RequiredActions.instead_of_airflow(monkeypatch)
        self.instance = Instance()
        self.context: Any = {"run_id": START, "ti": self.instance, "task_instance": self.instance}
        self.confirm = ConfirmRerun(task_id="confirm_rerun")
        self.order(**conf)

    def order(self, known: str | None = "ended", **conf: Any) -> None:
        wanted: dict[str, Any] = {"mode": "apply", "again": True, "asks": True, **conf}
        composition.run(
            order_starts(
                START,
                CAMPAIGN,
                [partner()],
                **wanted,
                state_of=lambda run_id: known if run_id == FIRST_RUN else None,
                ledger=self.world.records,
                clock=self.world.clock,
            )
        )

    def ask(self) -> None:
        with pytest.raises(TaskAwaitingInput):
            self.confirm.ask(self.context, {"given": None})

    def answered(self, option: str, user: Any = ANNA) -> None:
        self.confirm.execute_complete(self.context, self.row.answer(option, user))

    def started(self) -> str:
        with pytest.raises(DagRunTriggerException) as told:
            StartPartner(task_id="start_partners", number=0).execute(self.context)
        return str(told.value.dag_run_id)


def test_a_rerun_shows_what_it_would_do_and_waits(world: OnePartner, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(world, monkeypatch)
    stage.ask()
    assert stage.row.shown is not None
    assert "This would do: 3 purchases, 0 cancellations, 1 partner." in str(stage.row.shown.body)
    assert f"{FIRST_RUN}__2022-07-" in str(stage.row.shown.body)
    assert stage.instance.pushed == {"sentence": "Run again: 3 purchases, 0 cancellations, 1 partner."}


@pytest.mark.parametrize("conf", [{"again": False}, {"mode": "plan"}])
def test_what_runs_nothing_again_asks_nothing(
    world: OnePartner, monkeypatch: pytest.MonkeyPatch, conf: dict[str, Any]
) -> None:
    stage = Stage(world, monkeypatch, **conf)
    assert stage.confirm.execute(stage.context) is None
    assert (stage.instance.pushed, stage.row.shown) == ({}, None)


def test_where_the_form_says_not_to_ask_it_is_only_said(
    world: OnePartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(world, monkeypatch, asks=False)
    assert stage.confirm.execute(stage.context) is None
    assert stage.instance.pushed["sentence"].startswith("Run again: 3 purchases")
    assert stage.row.shown is None
    assert stage.started().startswith(f"{FIRST_RUN}__2022-07-")


def test_a_rejection_skips_itself_and_so_all_that_follows(
    world: OnePartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(world, monkeypatch)
    stage.ask()
    with pytest.raises(AirflowSkipException, match="Rejected by anna: nothing is started"):
        stage.answered("Reject")


def test_what_is_confirmed_is_what_is_started(world: OnePartner, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(world, monkeypatch)
    stage.ask()
    stage.answered("Approve")
    assert f"`{stage.started()}`" in str(stage.row.shown and stage.row.shown.body)


def test_what_was_not_confirmed_is_not_started_whatever_airflow_says_of_the_task_before(
    world: OnePartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The question was marked as a success in the grid, or another list was made since."""
    stage = Stage(world, monkeypatch)
    task = StartPartner(task_id="start_partners", number=0)
    with pytest.raises(AirflowFailException, match="Nobody has confirmed"):
        task.execute(stage.context)

    stage.ask()
    stage.answered("Approve")
    stage.order(known=None)
    with pytest.raises(AirflowFailException, match="Nobody has confirmed"):
        task.execute(stage.context)


def test_a_number_that_is_not_on_the_list_starts_nothing(
    world: OnePartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(world, monkeypatch, asks=False)
    with pytest.raises(AirflowFailException, match="there is no number 1"):
        StartPartner(task_id="start_partners", number=1).execute(stage.context)


async def stopped_in_the_middle(world: OnePartner) -> int:
    """The number of the batch with the line that is bought, and whose other line is not."""
    await world.begin(legacy(1, offer_id=IDENTITY), legacy(2, offer_id=IDENTITY, customer_id=OTHER_CUSTOMER))
    await world.plan()
    real = world.microsoft.check_out

    async def stops_with_the_first(*args: Any, **kwargs: Any) -> Any:
        answer = await real(*args, **kwargs)
        await world.records.stop_campaign(CAMPAIGN, by="anna", reason="fire", at=world.clock.now_at)
        return answer

    world.microsoft.check_out = stops_with_the_first  # type: ignore[method-assign]
    assert world.planned is not None
    return world.planned.plan_id


def test_a_batch_that_is_stopped_in_the_middle_waits_and_finishes_what_it_has_bought(
    world: OnePartner,
) -> None:
    plan_id = composition.run(stopped_in_the_middle(world))
    task = BuyNce(task_id="buy_nce", batch={"plan_id": plan_id, "batch_no": 0})
    context: Any = {"run_id": RUN, "ti": SimpleNamespace(try_number=1)}
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context)
    assert isinstance(deferred.value.trigger, StandstillTrigger)
    assert world.state(1) is ConversionState.ACCEPTED
    assert world.state(2) is ConversionState.PLANNED

    world.clock.advance(hours=4)
    composition.run(world.confirm())
    with pytest.raises(TaskDeferred):
        task.execute_complete(context, {"buy": False})
    assert world.state(1) is ConversionState.CONVERTED
    assert world.state(2) is ConversionState.PLANNED

    composition.run(released(world.records, CAMPAIGN, by="anna", reason="out", at=world.clock.now_at))
    world.microsoft.check_out = type(world.microsoft).check_out.__get__(world.microsoft)  # type: ignore[method-assign]
    task.execute_complete(context, {"buy": True})
    assert world.state(2) is ConversionState.ACCEPTED
    world.assert_rules()


def test_a_pilot_that_is_not_in_the_roster_stops_the_campaign_before_it_starts(
    world: OnePartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = campaign(waves={"pilot": ["rossi-informatica", "rosi"], "then": [1]})
    composition.run(world.records.import_campaign(document, "anna", ""))
    monkeypatch.setattr(roster, "read_roster", lambda of_campaign, named: [partner()])
    context: Any = {"params": {"campaign": CAMPAIGN}, "ti": SimpleNamespace(xcom_push=lambda **_: None)}
    with pytest.raises(InputRefused, match=r"waves\.pilot: partner 'rosi' is not in the roster"):
        CheckCampaign(task_id="check_campaign").execute(context)
