"""What was found when ledger and Partner Center were compared.

A finding is one row for its life; each time it appears, changes or is gone is one more row of its history.
Responsible for what there is to compare, for keeping what was found, and for reading it page by page. What is
a finding is decided by `include.nce.domain.reconciliation`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from pydantic import Field
from sqlalchemy import ColumnElement, Integer, func, literal, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from include.nce.domain.brake import CoverageSignals
from include.nce.domain.classification import SubscriptionClass, effective_class
from include.nce.domain.command import CommandKind
from include.nce.domain.comparison import FindingChanges, KnownHoldings, ReconcileTally
from include.nce.domain.errors import InputRefused
from include.nce.domain.readiness import Owner
from include.nce.domain.reconciliation import (
    CoverageGap,
    Discrepancy,
    FindingKind,
    KnownLine,
    Severity,
)
from include.nce.domain.run import BatchReference
from include.nce.domain.subscription import SubscriptionKind
from include.nce.ledger.commands import sent_at_without_answer
from include.nce.ledger.conversions import conversion_of
from include.nce.ledger.policy import find_partner, latest_number
from include.nce.ledger.reports import Moment, Report
from include.nce.ledger.tables import (
    ComparisonRow,
    ConversionRow,
    FindingEvent,
    FindingHistoryRow,
    FindingRow,
    PartnerRow,
    PlanLineRow,
    PlanRow,
    SubscriptionRow,
)
from include.nce.ledger.transactions import Transactions, in_turn

PARTNERS_NAMED = 3


class FindingStatus(Report):
    """One finding as it stands, or stood until it was resolved."""

    finding: int = Field(description="Its number; also where the next page begins.")
    partner: str = Field(description="Short id.")
    customer: str = Field(description="Tenant id of the end customer.")
    subscription: str = Field(description="Id of the legacy subscription it is about.")
    kind: FindingKind = Field(description="What is wrong.")
    severity: Severity = Field(description="How soon somebody has to act.")
    gap: CoverageGap = Field(description="What it means for the customer's coverage.")
    owner: Owner = Field(description="Who acts.")
    sentence: str = Field(description="What is so, who acts, how and by when.")
    act_by_at: Moment | None = Field(description="After this, what would help is no longer possible.")
    nce_subscription: str | None = Field(description="Id of the NCE subscription beside it.")
    times: int = Field(description="How often it has appeared; 2 and more: it came back.")
    first_seen_at: Moment = Field(description="When it was first seen.")
    since_at: Moment = Field(description="When it last appeared.")
    last_seen_at: Moment = Field(description="When it was last seen.")
    resolved_at: Moment | None = Field(description="When it was found to be gone; null while it stands.")


class FindingsPage(Report):
    """Findings, the worst first. `after` begins the next page; None: this was the last one."""

    findings: list[FindingStatus]
    after: int | None


class FindingsOnRecord(Transactions):
    """Findings, and the comparisons they come from."""

    async def known_holdings(self, campaign: str, partner: str) -> KnownHoldings:
        """The legacy subscriptions surveyed at this partner and its conversions, each once.

        A conversion that another partner or campaign made is compared there, and not listed here.
        """
        async with self._transaction() as session:
            surveyed = (
                await session.scalars(
                    select(SubscriptionRow).where(
                        SubscriptionRow.campaign == campaign,
                        SubscriptionRow.partner == partner,
                        SubscriptionRow.kind == SubscriptionKind.LEGACY,
                        SubscriptionRow.is_trial.is_(False),
                    )
                )
            ).all()
            conversions = await _conversions(session, campaign, partner)
            planned = await _planned(session, campaign, partner)
            unanswered = await sent_at_without_answer(
                session, campaign, partner, [kind for kind in CommandKind if kind.buys]
            )
        seen = {(row.customer_id, row.subscription_id): row for row in surveyed}
        known = []
        for key in sorted(
            {*seen, *(key for key, row in conversions.items() if _is_of(row, campaign, partner))}
        ):
            conversion = conversions.get(key)
            if conversion is None or _is_of(conversion, campaign, partner):
                base = conversions.get((key[0], conversion.base_id)) if conversion is not None else None
                # A bundle is sent under the conversion of its base.
                sent_at = unanswered.get(base.conversion_id) if base is not None else None
                known.append(_known(key, seen.get(key), conversion, planned.get(key[1]), sent_at))
        placed = {
            value
            for row in conversions.values()
            for value in (row.nce_subscription_id, row.order_id)
            if value is not None
        }
        return KnownHoldings(known, frozenset(placed))

    async def batches_of(self, conversion_ids: Collection[int]) -> Sequence[BatchReference]:
        """The latest batch of each conversion, every batch once, oldest first."""
        latest = (
            select(PlanLineRow.plan_id, PlanLineRow.batch_no)
            .where(PlanLineRow.conversion_id.in_(conversion_ids), PlanLineRow.batch_no.is_not(None))
            .distinct(PlanLineRow.conversion_id)
            .order_by(PlanLineRow.conversion_id, PlanLineRow.plan_id.desc())
            .subquery()
        )
        query = (
            select(PlanRow.run_id, latest.c.plan_id, latest.c.batch_no)
            .join(PlanRow, PlanRow.plan_id == latest.c.plan_id)
            .distinct()
            .order_by(latest.c.plan_id, latest.c.batch_no)
        )
        async with self._transaction() as session:
            return [BatchReference(*row) for row in (await session.execute(query)).tuples()]

    async def record_comparison(
        self,
        run_id: str,
        campaign: str,
        partner: str,
        discrepancies: Sequence[Discrepancy],
        *,
        compared: Collection[str],
        lines: int,
        unread: str,
        at: datetime,
    ) -> FindingChanges:
        """Keep what was found, and resolve what was looked for and not found again. Safe to repeat.

        Findings about a subscription that is not in `compared` stay as they are: nobody has looked.
        """
        found = {(d.legacy_id, d.kind): d for d in discrepancies}
        async with self._transaction() as session:
            await in_turn(session, "findings", campaign, partner)
            rows = await session.scalars(
                select(FindingRow).where(FindingRow.campaign == campaign, FindingRow.partner == partner)
            )
            standing = {(row.subscription_id, row.kind): row for row in rows}
            changes: list[tuple[FindingRow, FindingEvent]] = []
            for key, discrepancy in found.items():
                row = standing.get(key)
                if row is None:
                    row = FindingRow(campaign=campaign, partner=partner, times=0, first_seen_at=at)
                    session.add(row)
                event = _seen_again(row, discrepancy, at)
                if event is not None:
                    changes.append((row, event))
            looked_at = set(compared)
            for key, row in standing.items():
                if row.resolved_at is None and key not in found and row.subscription_id in looked_at:
                    row.resolved_at = at
                    changes.append((row, FindingEvent.RESOLVED))
            # The history names its finding, and no mapped relation tells the session which row comes first.
            await session.flush()
            session.add_all(_history_of(row, event, run_id, at) for row, event in changes)
            await _note_comparison(
                session,
                {
                    "campaign": campaign,
                    "partner": partner,
                    "run_id": run_id,
                    "lines": lines,
                    "lines_unread": lines - len(looked_at),
                    "unread": unread,
                    "tried_at": at,
                    "compared_at": at if looked_at or not unread else None,
                },
            )

        def told(wanted: FindingEvent) -> tuple[str, ...]:
            return tuple(row.sentence for row, event in changes if event is wanted)

        return FindingChanges(
            told(FindingEvent.OPENED), told(FindingEvent.RETURNED), told(FindingEvent.RESOLVED)
        )

    async def reconcile_tally(
        self, run_id: str, campaign: str, names: Collection[str] | None = None
    ) -> ReconcileTally:
        """What the run came to; `names`: only these partners were to be compared."""
        async with self._transaction() as session:
            partners = await session.scalar(
                select(func.count())
                .select_from(PartnerRow)
                .where(PartnerRow.campaign == campaign, *_only(PartnerRow.partner, names))
            )
            of_run = (
                ComparisonRow.campaign == campaign,
                ComparisonRow.run_id == run_id,
                *_only(ComparisonRow.partner, names),
            )
            wholly = ComparisonRow.unread == ""
            something = ComparisonRow.lines_unread < ComparisonRow.lines
            counted = (
                await session.execute(
                    select(
                        func.count().filter(wholly),
                        func.count().filter(~wholly, something),
                        func.count().filter(~wholly, ~something),
                    ).where(*of_run)
                )
            ).one()
            why_unread = await session.execute(
                select(ComparisonRow.partner, ComparisonRow.unread)
                .where(*of_run, ~wholly)
                .order_by(something, ComparisonRow.partner)
                .limit(PARTNERS_NAMED)
            )
            open_now = await session.execute(
                select(FindingRow.kind, func.count())
                .where(
                    FindingRow.campaign == campaign,
                    FindingRow.resolved_at.is_(None),
                    *_only(FindingRow.partner, names),
                )
                .group_by(FindingRow.kind)
            )
            changed = await session.execute(
                select(FindingHistoryRow.event, func.count())
                .join(FindingRow, FindingRow.finding_id == FindingHistoryRow.finding_id)
                .where(FindingHistoryRow.run_id == run_id, FindingRow.campaign == campaign)
                .group_by(FindingHistoryRow.event)
            )
            events = dict(changed.tuples().all())
            return ReconcileTally(
                partners=partners or 0,
                compared=counted[0],
                partly=counted[1],
                unread=counted[2],
                why_unread=why_unread.tuples().all(),
                open=dict(open_now.tuples().all()),
                opened=events.get(FindingEvent.OPENED, 0),
                returned=events.get(FindingEvent.RETURNED, 0),
                resolved=events.get(FindingEvent.RESOLVED, 0),
                signals=await coverage_found(session, campaign, names),
            )

    async def standing_findings(
        self,
        campaign: str,
        partner: str | None = None,
        *,
        with_resolved: bool = False,
        after: int | None = None,
        limit: int = 50,
    ) -> FindingsPage:
        """One page of the open findings, the worst first; `after` is where the page before ended.

        Raises InputRefused with the names that look alike when campaign or partner is unknown, and for an
        `after` that is no finding of this campaign.
        """
        query = select(FindingRow).where(FindingRow.campaign == campaign)
        if partner is not None:
            query = query.where(FindingRow.partner == partner)
        if not with_resolved:
            query = query.where(FindingRow.resolved_at.is_(None))
        async with self._transaction() as session:
            await latest_number(session, campaign)
            if partner is not None:
                await find_partner(session, campaign, partner)
            if after is not None:
                last = await session.get(FindingRow, after)
                if last is None or last.campaign != campaign:
                    raise InputRefused([f"Finding {after} is not on record in {campaign}; begin without it."])
                query = query.where(
                    tuple_(FindingRow.rank, FindingRow.finding_id)
                    > tuple_(literal(last.rank, Integer), literal(last.finding_id))
                )
            rows = (
                await session.scalars(query.order_by(FindingRow.rank, FindingRow.finding_id).limit(limit + 1))
            ).all()
        page = rows[:limit]
        return FindingsPage(
            findings=[_status_of(row) for row in page],
            after=page[-1].finding_id if len(rows) > limit else None,
        )


async def _conversions(
    session: AsyncSession, campaign: str, partner: str
) -> dict[tuple[str, str], ConversionRow]:
    """Customer and legacy id -> conversion: the partner's own, and every other one of its customers."""
    own = select(ConversionRow).where(ConversionRow.campaign == campaign, ConversionRow.partner == partner)
    customers = (
        select(SubscriptionRow.customer_id)
        .where(SubscriptionRow.campaign == campaign, SubscriptionRow.partner == partner)
        .distinct()
    )
    theirs = select(ConversionRow).where(ConversionRow.customer_id.in_(customers))
    found = [*await session.scalars(own), *await session.scalars(theirs)]
    return {(row.customer_id, row.legacy_id): row for row in found}


