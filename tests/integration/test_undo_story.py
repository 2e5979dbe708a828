"""Conversions taken back with real steps, client, ledger and simulator; what Airflow adds is left out.

The clock is set by hand. What is looked at in the end is the simulator's own state.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from include.nce.domain.author import Author
from include.nce.domain.conversion import ConversionState
from include.nce.domain.opt_out import OptOut
from include.nce.domain.partner import Partner
from include.nce.domain.undo import CaseState, UndoWord
from include.nce.intake.campaign_file import read_campaign
from include.nce.intake.roster import load_roster
from include.nce.ledger.ledger import PostgresLedger
from include.nce.orchestration.clock import RehearsalClock
from include.nce.partner_center.client import PartnerCenterClient
from include.nce.partner_center.gateway import PartnerCenterGateway
from include.nce.steps.buy_nce import buy_nce
from include.nce.steps.cancel_legacy import cancel_legacy
from include.nce.steps.close_undo import close_undo
from include.nce.steps.confirm_nce import confirm_nce
from include.nce.steps.honour_opt_out import honour_opt_out
from include.nce.steps.late_opt_outs import look_for_late_opt_outs
from include.nce.steps.open_run import open_run
from include.nce.steps.people.keep_nce import keep_nce
from include.nce.steps.plan_conversions import plan_conversions
from include.nce.steps.plan_undo import UndoPlanned, UndoWish, answer_undo, plan_undo
from include.nce.steps.undo_conversion import Undone, undo_conversions
from simulator.scenario import load_scenario
from tests.integration.test_campaign_story import CAMPAIGN, PROJECT, World, connection_to, no_pause, served

STORIES = PROJECT / "tests/e2e/stories"
UNDO = "undo"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """The story of the end-to-end tests with a longer summer, in which one legacy subscription never comes
    back."""
    story = yaml.safe_load((STORIES / "five-partners.yaml").read_text())
    story["clock"]["ends_at"] = "2022-08-31T00:00:00Z"
    [delta] = [each for each in story["partners"] if each["id"] == "delta-reti"]
    delta["customers"][0]["subscriptions"][0]["migration"] = {"takes": "PT2H", "legacy_comes_back": False}
    file = tmp_path / "story.yaml"
    file.write_text(yaml.safe_dump(story))
    with served(file) as address:
        yield World(address, load_scenario(file))


@dataclass
class Desk:
    """One partner's conversions and their undo."""

    world: World
    ledger: PostgresLedger
    tools: dict[str, Any]
    partner: Partner

    @property
    def run(self) -> str:
        return f"{CAMPAIGN}__{self.partner.partner}"

    async def convert(self) -> None:
        plan = await plan_conversions(self.run, **self.tools)
        for number in range(plan.batches):
            await buy_nce(self.run, plan.plan_id, number, **self.tools, pause=no_pause)
        now_at = await self.tools["clock"].now()
        for hour in range(1, 8):
            self.world.set_clock(now_at.replace(hour=now_at.hour + hour))
            for number in range(plan.batches):
                await confirm_nce(self.run, plan.plan_id, number, **self.tools)
                await cancel_legacy(self.run, plan.plan_id, number, **self.tools)

    async def plan(self, **scope: Any) -> UndoPlanned:
        wish = UndoWish(CAMPAIGN, self.partner.partner, "a late opt-out", "bruno", **scope)
        return await plan_undo(UNDO, wish, **self.tools)

    async def approve(self, planned: UndoPlanned) -> None:
        await answer_undo(
            UNDO, planned.plan.hash, approved=True, who="carla", ledger=self.ledger,
            clock=self.tools["clock"],
        )  # fmt: skip

    async def take_back(self) -> Undone:
        return await undo_conversions(UNDO, **self.tools, pause=no_pause)

    async def states(self) -> dict[str, ConversionState]:
        names = {str(s.id): str(s.key) for _, _, s in self.world.story.walk()}
        report = await self.ledger.status(CAMPAIGN, self.partner.partner, with_subscriptions=True)
        return {
            names[line.subscription]: line.conversion_state
            for line in report.partners[0].subscriptions
            if line.conversion_state is not None
        }

    def held(self, customer: str) -> dict[str, tuple[str, list[str]]]:
        """Key of each legacy subscription of a customer -> its status, and the statuses of what replaced
        it."""
        rows = self.world.subscriptions().values()
        tenant = self.world.story.find_customer(customer)
        mine = [row for row in rows if row["customer"] == tenant]
        offers = {offer.offer_id.lower(): offer.nce for offer in self.world.story.offers}
        return {
            str(row["key"]): (
                str(row["status"]),
                sorted(
                    str(nce["status"])
                    for nce in mine
                    if nce["line"] == "nce"
                    and str(nce["offer_id"]).startswith(f"{offers[str(row['offer_id']).lower()]}:")
                ),
            )
            for row in mine
            if row["line"] == "legacy" and offers.get(str(row["offer_id"]).lower())
        }

    def faults(self, method: str, body: Any = None) -> Any:
        answer = httpx.request(method, f"{self.world.address}/__sim__/faults", json=body)
        return answer.raise_for_status().json()

    def patched(self) -> list[tuple[str, int]]:
        page = httpx.get(
            f"{self.world.address}/__sim__/requests?operation=update_subscription&limit=5000"
        ).json()
        return [(each["path"].rsplit("/", 1)[-1].lower(), each["status"]) for each in page["requests"]]


