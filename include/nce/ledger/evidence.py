"""The ledger read for an auditor: everything on record about a partner or a subscription, case by case.

Responsible for the stable shape of an evidence pack and for reading it in pages, from one instant of the
database, so that a partner with ten thousand subscriptions costs no more memory than one with fifty. What is
on record of one subscription is told by `explain`; what it was before and is now comes from here. How a pack
looks on disk and on paper belongs to `include.nce.evidence`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field
from sqlalchemy import ColumnElement, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from include.nce.domain.campaign import Campaign
from include.nce.domain.conversion import ConversionState, Route
from include.nce.domain.lineage import successor_of
from include.nce.domain.subscription import SubscriptionKind
from include.nce.ledger.explain import (
    Entry,
    about_partners,
    about_subscriptions,
    about_whole_plans,
    in_order,
    meant,
    plan_entries,
)
from include.nce.ledger.plans import subscription_of
from include.nce.ledger.policy import latest_number
from include.nce.ledger.reports import Moment, Report
from include.nce.ledger.tables import (
    CampaignVersionRow,
    ConversionRow,
    CustomerRow,
    PartnerRow,
    SubscriptionHistoryRow,
    SubscriptionRow,
)
from include.nce.ledger.transactions import Transactions

PAGE = 200
"""Subscriptions read at a time."""


class EvidencePartner(Report):
    """Whom the evidence is about, as the roster had it last."""

    partner: str = Field(description="Short id.")
    name: str = Field(description="As the roster has it.")
    tenant_id: str = Field(description="The reseller's own tenant.")
    mpn_id: str | None = Field(description="Its local PartnerID.")
    country: str = Field(description="Two letters.")
    language: str = Field(description="Two letters.")
    zone: str = Field(description="Time zone of its local times.")


class EvidenceEntry(Entry):
    """One thing on record, also in the partner's local time."""

    at_local: str = Field(description="`at` in the partner's time zone, with its offset.")
    zone: str = Field(description="That time zone; the campaign's own where no partner is meant.")


class Sight(Report):
    """A subscription as Partner Center showed it at a moment."""

    at: Moment = Field(description="The campaign's clock.")
    at_local: str = Field(description="The same in the partner's time zone, with its offset.")
    recorded_at: Moment = Field(description="The machine's clock.")
    run_id: str = Field(description="The run that looked.")
    facts: dict[str, Any] = Field(description="Seats, status, term end and the rest, as they were read.")


class Change(Report):
    """A subscription as it was first and last seen; the same sight twice when nothing changed."""

    subscription: str = Field(description="Its id.")
    before: Sight | None = Field(description="As first seen; null when no survey has seen it.")
    after: Sight | None = Field(description="As last seen.")
    sights: int = Field(description="How many different states of it are on record.")


class EvidenceConversion(Report):
    """How far the conversion is, and the ids under which Microsoft knows it."""

    conversion_id: int = Field(description="Its number in the ledger.")
    state: ConversionState = Field(description="What it came to.")
    since_at: Moment = Field(description="Since when.")
    reason: str = Field(description="Why, in one sentence.")
    route: Route = Field(description="By migration, or by purchase and suspension.")
    for_partner: str = Field(description="For whom it was made.")
    seats: int | None = Field(description="Seats bought.")
    term: str | None = Field(description="Term bought.")
    billing: str | None = Field(description="Billing cycle bought.")
    product_and_sku: str | None = Field(description="Product expected in New Commerce.")
    reference: str | None = Field(description="Our reference with the migration.")
    migration_id: str | None = Field(description="Microsoft's id of the migration.")
    cart_id: str | None = Field(description="Microsoft's id of the cart.")
    order_id: str | None = Field(description="Microsoft's id of the order.")
    nce_subscription: str | None = Field(description="Id of the New Commerce subscription.")


