"""Who is compared, and what the run says in the end."""

from __future__ import annotations

from typing import Any

import pytest

from include.nce.domain.errors import InputRefused
from include.nce.domain.readiness import Owner
from include.nce.domain.reconciliation import CoverageGap, Discrepancy, FindingKind, Severity
from include.nce.steps import list_partners as listing
from include.nce.steps.close_reconcile import Compared, close_reconcile
from include.nce.steps.list_partners import Page, list_partners, partners_of
from tests.support.examples import CAMPAIGN, CUSTOMER, at, campaign, legacy_id, partner
from tests.support.fake_clock import FakeClock
from tests.support.fake_ledger import FakeLedger
from tests.support.scene import released

RUN = f"{CAMPAIGN}__reconcile__1"
K, G = FindingKind, CoverageGap


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(at("2022-07-15 12:00"))


async def ledger_with(*names: str, **changes: Any) -> FakeLedger:
    ledger = FakeLedger()
    await ledger.import_campaign(campaign(**changes), "anna", "founding")
    await ledger.enrol(CAMPAIGN, [partner(partner=name) for name in names])
    return ledger


def gap(kind: FindingKind, what: CoverageGap, number: int = 1) -> Discrepancy:
    severity = Severity.NOTICE if what is G.NONE else Severity.CRITICAL
    return Discrepancy(legacy_id(number), CUSTOMER, kind, severity, "It is so.", Owner.OPERATOR, "Act.", what)


async def compared(
    ledger: FakeLedger, name: str, *found: Discrepancy, unread: str = "", lines: int = 2, run_id: str = RUN
) -> None:
    seen = [legacy_id(number) for number in range(1, lines + 1)]
    await ledger.record_comparison(
        run_id, CAMPAIGN, name, found,
        compared=seen[1:] if unread else seen, lines=lines, unread=unread, at=at("2022-07-15 12:00"),
    )  # fmt: skip


async def close(ledger: FakeLedger, clock: FakeClock, **options: Any) -> Compared:
    facts = {"campaign": CAMPAIGN, "partners": (), "failed_tasks": (), **options}
    return await close_reconcile(RUN, **facts, ledger=ledger, clock=clock)


async def test_a_run_without_findings_is_green_and_says_so(clock: FakeClock) -> None:
    ledger = await ledger_with("bianchi", "verdi")
    for name in ("bianchi", "verdi"):
        await compared(ledger, name)
    assert await close(ledger, clock) == Compared(
        False,
        f"{CAMPAIGN}: No coverage is missing or double. Compared 2 of 2 partners. 0 other findings open.",
    )


async def test_zero_or_double_coverage_is_red_with_the_count_and_the_first_partners(clock: FakeClock) -> None:
    names = [f"partner-{number}" for number in range(5)]
    ledger = await ledger_with(*names)
    for number, name in enumerate(names):
        await compared(ledger, name, gap(K.NCE_CANCELLED, G.ZERO) if number else gap(K.STUCK, G.NONE))
    await compared(ledger, names[1], gap(K.NCE_CANCELLED, G.ZERO), gap(K.DOUBLE_COVERAGE, G.DOUBLE, 2))
    done = await close(ledger, clock)

    assert done.red
    assert (
        "4 subscriptions without coverage, 1 covered twice, at partner-1, partner-2, partner-3 and 1 more: "
        "act today, see nce findings. Compared 5 of 5 partners. 1 other finding open. This time 6 new, "
        "0 back, 0 gone."
    ) in done.sentence


async def test_a_campaign_with_a_brake_is_stopped_by_what_was_found(clock: FakeClock) -> None:
    ledger = await ledger_with("verdi", brake={})
    await compared(ledger, "verdi", gap(K.NCE_CANCELLED, G.ZERO))
    done = await close(ledger, clock)
    assert (await ledger.brake_record(CAMPAIGN)).stopped
    assert "The campaign was stopped by its brake" in done.sentence

    await released(ledger, CAMPAIGN, by="anna", reason="known", at=clock.now_at)
    assert "stopped" not in (await close(ledger, clock)).sentence
    assert not (await ledger.brake_record(CAMPAIGN)).stopped


async def test_other_findings_are_told_and_stay_green(clock: FakeClock) -> None:
    ledger = await ledger_with("verdi")
    await compared(ledger, "verdi", gap(K.SEATS_SHORT, G.NONE))
    done = await close(ledger, clock)
    assert not done.red
    assert "1 other finding open." in done.sentence


async def test_what_was_not_compared_is_told_with_its_reason_and_is_nobodys_finding(clock: FakeClock) -> None:
    ledger = await ledger_with("bianchi", "greco", "neri", "verdi")
    await compared(ledger, "bianchi")
    await compared(ledger, "greco", unread="Customer c was not compared: HTTP 429.")
    await compared(ledger, "verdi", unread="Customer d was not compared: HTTP 503.", lines=1)
    done = await close(ledger, clock)

    assert not done.red
    assert (
        "Compared 1 of 4 partners. Not compared: 1 in part, 1 not, 1 not reached; their findings stay as "
        "they were. verdi: Customer d was not compared: HTTP 503. greco: Customer c was not compared: "
        "HTTP 429."
    ) in done.sentence


