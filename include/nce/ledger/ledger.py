"""The ledger: `include.nce.steps.ports.Ledger` on PostgreSQL.

Responsible for putting the parts together, opening them and locking. The parts are `policy`, `runs`,
`opt_outs`, `plans`, `approvals`, `conversions`, `commands`, `waves`, `undo` and `findings`; `reports`,
`previews`, `explain` and `evidence` read for people; `call_budgets` counts calls for the client,
`credentials` keeps what it was issued, `account` says whose ledger it is. The tables' coming and going
belongs to `migrate`.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from psycopg.errors import InsufficientPrivilege, LockNotAvailable, QueryCanceled
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from include.nce.domain.errors import Busy, InputRefused
from include.nce.ledger.account import Accounts
from include.nce.ledger.approvals import Approvals
from include.nce.ledger.call_budgets import CallBudgets
from include.nce.ledger.commands import Commands
from include.nce.ledger.connection import with_driver
from include.nce.ledger.conversions import Conversions
from include.nce.ledger.credentials import Credentials
from include.nce.ledger.evidence import EvidencePacks
from include.nce.ledger.explain import Explanations
from include.nce.ledger.findings import FindingsOnRecord
from include.nce.ledger.locks import SessionWriter, hold, lock_key
from include.nce.ledger.opt_outs import OptOuts
from include.nce.ledger.plan_reports import PlanReports
from include.nce.ledger.plans import Plans
from include.nce.ledger.policy import Policy
from include.nce.ledger.previews import Previews
from include.nce.ledger.questions import Questions
from include.nce.ledger.reports import Reports
from include.nce.ledger.runs import Runs
from include.nce.ledger.starts import Starts
from include.nce.ledger.tables import SCHEMA_REVISION
from include.nce.ledger.transactions import hold_still, make_engine
from include.nce.ledger.undo import UndoCases
from include.nce.ledger.waves import CampaignWaves


class PostgresLedger(
    Policy,
    Runs,
    OptOuts,
    Plans,
    Approvals,
    Conversions,
    Commands,
    CampaignWaves,
    UndoCases,
    FindingsOnRecord,
    Questions,
    Starts,
    CallBudgets,
    Credentials,
    Accounts,
    Reports,
    PlanReports,
    Previews,
    Explanations,
    EvidencePacks,
):
    """Use it as `async with PostgresLedger.open(url) as ledger`. Each method is one transaction.

    One ledger serves all coroutines of one event loop; `pool_size` bounds its connections, to which each
    `single_writer` adds one.
    """

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, url: str | URL, *, pool_size: int = 5) -> AsyncIterator[PostgresLedger]:
        """Connect, check that the tables are there, and close everything at the end.

        Raises InputRefused when the URL is none of PostgreSQL's or the tables are older than this code;
        SQLAlchemy's OperationalError when the server does not answer, which time may cure.
        """
        engine = make_engine(with_driver(url), pool_size)
        try:
            await _check_revision(engine)
            yield cls(engine)
        finally:
            await engine.dispose()

    def single_writer(self, tenant_id: str, *keys: str) -> AbstractAsyncContextManager[SessionWriter]:
        """The only right to write for these subscriptions of a tenant, across runs, workers and machines.

        Raises `Busy` when somebody has one of them. See `locks.hold` for what a pooler in between does to it.
        """
        if not keys:
            raise ValueError("a single writer names what it writes")
        return hold(self._engine.url, [lock_key("writer", tenant_id, key) for key in keys])

    @contextlib.asynccontextmanager
    async def last_word(self, campaign: str, partner: str) -> AsyncIterator[PostgresLedger]:
        """The ledger as it stands now, in one transaction that commits at its end: see `ports.Ledger`."""
        try:
            async with self._transaction() as session:
                await hold_still(session, campaign, partner)
                yield _WithinOne(self._engine, session)
        except OperationalError as error:
            if isinstance(error.orig, LockNotAvailable | QueryCanceled):
                raise Busy(
                    "The ledger is locked by other work; nothing was sent, it is tried again."
                ) from None
            raise


class _WithinOne(PostgresLedger):
    """Everything it is asked is part of one transaction, which is another's to end."""

    def __init__(self, engine: AsyncEngine, session: AsyncSession) -> None:
        super().__init__(engine)
        self._session = session

    @contextlib.asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncSession]:
        yield self._session
        await self._session.flush()


async def _check_revision(engine: AsyncEngine) -> None:
    try:
        async with engine.connect() as connection:
            found = await connection.scalar(text("SELECT version_num FROM alembic_version"))
    except ProgrammingError as error:
        if isinstance(error.orig, InsufficientPrivilege):
            raise InputRefused(
                [f"The role '{engine.url.username}' may not read the ledger at {engine.url.host}; run "
                 "`python -m include.nce.ledger.migrate upgrade` as its owner, which gives it its rights."]
            ) from None  # fmt: skip
        found = None
    # A newer schema is fine: a run goes on with the code it started with.
    if found is None or found < SCHEMA_REVISION:
        raise InputRefused(
            [f"The ledger at {engine.url.host} is at revision {found or 'none'}, this code needs "
             f"{SCHEMA_REVISION}; run `python -m include.nce.ledger.migrate upgrade`."]
        )  # fmt: skip