class Case(Report):
    """Everything on record about one subscription of a partner, and about the one that replaced it.

    What replaced another one is no case of its own.
    """

    partner: str = Field(description="Whose it is.")
    customer: str = Field(description="Tenant id of the end customer.")
    customer_name: str = Field(description="Its name; empty when none is on record.")
    kind: SubscriptionKind = Field(description="Legacy, New Commerce or something else.")
    legacy: Change = Field(description="The subscription itself, before and after.")
    nce: Change | None = Field(description="The New Commerce subscription that replaces it, if one.")
    conversion: EvidenceConversion | None = Field(description="Its conversion, if it ever got one.")
    record: list[EvidenceEntry] = Field(
        description="Plans, approvals, decisions, commands with their answers, states: in time order."
    )


class Digest(Report):
    """What proves that a copy is whole."""

    algorithm: Literal["sha256"] = Field(description="Always `sha256`.")
    value: str = Field(description="Over the canonical form of the document without `digest`.")


class EvidenceHead(Report):
    """What an evidence pack says before its cases."""

    schema_: Literal[1] = Field(default=1, alias="schema", description="Number of this shape.")
    document: Literal["nce-evidence"] = Field(default="nce-evidence", description="What it is.")
    campaign: str = Field(description="The campaign's name.")
    campaign_version: int = Field(description="The version in force when the pack was made.")
    subject: str = Field(description="The partner or subscription that was asked for.")
    made_at: Moment = Field(description="When the pack was made, by the machine's clock.")
    made_by: str = Field(description="Who made it.")
    partners: list[EvidencePartner] = Field(description="Whom it is about.")
    record: list[EvidenceEntry] = Field(
        description="About the campaign and the whole partner: versions, runs, checks, opt-outs, plans."
    )


class EvidencePack(EvidenceHead):
    """All that is on record about a partner or a subscription: `nce evidence` writes it to a file.

    The canonical form is this document without `digest` as JSON in UTF-8, the keys of every object sorted, no
    white space between tokens, no character escaped that JSON does not oblige to.
    """

    cases: list[Case] = Field(description="One for each subscription, in the order of their ids.")
    digest: Digest = Field(description="What proves that a copy is whole.")


