"""Faults, crashes, changed seats, moved dates and opt-outs in any order: the rules of money always hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.nce.domain.conversion import ConversionState
from include.nce.domain.errors import FailureClass, PartnerCenterFault
from include.nce.domain.purchase import CartLineFault
from include.nce.domain.subscription import Status
from include.nce.steps.sending import LockLost
from tests.support.crash import Crash, Wire
from tests.support.examples import CAMPAIGN, IDENTITY, OTHER_CUSTOMER, SIGN_IN, add_on, at, legacy, legacy_id
from tests.support.fake_partner_center import Fault, lost, refusal, server_fault, throttled
from tests.support.one_partner import OnePartner

HOLDINGS = [
    legacy(1),
    add_on(2),
    legacy(3, offer_id=IDENTITY),
    add_on(4, base=3, offer_id=SIGN_IN),
    legacy(5, offer_id=IDENTITY, customer_id=OTHER_CUSTOMER),
]
NUMBERS = range(1, 6)
OPERATIONS = [
    "subscriptions_of", "subscription", "validate_migration", "create_migration", "migrations",
    "create_cart", "cart", "check_out", "suspend",
]  # fmt: skip
FAULTS: list[Callable[[], PartnerCenterFault]] = [
    lost,
    server_fault,
    throttled,
    refusal,
    lambda: Fault(FailureClass.BROKEN, "unreadable", status=201),
    lambda: Fault(FailureClass.RECONCILE, "not active", status=400, code=900215),
    lambda: Fault(FailureClass.WAIT, "being processed", status=409, code=800064),
]
BEING_PROCESSED = 6
REFUSALS = {2, 3, 5}
"""Numbers of the faults that say no: answers get lost after an effect, but nobody refuses what was done."""

trouble = st.one_of(
    st.tuples(
        st.just("fault"), st.sampled_from(OPERATIONS), st.integers(0, len(FAULTS) - 1), st.booleans(),
        st.integers(1, 5),
    ),
    st.tuples(st.just("crash"), st.integers(1, 60), st.booleans()),
    st.tuples(st.just("seats"), st.sampled_from(NUMBERS), st.integers(1, 30)),
    st.tuples(st.just("half_an_order"), st.sampled_from(NUMBERS)),
    st.tuples(st.just("whole_orders")),
    st.tuples(st.just("ends_badly"), st.sampled_from([1, 2]), st.sampled_from(["reverts", "finishes_late"])),
    st.tuples(st.just("time"), st.integers(1, 30)),
    st.tuples(st.just("clear")),
    st.tuples(st.just("start_again")),
    st.tuples(st.just("confirm")),
    st.tuples(st.just("cancel")),
)  # fmt: skip


class Story:
    """One world and what happens to it."""

    def __init__(self) -> None:
        self.world = OnePartner()

    async def happen(self, event: tuple[object, ...]) -> None:
        world, microsoft = self.world, self.world.microsoft
        kind, *details = event
        if kind == "fault":
            operation, number, after, times = details
            refused = number in REFUSALS or (number == BEING_PROCESSED and operation != "check_out")
            after = bool(after) and not refused
            microsoft.fail(str(operation), FAULTS[int(str(number))], after=after, times=int(str(times)))
        elif kind == "seats":
            changed = legacy_id(int(str(details[0])))
            if microsoft.held[changed].status is Status.ACTIVE:  # 2001: not while it is suspended
                microsoft.change(changed, seats=details[1])
        elif kind == "half_an_order":
            number = int(str(details[0]))
            microsoft.not_ordered[legacy_id(number)] = CartLineFault(legacy_id(number), 1, "no")
        elif kind == "whole_orders":
            microsoft.not_ordered.clear()
        elif kind == "ends_badly":
            microsoft.endings[legacy_id(int(str(details[0])))] = details[1]  # type: ignore[assignment]
        elif kind == "time":
            world.clock.advance(hours=int(str(details[0])))
        elif kind == "crash":
            wire = Wire(int(str(details[0])), after=bool(details[1]))
            world.ledger, world.partner_center = wire.tied(world.records), wire.tied(microsoft)
            with suppress(Crash):
                await self.attempt(self.clear)
            world.ledger, world.partner_center = world.records, microsoft
        else:
            await self.attempt(getattr(self, str(kind)))

    async def attempt(self, task: Callable[[], object]) -> None:
        """A task that goes red; the operator sees it and goes on."""
        with suppress(PartnerCenterFault, LockLost):
            await task()  # type: ignore[misc]

    async def clear(self) -> None:
        await self.world.buy()

    async def start_again(self) -> None:
        await self.world.plan()
        await self.world.buy()

    async def confirm(self) -> None:
        await self.world.confirm()

    async def cancel(self) -> None:
        await self.world.cancel()


async def _told(events: list[tuple[object, ...]]) -> OnePartner:
    story = Story()
    await story.world.begin(*HOLDINGS)
    await story.world.plan()
    for event in events:
        await story.happen(event)
        story.world.assert_rules()
    return story.world


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(trouble, max_size=14))
def test_whatever_happens_nothing_is_bought_twice_and_calm_weather_finishes_the_rest(
    events: list[tuple[object, ...]],
) -> None:
    async def tell() -> None:
        world = await _told(events)
        await _calm(world)
        for number in NUMBERS:
            state = world.state(number)
            if state is ConversionState.CONVERTED:
                assert world.bought(number) == 1
                assert world.legacy_status(number) is Status.SUSPENDED
            else:
                # Only what a person has to look at is left, and it says why.
                assert state is ConversionState.STRANDED, world.conversion(number)
                assert world.conversion(number).reason
        world.assert_rules()

    asyncio.run(tell())


async def _calm(world: OnePartner) -> None:
    """No more faults, and the operator starts the partner again until nothing moves."""
    world.microsoft._scripts.clear()
    world.microsoft.endings.clear()
    world.microsoft.not_ordered.clear()
    for _ in range(3):
        world.clock.advance(hours=48)
        for number in NUMBERS:
            world.microsoft.change(legacy_id(number), term_end_at=world.clock.now_at + timedelta(days=12))
        await world.confirm()
        await world.plan()
        await world.buy()
        await world.finish(hours=12, rounds=8)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(before=st.lists(trouble, max_size=6), after=st.lists(trouble, max_size=8))
def test_after_an_opt_out_nothing_new_is_bought(
    before: list[tuple[object, ...]], after: list[tuple[object, ...]]
) -> None:
    async def tell() -> None:
        story = Story()
        await story.world.begin(*HOLDINGS)
        await story.world.plan()
        for event in before:
            await story.happen(event)
        world = story.world
        await world.opt_out(at("2022-06-01 00:00"))
        bought = {number: world.bought(number) for number in NUMBERS}
        begun = {move.migration.legacy_id for move in world.microsoft._moves}
        for event in after:
            await story.happen(event)
            world.assert_rules()
        for number in NUMBERS:
            under_way = {part.legacy_id for m in world.microsoft._moves for part in m.migration.flattened()}
            assert world.bought(number) == bought[number] or legacy_id(number) in under_way
        assert {move.migration.legacy_id for move in world.microsoft._moves} == begun

    asyncio.run(tell())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(trouble, max_size=8))
def test_while_the_cut_over_lies_ahead_nothing_is_bought(events: list[tuple[object, ...]]) -> None:
    async def tell() -> None:
        story = Story()
        await story.world.begin(*HOLDINGS)
        await story.world.plan()
        await story.world.records.move_moment(CAMPAIGN, "cut_over", at("2022-12-01 00:00"), "anna", "moved")
        for event in events:
            await story.happen(event)
        assert story.world.microsoft.bought == {}
        assert story.world.microsoft.sent == []

    asyncio.run(tell())
