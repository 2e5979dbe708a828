"""Waves, stops and releases: what the steps rely on, asked of the real ledger and of the fake alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from include.nce.domain.brake import Attempts, CoverageSignals
from include.nce.domain.conversion import ConversionState
from include.nce.domain.decision import DecisionKind
from include.nce.domain.errors import InputRefused
from include.nce.domain.opt_out import OptOut, rule_on
from include.nce.domain.subscription import Status, SubscriptionKind
from include.nce.domain.waves import Progress, Wave
from include.nce.ledger.ledger import PostgresLedger
from tests.integration.ledger.conftest import set_scene
from tests.integration.ledger.scene import (
    AT,
    CAMPAIGN,
    LATER,
    OFFER,
    RUN,
    due,
    guid,
    partner,
    subscription,
)
from tests.support.fake_ledger import FakeLedger
from tests.support.scene import bring, released

S = ConversionState


@pytest.fixture(params=["fake", "postgres"])
async def ledger(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    if request.param == "postgres":
        # Opened here and not by `getfixturevalue`, which cannot run an asynchronous fixture from within one.
        async with PostgresLedger.open(request.getfixturevalue("ledger_database")) as real:
            await set_scene(real)
            yield real
    else:
        fake = FakeLedger()
        await set_scene(fake)
        yield fake


def after(hours: float) -> datetime:
    return AT + timedelta(hours=hours)


async def conversions(ledger: Any, *states: tuple[ConversionState, float], run_id: str = RUN) -> list[int]:
    """One conversion in each state, since so many hours after `AT`; their ids."""
    names = [f"{run_id} {number}" for number in range(len(states))]
    verdicts = [due(name) for name in names]
    await ledger.record_verdicts(run_id, verdicts, [[guid(name) for name in names]], at=AT)
    numbers = {c.legacy_id: c.conversion_id for c in await ledger.conversions(run_id)}
    for name, (state, hours) in zip(names, states, strict=True):
        await bring(ledger, numbers[guid(name)], state, "so", at=after(hours))
    return [numbers[guid(name)] for name in names]


async def stop(ledger: Any, **changes: Any) -> Any:
    return await ledger.stop_campaign(CAMPAIGN, **{"by": "anna", "reason": "fire", "at": AT, **changes})


async def test_a_campaign_without_a_word_buys(ledger):
    record = await ledger.brake_record(CAMPAIGN)
    assert (record.event_id, record.stopped, record.sentence, record.released) == (0, False, "", None)


async def test_the_latest_word_counts(ledger):
    stopped = await stop(ledger)
    record = await released(ledger, CAMPAIGN, by="bruno", reason="out", at=LATER)
    again = await stop(ledger, reason="again", at=LATER)
    assert [r.stopped for r in (stopped, record, again)] == [True, False, True]
    assert (record.by, record.reason, record.at, record.released) == ("bruno", "out", LATER, again.released)
    assert again.reason == "again"
    assert again.released is not None
    assert again.released.at == LATER
    assert await ledger.brake_record(CAMPAIGN) == again


async def test_a_stop_says_by_whom_why_and_what_ends_it(ledger):
    record = await stop(ledger)
    assert record.sentence == (
        "The campaign was stopped by anna on 2022-06-01 08:00 UTC: fire. Nothing new is bought; what is "
        "bought is finished. Who acts: operator. Look at `nce campaign waves`, remove the cause, then `nce "
        "campaign release --reason`."
    )


async def test_a_stopped_campaign_keeps_its_first_reason(ledger):
    await stop(ledger)
    assert (await stop(ledger, by="its brake", reason="figures")).by == "anna"


async def test_figures_that_were_read_before_a_release_stop_nothing(ledger):
    read = (await stop(ledger)).event_id
    await released(ledger, CAMPAIGN, by="bruno", reason="out", at=LATER)
    assert not (await stop(ledger, unless_after=read)).stopped
    assert (await stop(ledger, unless_after=(await ledger.brake_record(CAMPAIGN)).event_id)).stopped


async def test_what_is_not_stopped_cannot_be_released(ledger):
    with pytest.raises(InputRefused, match="nothing to release"):
        await released(ledger, CAMPAIGN, by="bruno", reason="out", at=LATER)


async def test_one_campaigns_stop_is_not_anothers(ledger):
    await stop(ledger)
    assert not (await ledger.brake_record("another")).stopped


async def test_only_what_was_sent_counts_as_tried(ledger):
    await conversions(
        ledger, (S.CONVERTED, 1), (S.ACCEPTED, 1), (S.FAILED, 1), (S.REFUSED, 1), (S.STRANDED, 1),
        (S.UNKNOWN, 1), (S.HELD, 1), (S.WAITING, 1), (S.BY_OTHERS, 1), (S.PLANNED, 0),
    )  # fmt: skip
    assert await tried(ledger, now=2) == Attempts(6, 3, ("rossi",))


async def tried(ledger: Any, *, now: float) -> Attempts:
    """Since the latest release."""
    since = (await ledger.brake_record(CAMPAIGN)).released
    found: Attempts = await ledger.attempts(CAMPAIGN, since=since, unknown_hours=6, now_at=after(now))
    return found


async def stopped_and_released(ledger: Any, hours: float) -> None:
    await stop(ledger, at=after(hours))
    await released(ledger, CAMPAIGN, by="bruno", reason="out", at=after(hours))


async def test_an_unknown_outcome_fails_when_its_time_is_over(ledger):
    await conversions(ledger, (S.UNKNOWN, 1))
    assert [(await tried(ledger, now=hours)).failed for hours in (6.9, 7)] == [0, 1]


async def test_only_what_happened_after_the_release_is_counted(ledger):
    await conversions(ledger, (S.FAILED, 1), (S.CONVERTED, 2))
    await stopped_and_released(ledger, 3)
    assert await tried(ledger, now=9) == Attempts(0, 0, ())
    await ledger.open_run("verdis", CAMPAIGN, "verdi", "apply", at=AT)
    await conversions(ledger, (S.FAILED, 4), (S.CONVERTED, 5), run_id="verdis")
    assert await tried(ledger, now=9) == Attempts(2, 1, ("verdi",))
    await stopped_and_released(ledger, 5)
    assert await tried(ledger, now=9) == Attempts(0, 0, ())


@pytest.mark.parametrize("skew", [-1, 1])
async def test_clocks_that_differ_by_an_hour_hide_no_failure_and_bring_none_back(ledger, skew):
    """What came first is what the database had first: one machine is an hour ahead, or behind."""
    await conversions(ledger, (S.FAILED, 2 - skew))
    await stopped_and_released(ledger, 2)
    assert (await tried(ledger, now=9)).failed == 0
    await ledger.open_run("verdis", CAMPAIGN, "verdi", "apply", at=AT)
    await conversions(ledger, (S.FAILED, 2 + skew), run_id="verdis")
    assert (await tried(ledger, now=9)).failed == 1


async def test_a_release_ends_no_stop_that_its_author_has_not_seen(ledger):
    seen = (await stop(ledger)).event_id
    await released(ledger, CAMPAIGN, by="bruno", reason="out", at=LATER)
    standing = await stop(ledger, reason="prices are wrong", at=LATER)
    with pytest.raises(InputRefused, match=r"is not the one that counts any more.*prices are wrong"):
        await ledger.release_campaign(CAMPAIGN, stop=seen, by="bruno", reason="out", at=LATER)
    assert await ledger.brake_record(CAMPAIGN) == standing


async def test_an_outcome_that_is_still_unknown_after_the_release_counts_when_its_time_is_over(ledger):
    await conversions(ledger, (S.UNKNOWN, 1))
    await stopped_and_released(ledger, 3)
    assert await tried(ledger, now=6) == Attempts(0, 0, ())
    assert await tried(ledger, now=8) == Attempts(1, 1, ("rossi",))
    await stopped_and_released(ledger, 8)
    assert await tried(ledger, now=9) == Attempts(0, 0, ())


async def test_a_stranded_conversion_is_a_signal_on_one_of_two_sides(ledger):
    with_nce, _ = await conversions(ledger, (S.STRANDED, 1), (S.STRANDED, 1))
    await bring(ledger, with_nce, S.STRANDED, "both billed", at=LATER, nce_subscription_id=guid("nce"))
    assert await ledger.coverage_signals(CAMPAIGN) == CoverageSignals(zero=1, double=1)


async def test_a_release_accepts_the_signals_that_stand_and_no_more(ledger):
    await conversions(ledger, (S.STRANDED, 1))
    await stop(ledger)
    record = await released(ledger, CAMPAIGN, by="bruno", reason="known", at=LATER)
    assert record.known == CoverageSignals(zero=1, double=0)

    await ledger.ease_brake(CAMPAIGN, signals=CoverageSignals(0, 3), at=LATER)
    assert (await ledger.brake_record(CAMPAIGN)).known == CoverageSignals(0, 0)
    assert (await ledger.brake_record(CAMPAIGN)).event_id == record.event_id


async def test_a_wave_that_has_begun_is_on_record_with_its_partners(ledger):
    for _ in range(2):
        await ledger.begin_wave(CAMPAIGN, Wave(1, ("verdi",)), at=AT)
    await ledger.begin_wave(CAMPAIGN, Wave(1, ("rossi",)), at=LATER)
    await ledger.begin_wave(CAMPAIGN, Wave(3, ("rossi",)), at=LATER)

    board = await ledger.wave_board(CAMPAIGN)
    assert board.begun == (Wave(1, ("verdi",), AT),)
    assert [await ledger.admitted(CAMPAIGN, name) for name in ("rossi", "verdi")] == [False, True]


async def test_who_went_ahead_is_admitted(ledger):
    await ledger.go_ahead(CAMPAIGN, "rossi", "urgent", at=AT)
    await ledger.go_ahead(CAMPAIGN, "rossi", "still", at=LATER)
    assert (await ledger.wave_board(CAMPAIGN)).ahead == {"rossi": "urgent"}
    assert await ledger.admitted(CAMPAIGN, "rossi")
    assert not await ledger.admitted(CAMPAIGN, "verdi")


async def test_a_stopped_campaign_admits_nobody_new(ledger):
    await stop(ledger)
    await ledger.begin_wave(CAMPAIGN, Wave(1, ("verdi",)), at=AT)
    await ledger.go_ahead(CAMPAIGN, "rossi", "urgent", at=AT)
    assert (await ledger.wave_board(CAMPAIGN)).admitted == frozenset()


async def test_partners_take_part_in_the_order_of_their_enrolment_unless_they_opted_out(ledger):
    await ledger.enrol(CAMPAIGN, [partner("zeta"), partner("alfa")])
    await ledger.open_run("v", CAMPAIGN, "verdi", "apply", at=AT)
    form = OptOut("verdi", AT, "anna")
    await ledger.record_opt_out_ruling("v", rule_on([form], LATER), at=AT)
    assert (await ledger.wave_board(CAMPAIGN)).enrolled == ("rossi", "zeta", "alfa")
    await ledger.record_opt_out_ruling("v", rule_on([], LATER), at=LATER)
    assert (await ledger.wave_board(CAMPAIGN)).enrolled == ("rossi", "verdi", "zeta", "alfa")


async def test_the_progress_of_a_partner_is_counted_on_its_conversions(ledger):
    await conversions(
        ledger, (S.CONVERTED, 1), (S.COVERED, 5), (S.UNKNOWN, 2), (S.STRANDED, 3), (S.HELD, 9), (S.PLANNED, 0)
    )
    assert (await ledger.wave_board(CAMPAIGN)).progress == {"rossi": Progress(1, 1, 2, 1, after(5))}


async def test_the_nearest_term_end_is_that_of_what_is_still_to_be_converted(ledger):
    def ends(day: int, name: str = "", **changes: Any) -> Any:
        moment = datetime(2022, 7, day, 8, tzinfo=timezone.utc)
        return subscription(name or f"on {day}", term_end_at=moment, **changes)

    held = [
        ends(10),
        ends(12, status=Status.SUSPENDED),
        ends(13, kind=SubscriptionKind.NCE),
        ends(14, is_trial=True),
        ends(15, offer_id=guid("a school's")),
        ends(16, auto_renew=False),
        ends(17, "bought"),
        ends(19),
        ends(20),
    ]
    await ledger.record_survey(RUN, held, [], at=AT)
    await ledger.record_verdicts(RUN, [due("bought")], [[guid("bought")]], at=AT)
    [line] = await ledger.conversions(RUN)
    await bring(ledger, line.conversion_id, S.ACCEPTED, at=AT)

    async def nearest() -> Any:
        after_at = datetime(2022, 7, 11, tzinfo=timezone.utc)
        return await ledger.nearest_term_ends(CAMPAIGN, offers={OFFER}, after_at=after_at)

    assert await nearest() == {"rossi": datetime(2022, 7, 19, 8, tzinfo=timezone.utc)}
    await ledger.record_decision(
        CAMPAIGN,
        "rossi",
        guid("on 16"),
        DecisionKind.CONFIRM_CONVERSION,
        decided_by="anna",
        reason="yes",
        at=AT,
    )
    assert await nearest() == {"rossi": datetime(2022, 7, 16, 8, tzinfo=timezone.utc)}


async def test_two_that_stop_at_once_stop_once(postgres_ledger: PostgresLedger) -> None:
    records = await asyncio.gather(*(stop(postgres_ledger, reason=f"reason {n}") for n in range(4)))
    assert len({(record.event_id, record.reason) for record in records}) == 1


async def test_two_triggers_begin_a_wave_once(postgres_ledger: PostgresLedger) -> None:
    await asyncio.gather(
        *(postgres_ledger.begin_wave(CAMPAIGN, Wave(1, (name,)), at=AT) for name in ("rossi", "verdi"))
    )
    [wave] = (await postgres_ledger.wave_board(CAMPAIGN)).begun
    assert len(wave.partners) == 1


async def test_an_unknown_campaign_cannot_be_stopped(postgres_ledger: PostgresLedger) -> None:
    with pytest.raises(InputRefused, match="csp-comercial-2022"):
        await postgres_ledger.stop_campaign("csp-comercial-2022", by="anna", reason="fire", at=AT)


async def test_the_story_of_a_partner_tells_its_wave_and_every_stop(postgres_ledger: PostgresLedger) -> None:
    await postgres_ledger.begin_wave(CAMPAIGN, Wave(1, ("rossi",)), at=AT)
    await postgres_ledger.go_ahead(CAMPAIGN, "verdi", "It ends soon.", at=after(1))
    await stop(postgres_ledger, partners=["verdi"], figures={"tried": 3, "failed": 3}, at=after(2))
    await released(postgres_ledger, CAMPAIGN, by="bruno", reason="out", at=after(3))

    told = {
        partner: [
            entry.sentence
            for entry in await postgres_ledger.explain(CAMPAIGN, partner)
            if entry.kind in ("wave", "brake")
        ]
        for partner in ("rossi", "verdi")
    }
    stopped = ["The campaign was stopped by anna: fire", "The campaign was released by bruno: out"]
    assert told == {
        "rossi": ["Wave 1 began.", *stopped],
        "verdi": ["verdi went ahead of its wave. It ends soon.", *stopped],
    }
