"""Tasks that ask or wait instead of going on: the question before a rerun, and the batch that is stopped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.operators import hitl
from airflow.sdk.exceptions import AirflowSkipException, TaskAwaitingInput, TaskDeferred

from include.nce.domain.conversion import ConversionState
from include.nce.domain.errors import InputRefused
from include.nce.domain.preview import Preview
from include.nce.orchestration import composition, roster
from include.nce.orchestration.composition import Product
from include.nce.orchestration.operators import BuyNce, CheckCampaign
from include.nce.orchestration.questions import ConfirmRerun
from include.nce.orchestration.triggers import StandstillTrigger
from tests.support.examples import CAMPAIGN, IDENTITY, OTHER_CUSTOMER, campaign, legacy, partner
from tests.support.one_partner import RUN, OnePartner


class Instance:
    """A task instance that remembers what it was told."""

    id = "11111111-0000-4000-8000-00000000000f"

    def __init__(self) -> None:
        self.pushed: dict[str, Any] = {}

    def xcom_pull(self, task_ids: str) -> list[dict[str, Any]]:
        assert task_ids == "enrol_partners"
        return [{"conf": {"partner": "rossi-informatica"}}]

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

    async def preview(campaign: str, partners: list[str], *, now_at: Any) -> Preview:
        assert (campaign, partners) == (CAMPAIGN, ["rossi-informatica"])
        return Preview(3, 0, 1)

    monkeypatch.setattr(composition, "product", product)
    monkeypatch.setattr(world.records, "preview", preview, raising=False)
    return world


def question(monkeypatch: pytest.MonkeyPatch, **params: Any) -> tuple[Any, Instance, list[Any]]:
    asked: list[Any] = []
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **facts: asked.append(facts["body"]))
    instance = Instance()
    context = {
        "params": {"campaign": CAMPAIGN, "mode": "apply", "existing": "rerun", **params},
        "ti": instance,
        "task_instance": instance,
    }
    return context, instance, asked


@pytest.mark.usefixtures("world")
def test_a_rerun_shows_what_it_would_do_and_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    context, instance, asked = question(monkeypatch)
    with pytest.raises(TaskAwaitingInput):
        ConfirmRerun(task_id="confirm_rerun").execute(context)
    assert asked == ["This would do: 3 purchases, 0 cancellations, 1 partner."]
    assert instance.pushed == {"sentence": "Run again: 3 purchases, 0 cancellations, 1 partner."}


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("params", [{"existing": "skip"}, {"mode": "plan"}])
def test_what_runs_nothing_again_asks_nothing(
    monkeypatch: pytest.MonkeyPatch, params: dict[str, str]
) -> None:
    context, instance, asked = question(monkeypatch, **params)
    assert ConfirmRerun(task_id="confirm_rerun").execute(context) is None
    assert (instance.pushed, asked) == ({}, [])


@pytest.mark.usefixtures("world")
def test_where_the_form_says_not_to_ask_it_is_only_said(monkeypatch: pytest.MonkeyPatch) -> None:
    context, instance, asked = question(monkeypatch, ask=False)
    assert ConfirmRerun(task_id="confirm_rerun").execute(context) is None
    assert instance.pushed["sentence"].startswith("Run again: 3 purchases")
    assert asked == []


def test_a_rejection_skips_itself_and_so_all_that_follows() -> None:
    event = {"chosen_options": ["Reject"], "responded_by_user": {"id": "7", "name": "anna"}}
    with pytest.raises(AirflowSkipException, match="Rejected by anna: nothing is started"):
        ConfirmRerun(task_id="confirm_rerun").execute_complete({}, event)  # type: ignore[typeddict-item]


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

    composition.run(world.records.release_campaign(CAMPAIGN, by="anna", reason="out", at=world.clock.now_at))
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
