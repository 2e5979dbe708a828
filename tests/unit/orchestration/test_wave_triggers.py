"""The waits for a wave and for a release: what ends them, what they say, and that they ask once for all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from include.nce.domain.campaign import Campaign
from include.nce.domain.conversion import ConversionState
from include.nce.orchestration import pulse as module
from include.nce.orchestration.composition import Product
from include.nce.orchestration.triggers import CoverageTrigger, StandstillTrigger, WaveTrigger
from tests.support.examples import CAMPAIGN, IDENTITY, OTHER_CUSTOMER, at, campaign, legacy, partner
from tests.support.one_partner import RUN, OnePartner
from tests.support.scene import released

ROSSI = partner().partner
FAR = at("2022-07-25 00:00")


class Said:
    """The task's log."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def info(self, text: str, *words: Any) -> None:
        self.lines.append(("info", text % words if words else text))

    def warning(self, text: str, *words: Any) -> None:
        self.lines.append(("warning", text % words if words else text))

    def error(self, text: str, *words: Any) -> None:
        self.lines.append(("error", text % words if words else text))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> OnePartner:
    """One partner, whose ledger and Partner Center are what the triggerer's pulse opens."""
    world = OnePartner()

    @asynccontextmanager
    async def product(*, pool_size: int) -> AsyncIterator[Product]:
        yield Product(world.microsoft, world.records, world.clock, None)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "product", product)
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.005)
    return world


def in_waves(**waves: Any) -> Campaign:
    return campaign(waves={"then": [1], "quiet_hours": 6, **waves})


async def behind_another(world: OnePartner, *holdings: Any) -> None:
    """Rossi's run is open, and the first wave is another partner's."""
    document = in_waves(pilot=["verdi"])
    await world.begin(*holdings, document=document)
    other = partner(partner="verdi", tenant_id="11111111-0000-4000-8000-000000000009", mpn_id=None)
    await world.records.enrol(CAMPAIGN, [other])


def waiting(trigger: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Task[TriggerEvent], Said]:
    said = Said()
    monkeypatch.setattr(type(trigger), "log", said)
    return asyncio.create_task(anext(trigger.run())), said


async def beats(number: int = 6) -> None:
    for _ in range(number):
        await asyncio.sleep(0.01)


async def stop(world: OnePartner) -> None:
    await world.records.stop_campaign(CAMPAIGN, by="anna", reason="fire", at=world.clock.now_at)


async def release(world: OnePartner) -> None:
    await released(world.records, CAMPAIGN, by="anna", reason="out", at=world.clock.now_at)


async def test_without_waves_the_gate_opens_at_once(world: OnePartner) -> None:
    await world.begin()
    assert isinstance(await anext(WaveTrigger(RUN).run()), TaskSuccessEvent)


async def test_a_dry_run_waits_for_no_wave(world: OnePartner) -> None:
    await world.begin(mode="plan")
    await stop(world)
    assert isinstance(await anext(WaveTrigger(RUN).run()), TaskSuccessEvent)


