"""The ledger as the rehearsal sees it: where each partner and subscription stands.

Asks the ledger itself rather than `nce status --json`, which gives the same: a new program every few
seconds would take its time from the machine that the campaign runs on.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from include.nce.domain.errors import InputRefused
from include.nce.ledger.ledger import PostgresLedger
from include.nce.ledger.reports import CampaignStatus
from scripts.stack.errors import NotAnswering


@dataclass(frozen=True)
class LedgerReader:
    """Reads one campaign from the ledger at `url`. Raises NotAnswering when it cannot be read now."""

    url: URL
    campaign: str

    def status(self, *, with_subscriptions: bool = False) -> CampaignStatus:
        """Where the campaign stands, with or without the rows of its subscriptions."""
        try:
            return asyncio.run(self._status(with_subscriptions))
        except InputRefused as refused:
            raise NotAnswering(" ".join(refused.faults)) from refused
        except (DBAPIError, OSError) as error:
            name = type(error).__name__
            raise NotAnswering(f"The ledger does not answer ({name}); run `make status`.") from error

    async def _status(self, with_subscriptions: bool) -> CampaignStatus:
        async with PostgresLedger.open(self.url, pool_size=1) as ledger:
            return await ledger.status(self.campaign, with_subscriptions=with_subscriptions)