class Evidence:
    """One pack, to be read from its beginning to its end while its transaction is open."""

    def __init__(
        self, session: AsyncSession, head: EvidenceHead, legacy_ids: Sequence[str] | None, zone: str
    ) -> None:
        self.head = head
        self._session = session
        self._legacy_ids = legacy_ids
        self._zones = {partner.partner: partner.zone for partner in head.partners}
        self._zone = zone

    async def cases(self, page: int = PAGE) -> AsyncIterator[Case]:
        """All cases; one query for each kind of fact and page."""
        mine = [SubscriptionRow.campaign == self.head.campaign, SubscriptionRow.partner.in_(self._zones)]
        if self._legacy_ids is None:
            mine.append(~_replaces_another(self.head.campaign))
        else:
            mine.append(SubscriptionRow.subscription_id.in_(self._legacy_ids))
        place = tuple_(SubscriptionRow.subscription_id, SubscriptionRow.partner)
        query = select(SubscriptionRow).where(*mine).order_by(*place).limit(page)
        rows: Sequence[SubscriptionRow] = (await self._session.scalars(query)).all()
        while rows:
            for case in await self._page(rows):
                yield case
            last = (rows[-1].subscription_id, rows[-1].partner)
            self._session.expunge_all()
            rows = (await self._session.scalars(query.where(place > last))).all()

    async def _page(self, rows: Sequence[SubscriptionRow]) -> list[Case]:
        partners = sorted({row.partner for row in rows})
        ids = sorted({row.subscription_id for row in rows})
        conversions = await self._conversions(ids)
        successors = await self._successors(ids)
        nce_of = {
            row.subscription_id: (c.nce_subscription_id if (c := conversions.get(_whose(row))) else None)
            or successors.get(row.subscription_id)
            for row in rows
        }
        both = {*ids, *(nce for nce in nce_of.values() if nce)}
        changes = await self._changes(partners, both)
        entries = await about_subscriptions(self._session, self.head.campaign, partners, sorted(both))
        record: dict[str | None, list[EvidenceEntry]] = defaultdict(list)
        for entry in entries:
            if entry.subscription is not None:  # what is about a whole plan stands in the head
                record[entry.subscription].append(self._local(entry))
        names = await self._customer_names(rows)

        def told(row: SubscriptionRow) -> list[EvidenceEntry]:
            own = (row.subscription_id, nce_of[row.subscription_id])
            entries = [entry for subscription in own for entry in record.get(subscription, ())]
            conversion = conversions.get(_whose(row))
            if conversion is not None and conversion.base_id not in own:
                # An undo takes back the whole bundle, and is filed under its base.
                entries += [e for e in record.get(conversion.base_id, ()) if e.kind == "undo"]
            return entries

        return [
            Case(
                partner=row.partner,
                customer=row.customer_id,
                customer_name=names.get((row.partner, row.customer_id), ""),
                kind=row.kind,
                legacy=_change(changes, row.partner, row.subscription_id),
                nce=_change(changes, row.partner, nce) if (nce := nce_of[row.subscription_id]) else None,
                conversion=_conversion(conversions.get(_whose(row))),
                # Of two partners that hold it both see what was done about it, and only their own plans.
                record=in_order(
                    entry for entry in told(row) if entry.kind in _ANYBODYS or entry.partner == row.partner
                ),
            )
            for row in rows
        ]

    async def _conversions(self, ids: Sequence[str]) -> Mapping[tuple[str, str], ConversionRow]:
        found = await self._session.scalars(select(ConversionRow).where(ConversionRow.legacy_id.in_(ids)))
        return {(row.customer_id, row.legacy_id): row for row in found}

    async def _successors(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Legacy id -> the subscription that says it was migrated from it, whoever did that."""
        query = select(SubscriptionRow).where(
            SubscriptionRow.campaign == self.head.campaign, SubscriptionRow.migrated_from_id.in_(ids)
        )
        surveyed = [subscription_of(row) for row in await self._session.scalars(query)]
        found = {legacy_id: successor_of(legacy_id, surveyed) for legacy_id in ids}
        return {legacy_id: nce.subscription_id for legacy_id, nce in found.items() if nce is not None}

    async def _changes(self, partners: Sequence[str], ids: set[str]) -> Mapping[tuple[str, str], Change]:
        query = (
            select(SubscriptionHistoryRow)
            .where(
                SubscriptionHistoryRow.campaign == self.head.campaign,
                SubscriptionHistoryRow.partner.in_(partners),
                SubscriptionHistoryRow.subscription_id.in_(ids),
            )
            .order_by(SubscriptionHistoryRow.history_id)
        )
        seen: dict[tuple[str, str], list[SubscriptionHistoryRow]] = defaultdict(list)
        for row in await self._session.scalars(query):
            seen[row.partner, row.subscription_id].append(row)
        return {
            (partner, subscription): Change(
                subscription=subscription,
                before=self._sight(rows[0]),
                after=self._sight(rows[-1]),
                sights=len(rows),
            )
            for (partner, subscription), rows in seen.items()
        }

    async def _customer_names(self, rows: Sequence[SubscriptionRow]) -> Mapping[tuple[str, str], str]:
        query = select(CustomerRow.partner, CustomerRow.customer_id, CustomerRow.name).where(
            CustomerRow.campaign == self.head.campaign,
            CustomerRow.partner.in_({row.partner for row in rows}),
            CustomerRow.customer_id.in_({row.customer_id for row in rows}),
        )
        return {(partner, customer): name for partner, customer, name in await self._session.execute(query)}

    def _sight(self, row: SubscriptionHistoryRow) -> Sight:
        return Sight(
            at=row.at,
            at_local=local(row.at, self._zones[row.partner]),
            recorded_at=row.recorded_at,
            run_id=row.run_id,
            facts=row.facts,
        )

    def _local(self, entry: Entry) -> EvidenceEntry:
        return _in_zone(entry, self._zones.get(entry.partner or "", self._zone))


class EvidencePacks(Transactions):
    """What is handed to an auditor."""

    @asynccontextmanager
    async def evidence(self, campaign: str, subject: str, *, made_by: str) -> AsyncIterator[Evidence]:
        """The pack about a partner or a subscription, all of it as the ledger was at one instant.

        Raises InputRefused with the names that look alike when the campaign knows neither.
        """
        name = subject.strip().lower()
        async with self._transaction() as session:
            await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            version = await latest_number(session, campaign)
            partners, asked_for = await meant(session, campaign, name)
            legacy_ids = None if asked_for is None else await _legacy_of(session, campaign, asked_for)
            policy = await session.get_one(CampaignVersionRow, (campaign, version))
            zone = Campaign.model_validate(policy.document).default_zone
            rows = await session.scalars(
                select(PartnerRow)
                .where(PartnerRow.campaign == campaign, PartnerRow.partner.in_(partners))
                .order_by(PartnerRow.partner)
            )
            people = [_partner(row, zone) for row in rows]
            zones = {partner.partner: partner.zone for partner in people}
            entries = [
                *await about_partners(session, campaign, partners),
                *await plan_entries(session, campaign, partners, None),
                *await about_whole_plans(session, campaign, partners, legacy_ids),
            ]
            head = EvidenceHead(
                campaign=campaign,
                campaign_version=version,
                subject=name,
                made_at=datetime.now(timezone.utc),
                made_by=made_by,
                partners=people,
                record=[_in_zone(e, zones.get(e.partner or "", zone)) for e in in_order(entries)],
            )
            yield Evidence(session, head, legacy_ids, zone)


_ANYBODYS = ("conversion", "command")
"""Kinds of entry that say what became of a subscription, whichever partner it was done for."""


def local(moment: datetime, zone: str) -> str:
    """`2022-07-11T02:00:05+02:00`, for a person in that zone."""
    return moment.astimezone(ZoneInfo(zone)).isoformat(timespec="seconds")


def _in_zone(entry: Entry, zone: str) -> EvidenceEntry:
    return EvidenceEntry(**entry.model_dump(), at_local=local(entry.at, zone), zone=zone)


def _partner(row: PartnerRow, zone: str) -> EvidencePartner:
    return EvidencePartner(
        partner=row.partner,
        name=row.name,
        tenant_id=row.tenant_id,
        mpn_id=row.mpn_id,
        country=row.country,
        language=row.language,
        zone=row.zone or zone,
    )


def _replaces_another(campaign: str) -> ColumnElement[bool]:
    """The row is the successor of a subscription of this campaign, and is told with that one."""
    legacy, conversion = aliased(SubscriptionRow), aliased(ConversionRow)
    ours = select(conversion.legacy_id).where(
        conversion.nce_subscription_id == SubscriptionRow.subscription_id
    )
    says_so = select(legacy.subscription_id).where(
        legacy.campaign == campaign,
        legacy.partner == SubscriptionRow.partner,
        legacy.subscription_id == SubscriptionRow.migrated_from_id,
    )
    return or_(ours.exists(), says_so.exists())


async def _legacy_of(session: AsyncSession, campaign: str, ids: Sequence[str]) -> Sequence[str]:
    """The subscriptions that were asked for, or what they replaced."""
    query = (
        select(SubscriptionRow.subscription_id, SubscriptionRow.migrated_from_id, ConversionRow.legacy_id)
        .outerjoin(ConversionRow, ConversionRow.nce_subscription_id == SubscriptionRow.subscription_id)
        .where(
            SubscriptionRow.campaign == campaign,
            SubscriptionRow.subscription_id.in_(ids),
            _replaces_another(campaign),
        )
    )
    replaced = {nce: ours or origin for nce, origin, ours in await session.execute(query)}
    return sorted({replaced.get(name) or name for name in ids})


def _whose(row: SubscriptionRow) -> tuple[str, str]:
    return row.customer_id, row.subscription_id


def _change(changes: Mapping[tuple[str, str], Change], partner: str, subscription: str) -> Change:
    none = Change(subscription=subscription, before=None, after=None, sights=0)
    return changes.get((partner, subscription), none)


def _conversion(row: ConversionRow | None) -> EvidenceConversion | None:
    if row is None:
        return None
    return EvidenceConversion(
        conversion_id=row.conversion_id,
        state=row.state,
        since_at=row.state_since_at,
        reason=row.reason,
        route=row.route,
        for_partner=row.partner,
        seats=row.seats,
        term=row.term,
        billing=row.billing,
        product_and_sku=row.expected_product_and_sku,
        reference=row.reference,
        migration_id=row.migration_id,
        cart_id=row.cart_id,
        order_id=row.order_id,
        nce_subscription=row.nce_subscription_id,
    )
