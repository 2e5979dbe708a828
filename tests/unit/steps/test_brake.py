"""A stopped campaign buys nothing more, finishes what it has bought, and stops by itself in time."""

from __future__ import annotations

from typing import Any

import pytest

from include.nce.domain.brake import CoverageSignals
from include.nce.domain.conversion import ConversionState, Route
from include.nce.domain.subscription import Status
from include.nce.steps.brake import brake
from include.nce.steps.buy_nce import BatchReport
from tests.support.examples import CAMPAIGN, IDENTITY, OTHER_CUSTOMER, campaign, legacy, partner
from tests.support.fake_partner_center import lost, refusal
from tests.support.one_partner import OnePartner
from tests.support.scene import released

S = ConversionState
WRITE = {Route.MIGRATE: "create_migration", Route.PURCHASE: "check_out"}
ROUTES = pytest.mark.parametrize("route", list(Route))
BRAKED = campaign(brake={"failed_at_least": 2, "failed_percent": 10})
ROSSI = partner().partner


def of(route: Route, number: int = 1, **changes: Any) -> Any:
    offer = {"offer_id": IDENTITY} if route is Route.PURCHASE else {}
    return legacy(number, **{**offer, **changes})


async def stop(world: OnePartner, reason: str = "the desk is on fire") -> None:
    await world.records.stop_campaign(CAMPAIGN, by="anna", reason=reason, at=world.clock.now_at)


async def release(world: OnePartner) -> None:
    world.clock.advance(minutes=1)
    await released(world.records, CAMPAIGN, by="anna", reason="it is out", at=world.clock.now_at)


async def begun(world: OnePartner, *holdings: Any, **options: Any) -> None:
    await world.begin(*holdings, **options)
    await world.plan()


def sent(world: OnePartner, route: Route) -> int:
    return len(world.microsoft.sent_of(WRITE[route]))


@ROUTES
async def test_a_stopped_campaign_buys_nothing_and_leaves_the_line_as_it_is(
    world: OnePartner, route: Route
) -> None:
    await begun(world, of(route))
    await stop(world)
    [report] = await world.buy()

    assert (sent(world, route), world.state()) == (0, S.PLANNED)
    assert "stopped by anna on 2022-07-11 00:00 UTC: the desk is on fire" in report.halted
    assert "nce campaign release" in report.halted


@ROUTES
async def test_a_released_campaign_goes_on_where_it_stood(world: OnePartner, route: Route) -> None:
    await begun(world, of(route))
    await stop(world)
    await world.buy()
    await release(world)
    [report] = await world.buy()
    await world.finish()

    assert (report.halted, sent(world, route), world.state()) == ("", 1, S.CONVERTED)
    world.assert_rules()


@ROUTES
async def test_a_stop_in_the_middle_of_a_batch_is_seen_by_the_next_purchase(
    world: OnePartner, route: Route
) -> None:
    await begun(world, of(route, 1), of(route, 2, customer_id=OTHER_CUSTOMER))
    real = getattr(world.microsoft, WRITE[route])

    async def stops_after_the_first(*args: Any, **kwargs: Any) -> Any:
        answer = await real(*args, **kwargs)
        await stop(world)
        return answer

    setattr(world.microsoft, WRITE[route], stops_after_the_first)
    [report] = await world.buy()

    assert sent(world, route) == 1
    assert report.halted
    assert sorted(report.states) == ["accepted", "planned"]


@ROUTES
async def test_what_was_bought_before_the_stop_is_finished_during_it(world: OnePartner, route: Route) -> None:
    await begun(world, of(route))
    await world.buy()
    await stop(world)
    done = await world.finish()

    assert (world.state(), world.legacy_status(), done[0].finished) == (S.CONVERTED, Status.SUSPENDED, 1)


@ROUTES
async def test_a_stop_between_the_last_look_and_the_send_is_seen(world: OnePartner, route: Route) -> None:
    """The last read of Partner Center takes its time; who stops the campaign meanwhile is heard."""
    await begun(world, of(route))
    operation = "subscriptions_of" if route is Route.MIGRATE else "create_cart"
    real = getattr(world.microsoft, operation)

    async def stops_meanwhile(*args: Any, **kwargs: Any) -> Any:
        answer = await real(*args, **kwargs)
        await stop(world)
        return answer

    setattr(world.microsoft, operation, stops_meanwhile)
    [report] = await world.buy()

    assert sent(world, route) == 0
    assert not [event for event in world.records.events if event[0] == "sending"]
    assert report.halted


async def test_a_lost_purchase_is_looked_up_but_not_sent_again_while_stopped(world: OnePartner) -> None:
    await begun(world, legacy(1), legacy(2, customer_id=OTHER_CUSTOMER))
    world.microsoft.fail("create_migration", lost, after=True, times=1)
    real = world.microsoft.create_migration

    async def stops_with_the_first(*args: Any, **kwargs: Any) -> Any:
        try:
            return await real(*args, **kwargs)
        finally:
            await stop(world)

    world.microsoft.create_migration = stops_with_the_first  # type: ignore[method-assign]
    await world.buy()

    assert sent(world, Route.MIGRATE) == 1
    assert world.state(1) is S.ACCEPTED  # it had arrived, and was found
    assert world.state(2) is S.PLANNED


@ROUTES
async def test_a_purchase_that_never_arrived_stays_unknown_while_stopped(
    world: OnePartner, route: Route
) -> None:
    await begun(world, of(route))
    world.microsoft.fail(WRITE[route], lost, times=4)
    await world.buy()
    before = sent(world, route)
    await stop(world)
    [report] = await world.buy()

    assert (sent(world, route), world.state()) == (before, S.UNKNOWN)
    assert "not sent again: The campaign was stopped by anna" in report.unresolved[0]
    assert world.microsoft.faults_left == {}


