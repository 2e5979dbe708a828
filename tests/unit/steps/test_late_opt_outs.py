"""An opt-out that comes after the purchase opens an undo case, wherever somebody looks, and only once."""

from __future__ import annotations

from datetime import datetime, timedelta

from include.nce.domain.conversion import ConversionState
from include.nce.domain.outcome import RunOutcome
from include.nce.domain.undo import CaseState, UndoCause
from include.nce.steps.close_run import close_run
from include.nce.steps.honour_opt_out import honour_opt_out
from include.nce.steps.late_opt_outs import LateOptOuts, look_for_late_opt_outs
from tests.support.examples import CAMPAIGN, CUSTOMER, OTHER_CUSTOMER, add_on, at, legacy, legacy_id, partner
from tests.support.one_partner import RUN, OnePartner
from tests.support.scene import bring
from tests.support.undoing import undo

LATE = at("2022-07-11 03:00")


async def look(world: OnePartner, now_at: datetime | None = None) -> LateOptOuts:
    return await look_for_late_opt_outs(
        CAMPAIGN, partner(), by="anna", ledger=world.records, now_at=now_at or world.clock.now_at
    )


async def converted(world: OnePartner) -> None:
    await world.convert(legacy(1), add_on(2), legacy(3, customer_id=OTHER_CUSTOMER))


async def test_after_the_purchase_each_bundle_gets_a_case_with_its_window(world: OnePartner) -> None:
    await converted(world)
    await world.opt_out(LATE)
    late = await look(world)

    assert [(case.base_id, case.cause, case.state) for case in late.opened] == [
        (legacy_id(1), UndoCause.OPT_OUT, CaseState.OPEN),
        (legacy_id(3), UndoCause.OPT_OUT, CaseState.OPEN),
    ]
    windows = [world.microsoft.held[made[0]].cancellable_until_at for made in world.microsoft.bought.values()]
    assert {case.until_at for case in late.opened} == set(windows)


async def test_one_customers_word_is_about_that_customer(world: OnePartner) -> None:
    await converted(world)
    await world.opt_out(LATE, OTHER_CUSTOMER)

    assert [case.customer_id for case in (await look(world)).opened] == [OTHER_CUSTOMER]


async def test_looking_twice_opens_nothing_twice(world: OnePartner) -> None:
    await converted(world)
    await world.opt_out(LATE)
    await look(world)
    again = await look(world)

    assert (again.opened, len(again.open), len(world.records.cases)) == ((), 2, 2)


async def test_before_the_purchase_nothing_is_opened_and_the_plan_holds_it(world: OnePartner) -> None:
    await world.begin(legacy())
    await world.opt_out(at("2022-07-05 09:00"))
    planned = await world.plan()

    assert (await look(world)).opened == ()
    assert planned.classes == {"held": 1}


async def test_what_is_bought_and_not_finished_gets_a_case_too(world: OnePartner) -> None:
    await world.begin(legacy())
    await world.plan()
    await world.buy()
    await world.opt_out(LATE)
    [case] = (await look(world)).opened

    assert (case.state, case.until_at) == (CaseState.OPEN, None)


async def test_an_opt_out_in_time_that_was_typed_in_after_the_purchase_opens_one(world: OnePartner) -> None:
    await converted(world)
    await world.opt_out(at("2022-06-29 09:00"), CUSTOMER)
    [case] = (await look(world)).opened

    assert "in time, and was recorded only after the purchase" in case.reason


async def test_after_the_window_it_is_a_persons_decision(world: OnePartner) -> None:
    await converted(world)
    world.clock.advance(hours=169)
    await world.opt_out(LATE)

    assert {case.state for case in (await look(world)).opened} == {CaseState.TOO_LATE}


async def test_an_open_case_whose_window_closes_says_so(world: OnePartner) -> None:
    await converted(world)
    await world.opt_out(LATE)
    await look(world)
    later = await look(world, world.clock.now_at + timedelta(hours=169))

    assert {case.state for case in later.open} == {CaseState.TOO_LATE}
    assert "Too late to undo" in later.open[0].sentence


async def test_a_withdrawn_opt_out_closes_its_cases(world: OnePartner) -> None:
    await converted(world)
    await world.opt_out(LATE)
    await look(world)
    await world.records.withdraw_opt_out(
        CAMPAIGN, "rossi-informatica", withdrawn_at=world.clock.now_at, withdrawn_by="anna"
    )
    late = await look(world)

    assert (len(late.closed), late.open) == (2, ())
    assert (await look(world)).closed == ()


async def test_what_a_person_closed_the_same_opt_out_does_not_open_again(world: OnePartner) -> None:
    await converted(world)
    await world.opt_out(LATE, OTHER_CUSTOMER)
    [case] = (await look(world)).opened
    await world.records.move_undo_case(
        case.case_id, CaseState.CLOSED, "dora decided that NCE stays", by="dora", at=world.clock.now_at
    )

    assert ((await look(world)).opened, (await look(world)).open) == ((), ())


async def test_what_is_undone_calls_for_nothing_more(world: OnePartner) -> None:
    await converted(world)
    await world.opt_out(LATE)
    await look(world)
    await undo(world)

    assert ((await look(world)).opened, (await look(world)).open) == ((), ())


async def test_a_run_that_honours_opt_outs_finds_what_an_earlier_run_bought(world: OnePartner) -> None:
    await converted(world)
    await world.opt_out(LATE)
    await honour_opt_out(RUN, partner_center=world.microsoft, ledger=world.records, clock=world.clock)

    assert {case.opened_by for case in world.records.cases.values()} == {RUN}


async def test_a_run_that_closes_finds_what_came_in_while_it_bought(world: OnePartner) -> None:
    await converted(world)
    await world.opt_out(LATE, OTHER_CUSTOMER)
    world.clock.advance(hours=2)
    closed = await close_run(RUN, [], ledger=world.records, clock=world.clock)

    assert closed.outcome is RunOutcome.PARTLY_HELD
    assert "Undo case 1 is open, 166 hours left" in closed.sentence


async def test_a_customer_that_pays_twice_turns_the_run_red(world: OnePartner) -> None:
    await converted(world)
    await world.opt_out(LATE, OTHER_CUSTOMER)
    [case] = (await look(world)).opened
    await world.records.move_undo_case(
        case.case_id, CaseState.DOUBLE_COVERED, "COVERED TWICE", by="carla", at=world.clock.now_at
    )
    closed = await close_run(RUN, [], ledger=world.records, clock=world.clock)

    assert closed.outcome is RunOutcome.UNRESOLVED
    assert "COVERED TWICE" in closed.sentence


async def test_a_purchase_that_failed_after_all_closes_its_case(world: OnePartner) -> None:
    await world.begin(legacy())
    await world.plan()
    await world.buy()
    await world.opt_out(LATE)
    await look(world)
    line = world.conversion()
    await bring(world.records, line.conversion_id, ConversionState.FAILED, at=world.clock.now_at)
    late = await look(world)

    assert late.open == ()
    assert [(case.state, case.sentence) for case in late.closed] == [
        (CaseState.CLOSED, "Nothing of ours is bought there after all: there is nothing to undo.")
    ]
    assert (await look(world)).closed == ()
