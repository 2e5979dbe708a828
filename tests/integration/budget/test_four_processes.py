"""Four processes, one budget, real time: every window is used up and Microsoft never has to refuse."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from include.nce.ledger.ledger import PostgresLedger
from tests.integration.budget.caller import CALLS_AT_ONCE
from tests.integration.budget.counting_server import CountingServer, serving

CHECKOUT = Path(__file__).resolve().parents[3]
CALLS, SECONDS, FULL_WINDOWS = 100, 30.0, 3
"""Half of Microsoft's minute: what a busy machine takes from a call in a shorter window is this test's own
load, not the budget. Sixty windows are looked at on a clock of their own (tests/unit/ledger), thirty by the
benchmark."""
START_SECONDS = 90.0
"""Airflow's part of the client takes its time to be imported."""


@asynccontextmanager
async def processes(
    number: int, database: str, server: CountingServer
) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    """So many callers; whoever is still alive at the end is ended."""
    environment = {
        **os.environ,
        "AIRFLOW_CONN_NCE_LEDGER": database.replace("postgresql+psycopg://", "postgres://"),
        "PYTHONPATH": str(CHECKOUT),
    }
    started: list[asyncio.subprocess.Process] = []
    try:
        for _ in range(number):
            started.append(
                await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "tests.integration.budget.caller"),
                    *(server.address, str(server.calls), str(server.seconds)),
                    env=environment,
                )
            )
        yield started
        assert [process.returncode for process in started[:4]] == [None] * 4  # nobody gave up
    finally:
        for process in started:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def until(wanted: Callable[[], Awaitable[bool]]) -> None:
    while not await wanted():  # noqa: ASYNC110 - a database does not call back
        await asyncio.sleep(0.05)


async def after(windows: int, server: CountingServer) -> list[int]:
    """The calls in each of so many windows, once they are over."""
    await asyncio.wait_for(server.called.wait(), START_SECONDS)
    last_ends_at = server.arrivals[0] + windows * server.seconds
    await asyncio.sleep(last_ends_at - asyncio.get_running_loop().time() + 0.1)
    return [server.in_window(number) for number in range(windows)]


def assert_used_up_and_never_refused(used: list[int], server: CountingServer) -> None:
    assert (min(used) >= 95, server.refused) == (True, 0), f"used {used}, refused {server.refused}"


@pytest.mark.timeout(240)
async def test_four_processes_use_each_window_up_and_are_never_throttled(ledger_database):
    async with (
        serving(CALLS, SECONDS, 4 * CALLS_AT_ONCE) as server,
        processes(4, ledger_database, server),
    ):
        used = await after(FULL_WINDOWS, server)
    assert_used_up_and_never_refused(used, server)


@pytest.mark.timeout(240)
async def test_a_process_that_dies_while_it_waits_takes_nothing_from_the_others(ledger_database):
    async with (
        PostgresLedger.open(ledger_database, pool_size=1) as ledger,
        serving(CALLS, SECONDS, 5 * CALLS_AT_ONCE) as server,
        processes(5, ledger_database, server) as started,
    ):

        async def all_wait() -> bool:
            _, found = await ledger.call_budgets()
            return any(status.waiting == 5 * CALLS_AT_ONCE for status in found)

        await asyncio.wait_for(until(all_wait), START_SECONDS)
        started[4].kill()
        used = await after(FULL_WINDOWS, server)
    assert_used_up_and_never_refused(used, server)
