"""The first task: partner and campaign are known, and what is held today is noted."""

from __future__ import annotations

import pytest

from include.nce.domain.errors import InputRefused
from include.nce.steps.open_run import open_run
from tests.support.examples import CAMPAIGN, at, legacy, legacy_id
from tests.support.fake_partner_center import Fault, server_fault
from tests.support.one_partner import RUN, OnePartner


async def test_the_term_ends_of_today_are_noted(world: OnePartner) -> None:
    await world.begin(legacy(term_end_at=at("2022-07-05 08:00")))

    seen = await world.records.first_seen_term_ends(CAMPAIGN, "rossi-informatica")
    assert seen == {legacy_id(1): at("2022-07-05 08:00")}


async def test_nothing_is_changed_at_microsoft(world: OnePartner) -> None:
    await world.begin(legacy())

    assert world.microsoft.sent == []


async def test_an_unknown_partner_is_refused_before_anything_is_asked(world: OnePartner) -> None:
    await world.begin(legacy())
    world.microsoft.asked.clear()

    with pytest.raises(InputRefused, match="bianchi"):
        await open_run(
            "another", CAMPAIGN, "bianchi", "apply",
            partner_center=world.microsoft, ledger=world.records, clock=world.clock,
        )  # fmt: skip
    assert world.microsoft.asked == {}


async def test_a_connection_that_does_not_work_is_known_at_once(world: OnePartner) -> None:
    await world.begin(legacy())
    world.microsoft.fail("resellers", server_fault)

    with pytest.raises(Fault):
        await open_run(
            RUN, CAMPAIGN, "rossi-informatica", "apply",
            partner_center=world.microsoft, ledger=world.records, clock=world.clock,
        )  # fmt: skip


async def test_opening_twice_is_the_same_run(world: OnePartner) -> None:
    await world.begin(legacy())
    again = await open_run(
        RUN, CAMPAIGN, "rossi-informatica", "apply",
        partner_center=world.microsoft, ledger=world.records, clock=world.clock,
    )  # fmt: skip

    assert again.run_id == RUN
    assert [event for event in world.records.events if event[0] == "opened"] == [("opened", RUN)]
