"""One page of partners: one partner's fault never stops the others, an outage stops the page."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from include.nce.orchestration.composition import Product
from include.nce.orchestration.params import ReconcileConf
from include.nce.orchestration.reconcile_operators import (
    UNREACHABLE_IN_A_ROW,
    OutOfReach,
    ReconcilePartners,
)
from include.nce.steps.list_partners import list_partners
from tests.support.examples import CAMPAIGN, at, campaign, legacy, legacy_id, partner
from tests.support.fake_clock import FakeClock
from tests.support.fake_ledger import FakeLedger
from tests.support.fake_partner_center import FakePartnerCenter, throttled

RUN = f"{CAMPAIGN}__reconcile__1"


class Task(ReconcilePartners):
    """Speaks to a logger that tests can hear."""

    log = logging.getLogger("task")


class World:
    """Some partners with one legacy subscription each, and the task that compares them."""

    def __init__(self) -> None:
        self.clock = FakeClock(at("2022-07-15 12:00"))
        self.ledger = FakeLedger()
        self.microsoft = FakePartnerCenter(self.clock)
        self.task = Task(task_id="reconcile_partners", page={})

    async def with_partners(self, count: int) -> World:
        await self.ledger.import_campaign(campaign(), "anna", "founding")
        await self.ledger.enrol(CAMPAIGN, [partner(partner=f"p{n:03}") for n in range(count)])
        for number in range(count):
            name, held = f"p{number:03}", legacy(number, customer_id=f"customer-{number}")
            await self.ledger.open_run(name, CAMPAIGN, name, "apply", at=self.clock.now_at)
            await self.ledger.record_survey(name, [held], [], at=self.clock.now_at)
            self.microsoft.hold(held)
        return self

    async def compare(self) -> list[str]:
        (page,) = await list_partners(CAMPAIGN, (), ledger=self.ledger, clock=self.clock)
        world: Any = Product(self.microsoft, self.ledger, self.clock, None)  # type: ignore[arg-type]
        return await self.task.compare(page, RUN, ReconcileConf(campaign=CAMPAIGN), world)

    def fails_for(self, numbers: set[int], error: Exception) -> None:
        real = self.microsoft.subscriptions_of

        async def some_fail(customer_id: str) -> Any:
            if int(customer_id.removeprefix("customer-")) in numbers:
                raise error
            return await real(customer_id)

        self.microsoft.subscriptions_of = some_fail  # type: ignore[method-assign]

    def compared(self) -> list[int]:
        return [note.compared for note in self.ledger.comparisons.values()]


@pytest.fixture
def world() -> World:
    return World()


async def test_every_partner_of_the_page_is_compared(world: World) -> None:
    await world.with_partners(30)
    assert await world.compare() == []
    assert world.compared() == [1] * 30


async def test_progress_is_said_in_the_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await world.with_partners(30)
    await world.compare()
    said = [record.getMessage() for record in caplog.records]
    assert "25 of 30 partners." in said
    assert f"{CAMPAIGN}: all 30 partners of this page looked at." in said


async def test_a_partner_that_breaks_the_comparison_is_told_and_the_others_go_on(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.with_partners(4)
    world.fails_for({1}, KeyError("tomorrow's field"))
    assert await world.compare() == ["p001"]
    assert world.compared() == [1, 0, 1, 1]
    assert "broke the comparison" in world.ledger.comparisons[CAMPAIGN, "p001"].unread
    assert "p001 broke the comparison; the others go on." in caplog.text


async def test_an_outage_of_the_ledger_ends_the_page_so_that_airflow_tries_again(world: World) -> None:
    await world.with_partners(3)
    outage = OperationalError("SELECT 1", {}, Exception("server closed the connection"))
    world.fails_for({1}, outage)
    with pytest.raises(OperationalError):
        await world.compare()
    assert world.compared() == [1]


async def test_partner_center_out_of_reach_ends_the_page(world: World) -> None:
    await world.with_partners(12)
    world.fails_for(set(range(3, 12)), throttled())
    with pytest.raises(OutOfReach, match=r"5 partners in a row, up to p007; .* HTTP 429"):
        await world.compare()
    assert world.compared() == [1, 1, 1, *[0] * UNREACHABLE_IN_A_ROW]


async def test_single_partners_that_cannot_be_read_do_not_end_the_page(world: World) -> None:
    await world.with_partners(12)
    world.fails_for({0, 1, 2, 3, 5, 6, 7, 8, 10, 11}, throttled())
    assert await world.compare() == []
    assert len(world.compared()) == 12


async def test_findings_and_what_became_of_them_are_said_in_the_log(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await world.with_partners(1)
    held = world.microsoft.held.pop(legacy_id(0))
    for listed in (False, True, False, True):
        world.microsoft.held.clear()
        if listed:
            world.microsoft.hold(held)
        await world.compare()
    said = [
        record.getMessage().split(":")[0]
        for record in caplog.records
        if ": Subscription" in record.getMessage()
    ]
    assert said == ["p000, new", "p000, gone", "p000, is back", "p000, gone"]
