"""A simulator under test: an in-process client, both token kinds, and real time that only the test moves."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

import httpx

from simulator.app import create_app
from simulator.clock import Mode
from simulator.simulation import Simulation

PROVIDER = "3b33e682-00c3-41ee-9dd2-a548adf56438"
CLIENT = "5d1f2c0e-8a57-4b53-9a45-0f2d0b1f3c11"
SECRET, REFRESH = "client-secret", "refresh-token"
AUDIENCE = "https://api.partnercenter.microsoft.com"
PREMIUM = "031C9E47-4802-4248-838E-778FB1D2CC05"
E3 = "796B6B5F-613C-4E24-A17C-EBA730D49C02"
AUDIO = "A2706F86-868D-4048-989B-0C69E5C76B63"
NO_PATH = "16C9F982-A827-4003-A88E-E75DF1927F27"
FACULTY = "9AE3C7D4-42E1-4B5A-9E1C-8A3F3B2E7F10"
START = "2022-07-11T06:00:00Z"


def scenario(*subscriptions: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A story with one partner `rossi` and one customer `alfa` who has these subscriptions."""
    story: dict[str, Any] = {
        "name": "test",
        "clock": {"starts_at": START, "ends_at": "2022-09-01T00:00:00Z"},
        "provider": {
            "tenant_id": PROVIDER,
            "mpn_id": "1000001",
            "applications": [{"client_id": CLIENT, "client_secret": SECRET, "refresh_token": REFRESH}],
        },
        "defaults": {"migration": {"takes": "PT4H"}},
        "offers": [
            {"offer_id": PREMIUM, "name": "Business Premium", "nce": "CFQ7TTC0LDPB:0001", "seat_cap": 300},
            {"offer_id": E3, "name": "Enterprise E3", "nce": "CFQ7TTC0LF8R:0001"},
            {"offer_id": AUDIO, "name": "Audio", "kind": "addon", "nce": "CFQ7TTC0LHSL:0001"},
            {"offer_id": NO_PATH, "name": "AAD P1", "nce": "CFQ7TTC0LFLS:0002", "migration_path": False},
            {"offer_id": FACULTY, "name": "A3 for Faculty", "segment": "education"},
            {"offer_id": "MS-AZR-0145P", "name": "Microsoft Azure", "kind": "azure"},
        ],
        "products": [
            {
                "product": "CFQ7TTC0LDPB",
                "title": "Business Standard",
                "skus": [{"sku": "0001", "max": 300, "seat_cap": 300, "upgrades_to": ["CFQ7TTC0LF8R:0001"]}],
            },
            {"product": "CFQ7TTC0LF8R", "title": "Office 365 E3", "skus": [{"sku": "0001"}]},
            {
                "product": "CFQ7TTC0LHSL",
                "title": "Audio Conferencing",
                "skus": [{"sku": "0001", "addon_of": ["CFQ7TTC0LDPB:0001", "CFQ7TTC0LF8R:0001"]}],
            },
            {"product": "CFQ7TTC0LFLS", "title": "AAD P1", "skus": [{"sku": "0002"}]},
        ],
        "partners": [
            {
                "id": "rossi",
                "name": "Rossi Informatica",
                "mpn_id": "4847383",
                "pga_id": "4847380",
                "customers": [{"key": "alfa", "name": "Alfa", "subscriptions": list(subscriptions)}],
            }
        ],
    }
    return story | changes


def legacy(key: str = "premium", **changes: Any) -> dict[str, Any]:
    """A legacy subscription that ends on 15 July."""
    return {"key": key, "offer": PREMIUM, "seats": 12, "ends_at": "2022-07-15T08:00:00Z"} | changes


