"""A campaign in waves, on the real ledger: the same ending as without them, wave after wave.

Real steps, ledger and rules, a Partner Center in memory; the clock is turned by hand. Each round is one beat
of the gates and one look of each run that is past its gate.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from typing import Any

from include.nce.domain.campaign import run_id
from include.nce.domain.conversion import ConversionState
from include.nce.domain.readiness import MpaState, MpaStatus, PartnerOfRecord, ResellerLink
from include.nce.domain.subscription import Customer, Subscription
from include.nce.ledger.ledger import PostgresLedger
from include.nce.steps.buy_nce import buy_nce
from include.nce.steps.cancel_legacy import cancel_legacy
from include.nce.steps.confirm_nce import confirm_nce
from include.nce.steps.honour_opt_out import honour_opt_out
from include.nce.steps.open_run import open_run
from include.nce.steps.plan_conversions import plan_conversions
from include.nce.steps.wait_for_wave import wait_for_wave
from tests.support.examples import BASIC, BASIC_NCE, CAMPAIGN, at, campaign, legacy, legacy_id, partner
from tests.support.fake_clock import FakeClock
from tests.support.fake_partner_center import FakePartnerCenter, refusal
from tests.support.scene import released

NAMES = [f"partner-{number}" for number in range(1, 8)]
PILOT = NAMES[2]
URGENT = NAMES[6]
"""Last in the roster, and with a subscription that ends on 15 July."""
POLICY = campaign(
    waves={"pilot": [PILOT], "then": [1, 2], "quiet_hours": 6},
    brake={"failed_at_least": 2, "failed_percent": 20},
)


def tenant(number: int) -> str:
    return f"66666666-0000-4000-8000-{number:012d}"


def customer(number: int) -> str:
    return f"77777777-0000-4000-8000-{number:012d}"


def holding(number: int) -> Subscription:
    ends_at = at("2022-07-15 08:00") if NAMES[number - 1] == URGENT else at("2022-07-24 08:00")
    return legacy(
        number, customer_id=customer(number), term_end_at=ends_at, partner_mpn_id=f"471{number:04d}"
    )


class Story:
    """Seven partners with one customer and one subscription each, at the cut-over."""

    def __init__(self, ledger: PostgresLedger) -> None:
        numbers = range(1, len(NAMES) + 1)
        mpn_ids = [f"471{number:04d}" for number in numbers]
        self.clock = FakeClock(at("2022-07-11 00:00"))
        self.ledger = ledger
        self.microsoft = FakePartnerCenter(
            self.clock,
            links=[
                ResellerLink(tenant(number), NAMES[number - 1], True, "active", mpn_ids[number - 1], "IT")
                for number in numbers
            ],
            mpa={tenant(number): MpaStatus(MpaState.SIGNED) for number in numbers},
            profiles=set(mpn_ids),
            of_record=dict.fromkeys(mpn_ids, PartnerOfRecord.VALID),
            customers={tenant(number): [Customer(customer(number), "Cantina")] for number in numbers},
            accepted={customer(number) for number in numbers},
            catalogue={BASIC: BASIC_NCE},
        )
        self.microsoft.hold(*(holding(number) for number in numbers))
        self.plans: dict[str, int] = {}
        self.order: list[str] = []
        """The partners in the order in which their gate opened."""

    @property
    def tools(self) -> dict[str, Any]:
        return {"partner_center": self.microsoft, "ledger": self.ledger, "clock": self.clock}

    async def begin(self) -> None:
        await self.ledger.import_campaign(POLICY, "anna", "in waves")
        partners = [
            partner(partner=name, name=name, tenant_id=tenant(number), mpn_id=f"471{number:04d}")
            for number, name in enumerate(NAMES, start=1)
        ]
        await self.ledger.enrol(CAMPAIGN, partners)
        for name in NAMES:
            await open_run(run_id(CAMPAIGN, name), CAMPAIGN, name, "apply", **self.tools)
            await honour_opt_out(run_id(CAMPAIGN, name), **self.tools)

    async def round(self) -> None:
        """What a beat of the gates and one look of every run do."""
        look = await wait_for_wave(POLICY, ledger=self.ledger, now_at=self.clock.now_at)
        for name in NAMES:
            run = run_id(CAMPAIGN, name)
            if name not in self.plans:
                if look.why_not(name):
                    continue
                self.order.append(name)
                self.plans[name] = (await plan_conversions(run, **self.tools)).plan_id
            await buy_nce(run, self.plans[name], 0, **self.tools, pause=self.clock.pause)
            await confirm_nce(run, self.plans[name], 0, **self.tools)
            await cancel_legacy(run, self.plans[name], 0, **self.tools)

    async def states(self) -> dict[str, ConversionState]:
        return {
            name: conversion.state
            for name in self.plans
            for conversion in await self.ledger.conversions(run_id(CAMPAIGN, name))
        }


def hours(story: Story, number: int, step: int = 2) -> Iterator[None]:
    for _ in range(0, number, step):
        yield
        story.clock.now_at += timedelta(hours=step)


async def test_waves_begin_in_their_order_and_all_is_converted_once(ledger_database: str) -> None:
    async with PostgresLedger.open(ledger_database) as ledger:
        story = Story(ledger)
        await story.begin()
        for _ in hours(story, 60):
            await story.round()
        board = await ledger.wave_board(CAMPAIGN)
        states = await story.states()

    assert story.order == [PILOT, URGENT, NAMES[0], NAMES[1], NAMES[3], NAMES[4], NAMES[5]]
    assert [wave.partners for wave in board.begun] == [
        (PILOT,), (NAMES[0],), (NAMES[1], NAMES[3]), (NAMES[4], NAMES[5]),
    ]  # fmt: skip
    begun_at = [wave.begun_at for wave in board.begun if wave.begun_at]
    assert all(later - earlier >= timedelta(hours=6) for earlier, later in pairwise(begun_at))
    assert set(states.values()) == {ConversionState.CONVERTED}
    assert all(len(self_made) == 1 for self_made in story.microsoft.bought.values())
    assert len(story.microsoft.bought) == len(NAMES)


async def test_a_campaign_that_fails_stops_after_the_second_and_goes_on_after_its_release(
    ledger_database: str,
) -> None:
    async with PostgresLedger.open(ledger_database) as ledger:
        story = Story(ledger)
        await story.begin()
        story.microsoft.fail("create_migration", refusal, times=2)
        for _ in hours(story, 60):
            await story.round()
        record = await ledger.brake_record(CAMPAIGN)

        # The pilot and the urgent one failed; nobody else was tried, and no further wave began.
        assert record.stopped
        assert record.by == "its brake"
        assert (
            f"2 of 2 conversions failed (100 %; it stops at 20 % and 2), at {PILOT}, {URGENT}"
            in record.reason
        )
        assert story.microsoft.faults_left == {}
        assert story.order == [PILOT, URGENT]
        assert story.microsoft.sent_of("create_migration") == []

        await released(ledger, CAMPAIGN, by="anna", reason="corrected", at=story.clock.now_at)
        for _ in hours(story, 60):
            await story.round()
        states = await story.states()

    assert set(states) == set(NAMES)
    assert set(states.values()) == {ConversionState.CONVERTED}
    assert all(len(made) == 1 for made in story.microsoft.bought.values())
    assert legacy_id(1) in story.microsoft.bought