async def test_the_answer_to_an_order_that_exists_is_fetched_while_stopped(world: OnePartner) -> None:
    await begun(world, legacy(offer_id=IDENTITY))
    world.microsoft.fail("check_out", lost, after=True)
    world.microsoft.fail("cart", lost, times=4)  # it cannot be looked up in this execution
    await world.buy()
    assert world.state() is S.UNKNOWN
    await stop(world)
    [report] = await world.buy()

    assert (world.state(), report.halted, world.bought()) == (S.ACCEPTED, "", 1)


async def test_failures_stop_the_campaign_before_the_next_purchase(world: OnePartner) -> None:
    holdings = [legacy(number, customer_id=OTHER_CUSTOMER) for number in range(1, 6)]
    await begun(world, *holdings, document=BRAKED)
    world.microsoft.fail("create_migration", refusal, times=2)
    [report] = await world.buy()

    assert (world.microsoft.faults_left, sent(world, Route.MIGRATE)) == ({}, 0)
    assert report.states == {"refused": 2, "planned": 3}
    assert (
        "stopped by its brake on 2022-07-11 00:00 UTC: 2 of 2 conversions failed (100 %; it stops at 10 % "
        f"and 2), at {ROSSI}. Nothing new"
    ) in report.halted
    assert world.records.figures == [{"tried": 2, "failed": 2, "zero": 0, "double": 0}]


async def bought_with(world: OnePartner, signals: CoverageSignals) -> BatchReport:
    world.records.signals = signals
    [report] = await world.buy()
    return report


@pytest.mark.parametrize("signals", [CoverageSignals(1, 0), CoverageSignals(0, 1)])
async def test_one_subscription_without_cover_or_with_double_cover_stops_the_campaign(
    world: OnePartner, signals: CoverageSignals
) -> None:
    await begun(world, legacy(), document=BRAKED)
    report = await bought_with(world, signals)

    assert "stopped by its brake" in report.halted
    assert sent(world, Route.MIGRATE) == 0


async def test_without_a_brake_only_a_person_stops_the_campaign(world: OnePartner) -> None:
    await begun(world, legacy())
    report = await bought_with(world, CoverageSignals(5, 5))

    assert (report.halted, sent(world, Route.MIGRATE)) == ("", 1)


async def test_what_stood_at_the_release_does_not_stop_it_again(world: OnePartner) -> None:
    await begun(world, legacy(), document=BRAKED)
    await bought_with(world, CoverageSignals(1, 1))
    await release(world)
    report = await bought_with(world, CoverageSignals(1, 1))

    assert (report.halted, sent(world, Route.MIGRATE)) == ("", 1)


async def test_what_comes_on_top_of_it_does(world: OnePartner) -> None:
    await begun(world, legacy(), document=BRAKED)
    await bought_with(world, CoverageSignals(1, 1))
    await release(world)

    assert (await bought_with(world, CoverageSignals(1, 2))).halted


async def test_a_signal_that_was_resolved_is_not_accepted_any_more_when_a_new_one_comes(
    world: OnePartner,
) -> None:
    await begun(world, document=BRAKED)
    for signals, stopped in [
        (CoverageSignals(0, 1), True),
        ("release", False),
        (CoverageSignals(0, 1), False),
        (CoverageSignals(0, 0), False),  # somebody ended it
        (CoverageSignals(0, 1), True),  # another one
    ]:
        if isinstance(signals, CoverageSignals):
            world.records.signals = signals
        else:
            await release(world)
        record = await brake(BRAKED, ledger=world.records, now_at=world.clock.now_at)
        assert record.stopped is stopped, signals


async def test_failures_from_before_the_release_count_no_more(world: OnePartner) -> None:
    holdings = [legacy(number, customer_id=OTHER_CUSTOMER) for number in range(1, 6)]
    await begun(world, *holdings, document=BRAKED)
    world.microsoft.fail("create_migration", refusal, times=2)
    await world.buy()
    await release(world)
    await world.buy()

    assert sent(world, Route.MIGRATE) == 5  # the refused ones with the others


async def test_a_purchase_of_unknown_outcome_counts_as_failed_after_a_while(world: OnePartner) -> None:
    document = campaign(brake={"failed_at_least": 1, "unknown_hours": 6})
    await begun(world, legacy(), document=document)
    world.microsoft.fail("create_migration", lost, times=4)
    await world.buy()
    assert world.state() is S.UNKNOWN

    world.clock.advance(hours=5)
    assert not (await brake(document, ledger=world.records, now_at=world.clock.now_at)).stopped
    world.clock.advance(hours=2)
    assert (await brake(document, ledger=world.records, now_at=world.clock.now_at)).stopped


async def test_figures_read_before_a_release_stop_nothing_after_it(world: OnePartner) -> None:
    await world.begin()
    await stop(world)
    read = (await world.records.brake_record(CAMPAIGN)).event_id
    await release(world)
    record = await world.records.stop_campaign(
        CAMPAIGN, by="its brake", reason="old figures", at=world.clock.now_at, unless_after=read
    )
    assert not record.stopped


@ROUTES
async def test_running_a_converted_partner_again_sends_no_write(world: OnePartner, route: Route) -> None:
    await world.convert(of(route))
    before = list(world.microsoft.sent)
    await world.plan()
    await world.buy()
    await world.finish()

    assert world.microsoft.sent == before
    assert world.state() is S.CONVERTED
