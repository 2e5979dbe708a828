"""The rehearsal's story without Airflow: real steps, client, ledger and simulator, the story's own outcomes.

What Airflow adds (waits, retries, workers) is left to the end-to-end tests. The clock is set by hand.
"""

from __future__ import annotations

import io
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest

from include.nce.domain.conversion import ConversionState
from include.nce.domain.opt_out import OptOut, OptOutVerdict
from include.nce.domain.question import PersonsAnswer, QuestionKind
from include.nce.evidence.pack import write_pack
from include.nce.intake.campaign_file import read_campaign
from include.nce.intake.roster import load_roster
from include.nce.ledger.evidence import EvidencePack
from include.nce.ledger.ledger import PostgresLedger
from include.nce.ledger.reports import CampaignStatus
from include.nce.orchestration.clock import RehearsalClock
from include.nce.partner_center.auth import TokenSource
from include.nce.partner_center.client import PartnerCenterClient
from include.nce.partner_center.connection import PartnerCenterConnection
from include.nce.partner_center.gateway import PartnerCenterGateway
from include.nce.steps.approve_plan import approve_plan
from include.nce.steps.ask_a_person import put_question, take_answer
from include.nce.steps.buy_nce import buy_nce
from include.nce.steps.cancel_legacy import cancel_legacy
from include.nce.steps.close_run import close_run
from include.nce.steps.confirm_nce import confirm_nce
from include.nce.steps.honour_opt_out import honour_opt_out
from include.nce.steps.open_run import open_run
from include.nce.steps.plan_conversions import Planned, plan_conversions
from include.nce.steps.plan_undo import UndoWish, answer_undo, plan_undo
from include.nce.steps.undo_conversion import undo_conversions
from simulator.scenario import Scenario, load_scenario