@asynccontextmanager
async def desk_of(name: str, world: World, database: str) -> AsyncIterator[Desk]:
    """Everything of a partner is converted, on 11 July."""
    clock = RehearsalClock(world.address)
    campaign = read_campaign(PROJECT / f"include/campaigns/{CAMPAIGN}.yaml")
    roster = load_roster((STORIES / "five-partners.roster.csv").read_bytes(), name="roster")
    async with (
        PostgresLedger.open(database) as ledger,
        PartnerCenterClient(connection_to(world)) as client,
    ):
        tools = {"partner_center": PartnerCenterGateway(client), "ledger": ledger, "clock": clock}
        await ledger.import_campaign(campaign, author="test", reason="test")
        await ledger.enrol(CAMPAIGN, roster)
        desk = Desk(world, ledger, tools, next(each for each in roster if each.partner == name))
        await open_run(desk.run, CAMPAIGN, name, "apply", **tools)
        world.set_clock("2022-07-11T00:00:00Z")
        await honour_opt_out(desk.run, **tools)
        await desk.convert()
        yield desk


@pytest.mark.timeout(300)
async def test_a_late_opt_out_takes_back_both_routes_and_a_bundle(world: World, ledger_database: str) -> None:
    async with desk_of("alpina-informatica", world, ledger_database) as desk:
        assert set((await desk.states()).values()) == {ConversionState.CONVERTED}
        before = len(desk.patched())
        now_at = await desk.tools["clock"].now()
        await desk.ledger.record_opt_out(CAMPAIGN, OptOut("alpina-informatica", now_at, "anna"))
        late = await look_for_late_opt_outs(
            CAMPAIGN, desk.partner, by="anna", ledger=desk.ledger, now_at=now_at
        )
        assert {case.state for case in late.opened} == {CaseState.OPEN}
        assert all(case.until_at is not None for case in late.opened)

        planned = await desk.plan()
        assert {line.word for line in planned.plan.lines} == {UndoWord.REACTIVATE}
        await desk.approve(planned)
        done = await desk.take_back()
        assert (done.undone, done.pending, done.stopped) == (3, (), ())
        assert (await close_undo(UNDO, [], ledger=desk.ledger)).outcome == "undone"

        assert set((await desk.states()).values()) == {ConversionState.UNDONE}
        undone = ("active", ["deleted"])
        assert desk.held("rifugi") == dict.fromkeys(("e3", "archiving", "defender", "aad-p1"), undone)
        assert desk.held("scuola-sci")["business-standard"] == undone
        sent = desk.patched()[before:]
        assert len(sent) == 10
        assert {status for _, status in sent} == {200}
        again = await plan_conversions(desk.run, **desk.tools)
        assert (again.batches, again.classes["undone"]) == (0, 5)


@pytest.mark.timeout(300)
async def test_what_microsoft_does_not_bring_back_stays_in_nce(world: World, ledger_database: str) -> None:
    async with desk_of("delta-reti", world, ledger_database) as desk:
        planned = await desk.plan()
        await desk.approve(planned)
        done = await desk.take_back()
        states = await desk.states()

        assert (done.undone, len(done.stopped)) == (1, 1)
        assert "NCE stays as it is" in done.stopped[0]
        assert states == {"e1": ConversionState.CONVERTED, "intune": ConversionState.UNDONE}
        assert desk.held("mulini") == {
            "e1": ("suspended", ["active"]), "intune": ("active", ["deleted"])
        }  # fmt: skip


@pytest.mark.timeout(300)
async def test_a_window_that_closes_in_between_is_told_and_legacy_ends_only_past_the_gate(
    world: World, ledger_database: str
) -> None:
    async with desk_of("delta-reti", world, ledger_database) as desk:
        intune = world.story.find_subscriptions("mulini/intune")[0]
        planned = await desk.plan(subscription_id=intune)
        await desk.approve(planned)
        fault = {
            "operation": "update_subscription",
            "kind": "status",
            "status": 400,
            "code": 900117,
            "skip": 1,
        }
        desk.faults("POST", fault)
        done = await desk.take_back()
        [account] = desk.faults("GET")

        assert account["used"] == 1
        assert "COVERED TWICE" in done.stopped[0]
        assert desk.held("mulini")["intune"] == ("active", ["active"])
        [case] = await desk.ledger.undo_cases(CAMPAIGN)
        await keep_nce(
            case.case_id, "they stay", by=Author("dora"), ledger=desk.ledger, clock=desk.tools["clock"],
        )  # fmt: skip
        await desk.convert()
        assert desk.held("mulini")["intune"] == ("suspended", ["active"])
        assert (await desk.states())["intune"] is ConversionState.CONVERTED


@pytest.mark.timeout(300)
async def test_a_second_after_the_window_nothing_is_sent(world: World, ledger_database: str) -> None:
    async with desk_of("delta-reti", world, ledger_database) as desk:
        [bought] = [
            m for m in await desk.ledger.bought(CAMPAIGN, "delta-reti") if m.offer_name.endswith("E1")
        ]
        until = bought.conversion.undoable_until_at
        assert until is not None
        before = len(desk.patched())
        world.set_clock(until.replace(second=until.second + 1))
        planned = await desk.plan(subscription_id=bought.conversion.legacy_id)

        assert [line.word for line in planned.plan.lines] == [UndoWord.TOO_LATE]
        assert len(desk.patched()) == before
        assert [case.state for case in await desk.ledger.undo_cases(CAMPAIGN)] == [CaseState.TOO_LATE]
