"""People in the portal, seen by the comparison: real steps, client, ledger and simulator, without Airflow.

Five partners are converted as the DAG would; then a person does what people do, through Partner Center
itself. The clock is set by hand.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from include.nce.domain.conversion import ConversionState
from include.nce.domain.reconciliation import CoverageGap, FindingKind
from include.nce.intake.campaign_file import read_campaign
from include.nce.intake.roster import load_roster
from include.nce.ledger.findings import FindingStatus
from include.nce.ledger.ledger import PostgresLedger
from include.nce.orchestration.clock import RehearsalClock
from include.nce.partner_center.client import PartnerCenterClient
from include.nce.partner_center.gateway import PartnerCenterGateway
from include.nce.steps.buy_nce import buy_nce
from include.nce.steps.cancel_legacy import cancel_legacy
from include.nce.steps.close_reconcile import close_reconcile
from include.nce.steps.confirm_nce import confirm_nce
from include.nce.steps.honour_opt_out import honour_opt_out
from include.nce.steps.list_partners import list_partners, partners_of
from include.nce.steps.open_run import open_run
from include.nce.steps.plan_conversions import plan_conversions
from include.nce.steps.reconcile_partner import Reconciled, reconcile_partner
from tests.integration.test_campaign_story import World, connection_to, no_pause, serving

PROJECT = Path(__file__).resolve().parents[2]
STORIES = PROJECT / "tests/e2e/stories"
CAMPAIGN = "csp-commercial-2022"
K, G, S = FindingKind, CoverageGap, ConversionState
PEOPLE = [
    {"kind": "migrate_in_portal", "at": "2022-07-13T06:00:00Z", "subscription": "traghetti/power-bi"},
    {
        "kind": "buy_in_portal", "at": "2022-07-13T06:00:00Z", "partner": "elba-sistemi",
        "customer": "traghetti", "key": "bought-by-hand", "sku": "CFQ7TTC0LH18:0001", "seats": 4,
    },
]  # fmt: skip
"""What happens by itself on 13 July; the rest is done by the test."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    document = yaml.safe_load((STORIES / "five-partners.yaml").read_text())
    story = tmp_path / "people.yaml"
    story.write_text(yaml.safe_dump({**document, "events": PEOPLE}))
    with serving(story) as served:
        yield served