PROJECT = Path(__file__).resolve().parents[2]
STORY = PROJECT / "simulator/scenarios/csp-commercial-2022.yaml"
CAMPAIGN = "csp-commercial-2022"
CUT_OVER = datetime(2022, 7, 11, 0, 0, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class World:
    address: str
    story: Scenario

    def set_clock(self, moment: datetime | str) -> None:
        text = moment if isinstance(moment, str) else moment.isoformat()
        httpx.post(f"{self.address}/__sim__/clock/advance", json={"to": text}).raise_for_status()

    def subscriptions(self) -> dict[str, dict[str, object]]:
        state = httpx.get(f"{self.address}/__sim__/state", timeout=60).raise_for_status().json()
        return {item["id"].lower(): item for item in state["subscriptions"]}


@contextmanager
def served(story: Path) -> Iterator[str]:
    """A simulator with this story, whose clock is set by hand; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-m", "simulator", "serve", "--scenario", str(story), "--port", str(port)],
        cwd=PROJECT,
    )
    try:
        for _ in range(200):
            try:
                httpx.get(f"{address}/__sim__/health").raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        httpx.put(f"{address}/__sim__/clock", json={"mode": "manual"}).raise_for_status()
        yield address
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def serving(story: Path) -> Iterator[World]:
    """The simulator with a story, its clock set by hand."""
    with served(story) as address:
        yield World(address, load_scenario(story))


@pytest.fixture
def world() -> Iterator[World]:
    with serving(STORY) as here:
        yield here


def connection_to(world: World) -> PartnerCenterConnection:
    application = world.story.provider.applications[0]
    return PartnerCenterConnection(
        tenant_id=world.story.provider.tenant_id,
        client_id=application.client_id,
        client_secret=application.client_secret,
        refresh_token=application.refresh_token,
        address=world.address,
        authority=world.address,
        rehearsal=True,
    )


async def no_pause(seconds: float) -> None:
    del seconds


@pytest.mark.timeout(300)
async def test_every_partner_and_subscription_ends_as_the_story_says(
    world: World, ledger_database: str
) -> None:
    clock, issued = RehearsalClock(world.address), Secrets()
    campaign = read_campaign(PROJECT / f"include/campaigns/{CAMPAIGN}.yaml")
    roster = load_roster((PROJECT / campaign.roster).read_bytes(), name=campaign.roster)
    async with (
        PostgresLedger.open(ledger_database) as ledger,
        PartnerCenterClient(
            connection_to(world), tokens=TokenSource(connection_to(world), mask=issued.note)
        ) as client,
    ):
        partner_center = PartnerCenterGateway(client)
        tools = {"partner_center": partner_center, "ledger": ledger, "clock": clock}
        await ledger.import_campaign(campaign, author="test", reason="test")
        await ledger.enrol(CAMPAIGN, roster)
        runs = {partner.partner: f"{CAMPAIGN}__{partner.partner}" for partner in roster}
        for name, run in runs.items():
            await open_run(run, CAMPAIGN, name, "apply", **tools)
        for entry in world.story.opt_outs:
            await ledger.record_opt_out(
                CAMPAIGN,
                OptOut(entry.partner, entry.received_at, "test", entry.customer, entry.withdrawn_at),
            )

        world.set_clock("2022-06-30T22:00:00Z")
        opted_out = set()
        for name, run in runs.items():
            ruling = await honour_opt_out(run, **tools)
            if ruling.partner is OptOutVerdict.IN_TIME:
                opted_out.add(name)
                await close_run(run, [], ledger=ledger, clock=clock)

        world.set_clock(CUT_OVER)
        plans = {
            run: await plan_conversions(run, **tools) for name, run in runs.items() if name not in opted_out
        }
        for run, plan in plans.items():
            asked = await approve_plan(run, ledger=ledger, clock=clock)
            if asked.question is not None:
                await put_question(asked.question, ledger=ledger, clock=clock)
                given = PersonsAnswer(True, "test", datetime.now(timezone.utc))
                await take_answer(QuestionKind.APPROVE_PLAN, run, given, ledger=ledger, clock=clock)
            for number in range(plan.batches):
                await buy_nce(run, plan.plan_id, number, **tools, pause=no_pause)
        await finish(plans, world, tools)
        await take_back(world, tools)
        status = await ledger.status(CAMPAIGN, with_subscriptions=True)
        packs = {name: await pack_of(ledger, name) for name in runs}
    assert differences(world.story, status) == []
    assert unproven(packs) == []
    secrets = {*issued.seen, connection_to(world).client_secret, str(connection_to(world).refresh_token)}
    assert len(secrets) > 3
    assert [name for name, pack in packs.items() if any(secret in pack for secret in secrets)] == []


class Secrets:
    """Every token that was issued."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    async def note(self, secret: str) -> None:
        self.seen.add(secret)


async def pack_of(ledger: PostgresLedger, partner: str) -> str:
    out = io.StringIO()
    async with ledger.evidence(CAMPAIGN, partner, made_by="test") as evidence:
        await write_pack(evidence.head, evidence.cases(page=3), out)
    return out.getvalue()


def unproven(packs: Mapping[str, str]) -> list[str]:
    """One line for each conversion of which the evidence does not show all that an auditor asks for."""
    cases = [
        (case, [entry.facts for entry in case.record if entry.kind == "command"])
        for pack in packs.values()
        for case in EvidencePack.model_validate_json(pack).cases
        if case.conversion is not None and case.conversion.state is ConversionState.CONVERTED
    ]
    assert len(cases) > 10
    found = []
    for case, commands in cases:
        before, after = case.legacy.before, case.legacy.after
        nce = case.nce.after if case.nce else None
        proof = {
            "legacy was active": before is not None and before.facts["status"] == "active",
            "legacy is suspended": after is not None and after.facts["status"] == "suspended",
            "NCE is active": nce is not None and nce.facts["status"] == "active",
            "seats": nce is not None and before is not None and nce.facts["seats"] >= before.facts["seats"],
            # An add-on travels with its base's command.
            "a plan": any(entry.kind == "plan" and entry.facts["class"] == "due" for entry in case.record),
            "request ids": all(facts["request_id"] for facts in commands),
            "an answer": any(facts["event"] in ("accepted", "found") and facts["body"] for facts in commands)
            or not commands,
            "correlation ids": all(facts["correlation_id"] for facts in commands if facts.get("status")),
        }
        found += [f"{case.legacy.subscription}: {name}" for name, shown in proof.items() if not shown]
    assert any(commands for _, commands in cases)
    return found


async def finish(plans: dict[str, Planned], world: World, tools: dict[str, Any]) -> None:
    """Confirm and cancel every two hours until nothing is under way, for nine days at the longest."""
    for hours in range(2, 9 * 24, 2):
        world.set_clock(CUT_OVER + timedelta(hours=hours))
        for run, plan in list(plans.items()):
            pending = 0
            for number in range(plan.batches):
                await confirm_nce(run, plan.plan_id, number, **tools)
                pending += (await cancel_legacy(run, plan.plan_id, number, **tools)).pending
            if not pending:
                await close_run(run, [], ledger=tools["ledger"], clock=tools["clock"])
                del plans[run]
        if not plans:
            return
    raise AssertionError(f"still under way after nine days: {sorted(plans)}")


async def take_back(world: World, tools: dict[str, Any]) -> None:
    """What the provider takes back, each with a person's approval."""
    of = {subscription.id: partner.id for partner, _, subscription in world.story.walk()}
    for undo in world.story.undos:
        run = f"{CAMPAIGN}__undo__{undo.subscription}"
        wish = UndoWish(
            CAMPAIGN, of[undo.subscription], undo.reason, undo.by, subscription_id=undo.subscription
        )
        planned = await plan_undo(run, wish, **tools)
        await answer_undo(
            run, planned.plan.hash, approved=True, who="test", ledger=tools["ledger"], clock=tools["clock"]
        )
        assert (await undo_conversions(run, **tools, pause=no_pause)).undone == 1


def differences(story: Scenario, status: CampaignStatus) -> list[str]:
    """One line for each partner or subscription that did not end as the story expects."""
    outcomes = {p.partner: p.outcome.value if p.outcome else None for p in status.partners}
    found = [
        f"{partner.id}: {outcomes.get(partner.id)}, not {partner.expect.outcome}"
        for partner in story.partners
        if partner.expect and outcomes.get(partner.id) != partner.expect.outcome
    ]
    classes = {s.subscription: (s.klass.value, s.reason) for p in status.partners for s in p.subscriptions}
    for subscription in (s for p in story.partners for c in p.customers for s in c.subscriptions):
        got, reason = classes.get(str(subscription.id), ("missing", ""))
        if subscription.expect and got != subscription.expect.outcome:
            found.append(f"{subscription.id}: {got}, not {subscription.expect.outcome}: {reason}")
    return found
