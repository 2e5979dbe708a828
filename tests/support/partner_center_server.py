"""A small real HTTP server that answers as a test tells it and remembers what was asked.

For the client's own tests. It knows nothing of Partner Center's rules: those live in the simulator.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

TENANT = "3b33e682-00c3-41ee-9dd2-a548adf56438"


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Reply:
    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str | None = None


class Drop:
    """The connection breaks after the request arrived."""


class Hang:
    """No answer comes, for as long as the client waits."""


class PartnerCenterServer:
    """`on("GET", "/v1/customers", Reply(...), ...)` queues answers; the last one stays."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.signed_in: list[dict[str, str]] = []
        self.token_reply: Callable[[dict[str, str], int], Reply] = _token
        self.address = ""
        self._answers: dict[tuple[str, str], deque[Any]] = defaultdict(deque)
        self._closing = asyncio.Event()

    def on(self, method: str, path: str, *answers: Any) -> None:
        self._answers[method, path].extend(answers)

    def requests(self, method: str, path: str) -> list[Asked]:
        return [asked for asked in self.asked if (asked.method, asked.path) == (method, path)]

    def airflow_connection(self, **extra: Any) -> SimpleNamespace:
        """As Airflow hands it out, pointing here."""
        host, port = self.address.removeprefix("http://").split(":")
        return SimpleNamespace(
            host=host,
            port=int(port),
            schema="http",
            login="client-id",
            password="client-secret",
            extra_dejson={
                "tenant_id": TENANT,
                "refresh_token": "first-refresh-token",
                "authority": self.address,
                "rehearsal": True,
                **extra,
            },
        )

    async def answer(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        if request.path.endswith("/oauth2/v2.0/token"):
            form = {name: values[0] for name, values in parse_qs(text).items()}
            self.signed_in.append(form)
            return _response(self.token_reply(form, len(self.signed_in)))
        self.asked.append(
            Asked(
                request.method,
                request.path,
                dict(request.query),
                {name.lower(): value for name, value in request.headers.items()},
                json.loads(text) if text else None,
            )
        )
        answers = self._answers.get((request.method, request.path))
        if not answers:
            return _response(Reply(404, {"code": 1000, "description": "not told to answer"}))
        reply = answers.popleft() if len(answers) > 1 else answers[0]
        if isinstance(reply, Drop):
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        if isinstance(reply, Hang):
            await self._closing.wait()
            return web.Response(status=500)
        return _response(reply)

    def close(self) -> None:
        self._closing.set()


def _token(form: dict[str, str], number: int) -> Reply:
    kind = "user" if form["grant_type"] == "refresh_token" else "app"
    token: dict[str, Any] = {
        "token_type": "Bearer",
        "expires_in": "3599",
        "access_token": f"{kind}-token-{number}",
    }
    if kind == "user":
        token["refresh_token"] = form["refresh_token"]
    return Reply(200, token)


def _response(reply: Reply) -> web.Response:
    text = reply.text if reply.text is not None else "" if reply.body is None else json.dumps(reply.body)
    return web.Response(
        status=reply.status, text=text, headers=reply.headers, content_type="application/json"
    )


@asynccontextmanager
async def serving() -> AsyncIterator[PartnerCenterServer]:
    server = PartnerCenterServer()
    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=1, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        server.address = f"http://{host}:{port}"
        yield server
    finally:
        server.close()
        await runner.cleanup()