async def _planned(session: AsyncSession, campaign: str, partner: str) -> dict[str, PlanLineRow]:
    """Subscription id -> its line in the partner's latest plan."""
    latest = (
        select(PlanRow.plan_id)
        .where(PlanRow.campaign == campaign, PlanRow.partner == partner)
        .order_by(PlanRow.number.desc())
        .limit(1)
        .scalar_subquery()
    )
    lines = await session.scalars(select(PlanLineRow).where(PlanLineRow.plan_id == latest))
    return {line.subscription_id: line for line in lines}


def _is_of(row: ConversionRow, campaign: str, partner: str) -> bool:
    return (row.campaign, row.partner) == (campaign, partner)


def _known(
    key: tuple[str, str],
    surveyed: SubscriptionRow | None,
    row: ConversionRow | None,
    planned: PlanLineRow | None,
    unanswered_at: datetime | None,
) -> KnownLine:
    customer_id, legacy_id = key
    klass: SubscriptionClass | None = None
    if planned is not None:
        state = row.state if row is not None and planned.conversion_id is not None else None
        klass = effective_class(planned.klass, state)
    named = surveyed or planned
    parent_id = surveyed.parent_id if surveyed is not None else None
    offer_id = named.offer_id if named is not None else ""
    return KnownLine(
        legacy_id=legacy_id,
        customer_id=customer_id,
        base_id=row.base_id if row is not None else parent_id or legacy_id,
        offer_id=row.offer_id if row is not None else offer_id,
        offer_name=named.offer_name if named is not None else "",
        klass=klass,
        planned_seats=planned.legacy_seats if planned is not None else None,
        last_status=surveyed.status if surveyed is not None else None,
        term_end_at=named.term_end_at if named is not None else None,
        expected_product_and_sku=row.expected_product_and_sku if row is not None else None,
        conversion=conversion_of(row) if row is not None else None,
        unanswered_at=unanswered_at,
    )


