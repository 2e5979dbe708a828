"""Who takes part, and whose run is started now."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from include.nce.domain.errors import InputRefused
from include.nce.domain.readiness import ResellerLink
from include.nce.steps.enrol_partners import Enrolled, enrol_partners, start_order
from tests.support.examples import CAMPAIGN, OTHER_TENANT, partner
from tests.support.fake_partner_center import Fault, server_fault
from tests.support.one_partner import FOUNDING, OnePartner

ROSSI = partner()
BIANCHI = partner(
    partner="bianchi", name="Bianchi Sistemi", tenant_id=OTHER_TENANT, mpn_id=None, province=None
)


async def enrol(world: OnePartner, *, named: Sequence[str] = (), outcomes: Sequence[str] = ()) -> Enrolled:
    await world.records.import_campaign(FOUNDING, "anna", "founding")
    return await enrol_partners(
        CAMPAIGN, [ROSSI, BIANCHI], named=named, outcomes=outcomes,
        partner_center=world.microsoft, ledger=world.records,
    )  # fmt: skip


async def ended(world: OnePartner, **outcomes: str) -> None:
    """The partners' runs are over."""
    await enrol(world)
    for name, outcome in outcomes.items():
        await world.records.open_run(name, CAMPAIGN, name, "apply", at=world.clock.now_at)
        await world.records.close_run(name, outcome, "", at=world.clock.now_at)


def enrolled_ones(world: OnePartner) -> list[str]:
    return [name for _, name in world.records.roster]


def names(enrolled: Enrolled) -> list[str]:
    return [p.partner for p in enrolled.partners]


async def test_the_whole_roster_is_enrolled_and_started(world: OnePartner) -> None:
    assert names(await enrol(world)) == ["rossi-informatica", "bianchi"]
    assert enrolled_ones(world) == ["rossi-informatica", "bianchi"]


async def test_only_the_named_partners_are_started_and_all_are_enrolled(world: OnePartner) -> None:
    assert names(await enrol(world, named=["bianchi"])) == ["bianchi"]
    assert len(enrolled_ones(world)) == 2


async def test_only_partners_with_the_outcome_asked_for_are_started(world: OnePartner) -> None:
    await ended(world, **{"rossi-informatica": "blocked", "bianchi": "converted"})

    assert names(await enrol(world, outcomes=["blocked"])) == ["rossi-informatica"]
    assert names(await enrol(world, outcomes=["blocked"], named=["bianchi"])) == []


async def test_a_name_that_is_not_in_the_roster_is_refused_with_the_closest_one(world: OnePartner) -> None:
    with pytest.raises(InputRefused) as refused:
        await enrol(world, named=["rosi-informatica", "xyz"])

    assert refused.value.faults == [
        f"Partner rosi-informatica is not in the roster of {CAMPAIGN}. Did you mean rossi-informatica?",
        f"Partner xyz is not in the roster of {CAMPAIGN}.",
    ]
    assert enrolled_ones(world) == []


async def test_nobody_is_enrolled_when_partner_center_cannot_be_used(world: OnePartner) -> None:
    world.microsoft.fail("resellers", server_fault)
    with pytest.raises(Fault):
        await enrol(world)

    assert enrolled_ones(world) == []


async def test_roster_and_links_are_compared_both_ways(world: OnePartner) -> None:
    stranger = ResellerLink("11111111-0000-4000-8000-000000000009", "Verdi", True, "active")
    world.microsoft.links.append(stranger)
    enrolled = await enrol(world)

    assert enrolled.not_in_roster == ["Verdi"]
    assert enrolled.not_linked == ["Bianchi Sistemi"]


def test_a_start_order_is_readable_and_the_same_every_time() -> None:
    assert start_order(ROSSI, CAMPAIGN, "apply") == {
        "trigger_run_id": f"{CAMPAIGN}__rossi-informatica",
        "conf": {"partner": "rossi-informatica", "campaign": CAMPAIGN, "mode": "apply"},
        "note": "Rossi Informatica S.r.l. (IT, MI), apply",
    }


def test_a_plan_is_a_run_of_its_own() -> None:
    order = start_order(BIANCHI, CAMPAIGN, "plan")

    assert order["trigger_run_id"] == f"{CAMPAIGN}__bianchi__plan"
    assert order["note"] == "Bianchi Sistemi (IT), plan"
