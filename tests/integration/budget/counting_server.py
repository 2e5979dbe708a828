"""A server with one rate limit for one customer: 429 for what is too much, and a record of what arrived."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

TENANT = "3b33e682-00c3-41ee-9dd2-a548adf56438"
CUSTOMER = "d3a1f6c0-0000-4000-8000-000000000001"


class CountingServer:
    """The window slides and refused calls count as well: the strictest reading of what is published.

    Calls that are not counted are answered once `expected` of them have come, so that all callers begin
    together.
    """

    def __init__(self, calls: int, seconds: float, expected: int) -> None:
        self._expected = expected
        self._everybody_is_here = asyncio.Event()
        self.calls, self.seconds = calls, seconds
        self.arrivals: list[float] = []
        self.called = asyncio.Event()
        self.refused = 0
        self.address = ""

    def in_window(self, number: int) -> int:
        """Calls in the window of this number, counted from the first arrival."""
        first = self.arrivals[0] + number * self.seconds
        return sum(first <= at < first + self.seconds for at in self.arrivals)

    async def answer(self, request: web.Request) -> web.Response:
        if request.path.endswith("/token"):
            return web.json_response(
                {"token_type": "Bearer", "expires_in": "3599", "access_token": "issued-by-nobody"}
            )
        if not request.path.startswith(f"/v1/customers/{CUSTOMER}"):
            self._expected -= 1
            if self._expected == 0:
                self._everybody_is_here.set()
            await self._everybody_is_here.wait()
            return web.json_response({"totalCount": 0, "items": []})
        now = time.monotonic()
        self.arrivals.append(now)
        self.called.set()
        if sum(at > now - self.seconds for at in self.arrivals) > self.calls:
            self.refused += 1
            return web.json_response({"statusCode": 429, "message": "Rate limit is exceeded."}, status=429)
        return web.json_response({"id": CUSTOMER, "companyProfile": {"tenantId": CUSTOMER}})


@asynccontextmanager
async def serving(calls: int, seconds: float, expected: int) -> AsyncIterator[CountingServer]:
    server = CountingServer(calls, seconds, expected)
    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=1, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        server.address = f"http://{host}:{port}"
        yield server
    finally:
        await runner.cleanup()
