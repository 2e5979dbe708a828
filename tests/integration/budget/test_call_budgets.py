"""The shared count on PostgreSQL: two ledgers as two machines, and what the database does when one fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

from include.nce.ledger import call_budgets
from include.nce.ledger.call_budgets import CallBudgetStatus, CallSlot
from include.nce.ledger.ledger import PostgresLedger

PROVIDER, CUSTOMER = "provider", "customer"


@pytest.fixture
async def here(ledger_database: str) -> AsyncIterator[PostgresLedger]:
    async with PostgresLedger.open(ledger_database, pool_size=4) as ledger:
        yield ledger


@pytest.fixture
async def there(ledger_database: str) -> AsyncIterator[PostgresLedger]:
    async with PostgresLedger.open(ledger_database, pool_size=4) as ledger:
        yield ledger


async def book(ledger: PostgresLedger, tenant: str = CUSTOMER, **changes: Any) -> CallSlot:
    asked: dict[str, Any] = {
        "calls": 10,
        "window_seconds": 300.0,
        "longest_wait_seconds": 1000.0,
        **changes,
    }
    return await ledger.book_call(PROVIDER, "resources", tenant, **asked)


async def status(ledger: PostgresLedger) -> CallBudgetStatus:
    _, (found,) = await ledger.call_budgets()
    return found


@asynccontextmanager
async def row_locked(url: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """Somebody who froze in the middle of a turn."""
    conninfo = url.replace("postgresql+psycopg://", "postgresql://")
    connection = await psycopg.AsyncConnection.connect(conninfo)
    try:
        await connection.execute("SELECT 1 FROM call_budgets FOR UPDATE")
        yield connection
    finally:
        await connection.close()


async def test_two_machines_at_once_let_no_more_through_than_the_limit(here, there):
    slots = await asyncio.gather(*(book(ledger) for ledger in (here, there) * 10))
    assert sum(slot.wait_seconds == 0 for slot in slots) == 10


async def test_each_tenant_has_a_budget_of_its_own(here):
    await asyncio.gather(*(book(here) for _ in range(10)))
    assert (await book(here, tenant="another")).wait_seconds == 0


async def test_a_429_on_one_machine_holds_back_the_other(here, there):
    await here.pause_calls(PROVIDER, "resources", CUSTOMER, seconds=57.0)
    assert (await book(there)).wait_seconds == pytest.approx(57, abs=2)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ((None, None, None), (5, 10, 20)),
        ((3.0, 3.0, 3.0), (3, 6, 12)),
        ((3.0, 57.0, 3.0), (3, 57, 114)),
        ((250.0, 250.0, 400.0), (250, 300, 400)),
    ],
)
async def test_a_429_after_a_429_holds_back_longer_each_time(here, ledger_database, told, expected):
    pauses = []
    for seconds in told:
        pauses.append(await here.pause_calls(PROVIDER, "resources", CUSTOMER, seconds=seconds))
        with create_engine(ledger_database, poolclass=NullPool).begin() as connection:
            connection.execute(  # the pause passes
                text(
                    "UPDATE call_budgets SET throttled_at = now() - (paused_until_at - throttled_at),"
                    " paused_until_at = now()"
                )
            )
    assert pauses == pytest.approx(expected, abs=0.5)


@pytest.mark.parametrize("seconds", [None, 3.0])
async def test_calls_that_were_under_way_at_a_429_do_not_make_the_pause_longer(here, seconds):
    first = await here.pause_calls(PROVIDER, "resources", CUSTOMER, seconds=seconds)
    again = await here.pause_calls(PROVIDER, "resources", CUSTOMER, seconds=seconds)
    assert again == pytest.approx(first, abs=0.5)


async def test_a_429_long_after_the_last_one_is_a_first_one(here, ledger_database):
    await here.pause_calls(PROVIDER, "resources", CUSTOMER, seconds=20.0)
    with create_engine(ledger_database, poolclass=NullPool).begin() as connection:
        connection.execute(
            text(
                "UPDATE call_budgets SET throttled_at = now() - interval '41 s',"
                " paused_until_at = now() - interval '21 s'"
            )
        )
    assert await here.pause_calls(PROVIDER, "resources", CUSTOMER, seconds=20.0) == pytest.approx(20, abs=0.5)


async def test_a_429_holds_back_calls_for_which_microsoft_names_no_limit(here, there):
    await here.pause_calls(PROVIDER, "unpublished", PROVIDER, seconds=57.0)
    slot = await there.book_call(
        PROVIDER, "unpublished", PROVIDER, calls=None, window_seconds=None, longest_wait_seconds=60.0
    )
    assert slot.wait_seconds == pytest.approx(57, abs=2)


async def test_the_view_tells_used_left_waiting_and_when_the_queue_is_drained(here, there):
    await asyncio.gather(*(book(here) for _ in range(13)))
    found = await status(there)
    assert (found.calls, found.used, found.left, found.waiting) == (10, 10, 0, 3)
    assert found.drained_in_seconds == pytest.approx(300 * 1.03 + 2 * 27, abs=2)


async def test_the_view_tells_of_the_last_429(here):
    await here.pause_calls(PROVIDER, "resources", CUSTOMER, seconds=57.0)
    now_at, (found,) = await here.call_budgets()
    assert found.paused_seconds == pytest.approx(57, abs=2)
    assert (now_at - found.throttled_at).total_seconds() == pytest.approx(0, abs=2)


async def test_tenants_that_nobody_asks_about_are_forgotten(here, ledger_database):
    await book(here, tenant="old")
    with create_engine(ledger_database, poolclass=NullPool).begin() as connection:
        connection.execute(text("UPDATE call_budgets SET used_at = now() - interval '25 hours'"))
    await book(here, tenant="new")
    with create_engine(ledger_database, poolclass=NullPool).connect() as connection:
        assert list(connection.scalars(text("SELECT tenant_id FROM call_budgets"))) == ["new"]


async def test_a_turn_that_does_not_come_is_a_connection_error(here, ledger_database, monkeypatch):
    monkeypatch.setattr(call_budgets, "LOCK_SECONDS", 0.2)
    await book(here)
    async with row_locked(ledger_database):
        with pytest.raises(ConnectionError, match="lock timeout"):
            await book(here)


async def test_a_process_that_freezes_in_its_turn_loses_it(here, there, monkeypatch):
    monkeypatch.setattr(call_budgets, "HOLD_SECONDS", 0.2)
    await book(here)

    async def freezes() -> None:
        async with here._turn() as session:
            await session.execute(text("SELECT 1 FROM call_budgets FOR UPDATE"))
            await asyncio.wait_for(book(there), 5)
            await session.execute(text("SELECT 1"))

    with pytest.raises(ConnectionError, match="idle-in-transaction"):
        await freezes()


async def test_a_database_that_is_gone_is_a_connection_error(ledger_database, postgres_server):
    name = make_url(ledger_database).database
    server = create_engine(postgres_server, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    async with PostgresLedger.open(ledger_database) as ledger:
        await book(ledger)
        with server.connect() as connection:
            connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'))
            gone = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
            connection.execute(gone, {"name": name})
        with pytest.raises(ConnectionError, match="not currently accepting connections"):
            await book(ledger)