async def test_the_gate_opens_when_the_wave_begins(
    world: OnePartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    await behind_another(world, legacy(term_end_at=FAR))
    task, said = waiting(WaveTrigger(RUN), monkeypatch)
    await beats()
    assert not task.done()
    assert said.lines == [
        ("info", "Waiting for the partner's wave. The pilot has converted nothing, so it has proved nothing. "
         "Who acts: operator. See that verdi can convert, or remove 'pilot' from the campaign file and "
         "import it.")
    ]  # fmt: skip
    await world.records.import_campaign(in_waves(), "anna", "without a pilot")
    world.clock.advance(hours=6)
    assert isinstance(await asyncio.wait_for(task, 5), TaskSuccessEvent)
    assert said.lines[-1] == ("info", "The partner may buy: going on.")


async def test_an_urgent_partner_goes_ahead_with_a_warning(
    world: OnePartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    await behind_another(world, legacy(term_end_at=at("2022-07-15 08:00")))
    task, said = waiting(WaveTrigger(RUN), monkeypatch)
    assert isinstance(await asyncio.wait_for(task, 5), TaskSuccessEvent)
    assert said.lines == [
        ("warning", "The partner goes ahead of its wave. A subscription of it ends on 2022-07-15 08:00 UTC.")
    ]


async def test_a_stopped_campaign_is_waited_out_and_said_once(
    world: OnePartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.begin()
    await stop(world)
    task, said = waiting(WaveTrigger(RUN), monkeypatch)
    await beats()
    assert [kind for kind, line in said.lines if "stopped by anna" in line] == ["warning"]
    await release(world)
    assert isinstance(await asyncio.wait_for(task, 5), TaskSuccessEvent)


async def test_a_thousand_gates_ask_once_a_beat(world: OnePartner, monkeypatch: pytest.MonkeyPatch) -> None:
    await behind_another(world, legacy(term_end_at=FAR))
    asked = 0
    real = world.records.wave_board

    async def counted(name: str) -> Any:
        nonlocal asked
        asked += 1
        return await real(name)

    monkeypatch.setattr(world.records, "wave_board", counted)
    monkeypatch.setattr(module, "BEAT_SECONDS", 60)
    tasks = [asyncio.create_task(anext(WaveTrigger(RUN).run())) for _ in range(1000)]
    await beats(30)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert 0 < asked < 20


async def test_gates_wait_on_while_the_ledger_is_out_of_reach(
    world: OnePartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.begin()
    failures = 0
    real = world.records.brake_record

    async def unreachable(name: str) -> Any:
        nonlocal failures
        if failures < 3:
            failures += 1
            raise OSError("connection refused")
        return await real(name)

    monkeypatch.setattr(world.records, "brake_record", unreachable)
    tasks = [asyncio.create_task(anext(WaveTrigger(RUN).run())) for _ in range(20)]
    ended = await asyncio.wait_for(asyncio.gather(*tasks), 5)
    assert failures == 3  # one look a beat, not one a gate
    assert all(isinstance(event, TaskSuccessEvent) for event in ended)


async def bought_and_stopped(world: OnePartner) -> StandstillTrigger:
    """A batch of which one line is bought, when the campaign is stopped."""
    await world.begin(legacy(1, offer_id=IDENTITY), legacy(2, customer_id=OTHER_CUSTOMER))
    await world.plan()
    await world.buy()
    await stop(world)
    assert world.planned is not None
    return StandstillTrigger(RUN, world.planned.plan_id, 0)


async def test_a_standstill_ends_with_the_release(world: OnePartner, monkeypatch: pytest.MonkeyPatch) -> None:
    task, _ = waiting(await bought_and_stopped(world), monkeypatch)
    await beats()
    assert not task.done()
    await release(world)
    assert (await asyncio.wait_for(task, 5)).payload == {"buy": True}


async def test_a_standstill_lets_what_is_bought_be_finished(
    world: OnePartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    trigger = await bought_and_stopped(world)
    task, _ = waiting(trigger, monkeypatch)
    await beats()
    assert not task.done()
    world.clock.advance(hours=4)
    assert (await asyncio.wait_for(task, 5)).payload == {"buy": False}
    assert ConversionState.COVERED in (world.state(1), world.state(2))


async def test_the_wait_for_a_batch_looks_at_its_own_plan_when_a_later_one_numbers_batches_otherwise(
    world: OnePartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.microsoft.provisioning_takes = timedelta(hours=10)
    await world.begin(legacy(1), legacy(2, offer_id=IDENTITY))
    first = await world.plan()
    await world.buy()
    world.clock.advance(hours=4)
    await world.confirm()
    await world.cancel()
    assert world.state(1) is ConversionState.CONVERTED
    await world.plan()
    world.clock.advance(hours=7)
    task, _ = waiting(CoverageTrigger(RUN, 1, resumes=True, plan_id=first.plan_id), monkeypatch)
    await beats()
    world.clock.advance(hours=1)
    await asyncio.wait_for(task, 5)

    assert world.state(2) is ConversionState.COVERED


def test_what_waits_survives_a_restart_of_the_triggerer() -> None:
    for trigger in (WaveTrigger(RUN), StandstillTrigger(RUN, 7, 1), CoverageTrigger(RUN, 1, True, 7)):
        path, arguments = trigger.serialize()
        assert path == f"include.nce.orchestration.triggers.{type(trigger).__name__}"
        assert type(trigger)(**arguments).serialize() == (path, arguments)
