"""What a start would do, and what an undo is started with, are said in one way."""

from __future__ import annotations

import pytest

from include.nce.domain.author import Author
from include.nce.domain.errors import InputRefused
from include.nce.domain.preview import Preview
from include.nce.steps.people.start_runs import preview_start
from include.nce.steps.people.start_undo import WantedUndo, ask_for_undo
from tests.support.examples import CAMPAIGN, CUSTOMER, add_on, legacy, legacy_id
from tests.support.one_partner import OnePartner

ROSSI, ANNA = "rossi-informatica", Author("anna")


class Counting:
    """A ledger that counts two purchases, beside the words that are on record."""

    def __init__(self, world: OnePartner) -> None:
        self.brake_record = world.records.brake_record

    async def preview(self, campaign: str, partners: object, *, now_at: object) -> Preview:
        return Preview(purchases=2, cancellations=0, partners=1)


async def test_a_start_says_what_it_would_do_with_those_of_whom_nothing_is_known(world: OnePartner) -> None:
    said = await preview_start(CAMPAIGN, [ROSSI], not_enrolled=2, ledger=Counting(world), clock=world.clock)
    assert said == "2 purchases, 0 cancellations, 3 partners; not planned yet: 2 partners."


async def test_a_start_says_that_the_campaign_is_stopped(world: OnePartner) -> None:
    await world.begin(legacy())
    await world.records.stop_campaign(CAMPAIGN, by="bruno", reason="prices", at=world.clock.now_at)
    said = await preview_start(CAMPAIGN, [ROSSI], ledger=Counting(world), clock=world.clock)
    assert said.startswith("2 purchases, 0 cancellations, 1 partner. The campaign was stopped by bruno")


async def test_an_undo_is_of_the_whole_bundle_under_the_name_of_its_author(world: OnePartner) -> None:
    await world.convert(legacy(1), add_on(2))
    wish = WantedUndo("they want it back", legacy_id(2).upper(), partner=ROSSI)
    asked = await ask_for_undo(CAMPAIGN, wish, by=ANNA, ledger=world.records)

    assert [member.conversion.legacy_id for member in asked.members] == [legacy_id(1), legacy_id(2)]
    assert asked.conf == {
        "campaign": CAMPAIGN, "partner": ROSSI, "subscription": legacy_id(2), "customer": None,
        "everything": False, "reason": "they want it back", "asked_by": "anna",
    }  # fmt: skip
    assert asked.note == f"Undo for {ROSSI}, asked by anna: they want it back"


async def test_whose_it_is_is_found_where_nobody_names_a_partner(world: OnePartner) -> None:
    await world.convert(legacy())
    asked = await ask_for_undo(
        CAMPAIGN, WantedUndo("they want it back", customer_id=CUSTOMER), by=ANNA, ledger=world.records
    )
    assert (asked.partner, asked.conf["customer"], asked.conf["everything"]) == (ROSSI, CUSTOMER, False)


async def test_where_nothing_is_bought_there_is_nothing_to_ask_for(world: OnePartner) -> None:
    await world.begin(legacy())
    with pytest.raises(InputRefused, match="nothing is bought, or it is undone already"):
        await ask_for_undo(
            CAMPAIGN, WantedUndo("they want it back", partner=ROSSI), by=ANNA, ledger=world.records
        )
