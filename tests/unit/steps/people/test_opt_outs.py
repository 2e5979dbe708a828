"""An opt-out is recorded and taken back in one way, whoever types it in and wherever."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pytest

from include.nce.domain.author import Author
from include.nce.domain.errors import InputRefused
from include.nce.domain.opt_out import OptOut, OptOutVerdict
from include.nce.domain.undo import CaseState
from include.nce.steps.people.record_opt_out import NewOptOut, OptOutsRecorded, record_opt_outs
from include.nce.steps.people.withdraw_opt_out import (
    TakenBack,
    Withdrawn,
    preview_withdrawal,
    withdraw_opt_out,
)
from tests.support.examples import CAMPAIGN, CUSTOMER, OTHER_CUSTOMER, at, legacy, legacy_id
from tests.support.one_partner import OnePartner

ROSSI, ANNA = "rossi-informatica", Author("anna")
IN_TIME, LATE = at("2022-06-20 09:00"), at("2022-07-10 09:00")
FIRST, BACK, SECOND = at("2022-06-01 09:00"), at("2022-06-10 09:00"), at("2022-06-15 09:00")


async def record(world: OnePartner, *received: datetime, customer: str | None = None) -> OptOutsRecorded:
    forms = [NewOptOut(ROSSI, each, customer, "form") for each in received]
    return await record_opt_outs(CAMPAIGN, forms, by=ANNA, ledger=world.records, clock=world.clock)


async def withdraw(
    world: OnePartner, moment: datetime | None = None, customer: str | None = None
) -> Withdrawn:
    taken = TakenBack(ROSSI, customer, moment)
    return await withdraw_opt_out(CAMPAIGN, taken, by=ANNA, ledger=world.records, clock=world.clock)


async def on_record(world: OnePartner) -> Sequence[OptOut]:
    return await world.records.opt_outs(CAMPAIGN, ROSSI)


async def test_each_form_goes_on_record_under_its_author_and_is_judged(world: OnePartner) -> None:
    await world.begin(legacy())
    done = await record(world, IN_TIME, LATE)

    assert (done.new, [judged.in_time for judged in done.forms]) == (2, [True, False])
    assert {form.recorded_by for form in await on_record(world)} == {"anna"}
    assert (await record(world, IN_TIME)).new == 0


async def test_what_is_bought_already_gets_its_undo_case_at_once(world: OnePartner) -> None:
    await world.convert(legacy())
    [case] = (await record(world, LATE)).cases

    assert (case.base_id, case.state, case.opened_by) == (legacy_id(1), CaseState.OPEN, "anna")
    assert (await record(world, LATE)).cases == (case,)


async def test_before_a_purchase_there_is_no_case(world: OnePartner) -> None:
    await world.begin(legacy())
    assert (await record(world, LATE)).cases == ()


async def test_a_partner_that_is_not_enrolled_is_refused(world: OnePartner) -> None:
    await world.begin(legacy())
    with pytest.raises(InputRefused, match="not in the roster"):
        await record_opt_outs(
            CAMPAIGN, [NewOptOut("rosso", IN_TIME)], by=ANNA, ledger=world.records, clock=world.clock
        )


async def test_a_withdrawal_ends_what_was_received_until_then_and_leaves_the_later_word(
    world: OnePartner,
) -> None:
    await world.begin(legacy())
    await record(world, FIRST, SECOND)
    done = await withdraw(world, BACK)

    assert [form.received_at for form in done.ended] == [FIRST]
    assert [form.received_at for form in done.left] == [SECOND]
    assert done.standing.partner is OptOutVerdict.IN_TIME
    assert {form.received_at: form.stands() for form in await on_record(world)} == {
        FIRST: False, SECOND: True
    }  # fmt: skip


async def test_the_moment_of_the_form_itself_is_not_later(world: OnePartner) -> None:
    await world.begin(legacy())
    await record(world, FIRST)
    assert len((await withdraw(world, FIRST)).ended) == 1


async def test_a_preview_says_the_same_and_records_nothing(world: OnePartner) -> None:
    await world.begin(legacy())
    await record(world, FIRST, SECOND)
    taken = TakenBack(ROSSI, None, BACK)
    shown = await preview_withdrawal(CAMPAIGN, taken, ledger=world.records, clock=world.clock)

    assert all(form.stands() for form in await on_record(world))
    assert shown == await withdraw(world, BACK)


async def test_a_withdrawal_before_the_only_word_is_refused(world: OnePartner) -> None:
    await world.begin(legacy())
    await record(world, SECOND)
    with pytest.raises(InputRefused, match="received on 2022-06-15 09:00 UTC is the later word"):
        await withdraw(world, BACK)
    assert all(form.stands() for form in await on_record(world))


async def test_what_never_came_in_is_not_withdrawn(world: OnePartner) -> None:
    await world.begin(legacy())
    await record(world, FIRST)
    with pytest.raises(InputRefused, match=f"customer {CUSTOMER} is on record: there is none"):
        await withdraw(world, customer=CUSTOMER)


async def test_a_withdrawal_in_the_future_is_refused(world: OnePartner) -> None:
    await world.begin(legacy())
    await record(world, FIRST)
    with pytest.raises(InputRefused, match="lies in the future"):
        await withdraw(world, at("2022-07-11 00:01"))


async def test_the_same_withdrawal_again_changes_nothing(world: OnePartner) -> None:
    await world.begin(legacy())
    await record(world, FIRST)
    await withdraw(world)
    again = await withdraw(world)
    assert (again.ended, again.left, again.standing.partner) == ((), (), OptOutVerdict.NONE)


async def test_one_customers_word_is_taken_back_alone(world: OnePartner) -> None:
    await world.begin(legacy())
    await record(world, FIRST, customer=CUSTOMER)
    await record(world, FIRST, customer=OTHER_CUSTOMER)
    done = await withdraw(world, customer=CUSTOMER)
    assert done.standing.customers_in_time == {OTHER_CUSTOMER}


async def test_a_withdrawal_closes_the_cases_that_nothing_calls_for_any_more(world: OnePartner) -> None:
    await world.convert(legacy())
    await record(world, LATE)
    [closed] = (await withdraw(world)).closed
    assert (closed.base_id, closed.state) == (legacy_id(1), CaseState.CLOSED)


async def test_a_later_word_keeps_its_case_open(world: OnePartner) -> None:
    await world.convert(legacy())
    await record(world, FIRST, LATE)
    done = await withdraw(world, BACK)
    assert done.closed == ()
    assert [case.state for case in await world.records.undo_cases(CAMPAIGN, ROSSI)] == [CaseState.OPEN]