def _seen_again(row: FindingRow, found: Discrepancy, at: datetime) -> FindingEvent | None:
    """Write what was found into its row; what happened to the finding by that, None when it only stands."""
    event: FindingEvent | None = None
    if row.times == 0 or row.resolved_at is not None:
        event = FindingEvent.OPENED if row.times == 0 else FindingEvent.RETURNED
        row.times += 1
        row.since_at, row.resolved_at = at, None
    elif (row.severity, row.gap, row.owner, row.sentence) != (
        found.severity, found.gap, found.owner, found.sentence,
    ):  # fmt: skip
        event = FindingEvent.CHANGED
    row.customer_id, row.subscription_id, row.kind = found.customer_id, found.legacy_id, found.kind
    row.severity, row.rank, row.gap, row.owner = found.severity, found.severity.rank, found.gap, found.owner
    row.sentence, row.act_by_at = found.sentence, found.act_by_at
    row.nce_subscription_id, row.last_seen_at = found.nce_subscription_id, at
    return event


def _history_of(row: FindingRow, event: FindingEvent, run_id: str, at: datetime) -> FindingHistoryRow:
    return FindingHistoryRow(
        finding_id=row.finding_id,
        run_id=run_id,
        event=event,
        severity=row.severity,
        gap=row.gap,
        owner=row.owner,
        sentence=row.sentence,
        at=at,
    )


