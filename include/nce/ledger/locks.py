"""Locks between processes: names turned into PostgreSQL's 64-bit keys, and the single writer's own session.

Responsible for holding a lock and for proving that it is still held. Who has to hold one before what is the
steps' business.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Iterable

import psycopg
from sqlalchemy.engine import URL

from include.nce.domain.errors import Busy

CONNECT_SECONDS = 10
ANSWER_SECONDS = 10


def lock_key(*names: str) -> int:
    """A stable signed 64-bit key for these names, the same on every machine; case makes no difference."""
    text = "\x1f".join(("nce", *names)).lower()
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)


class SessionWriter:
    """The single writer's lock, alive as long as its own database session."""

    def __init__(self, connection: psycopg.AsyncConnection[tuple[int, int]], keys: Iterable[int]) -> None:
        self._connection = connection
        self._keys = frozenset(keys)

    async def still_held(self) -> bool:
        """True when the server still lists every lock under this very session, and may be written to.

        False when it is a standby, when the session ended or does not answer within `ANSWER_SECONDS`, and
        when another backend answers, as behind a pooler that hands out a session for one transaction.
        """
        try:
            held = await asyncio.wait_for(self._listed(), ANSWER_SECONDS)
        except (TimeoutError, psycopg.Error, OSError):
            return False
        return self._keys <= held

    async def _listed(self) -> set[int]:
        # PostgreSQL splits a 64-bit key over two columns, and marks it with objsubid 1.
        cursor = await self._connection.execute(
            "SELECT classid::bigint, objid::bigint FROM pg_locks"
            " WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND pid = pg_backend_pid()"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND NOT pg_is_in_recovery()"
        )
        return {_signed(high, low) for high, low in await cursor.fetchall()}


def _signed(high: int, low: int) -> int:
    return int.from_bytes(((high << 32) | low).to_bytes(8, "big"), "big", signed=True)


@contextlib.asynccontextmanager
async def hold(url: URL, keys: Iterable[int]) -> AsyncIterator[SessionWriter]:
    """All of `keys` at once or none, on a connection of its own; raises `Busy` when one is taken.

    The locks belong to the session: when the process dies, PostgreSQL gives them back. So that a machine that
    vanished without a word gives them back as well, the server probes this connection and drops it after
    about a minute.

    The session must be ours alone. Behind PgBouncer that means `pool_mode = session` (or an address that goes
    past it): with `transaction` the lock would stay with a server connection that others use. That is
    noticed, not tolerated: the lock is looked up again in a statement of its own, and `still_held` says no.
    """
    wanted = sorted(set(keys))
    conninfo = url.set(drivername="postgresql").render_as_string(hide_password=False)
    connection: psycopg.AsyncConnection[tuple[int, int]] = await psycopg.AsyncConnection.connect(
        conninfo,
        autocommit=True,
        connect_timeout=CONNECT_SECONDS,
        prepare_threshold=None,
        application_name="nce single writer",
    )
    try:
        await connection.execute(
            "SELECT set_config('tcp_keepalives_idle', '30', false),"
            " set_config('tcp_keepalives_interval', '10', false),"
            " set_config('tcp_keepalives_count', '3', false),"
            " set_config('idle_session_timeout', '0', false)"
        )
        for key in wanted:
            cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", [key])
            row = await cursor.fetchone()
            if row is None or not row[0]:
                raise Busy("Somebody else is converting this subscription right now.")
        writer = SessionWriter(connection, wanted)
        if not await writer.still_held():
            raise Busy(
                "The lock did not stay with its session: the ledger is behind a pooler that shares sessions; "
                f"give the connection the address of PostgreSQL itself instead of {url.host}:{url.port}."
            )
        yield writer
    finally:
        # Given back by word: the server notices a closed connection a moment later than we do.
        try:
            with contextlib.suppress(psycopg.Error, OSError, asyncio.TimeoutError):
                await asyncio.wait_for(connection.execute("SELECT pg_advisory_unlock_all()"), ANSWER_SECONDS)
        finally:
            await connection.close()
