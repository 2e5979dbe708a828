"""Thousands of waits share one read: what a beat asks, whom it wakes, and what it sees of a moved date."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from typing import Any

import pytest

from include.nce.domain.campaign import Campaign
from include.nce.domain.partner import Partner
from include.nce.domain.run import Run
from include.nce.ledger.runs import WatchFacts
from include.nce.orchestration import pulse as module
from include.nce.orchestration.composition import Product
from include.nce.orchestration.pulse import Beat, Pulse
from tests.support.examples import CAMPAIGN, at, campaign, partner
from tests.support.fake_clock import FakeClock

START = datetime(2022, 6, 20, tzinfo=timezone.utc)


class Records:
    """The part of the ledger that waits read, counting how often."""

    def __init__(self) -> None:
        self.document: Campaign = campaign()
        self.version = 1
        self.watched: list[int] = []
        self.documents_read = 0
        self.opted_out: set[str] = set()
        self.opt_out_received_at: datetime | None = None
        self.out_of_reach = False

    async def latest_version(self, name: str) -> int:
        if self.out_of_reach:
            raise OSError("connection refused")
        return self.version

    async def campaign(self, name: str) -> Campaign:
        self.documents_read += 1
        return self.document

    async def watch(self, name: str, run_ids: list[str]) -> dict[str, WatchFacts]:
        self.watched.append(len(run_ids))
        return {run_id: WatchFacts(run_id in self.opted_out, self.opt_out_received_at) for run_id in run_ids}


@pytest.fixture
def records() -> Records:
    return Records()


@pytest.fixture
async def heart(records: Records, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pulse]:
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.01)
    shared = Pulse(Product(None, records, FakeClock(START), None))  # type: ignore[arg-type]
    beating = asyncio.create_task(shared.keep_beating())
    yield shared
    beating.cancel()


def run_of(number: int) -> Run:
    who: Partner = partner()
    return Run(f"{CAMPAIGN}__p{number}", CAMPAIGN, who, "apply", START)


async def first_beat(shared: Pulse, number: int) -> Any:
    return await shared.beats(run_of(number)).__anext__()


async def test_a_thousand_waits_share_one_query_a_beat_and_one_campaign_read(
    heart: Pulse, records: Records
) -> None:
    beats = await asyncio.wait_for(asyncio.gather(*(first_beat(heart, number) for number in range(1000))), 20)
    assert len(beats) == 1000
    assert records.documents_read == 1
    assert max(records.watched) == 1000
    assert len(records.watched) < 50


async def test_a_moved_date_wakes_a_wait_that_is_already_waiting(heart: Pulse, records: Records) -> None:
    seen = []
    async for beat in heart.beats(run_of(1)):
        seen.append(beat.campaign.cut_over_at())
        if len(seen) == 1:
            records.document = records.document.with_moment(
                "cut_over", datetime(2022, 7, 21, tzinfo=timezone.utc), source="Microsoft"
            )
            records.version = 2
        if seen[-1] != seen[0]:
            break
    assert seen[-1] == datetime(2022, 7, 21, tzinfo=timezone.utc)


async def test_a_decided_opt_out_reaches_only_its_own_run(heart: Pulse, records: Records) -> None:
    records.opted_out.add(run_of(2).run_id)
    one, two = await asyncio.gather(first_beat(heart, 1), first_beat(heart, 2))
    assert (one.opted_out, two.opted_out) == (False, True)


IN_TIME, TOO_LATE = "2022-06-30 21:59", "2022-06-30 22:00"  # midnight in Rome is 22:00 UTC


@pytest.mark.parametrize(
    ("now_at", "ruled", "received_at", "opted_out"),
    [
        (IN_TIME, False, IN_TIME, False),
        (TOO_LATE, False, IN_TIME, True),
        ("2022-07-20 00:00", False, IN_TIME, True),
        ("2022-07-20 00:00", False, TOO_LATE, False),
        ("2022-07-20 00:00", False, None, False),
        ("2022-07-20 00:00", True, None, True),
    ],
)
def test_a_partner_has_opted_out_once_the_deadline_is_over_also_before_its_run_has_ruled_on_it(
    now_at: str, ruled: bool, received_at: str | None, opted_out: bool
) -> None:
    beat = Beat(at(now_at), campaign(), ruled, at(received_at) if received_at else None)
    assert beat.has_opted_out(partner(zone="Europe/Rome")) is opted_out


async def test_waits_go_on_when_the_ledger_was_out_of_reach(heart: Pulse, records: Records) -> None:
    records.out_of_reach = True
    waiting = asyncio.create_task(first_beat(heart, 1))
    while not records.watched and not waiting.done():
        await asyncio.sleep(0.01)
        records.out_of_reach = False
    assert (await asyncio.wait_for(waiting, 5)).now_at == START


async def test_a_wait_that_ended_is_not_asked_about_any_more(heart: Pulse, records: Records) -> None:
    await first_beat(heart, 1)
    await first_beat(heart, 2)
    async for _ in heart.beats(run_of(3)):
        if records.watched[-1] == 1:
            break
    assert records.watched[-1] == 1


async def test_the_pulse_is_opened_by_its_first_user_and_closed_by_its_last(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    @asynccontextmanager
    async def product(*, pool_size: int) -> AsyncIterator[Product]:
        told.append("opened")
        yield Product(None, records, FakeClock(START), None)  # type: ignore[arg-type]
        told.append("closed")

    monkeypatch.setattr(module, "product", product)
    async with module.pulse() as one, module.pulse() as two:
        assert one is two
    assert told == ["opened", "closed"]
