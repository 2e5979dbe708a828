"""The money rules: nothing is bought twice, nothing without an intention, nothing that must not be."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from include.nce.domain.approval import ApprovalWord
from include.nce.domain.command import CommandKind
from include.nce.domain.conversion import ConversionState, Refusal, Route
from include.nce.domain.errors import Busy, FailureClass, PartnerCenterFault
from include.nce.domain.purchase import CartLineFault
from include.nce.domain.subscription import Status, Subscription
from include.nce.steps.buy_nce import LONGEST_PAUSE_SECONDS, PASSES, buy_nce
from include.nce.steps.honour_opt_out import honour_opt_out
from include.nce.steps.open_run import open_run
from include.nce.steps.plan_conversions import plan_conversions
from include.nce.steps.sending import Departure, LockLost
from tests.support.examples import (
    AUDIO_NCE,
    BASIC,
    BASIC_NCE,
    CAMPAIGN,
    CUSTOMER,
    IDENTITY,
    IDENTITY_NCE,
    MPN_ID,
    OTHER_CUSTOMER,
    SIGN_IN,
    SIGN_IN_NCE,
    add_on,
    at,
    campaign,
    legacy,
    legacy_id,
    nce,
    nce_id,
    partner,
)
from tests.support.fake_partner_center import Fault, lost, refusal, server_fault, throttled
from tests.support.one_partner import RUN, OnePartner
from tests.support.scene import bring, intend

S = ConversionState
WRITE = {Route.MIGRATE: "create_migration", Route.PURCHASE: "check_out"}
ROUTES = pytest.mark.parametrize("route", list(Route))


def of(route: Route, number: int = 1, **changes: Any) -> Any:
    """A subscription that goes this way."""
    return legacy(number, **{"offer_id": IDENTITY, **changes}) if route is Route.PURCHASE else legacy(
        number, **changes
    )  # fmt: skip


async def planned(world: OnePartner, *holdings: Any, **options: Any) -> None:
    await world.begin(*holdings, **options)
    await world.plan()


def request_ids(world: OnePartner, operation: str) -> list[str]:
    return [sent.request_id for sent in world.microsoft.sent_of(operation)]


@ROUTES
async def test_what_is_due_is_bought_once_and_covers_legacy(world: OnePartner, route: Route) -> None:
    await world.convert(of(route))

    assert (world.bought(), world.state(), world.legacy_status()) == (1, S.CONVERTED, Status.SUSPENDED)
    world.assert_rules()


@ROUTES
async def test_clearing_the_task_buys_nothing_again(world: OnePartner, route: Route) -> None:
    await planned(world, of(route))
    await world.buy()
    before = list(world.records.events)
    await world.buy()

    assert world.bought() <= 1
    assert len(world.microsoft.sent_of(WRITE[route])) == 1
    assert world.records.events == before


@ROUTES
async def test_clearing_the_task_when_all_is_finished_changes_nothing(
    world: OnePartner, route: Route
) -> None:
    await world.convert(of(route))
    before = list(world.records.events)
    await world.buy()

    assert world.records.events == before


@ROUTES
async def test_the_intention_is_on_record_before_anything_is_sent(world: OnePartner, route: Route) -> None:
    await planned(world, of(route))
    order: list[str] = []
    real = getattr(world.microsoft, WRITE[route])

    async def watched(*args: Any, departure: Departure, **kwargs: Any) -> Any:
        answer = await real(*args, departure=departure, **kwargs)
        order.extend(kind for kind, *_ in world.records.events)
        assert departure.left
        return answer

    setattr(world.microsoft, WRITE[route], watched)
    await world.buy()

    assert order.index("intended") < order.index("sending")
    assert ("answered", legacy_id(1), WRITE[route], "accepted") in world.records.events


@ROUTES
@pytest.mark.parametrize("fault", [lost, server_fault], ids=["lost", "http_503"])
@pytest.mark.parametrize("after", [False, True], ids=["before_the_effect", "after_the_effect"])
async def test_a_lost_answer_never_buys_twice(
    world: OnePartner, route: Route, fault: Any, after: bool
) -> None:
    await planned(world, of(route))
    world.microsoft.fail(WRITE[route], fault, after=after)
    await world.buy()
    done = await world.finish()

    assert world.microsoft.faults_left == {}
    assert world.bought() == 1
    assert done[0].finished == 1
    world.assert_rules()


async def test_a_migration_that_arrived_is_found_and_not_sent_again(world: OnePartner) -> None:
    await planned(world, legacy())
    world.microsoft.fail("create_migration", lost, after=True)
    await world.buy()

    assert len(world.microsoft.sent_of("create_migration")) == 1
    assert world.state() is S.ACCEPTED
    assert world.conversion().migration_id is not None
    assert ("answered", legacy_id(1), "create_migration", "found") in world.records.events


@ROUTES
async def test_what_did_not_arrive_is_sent_again_with_the_same_request_id(
    world: OnePartner, route: Route
) -> None:
    await planned(world, of(route))
    world.microsoft.fail(WRITE[route], lost)
    await world.buy()

    intended = {command.request_id for command in world.records.commands.values()}
    assert set(request_ids(world, WRITE[route])) == intended
    assert len(intended) == 1


async def test_a_migration_is_sent_again_word_for_word_whatever_changed_meanwhile(world: OnePartner) -> None:
    await planned(world, legacy(seats=10))
    world.microsoft.fail("create_migration", lost, times=PASSES)
    await world.buy()
    assert world.state() is S.UNKNOWN

    world.microsoft.change(legacy_id(1), seats=25)
    await world.buy()
    (arrived,) = world.microsoft.sent_of("create_migration")
    assert arrived.body.seats == 10


@ROUTES
async def test_an_ordered_cart_is_asked_for_its_answer_with_the_same_request_id(
    world: OnePartner, route: Route
) -> None:
    await planned(world, of(route))
    world.microsoft.fail(WRITE[route], lost, after=True)
    await world.buy()

    assert len(set(request_ids(world, WRITE[route]))) == 1
    assert world.state() is S.ACCEPTED


async def test_a_refusal_of_the_second_checkout_says_nothing_of_the_first(world: OnePartner) -> None:
    await planned(world, of(Route.PURCHASE))
    world.microsoft.fail("check_out", server_fault, after=True)
    world.microsoft.fail("check_out", lambda: refusal("the quantity is out of range"), times=PASSES)
    await world.buy()

    assert (world.bought(), world.state()) == (1, S.UNKNOWN)
    assert "sent before" in world.conversion().reason
    world.microsoft._scripts.clear()
    await world.plan()
    await world.buy()
    await world.finish()
    assert (world.bought(), world.state()) == (1, S.CONVERTED)


async def test_a_refusal_of_the_second_checkout_counts_where_the_first_did_not_arrive(
    world: OnePartner,
) -> None:
    await planned(world, of(Route.PURCHASE))
    world.microsoft.fail("check_out", server_fault)
    world.microsoft.fail("check_out", lambda: refusal("the quantity is out of range"))
    await world.buy()

    assert (world.bought(), world.state()) == (0, S.REFUSED)


@ROUTES
async def test_after_a_refusal_the_next_try_has_a_request_id_of_its_own(
    world: OnePartner, route: Route
) -> None:
    await planned(world, of(route))
    world.microsoft.fail(WRITE[route], throttled)
    await world.buy()

    ids = [command.request_id for command in world.records.commands.values()]
    assert len(set(ids)) == 2
    assert request_ids(world, WRITE[route]) == ids[1:]
    assert world.state() is S.ACCEPTED


@pytest.mark.parametrize(
    ("route", "look"), [(Route.MIGRATE, "migrations"), (Route.PURCHASE, "cart")], ids=["migrate", "purchase"]
)
@pytest.mark.parametrize("after", [False, True], ids=["before_the_effect", "after_the_effect"])
@pytest.mark.parametrize("unseen", [lost, server_fault, refusal])
async def test_an_answer_lost_and_a_look_that_fails_leave_it_unknown_never_free_to_buy(
    world: OnePartner, route: Route, look: str, after: bool, unseen: Any
) -> None:
    await planned(world, of(route))
    world.microsoft.fail(WRITE[route], lost, after=after)
    world.microsoft.fail(look, unseen, times=PASSES)
    reports = await world.buy()

    assert world.state() is S.UNKNOWN
    assert "could not be looked up" in world.conversion().reason
    assert reports[0].unresolved
    assert len(world.microsoft.sent_of(WRITE[route])) == int(after)
    world.microsoft._scripts.clear()
    await world.plan()
    await world.buy()
    await world.finish()
    assert (world.bought(), world.state()) == (1, S.CONVERTED)


@ROUTES
async def test_an_answer_nobody_can_read_is_no_refusal(world: OnePartner, route: Route) -> None:
    await planned(world, of(route))
    world.microsoft.fail(
        WRITE[route], lambda: Fault(FailureClass.BROKEN, "HTML instead of JSON", status=201), after=True
    )
    await world.buy()
    await world.buy()
    await world.finish()

    assert (world.bought(), world.state()) == (1, S.CONVERTED)


@ROUTES
@pytest.mark.parametrize(
    "answer",
    [
        throttled,
        lambda: Fault(FailureClass.RECONCILE, "not active", status=400, code=900215),
        lambda: Fault(FailureClass.WAIT, "busy", status=409, code=800064),
    ],
    ids=["429", "900215", "800064"],
)
async def test_a_refused_resend_proves_nothing_about_the_first_send(
    world: OnePartner, route: Route, answer: Any
) -> None:
    await planned(world, of(route))
    world.microsoft.fail(WRITE[route], lost)
    world.microsoft.fail(WRITE[route], answer, times=PASSES)
    await world.buy()

    assert world.state() is S.UNKNOWN
    assert not any(command.answered for command in world.records.commands.values())


async def test_a_cart_that_is_being_processed_is_not_replaced_by_another(world: OnePartner) -> None:
    await planned(world, of(Route.PURCHASE))
    world.microsoft.fail(
        "check_out", lambda: Fault(FailureClass.WAIT, "being processed", status=409, code=800064), after=True
    )
    await world.buy()

    assert (world.bought(), world.state()) == (1, S.ACCEPTED)
    assert len(world.microsoft.sent_of("create_cart")) == 1


@ROUTES
async def test_a_short_wait_is_waited_as_long_as_microsoft_asks(world: OnePartner, route: Route) -> None:
    await planned(world, of(route))
    world.microsoft.fail(WRITE[route], lambda: throttled(41))
    await world.buy()

    assert world.clock.pauses == [41]
    assert world.state() is S.ACCEPTED


@ROUTES
@pytest.mark.parametrize("asks", ["write", "read"])
async def test_a_long_wait_is_left_to_a_later_run(world: OnePartner, route: Route, asks: str) -> None:
    await planned(world, of(route))
    operation = WRITE[route] if asks == "write" else "subscriptions_of"
    world.microsoft.fail(operation, lambda: throttled(LONGEST_PAUSE_SECONDS + 1))
    await world.buy()

    assert world.clock.pauses == []
    assert world.state() is S.WAITING
    assert world.conversion().not_before_at == at("2022-07-11 00:01") + timedelta(seconds=1)
    await world.plan()
    await world.buy()
    assert world.state() is S.ACCEPTED


@ROUTES
@pytest.mark.parametrize(
    ("fault", "state"),
    [(lambda: throttled(None), S.ACCEPTED), (lost, S.ACCEPTED), (refusal, S.REFUSED)],
    ids=["wait_without_a_time", "read_timeout", "no_access"],
)
async def test_a_look_that_fails_sends_nothing(
    world: OnePartner, route: Route, fault: Any, state: ConversionState
) -> None:
    await planned(world, of(route))
    world.microsoft.fail("subscriptions_of", fault)
    await world.buy()

    assert world.microsoft.faults_left == {}
    assert world.state() is state
    assert bool(world.microsoft.sent) == (state is S.ACCEPTED)


async def test_the_batch_goes_on_without_a_line_that_never_gets_through(world: OnePartner) -> None:
    await planned(world, legacy(1), legacy(2, term_end_at=at("2022-07-21 08:00")))
    world.microsoft.fail("create_migration", refusal)
    reports = await world.buy()

    assert (world.state(1), world.state(2)) == (S.REFUSED, S.ACCEPTED)
    assert reports[0].states == {"refused": 1, "accepted": 1}
    assert reports[0].unresolved == (f"{legacy_id(1)} is refused: not eligible",)


async def test_patience_ends_after_some_passes(world: OnePartner) -> None:
    await planned(world, legacy())
    world.microsoft.fail("create_migration", throttled, times=PASSES)
    await world.buy()

    assert world.clock.pauses == [20] * (PASSES - 1)
    assert world.state() is S.WAITING


async def test_the_most_urgent_is_bought_first(world: OnePartner) -> None:
    await planned(
        world,
        legacy(1, term_end_at=at("2022-07-24 08:00")),
        legacy(2, term_end_at=at("2022-07-13 08:00")),
        legacy(3, term_end_at=at("2022-07-18 08:00")),
    )
    await world.buy()

    order = [sent.about for sent in world.microsoft.sent_of("create_migration")]
    assert order == [legacy_id(2), legacy_id(3), legacy_id(1)]


@ROUTES
async def test_what_somebody_migrated_by_hand_since_the_plan_is_left_to_them(
    world: OnePartner, route: Route
) -> None:
    await planned(world, of(route))
    world.microsoft.hold(nce(migrated_from_id=legacy_id(1)))
    await world.buy()

    assert world.state() is S.BY_OTHERS
    assert nce_id(1) in world.conversion().reason
    assert world.microsoft.sent == []


async def test_somebody_elses_migration_in_work_is_not_ours_to_repeat(world: OnePartner) -> None:
    world.microsoft.microsoft_suspends = False
    await planned(world, legacy())
    world.microsoft.somebody_migrates(legacy_id(1))
    await world.buy()

    assert world.state() is S.BY_OTHERS
    assert "somebody else's migration" in world.conversion().reason


async def test_a_subscription_that_turns_out_migrated_is_a_success_of_others(world: OnePartner) -> None:
    await planned(world, legacy())

    def not_active() -> PartnerCenterFault:
        world.microsoft.hold(nce(migrated_from_id=legacy_id(1)))
        return Fault(FailureClass.RECONCILE, "not active", status=400, code=900215)

    world.microsoft.fail("create_migration", not_active)
    await world.buy()

    assert world.state() is S.BY_OTHERS


async def test_what_changes_while_the_batch_waits_is_seen_too(world: OnePartner) -> None:
    await planned(world, legacy())

    def throttled_meanwhile() -> PartnerCenterFault:
        world.microsoft.hold(nce(migrated_from_id=legacy_id(1)))
        return throttled()

    world.microsoft.fail("create_migration", throttled_meanwhile)
    await world.buy()

    assert world.state() is S.BY_OTHERS
    assert world.microsoft.sent_of("create_migration") == []


async def test_a_subscription_that_is_not_active_and_not_migrated_is_refused(world: OnePartner) -> None:
    await planned(world, legacy())
    world.microsoft.fail(
        "create_migration", lambda: Fault(FailureClass.RECONCILE, "not active", status=400, code=900215)
    )
    await world.buy()

    assert world.state() is S.REFUSED


@ROUTES
@pytest.mark.parametrize(
    ("received", "customer", "says"),
    [
        ("2022-06-30 21:59", None, "opted out in time"),
        ("2022-06-30 21:59", CUSTOMER, "opted out in time"),
        ("2022-06-30 22:00", None, "after the deadline"),
        ("2022-06-30 22:00", CUSTOMER, "after the deadline"),
    ],
)
async def test_an_opt_out_recorded_after_the_plan_stops_the_purchase(
    world: OnePartner, route: Route, received: str, customer: str | None, says: str
) -> None:
    await planned(world, of(route))
    await world.opt_out(at(received), customer)
    await world.buy()

    assert world.state() is S.HELD
    assert says in world.conversion().reason
    assert world.microsoft.sent == []


async def test_another_customers_opt_out_stops_nothing(world: OnePartner) -> None:
    await planned(world, legacy())
    await world.opt_out(at("2022-06-01 00:00"), OTHER_CUSTOMER)
    await world.buy()

    assert world.state() is S.ACCEPTED


@ROUTES
async def test_an_opt_out_after_a_lost_answer_does_not_hide_what_was_bought(
    world: OnePartner, route: Route
) -> None:
    await planned(world, of(route))
    world.microsoft.fail(WRITE[route], lost, after=True)
    world.microsoft.fail("migrations" if route is Route.MIGRATE else "cart", lost, times=PASSES)
    await world.buy()
    world.microsoft._scripts.clear()
    await world.opt_out(at("2022-06-01 00:00"))
    await world.buy()

    assert world.state() is S.ACCEPTED


@ROUTES
async def test_an_opt_out_after_a_send_that_never_arrived_stops_the_next_one(
    world: OnePartner, route: Route
) -> None:
    await planned(world, of(route))
    world.microsoft.fail(WRITE[route], lost, times=PASSES)
    await world.buy()
    await world.opt_out(at("2022-06-01 00:00"))
    await world.buy()

    assert world.bought() == 0
    assert world.state() is S.UNKNOWN
    assert world.conversion().reason.startswith("sent before, unanswered, not sent again: opted out in time")


@ROUTES
async def test_a_cut_over_moved_later_after_its_gate_stops_the_purchase(
    world: OnePartner, route: Route
) -> None:
    await planned(world, of(route))
    await world.records.move_moment(
        CAMPAIGN, "cut_over", at("2022-07-12 06:30"), "anna", "Microsoft moved it"
    )
    await world.buy()

    assert world.state() is S.WAITING
    assert "2022-07-12 06:30 UTC" in world.conversion().reason
    assert world.microsoft.sent == []
    world.clock.advance(hours=31)
    await world.buy()
    assert world.state() is S.ACCEPTED


@ROUTES
@pytest.mark.parametrize(
    ("change", "state", "says"),
    [
        ({"status": Status.SUSPENDED}, S.REFUSED, "it is suspended"),
        ({"status": Status.OTHER}, S.REFUSED, "it is other"),
        ({"term_end_at": at("2022-07-12 00:00")}, S.HELD, "within 24 hours"),
        ({"customer_id": OTHER_CUSTOMER}, S.REFUSED, "does not list it"),
    ],
)
async def test_what_changed_since_the_plan_is_seen_before_buying(
    world: OnePartner, route: Route, change: dict[str, Any], state: ConversionState, says: str
) -> None:
    await planned(world, of(route))
    world.microsoft.change(legacy_id(1), **change)
    await world.buy()

    assert world.state() is state
    assert says in world.conversion().reason
    assert world.microsoft.sent == []


async def test_what_got_no_answer_and_has_no_term_end_any_more_is_not_sent_again(world: OnePartner) -> None:
    await planned(world, legacy())
    world.microsoft.fail("create_migration", lost)
    world.microsoft.fail("migrations", lost, times=PASSES)
    await world.buy()
    world.microsoft._scripts.clear()
    world.microsoft.change(legacy_id(1), term_end_at=None)
    await world.buy()

    assert world.state() is S.UNKNOWN
    assert "gives no term end" in world.conversion().reason
    assert not world.microsoft.sent


@ROUTES
async def test_an_add_on_the_plan_does_not_know_holds_its_base(world: OnePartner, route: Route) -> None:
    await planned(world, of(route))
    world.microsoft.hold(add_on(2))
    await world.buy()

    assert world.state() is S.HELD
    assert legacy_id(2) in world.conversion().reason
    assert world.microsoft.sent == []


@ROUTES
async def test_an_add_on_that_ended_since_does_not_matter(world: OnePartner, route: Route) -> None:
    await planned(world, of(route))
    world.microsoft.hold(add_on(2, status=Status.DELETED))
    await world.buy()

    assert world.state() is S.ACCEPTED


@ROUTES
@pytest.mark.parametrize("seats", [3, 25])
async def test_changed_seats_wait_for_a_new_plan_and_are_bought_by_it(
    world: OnePartner, route: Route, seats: int
) -> None:
    await planned(world, of(route, seats=10))
    world.microsoft.change(legacy_id(1), seats=seats)
    await world.buy()

    assert (world.state(), world.microsoft.sent) == (S.DRIFTED, [])
    assert f"seats 10, now {seats}; start the partner again for a new plan" in world.conversion().reason
    await world.plan()
    await world.buy()
    await world.finish()

    made = world.microsoft.held[world.microsoft.bought[legacy_id(1)][0]]
    assert made.seats == seats
    assert world.state() is S.CONVERTED


@ROUTES
@pytest.mark.parametrize(("asked", "seats"), [(15, 15), (5, 10)])
async def test_an_override_may_ask_for_more_seats_never_for_fewer_than_legacy_has(
    world: OnePartner, route: Route, asked: int, seats: int
) -> None:
    wanted = campaign(overrides=[{"seats": asked, "reason": "the customer asked"}])
    await planned(world, of(route, seats=10), document=wanted)
    await world.approve()
    await world.buy()
    await world.finish()

    assert world.microsoft.held[world.microsoft.bought[legacy_id(1)][0]].seats == seats


async def test_only_what_differs_from_legacy_is_asked_of_a_migration(world: OnePartner) -> None:
    wanted = campaign(overrides=[{"billing": "annual", "reason": "the customer asked"}])
    await planned(world, legacy(1), add_on(2), document=wanted)
    await world.approve()
    await world.buy()

    (request,) = [sent.body for sent in world.microsoft.sent_of("create_migration")]
    assert (request.term, request.billing, request.full_term) == (None, "annual", False)
    assert [extra.legacy_id for extra in request.add_ons] == [legacy_id(2)]
    assert request.reference == world.conversion(1).reference


async def test_a_purchase_names_what_to_buy_and_the_partner_of_record(world: OnePartner) -> None:
    wanted = campaign(overrides=[{"billing": "annual", "reason": "the customer asked"}])
    await planned(world, of(Route.PURCHASE), add_on(2, offer_id=SIGN_IN), document=wanted)
    await world.approve()
    await world.buy()

    ((mpn_id, lines),) = [sent.body for sent in world.microsoft.sent_of("create_cart")]
    assert mpn_id == MPN_ID
    assert [(line.target.product_and_sku, line.target.billing, line.seats) for line in lines] == [
        (IDENTITY_NCE, "annual", 10),
        (SIGN_IN_NCE, "annual", 4),
    ]


@ROUTES
async def test_while_somebody_else_is_at_work_airflow_tries_again(world: OnePartner, route: Route) -> None:
    await planned(world, of(route))
    assert world.planned is not None
    tools = {"partner_center": world.microsoft, "ledger": world.records, "clock": world.clock}
    again = {"pause": world.clock.pause, "last_try": False}
    async with world.records.single_writer(CUSTOMER, legacy_id(1)):
        with pytest.raises(Busy, match=legacy_id(1)):
            await buy_nce(RUN, world.planned.plan_id, 0, **tools, **again)
    await buy_nce(RUN, world.planned.plan_id, 0, **tools, **again)
    assert world.state() is S.ACCEPTED


@ROUTES
async def test_a_busy_subscription_is_left_to_whoever_has_it(world: OnePartner, route: Route) -> None:
    await planned(world, of(route))
    async with world.records.single_writer(CUSTOMER, legacy_id(1)):
        await world.buy()

    assert world.state() is S.PLANNED
    assert len(world.clock.pauses) == PASSES - 1
    assert world.microsoft.sent == []


async def test_two_purchases_of_a_product_for_a_customer_take_turns(world: OnePartner) -> None:
    await planned(world, legacy())
    async with world.records.single_writer(CUSTOMER, f"seats:{BASIC_NCE}"):
        await world.buy()

    assert world.microsoft.sent == []


@ROUTES
async def test_who_lost_the_lock_sends_nothing(world: OnePartner, route: Route) -> None:
    await planned(world, of(route))
    real = world.records.note_sending

    async def loses(*args: Any, **kwargs: Any) -> None:
        await real(*args, **kwargs)
        world.records.lose_locks()

    world.records.note_sending = loses  # type: ignore[method-assign]
    with pytest.raises(LockLost):
        await world.buy()

    assert world.microsoft.sent_of(WRITE[route]) == []
    world.records.note_sending = real  # type: ignore[method-assign]
    await world.buy()
    await world.finish()
    assert (world.bought(), world.state()) == (1, S.CONVERTED)


@ROUTES
async def test_who_lost_the_lock_while_it_looked_intends_nothing(world: OnePartner, route: Route) -> None:
    await planned(world, of(route))
    real = world.microsoft.subscriptions_of

    async def loses(customer_id: str) -> Any:
        world.records.lose_locks()
        return await real(customer_id)

    world.microsoft.subscriptions_of = loses  # type: ignore[method-assign]
    with pytest.raises(LockLost):
        await world.buy()

    assert world.records.commands == {}


@ROUTES
async def test_two_executions_at_once_buy_once(world: OnePartner, route: Route) -> None:
    await planned(world, of(route), of(route, 2, customer_id=OTHER_CUSTOMER))
    await asyncio.gather(world.buy(), world.buy(), world.buy())
    await world.finish()

    assert (world.bought(1), world.bought(2)) == (1, 1)
    assert len(world.microsoft.sent_of(WRITE[route])) == 2


async def test_an_intention_left_by_a_crash_is_not_the_record_of_another_purchase(world: OnePartner) -> None:
    await planned(world, legacy(seats=10))
    left = await intend(
        world.records,
        world.conversion().conversion_id,
        CommandKind.CREATE_MIGRATION,
        {"lines": "of yesterday"},
        at=world.clock.now_at,
    )
    await world.buy()

    (sent,) = world.microsoft.sent_of("create_migration")
    assert sent.request_id != left.request_id
    recorded = next(c for c in world.records.commands.values() if c.request_id == sent.request_id)
    assert recorded.payload["lines"][0]["seats"] == 10
    assert not world.records.commands[left.command_id].sent


async def test_an_accepted_bundle_is_accepted_as_a_whole(world: OnePartner) -> None:
    await planned(world, legacy(1), add_on(2))
    await world.buy()

    assert world.state(1) is S.ACCEPTED
    assert world.state(2) is S.ACCEPTED
    assert world.conversion(1).migration_id == world.conversion(2).migration_id
    await world.finish()
    held = world.microsoft.held
    assert held[world.conversion(1).nce_subscription_id or ""].product_and_sku == BASIC_NCE
    assert held[world.conversion(2).nce_subscription_id or ""].product_and_sku == AUDIO_NCE


BUNDLE = [legacy(1, offer_id=IDENTITY), add_on(2, offer_id=SIGN_IN)]


@pytest.mark.parametrize(("refused", "ordered"), [(1, 2), (2, 1)], ids=["base_refused", "add_on_refused"])
@pytest.mark.parametrize("again", ["clear", "start_again"])
async def test_a_checkout_that_orders_only_a_part_is_completed_not_repeated(
    world: OnePartner, refused: int, ordered: int, again: str
) -> None:
    await planned(world, *BUNDLE)
    fault = CartLineFault(legacy_id(refused), 800067, "seat limit")
    world.microsoft.not_ordered[legacy_id(refused)] = fault
    await world.buy()

    assert (world.state(ordered), world.state(refused)) == (S.ACCEPTED, S.REFUSED)
    assert "seat limit (code 800067)" in world.conversion(refused).reason
    await world.finish(rounds=1)
    assert world.legacy_status(1) is Status.ACTIVE
    assert world.legacy_status(2) is Status.ACTIVE
    world.microsoft.not_ordered.clear()
    if again == "start_again":
        await world.plan()
    await world.buy()
    await world.finish()
    assert (world.bought(1), world.bought(2)) == (1, 1)
    assert (world.state(1), world.state(2)) == (S.CONVERTED, S.CONVERTED)
    world.assert_rules()


async def test_a_checkout_whose_error_names_no_line_is_a_refusal(world: OnePartner) -> None:
    await planned(world, BUNDLE[0])
    world.microsoft.not_ordered[legacy_id(1)] = CartLineFault(None, None, "the cart is under review")
    await world.buy()

    assert world.state() is S.REFUSED
    assert "the cart is under review" in world.conversion().reason


class _LosesItsOrders:
    """Partner Center that places an order, answers without it, and does not list what it makes yet."""

    def __init__(self, world: OnePartner) -> None:
        self._microsoft = world.microsoft

    def __getattr__(self, name: str) -> Any:
        return getattr(self._microsoft, name)

    async def check_out(self, *asked: Any, **options: Any) -> Any:
        purchase, answered = await self._microsoft.check_out(*asked, **options)
        return replace(purchase, order_ids={}, subscription_ids={}), answered

    async def subscriptions_of(self, customer_id: str) -> Sequence[Subscription]:
        return [s for s in await self._microsoft.subscriptions_of(customer_id) if s.is_legacy]


async def test_a_checkout_with_neither_order_nor_error_is_not_bought_again(world: OnePartner) -> None:
    await planned(world, BUNDLE[0])
    world.partner_center = _LosesItsOrders(world)
    await world.buy()
    assert world.state() is S.STRANDED
    assert "a person looks for its order" in world.conversion().reason
    await world.plan()
    await world.buy()

    assert world.bought() == 1


async def test_a_cart_with_errors_is_not_checked_out(world: OnePartner) -> None:
    await planned(world, *BUNDLE)
    world.microsoft.cart_faults = (CartLineFault(legacy_id(2), 10015, "too many seats"),)
    await world.buy()

    assert world.state(1) is S.REFUSED
    assert world.state(2) is S.REFUSED
    assert "too many seats (code 10015)" in world.conversion(1).reason
    assert world.microsoft.sent_of("check_out") == []


@pytest.mark.parametrize("after", [False, True])
async def test_a_lost_cart_is_simply_a_new_cart(world: OnePartner, after: bool) -> None:
    await planned(world, *BUNDLE)
    world.microsoft.fail("create_cart", lost, after=after)
    await world.buy()

    assert world.state() is S.ACCEPTED
    assert len(world.microsoft.sent_of("create_cart")) == 1 + int(after)


async def test_a_cart_made_before_seats_changed_is_not_used(world: OnePartner) -> None:
    await planned(world, BUNDLE[0])
    world.microsoft.fail("check_out", lambda: throttled(600))
    await world.buy()
    world.microsoft.change(legacy_id(1), seats=12)
    await world.plan()
    await world.buy()
    await world.finish()

    assert world.microsoft.held[world.microsoft.bought[legacy_id(1)][0]].seats == 12
    assert world.state() is S.CONVERTED


async def test_a_cart_that_was_sent_to_checkout_and_is_gone_is_never_bought_again(world: OnePartner) -> None:
    await planned(world, BUNDLE[0])
    world.microsoft.fail("check_out", lost, after=True)
    world.microsoft.fail("cart", lost, times=PASSES)
    await world.buy()
    world.microsoft._scripts.clear()
    world.microsoft.expire_carts()
    await world.buy()

    assert world.state() is S.STRANDED
    assert "is gone: a person looks for its order" in world.conversion().reason
    await world.plan()
    await world.buy()
    await world.cancel()
    assert world.bought() == 1
    assert "is gone: a person looks for its order" in world.conversion().reason


async def test_an_offer_that_went_away_is_held(world: OnePartner) -> None:
    await planned(world, BUNDLE[0])
    offers = [o for o in campaign().model_dump(mode="json")["offers"] if o["offer_id"] != IDENTITY]
    await world.records.import_campaign(campaign(offers=offers), "anna", "a slip")
    await world.buy()

    assert world.state() is S.HELD
    assert "is not in the offer table" in world.conversion().reason


async def test_an_offer_that_is_no_longer_bought_is_refused_too(world: OnePartner) -> None:
    await planned(world, BUNDLE[0])
    offers = [{"offer_id": IDENTITY, "name": "Identity", "segment": "commercial"}]
    await world.records.import_campaign(campaign(offers=offers), "anna", "a slip")
    await world.buy()

    assert world.state() is S.REFUSED
    assert "no purchase mapping" in world.conversion().reason


@pytest.mark.parametrize("status", [Status.ACTIVE, Status.PENDING])
@pytest.mark.parametrize(
    ("planned_one", "item"), [(BUNDLE[0], IDENTITY_NCE), (legacy(), BASIC_NCE)], ids=["purchase", "migrate"]
)
async def test_the_same_product_bought_by_hand_since_the_plan_holds_the_purchase(
    world: OnePartner, status: Status, planned_one: Subscription, item: str
) -> None:
    await planned(world, planned_one)
    world.microsoft.hold(nce(offer_id=f"{item}:CFQ7TTC0K9ZZ", status=status))
    await world.buy()

    assert world.state() is S.HELD
    assert nce_id(1) in world.conversion().reason
    assert world.microsoft.sent == []


@ROUTES
async def test_who_was_overtaken_neither_sends_nor_writes_over_what_was_found(
    world: OnePartner, route: Route
) -> None:
    await planned(world, of(route))

    open_command = world.records.open_command

    async def while_another_one_buys(conversion_id: int, kind: str) -> Any:
        """An orphan whose lock is gone has read this; by now its successor has bought."""
        found = await open_command(conversion_id, kind)
        if world.state() is S.PLANNED:
            now_at = await world.clock.now()
            await bring(world.records, conversion_id, S.ACCEPTED, "bought by the successor", at=now_at)
        return found

    world.records.open_command = while_another_one_buys
    await world.buy()

    assert (world.state(), world.conversion().reason) == (S.ACCEPTED, "bought by the successor")
    assert [sent for sent in world.microsoft.sent if sent.operation != "create_cart"] == []


@ROUTES
async def test_what_is_planned_anew_while_it_is_being_bought_is_bought_by_the_new_plan(
    world: OnePartner, route: Route
) -> None:
    await planned(world, of(route))
    first = world.conversion()
    read = world.partner_center.subscriptions_of

    async def while_another_run_plans(customer_id: str) -> Sequence[Subscription]:
        """Two runs of a partner at once: plans take no lock of its subscriptions."""
        world.partner_center.subscriptions_of = read  # type: ignore[method-assign]
        found = await read(customer_id)
        await world.plan()
        return found

    world.partner_center.subscriptions_of = while_another_run_plans  # type: ignore[method-assign]
    await world.buy()
    await world.finish()

    bought = world.conversion()
    assert (world.bought(), bought.state) == (1, S.CONVERTED)
    assert bought.plan_id == world.planned.plan_id != first.plan_id  # type: ignore[union-attr]
    world.assert_rules()


@pytest.mark.parametrize("named", [True, False], ids=["named_at_checkout", "named_later"])
async def test_what_we_bought_for_one_subscription_does_not_hold_the_next(
    world: OnePartner, named: bool
) -> None:
    world.microsoft.names_subscriptions_at_checkout = named
    await planned(
        world,
        legacy(1, offer_id=IDENTITY, term_end_at=at("2022-07-18 08:00")),
        legacy(2, offer_id=IDENTITY, term_end_at=at("2022-07-19 08:00"), customer_id=OTHER_CUSTOMER),
        legacy(3, offer_id=IDENTITY, term_end_at=at("2022-07-20 08:00")),
    )
    await world.buy()

    assert [world.state(n) for n in (1, 2, 3)] == [S.ACCEPTED] * 3
    await world.finish()
    assert [world.state(n) for n in (1, 2, 3)] == [S.CONVERTED] * 3
    world.assert_rules()


async def test_a_retry_is_not_confused_with_the_failed_try_before(world: OnePartner) -> None:
    world.microsoft.endings[legacy_id(1)] = "reverts"
    await planned(world, legacy())
    await world.buy()
    await world.finish(hours=50, rounds=1)
    assert world.state() is S.FAILED
    world.microsoft.endings.clear()
    world.microsoft.fail("create_migration", lost)
    await world.buy()

    assert world.state() is S.ACCEPTED
    await world.finish()
    assert (world.bought(), world.state()) == (1, S.CONVERTED)


async def test_a_lost_answer_does_not_take_somebody_elses_failed_migration_for_its_own(
    world: OnePartner,
) -> None:
    world.microsoft.endings[legacy_id(1)] = "reverts"
    await world.begin(legacy())
    world.microsoft.somebody_migrates(legacy_id(1))
    world.clock.advance(hours=50)
    await world.plan()
    world.microsoft.endings.clear()
    world.microsoft.fail("create_migration", lost)
    await world.buy()

    assert world.state() is S.ACCEPTED
    assert len(world.microsoft.sent_of("create_migration")) == 1


async def test_an_add_on_missing_from_microsofts_answer_does_not_get_its_bases_subscription(
    world: OnePartner,
) -> None:
    await planned(world, legacy(1), add_on(2))
    real = world.microsoft.create_migration

    async def without_add_ons(*args: Any, **kwargs: Any) -> Any:
        migration, answered = await real(*args, **kwargs)
        return replace(migration, nce_subscription_id=nce_id(7), add_ons=()), answered

    world.microsoft.create_migration = without_add_ons  # type: ignore[method-assign]
    await world.buy()

    assert world.conversion(1).nce_subscription_id == nce_id(7)
    assert world.conversion(2).nce_subscription_id is None


async def test_an_empty_batch_is_no_error(world: OnePartner) -> None:
    await planned(world, legacy())
    report = await buy_nce(
        RUN, 1, 7, partner_center=world.microsoft, ledger=world.records, clock=world.clock,
        pause=world.clock.pause,
    )  # fmt: skip

    assert (report.states, report.unresolved) == ({}, ())


ASK = campaign(approvals={"always": True})


@ROUTES
async def test_without_the_approval_that_policy_wants_nothing_is_bought(
    world: OnePartner, route: Route
) -> None:
    await planned(world, of(route), document=ASK)
    await world.buy()

    assert (world.state(), world.microsoft.sent) == (S.HELD, [])
    assert "has to be approved, and nobody has: the campaign has every plan approved" in (
        world.conversion().reason
    )


@ROUTES
async def test_with_the_approval_of_exactly_this_plan_it_is_bought(world: OnePartner, route: Route) -> None:
    await planned(world, of(route), document=ASK)
    await world.approve()
    await world.buy()
    await world.finish()

    assert (world.bought(), world.state()) == (1, S.CONVERTED)


@ROUTES
async def test_the_approval_of_another_plan_is_none_of_this_one(world: OnePartner, route: Route) -> None:
    await planned(world, of(route, seats=10), document=ASK)
    await world.approve()
    world.microsoft.change(legacy_id(1), seats=11)
    await world.plan()
    await world.buy()

    assert (world.state(), world.microsoft.sent) == (S.HELD, [])


async def test_a_rejected_plan_is_not_bought_although_nobody_had_to_be_asked(world: OnePartner) -> None:
    await planned(world, legacy())
    await world.approve(word=ApprovalWord.REJECTED)
    await world.buy()

    assert (world.state(), world.microsoft.sent) == (S.HELD, [])
    assert "olga rejected plan" in world.conversion().reason


async def test_a_policy_that_became_stricter_after_the_plan_is_asked_when_buying(world: OnePartner) -> None:
    await planned(world, legacy())
    await world.records.import_campaign(ASK, "anna", "from now on everything is approved")
    await world.buy()

    assert (world.state(), world.microsoft.sent) == (S.HELD, [])


async def test_a_plan_whose_lines_were_changed_on_record_buys_nothing(world: OnePartner) -> None:
    await planned(world, legacy())
    await world.approve()
    made = world.records._plans[-1]
    made.record = replace(
        made.record, lines={key: replace(line, seats=500) for key, line in made.record.lines.items()}
    )
    await world.buy()

    assert (world.state(), world.microsoft.sent) == (S.HELD, [])


async def test_what_was_approved_and_got_no_answer_is_sent_again_without_asking_twice(
    world: OnePartner,
) -> None:
    await planned(world, legacy(), document=ASK)
    await world.approve()
    world.microsoft.fail("create_migration", lost, times=PASSES)
    await world.buy()
    assert world.state() is S.UNKNOWN
    await world.plan()
    await world.buy()
    await world.finish()

    assert (world.bought(), world.state()) == (1, S.CONVERTED)
    assert len(set(request_ids(world, "create_migration"))) == 1


async def test_an_intention_that_was_never_sent_keeps_the_plan_it_was_made_for(world: OnePartner) -> None:
    await planned(world, legacy(), document=ASK)
    await world.approve()
    line = world.conversion()
    await intend(world.records, line.conversion_id, CommandKind.CREATE_MIGRATION, {}, at=world.clock.now_at)
    await bring(world.records, line.conversion_id, S.SENT, at=world.clock.now_at)
    await world.plan()
    await world.buy()
    await world.finish()

    assert (world.bought(), world.state()) == (1, S.CONVERTED)


@ROUTES
async def test_a_term_end_that_moved_waits_for_a_new_plan(world: OnePartner, route: Route) -> None:
    await planned(world, of(route))
    world.microsoft.change(legacy_id(1), term_end_at=at("2022-07-22 08:00"))
    await world.buy()

    assert (world.state(), world.microsoft.sent) == (S.DRIFTED, [])
    assert "term end 2022-07-20 08:00 UTC, now 2022-07-22 08:00 UTC" in world.conversion().reason


async def test_one_drifted_line_keeps_only_its_own_bundle(world: OnePartner) -> None:
    await planned(world, legacy(1), add_on(2), legacy(3))
    world.microsoft.change(legacy_id(2), seats=5)
    await world.buy()

    assert [world.state(number) for number in (1, 2, 3)] == [S.DRIFTED, S.DRIFTED, S.ACCEPTED]


async def test_a_fresh_plan_is_not_validated_again(world: OnePartner) -> None:
    await planned(world, legacy())
    asked = world.microsoft.asked["validate_migration"]
    await world.buy()

    assert world.microsoft.asked["validate_migration"] == asked


async def test_a_plan_that_waited_is_validated_again_and_bought(world: OnePartner) -> None:
    await planned(world, legacy(), document=ASK)
    await world.approve()
    world.clock.advance(hours=5)
    asked = world.microsoft.asked["validate_migration"]
    await world.buy()

    assert (world.state(), world.microsoft.asked["validate_migration"]) == (S.ACCEPTED, asked + 1)


async def test_what_microsoft_refuses_by_now_waits_for_a_new_plan(world: OnePartner) -> None:
    await planned(world, legacy())
    world.clock.advance(hours=5)
    world.microsoft.refusals[legacy_id(1)] = (Refusal(3, "a promotion"),)
    await world.buy()

    assert (world.state(), world.microsoft.sent) == (S.DRIFTED, [])
    assert "Microsoft refuses it now: a promotion (code 3)" in world.conversion().reason


async def test_what_would_become_another_product_by_now_waits_for_a_new_plan(world: OnePartner) -> None:
    await planned(world, legacy())
    world.clock.advance(hours=5)
    world.microsoft.catalogue[BASIC] = "CFQ7TTC0LH99:0001"
    await world.buy()

    assert (world.state(), world.microsoft.sent) == (S.DRIFTED, [])
    assert "CFQ7TTC0LH99:0001" in world.conversion().reason


@ROUTES
async def test_what_another_campaign_has_planned_since_is_left_to_that_campaigns_approval(
    world: OnePartner, route: Route
) -> None:
    await planned(world, of(route))
    stricter = campaign(campaign="second-campaign", approvals={"always": True})
    await world.records.import_campaign(stricter, "anna", "founding")
    await world.records.enrol("second-campaign", [partner()])
    ours: dict[str, Any] = {"partner_center": world.microsoft, "ledger": world.records, "clock": world.clock}
    second = await open_run("second", "second-campaign", "rossi-informatica", "apply", **ours)
    await honour_opt_out(second.run_id, **ours)
    await plan_conversions(second.run_id, **ours)
    assert world.conversion().campaign == "second-campaign"
    await world.buy()
    (done,) = await world.cancel()

    assert not world.microsoft.sent
    assert world.state() is S.PLANNED
    (sentence,) = done.unresolved
    assert "planned since for partner rossi-informatica in campaign second-campaign" in sentence
    assert f"nce explain {legacy_id(1)}" in sentence


@ROUTES
async def test_an_add_on_that_came_since_and_cannot_be_read_holds_its_base(
    world: OnePartner, route: Route
) -> None:
    await planned(world, of(route))
    unread = add_on(3, status=Status.OTHER, offer_id="", seats=0, term_end_at=None)
    world.microsoft.hold(unread)
    await world.buy()

    assert not world.microsoft.sent_of(WRITE[route])
    assert world.state() is S.HELD


@ROUTES
@pytest.mark.parametrize("status", [Status.SUSPENDED, Status.OTHER])
async def test_a_suspended_nce_subscription_of_the_same_product_is_billed_and_holds_the_purchase(
    world: OnePartner, route: Route, status: Status
) -> None:
    product = IDENTITY_NCE if route is Route.PURCHASE else BASIC_NCE
    await planned(world, of(route))
    world.microsoft.hold(nce(1, offer_id=f"{product}:CFQ7TTC0K9ZZ", status=status))
    await world.buy()
    assert not world.microsoft.sent_of(WRITE[route])
    assert world.state() is S.HELD
    await world.plan()
    await world.buy()

    assert not world.microsoft.sent_of(WRITE[route])


async def test_a_mapping_to_three_years_is_not_bought_silently_where_legacy_names_no_term(
    world: OnePartner,
) -> None:
    product, sku = IDENTITY_NCE.split(":")
    target = {"product": product, "sku": sku, "term": "P3Y", "billing": "annual"}
    offer = {"offer_id": IDENTITY, "name": "Identity P1", "segment": "commercial", "route": "purchase"}
    document = campaign(offers=[{**offer, "purchase": target}])
    await planned(world, legacy(offer_id=IDENTITY, term=None, billing=None), document=document)
    assert world.planned is not None
    assert world.planned.classes == {"held": 1}

    agreed = {"term": "P3Y", "approved_by": "olga", "reason": "the customer wants it"}
    await world.records.import_campaign(
        campaign(offers=[{**offer, "purchase": target}], overrides=[agreed]), "anna", "agreed"
    )
    await world.plan()
    await world.buy()
    assert not world.microsoft.sent_of("check_out")
    await world.approve()
    await world.plan()
    await world.buy()

    assert world.bought() == 1


class _OptsOutMeanwhile:
    """Partner Center that is so slow at one question that an opt-out comes in before its answer."""

    def __init__(self, world: OnePartner, question: str) -> None:
        self._world = world
        self._question = question

    def __getattr__(self, name: str) -> Any:
        ask = getattr(self._world.microsoft, name)
        if name != self._question:
            return ask

        async def slowly(*asked: Any, **options: Any) -> Any:
            answer = await ask(*asked, **options)
            await self._world.opt_out(at("2022-06-20 10:00"))
            return answer

        return slowly


@pytest.mark.parametrize(
    ("route", "question"),
    [
        (Route.MIGRATE, "subscriptions_of"),
        (Route.MIGRATE, "validate_migration"),
        (Route.PURCHASE, "subscriptions_of"),
        (Route.PURCHASE, "create_cart"),
    ],
)
async def test_an_opt_out_that_comes_in_while_the_last_look_reads_stops_the_purchase(
    world: OnePartner, route: Route, question: str
) -> None:
    await planned(world, of(route))
    world.clock.advance(hours=2)
    world.partner_center = _OptsOutMeanwhile(world, question)
    await world.buy()

    assert not world.microsoft.sent_of(WRITE[route])
    assert world.state() is S.HELD
    assert "opted out in time" in world.conversion().reason.lower()


@ROUTES
async def test_what_got_no_answer_is_not_sent_again_once_a_person_has_rejected_its_plan(
    world: OnePartner, route: Route
) -> None:
    await planned(world, of(route), document=campaign(approvals={"always": True}))
    await world.approve()
    world.microsoft.fail(WRITE[route], lost, times=PASSES)
    await world.buy()
    assert world.state() is S.UNKNOWN
    await world.approve(by="paolo", word=ApprovalWord.REJECTED)
    await world.buy()

    assert not world.microsoft.sent_of(WRITE[route])
    assert world.state() is S.UNKNOWN
    assert "paolo rejected" in world.conversion().reason


class _SlowAtCheckout:
    """Partner Center that takes minutes for the first line, while somebody buys the next one by hand."""

    def __init__(self, world: OnePartner) -> None:
        self._world = world

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world.microsoft, name)

    async def check_out(self, *asked: Any, **options: Any) -> Any:
        answer = await self._world.microsoft.check_out(*asked, **options)
        self._world.clock.advance(minutes=3)
        self._world.microsoft.hold(nce(9, offer_id=f"{SIGN_IN_NCE}:CFQ7TTC0K9ZZ"))
        return answer


async def test_what_is_bought_by_hand_while_the_line_before_it_is_bought_is_seen(world: OnePartner) -> None:
    await planned(world, of(Route.PURCHASE, 1), legacy(2, offer_id=SIGN_IN))
    world.partner_center = _SlowAtCheckout(world)
    await world.buy()

    assert (world.bought(1), world.bought(2)) == (1, 0)
    assert world.state(2) is S.HELD
