"""What was said until the bytes leave binds them, and what never left is no answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from include.nce.domain.campaign import Campaign
from include.nce.domain.conversion import ConversionState, Route
from include.nce.domain.errors import Busy, FailureClass
from include.nce.steps.sending import LOOK_GOOD_FOR_SECONDS, LOOKS, Departure, Intent, LockLost, send
from tests.support.examples import CAMPAIGN, IDENTITY, at, campaign, legacy, legacy_id
from tests.support.fake_partner_center import Fault
from tests.support.one_partner import OnePartner

S = ConversionState
WRITE = {Route.MIGRATE: "create_migration", Route.PURCHASE: "check_out"}
ROUTES = pytest.mark.parametrize("route", list(Route))


async def planned(world: OnePartner, route: Route, document: Campaign | None = None) -> None:
    offer = {"offer_id": IDENTITY} if route is Route.PURCHASE else {}
    await world.begin(legacy(1, **offer), document=document)
    await world.plan()


def sent(world: OnePartner, route: Route) -> int:
    return len(world.microsoft.sent_of(WRITE[route]))


async def stops(world: OnePartner) -> None:
    await world.records.stop_campaign(CAMPAIGN, by="anna", reason="wait", at=world.clock.now_at)


async def opts_out(world: OnePartner) -> None:
    await world.opt_out(at("2022-06-20 08:00"))


async def opts_out_late(world: OnePartner) -> None:
    await world.opt_out(world.clock.now_at)


async def moves_the_cut_over(world: OnePartner) -> None:
    later = world.clock.now_at + timedelta(days=7)
    await world.records.move_moment(CAMPAIGN, "cut_over", later, "anna", "Microsoft")


async def rejects(world: OnePartner) -> None:
    from include.nce.domain.approval import ApprovalWord

    await world.approve(word=ApprovalWord.REJECTED)


@ROUTES
@pytest.mark.parametrize("said", [stops, opts_out, opts_out_late, moves_the_cut_over, rejects])
async def test_what_is_said_while_the_client_signs_in_keeps_the_purchase_here(
    world: OnePartner, route: Route, said: Callable[[OnePartner], Any]
) -> None:
    """The sign-in and the call budget come after the last look, and may take minutes."""
    await planned(world, route)
    real = getattr(world.microsoft, WRITE[route])

    async def signs_in_slowly(*args: Any, **kwargs: Any) -> Any:
        if not world.microsoft.asked[WRITE[route]]:
            await said(world)
        return await real(*args, **kwargs)

    setattr(world.microsoft, WRITE[route], signs_in_slowly)
    await world.buy()

    assert sent(world, route) == 0
    assert world.state().is_unsent
    world.assert_rules()


@ROUTES
async def test_a_second_attempt_takes_the_last_word_again(world: OnePartner, route: Route) -> None:
    """As after a 401: the token was renewed meanwhile, and the campaign stopped."""
    await planned(world, route)
    real = getattr(world.microsoft, WRITE[route])

    async def refused_once(*args: Any, departure: Departure, **kwargs: Any) -> Any:
        await departure.leave()
        await stops(world)
        return await real(*args, departure=departure, **kwargs)

    setattr(world.microsoft, WRITE[route], refused_once)
    [report] = await world.buy()

    assert sent(world, route) == 0
    assert report.halted


@ROUTES
async def test_a_sign_in_that_fails_refuses_no_line_and_is_the_providers(
    world: OnePartner, route: Route
) -> None:
    await planned(world, route)
    world.microsoft.not_leaving[WRITE[route]] = Fault(FailureClass.PROVIDER_ACTS, "the secret has expired")
    with pytest.raises(Fault, match="the secret has expired"):
        await world.buy()

    assert (sent(world, route), world.state()) == (0, S.PLANNED)
    await world.buy()
    assert world.state() is S.ACCEPTED


@ROUTES
async def test_a_sign_in_that_time_helps_lets_the_line_wait(world: OnePartner, route: Route) -> None:
    await planned(world, route)
    world.microsoft.not_leaving[WRITE[route]] = Fault(FailureClass.WAIT, "throttled", retry_after_seconds=2.0)
    await world.buy()

    assert (sent(world, route), world.state()) == (1, S.ACCEPTED)
    assert [state for state, _ in world.records.states[1]].count(S.WAITING) == 1


@ROUTES
async def test_a_lock_that_is_lost_during_the_last_word_lets_nothing_leave(
    world: OnePartner, route: Route
) -> None:
    await planned(world, route)
    real = world.records.note_sending

    async def loses_the_lock(*args: Any, **kwargs: Any) -> None:
        await real(*args, **kwargs)
        world.records.lose_locks()

    world.records.note_sending = loses_the_lock  # type: ignore[method-assign]
    with pytest.raises(LockLost):
        await world.buy()
    assert sent(world, route) == 0


class Stopwatch:
    """Each reading is so much later than the one before."""

    def __init__(self, *steps: float) -> None:
        self.steps = list(steps)
        self.now = 0.0

    def __call__(self) -> float:
        self.now += self.steps.pop(0)
        return self.now


async def sends(world: OnePartner, stopwatch: Stopwatch) -> int:
    """How often the last word was asked."""
    looks = 0

    async def last_word(_: Any) -> None:
        nonlocal looks
        looks += 1

    async def call(departure: Departure, _: Any) -> Any:
        await departure.leave()
        _, answered = await world.microsoft.create_migration(request(), departure=departure)
        return answered

    def request() -> Any:
        from include.nce.domain.conversion import ConversionRequest

        return ConversionRequest(legacy_id(1), world.conversion().customer_id, seats=10)

    from include.nce.domain.command import CommandKind

    line = world.conversion()
    async with world.records.single_writer(line.customer_id, line.legacy_id) as writer:
        await send(
            Intent([line], CommandKind.CREATE_MIGRATION, {"lines": []}),
            call, last_word=last_word, writer=writer, ledger=world.records, clock=world.clock,
            monotonic=stopwatch,
        )  # fmt: skip
    return looks


async def test_a_look_that_grew_too_old_is_taken_again(world: OnePartner) -> None:
    await planned(world, Route.MIGRATE)
    slow, quick = LOOK_GOOD_FOR_SECONDS + 0.1, 0.1
    assert await sends(world, Stopwatch(0, slow, 0, quick, 0, quick)) == 3


async def test_a_ledger_that_stays_too_slow_leaves_the_send_to_a_later_try(world: OnePartner) -> None:
    await planned(world, Route.MIGRATE)
    slow = LOOK_GOOD_FOR_SECONDS + 0.1
    with pytest.raises(Busy, match="too slow"):
        await sends(world, Stopwatch(*[0, slow] * LOOKS))
    assert sent(world, Route.MIGRATE) == 0


@ROUTES
async def test_a_new_version_of_the_campaign_has_the_line_looked_at_again(
    world: OnePartner, route: Route
) -> None:
    """By its new terms: what was looked at by the old ones does not leave."""
    await planned(world, route)
    real = getattr(world.microsoft, WRITE[route])

    async def imported_meanwhile(*args: Any, **kwargs: Any) -> Any:
        if world.records.versions[CAMPAIGN][-1].title != "Corrected":
            await world.records.import_campaign(campaign(title="Corrected"), "anna", "corrected")
        return await real(*args, **kwargs)

    setattr(world.microsoft, WRITE[route], imported_meanwhile)
    await world.buy()

    assert (sent(world, route), world.state()) == (1, S.ACCEPTED)


@ROUTES
async def test_nothing_of_a_last_word_that_says_no_stays_on_record(world: OnePartner, route: Route) -> None:
    await planned(world, route)
    real = getattr(world.microsoft, WRITE[route])

    async def stopped_meanwhile(*args: Any, **kwargs: Any) -> Any:
        await stops(world)
        return await real(*args, **kwargs)

    setattr(world.microsoft, WRITE[route], stopped_meanwhile)
    await world.buy()

    assert not [event for event in world.records.events if event[0] == "sending"]
    assert world.state() is S.PLANNED
