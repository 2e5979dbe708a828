"""The composition root: from Airflow's connections to a working product.

Nothing here runs at parse time; heavy imports happen when a task or trigger really starts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from include.nce.domain.errors import InputRefused
from include.nce.orchestration.clock import RehearsalClock, SystemClock
from include.nce.steps.ports import Clock, PartnerCenter

if TYPE_CHECKING:
    from include.nce.ledger.credentials import SealedCredentials
    from include.nce.ledger.ledger import PostgresLedger
    from include.nce.partner_center.auth import TokenSource
    from include.nce.partner_center.connection import PartnerCenterConnection

T = TypeVar("T")

MASKED_PER_PROCESS = 24
"""Airflow compiles all secrets into one expression anew for each one that comes, and forgets none: at 100
tokens that took 0.9 s, in which no trigger of the process goes on. A triggerer lives for weeks and signs in
each hour; a task never comes near. No token is written to a log in the first place: this is a second line."""
_masked: set[str] = set()


@dataclass(frozen=True)
class Product:
    """What the steps need of the world."""

    partner_center: PartnerCenter
    ledger: PostgresLedger
    clock: Clock
    tokens: TokenSource

    @property
    def rehearsal(self) -> bool:
        return isinstance(self.clock, RehearsalClock)

    async def sign_in(self) -> None:
        """Prove the connection as it is entered now: a kept token outlives a mistyped secret by an hour.

        Raises `CredentialsRefused` when the sign-in service says no to either kind of token.
        """
        from include.nce.partner_center.auth import TokenKind

        for kind in TokenKind:
            await self.tokens.sign_in(kind)


@asynccontextmanager
async def product(*, pool_size: int = 2) -> AsyncIterator[Product]:
    """Open client, ledger and clock, and close them again. Raises `InputRefused`: a sentence a fault."""
    from include.nce.ledger.account import Account
    from include.nce.ledger.connection import aledger_url
    from include.nce.ledger.ledger import PostgresLedger
    from include.nce.partner_center.auth import TokenSource
    from include.nce.partner_center.budget import SharedBudget
    from include.nce.partner_center.client import PartnerCenterClient
    from include.nce.partner_center.connection import CONNECTION_ID, PartnerCenterConnection
    from include.nce.partner_center.gateway import PartnerCenterGateway

    settings = PartnerCenterConnection.from_airflow(await _airflow_connection(CONNECTION_ID))
    clock: Clock = SystemClock()
    if settings.rehearsal:
        clock = RehearsalClock(settings.address)
        await clock.prove()
    async with PostgresLedger.open(await aledger_url(_airflow_connection), pool_size=pool_size) as ledger:
        await ledger.claim(Account.of(settings.tenant_id, rehearsal=settings.rehearsal))
        tokens = TokenSource(settings, store=credential_store(ledger, settings), mask=mask)
        budget = SharedBudget(ledger, settings.tenant_id, settings.limits)
        async with PartnerCenterClient(settings, tokens=tokens, budget=budget) as client:
            yield Product(PartnerCenterGateway(client), ledger, clock, tokens)


@dataclass(frozen=True)
class Desk:
    """What the board needs of the world: the ledger, and the campaign's time."""

    ledger: PostgresLedger
    clock: Clock

    @property
    def rehearsal(self) -> bool:
        return isinstance(self.clock, RehearsalClock)


@asynccontextmanager
async def desk() -> AsyncIterator[Desk]:
    """Open ledger and clock for one question in Airflow's API server. Raises `InputRefused`."""
    from include.nce.ledger.account import Account
    from include.nce.ledger.connection import aledger_url
    from include.nce.ledger.ledger import PostgresLedger
    from include.nce.partner_center.connection import CONNECTION_ID, PartnerCenterConnection

    settings = PartnerCenterConnection.from_airflow(await _airflow_connection(CONNECTION_ID))
    async with PostgresLedger.open(await aledger_url(_airflow_connection), pool_size=1) as ledger:
        await ledger.claim(Account.of(settings.tenant_id, rehearsal=settings.rehearsal))
        yield Desk(ledger, RehearsalClock(settings.address) if settings.rehearsal else SystemClock())


def credential_store(ledger: PostgresLedger, settings: PartnerCenterConnection) -> SealedCredentials:
    """Where the sign-ins of these settings are kept, sealed with Airflow's keys. Raises `InputRefused`."""
    from airflow.sdk import conf

    return ledger.credentials(
        settings.tenant_id,
        settings.client_id,
        settings.fingerprint,
        fernet_keys=conf.get("core", "fernet_key", fallback=""),
    )


async def mask(secret: str) -> None:
    """Have Airflow's logs hide a token: the first `MASKED_PER_PROCESS` of this process."""
    from airflow.sdk.log import amask_secret

    if secret not in _masked and len(_masked) < MASKED_PER_PROCESS:
        _masked.add(secret)
        await amask_secret(secret)


async def _airflow_connection(connection_id: str) -> Any:
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        return await BaseHook.aget_connection(connection_id)
    except AirflowNotFoundException:
        raise InputRefused(
            [f"Connection '{connection_id}' does not exist; add it in Airflow under Admin, Connections."]
        ) from None


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run one step to its end in this process."""
    return asyncio.run(coroutine)