async def _note_comparison(session: AsyncSession, facts: dict[str, Any]) -> None:
    statement = insert(ComparisonRow).values(facts)
    renewed: dict[str, Any] = {
        name: statement.excluded[name] for name in facts if name not in ("campaign", "partner")
    }
    renewed["compared_at"] = func.coalesce(statement.excluded.compared_at, ComparisonRow.compared_at)
    await session.execute(
        statement.on_conflict_do_update(index_elements=["campaign", "partner"], set_=renewed)
    )


def _only(column: Any, names: Collection[str] | None) -> list[ColumnElement[bool]]:
    return [] if names is None else [column.in_(names)]


async def coverage_found(
    session: AsyncSession, campaign: str, names: Collection[str] | None = None
) -> CoverageSignals:
    """How many open findings mean zero and double coverage now."""
    query = (
        select(FindingRow.partner, FindingRow.gap, func.count())
        .where(
            FindingRow.campaign == campaign,
            FindingRow.resolved_at.is_(None),
            FindingRow.gap != CoverageGap.NONE,
            *_only(FindingRow.partner, names),
        )
        .group_by(FindingRow.partner, FindingRow.gap)
        .order_by(FindingRow.partner)
    )
    by_partner: dict[str, Counter[CoverageGap]] = {}
    for partner, gap, number in await session.execute(query):
        by_partner.setdefault(partner, Counter())[gap] += number
    return CoverageSignals(
        zero=sum(counted[CoverageGap.ZERO] for counted in by_partner.values()),
        double=sum(counted[CoverageGap.DOUBLE] for counted in by_partner.values()),
        by_partner={
            partner: (counted[CoverageGap.ZERO], counted[CoverageGap.DOUBLE])
            for partner, counted in by_partner.items()
        },
    )


def _status_of(row: FindingRow) -> FindingStatus:
    return FindingStatus(
        finding=row.finding_id,
        partner=row.partner,
        customer=row.customer_id,
        subscription=row.subscription_id,
        kind=row.kind,
        severity=row.severity,
        gap=row.gap,
        owner=row.owner,
        sentence=row.sentence,
        act_by_at=row.act_by_at,
        nce_subscription=row.nce_subscription_id,
        times=row.times,
        first_seen_at=row.first_seen_at,
        since_at=row.since_at,
        last_seen_at=row.last_seen_at,
        resolved_at=row.resolved_at,
    )
