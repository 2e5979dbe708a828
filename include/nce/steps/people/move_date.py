"""A person moves one date of the campaign; waiting runs follow by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from include.nce.domain.author import Author, given_reason
from include.nce.domain.campaign import MOVABLE_MOMENTS, Campaign, Moment
from include.nce.domain.errors import InputRefused
from include.nce.steps.ports import Clock


@dataclass(frozen=True)
class NewDate:
    """Which moment is moved, to which day or instant, and why."""

    moment: str
    to: date | datetime
    reason: str


@dataclass(frozen=True)
class DateMoved:
    """The version in force now, and the campaign before and after; the same where the date stood there."""

    version: int
    before: Campaign
    after: Campaign

    @property
    def moved(self) -> bool:
        return self.before.moments != self.after.moments


class CampaignDates(Protocol):
    """The part of the ledger that keeps the campaign's dates."""

    async def campaign(self, name: str) -> Campaign: ...

    async def move_moment(
        self,
        name: str,
        moment: str,
        value: date | datetime,
        author: str,
        reason: str,
        *,
        at: datetime | None = None,
    ) -> int:
        """Move it as the campaign's next version; the version's number. Where it stands there already, the
        number of the one in force. Raises InputRefused for an order of dates that makes no sense."""
        ...


async def move_date(
    campaign: str, wish: NewDate, *, by: Author, ledger: CampaignDates, clock: Clock
) -> DateMoved:
    """Move it. Raises `InputRefused` without a reason, for a moment that no campaign has, for an order of
    dates that makes no sense, and for a day where the campaign has an instant."""
    reason = given_reason(wish.reason)
    before = await ledger.campaign(campaign)
    if wish.moment in MOVABLE_MOMENTS:
        _refuse_ambiguous_day(wish.moment, getattr(before.moments, wish.moment), wish.to)
    version = await ledger.move_moment(campaign, wish.moment, wish.to, by.name, reason, at=await clock.now())
    return DateMoved(version, before, await ledger.campaign(campaign))


def _refuse_ambiguous_day(moment: str, standing: Moment, value: date | datetime) -> None:
    """A day where the campaign has an instant could mean its start or its end."""
    if standing.at is not None and standing.zone == "UTC" and not isinstance(value, datetime):
        raise InputRefused(
            [f"{moment} is an instant, and the day {value} could mean its start or its end; write "
             f"{value}T00:00:00Z or another instant with offset."]
        )  # fmt: skip
