"""The credential store on a real PostgreSQL: sealed, shared, one writer at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from include.nce.domain.errors import InputRefused
from include.nce.ledger.credentials import SealedCredentials
from include.nce.partner_center.connection import PartnerCenterConnection

KEY, NEW_KEY = Fernet.generate_key().decode(), Fernet.generate_key().decode()
TOKEN = "0.refresh-token-of-the-service-account"


@pytest.fixture
async def engine(ledger_database: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(ledger_database)
    yield engine
    await engine.dispose()


def store(engine: AsyncEngine, keys: str = KEY, fingerprint: str = "first") -> SealedCredentials:
    return SealedCredentials(
        engine, tenant_id="tenant", client_id="client", fingerprint=fingerprint, fernet_keys=keys
    )


async def keep(kept_in: SealedCredentials, **values: Any) -> None:
    async with kept_in.changing() as document:
        document.update(values)


async def rows(engine: AsyncEngine) -> list[Any]:
    async with engine.connect() as connection:
        return list(await connection.execute(text("SELECT * FROM credentials ORDER BY fingerprint")))


async def test_what_one_process_keeps_the_next_one_reads(engine: AsyncEngine) -> None:
    await keep(store(engine), refresh_token=TOKEN)
    assert await store(engine).read() == {"refresh_token": TOKEN}


async def test_nothing_kept_is_an_empty_document_and_no_row(engine: AsyncEngine) -> None:
    async with store(engine).changing() as document:
        assert document == {}
    assert await store(engine).read() == {}
    assert await rows(engine) == []


async def test_the_table_shows_no_token(engine: AsyncEngine) -> None:
    await keep(store(engine), refresh_token=TOKEN)
    assert TOKEN not in str(await rows(engine))


async def test_the_text_of_a_store_shows_neither_key_nor_token(engine: AsyncEngine) -> None:
    kept_in = store(engine)
    await keep(kept_in, refresh_token=TOKEN)
    assert KEY not in repr(kept_in) + repr(vars(kept_in))
    assert TOKEN not in repr(vars(kept_in))


async def test_after_an_error_what_was_kept_before_stays(engine: AsyncEngine) -> None:
    await keep(store(engine), refresh_token=TOKEN)
    with pytest.raises(RuntimeError):
        await _change_and_fail(store(engine))
    assert await store(engine).read() == {"refresh_token": TOKEN}


async def _change_and_fail(kept_in: SealedCredentials) -> None:
    async with kept_in.changing() as document:
        document["refresh_token"] = "lost"
        raise RuntimeError


async def test_a_second_writer_waits_and_sees_what_the_first_one_kept(engine: AsyncEngine) -> None:
    holds, may_end = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with store(engine).changing() as document:
            holds.set()
            await may_end.wait()
            document["refresh_token"] = "from the first"

    async def second() -> Any:
        async with store(engine).changing() as document:
            return document.get("refresh_token")

    writing = asyncio.create_task(first())
    await holds.wait()
    waiting = asyncio.create_task(second())
    await _until_somebody_waits(engine)
    assert not waiting.done()
    may_end.set()
    await writing
    assert await waiting == "from the first"


async def _until_somebody_waits(engine: AsyncEngine) -> None:
    waits = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    async with engine.connect() as connection:
        while not await connection.scalar(waits):  # noqa: ASYNC110 - only PostgreSQL knows
            await asyncio.sleep(0.01)


async def test_a_reader_does_not_wait_for_a_writer(engine: AsyncEngine) -> None:
    await keep(store(engine), refresh_token=TOKEN)
    async with store(engine).changing() as document:
        document["refresh_token"] = "new"
        assert await asyncio.wait_for(store(engine).read(), 5) == {"refresh_token": TOKEN}


async def test_writers_of_different_sign_ins_do_not_wait_for_each_other(engine: AsyncEngine) -> None:
    async with store(engine).changing():
        await asyncio.wait_for(keep(store(engine, fingerprint="second"), refresh_token=TOKEN), 5)


async def test_a_new_token_that_an_operator_enters_counts_and_the_old_one_is_still_there(
    engine: AsyncEngine,
) -> None:
    def sign_in(refresh_token: str) -> SealedCredentials:
        entered = PartnerCenterConnection("tenant", "client", "secret", refresh_token=refresh_token)
        return store(engine, fingerprint=entered.fingerprint)

    await keep(sign_in("first"), refresh_token="rotated from the first")
    assert await sign_in("second").read() == {}
    await keep(sign_in("second"), refresh_token="rotated from the second")
    assert await sign_in("first").read() == {"refresh_token": "rotated from the first"}


def test_a_new_client_secret_does_not_lose_the_rotated_token() -> None:
    old = PartnerCenterConnection("tenant", "client", "old secret", refresh_token="token")
    new = PartnerCenterConnection("tenant", "client", "new secret", refresh_token="token")
    assert old.fingerprint == new.fingerprint


def test_the_fingerprint_does_not_give_the_token_away() -> None:
    assert TOKEN not in PartnerCenterConnection("t", "c", "s", refresh_token=TOKEN).fingerprint


async def test_a_new_first_key_reads_what_the_old_one_sealed_and_seals_the_next(engine: AsyncEngine) -> None:
    await keep(store(engine, KEY), refresh_token=TOKEN)
    both = store(engine, f"{NEW_KEY}, {KEY}")
    assert await both.read() == {"refresh_token": TOKEN}
    await keep(both, refresh_token="rotated")
    assert await store(engine, NEW_KEY).read() == {"refresh_token": "rotated"}


async def test_a_lost_key_is_told_and_overwrites_nothing(engine: AsyncEngine) -> None:
    await keep(store(engine, KEY), refresh_token=TOKEN)
    with pytest.raises(InputRefused, match=r"give \[core\] fernet_key back the key"):
        await store(engine, NEW_KEY).read()
    with pytest.raises(InputRefused, match=r"give \[core\] fernet_key back the key"):
        await keep(store(engine, NEW_KEY), refresh_token="other")
    assert await store(engine, KEY).read() == {"refresh_token": TOKEN}


@pytest.mark.parametrize(
    "keys",
    ["", " , ", "not-a-key", f"{KEY},not-a-key"],
    ids=["empty", "commas", "no key", "a key and none"],
)
async def test_a_key_that_is_none_is_refused_without_being_repeated(engine: AsyncEngine, keys: str) -> None:
    with pytest.raises(InputRefused) as refused:
        store(engine, keys)
    assert refused.value.faults[0].startswith("Airflow's [core] fernet_key has no usable key")
    assert "not-a-key" not in str(refused.value)


async def test_what_microsoft_would_not_accept_any_more_is_deleted(engine: AsyncEngine) -> None:
    for fingerprint, age in [("dead", timedelta(days=91)), ("alive", timedelta(days=89))]:
        await keep(store(engine, fingerprint=fingerprint), refresh_token=TOKEN)
        async with engine.begin() as connection:
            await connection.execute(
                text("UPDATE credentials SET changed_at = now() - :age WHERE fingerprint = :name"),
                {"age": age, "name": fingerprint},
            )
    await keep(store(engine), refresh_token=TOKEN)
    assert [row.fingerprint for row in await rows(engine)] == ["alive", "first"]