def at(text: str) -> datetime:
    """An ISO moment."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(timezone.utc)


Kind = Literal["app", "user"]
USER: Kind = "user"


class Bench:
    """One simulation, its client, and `real_ns`: the real time that the simulator sees."""

    def __init__(self, story: dict[str, Any], state: Path | None, mode: Mode) -> None:
        self.real_ns = 1_000_000_000
        self.simulation = Simulation(
            json.dumps(story), state=state, mode=mode, monotonic=lambda: self.real_ns
        )
        transport = httpx.ASGITransport(create_app(self.simulation))
        self.http = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")
        self._tokens: dict[str, str] = {}
        self.story = self.simulation.world.scenario

    @property
    def alfa(self) -> str:
        """The tenant id of the customer `alfa`."""
        return self.customer("alfa")

    def customer(self, key: str) -> str:
        """A customer's tenant id."""
        tenant = self.story.find_customer(key)
        assert tenant is not None
        return tenant

    def id(self, key: str) -> str:
        """The id of a subscription."""
        (found,) = self.story.find_subscriptions(key)
        return found

    async def token(self, kind: Kind) -> str:
        """A bearer token: `app` or `user`."""
        if kind not in self._tokens:
            form = {"client_id": CLIENT, "client_secret": SECRET, "resource": AUDIENCE}
            form |= (
                {"grant_type": "client_credentials"}
                if kind == "app"
                else {"grant_type": "refresh_token", "refresh_token": REFRESH, "scope": "openid"}
            )
            answer = await self.http.post(f"/{PROVIDER}/oauth2/token", data=form)
            assert answer.status_code == 200, answer.text
            self._tokens[kind] = answer.json()["access_token"]
        return self._tokens[kind]

    async def call(
        self,
        method: str,
        path: str,
        *,
        token: Kind | None = USER,
        headers: Any = None,
        **more: Any,
    ) -> httpx.Response:
        """One call below /v1."""
        sent = dict(headers or {})
        if token:
            sent["Authorization"] = f"Bearer {await self.token(token)}"
        return await self.http.request(method, f"/v1{path}", headers=sent, **more)

    async def get(self, path: str, **more: Any) -> httpx.Response:
        """A GET below /v1."""
        return await self.call("GET", path, **more)

    async def post(self, path: str, body: Any = None, **more: Any) -> httpx.Response:
        """A POST below /v1."""
        return await self.call("POST", path, json=body, **more)

    async def subscription(self, key: str) -> dict[str, Any]:
        """A subscription as the API shows it."""
        answer = await self.get(f"/customers/{self.alfa}/subscriptions/{self.id(key)}")
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def patch(self, key: str, *, headers: Any = None, **changes: Any) -> httpx.Response:
        """Reads a subscription, changes it, sends it back."""
        body = await self.subscription(key) | changes
        path = f"/customers/{self.alfa}/subscriptions/{body['id']}"
        return await self.call("PATCH", path, json=body, headers=headers)

    async def validate(self, key: str, **more: Any) -> dict[str, Any]:
        """The verdict on a migration."""
        path = f"/customers/{self.alfa}/migrations/newcommerce/validate"
        answer = await self.post(path, {"currentSubscriptionId": self.id(key), **more})
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def migrate(self, key: str, *, headers: Any = None, **more: Any) -> httpx.Response:
        """Creates a migration."""
        path = f"/customers/{self.alfa}/migrations/newcommerce"
        return await self.post(path, {"currentSubscriptionId": self.id(key), **more}, headers=headers)

    async def migration(self, migration_id: str) -> dict[str, Any]:
        """A migration as the API shows it."""
        answer = await self.get(f"/customers/{self.alfa}/migrations/newcommerce/{migration_id}")
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def control(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """A call of the control surface."""
        return await self.http.request(method, f"/__sim__{path}", json=body)

    async def go_to(self, moment: str) -> None:
        """Moves the campaign clock."""
        answer = await self.control("POST", "/clock/advance", {"to": moment})
        assert answer.status_code == 200, answer.text

    async def fault(self, operation: str, kind: str, **more: Any) -> str:
        """Queues a fault and returns its id."""
        answer = await self.control("POST", "/faults", {"operation": operation, "kind": kind, **more})
        assert answer.status_code == 200, answer.text
        name: str = answer.json()[0]["id"]
        return name

    async def state_of(self, key: str) -> dict[str, Any]:
        """A subscription as the control surface shows it."""
        body: dict[str, Any] = (await self.control("GET", f"/state/subscriptions/{self.id(key)}")).json()
        return body

    async def nce_of(self, key: str) -> dict[str, Any]:
        """The one new-commerce subscription that came from a legacy one."""
        answer = await self.get(f"/customers/{self.alfa}/subscriptions")
        (found,) = (
            item for item in answer.json()["items"] if item.get("migratedFromSubscriptionId") == self.id(key)
        )
        return dict(found)


@asynccontextmanager
async def bench(
    *subscriptions: dict[str, Any], state: Path | None = None, mode: Mode = "manual", **changes: Any
) -> AsyncIterator[Bench]:
    """A simulator with these subscriptions of one customer, open for one test."""
    made = Bench(scenario(*subscriptions, **changes), state, mode)
    async with made.http:
        yield made
    made.simulation.close()
