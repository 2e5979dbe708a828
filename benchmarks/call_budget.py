"""What the shared call budget costs: `python -m benchmarks.call_budget` (needs NCE_DATABASE_URL).

Reads one customer after another from a server on this machine, as it is and as if it were 100 ms away,
without a budget and with one; then asks the budget alone, from one process and from four that share one row;
then lets four processes call as often as they may, for thirty windows (five minutes). The last figures stand
in benchmarks/call_budget.md.
"""

from __future__ import annotations

import asyncio
import functools
import os
import platform
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack

from sqlalchemy import make_url

from include.nce.ledger.ledger import PostgresLedger
from include.nce.ledger.migrate import upgrade
from include.nce.partner_center.budget import SharedBudget
from include.nce.partner_center.client import PartnerCenterClient
from include.nce.partner_center.connection import PartnerCenterConnection
from include.nce.partner_center.transport import Budget, Unlimited
from scripts.stack import databases
from tests.integration.budget import counting_server, test_four_processes
from tests.integration.budget.caller import CALLS_AT_ONCE
from tests.support.partner_center_server import Reply, serving

CALLS = 200
AT_ONCE = 8
ROUNDS = 3
WINDOWS, WINDOW_SECONDS = 30, 10.0
LATENCY_SECONDS = 0.1
CUSTOMERS = [str(uuid.UUID(int=number)) for number in range(CALLS)]


async def calls_per_second(work: Callable[[int], Awaitable[object]], at_once: int) -> float:
    turns = iter(range(CALLS))

    async def worker() -> None:
        for turn in turns:
            await work(turn)

    started = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    return CALLS / (time.perf_counter() - started)


async def through_the_client(url: str) -> list[tuple[str, float, float]]:
    """(what, calls/s without a budget, calls/s with one), medians of rounds in turn."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving())
        ledger = await stack.enter_async_context(PostgresLedger.open(url, pool_size=2))
        settings = PartnerCenterConnection.from_airflow(server.airflow_connection())
        for customer in CUSTOMERS[:20]:
            server.on("GET", f"/v1/customers/{customer}", Reply(200, {"id": customer}))

        async def client(budget: Budget) -> PartnerCenterClient:
            return await stack.enter_async_context(PartnerCenterClient(settings, budget=budget))

        without = await client(Unlimited())
        with_one = await client(SharedBudget(ledger, settings.tenant_id, settings.limits))
        lines = []
        for at_once, way_seconds in ((1, 0.0), (AT_ONCE, 0.0), (AT_ONCE, LATENCY_SECONDS)):

            async def read(client: PartnerCenterClient, turn: int, way_seconds: float = way_seconds) -> None:
                await client.customers.get(CUSTOMERS[turn % 20])
                await asyncio.sleep(way_seconds)

            rates: dict[PartnerCenterClient, list[float]] = {without: [], with_one: []}
            for _ in range(ROUNDS):
                for measured, results in rates.items():
                    results.append(await calls_per_second(functools.partial(read, measured), at_once))
            lines.append(
                (
                    f"{at_once} at once, {1000 * way_seconds:.0f} ms away",
                    statistics.median(rates[without]),
                    statistics.median(rates[with_one]),
                )
            )
        return lines


async def bookings_per_second(url: str, row: str) -> float:
    """How fast one process is given moments on a row that may be full; a refusal costs as much as a yes."""
    async with PostgresLedger.open(url, pool_size=2) as ledger:

        async def book(turn: int) -> object:
            return await ledger.book_call(
                "provider", "resources", row, calls=500, window_seconds=60.0, longest_wait_seconds=0.0
            )

        return await calls_per_second(book, 2)


def one_process(url: str, row: str) -> float:
    return asyncio.run(bookings_per_second(url, row))


async def calls_in_each_window(url: str) -> tuple[list[int], int]:
    """What four processes make of each window, and how often a server with a sliding one refuses."""
    calls, seconds = test_four_processes.CALLS, WINDOW_SECONDS
    async with (
        counting_server.serving(calls, seconds, 4 * CALLS_AT_ONCE) as server,
        test_four_processes.processes(4, url, server),
    ):
        return await test_four_processes.after(WINDOWS, server), server.refused


def main() -> None:
    server = make_url(os.environ["NCE_DATABASE_URL"]).set(drivername="postgresql+psycopg")
    name = f"nce_benchmark_{os.getpid()}"
    with databases.connect(server) as connection:
        databases.create(connection, name)
        try:
            url = server.set(database=name).render_as_string(hide_password=False)
            upgrade(url)
            print(f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}")
            for what, without, with_one in asyncio.run(through_the_client(url)):
                cost = 1000 / with_one - 1000 / without
                print(
                    f"reads, {what}: {without:.0f}/s without a budget, {with_one:.0f}/s with one "
                    f"(ratio {with_one / without:.2f}, {cost:.1f} ms a call)"
                )
            print(f"bookings, 1 process: {one_process(url, 'alone'):.0f}/s")
            with ProcessPoolExecutor(4) as pool:
                rates = list(pool.map(one_process, [url] * 4, ["shared"] * 4))
            print(f"bookings, 4 processes on one row: {sum(rates):.0f}/s together")
            used, refused = asyncio.run(calls_in_each_window(url))
            print(f"4 processes, calls in each of {WINDOWS} windows: {used}; refused: {refused}")
        finally:
            databases.drop(connection, name)


if __name__ == "__main__":
    main()