@dataclass
class Desk:
    """The product with everything real but Airflow, and a person who works in the portal beside it."""

    world: World
    client: PartnerCenterClient
    ledger: PostgresLedger
    tools: dict[str, Any]
    ids: dict[str, str]
    customers: dict[str, str]

    @classmethod
    @asynccontextmanager
    async def open(cls, world: World, url: str) -> AsyncIterator[Desk]:
        async with (
            PostgresLedger.open(url) as ledger,
            PartnerCenterClient(connection_to(world)) as client,
        ):
            tools = {
                "partner_center": PartnerCenterGateway(client),
                "ledger": ledger,
                "clock": RehearsalClock(world.address),
            }
            walk = list(world.story.walk())
            yield cls(
                world, client, ledger, tools,
                {f"{c.key}/{s.key}": str(s.id) for _, c, s in walk},
                {f"{c.key}/{s.key}": str(c.tenant_id) for _, c, s in walk},
            )  # fmt: skip

    async def convert(self) -> None:
        """The campaign to 12 July; the last task of the first partner's bought batch never runs."""
        campaign = read_campaign(PROJECT / f"include/campaigns/{CAMPAIGN}.yaml")
        roster = load_roster((STORIES / "five-partners.roster.csv").read_bytes(), name="roster")
        await self.ledger.import_campaign(campaign, author="test", reason="test")
        await self.ledger.enrol(CAMPAIGN, roster)
        runs = {partner.partner: f"{CAMPAIGN}__{partner.partner}" for partner in roster}
        for name, run in runs.items():
            await open_run(run, CAMPAIGN, name, "apply", **self.tools)
        self.world.set_clock("2022-07-11T00:00:01Z")
        batches = []
        for run in runs.values():
            await honour_opt_out(run, **self.tools)
            plan = await plan_conversions(run, **self.tools)
            batches += [(run, plan.plan_id, number) for number in range(plan.batches)]
        for batch in batches:
            await buy_nce(*batch, **self.tools, pause=no_pause)
        self.world.set_clock("2022-07-11T12:00:00Z")
        for batch in batches:
            await confirm_nce(*batch, **self.tools)
            left_behind = self.ids["rifugi/aad-p1"] in {c.legacy_id for c in await self.ledger.batch(*batch)}
            if not left_behind:
                await cancel_legacy(*batch, **self.tools)

    async def compare(self, run_id: str, *, repair: bool = True) -> tuple[dict[str, Reconciled], str, bool]:
        ledger, clock = self.ledger, self.tools["clock"]
        came_to = {}
        for page in await list_partners(CAMPAIGN, (), ledger=ledger, clock=clock):
            async for partner in partners_of(page, ledger=ledger):
                came_to[partner.partner] = await reconcile_partner(
                    run_id, CAMPAIGN, partner, repair=repair, **self.tools
                )
        closed = await close_reconcile(run_id, None, (), (), ledger=ledger, clock=clock)
        return came_to, closed.sentence, closed.red

    async def found(self) -> dict[str, FindingStatus]:
        names = {subscription_id: name for name, subscription_id in self.ids.items()}
        page = await self.ledger.standing_findings(CAMPAIGN)
        return {names[found.subscription]: found for found in page.findings}

    async def state_of(self, name: str) -> ConversionState:
        partner = next(p.id for p, c, s in self.world.story.walk() if f"{c.key}/{s.key}" == name)
        known = await self.ledger.known_holdings(CAMPAIGN, partner)
        states = {k.legacy_id: k.conversion.state for k in known.subscriptions if k.conversion}
        return states[self.ids[name]]

    # A person in the portal

    async def successor_of(self, name: str) -> Any:
        held = await self.client.subscriptions.of_customer(self.customers[name])
        return next(one for one in held if one.migrated_from_subscription_id == self.ids[name])

    async def person(self, act: str, name: str, *, nce: bool = True, **changes: Any) -> None:
        subscriptions, customer = self.client.subscriptions, self.customers[name]
        held = await (self.successor_of(name) if nce else subscriptions.get(customer, self.ids[name]))
        if act == "change":
            await subscriptions.change(customer, held, changes, request_id=str(uuid.uuid4()))
        else:
            await getattr(subscriptions, act)(customer, held, request_id=str(uuid.uuid4()))

    def faults(self, method: str, fault: dict[str, Any] | None = None) -> Any:
        answer = httpx.request(method, f"{self.world.address}/__sim__/faults", json=fault)
        return answer.raise_for_status().json()

    def writes(self) -> int:
        page = httpx.get(f"{self.world.address}/__sim__/requests?limit=5000", timeout=60).json()
        return sum(
            request["method"] != "GET" and "/token" not in request["path"] for request in page["requests"]
        )

    def reads_of_subscriptions(self) -> int:
        summary = httpx.get(f"{self.world.address}/__sim__/requests/summary", timeout=60).json()
        return sum(summary["get_subscriptions"].values())


