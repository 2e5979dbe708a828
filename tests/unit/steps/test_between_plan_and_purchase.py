"""What changes between plan and purchase: by the rules as they are now it would not be planned any more."""

from __future__ import annotations

from typing import Any

import pytest

from include.nce.domain.conversion import ConversionState, Route
from include.nce.domain.decision import DecisionKind
from include.nce.domain.readiness import ResellerLink
from tests.support.examples import (
    BASIC,
    CAMPAIGN,
    CUSTOMER,
    IDENTITY,
    MPN_ID,
    OTHER_MPN_ID,
    PARTNER_TENANT,
    add_on,
    campaign,
    document,
    legacy,
    legacy_id,
)
from tests.support.fake_partner_center import server_fault
from tests.support.one_partner import OnePartner

S = ConversionState
ROUTES = pytest.mark.parametrize("route", list(Route))
OFFER = {Route.MIGRATE: BASIC, Route.PURCHASE: IDENTITY}


async def planned(world: OnePartner, route: Route, **changes: Any) -> None:
    await world.begin(legacy(offer_id=OFFER[route], **changes))
    await world.plan()


async def imports(world: OnePartner, **changes: Any) -> None:
    """An operator imports the campaign's next version."""
    await world.records.import_campaign(campaign(**changes), "anna", "corrected")


def offers_with(offer_id: str, **facts: Any) -> list[dict[str, Any]]:
    return [{**o, **facts} if o["offer_id"] == offer_id else o for o in document()["offers"]]


def assert_unbought(world: OnePartner, state: ConversionState, says: str) -> None:
    assert not world.microsoft.sent
    assert world.state() is state
    assert says in world.conversion().reason


@ROUTES
async def test_an_offer_that_turned_out_to_be_for_schools_is_not_bought(
    world: OnePartner, route: Route
) -> None:
    await planned(world, route)
    await imports(world, offers=offers_with(OFFER[route], segment="education"))
    await world.buy()

    assert_unbought(world, S.HELD, "is exempt by now")


@ROUTES
async def test_a_subscription_whose_renewal_was_switched_off_waits_for_a_person(
    world: OnePartner, route: Route
) -> None:
    await planned(world, route)
    world.microsoft.change(legacy_id(1), auto_renew=False)
    await world.buy()

    assert_unbought(world, S.HELD, "Auto-renew is off")


@ROUTES
async def test_a_decision_to_convert_that_was_taken_back_holds_the_purchase(
    world: OnePartner, route: Route
) -> None:
    await planned(world, route, auto_renew=False)
    said: dict[str, Any] = {"decided_by": "olga", "reason": "asked", "at": world.clock.now_at}
    decision = (CAMPAIGN, "rossi-informatica", legacy_id(1))
    await world.records.record_decision(*decision, DecisionKind.CONFIRM_CONVERSION, **said)
    await world.plan()
    taken_back = next(kind for kind in DecisionKind if kind is not DecisionKind.CONFIRM_CONVERSION)
    await world.records.record_decision(*decision, taken_back, **said)
    await world.buy()

    assert_unbought(world, S.HELD, "Auto-renew is off")


@ROUTES
async def test_what_went_to_another_partner_of_record_is_not_bought_for_this_one(
    world: OnePartner, route: Route
) -> None:
    await planned(world, route)
    world.microsoft.change(legacy_id(1), partner_mpn_id=OTHER_MPN_ID)
    await world.buy()

    assert_unbought(world, S.HELD, "which is not this partner's")


async def test_another_partner_id_of_this_very_partner_is_no_reason_to_stop(world: OnePartner) -> None:
    await planned(world, Route.MIGRATE)
    world.microsoft.links.append(ResellerLink(PARTNER_TENANT, "Rossi", True, "active", OTHER_MPN_ID, "IT"))
    world.microsoft.change(legacy_id(1), partner_mpn_id=OTHER_MPN_ID)
    await world.buy()

    assert world.state() is S.ACCEPTED


async def test_nobody_is_asked_whose_the_rosters_own_partner_id_is(world: OnePartner) -> None:
    await planned(world, Route.MIGRATE, partner_mpn_id=MPN_ID)
    before = world.microsoft.asked["resellers"]
    await world.buy()

    assert world.microsoft.asked["resellers"] == before


@ROUTES
@pytest.mark.parametrize(
    "override", [{"term": "P3Y", "approved_by": "olga"}, {"billing": "annual"}, {"seats": 50}]
)
async def test_an_override_that_was_withdrawn_is_not_bought(
    world: OnePartner, route: Route, override: dict[str, Any]
) -> None:
    await world.begin(
        legacy(offer_id=OFFER[route]), document=campaign(overrides=[{**override, "reason": "asked for"}])
    )
    await world.plan()
    await world.approve()
    await imports(world)
    await world.buy()

    assert_unbought(world, S.DRIFTED, "start the partner again for a new plan")


@ROUTES
async def test_a_mapping_that_was_corrected_is_bought_by_a_new_plan_only(
    world: OnePartner, route: Route
) -> None:
    await planned(world, route)
    product, sku = "CFQ7TTC0LH99", "0009"
    facts: dict[str, Any] = {"nce": f"{product}:{sku}"}
    if route is Route.PURCHASE:
        facts = {"purchase": {"product": product, "sku": sku}}
    await imports(world, offers=offers_with(OFFER[route], **facts))
    await world.buy()

    assert_unbought(world, S.DRIFTED, "now CFQ7TTC0LH99:0009")


@ROUTES
async def test_a_check_that_went_red_while_the_plan_waited_holds_the_purchase(
    world: OnePartner, route: Route
) -> None:
    await planned(world, route)
    world.clock.advance(hours=48)
    world.microsoft.accepted.discard(CUSTOMER)
    await world.buy()

    assert_unbought(world, S.HELD, "has not accepted the Microsoft Customer Agreement")


@ROUTES
async def test_a_check_that_gives_no_answer_is_neither_a_yes_nor_a_no(
    world: OnePartner, route: Route
) -> None:
    await planned(world, route)
    world.clock.advance(hours=48)
    world.microsoft.fail("mpa_status", server_fault)
    await world.buy()
    assert not world.microsoft.sent
    assert world.state() is S.WAITING
    await world.buy()

    assert world.state() is S.ACCEPTED


async def test_an_add_on_of_an_add_on_that_came_since_holds_the_whole_bundle(world: OnePartner) -> None:
    await world.begin(legacy(1), add_on(2))
    await world.plan()
    world.microsoft.hold(add_on(3, base=2))
    await world.buy()

    assert_unbought(world, S.HELD, "an add-on the plan does not know")
