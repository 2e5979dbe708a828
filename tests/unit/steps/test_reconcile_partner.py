"""What a person does in the portal is seen and told; only what is safe is put right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from include.nce.domain.conversion import ConversionState
from include.nce.domain.errors import FailureClass
from include.nce.domain.readiness import Owner
from include.nce.domain.reconciliation import CoverageGap, Discrepancy, FindingKind
from include.nce.domain.subscription import Status
from include.nce.steps.reconcile_partner import Reconciled, reconcile_partner
from include.nce.steps.sending import LockLost
from tests.support.examples import (
    CAMPAIGN,
    CUSTOMER,
    IDENTITY,
    OTHER_CUSTOMER,
    SCHOOL,
    SIGN_IN,
    add_on,
    legacy,
    legacy_id,
    nce,
    partner,
)
from tests.support.fake_partner_center import Fault, lost, refusal, server_fault, throttled
from tests.support.one_partner import OnePartner
from tests.support.scene import bring

S, K = ConversionState, FindingKind
ALONE = legacy(1, offer_id=IDENTITY)
RUN = f"{CAMPAIGN}__reconcile__1"


async def reconcile(world: OnePartner, *, repair: bool = True, run_id: str = RUN) -> Reconciled:
    return await reconcile_partner(
        run_id, CAMPAIGN, partner(), repair=repair,
        partner_center=world.partner_center, ledger=world.ledger, clock=world.clock,
    )  # fmt: skip


def standing(world: OnePartner) -> list[Discrepancy]:
    return world.records.open_findings(CAMPAIGN)


def only(world: OnePartner) -> Discrepancy:
    (found,) = standing(world)
    return found


def nce_of(world: OnePartner, number: int = 1) -> str:
    return world.microsoft.bought[legacy_id(number)][0]


def writes(world: OnePartner) -> int:
    return len(world.microsoft.sent)


async def bought(world: OnePartner, *holdings: Any) -> None:
    await world.begin(*holdings)
    await world.plan()
    await world.buy()


async def test_after_a_clean_conversion_there_is_nothing_to_tell(world: OnePartner) -> None:
    await world.convert(ALONE, legacy(3), add_on(4, base=3))
    told = await reconcile(world)

    assert standing(world) == []
    assert (told.lines, told.compared, told.unread, told.repaired) == (3, 3, "", ())


async def test_each_customer_is_read_once(world: OnePartner) -> None:
    await world.convert(legacy(1), legacy(2), legacy(3, customer_id=OTHER_CUSTOMER))
    world.microsoft.asked.clear()
    await reconcile(world)

    assert world.microsoft.asked == {"subscriptions_of": 2}


async def test_comparing_twice_writes_one_finding_and_one_line_of_history(world: OnePartner) -> None:
    await world.convert(ALONE)
    world.microsoft.change(legacy_id(1), status=Status.ACTIVE)
    first, second = await reconcile(world), await reconcile(world, run_id="again")

    assert (len(first.changes.opened), len(second.changes.opened)) == (1, 0)
    (finding,) = world.records.findings_on_record[CAMPAIGN, "rossi-informatica"].values()
    assert [event for event, _ in finding.told] == ["opened"]


# A person was in the portal


@pytest.mark.parametrize(
    ("act", "kind", "gap", "says"),
    [
        (lambda w: w.microsoft.change(nce_of(w), status=Status.DELETED),
         K.NCE_CANCELLED, CoverageGap.ZERO, "and legacy is suspended: the customer has no service"),
        (lambda w: w.microsoft.change(nce_of(w), status=Status.SUSPENDED),
         K.NCE_SUSPENDED, CoverageGap.ZERO, "is suspended, and is billed all the same"),
        (lambda w: (w.microsoft.held.pop(nce_of(w)), w.microsoft.expire_carts()),
         K.NCE_CANCELLED, CoverageGap.ZERO, "is not listed any more"),
        (lambda w: w.microsoft.change(legacy_id(1), status=Status.ACTIVE),
         K.DOUBLE_COVERAGE, CoverageGap.DOUBLE, "legacy is active beside NCE subscription"),
        (lambda w: w.microsoft.change(nce_of(w), seats=7),
         K.SEATS_SHORT, CoverageGap.NONE, "NCE has 7 seats, legacy has 10"),
    ],
    ids=["cancelled NCE", "suspended NCE", "NCE vanished", "reactivated legacy", "took seats away"],
)  # fmt: skip
async def test_what_a_person_did_after_a_conversion_is_told_and_left_alone(
    world: OnePartner, act: Callable[[OnePartner], Any], kind: FindingKind, gap: CoverageGap, says: str
) -> None:
    await world.convert(ALONE)
    act(world)
    held, sent = dict(world.microsoft.held), writes(world)
    told = await reconcile(world)

    found = only(world)
    assert (found.kind, found.gap, found.owner) == (kind, gap, Owner.OPERATOR)
    assert says in found.sentence
    assert told.changes.opened == (found.sentence,)
    assert told.repaired == ()
    assert world.microsoft.held == held
    assert writes(world) == sent
    assert world.state() is S.CONVERTED


async def test_a_finding_is_resolved_when_its_reason_is_gone_and_told_when_it_comes_back(
    world: OnePartner,
) -> None:
    await world.convert(ALONE)
    for status in (Status.ACTIVE, Status.SUSPENDED, Status.ACTIVE):
        world.microsoft.change(legacy_id(1), status=status)
        told = await reconcile(world)

    (finding,) = world.records.findings_on_record[CAMPAIGN, "rossi-informatica"].values()
    assert [event for event, _ in finding.told] == ["opened", "resolved", "returned"]
    assert finding.times == 2
    assert told.changes.returned == (finding.found.sentence,)


async def test_what_was_bought_by_hand_is_a_question_and_nothing_else(world: OnePartner) -> None:
    await world.begin(legacy())
    await world.plan()
    world.microsoft.hold(nce(8))
    await reconcile(world)

    found = only(world)
    assert (found.kind, found.gap) == (K.SAME_PRODUCT_CANDIDATE, CoverageGap.NONE)
    assert world.state() is S.PLANNED


async def test_what_we_bought_is_no_candidate_for_another_subscription(world: OnePartner) -> None:
    await world.convert(ALONE)
    world.microsoft.hold(legacy(2, offer_id=IDENTITY, term_end_at=ALONE.term_end_at))
    await world.plan()
    await reconcile(world)

    assert standing(world) == []


async def test_what_somebody_moved_is_marked_so_and_then_there_is_nothing_to_tell(world: OnePartner) -> None:
    await world.begin(legacy())
    await world.plan()
    world.microsoft.hold(nce(7, migrated_from_id=legacy_id(1)))
    world.microsoft.change(legacy_id(1), status=Status.SUSPENDED)
    sent = writes(world)
    told = await reconcile(world)

    assert world.state() is S.BY_OTHERS
    assert len(told.repaired) == len(told.changes.opened) == len(told.changes.resolved) == 1
    assert standing(world) == []
    assert writes(world) == sent


async def test_without_repair_everything_is_told_and_nothing_touched(world: OnePartner) -> None:
    await bought(world, ALONE, legacy(3))
    world.microsoft.hold(nce(7, migrated_from_id=legacy_id(3)))
    world.clock.advance(hours=100)
    sent, states = writes(world), dict(world.records.states)
    told = await reconcile(world, repair=False)

    assert told.repaired == ()
    assert standing(world) != []
    assert writes(world) == sent
    assert world.records.states == states


async def test_changed_seats_of_legacy_are_told_before_it_is_converted(world: OnePartner) -> None:
    await world.begin(legacy())
    await world.plan()
    world.microsoft.change(legacy_id(1), seats=12)
    await reconcile(world)

    assert only(world).kind is K.LEGACY_SEATS_CHANGED


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda w: w.microsoft.held.pop(legacy_id(1)), K.LEGACY_VANISHED),
        (lambda w: w.microsoft.change(legacy_id(1), status=Status.SUSPENDED), K.ZERO_COVERAGE),
    ],
    ids=["moved away", "suspended"],
)
async def test_what_becomes_of_legacy_before_we_convert_it_is_told(
    world: OnePartner, change: Callable[[OnePartner], Any], kind: FindingKind
) -> None:
    await world.begin(legacy())
    await world.plan()
    change(world)
    await reconcile(world)

    assert only(world).kind is kind
    assert world.state() is S.PLANNED


async def test_a_school_is_nobodys_business(world: OnePartner) -> None:
    await world.begin(legacy(1, offer_id=SCHOOL))
    await world.plan()
    world.microsoft.change(legacy_id(1), status=Status.SUSPENDED)
    await reconcile(world)

    assert standing(world) == []


# What a run left behind


async def test_a_migration_that_nobody_looked_at_again_is_finished(world: OnePartner) -> None:
    await bought(world, legacy(1), add_on(2))
    world.clock.advance(hours=5)
    sent = writes(world)
    told = await reconcile(world)

    assert (world.state(1), world.state(2)) == (S.CONVERTED, S.CONVERTED)
    assert len(told.repaired) == 2
    assert standing(world) == []
    assert writes(world) == sent


async def test_a_covered_purchase_is_finished_past_the_gate(world: OnePartner) -> None:
    await bought(world, ALONE, add_on(2, offer_id=SIGN_IN))
    world.clock.advance(hours=3)
    await world.confirm()
    world.clock.advance(hours=25)
    told = await reconcile(world)

    assert [sent.about for sent in world.microsoft.sent_of("suspend")] == [legacy_id(1), legacy_id(2)]
    assert (world.state(1), world.state(2)) == (S.CONVERTED, S.CONVERTED)
    assert {f"{legacy_id(1)}", f"{legacy_id(2)}"} == {line.split()[1] for line in told.repaired}
    assert len(told.changes.opened) == len(told.changes.resolved) == 2
    assert standing(world) == []
    world.assert_rules()


async def test_a_purchase_of_a_moment_ago_is_left_to_its_own_run(world: OnePartner) -> None:
    await bought(world, ALONE)
    world.clock.advance(minutes=45)
    await world.confirm()
    sent = writes(world)
    told = await reconcile(world)

    assert (world.state(), told.repaired, writes(world)) == (S.COVERED, (), sent)
    assert standing(world) == []


async def test_what_does_not_cover_is_not_ended_but_told(world: OnePartner) -> None:
    await bought(world, ALONE)
    world.clock.advance(hours=3)
    await world.confirm()
    world.microsoft.change(legacy_id(1), seats=11)
    world.clock.advance(hours=25)
    await reconcile(world)

    assert world.microsoft.sent_of("suspend") == []
    found = only(world)
    assert (found.kind, found.gap) == (K.SEATS_SHORT, CoverageGap.DOUBLE)
    world.microsoft.change(nce_of(world), seats=11)
    world.clock.advance(hours=2)
    await reconcile(world)

    assert world.state() is S.CONVERTED
    assert standing(world) == []


async def test_a_lost_answer_is_looked_up_and_finished(world: OnePartner) -> None:
    await world.begin(legacy())
    await world.plan()
    world.microsoft.fail("create_migration", lost, after=True)
    world.microsoft.fail("migrations", server_fault, times=9)
    await world.buy()
    assert world.state() is S.UNKNOWN
    world.microsoft._scripts.clear()
    world.clock.advance(hours=4)
    told = await reconcile(world)

    assert world.state() is S.CONVERTED
    assert world.bought() == 1
    assert len(told.repaired) == 1
    assert len(told.changes.resolved) == 1


async def test_a_lost_answer_that_did_not_arrive_is_told_and_never_sent_again(world: OnePartner) -> None:
    await world.begin(legacy())
    await world.plan()
    world.microsoft.fail("create_migration", lost, times=9)
    await world.buy()
    sent = writes(world)
    world.clock.advance(hours=4)
    await reconcile(world)

    assert world.state() is S.UNKNOWN
    assert only(world).kind is K.OUTCOME_UNKNOWN
    assert writes(world) == sent


async def crashed_after_sending(world: OnePartner, holding: Any, operation: str) -> None:
    """The process dies while the answer is on its way."""
    await world.begin(holding)
    await world.plan()

    class Died(BaseException):
        pass

    real = getattr(world.microsoft, operation)

    async def dies(*args: Any, **kwargs: Any) -> Any:
        await real(*args, **kwargs)
        raise Died

    setattr(world.microsoft, operation, dies)
    with pytest.raises(Died):
        await world.buy()
    setattr(world.microsoft, operation, real)
    assert world.state() is S.SENT


async def test_a_migration_whose_sender_died_is_looked_up_and_finished(world: OnePartner) -> None:
    await crashed_after_sending(world, legacy(), "create_migration")
    world.clock.advance(hours=4)
    sent = writes(world)
    told = await reconcile(world)

    assert [state for state, _ in world.records.states[1]][-4:] == [
        S.UNKNOWN, S.ACCEPTED, S.COVERED, S.CONVERTED,
    ]  # fmt: skip
    assert (world.bought(), writes(world), len(told.repaired)) == (1, sent, 1)


async def test_a_checkout_whose_sender_died_is_told_and_left_to_buy_nce(world: OnePartner) -> None:
    await crashed_after_sending(world, ALONE, "check_out")
    world.clock.advance(hours=4)
    sent = writes(world)
    await reconcile(world)

    assert world.state() is S.UNKNOWN
    assert K.OUTCOME_UNKNOWN in {found.kind for found in standing(world)}
    assert writes(world) == sent
    await world.buy()
    await world.finish()
    await reconcile(world)
    assert (world.state(), world.bought(), standing(world)) == (S.CONVERTED, 1, [])


async def test_a_send_that_somebody_is_at_is_left_to_them(world: OnePartner) -> None:
    await crashed_after_sending(world, legacy(), "create_migration")
    world.clock.advance(hours=4)
    async with world.records.single_writer(CUSTOMER, legacy_id(1)):
        await reconcile(world)

    assert S.UNKNOWN not in {state for state, _ in world.records.states[1]}


async def test_what_was_answered_meanwhile_is_not_marked_unanswered(world: OnePartner) -> None:
    await crashed_after_sending(world, ALONE, "check_out")
    world.clock.advance(hours=4)
    real = world.records.open_command

    async def answered(*args: Any) -> Any:
        return None

    world.records.open_command = answered  # type: ignore[method-assign]
    await reconcile(world)
    world.records.open_command = real  # type: ignore[method-assign]

    assert world.state() is S.SENT


async def test_hands_off_past_its_time_is_told_with_the_gap(world: OnePartner) -> None:
    world.microsoft.endings[legacy_id(1)] = "never_settles"
    await bought(world, legacy())
    world.clock.advance(hours=3)
    await world.confirm()
    assert world.state() is S.HANDS_OFF
    await reconcile(world)
    assert standing(world) == []

    world.clock.advance(hours=73)
    await reconcile(world)
    assert world.state() is S.STRANDED
    assert {found.gap for found in standing(world)} == {CoverageGap.ZERO}


async def overdue(world: OnePartner) -> None:
    """Bought, covered, and legacy not ended for more than a day."""
    await bought(world, ALONE)
    world.clock.advance(hours=3)
    await world.confirm()
    world.clock.advance(hours=25)


async def test_a_suspension_that_fails_leaves_the_finding_standing(world: OnePartner) -> None:
    await overdue(world)
    world.microsoft.fail("suspend", server_fault)
    await reconcile(world)

    assert world.microsoft.faults_left == {}
    assert only(world).kind is K.LEGACY_STILL_BILLED
    assert world.legacy_status() is Status.ACTIVE
    world.clock.advance(hours=1)
    await reconcile(world)
    assert standing(world) == []


async def test_a_repair_that_cannot_look_leaves_the_finding_standing(world: OnePartner) -> None:
    await overdue(world)
    real, calls = world.microsoft.subscriptions_of, []

    async def fails_after_the_comparison(customer_id: str) -> Any:
        calls.append(customer_id)
        if len(calls) > 1:
            raise throttled()
        return await real(customer_id)

    world.microsoft.subscriptions_of = fails_after_the_comparison  # type: ignore[method-assign]
    told = await reconcile(world)

    assert (len(calls), told.unread) == (2, "")
    assert only(world).kind is K.LEGACY_STILL_BILLED
    assert world.microsoft.sent_of("suspend") == []


async def test_a_look_that_fails_stops_neither_the_repair_of_others_nor_the_comparison(
    world: OnePartner,
) -> None:
    await bought(world, ALONE, legacy(3))
    world.clock.advance(hours=100)
    world.microsoft.fail("migrations", server_fault)
    told = await reconcile(world)

    assert world.microsoft.faults_left == {}
    assert (world.state(1), world.state(3)) == (S.CONVERTED, S.ACCEPTED)
    assert [found.legacy_id for found in standing(world)] == [legacy_id(3)]
    assert len(told.repaired) == 1


async def test_who_loses_the_lock_while_repairing_does_not_stop_the_comparison(world: OnePartner) -> None:
    await overdue(world)
    world.records.single_writer = _raises(LockLost("the lock is gone"))  # type: ignore[assignment, method-assign]
    told = await reconcile(world)

    assert told.repaired == ()
    assert only(world).kind is K.LEGACY_STILL_BILLED


def _raises(error: Exception) -> Any:
    class Context:
        async def __aenter__(self) -> None:
            raise error

        async def __aexit__(self, *_: Any) -> None:
            return None

    return lambda *_: Context()


async def test_after_a_repair_only_its_customer_is_read_again(world: OnePartner) -> None:
    await bought(world, ALONE, legacy(2, customer_id=OTHER_CUSTOMER))
    world.clock.advance(hours=3)
    await world.confirm()
    await world.cancel()
    world.microsoft.change(legacy_id(2), status=Status.ACTIVE)
    number = world.conversion(1).conversion_id
    world.microsoft.change(legacy_id(1), status=Status.ACTIVE)
    world.records._conversions[number] = replace(world.conversion(1), state=S.COVERED)
    world.clock.advance(hours=2)
    await reconcile(world)

    assert world.state(1) is S.CONVERTED
    assert [(found.legacy_id, found.kind) for found in standing(world)] == [(legacy_id(2), K.DOUBLE_COVERAGE)]


# Unknown is neither fine nor a finding


async def two_customers(world: OnePartner) -> None:
    await world.convert(ALONE, legacy(2, customer_id=OTHER_CUSTOMER, offer_id=IDENTITY))
    for number in (1, 2):
        world.microsoft.change(legacy_id(number), status=Status.ACTIVE)


def unreadable_customer(world: OnePartner, fault: Fault) -> None:
    real = world.microsoft.subscriptions_of

    async def one_fails(customer_id: str) -> Any:
        if customer_id == CUSTOMER:
            raise fault
        return await real(customer_id)

    world.microsoft.subscriptions_of = one_fails  # type: ignore[method-assign]


@pytest.mark.parametrize(
    "fault",
    [throttled(), server_fault(), refusal("the customer has no reseller relationship with us"),
     Fault(FailureClass.PROVIDER_ACTS, "access was denied"), Fault(FailureClass.BROKEN)],
    ids=lambda fault: fault.failure_class.value,
)  # fmt: skip
async def test_a_customer_that_cannot_be_read_is_not_compared_and_the_others_are(
    world: OnePartner, fault: Fault
) -> None:
    await two_customers(world)
    unreadable_customer(world, fault)
    told = await reconcile(world)

    assert [found.customer_id for found in standing(world)] == [OTHER_CUSTOMER]
    assert (told.lines, told.compared, told.out_of_reach) == (2, 1, False)
    assert told.unread == f"Customer {CUSTOMER} was not compared: {fault.sentence}"


async def test_a_finding_stays_open_while_its_customer_cannot_be_read(world: OnePartner) -> None:
    await two_customers(world)
    await reconcile(world)
    before = standing(world)
    world.microsoft.change(legacy_id(1), status=Status.SUSPENDED)
    unreadable_customer(world, throttled())
    await reconcile(world)

    assert standing(world) == before


async def test_a_partner_of_whom_nothing_can_be_read_says_so(world: OnePartner) -> None:
    await two_customers(world)
    world.microsoft.fail("subscriptions_of", throttled, times=2)
    told = await reconcile(world)

    assert standing(world) == []
    assert (told.compared, told.out_of_reach) == (0, True)
    assert told.unread.endswith(" And 1 more.")


async def test_a_refusal_about_its_customers_is_no_outage(world: OnePartner) -> None:
    await two_customers(world)
    world.microsoft.fail("subscriptions_of", refusal, times=2)
    assert not (await reconcile(world)).out_of_reach


async def test_a_state_nobody_knows_is_told_as_not_compared(world: OnePartner) -> None:
    await world.convert(ALONE)
    world.microsoft.change(nce_of(world), status=Status.OTHER)
    told = await reconcile(world)

    assert standing(world) == []
    assert told.unread.startswith(f"Subscription {legacy_id(1)} was not compared: subscription")


async def test_what_cannot_be_read_beside_it_may_be_its_successor(world: OnePartner) -> None:
    await world.begin(legacy())
    await world.plan()
    world.microsoft.change(legacy_id(1), status=Status.SUSPENDED)
    world.microsoft.hold(nce(9, status=Status.OTHER))
    told = await reconcile(world)

    assert standing(world) == []
    assert "may be its successor" in told.unread


async def test_a_partner_without_anything_on_record_is_compared_without_asking(world: OnePartner) -> None:
    await world.begin()
    world.microsoft.asked.clear()
    told = await reconcile(world)

    assert (told.lines, told.unread, world.microsoft.asked) == (0, "", {})


async def test_what_another_campaign_converted_is_compared_there(world: OnePartner) -> None:
    await world.convert(ALONE)
    number = world.conversion().conversion_id
    world.records._conversions[number] = replace(world.conversion(), campaign="another")
    world.microsoft.change(legacy_id(1), status=Status.ACTIVE)
    told = await reconcile(world)

    assert (told.lines, standing(world)) == (0, [])


async def test_an_undo_that_begins_while_its_partner_is_read_is_no_double_coverage(world: OnePartner) -> None:
    await world.convert(ALONE, legacy(3, customer_id=OTHER_CUSTOMER))
    real = world.microsoft.subscriptions_of

    async def while_somebody_undoes(customer_id: str) -> Any:
        if customer_id == CUSTOMER:
            world.microsoft.subscriptions_of = real  # type: ignore[method-assign]
            line = world.conversion()
            await bring(world.records, line.conversion_id, S.UNDOING, at=world.clock.now_at)
            world.microsoft.change(legacy_id(1), status=Status.ACTIVE)
        return await real(customer_id)

    world.microsoft.subscriptions_of = while_somebody_undoes  # type: ignore[method-assign]
    told = await reconcile(world)

    assert standing(world) == []
    assert (told.lines, told.compared) == (2, 1)
    assert told.unread == f"Subscription {legacy_id(1)} was not compared: somebody is working on it."
