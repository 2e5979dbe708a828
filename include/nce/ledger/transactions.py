"""One database transaction after another, on a small bounded pool.

Responsible for the engine and for what every part of the ledger needs of it. What is written in a
transaction belongs to the parts.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any

from sqlalchemy import event, func, select, text
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from include.nce.domain.errors import InputRefused
from include.nce.ledger.locks import lock_key
from include.nce.ledger.tables import RunRow


def make_engine(url: URL, pool_size: int) -> AsyncEngine:
    """At most `pool_size` connections, each checked before use: waits last for weeks, connections do not.

    Statements are not prepared on the server, so that a pooler in front of PostgreSQL does no harm here
    (the single writer needs more: see `locks`). What was bound to a statement is in no error's text, which
    may end in a log. Isolation and time zone are the product's, whatever role and server have as theirs: a
    transaction sees what was committed before each of its statements, and no moment is read in a zone in
    which it does not exist.
    """
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=60,
        pool_pre_ping=True,
        hide_parameters=True,
        isolation_level="READ COMMITTED",
        connect_args={"connect_timeout": 10, "prepare_threshold": None, "application_name": "nce ledger"},
    )
    event.listen(engine.sync_engine, "connect", _in_utc)
    return engine


def _in_utc(connection: DBAPIConnection, _: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("SET TIME ZONE 'UTC'")
    cursor.close()
    connection.commit()


HOLD_STILL_SECONDS = 2
"""How long the last word before a send waits for a lock or an answer before it is left to another try."""


class Transactions:
    """What the parts of the ledger share: `self._transaction()` commits at its end, or leaves no trace."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._engine.url.render_as_string(hide_password=True)})"

    def _transaction(self) -> AbstractAsyncContextManager[AsyncSession]:
        return self._sessions.begin()


async def in_turn(session: AsyncSession, *names: str) -> None:
    """Wait until nobody else is in a transaction about the same names; released with this one."""
    await session.execute(select(func.pg_advisory_xact_lock(lock_key(*names))))


async def campaign_turn(session: AsyncSession, campaign: str) -> None:
    """What is said of a whole campaign (a version, a stop, a release) and the sends that are being let go at
    this moment wait for each other; released with this transaction."""
    await session.execute(select(func.pg_advisory_xact_lock(lock_key("campaign", campaign))))


async def campaign_shared(session: AsyncSession, campaign: str) -> None:
    """Beside others of its kind, and never beside what takes the campaign's turn."""
    await session.execute(select(func.pg_advisory_xact_lock_shared(lock_key("campaign", campaign))))


async def partner_turn(session: AsyncSession, campaign: str, partner: str) -> None:
    """What is said of a partner (an opt-out, a decision, an approval) and its sends take turns. For many
    partners at once, take the campaign's."""
    await session.execute(select(func.pg_advisory_xact_lock(lock_key("partner", campaign, partner))))


async def hold_still(session: AsyncSession, campaign: str, partner: str) -> None:
    """For the last word before a send: nothing is said of the campaign or the partner until this transaction
    ends. Sends of other partners go on. Short, because people and other workers wait meanwhile."""
    await session.execute(text(f"SET LOCAL lock_timeout = '{HOLD_STILL_SECONDS}s'"))
    await session.execute(text(f"SET LOCAL statement_timeout = '{HOLD_STILL_SECONDS}s'"))
    await campaign_shared(session, campaign)
    await partner_turn(session, campaign, partner)


async def find_run(session: AsyncSession, run_id: str, *, lock: bool = False) -> RunRow:
    """The run's row, locked for this transaction when asked; raises InputRefused when it is unknown."""
    run = await session.get(RunRow, run_id, with_for_update=lock or None)
    if run is None:
        raise InputRefused([f"Run '{run_id}' is not in the ledger; it is opened by its first task."])
    return run


def unknown(what: str, name: str, known: Iterable[str], *, where: str) -> InputRefused:
    """The refusal of a name that is not on record, with those that look like it."""
    names = sorted(known)
    close = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.5)
    if close:
        hint = "did you mean " + " or ".join(f"'{match}'" for match in close) + "?"
    elif not names:
        hint = f"{where} has none yet."
    elif len(names) <= 10:
        hint = "known: " + ", ".join(names) + "."
    else:
        hint = f"{where} has {len(names)}, and none looks like it."
    return InputRefused([f"{what} '{name}' is not in {where}; {hint}"])