@pytest.mark.timeout(300)
async def test_what_people_do_is_found_told_and_only_the_safe_is_put_right(
    world: World, ledger_database: str
) -> None:
    async with Desk.open(world, ledger_database) as desk:
        await desk.convert()
        assert await desk.state_of("rifugi/aad-p1") is S.COVERED

        # Right after the conversion: nothing is wrong, and each customer was read once.
        before, writes = desk.reads_of_subscriptions(), desk.writes()
        came_to, sentence, red = await desk.compare("first", repair=False)
        assert desk.reads_of_subscriptions() - before == len({*desk.customers.values()})
        assert desk.writes() == writes
        assert await desk.found() == {}
        assert not red
        assert sentence == (
            f"{CAMPAIGN}: No coverage is missing or double. Compared 5 of 5 partners. 0 other findings open."
        )
        assert all(not result.unread for result in came_to.values())

        # A day and a half later people have been at work, and a batch was left behind.
        await desk.person("reactivate", "rifugi/e3", nce=False)
        await desk.person("suspend", "mulini/e1")
        await desk.person("cancel", "scuola-sci/business-standard")
        await desk.person("change", "traghetti/business-standard", quantity=10)
        world.set_clock("2022-07-13T12:00:00Z")
        writes, held = desk.writes(), world.subscriptions()
        _, sentence, red = await desk.compare("second")
        found = await desk.found()
        assert {name: (status.kind, status.gap) for name, status in found.items()} == {
            "rifugi/e3": (K.DOUBLE_COVERAGE, G.DOUBLE),
            "mulini/e1": (K.NCE_SUSPENDED, G.ZERO),
            "scuola-sci/business-standard": (K.NCE_CANCELLED, G.ZERO),
            "traghetti/business-standard": (K.SEATS_SHORT, G.NONE),
            "traghetti/power-bi": (K.CONVERTED_BY_OTHERS, G.NONE),
            "traghetti/business-basic": (K.SAME_PRODUCT_CANDIDATE, G.NONE),
        }
        assert all("Who acts: operator." in status.sentence for status in found.values())
        assert red
        assert (
            "2 subscriptions without coverage, 1 covered twice, at alpina-informatica, delta-reti" in sentence
        )
        signals = await desk.ledger.coverage_signals(CAMPAIGN)
        assert (signals.zero, signals.double, dict(signals.by_partner)) == (
            2, 1, {"alpina-informatica": (1, 1), "delta-reti": (1, 0)},
        )  # fmt: skip

        # The one write: legacy that our own active purchase covers, past the gate. All else is untouched.
        assert desk.writes() == writes + 1
        assert await desk.state_of("rifugi/aad-p1") is S.CONVERTED
        now = world.subscriptions()
        changed = {key for key, row in now.items() if row["status"] != held[key]["status"]}
        assert changed == {desk.ids["rifugi/aad-p1"].lower()}

        # People put things right; one customer cannot be read meanwhile, and its finding stays.
        await desk.person("suspend", "rifugi/e3", nce=False)
        await desk.person("reactivate", "mulini/e1")
        fault = {
            "operation": "get_subscriptions", "kind": "status", "status": 403, "code": 20002,
            "description": "no relationship", "count": None,
            "match": {"customer": desk.customers["mulini/e1"]},
        }  # fmt: skip
        desk.faults("POST", fault)
        came_to, sentence, red = await desk.compare("third")
        assert {"mulini/e1", "scuola-sci/business-standard"} <= (await desk.found()).keys()
        assert "rifugi/e3" not in await desk.found()
        assert "was not compared: Partner Center did not accept" in came_to["delta-reti"].unread
        assert "Compared 4 of 5 partners. Not compared: 1 not;" in sentence
        assert red
        assert [each["used"] > 0 for each in desk.faults("GET")] == [True]
        desk.faults("DELETE")

        # It can be read again: gone. And what comes back is told as such, in one row with its history.
        await desk.compare("fourth")
        assert "mulini/e1" not in await desk.found()
        await desk.person("suspend", "mulini/e1")
        came_to, _, _ = await desk.compare("fifth")
        assert (await desk.found())["mulini/e1"].times == 2
        assert len(came_to["delta-reti"].changes.returned) == 1
        told = [
            entry
            for entry in await desk.ledger.explain(CAMPAIGN, desk.ids["mulini/e1"])
            if entry.kind == "finding"
        ]
        assert [entry.facts["event"] for entry in told] == ["opened", "resolved", "returned"]
