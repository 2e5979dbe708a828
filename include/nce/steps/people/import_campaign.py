"""A person makes a campaign file the policy in force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from include.nce.domain.author import Author, given_reason
from include.nce.domain.campaign import Campaign
from include.nce.steps.ports import Clock


@dataclass(frozen=True)
class CampaignImported:
    """The version in force now, and the campaign before and after; `before` None: it is new."""

    version: int
    before: Campaign | None
    after: Campaign

    @property
    def changed(self) -> bool:
        return self.before != self.after


class CampaignVersions(Protocol):
    """The part of the ledger that keeps campaigns."""

    async def campaigns(self) -> Sequence[str]: ...

    async def campaign(self, name: str) -> Campaign: ...

    async def import_campaign(
        self, document: Campaign, author: str, reason: str, *, at: datetime | None = None
    ) -> int:
        """Keep it as the next version, whose number comes back; the same content makes no new one."""
        ...


async def import_campaign(
    document: Campaign, reason: str, *, by: Author, ledger: CampaignVersions, clock: Clock
) -> CampaignImported:
    """Record it as the next version. Raises `InputRefused` without a reason."""
    reason = given_reason(reason)
    name = document.campaign
    before = await ledger.campaign(name) if name in await ledger.campaigns() else None
    version = await ledger.import_campaign(document, by.name, reason, at=await clock.now())
    return CampaignImported(version, before, document)
