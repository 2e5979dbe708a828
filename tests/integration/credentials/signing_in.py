"""A process that signs in again and again: `python -m ... DATABASE_URL FERNET_KEY CONNECTION_JSON TIMES`.

Fails at the first refusal: a rotated refresh token that was lost ends the chain.
"""

from __future__ import annotations

import asyncio
import json
import sys

from include.nce.ledger.ledger import PostgresLedger
from include.nce.partner_center.auth import TokenKind, TokenSource
from include.nce.partner_center.connection import PartnerCenterConnection


async def main(url: str, key: str, fields: str, times: str) -> None:
    connection = PartnerCenterConnection(**json.loads(fields))
    async with PostgresLedger.open(url, pool_size=1) as ledger:
        store = ledger.credentials(
            connection.tenant_id, connection.client_id, connection.fingerprint, fernet_keys=key
        )
        for _ in range(int(times)):
            await TokenSource(connection, store=store).sign_in(TokenKind.APP_AND_USER)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
