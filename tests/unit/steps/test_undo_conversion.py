"""An undo: legacy comes back first, NCE is cancelled only past the gate, and nobody is ever uncovered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from include.nce.domain.author import Author
from include.nce.domain.classification import SubscriptionClass
from include.nce.domain.conversion import ConversionState
from include.nce.domain.decision import DecisionKind
from include.nce.domain.errors import FailureClass, InputRefused, PartnerCenterFault
from include.nce.domain.subscription import Status, Subscription
from include.nce.domain.undo import CaseState, UndoWord
from include.nce.steps.people.keep_nce import keep_nce
from include.nce.steps.plan_undo import answer_undo, question
from include.nce.steps.sending import Departure, LockLost
from tests.support.crash import Crash, Wire
from tests.support.examples import (
    CAMPAIGN,
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
)
from tests.support.fake_partner_center import Fault, lost, refusal, server_fault, throttled
from tests.support.one_partner import RUN, OnePartner
from tests.support.undoing import (
    UNDO_RUN,
    answer,
    assert_rules,
    close,
    plan,
    take_back,
    undo,
)

S, C = ConversionState, CaseState
DORA = Author("dora")


def migrations() -> list[Subscription]:
    return [legacy(1), add_on(2), legacy(3, customer_id=OTHER_CUSTOMER)]


def purchases() -> list[Subscription]:
    return [
        legacy(1, offer_id=IDENTITY),
        add_on(2, offer_id=SIGN_IN),
        legacy(3, offer_id=IDENTITY, customer_id=OTHER_CUSTOMER),
    ]


BOTH_ROUTES = pytest.mark.parametrize("holdings", [migrations, purchases])


def sent(world: OnePartner, operation: str) -> list[str]:
    return [each.about for each in world.microsoft.sent_of(operation)]


def nce_status(world: OnePartner, number: int = 1) -> Status:
    [made] = world.microsoft.bought[legacy_id(number)]
    return world.microsoft.held[made].status


@BOTH_ROUTES
async def test_everything_of_a_partner_is_taken_back(
    world: OnePartner, holdings: Callable[[], list[Subscription]]
) -> None:
    await world.convert(*holdings())
    done = await undo(world)

    assert (done.undone, done.pending, done.stopped) == (2, (), ())
    for number in (1, 2, 3):
        assert world.state(number) is S.UNDONE
        assert world.legacy_status(number) is Status.ACTIVE
        assert nce_status(world, number) is Status.DELETED
    assert [case.state for case in world.records.cases.values()] == [C.UNDONE, C.UNDONE]
    assert (await close(world)).outcome == "undone"
    assert_rules(world)


async def test_two_of_an_order_that_are_of_one_product_are_both_taken_back(world: OnePartner) -> None:
    world.microsoft.names_subscriptions_at_checkout = False
    base, extra, _ = purchases()
    await world.begin(base, replace(extra, seats=base.seats), document=campaign(offers=SAME_ITEM))
    await world.plan()
    await world.buy()
    for number in (1, 2):
        line = world.conversion(number)
        world.records._conversions[line.conversion_id] = replace(line, state=S.STRANDED)
    world.clock.advance(hours=1)
    done = await undo(world)

    assert (done.undone, done.pending, done.stopped) == (1, (), ())
    assert [nce_status(world, number) for number in (1, 2)] == [Status.DELETED, Status.DELETED]
    assert_rules(world)


@BOTH_ROUTES
async def test_legacy_comes_first_and_the_base_before_its_add_ons(
    world: OnePartner, holdings: Callable[[], list[Subscription]]
) -> None:
    await world.convert(*holdings())
    await undo(world, customer_id=CUSTOMER)
    [base], [extra] = world.microsoft.bought[legacy_id(1)], world.microsoft.bought[legacy_id(2)]
    order = [
        (each.operation, each.about)
        for each in world.microsoft.sent
        if each.operation in ("reactivate", "cancel_nce")
    ]

    assert order == [
        ("reactivate", legacy_id(1)),
        ("reactivate", legacy_id(2)),
        ("cancel_nce", extra),
        ("cancel_nce", base),
    ]
    assert world.state(3) is S.CONVERTED


@pytest.mark.parametrize("named", ["base", "add_on", "nce"])
async def test_one_subscription_brings_its_whole_bundle(world: OnePartner, named: str) -> None:
    await world.convert(*migrations())
    ids = {"base": legacy_id(1), "add_on": legacy_id(2), "nce": world.microsoft.bought[legacy_id(2)][0]}
    done = await undo(world, subscription_id=ids[named].upper())

    assert done.undone == 1
    assert (world.state(1), world.state(2), world.state(3)) == (S.UNDONE, S.UNDONE, S.CONVERTED)


async def test_an_undo_never_suspends_legacy(world: OnePartner) -> None:
    await world.convert(legacy())
    await undo(world)

    assert sent(world, "suspend") == []


@pytest.mark.parametrize("approved", [None, False])
async def test_without_an_approval_nothing_is_sent(world: OnePartner, approved: bool | None) -> None:
    await world.convert(legacy())
    await plan(world)
    if approved is not None:
        await answer(world, approved=approved)
    before = len(world.microsoft.sent)
    with pytest.raises(InputRefused, match="nothing is sent"):
        await take_back(world)

    assert len(world.microsoft.sent) == before
    assert world.state() is S.CONVERTED


async def test_an_approval_of_other_lines_counts_for_nothing(world: OnePartner) -> None:
    await world.convert(legacy(1), legacy(3, customer_id=OTHER_CUSTOMER))
    first = await plan(world, customer_id=CUSTOMER)
    await plan(world)
    await answer_undo(
        UNDO_RUN, first.plan.hash, approved=True, who="carla", ledger=world.records, clock=world.clock
    )
    with pytest.raises(InputRefused, match="approved other lines"):
        await take_back(world)

    assert sent(world, "reactivate") == []


async def test_a_plan_made_anew_needs_a_new_approval(world: OnePartner) -> None:
    await world.convert(legacy())
    await plan(world)
    await answer(world)
    await plan(world)
    with pytest.raises(InputRefused, match="approved by nobody"):
        await take_back(world)


async def test_a_rejected_wish_is_closed(world: OnePartner) -> None:
    await world.convert(legacy())
    await plan(world)
    await answer(world, approved=False)

    assert world.records.cases[1].state is C.CLOSED
    closed = await close(world)
    assert (closed.outcome, closed.needs_somebody) == ("rejected", False)
    assert "carla did not approve it" in closed.sentence


async def test_the_question_names_each_line_and_its_hours(world: OnePartner) -> None:
    await world.convert(legacy())
    world.clock.advance(hours=10)
    planned = await plan(world)
    subject, body = question(planned, "the partner wants it back")
    until = world.microsoft.held[world.microsoft.bought[legacy_id(1)][0]].cancellable_until_at

    assert subject == "Undo 1 subscription of 1 customer of rossi-informatica?"
    assert until is not None
    assert f"{(until - world.clock.now_at).total_seconds() / 3600:.0f} hours left" in body
    assert legacy_id(1) in body
    assert "the partner wants it back" in body
    assert "if Partner Center refuses, NCE stays" in body


async def test_partner_center_may_refuse_to_bring_back_what_it_migrated(world: OnePartner) -> None:
    world.microsoft.brings_legacy_back = False
    await world.convert(legacy())
    done = await undo(world)

    assert (done.undone, done.pending) == (0, ())
    assert "NCE stays as it is" in done.stopped[0]
    assert sent(world, "cancel_nce") == []
    assert (world.state(), nce_status(world)) == (S.CONVERTED, Status.ACTIVE)
    assert world.records.cases[1].state is C.PERSON_DECIDES
    assert (await close(world)).outcome == "person_decides"


async def test_when_the_window_closes_in_between_the_customer_is_covered_twice(world: OnePartner) -> None:
    await world.convert(legacy())
    await plan(world)
    await answer(world)
    world.microsoft.fail("cancel_nce", lambda: refusal("the cancellation window has passed", code=900117))
    done = await take_back(world)

    assert "COVERED TWICE" in done.stopped[0]
    assert "nce undo keep 1" in done.stopped[0]
    assert world.records.cases[1].state is C.DOUBLE_COVERED
    assert (world.state(), world.legacy_status(), nce_status(world)) == (
        S.UNDOING, Status.ACTIVE, Status.ACTIVE
    )  # fmt: skip
    assert "billed twice" in world.conversion().reason
    assert (await close(world)).needs_somebody


async def test_a_second_before_the_end_is_in_time_and_a_second_after_it_is_not(world: OnePartner) -> None:
    await world.convert(legacy(1, term_end_at=at("2022-07-24 08:00")))
    [made] = world.microsoft.bought[legacy_id(1)]
    until = world.microsoft.held[made].cancellable_until_at
    assert until is not None
    world.clock.now_at = until + timedelta(seconds=1)
    planned = await plan(world)
    assert [line.word for line in planned.plan.lines] == [UndoWord.TOO_LATE]
    assert world.records.cases[1].state is C.TOO_LATE
    world.clock.now_at = until
    done = await undo(world)

    assert done.undone == 1


async def test_legacy_whose_term_is_over_does_not_come_back(world: OnePartner) -> None:
    await world.convert(legacy(1, term_end_at=at("2022-07-14 08:00")))
    world.clock.now_at = at("2022-07-14 08:00")
    planned = await plan(world)

    assert not planned.possible
    assert "term ended" in planned.plan.lines[0].why


async def test_a_kept_nce_is_finished_only_past_the_cancel_gate(world: OnePartner) -> None:
    await test_when_the_window_closes_in_between_the_customer_is_covered_twice(world)
    kept = await keep_nce(1, "they stay with NCE", by=DORA, ledger=world.records, clock=world.clock)
    assert (kept.case.state, len(kept.finished_by_next_run)) == (C.CLOSED, 1)
    assert sent(world, "suspend") == []
    await world.plan()
    await world.buy()
    await world.finish()

    assert sent(world, "suspend") == [legacy_id(1)]
    assert world.state() is S.CONVERTED
    assert world.bought() == 1
    world.assert_rules()


async def test_while_it_is_covered_twice_no_run_suspends_it_by_itself(world: OnePartner) -> None:
    await test_when_the_window_closes_in_between_the_customer_is_covered_twice(world)
    await world.plan()
    await world.buy()
    await world.finish()

    assert sent(world, "suspend") == []
    assert (await world.records.effective_classes(RUN))[legacy_id(1)] is SubscriptionClass.HELD


async def test_a_closed_case_is_not_kept_again(world: OnePartner) -> None:
    await world.convert(legacy())
    await undo(world)
    with pytest.raises(InputRefused, match="closed already"):
        await keep_nce(1, "x", by=DORA, ledger=world.records, clock=world.clock)


async def test_what_is_being_undone_cannot_be_kept_meanwhile(world: OnePartner) -> None:
    await world.convert(legacy())
    await plan(world)
    async with world.records.single_writer(CUSTOMER, legacy_id(1)):
        with pytest.raises(InputRefused, match="being worked on"):
            await keep_nce(1, "x", by=DORA, ledger=world.records, clock=world.clock)


@pytest.mark.parametrize("operation", ["reactivate", "cancel_nce"])
@pytest.mark.parametrize("fault", [lost, server_fault])
@pytest.mark.parametrize("after", [False, True], ids=["did_not_arrive", "arrived"])
async def test_a_lost_answer_is_settled_by_looking(
    world: OnePartner, operation: str, fault: Any, after: bool
) -> None:
    await world.convert(legacy())
    world.microsoft.fail(operation, fault, after=after)
    done = await undo(world)

    assert done.undone == 1
    assert world.microsoft.faults_left == {}
    of_kind = world.microsoft.sent_of(operation)
    assert len({each.request_id for each in of_kind}) == 1
    kind = {"reactivate": "reactivate_legacy", "cancel_nce": "cancel_nce"}[operation]
    told = [event for event in world.records.events if event[0] == "answered" and event[2] == kind]
    assert [event[3] for event in told] == (["lost", "found"] if after else ["lost", "accepted"])
    assert_rules(world)


@pytest.mark.parametrize("operation", ["reactivate", "cancel_nce"])
async def test_a_throttled_write_is_tried_again_and_nobody_is_called(
    world: OnePartner, operation: str
) -> None:
    await world.convert(legacy())
    world.microsoft.fail(operation, throttled)
    done = await undo(world)

    assert done.undone == 1
    assert 20 in world.clock.pauses


async def test_what_is_taken_and_does_not_show_yet_is_waited_for_and_not_sent_again(
    world: OnePartner,
) -> None:
    await world.convert(legacy())
    real = world.microsoft.reactivate

    async def slowly(*args: Any, **kwargs: Any) -> Any:
        answered = await real(*args, **kwargs)
        world.microsoft.change(legacy_id(1), status=Status.SUSPENDED)
        return answered

    world.microsoft.reactivate = slowly  # type: ignore[method-assign]
    done = await undo(world)

    assert (done.undone, len(done.pending), done.stopped) == (0, 1, ())
    assert "does not show as active" in done.pending[0]
    assert (len(sent(world, "reactivate")), sent(world, "cancel_nce")) == (1, [])
    assert world.state() is S.UNDOING
    world.microsoft.change(legacy_id(1), status=Status.ACTIVE)
    assert (await take_back(world)).undone == 1


async def test_a_refusal_is_no_refusal_when_it_is_so_already(world: OnePartner) -> None:
    """A person reactivated legacy in the portal a moment before."""
    await world.convert(legacy())

    async def beaten(*args: Any, **kwargs: Any) -> Any:
        world.microsoft.change(legacy_id(1), status=Status.ACTIVE)
        raise refusal("this change of status is not allowed", code=800040)

    world.microsoft.reactivate = beaten  # type: ignore[method-assign]
    assert (await undo(world)).undone == 1


async def test_our_own_credentials_are_nobodys_refusal(world: OnePartner) -> None:
    await world.convert(legacy())
    world.microsoft.fail("reactivate", lambda: Fault(FailureClass.PROVIDER_ACTS, "expired", status=401))
    with pytest.raises(PartnerCenterFault, match="expired"):
        await undo(world)

    assert (world.state(), world.records.cases[1].state) == (S.UNDOING, C.UNDOING)
    assert (await take_back(world)).undone == 1


@pytest.mark.parametrize("change", [{"seats": 14}, {"offer_id": "CFQ7TTC0LH99:0001:X"}])
async def test_what_changed_since_it_was_approved_is_not_cancelled(
    world: OnePartner, change: dict[str, Any]
) -> None:
    await world.convert(legacy())
    await plan(world)
    await answer(world)
    world.microsoft.change(world.microsoft.bought[legacy_id(1)][0], **change)
    done = await take_back(world)

    assert len(done.stopped) == 1
    assert sent(world, "reactivate") == sent(world, "cancel_nce") == []
    assert world.state() is S.CONVERTED


async def test_legacy_that_went_away_again_keeps_nce(world: OnePartner) -> None:
    """The gate reads both sides anew before each write."""
    await world.convert(legacy(1), add_on(2))
    await plan(world)
    await answer(world)
    real = world.microsoft.reactivate

    async def twice(customer_id: str, subscription_id: str, *, departure: Departure) -> Any:
        answered = await real(customer_id, subscription_id, departure=departure)
        if subscription_id == legacy_id(2):
            world.microsoft.change(legacy_id(1), status=Status.DELETED)
        return answered

    world.microsoft.reactivate = twice  # type: ignore[method-assign]
    done = await take_back(world)

    assert sent(world, "cancel_nce") == []
    assert len(done.stopped) == 1
    assert_rules(world)


async def test_nce_that_somebody_cancelled_by_hand_brings_legacy_back(world: OnePartner) -> None:
    await world.convert(legacy())
    world.microsoft.change(world.microsoft.bought[legacy_id(1)][0], status=Status.DELETED)
    done = await undo(world)

    assert done.undone == 1
    assert sent(world, "cancel_nce") == []
    assert world.legacy_status() is Status.ACTIVE


async def test_what_is_bought_and_not_finished_is_not_undone_yet(world: OnePartner) -> None:
    await world.begin(legacy())
    await world.plan()
    await world.buy()
    planned = await plan(world)

    assert [line.word for line in planned.plan.lines] == [UndoWord.WAIT]
    assert not planned.possible
    assert world.records.cases[1].state is C.OPEN


async def test_a_covered_line_is_taken_back_before_legacy_is_ended(world: OnePartner) -> None:
    await world.begin(legacy(1, offer_id=IDENTITY))
    await world.plan()
    await world.buy()
    world.clock.advance(hours=3)
    await world.confirm()
    assert world.state() is S.COVERED
    done = await undo(world)
    await world.cancel()

    assert done.undone == 1
    assert (sent(world, "reactivate"), sent(world, "suspend")) == ([], [])
    assert world.state() is S.UNDONE


async def test_who_lost_the_lock_sends_nothing(world: OnePartner) -> None:
    await world.convert(legacy())
    await plan(world)
    await answer(world)
    noted = world.records.note_sending

    async def lose(*args: Any, **kwargs: Any) -> None:
        await noted(*args, **kwargs)
        world.records.lose_locks()

    world.records.note_sending = lose  # type: ignore[method-assign]
    with pytest.raises(LockLost):
        await take_back(world)

    assert sent(world, "reactivate") == []


async def test_who_lost_the_lock_while_it_looked_intends_nothing(world: OnePartner) -> None:
    await world.convert(legacy())
    await plan(world)
    await answer(world)
    before = dict(world.records.commands)
    real = world.microsoft.subscriptions_of

    async def loses(customer_id: str) -> Sequence[Subscription]:
        world.records.lose_locks()
        return await real(customer_id)

    world.microsoft.subscriptions_of = loses  # type: ignore[method-assign]
    with pytest.raises(LockLost):
        await take_back(world)

    assert world.records.commands == before


async def test_an_orphan_of_an_undo_writes_nothing_over_what_its_successor_did(world: OnePartner) -> None:
    await world.convert(legacy())
    await plan(world)
    await answer(world)
    read = world.microsoft.subscriptions_of

    async def while_the_successor_undoes(customer_id: str) -> Sequence[Subscription]:
        """What the orphan has read is old by the time it writes, and its lock is gone."""
        found = await read(customer_id)
        world.microsoft.subscriptions_of = read  # type: ignore[method-assign]
        world.records.lose_locks()
        await take_back(world)
        return found

    world.microsoft.subscriptions_of = while_the_successor_undoes  # type: ignore[method-assign]
    with pytest.raises(InputRefused, match="is closed"):
        await take_back(world)

    assert world.state() is S.UNDONE
    assert sent(world, "reactivate") == [legacy_id(1)]


async def test_a_bundle_somebody_else_works_on_is_left_alone(world: OnePartner) -> None:
    await world.convert(legacy())
    await plan(world)
    await answer(world)
    async with world.records.single_writer(CUSTOMER, legacy_id(1)):
        done = await take_back(world)

    assert "somebody else is working on it" in done.pending[0]
    assert sent(world, "reactivate") == []


async def test_a_second_run_does_nothing(world: OnePartner) -> None:
    await world.convert(legacy(1), add_on(2))
    await undo(world)
    before, events = list(world.microsoft.sent), list(world.records.events)
    done = await take_back(world)

    assert done.undone == 1
    assert (world.microsoft.sent, world.records.events) == (before, events)


async def test_where_nothing_is_bought_there_is_nothing_to_undo(world: OnePartner) -> None:
    await world.begin(legacy())
    with pytest.raises(InputRefused, match="nothing is bought"):
        await plan(world)


async def test_what_was_undone_is_not_converted_by_a_later_plan(world: OnePartner) -> None:
    await world.convert(legacy())
    await undo(world)
    planned = await world.plan()
    await world.buy()

    assert (planned.classes, planned.batches) == ({"not_legacy": 1, "undone": 1}, 0)
    assert world.bought() == 1
    assert (await world.records.effective_classes(RUN))[legacy_id(1)] is SubscriptionClass.UNDONE


async def decide(world: OnePartner) -> None:
    await world.records.record_decision(
        CAMPAIGN, "rossi-informatica", legacy_id(1), DecisionKind.CONFIRM_CONVERSION,
        decided_by="anna", reason="they changed their mind", at=world.clock.now_at,
    )  # fmt: skip


async def test_a_decision_from_before_the_undo_does_not_convert_it_again(world: OnePartner) -> None:
    await world.begin(legacy(auto_renew=False))
    await decide(world)
    await world.plan()
    await world.buy()
    await world.finish()
    assert world.state() is S.CONVERTED
    await undo(world)

    assert (await world.plan()).classes["undone"] == 1


@BOTH_ROUTES
async def test_a_person_may_decide_to_convert_it_again(
    world: OnePartner, holdings: Callable[[], list[Subscription]]
) -> None:
    await world.convert(holdings()[0])
    await undo(world)
    world.clock.advance(hours=1)
    await decide(world)
    assert (await world.plan()).classes["due"] == 1
    await world.buy()
    await world.finish()

    assert world.state() is S.CONVERTED
    first, second = world.microsoft.bought[legacy_id(1)]
    assert world.conversion().nce_subscription_id == second
    assert world.microsoft.held[first].status is Status.DELETED


async def test_a_lost_answer_of_the_second_conversion_is_not_taken_for_the_first(world: OnePartner) -> None:
    await world.convert(legacy())
    await undo(world)
    world.clock.advance(hours=1)
    await decide(world)
    await world.plan()
    world.microsoft.fail("create_migration", lost)
    await world.buy()
    await world.finish()

    assert world.state() is S.CONVERTED
    assert len(world.microsoft.bought[legacy_id(1)]) == 2


@pytest.mark.parametrize("after", [False, True], ids=["before_its_effect", "after_its_effect"])
@BOTH_ROUTES
async def test_a_crash_at_any_call_uncovers_nobody_and_loses_nothing(
    holdings: Callable[[], list[Subscription]], after: bool
) -> None:
    fatal = 0
    while True:
        fatal += 1
        world = OnePartner()
        await world.convert(*holdings())
        wire = Wire(fatal, after=after)
        world.ledger, world.partner_center = wire.tied(world.records), wire.tied(world.microsoft)
        crashed = False
        try:
            await undo(world)
        except Crash:
            crashed = True
        where = f"call {fatal}: {wire.calls[fatal - 1] if crashed else 'none'}"
        assert_rules(world)
        world.ledger, world.partner_center = world.records, world.microsoft
        standing = await world.records.undo_plan(UNDO_RUN)
        if standing is None:
            await plan(world)
            standing = await world.records.undo_plan(UNDO_RUN)
        assert standing is not None
        if await world.records.undo_answer(standing.plan_id) is None:
            await answer(world)
        done = await take_back(world)
        assert (done.undone, done.pending, done.stopped) == (2, (), ()), where
        assert_rules(world)
        for number in (1, 2, 3):
            assert world.state(number) is S.UNDONE, where
            assert world.legacy_status(number) is Status.ACTIVE, where
            assert nce_status(world, number) is Status.DELETED, where
        assert len(sent(world, "cancel_nce")) == 3, where
        assert all(command.answered for command in world.records.commands.values()), where
        if not crashed:
            break
    assert fatal > 60


async def test_a_bundle_that_stopped_half_way_is_told_line_by_line(world: OnePartner) -> None:
    """The base is back, its add-on is refused: the base is paid twice, the add-on is as before."""
    await world.convert(legacy(1), add_on(2))
    await plan(world)
    await answer(world)
    real = world.microsoft.reactivate

    async def only_the_base(customer_id: str, subscription_id: str, *, departure: Departure) -> Any:
        if subscription_id == legacy_id(2):
            await departure.leave()
            raise refusal("this change of status is not allowed", code=800040)
        return await real(customer_id, subscription_id, departure=departure)

    world.microsoft.reactivate = only_the_base  # type: ignore[method-assign]
    done = await take_back(world)

    assert legacy_id(1) in done.stopped[0]
    assert legacy_id(2) not in done.stopped[0]
    assert (world.state(1), world.state(2)) == (S.UNDOING, S.CONVERTED)
    assert world.records.cases[1].state is C.DOUBLE_COVERED
    assert sent(world, "cancel_nce") == []


async def test_a_stranded_line_whose_nce_is_unknown_is_left_to_a_person(world: OnePartner) -> None:
    await world.convert(legacy())
    number = world.conversion().conversion_id
    world.records._conversions[number] = replace(
        world.conversion(), state=S.STRANDED, nce_subscription_id=None
    )
    [made] = world.microsoft.bought[legacy_id(1)]
    del world.microsoft.held[made]
    planned = await plan(world)

    assert [line.word for line in planned.plan.lines] == [UndoWord.REFUSE]
    assert world.records.cases[1].state is C.PERSON_DECIDES


async def suspended_slowly(world: OnePartner) -> None:
    """Bought, covered, and our suspension of legacy was taken and does not show yet."""
    await world.begin(legacy(1, offer_id=IDENTITY))
    await world.plan()
    await world.buy()
    world.clock.advance(hours=3)
    await world.confirm()
    real = world.microsoft.suspend

    async def slowly(*args: Any, **kwargs: Any) -> Any:
        answered = await real(*args, **kwargs)
        world.microsoft.change(legacy_id(1), status=Status.ACTIVE)
        return answered

    world.microsoft.suspend = slowly  # type: ignore[method-assign]
    await world.cancel()
    assert (world.state(), world.legacy_status()) == (S.COVERED, Status.ACTIVE)


async def test_nce_stays_while_our_suspension_of_legacy_may_still_take_effect(world: OnePartner) -> None:
    await suspended_slowly(world)
    done = await undo(world)

    assert (done.undone, done.stopped) == (0, ())
    assert "may still take effect" in done.pending[0]
    assert sent(world, "cancel_nce") == []
    world.microsoft.change(legacy_id(1), status=Status.SUSPENDED)
    assert (await take_back(world)).undone == 1
    assert sent(world, "reactivate") == [legacy_id(1)]
    assert (world.legacy_status(), nce_status(world)) == (Status.ACTIVE, Status.DELETED)


async def test_a_suspension_that_never_took_effect_holds_the_undo_for_an_hour(world: OnePartner) -> None:
    await suspended_slowly(world)
    await undo(world)
    world.clock.advance(hours=1)
    done = await take_back(world)

    assert done.undone == 1
    assert sent(world, "reactivate") == []


async def test_a_refused_suspension_holds_no_undo(world: OnePartner) -> None:
    await world.begin(legacy(1, offer_id=IDENTITY))
    await world.plan()
    await world.buy()
    world.clock.advance(hours=3)
    await world.confirm()
    world.microsoft.fail("suspend", lambda: refusal("this change of status is not allowed", code=800040))
    await world.cancel()

    assert (await undo(world)).undone == 1


async def test_a_case_that_was_closed_before_its_approval_is_not_told_as_undone(world: OnePartner) -> None:
    await world.convert(legacy())
    await plan(world)
    await keep_nce(1, "they stay", by=DORA, ledger=world.records, clock=world.clock)
    await answer(world)
    done = await take_back(world)

    assert (done.undone, done.pending) == (0, ())
    assert "closed, so nothing more was undone" in done.stopped[0]
    assert sent(world, "reactivate") == sent(world, "cancel_nce") == []
    closed = await close(world)
    assert closed.outcome == "closed"
    assert "they stay" in closed.sentence


async def test_what_is_still_converting_is_said_to_wait_and_not_to_be_asked_about(world: OnePartner) -> None:
    await world.begin(legacy(1, offer_id=IDENTITY), legacy(3, offer_id=IDENTITY, customer_id=OTHER_CUSTOMER))
    await world.plan()
    await world.buy()
    settled = world.conversion(1)
    world.clock.advance(hours=3)
    world.records._conversions[settled.conversion_id] = replace(
        settled, state=S.COVERED, nce_subscription_id=world.microsoft.bought[legacy_id(1)][0]
    )
    done = await undo(world)

    cases = {case.base_id: case for case in world.records.cases.values()}
    assert "Cannot be undone yet" in cases[legacy_id(3)].sentence
    assert done.undone == 1
    assert "not part of what was approved" in done.stopped[0]
    assert "Start the undo again" in done.stopped[0]
