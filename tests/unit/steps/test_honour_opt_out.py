"""The opt-out is decided once the deadline has passed, by the campaign's latest dates."""

from __future__ import annotations

from datetime import date

from include.nce.domain.opt_out import OptOutVerdict
from include.nce.steps.honour_opt_out import honour_opt_out
from tests.support.examples import CAMPAIGN, CUSTOMER, OTHER_CUSTOMER, SCHOOL, at, legacy, partner
from tests.support.one_partner import RUN, OnePartner

IN_TIME, LATE, NONE = OptOutVerdict.IN_TIME, OptOutVerdict.LATE, OptOutVerdict.NONE


async def decided(world: OnePartner) -> OptOutVerdict:
    world.microsoft.asked.clear()
    ruling = await honour_opt_out(
        RUN, partner_center=world.microsoft, ledger=world.records, clock=world.clock
    )
    assert await world.records.opt_out_ruling(RUN) == ruling
    return ruling.partner


async def test_nothing_on_record_lets_the_run_go_on(world: OnePartner) -> None:
    await world.begin(legacy())

    assert await decided(world) is NONE
    assert world.microsoft.asked == {}


async def test_an_opt_out_in_time_puts_everything_on_the_at_risk_list(world: OnePartner) -> None:
    await world.begin(legacy(1), legacy(2, offer_id=SCHOOL))
    await world.opt_out(at("2022-06-30 21:59"))

    assert await decided(world) is IN_TIME
    classes = await world.records.effective_classes(RUN)
    assert sorted(klass.value for klass in classes.values()) == ["exempt", "opted_out"]
    assert world.records._conversions == {}
    assert world.microsoft.sent == []


async def test_a_late_opt_out_makes_no_plan(world: OnePartner) -> None:
    await world.begin(legacy())
    await world.opt_out(at("2022-06-30 22:00"))

    assert await decided(world) is LATE
    assert await world.records.effective_classes(RUN) == {}


async def test_a_customers_opt_out_is_not_the_partners(world: OnePartner) -> None:
    await world.begin(legacy())
    await world.opt_out(at("2022-06-01 00:00"), CUSTOMER)

    assert await decided(world) is NONE
    ruling = await world.records.opt_out_ruling(RUN)
    assert ruling is not None
    assert ruling.for_customer(CUSTOMER) is IN_TIME
    assert ruling.for_customer(OTHER_CUSTOMER) is NONE


async def test_a_withdrawn_opt_out_no_longer_speaks(world: OnePartner) -> None:
    await world.begin(legacy())
    await world.opt_out(at("2022-06-01 00:00"))
    await world.records.withdraw_opt_out(
        CAMPAIGN, "rossi-informatica", withdrawn_at=at("2022-06-02 00:00"), withdrawn_by="anna"
    )

    assert await decided(world) is NONE


async def test_the_deadline_is_that_of_the_partners_own_zone(world: OnePartner) -> None:
    await world.begin(legacy())
    await world.opt_out(at("2022-06-30 22:30"))
    assert await decided(world) is LATE
    await world.records.enrol(CAMPAIGN, [partner(zone="Atlantic/Canary")])

    assert await decided(world) is IN_TIME


async def test_a_moved_deadline_counts(world: OnePartner) -> None:
    await world.begin(legacy())
    await world.opt_out(at("2022-07-02 00:00"))
    assert await decided(world) is LATE
    await world.records.move_moment(
        CAMPAIGN, "opt_out_deadline", date(2022, 7, 5), "anna", "Microsoft moved it"
    )

    assert await decided(world) is IN_TIME
