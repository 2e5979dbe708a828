"""The wait between buying and cancelling: what counts as covered, and how long anybody waits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from include.nce.domain.conversion import ConversionState, Migration, MigrationState
from include.nce.domain.subscription import Status
from include.nce.steps.confirm_nce import Coverage
from tests.support.examples import (
    AUDIO_NCE,
    BASIC_NCE,
    CUSTOMER,
    IDENTITY,
    OTHER_CUSTOMER,
    SAME_ITEM,
    SIGN_IN,
    add_on,
    at,
    campaign,
    legacy,
    legacy_id,
    nce_id,
)
from tests.support.fake_partner_center import lost
from tests.support.one_partner import OnePartner

S = ConversionState


async def bought(world: OnePartner, *holdings: Any) -> None:
    await world.begin(*holdings)
    await world.plan()
    await world.buy()


async def test_a_migration_in_work_is_waited_for(world: OnePartner) -> None:
    await bought(world, legacy())
    world.clock.advance(hours=1)
    (coverage,) = await world.confirm()

    assert (coverage.pending, coverage.covered) == (1, 0)
    assert world.state() is S.ACCEPTED


async def test_a_completed_migration_is_verified_and_covered(world: OnePartner) -> None:
    await bought(world, legacy(1), add_on(2))
    world.clock.advance(hours=3)
    (coverage,) = await world.confirm()

    assert (coverage.pending, coverage.covered, coverage.covered_purchases) == (0, 2, 0)
    assert world.conversion(1).nce_subscription_id == world.microsoft.bought[legacy_id(1)][0]
    assert world.conversion(2).nce_subscription_id == world.microsoft.bought[legacy_id(2)][0]


async def test_an_order_counts_once_it_is_active(world: OnePartner) -> None:
    await bought(world, legacy(offer_id=IDENTITY))
    world.clock.advance(minutes=29)
    assert (await world.confirm())[0].pending == 1
    world.clock.advance(minutes=1)
    (coverage,) = await world.confirm()

    assert (coverage.pending, coverage.covered, coverage.covered_purchases) == (0, 1, 1)


async def test_an_order_is_recognised_when_checkout_named_no_subscription(world: OnePartner) -> None:
    world.microsoft.names_subscriptions_at_checkout = False
    await bought(world, legacy(offer_id=IDENTITY))
    world.clock.advance(hours=1)
    await world.confirm()

    assert world.state() is S.COVERED
    assert world.conversion().nce_subscription_id == world.microsoft.bought[legacy_id(1)][0]


async def test_an_order_nobody_lists_yet_is_waited_for(world: OnePartner) -> None:
    world.microsoft.names_subscriptions_at_checkout = False
    await bought(world, legacy(offer_id=IDENTITY))
    made = world.microsoft.held.pop(world.microsoft.bought[legacy_id(1)][0])
    world.microsoft._carts.clear()
    await world.confirm()

    assert world.state() is S.ACCEPTED
    world.microsoft.hold(replace(made, status=Status.ACTIVE))
    await world.confirm()
    assert world.state() is S.COVERED


async def bought_as_one_product(world: OnePartner) -> None:
    world.microsoft.names_subscriptions_at_checkout = False
    await world.begin(
        legacy(1, offer_id=IDENTITY),
        add_on(2, offer_id=SIGN_IN),
        document=campaign(offers=SAME_ITEM),
    )
    await world.plan()
    await world.buy()
    world.clock.advance(hours=1)


@pytest.mark.parametrize("listed", [1, 2])
async def test_one_subscription_never_covers_two_of_an_order_and_the_other_is_waited_for(
    world: OnePartner, listed: int
) -> None:
    await bought_as_one_product(world)
    world.microsoft._carts.clear()
    world.microsoft.change(world.microsoft.bought[legacy_id(listed)][0], status=Status.ACTIVE)
    del world.microsoft.held[world.microsoft.bought[legacy_id(3 - listed)][0]]
    await world.confirm()
    await world.cancel()

    assert [world.state(listed), world.state(3 - listed)] == [S.COVERED, S.ACCEPTED]
    assert not world.microsoft.sent_of("suspend")


@pytest.mark.parametrize("listed_first", [1, 2])
async def test_two_of_an_order_are_told_apart_by_their_seats(world: OnePartner, listed_first: int) -> None:
    await bought_as_one_product(world)
    made = {number: world.microsoft.bought[legacy_id(number)][0] for number in (1, 2)}
    moved = world.microsoft.held.pop(made[3 - listed_first])
    world.microsoft.hold(moved)
    await world.confirm()

    assert {number: world.conversion(number).nce_subscription_id for number in (1, 2)} == made


async def test_a_purchase_that_stays_pending_is_told_to_a_person(world: OnePartner) -> None:
    world.microsoft.provisioning_takes = timedelta(days=30)
    await bought(world, legacy(offer_id=IDENTITY))
    world.clock.advance(hours=23, minutes=59)
    await world.confirm()
    assert world.state() is S.ACCEPTED
    world.clock.advance(minutes=1)
    (coverage,) = await world.confirm()

    assert world.state() is S.STRANDED
    assert "is pending, not active" in world.conversion().reason
    assert coverage.pending == 0


@pytest.mark.parametrize("listed", [True, False], ids=["still_processing", "not_listed"])
async def test_a_migration_that_takes_longer_than_microsoft_ever_does_is_told_to_a_person(
    world: OnePartner, listed: bool
) -> None:
    world.microsoft.migration_takes = timedelta(days=30)
    await bought(world, legacy())
    if not listed:
        world.microsoft._moves.clear()
    world.clock.advance(hours=71, minutes=59)
    await world.confirm()
    assert world.state() is S.ACCEPTED
    world.clock.advance(minutes=1)
    await world.confirm()

    assert world.state() is S.STRANDED
    assert "72 hours" in world.conversion().reason


@pytest.mark.parametrize("offer", [{}, {"offer_id": IDENTITY}], ids=["migrate", "purchase"])
async def test_too_few_seats_are_told_to_a_person_and_never_cover(
    world: OnePartner, offer: dict[str, Any]
) -> None:
    await bought(world, legacy(**offer))
    world.microsoft.change(legacy_id(1), seats=11)
    world.clock.advance(hours=3)
    await world.confirm()

    assert world.state() is S.STRANDED
    assert "has 10 seats, legacy has 11" in world.conversion().reason


async def test_another_product_than_the_mapped_one_never_covers(world: OnePartner) -> None:
    await bought(world, legacy())
    world.microsoft._moves[0].migration = replace(
        world.microsoft._moves[0].migration, catalogue_item=AUDIO_NCE
    )
    world.clock.advance(hours=3)
    await world.confirm()

    assert world.state() is S.STRANDED
    assert f"expected {BASIC_NCE}" in world.conversion().reason


async def test_a_legacy_subscription_that_is_not_listed_any_more_is_told_to_a_person(
    world: OnePartner,
) -> None:
    await bought(world, legacy())
    world.clock.advance(hours=3)
    await world.microsoft.subscriptions_of(CUSTOMER)
    del world.microsoft.held[legacy_id(1)]
    await world.confirm()

    assert world.state() is S.STRANDED
    assert "not listed any more" in world.conversion().reason


async def test_a_failed_migration_whose_legacy_is_active_may_be_tried_again(world: OnePartner) -> None:
    world.microsoft.endings[legacy_id(1)] = "reverts"
    await bought(world, legacy(1), add_on(2))
    world.clock.advance(hours=50)
    (coverage,) = await world.confirm()

    assert (world.state(1), world.state(2)) == (S.FAILED, S.FAILED)
    assert coverage.pending == 0
    world.microsoft.endings.clear()
    await world.plan()
    await world.buy()
    await world.finish()
    assert (world.state(1), world.bought(1)) == (S.CONVERTED, 1)


async def test_a_failed_migration_whose_legacy_is_suspended_is_left_to_microsoft_for_72_hours(
    world: OnePartner,
) -> None:
    world.microsoft.endings[legacy_id(1)] = "never_settles"
    await bought(world, legacy())
    world.clock.advance(hours=3)
    (coverage,) = await world.confirm()
    assert world.state() is S.HANDS_OFF
    assert "by 2022-07-14 00:00 UTC: hands off" in world.conversion().reason
    assert coverage.pending == 1
    before = list(world.records.events)
    world.clock.advance(hours=68)
    await world.confirm()
    assert world.records.events == before

    world.clock.advance(hours=1)
    (coverage,) = await world.confirm()
    assert world.state() is S.STRANDED
    assert coverage.pending == 0
    assert world.microsoft.sent_of("create_migration") != []
    assert len(world.microsoft.sent_of("create_migration")) == 1


async def test_hands_off_counts_from_acceptance_when_microsoft_names_no_start(world: OnePartner) -> None:
    world.microsoft.endings[legacy_id(1)] = "never_settles"
    await bought(world, legacy())
    world.microsoft._moves[0].migration = replace(world.microsoft._moves[0].migration, started_at=None)
    world.clock.advance(hours=3)
    await world.confirm()

    assert "by 2022-07-14 00:00 UTC" in world.conversion().reason


async def test_a_failed_migration_that_microsoft_finishes_late_is_a_success(world: OnePartner) -> None:
    world.microsoft.endings[legacy_id(1)] = "finishes_late"
    await bought(world, legacy())
    world.clock.advance(hours=3)
    await world.confirm()
    assert world.state() is S.HANDS_OFF
    await world.finish(hours=42)

    assert (world.state(), world.bought()) == (S.CONVERTED, 1)


async def test_a_lost_answer_is_found_while_the_others_are_watched(world: OnePartner) -> None:
    await world.begin(legacy())
    await world.plan()
    world.microsoft.fail("create_migration", lost, after=True)
    world.microsoft.fail("migrations", lost, times=4)
    await world.buy()
    assert world.state() is S.UNKNOWN
    world.microsoft._scripts.clear()
    (coverage,) = await world.confirm()

    assert world.state() is S.ACCEPTED
    assert ("answered", legacy_id(1), "create_migration", "found") in world.records.events
    assert coverage.pending == 1
    await world.buy()
    assert len(world.microsoft.sent_of("create_migration")) == 1


async def test_nothing_waits_for_an_answer_that_never_comes(world: OnePartner) -> None:
    await world.begin(legacy())
    await world.plan()
    world.microsoft.fail("create_migration", lost, times=4)
    await world.buy()
    world.clock.advance(days=9)
    (coverage,) = await world.confirm()

    assert world.state() is S.UNKNOWN
    assert coverage.pending == 0


async def test_a_lost_answer_whose_migration_is_over_is_followed_to_its_end(world: OnePartner) -> None:
    await world.begin(legacy(1), add_on(2))
    await world.plan()
    world.microsoft.fail("create_migration", lost, after=True)
    world.microsoft.fail("migrations", lost, times=4)
    await world.buy()
    world.microsoft._scripts.clear()
    await world.finish()

    assert [world.state(n) for n in (1, 2)] == [S.CONVERTED] * 2
    assert [world.bought(n) for n in (1, 2)] == [1, 1]
    assert all(command.answered for command in world.records.commands.values())


async def test_the_latest_try_counts_and_a_failed_one_before_it_does_not(world: OnePartner) -> None:
    await bought(world, legacy())
    move = world.microsoft._moves[0]
    earlier = Migration(
        "earlier", legacy_id(1), CUSTOMER, MigrationState.FAILED,
        started_at=at("2022-07-10 00:00"), reference=move.migration.reference,
    )  # fmt: skip
    world.microsoft._moves.append(replace(move, migration=earlier, settled=True))
    await world.confirm()
    assert world.state() is S.ACCEPTED

    world.microsoft._moves.pop(0)
    world.microsoft.change(legacy_id(1), status=Status.ACTIVE)
    await world.confirm()
    assert world.state() is S.ACCEPTED


async def test_one_query_tells_of_all_lines_with_the_same_reference(world: OnePartner) -> None:
    await world.begin(
        legacy(1), add_on(2), legacy(3), legacy(4, customer_id=OTHER_CUSTOMER), legacy(5, offer_id=IDENTITY)
    )
    await world.plan()
    for number, conversion in world.records._conversions.items():
        world.records._conversions[number] = replace(conversion, reference="plan-1")
    await world.buy()
    world.microsoft.asked.clear()
    world.clock.advance(hours=3)
    await world.confirm()

    assert world.microsoft.asked == {"migrations": 1, "subscriptions_of": 3}
    assert {world.state(n) for n in range(1, 6)} == {S.COVERED}


async def test_an_add_on_is_told_of_by_its_bases_answer(world: OnePartner) -> None:
    await bought(world, legacy(1), add_on(2), add_on(3))
    world.microsoft.asked.clear()
    world.clock.advance(hours=3)
    await world.confirm()

    assert world.microsoft.asked["migrations"] == 1


async def test_a_line_without_reference_or_counterpart_is_not_looked_for(world: OnePartner) -> None:
    await bought(world, legacy())
    number = world.conversion().conversion_id
    world.records._conversions[number] = replace(world.conversion(), reference=None)
    world.microsoft.asked.clear()
    await world.confirm()

    assert world.microsoft.asked["migrations"] == 0


async def test_a_migration_is_recognised_by_where_it_came_from(world: OnePartner) -> None:
    await bought(world, legacy())
    world.clock.advance(hours=3)
    await world.confirm()
    number = world.conversion().conversion_id
    world.records._conversions[number] = replace(
        world.conversion(), state=S.ACCEPTED, nce_subscription_id=nce_id(404)
    )
    world.microsoft._moves[0].migration = replace(
        world.microsoft._moves[0].migration, nce_subscription_id=nce_id(404)
    )
    await world.confirm()

    assert world.state() is S.COVERED
    assert world.conversion().nce_subscription_id == world.microsoft.bought[legacy_id(1)][0]


async def test_looking_twice_changes_nothing(world: OnePartner) -> None:
    await bought(world, legacy(1), legacy(2, offer_id=IDENTITY))
    world.clock.advance(hours=3)
    await world.confirm()
    before = list(world.records.events)
    await world.confirm()

    assert world.records.events == before


NOON = at("2022-07-12 12:00")


@pytest.mark.parametrize(
    ("coverage", "worth"),
    [
        (Coverage(0, 0, 0, None), True),
        (Coverage(0, 3, 1, NOON), True),
        # Slow migrations hold up nobody's money: Microsoft suspended legacy itself.
        (Coverage(1, 5, 0, NOON - timedelta(hours=9)), False),
        (Coverage(1, 5, 2, NOON - timedelta(minutes=59)), False),
        (Coverage(1, 5, 2, NOON - timedelta(minutes=60)), True),
        (Coverage(1, 5, 2, None), False),
    ],
)
def test_when_finishing_is_worth_it(coverage: Coverage, worth: bool) -> None:
    assert coverage.worth_cancelling(NOON, 60) is worth


class _NamesNoSubscription:
    """Partner Center whose answers leave out which subscription a migration made."""

    def __init__(self, world: OnePartner) -> None:
        self._microsoft = world.microsoft

    def __getattr__(self, name: str) -> Any:
        return getattr(self._microsoft, name)

    async def migrations(self, **wanted: Any) -> AsyncIterator[Migration]:
        async for migration in self._microsoft.migrations(**wanted):
            yield replace(migration, nce_subscription_id=None)


async def test_a_completed_migration_that_names_no_subscription_does_not_hang_for_ever(
    world: OnePartner,
) -> None:
    await bought(world, legacy())
    world.partner_center = _NamesNoSubscription(world)
    world.clock.advance(hours=24)
    (coverage,) = await world.confirm()
    assert coverage.pending == 1
    world.clock.advance(hours=49)
    (coverage,) = await world.confirm()

    assert coverage.pending == 0
    assert world.state() is S.STRANDED
    assert "names no NCE subscription" in world.conversion().reason
