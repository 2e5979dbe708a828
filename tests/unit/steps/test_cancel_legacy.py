"""Legacy is suspended only past the cancel gate, once, and what really happened is looked at."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from include.nce.domain.command import CommandKind
from include.nce.domain.conversion import ConversionState
from include.nce.domain.subscription import Status
from include.nce.steps.sending import LockLost
from tests.support.examples import CUSTOMER, IDENTITY, SIGN_IN, add_on, legacy, legacy_id
from tests.support.fake_partner_center import lost, refusal, server_fault, throttled
from tests.support.one_partner import OnePartner

S = ConversionState
ALONE = legacy(1, offer_id=IDENTITY)
BUNDLE = [ALONE, add_on(2, offer_id=SIGN_IN)]


async def covered(world: OnePartner, *holdings: Any) -> None:
    await world.begin(*holdings)
    await world.plan()
    await world.buy()
    world.clock.advance(hours=3)
    await world.confirm()


def suspended(world: OnePartner) -> list[str]:
    return [sent.about for sent in world.microsoft.sent_of("suspend")]


async def test_after_a_purchase_the_whole_bundle_is_suspended(world: OnePartner) -> None:
    await covered(world, *BUNDLE)
    (done,) = await world.cancel()

    assert (done.finished, done.pending, done.unresolved) == (2, 0, ())
    assert sorted(suspended(world)) == [legacy_id(1), legacy_id(2)]
    assert (world.state(1), world.state(2)) == (S.CONVERTED, S.CONVERTED)


async def test_after_a_migration_microsofts_own_suspension_is_only_verified(world: OnePartner) -> None:
    await covered(world, legacy(1), add_on(2))
    (done,) = await world.cancel()

    assert done.finished == 2
    assert suspended(world) == []


async def test_what_microsoft_did_not_suspend_is_suspended(world: OnePartner) -> None:
    world.microsoft.microsoft_suspends = False
    await covered(world, legacy())
    await world.cancel()

    assert suspended(world) == [legacy_id(1)]
    assert world.legacy_status() is Status.SUSPENDED
    assert world.state() is S.CONVERTED


async def test_a_second_run_does_nothing(world: OnePartner) -> None:
    await covered(world, *BUNDLE)
    await world.cancel()
    before = list(world.records.events)
    (done,) = await world.cancel()

    assert done.finished == 2
    assert world.records.events == before


@pytest.mark.parametrize("state", sorted(set(S) - {S.COVERED, S.STRANDED}))
async def test_only_what_is_covered_is_touched(world: OnePartner, state: ConversionState) -> None:
    await covered(world, ALONE)
    number = world.conversion().conversion_id
    world.records._conversions[number] = replace(world.conversion(), state=state)
    await world.cancel()

    assert suspended(world) == []
    assert world.state() is state


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seats": 11}, "has 10 seats, legacy has 11"),
        ({"status": Status.OTHER}, "unknown state 'other'"),
    ],
)
async def test_the_gate_is_asked_again_at_the_last_moment(
    world: OnePartner, change: dict[str, Any], says: str
) -> None:
    await covered(world, ALONE)
    world.microsoft.change(legacy_id(1), **change)
    (done,) = await world.cancel()

    assert suspended(world) == []
    assert world.state() is S.STRANDED
    assert says in done.unresolved[0]


async def test_what_stranded_is_finished_once_the_reason_is_gone(world: OnePartner) -> None:
    await covered(world, ALONE)
    world.microsoft.change(legacy_id(1), seats=11)
    await world.cancel()
    world.microsoft.change(world.microsoft.bought[legacy_id(1)][0], seats=11)
    await world.cancel()

    assert (suspended(world), world.state()) == ([legacy_id(1)], S.CONVERTED)


async def test_a_nce_subscription_that_went_away_again_is_waited_for(world: OnePartner) -> None:
    await covered(world, ALONE)
    world.microsoft.change(world.microsoft.bought[legacy_id(1)][0], status=Status.PENDING)
    world.microsoft._carts.clear()
    (done,) = await world.cancel()

    assert (done.pending, suspended(world)) == (1, [])
    assert world.state() is S.ACCEPTED


async def test_a_bundle_that_is_half_covered_waits_as_a_whole(world: OnePartner) -> None:
    await covered(world, *BUNDLE)
    extra = world.microsoft.bought[legacy_id(2)][0]
    world.microsoft._carts.clear()
    world.microsoft.change(extra, status=Status.PENDING)
    number = world.conversion(2).conversion_id
    world.records._conversions[number] = replace(world.conversion(2), state=S.ACCEPTED)
    since_at = world.conversion(1).state_since_at
    world.clock.advance(hours=1)
    (done,) = await world.cancel()

    assert (done.finished, done.pending, suspended(world)) == (0, 2, [])
    assert world.state(1) is S.COVERED
    assert world.conversion(1).state_since_at == since_at
    assert f"{legacy_id(2)} is not covered" in world.conversion(1).reason
    world.microsoft.change(extra, status=Status.ACTIVE)
    await world.finish()
    assert sorted(suspended(world)) == [legacy_id(1), legacy_id(2)]


async def test_a_bundle_whose_other_half_never_comes_does_not_wait_forever(world: OnePartner) -> None:
    world.microsoft.provisioning_takes = timedelta(hours=1)
    await covered(world, *BUNDLE)
    world.microsoft._carts.clear()
    world.microsoft.change(world.microsoft.bought[legacy_id(2)][0], status=Status.PENDING)
    number = world.conversion(2).conversion_id
    world.records._conversions[number] = replace(world.conversion(2), state=S.ACCEPTED)
    done = await world.finish(hours=13, rounds=4)

    assert done[0].pending == 0
    assert len(done[0].unresolved) == 2
    assert suspended(world) == []


@pytest.mark.parametrize("status", [Status.ACTIVE, Status.OTHER])
async def test_an_add_on_nobody_bought_keeps_its_base_from_being_suspended(
    world: OnePartner, status: Status
) -> None:
    await covered(world, ALONE)
    world.microsoft.hold(add_on(9, status=status))
    (done,) = await world.cancel()

    assert suspended(world) == []
    assert f"{legacy_id(9)} is not covered" in done.unresolved[0]


async def test_an_add_on_is_not_suspended_while_its_base_is_not_covered(world: OnePartner) -> None:
    await covered(world, *BUNDLE)
    base, extra = world.conversion(1), world.conversion(2)
    world.records._conversions[base.conversion_id] = replace(base, state=S.REFUSED)
    await world.plan()
    world.records._plans[-1].lines = [
        line for line in world.records._plans[-1].lines if line[2] == extra.conversion_id
    ]
    (done,) = await world.cancel()

    assert suspended(world) == []
    assert f"{legacy_id(1)} is not covered" in done.unresolved[0]


@pytest.mark.parametrize("fault", [lost, server_fault])
async def test_a_lost_answer_is_settled_by_looking(world: OnePartner, fault: Any) -> None:
    await covered(world, ALONE)
    world.microsoft.fail("suspend", fault, after=True)
    await world.cancel()

    assert world.state() is S.CONVERTED
    assert ("answered", legacy_id(1), "suspend_legacy", "found") in world.records.events
    assert len(suspended(world)) == 1


async def test_a_suspension_that_did_not_arrive_is_sent_again_with_the_same_request_id(
    world: OnePartner,
) -> None:
    await covered(world, ALONE)
    world.microsoft.fail("suspend", lost)
    (done,) = await world.cancel()
    assert (done.pending, world.state()) == (1, S.COVERED)
    assert "not confirmed yet" in world.conversion().reason
    await world.cancel()

    assert world.state() is S.CONVERTED
    assert len(world.records.commands) == 2
    assert {sent.request_id for sent in world.microsoft.sent_of("suspend")} <= {
        command.request_id for command in world.records.commands.values()
    }


async def test_an_accepted_suspension_that_does_not_show_yet_is_waited_for(world: OnePartner) -> None:
    await covered(world, ALONE)
    real = world.microsoft.suspend

    async def slowly(*args: Any, **kwargs: Any) -> Any:
        answered = await real(*args, **kwargs)
        world.microsoft.change(legacy_id(1), status=Status.ACTIVE)
        return answered

    world.microsoft.suspend = slowly  # type: ignore[method-assign]
    (done,) = await world.cancel()

    assert (done.pending, world.state()) == (1, S.COVERED)


async def test_a_refused_suspension_is_told_to_a_person(world: OnePartner) -> None:
    await covered(world, ALONE)
    world.microsoft.fail("suspend", lambda: refusal("a change of status is not allowed", code=800040))
    (done,) = await world.cancel()

    assert world.state() is S.STRANDED
    assert "a change of status is not allowed" in done.unresolved[0]
    await world.cancel()
    assert world.state() is S.CONVERTED


async def test_a_throttled_suspension_is_tried_again_and_nobody_is_called(world: OnePartner) -> None:
    await covered(world, ALONE)
    world.microsoft.fail("suspend", throttled)
    (done,) = await world.cancel()

    assert (done.pending, world.state()) == (1, S.COVERED)
    await world.cancel()
    assert world.state() is S.CONVERTED


async def test_a_suspension_that_fails_for_a_day_is_told_to_a_person(world: OnePartner) -> None:
    await covered(world, ALONE)
    world.microsoft.fail("suspend", server_fault, times=2)
    await world.cancel()
    assert world.state() is S.COVERED

    world.clock.advance(hours=24)
    (done,) = await world.cancel()
    assert world.state() is S.STRANDED
    assert "legacy not suspended" in done.unresolved[0]


@pytest.mark.parametrize("look", ["subscriptions_of", "subscription"])
async def test_a_look_that_fails_finishes_nothing_and_the_others_go_on(world: OnePartner, look: str) -> None:
    await covered(world, ALONE, legacy(3, offer_id=IDENTITY))
    world.microsoft.fail(look, throttled)
    (done,) = await world.cancel()

    assert (done.finished, done.pending) == (1, 1)
    assert "legacy not looked at: HTTP 429" in world.conversion(1).reason
    await world.cancel()
    assert (world.state(1), world.state(3)) == (S.CONVERTED, S.CONVERTED)


async def test_a_busy_subscription_is_left_to_whoever_has_it(world: OnePartner) -> None:
    await covered(world, ALONE)
    async with world.records.single_writer(CUSTOMER, legacy_id(1)):
        (done,) = await world.cancel()

    assert (done.pending, suspended(world)) == (1, [])


async def test_who_lost_the_lock_suspends_nothing(world: OnePartner) -> None:
    await covered(world, ALONE)
    real = world.records.single_writer

    def loses(*args: Any) -> Any:
        context = real(*args)
        enter = context.__aenter__

        class Context:
            async def __aenter__(self) -> Any:
                writer = await enter()
                world.records.lose_locks()
                return writer

            async def __aexit__(self, *error: Any) -> Any:
                return await context.__aexit__(*error)

        return Context()

    world.records.single_writer = loses  # type: ignore[assignment, method-assign]
    with pytest.raises(LockLost):
        await world.cancel()

    assert suspended(world) == []
    assert (
        await world.records.open_command(world.conversion().conversion_id, CommandKind.SUSPEND_LEGACY) is None
    )


async def test_who_loses_the_lock_right_before_the_send_suspends_nothing(world: OnePartner) -> None:
    await covered(world, ALONE)
    real = world.records.note_sending

    async def loses(*args: Any, **kwargs: Any) -> None:
        await real(*args, **kwargs)
        world.records.lose_locks()

    world.records.note_sending = loses  # type: ignore[method-assign]
    with pytest.raises(LockLost):
        await world.cancel()

    assert suspended(world) == []


@pytest.mark.parametrize("knows", [True, False], ids=["lock_is_gone", "lock_seems_held"])
async def test_an_orphan_that_wakes_up_after_its_successor_has_finished_leaves_no_intention(
    world: OnePartner, knows: bool
) -> None:
    """It has looked at both sides, its lock goes, and the next attempt finishes before it goes on."""
    await covered(world, ALONE)
    real = world.records.record_survey
    orphans = [True]

    async def sleeps(*args: Any, **kwargs: Any) -> None:
        await real(*args, **kwargs)
        if orphans:
            orphans.clear()
            (writer,) = set(world.records._locks.values())
            world.records.lose_locks()
            writer.held = not knows
            await world.cancel()

    world.records.record_survey = sleeps  # type: ignore[method-assign]
    with suppress(LockLost):
        await world.cancel()

    assert (suspended(world), world.state()) == ([legacy_id(1)], S.CONVERTED)
    assert (
        await world.records.open_command(world.conversion().conversion_id, CommandKind.SUSPEND_LEGACY) is None
    )


async def test_what_another_run_finished_meanwhile_is_left_alone(world: OnePartner) -> None:
    await covered(world, ALONE)
    stale = await world.records.batch(*world._batches[0])
    await world.cancel()
    before = list(world.records.events)
    real = world.records.batch

    async def first_stale(*args: Any) -> Any:
        world.records.batch = real  # type: ignore[method-assign]
        return stale

    world.records.batch = first_stale  # type: ignore[assignment, method-assign]
    await world.cancel()

    assert world.records.events == before


async def test_the_suspension_is_on_record_before_it_is_sent(world: OnePartner) -> None:
    await covered(world, ALONE)
    await world.cancel()

    kinds = [event[0] for event in world.records.events if event[1:3] == (legacy_id(1), "suspend_legacy")]
    assert kinds == ["intended", "sending", "answered"]


async def test_nothing_is_looked_at_when_nothing_can_be_finished(world: OnePartner) -> None:
    await world.begin(ALONE)
    await world.plan()
    world.microsoft.fail("check_out", refusal)
    await world.buy()
    world.microsoft.asked.clear()
    (done,) = await world.cancel()

    assert world.microsoft.asked == {}
    assert done.unresolved == (f"Subscription {legacy_id(1)} is refused: not eligible",)


async def test_a_legacy_subscription_that_is_not_listed_any_more_is_told_to_a_person(
    world: OnePartner,
) -> None:
    await covered(world, ALONE)
    del world.microsoft.held[legacy_id(1)]
    (done,) = await world.cancel()

    assert "is not part of what was read" in done.unresolved[0]
