"""What the sign-in service issued, kept sealed between processes and machines.

Responsible for one encrypted document per sign-in that an operator entered, and for one process at a time
changing it. What stands in a document and when it is renewed is decided by `partner_center.auth`; the keys
come from whoever opens the product, since this package works without Airflow.

A document belongs to tenant, client id and a fingerprint of what the operator entered: after a new refresh
token was entered there is a new, empty document, so that the operator's token always wins, and the old one is
still there if the entry is taken back. Documents that nobody changed for 90 days hold nothing that Microsoft
would still accept (enable-secure-app-model, 12/09/2021) and are deleted.
"""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator, Mapping, MutableMapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import delete, func, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from include.nce.domain.errors import InputRefused
from include.nce.ledger.tables import CredentialsRow
from include.nce.ledger.transactions import Transactions, in_turn

KEPT_FOR = timedelta(days=90)
"""The life of an unused refresh token."""
TURN_SECONDS = 180
"""How long a process waits while another one signs in, and how long PostgreSQL lets that one take."""


class SealedCredentials:
    """The document of one sign-in: names to JSON values, encrypted as a whole.

    `fernet_keys` are the keys of Airflow's `[core] fernet_key`, comma-separated: the first one seals, all of
    them open. Raises InputRefused when there is none or one that is no Fernet key.
    """

    def __init__(
        self, engine: AsyncEngine, *, tenant_id: str, client_id: str, fingerprint: str, fernet_keys: str
    ) -> None:
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)
        self._name = (tenant_id.lower(), client_id.lower(), fingerprint)
        self._fernet = _fernet(fernet_keys)

    async def read(self) -> Mapping[str, Any]:
        """What was kept last; empty when nothing was. Raises InputRefused when no key opens it."""
        async with self._sessions.begin() as session:
            return await self._kept(session)

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[MutableMapping[str, Any]]:
        """The only right to change the document: what it holds at the end is kept, after an error nothing.

        Others wait meanwhile, so that whoever comes next sees what was issued last. Raises SQLAlchemy's
        OperationalError when the turn does not come within `TURN_SECONDS`.
        """
        async with self._sessions.begin() as session:
            await session.execute(
                text(
                    f"SET LOCAL lock_timeout = '{TURN_SECONDS}s';"
                    f" SET LOCAL idle_in_transaction_session_timeout = '{TURN_SECONDS}s'"
                )
            )
            await in_turn(session, "credentials", *self._name)
            before = await self._kept(session)
            document = copy.deepcopy(before)
            yield document
            if document != before:
                await self._keep(session, document)

    async def _kept(self, session: AsyncSession) -> dict[str, Any]:
        row = await session.get(CredentialsRow, self._name)
        if row is None:
            return {}
        try:
            document: dict[str, Any] = json.loads(self._fernet.decrypt(row.sealed))
        except InvalidToken:
            raise InputRefused(
                [
                    "Airflow's Fernet keys do not open the credentials kept in the ledger; give [core] "
                    "fernet_key back the key they were sealed with, or enter a new refresh token in "
                    "connection 'partner_center'."
                ]
            ) from None
        return document

    async def _keep(self, session: AsyncSession, document: Mapping[str, Any]) -> None:
        tenant_id, client_id, fingerprint = self._name
        sealed = self._fernet.encrypt(json.dumps(document).encode()).decode()
        kept = insert(CredentialsRow).values(
            tenant_id=tenant_id,
            client_id=client_id,
            fingerprint=fingerprint,
            sealed=sealed,
            changed_at=func.clock_timestamp(),
        )
        await session.execute(
            kept.on_conflict_do_update(
                constraint="pk_credentials",
                set_={"sealed": kept.excluded.sealed, "changed_at": kept.excluded.changed_at},
            )
        )
        await session.execute(
            delete(CredentialsRow).where(CredentialsRow.changed_at < func.clock_timestamp() - KEPT_FOR)
        )


class Credentials(Transactions):
    def credentials(
        self, tenant_id: str, client_id: str, fingerprint: str, *, fernet_keys: str
    ) -> SealedCredentials:
        """The credentials of one sign-in; see `SealedCredentials`."""
        return SealedCredentials(
            self._engine,
            tenant_id=tenant_id,
            client_id=client_id,
            fingerprint=fingerprint,
            fernet_keys=fernet_keys,
        )


def _fernet(keys: str) -> MultiFernet:
    try:
        return MultiFernet([Fernet(key.strip()) for key in keys.split(",") if key.strip()])
    except ValueError:
        # Not repeated: it may be a key with one letter too many.
        raise InputRefused(
            [
                "Airflow's [core] fernet_key has no usable key, which sealing the credentials needs; "
                "write 32 url-safe base64-encoded bytes."
            ]
        ) from None
