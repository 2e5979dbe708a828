"""The policy on record: campaigns with their numbered versions, and the partners enrolled in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Select, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from include.nce.domain.campaign import MOVABLE_MOMENTS, Campaign, field_path
from include.nce.domain.errors import InputRefused
from include.nce.domain.outcome import RunOutcome
from include.nce.domain.partner import Partner
from include.nce.domain.privacy import masked
from include.nce.ledger.tables import CampaignVersionRow, PartnerRow, RunRow
from include.nce.ledger.transactions import Transactions, campaign_turn, unknown


@dataclass(frozen=True)
class CampaignVersion:
    """One version of a campaign: who made it, why and when (campaign's clock and machine's)."""

    campaign: str
    version: int
    document: Campaign
    author: str
    reason: str
    created_at: datetime
    recorded_at: datetime


@dataclass(frozen=True)
class Enrolled:
    """How many partners of a roster were new, changed, or as before."""

    new: int
    changed: int
    unchanged: int


class Policy(Transactions):
    """Campaigns and partners."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine)
        self._read: dict[str, tuple[int, Campaign]] = {}

    async def campaign(self, name: str) -> Campaign:
        """The latest version; raises InputRefused with the known names when there is none.

        Always asks for the version number; the document is read and checked once a version.
        """
        async with self._transaction() as session:
            return (await self._latest(session, name))[1]

    async def latest_version(self, name: str) -> int:
        """The number of the latest version: one small query, for those who wait for a moved date."""
        async with self._transaction() as session:
            return await latest_number(session, name)

    async def campaign_versions(self, name: str) -> Sequence[CampaignVersion]:
        """All versions, oldest first; raises InputRefused when there is none."""
        async with self._transaction() as session:
            rows = (
                await session.scalars(
                    select(CampaignVersionRow)
                    .where(CampaignVersionRow.campaign == name)
                    .order_by(CampaignVersionRow.version)
                )
            ).all()
            if not rows:
                raise await _unknown_campaign(session, name)
        return [
            CampaignVersion(
                campaign=row.campaign,
                version=row.version,
                document=_document(row.campaign, row.version, row.document),
                author=row.author,
                reason=row.reason,
                created_at=row.created_at,
                recorded_at=row.recorded_at,
            )
            for row in rows
        ]

    async def campaigns(self) -> Sequence[str]:
        """The names of all campaigns."""
        async with self._transaction() as session:
            return await _campaign_names(session)

    async def import_campaign(
        self, document: Campaign, author: str, reason: str, *, at: datetime | None = None
    ) -> int:
        """Record the campaign as its next version and return the number.

        The same content as the latest version makes no new one, so that an import may run twice. `at` is the
        campaign's clock; without it the machine's is written.
        """
        async with self._transaction() as session:
            await campaign_turn(session, document.campaign)
            number = await _newest(session, document.campaign)
            if number and (await self._latest(session, document.campaign))[1] == document:
                return number
            return _add_version(session, number + 1, document, author, reason, at)

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
        """Move one moment of the campaign, as its next version, and return the number.

        Two moves at once take turns, and the second starts from the first one's version. A moment that stands
        there already makes no new version. Raises InputRefused for an unknown moment and for an order of
        moments that makes no sense.
        """
        if moment not in MOVABLE_MOMENTS:
            raise InputRefused(
                [f"Moment '{moment}' does not exist; a campaign has {', '.join(MOVABLE_MOMENTS)}."]
            )
        reason = masked(reason)  # it becomes the source of the date as well
        async with self._transaction() as session:
            await campaign_turn(session, name)
            number, document = await self._latest(session, name)
            standing = getattr(document.moments, moment)
            if value == (standing.at if isinstance(value, datetime) else standing.on):
                return number
            try:
                moved = document.with_moment(moment, value, source=reason)
            except ValidationError as error:
                raise InputRefused(
                    [f"{moment} cannot move to {value.isoformat()}: {fault}." for fault in _faults(error)]
                ) from None
            return _add_version(session, number + 1, moved, author, reason, at)

    async def enrol(
        self, campaign: str, partners: Sequence[Partner], *, at: datetime | None = None
    ) -> Enrolled:
        """Enrol the partners of a roster; those enrolled before take the roster's fields. Nobody is removed.

        Raises InputRefused when the campaign is unknown or the roster names a partner twice.
        """
        counted = Counter(partner.partner for partner in partners)
        twice = [
            f"Partner '{name}' is in the roster {n} times; keep one." for name, n in counted.items() if n > 1
        ]
        if twice:
            raise InputRefused(twice)
        async with self._transaction() as session:
            await campaign_turn(session, campaign)
            await latest_number(session, campaign)
            rows = await session.scalars(select(PartnerRow).where(PartnerRow.campaign == campaign))
            known = {row.partner: partner_of(row) for row in rows}
            fresh = [partner for partner in partners if partner.partner not in known]
            changed = [p for p in partners if p.partner in known and known[p.partner] != p]
            if fresh or changed:
                statement = insert(PartnerRow)
                await session.execute(
                    statement.on_conflict_do_update(
                        index_elements=["campaign", "partner"],
                        set_={name: statement.excluded[name] for name in Partner.model_fields},
                    ),
                    [
                        {**partner.model_dump(), "campaign": campaign, "enrolled_at": at or _machine_now()}
                        for partner in (*fresh, *changed)
                    ],
                )
        return Enrolled(len(fresh), len(changed), len(partners) - len(fresh) - len(changed))

    async def partner(self, campaign: str, partner: str) -> Partner:
        """One enrolled partner; raises InputRefused with those that look like it when it is unknown."""
        async with self._transaction() as session:
            return partner_of(await find_partner(session, campaign, partner))

    async def partners(
        self,
        campaign: str,
        names: Collection[str] | None = None,
        outcomes: Collection[str] | None = None,
        *,
        after: str = "",
        limit: int | None = None,
    ) -> Sequence[Partner]:
        """Enrolled partners in the order of their ids.

        `names` narrows to these (an unknown one raises InputRefused), `outcomes` to partners whose latest run
        of some mode closed so: a dry run does not hide how the real one ended. `after` and `limit` page: pass
        the last id of the page before.
        """
        async with self._transaction() as session:
            await latest_number(session, campaign)
            if names is not None:
                await _refuse_strangers(session, campaign, names)
            query = (
                select(PartnerRow)
                .where(PartnerRow.campaign == campaign, PartnerRow.partner > after)
                .order_by(PartnerRow.partner)
                .limit(limit)
            )
            if names is not None:
                query = query.where(PartnerRow.partner.in_(names))
            if outcomes is not None:
                query = query.where(PartnerRow.partner.in_(_with_outcome(campaign, outcomes)))
            return [partner_of(row) for row in await session.scalars(query)]

    async def _latest(self, session: AsyncSession, name: str) -> tuple[int, Campaign]:
        number = await latest_number(session, name)
        read = self._read.get(name)
        if read is None or read[0] != number:
            row = await session.get_one(CampaignVersionRow, (name, number))
            read = self._read[name] = (number, _document(name, number, row.document))
        return read


