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

    async def release_campaign(
        self, campaign: str, *, stop: int, by: str, reason: str, at: datetime
    ) -> BrakeRecord:
        """Let it buy again, accepting today's coverage signals. Refuses one that is not stopped, and another
        stop than the one that is named."""
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
    campaign: str,
    reason: str,
    *,
    by: Author,
    ledger: CampaignBrake,
    clock: Clock,
    stop: int | None = None,
) -> BrakeRecord:
    """Let it buy again. `stop` is the one that its author has looked at; None: the one that counts now.

    Raises `InputRefused` without a reason, where it is not stopped, and where another stop counts by then.
    """
    reason = given_reason(reason)
    if stop is None:
        stop = (await ledger.brake_record(campaign)).event_id
    return await ledger.release_campaign(campaign, stop=stop, by=by.name, reason=reason, at=await clock.now())