async def test_an_old_gap_of_a_partner_that_was_not_compared_is_still_red(clock: FakeClock) -> None:
    ledger = await ledger_with("bianchi", "verdi")
    await compared(ledger, "verdi", gap(K.ZERO_COVERAGE, G.ZERO), run_id="yesterday")
    await compared(ledger, "bianchi")
    await compared(ledger, "verdi", unread="not read", lines=1)
    assert (await close(ledger, clock)).red


async def test_a_run_in_which_nobody_looked_is_red(clock: FakeClock) -> None:
    ledger = await ledger_with("verdi")
    await compared(ledger, "verdi", unread="not read", lines=1)
    assert (await close(ledger, clock)).red


async def test_a_failed_page_is_red_and_named(clock: FakeClock) -> None:
    ledger = await ledger_with("verdi")
    await compared(ledger, "verdi")
    done = await close(ledger, clock, failed_tasks=["reconcile_partners"])
    assert done.red
    assert done.sentence.startswith("Failed: reconcile_partners; look at its log, then clear it. ")


async def test_a_list_that_could_not_be_made_is_all_there_is_to_say(clock: FakeClock) -> None:
    done = await close(FakeLedger(), clock, failed_tasks=["list_partners"])
    assert done == Compared(True, "Failed: list_partners; look at its log, then clear it.")


async def test_a_run_of_named_partners_speaks_of_them_only(clock: FakeClock) -> None:
    ledger = await ledger_with("bianchi", "verdi")
    await compared(ledger, "verdi", gap(K.ZERO_COVERAGE, G.ZERO))
    await compared(ledger, "bianchi")
    done = await close(ledger, clock, partners=["bianchi"])
    assert not done.red
    assert "Compared 1 of 1 partner." in done.sentence


async def test_a_campaign_without_partners_is_green(clock: FakeClock) -> None:
    assert not (await close(await ledger_with(), clock)).red


async def test_every_open_campaign_is_compared_when_none_is_named(clock: FakeClock) -> None:
    ledger = await ledger_with("verdi")
    await ledger.import_campaign(campaign(campaign="second"), "anna", "second")
    await ledger.enrol("second", [partner(partner="neri")])
    assert [page.campaign for page in await list_partners(None, (), ledger=ledger, clock=clock)] == [
        CAMPAIGN, "second",
    ]  # fmt: skip
    clock.now_at = at("2023-08-02 00:00")
    assert await list_partners(None, (), ledger=ledger, clock=clock) == []
    assert len(await list_partners(CAMPAIGN, (), ledger=ledger, clock=clock)) == 1
    assert (await close(ledger, clock, campaign=None)).sentence == "No campaign is open: nothing to compare."


async def test_partners_come_in_pages_and_each_once(clock: FakeClock, monkeypatch: Any) -> None:
    monkeypatch.setattr(listing, "PARTNERS_A_PAGE", 3)
    names = [f"partner-{number}" for number in range(7)]
    ledger = await ledger_with(*names)
    pages = await list_partners(CAMPAIGN, (), ledger=ledger, clock=clock)
    assert [page.partners for page in pages] == [3, 3, 1]
    assert all(not page.names for page in pages)
    await ledger.enrol(CAMPAIGN, [partner(partner="partner-1b"), partner(partner="partner-1c")])
    compared_now = [p.partner for page in pages async for p in partners_of(page, ledger=ledger)]
    assert compared_now == sorted([*names, "partner-1b", "partner-1c"])


async def test_named_partners_travel_by_name(clock: FakeClock) -> None:
    ledger = await ledger_with("bianchi", "neri", "verdi")
    (page,) = await list_partners(CAMPAIGN, ["verdi", "bianchi"], ledger=ledger, clock=clock)
    again = Page.read(page.reference())
    assert again == page
    assert [p.partner async for p in partners_of(again, ledger=ledger)] == ["bianchi", "verdi"]


async def test_a_page_of_a_roster_that_vanished_ends(clock: FakeClock) -> None:
    ledger = await ledger_with("verdi")
    (page,) = await list_partners(CAMPAIGN, (), ledger=ledger, clock=clock)
    ledger.roster.clear()
    assert [p async for p in partners_of(page, ledger=ledger)] == []


async def test_an_unknown_partner_or_campaign_is_refused(clock: FakeClock) -> None:
    ledger = await ledger_with("verdi")
    with pytest.raises(InputRefused, match="verde"):
        await list_partners(CAMPAIGN, ["verde"], ledger=ledger, clock=clock)
    with pytest.raises(InputRefused, match="another"):
        await list_partners("another", (), ledger=ledger, clock=clock)
