"""One process that reads a customer again and again, with the client of production.

`python -m tests.integration.budget.caller ADDRESS CALLS SECONDS`
"""

from __future__ import annotations

import asyncio
import sys
from types import SimpleNamespace

from include.nce.ledger.connection import ledger_url
from include.nce.ledger.ledger import PostgresLedger
from include.nce.partner_center.budget import SharedBudget
from include.nce.partner_center.client import PartnerCenterClient
from include.nce.partner_center.connection import PartnerCenterConnection
from tests.integration.budget.counting_server import CUSTOMER, TENANT

CALLS_AT_ONCE = 4


async def call(address: str, calls: int, seconds: float) -> None:
    host, _, port = address.removeprefix("http://").partition(":")
    settings = PartnerCenterConnection.from_airflow(
        SimpleNamespace(
            host=host,
            port=int(port),
            schema="http",
            login="client-id",
            password="client-secret",
            extra_dejson={
                "tenant_id": TENANT,
                "refresh_token": "token",
                "authority": address,
                "rehearsal": True,
                "limits": {"resources": {"calls": calls, "seconds": seconds}},
            },
        )
    )
    async with (
        PostgresLedger.open(ledger_url()) as ledger,
        PartnerCenterClient(
            settings, budget=SharedBudget(ledger, settings.tenant_id, settings.limits)
        ) as client,
    ):
        # Answered once everybody is here; and none of the calls that count has to make its connection.
        await asyncio.gather(*(client.relationships.indirect_resellers() for _ in range(CALLS_AT_ONCE)))

        async def again_and_again() -> None:
            while True:
                await client.customers.get(CUSTOMER)

        await asyncio.gather(*(again_and_again() for _ in range(CALLS_AT_ONCE)))


if __name__ == "__main__":
    asyncio.run(call(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
