"""The process dies at every single call, before and after its effect: never two purchases, nothing lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from include.nce.domain.conversion import ConversionState
from include.nce.domain.subscription import Status, Subscription
from tests.support.crash import Crash, Wire
from tests.support.examples import IDENTITY, OTHER_CUSTOMER, SIGN_IN, add_on, legacy
from tests.support.one_partner import OnePartner


def migrations() -> list[Subscription]:
    return [legacy(1), add_on(2), legacy(3, customer_id=OTHER_CUSTOMER)]


def purchases() -> list[Subscription]:
    return [
        legacy(1, offer_id=IDENTITY),
        add_on(2, offer_id=SIGN_IN),
        legacy(3, offer_id=IDENTITY, customer_id=OTHER_CUSTOMER),
    ]


def both_routes() -> list[Subscription]:
    return [legacy(1), legacy(3, offer_id=IDENTITY)]


async def to_the_end(world: OnePartner) -> None:
    """Every task of a batch, as if the operator had cleared `buy_nce`."""
    await world.buy()
    await world.finish(rounds=8)


async def planned_again(world: OnePartner) -> None:
    """The partner is started again: a new plan, which must carry on what was begun."""
    await world.plan()
    await to_the_end(world)


async def crashes_once(
    world: OnePartner, wire: Wire, holdings: list[Subscription], recover: Callable[[OnePartner], object]
) -> bool:
    """False when the run came to its end without reaching the fatal call."""
    await world.begin(*holdings)
    await world.plan()
    world.ledger, world.partner_center = wire.tied(world.records), wire.tied(world.microsoft)
    try:
        await to_the_end(world)
    except Crash:
        world.assert_rules()
        world.ledger, world.partner_center = world.records, world.microsoft
        await recover(world)  # type: ignore[misc]
        return True
    return False


@pytest.mark.parametrize("recover", [to_the_end, planned_again])
@pytest.mark.parametrize("after", [False, True], ids=["before_its_effect", "after_its_effect"])
@pytest.mark.parametrize("holdings", [migrations, purchases, both_routes])
@pytest.mark.parametrize("microsoft_replays", [False, True])
async def test_a_crash_at_any_call_buys_nothing_twice_and_loses_nothing(
    holdings: Callable[[], list[Subscription]],
    after: bool,
    recover: Callable[[OnePartner], object],
    microsoft_replays: bool,
) -> None:
    fatal = 0
    while True:
        fatal += 1
        world = OnePartner()
        world.microsoft.replays_request_ids = microsoft_replays
        wire = Wire(fatal, after=after)
        crashed = await crashes_once(world, wire, holdings(), recover)
        where = f"call {fatal}: {wire.calls[fatal - 1] if crashed else 'none'}"
        world.assert_rules()
        for subscription in holdings():
            number = int(subscription.subscription_id[-12:])
            assert world.bought(number) == 1, where
            assert world.state(number) is ConversionState.CONVERTED, (where, world.conversion(number))
            assert world.legacy_status(number) is Status.SUSPENDED, where
        if not crashed:
            break
    assert fatal > 40
