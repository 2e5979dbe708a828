"""Waves: who may buy at a look, what the others are told, and that a wave that waits strands nobody."""

from __future__ import annotations

from typing import Any

import pytest

from include.nce.domain.brake import CoverageSignals
from include.nce.domain.campaign import Campaign
from include.nce.domain.conversion import ConversionState
from include.nce.steps.wait_for_wave import WaveLook, wait_for_wave
from tests.support.examples import CAMPAIGN, SCHOOL, at, campaign, legacy, partner
from tests.support.one_partner import OnePartner

ROSSI = partner().partner
OTHERS = [
    partner(partner=name, name=name, tenant_id=f"11111111-0000-4000-8000-00000000001{number}", mpn_id=None)
    for number, name in enumerate(["verdi", "bianchi"])
]


def in_waves(**waves: Any) -> Campaign:
    return campaign(waves={"pilot": ["verdi"], "then": [1], "quiet_hours": 6, **waves})


async def look(world: OnePartner, document: Campaign) -> WaveLook:
    await world.records.import_campaign(document, "anna", "")
    return await wait_for_wave(document, ledger=world.records, now_at=world.clock.now_at)


async def opened(world: OnePartner, *holdings: Any, document: Campaign) -> None:
    await world.begin(*holdings, document=document)
    await world.records.enrol(CAMPAIGN, OTHERS)


async def test_without_waves_everybody_may_buy(world: OnePartner) -> None:
    await opened(world, document=campaign())
    assert (await look(world, campaign())).why_not(ROSSI) == ""


async def test_the_pilot_begins_and_the_others_are_told_what_they_wait_for(world: OnePartner) -> None:
    await opened(world, document=in_waves())
    found = await look(world, in_waves())

    assert found.why_not("verdi") == ""
    assert found.why_not(ROSSI).startswith(
        "Waiting for the partner's wave. The pilot has converted nothing, so it has proved nothing."
    )


async def test_a_second_look_begins_nothing_again(world: OnePartner) -> None:
    await opened(world, document=in_waves())
    first, second = await look(world, in_waves()), await look(world, in_waves())
    assert first == second
    assert [event for event in world.records.events if event[0] == "wave_begun"] == [("wave_begun", 1)]


async def test_waves_follow_one_another_when_the_one_before_is_quiet(world: OnePartner) -> None:
    document = in_waves(pilot=[])
    await opened(world, legacy(term_end_at=at("2022-07-24 08:00")), document=document)
    assert (await look(world, document)).admitted == {ROSSI}
    await world.plan()
    await world.buy()
    await world.finish()
    assert world.state() is ConversionState.CONVERTED
    assert (await look(world, document)).why_not("verdi").endswith("UTC.")

    world.clock.advance(hours=6)
    assert (await look(world, document)).admitted == {ROSSI, "verdi"}
    world.clock.advance(hours=6)
    assert (await look(world, document)).admitted == {ROSSI, "verdi", "bianchi"}


async def test_a_partner_near_its_last_safe_start_goes_ahead_of_its_wave(world: OnePartner) -> None:
    document = in_waves()
    await opened(world, legacy(term_end_at=at("2022-07-20 08:00")), document=document)
    assert (await look(world, document)).why_not(ROSSI)

    world.clock.now_at = at("2022-07-14 20:00")  # 132 hours before the term end
    found = await look(world, document)
    assert found.why_not(ROSSI) == ""
    assert found.ahead == {ROSSI: "A subscription of it ends on 2022-07-20 08:00 UTC."}
    await world.plan()
    [report] = await world.buy()
    assert report.states == {"accepted": 1}


@pytest.mark.parametrize(
    "holding",
    [
        legacy(term_end_at=at("2022-07-11 20:00")),  # a person decides about it
        legacy(term_end_at=at("2022-07-09 20:00")),  # it has renewed
        legacy(offer_id=SCHOOL, term_end_at=at("2022-07-14 00:00")),  # exempt
        legacy(auto_renew=False, term_end_at=at("2022-07-14 00:00")),  # switched off on purpose, or not
    ],
)
async def test_nobody_goes_ahead_for_what_is_not_converted(world: OnePartner, holding: Any) -> None:
    await opened(world, holding, document=in_waves())
    assert (await look(world, in_waves())).why_not(ROSSI)


async def test_who_has_converted_its_urgent_ones_stays_admitted(world: OnePartner) -> None:
    document = in_waves()
    urgent, calm = legacy(1, term_end_at=at("2022-07-15 08:00")), legacy(2)
    await opened(world, urgent, calm, document=document)
    assert (await look(world, document)).why_not(ROSSI) == ""
    await world.plan()
    [report] = await world.buy()
    assert report.states == {"accepted": 2}
    assert (await look(world, document)).why_not(ROSSI) == ""


async def test_the_buying_step_asks_for_the_wave_itself(world: OnePartner) -> None:
    """As after a cleared task, or when the waves were imported while a run was past the gate."""
    await opened(world, legacy(), document=in_waves())
    await world.plan()
    [report] = await world.buy()

    assert world.microsoft.sent_of("create_migration") == []
    assert report.halted.startswith("This partner's wave has not begun")


async def test_a_stopped_campaign_begins_no_wave_and_lets_nobody_ahead(world: OnePartner) -> None:
    document = in_waves()
    await opened(world, legacy(term_end_at=at("2022-07-15 08:00")), document=document)
    await world.records.stop_campaign(CAMPAIGN, by="anna", reason="wait", at=world.clock.now_at)
    found = await look(world, document)

    for name in (ROSSI, "verdi"):
        assert found.why_not(name).startswith("The campaign was stopped by anna")
    # A person is told of what cannot wait for the release.
    assert found.why_not(ROSSI).endswith("This is urgent: a subscription ends on 2022-07-15 08:00 UTC.")
    assert "urgent" not in found.why_not("verdi")
    board = await world.records.wave_board(CAMPAIGN)
    assert (board.begun, board.ahead) == ((), {})


async def test_the_gate_pulls_the_brake_itself(world: OnePartner) -> None:
    document = in_waves()
    await opened(world, document=document)
    world.records.signals = CoverageSignals(zero=1, double=0)

    assert (await look(world, document)).stopped.startswith("The campaign was stopped by its brake")


async def test_nothing_begins_before_the_cut_over(world: OnePartner) -> None:
    document = in_waves()
    await opened(world, document=document)
    world.clock.now_at = at("2022-07-10 23:59")

    assert (await look(world, document)).why_not("verdi").endswith("cut-over, 2022-07-11 00:00 UTC.")
