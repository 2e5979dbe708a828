"""A person stops the campaign, or lets it buy again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from include.nce.domain.author import Author, given_reason
from include.nce.domain.brake import BrakeRecord
from include.nce.steps.ports import Clock


@dataclass(frozen=True)
class Stopped:
    """The stop that counts; `already`: it was there before, and stays as it is."""

    record: BrakeRecord
    already: bool


class CampaignBrake(Protocol):
    """The part of the ledger that knows whether a campaign is stopped."""

    async def brake_record(self, campaign: str) -> BrakeRecord: ...

    async def stop_campaign(self, campaign: str, *, by: str, reason: str, at: datetime) -> BrakeRecord:
        """Stop it; a stopped one stays as it is."""
        ...

    async def release_campaign(self, campaign: str, *, by: str, reason: str, at: datetime) -> BrakeRecord:
        """Let it buy again, accepting today's coverage signals. Refuses one that is not stopped."""
        ...


async def stop_campaign(
    campaign: str, reason: str, *, by: Author, ledger: CampaignBrake, clock: Clock
) -> Stopped:
    """Buy nothing new from now on. Raises `InputRefused` without a reason."""
    reason = given_reason(reason)
    before = await ledger.brake_record(campaign)
    record = await ledger.stop_campaign(campaign, by=by.name, reason=reason, at=await clock.now())
    return Stopped(record, already=before.stopped)


async def release_campaign(
    campaign: str, reason: str, *, by: Author, ledger: CampaignBrake, clock: Clock
) -> BrakeRecord:
    """Let it buy again. Raises `InputRefused` without a reason, and where it is not stopped."""
    reason = given_reason(reason)
    return await ledger.release_campaign(campaign, by=by.name, reason=reason, at=await clock.now())
