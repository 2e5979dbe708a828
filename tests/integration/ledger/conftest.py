"""A scene for ledger tests: one campaign, two partners, and subscriptions to plan."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from include.nce.ledger.ledger import PostgresLedger
from tests.integration.ledger.scene import AT, CAMPAIGN, RUN, campaign, partner


async def set_scene(ledger) -> None:
    await ledger.import_campaign(campaign(), "anna", "first import")
    await ledger.enrol(CAMPAIGN, [partner("rossi"), partner("verdi")])
    await ledger.open_run(RUN, CAMPAIGN, "rossi", "apply", at=AT)


@pytest.fixture
async def postgres_ledger(ledger_database: str) -> AsyncIterator[PostgresLedger]:
    """The real ledger on a database of its own, with the scene set."""
    async with PostgresLedger.open(ledger_database) as ledger:
        await set_scene(ledger)
        yield ledger