async def find_partner(
    session: AsyncSession, campaign: str, partner: str, *, lock: bool = False
) -> PartnerRow:
    """The partner's enrolment; raises InputRefused with close matches when it is unknown."""
    row = await session.get(PartnerRow, (campaign, partner), with_for_update=lock or None)
    if row is None:
        await latest_number(session, campaign)
        known = await session.scalars(select(PartnerRow.partner).where(PartnerRow.campaign == campaign))
        raise unknown("Partner", partner, known, where=f"the roster of campaign {campaign}")
    return row


def partner_of(row: PartnerRow) -> Partner:
    """The row as domain object, unchecked: it was checked when it was enrolled."""
    return Partner.model_construct(**{name: getattr(row, name) for name in Partner.model_fields})


def _with_outcome(campaign: str, outcomes: Collection[str]) -> Select[tuple[str]]:
    known = {outcome.value for outcome in RunOutcome}
    faults = [f"Outcome '{name}' does not exist; there are {', '.join(sorted(known))}."
              for name in sorted(set(outcomes) - known)]  # fmt: skip
    if faults:
        raise InputRefused(faults)
    latest = (
        select(RunRow.partner, RunRow.outcome)
        .where(RunRow.campaign == campaign)
        .distinct(RunRow.partner, RunRow.mode)
        .order_by(RunRow.partner, RunRow.mode, RunRow.opened_at.desc(), RunRow.run_id.desc())
        .subquery()
    )
    return select(latest.c.partner).where(latest.c.outcome.in_([RunOutcome(name) for name in outcomes]))


async def _refuse_strangers(session: AsyncSession, campaign: str, names: Collection[str]) -> None:
    known = set(await session.scalars(select(PartnerRow.partner).where(PartnerRow.campaign == campaign)))
    where = f"the roster of campaign {campaign}"
    faults = [
        fault
        for name in sorted(set(names) - known)
        for fault in unknown("Partner", name, known, where=where).faults
    ]
    if faults:
        raise InputRefused(faults)


async def _newest(session: AsyncSession, name: str) -> int:
    query = select(func.max(CampaignVersionRow.version)).where(CampaignVersionRow.campaign == name)
    return await session.scalar(query) or 0


async def latest_number(session: AsyncSession, name: str) -> int:
    """The number of the campaign's latest version; raises InputRefused when the campaign is unknown."""
    number = await _newest(session, name)
    if not number:
        raise await _unknown_campaign(session, name)
    return number


async def _campaign_names(session: AsyncSession) -> Sequence[str]:
    query = select(CampaignVersionRow.campaign).distinct().order_by(CampaignVersionRow.campaign)
    return (await session.scalars(query)).all()


async def _unknown_campaign(session: AsyncSession, name: str) -> InputRefused:
    return unknown("Campaign", name, await _campaign_names(session), where="the ledger")


def _add_version(
    session: AsyncSession, number: int, document: Campaign, author: str, reason: str, at: datetime | None
) -> int:
    session.add(
        CampaignVersionRow(
            campaign=document.campaign,
            version=number,
            document=document.model_dump(mode="json"),
            author=author,
            reason=reason,
            created_at=at or _machine_now(),
        )
    )
    return number


def _document(name: str, version: int, document: dict[str, Any]) -> Campaign:
    try:
        return Campaign.model_validate(document)
    except ValidationError as error:
        raise InputRefused(
            [f"Campaign {name}, version {version} in the ledger: {fault}; import a corrected file."
             for fault in _faults(error)]
        ) from None  # fmt: skip


def _faults(error: ValidationError) -> list[str]:
    """One phrase a fault, without the values: pydantic's own text quotes the input."""
    phrases = []
    for fault in error.errors():
        parts = field_path(fault["loc"]), fault["msg"].removeprefix("Value error, ")
        phrases.append(": ".join(part for part in parts if part))
    return phrases


def _machine_now() -> datetime:
    return datetime.now(timezone.utc)
