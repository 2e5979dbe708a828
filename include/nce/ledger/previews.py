"""What starting partners again would do, counted in one query on what is on record."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import and_, func, or_, select, true

from include.nce.domain.classification import SubscriptionClass
from include.nce.domain.conversion import ConversionState
from include.nce.domain.preview import Preview
from include.nce.ledger.tables import ConversionRow, PartnerRow, PlanLineRow, PlanRow
from include.nce.ledger.transactions import Transactions

_OPEN_AGAIN = (SubscriptionClass.HELD, SubscriptionClass.NOT_ELIGIBLE, SubscriptionClass.LAPSES)


class Previews(Transactions):
    """Reading only; nothing here writes."""

    async def preview(self, campaign: str, partners: Collection[str], *, now_at: datetime) -> Preview:
        """What running these enrolled partners would do now, by the latest plan of each."""
        latest = (
            select(PlanRow.plan_id)
            .where(PlanRow.campaign == PartnerRow.campaign, PlanRow.partner == PartnerRow.partner)
            .order_by(PlanRow.number.desc())
            .limit(1)
            .lateral()
        )
        due = or_(
            PlanLineRow.klass == SubscriptionClass.DUE,
            and_(
                PlanLineRow.klass == SubscriptionClass.SCHEDULED,
                PlanLineRow.window_opens_at <= now_at,
            ),
        )
        not_begun = or_(
            ConversionRow.conversion_id.is_(None),
            ConversionRow.state.in_(ConversionState.where(lambda state: state.is_unsent)),
        )
        under_way = ConversionState.where(lambda state: state.is_under_way)
        query = (
            select(
                func.count().filter(and_(due, not_begun)),
                func.count().filter(ConversionRow.state.in_(under_way)),
                func.count(PartnerRow.partner.distinct()),
                func.count(PartnerRow.partner.distinct()).filter(latest.c.plan_id.is_(None)),
                func.count().filter(and_(PlanLineRow.klass.in_(_OPEN_AGAIN), not_begun)),
            )
            .select_from(PartnerRow)
            .outerjoin(latest, true())
            .outerjoin(PlanLineRow, PlanLineRow.plan_id == latest.c.plan_id)
            .outerjoin(
                ConversionRow,
                and_(
                    ConversionRow.customer_id == PlanLineRow.customer_id,
                    ConversionRow.legacy_id == PlanLineRow.subscription_id,
                ),
            )
            .where(PartnerRow.campaign == campaign, PartnerRow.partner.in_(partners))
        )  # fmt: skip
        async with self._transaction() as session:
            purchases, cancellations, counted, not_planned, anew = (await session.execute(query)).one()
        return Preview(
            purchases=purchases,
            cancellations=cancellations,
            partners=counted,
            not_planned=not_planned,
            decided_anew=anew,
        )
