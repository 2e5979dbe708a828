"""The process dies, and whoever recovers from that dies as well: at any call, before or after its effect."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from include.nce.domain.conversion import ConversionState
from include.nce.domain.subscription import Status, Subscription
from tests.support.crash import Crash, Wire
from tests.support.examples import IDENTITY, add_on, legacy
from tests.support.one_partner import OnePartner


def migration() -> list[Subscription]:
    return [legacy(1), add_on(2)]


def purchase() -> list[Subscription]:
    return [legacy(1, offer_id=IDENTITY)]


async def to_the_end(world: OnePartner) -> None:
    await world.buy()
    await world.finish(rounds=8)


async def dies(world: OnePartner, fatal: int, *, after: bool) -> bool:
    """False when the end was reached without coming to the fatal call."""
    wire = Wire(fatal, after=after)
    world.ledger, world.partner_center = wire.tied(world.records), wire.tied(world.microsoft)
    try:
        await to_the_end(world)
    except Crash:
        return True
    finally:
        world.ledger, world.partner_center = world.records, world.microsoft
    return False


@pytest.mark.parametrize("after", [False, True], ids=["before_its_effect", "after_its_effect"])
@pytest.mark.parametrize("holdings", [migration, purchase])
async def test_two_crashes_at_any_two_calls_buy_nothing_twice_and_lose_nothing(
    holdings: Callable[[], list[Subscription]], after: bool
) -> None:
    tried = 0
    first = 0
    crashed = True
    while crashed:
        first += 1
        second = 0
        again = True
        while again and crashed:
            second += 1
            tried += 1
            world = OnePartner()
            await world.begin(*holdings())
            await world.plan()
            crashed = await dies(world, first, after=after)
            again = await dies(world, second, after=after)
            world.assert_rules()
            await to_the_end(world)
            _assert_finished(world, holdings(), f"calls {first} and {second}")
    assert tried > 500


def _assert_finished(world: OnePartner, holdings: list[Subscription], where: str) -> None:
    world.assert_rules()
    for subscription in holdings:
        number = int(subscription.subscription_id[-12:])
        assert world.bought(number) == 1, where
        assert world.state(number) is ConversionState.CONVERTED, (where, world.conversion(number))
        assert world.legacy_status(number) is Status.SUSPENDED, where
    for command in world.records.commands.values():
        assert command.answered or not command.sent, f"{where}: what came of {command.kind} is not on record"
