"""One plan and one subscription, read for people.

Responsible for the lines of a run's plan as they were written down, also those of a dry run, and for whose a
subscription is. The state of a campaign belongs to `reports`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pydantic import Field
from sqlalchemy import select

from include.nce.domain.classification import SubscriptionClass
from include.nce.domain.conversion import Route
from include.nce.domain.readiness import Owner
from include.nce.ledger.reports import Moment, Report
from include.nce.ledger.tables import PlanLineRow, PlanRow, SubscriptionRow
from include.nce.ledger.transactions import Transactions


class PlanLine(Report):
    """What the plan says of one subscription; `term`, `billing` and `seats` are what would be bought."""

    subscription: str
    customer: str
    offer_id: str
    offer_name: str
    legacy_seats: int
    term_end_at: Moment | None
    klass: SubscriptionClass = Field(alias="class")
    reason: str
    owner: Owner
    remedy: str
    warning: str
    route: Route | None
    term: str | None
    billing: str | None
    seats: int | None
    window_opens_at: Moment | None
    last_safe_start_at: Moment | None
    travels_with: str | None


class Plan(Report):
    """The latest plan of one run, its lines in the order in which they would be worked."""

    run_id: str
    campaign: str
    partner: str
    number: int
    campaign_version: int
    created_at: Moment
    totals: dict[SubscriptionClass, int]
    lines: list[PlanLine]


class PlanReports(Transactions):
    """Reading only; nothing here writes."""

    async def plan_of(self, run_id: str) -> Plan | None:
        """The run's latest plan; None when it has made none."""
        query = select(PlanRow).where(PlanRow.run_id == run_id).order_by(PlanRow.number.desc()).limit(1)
        async with self._transaction() as session:
            plan = await session.scalar(query)
            if plan is None:
                return None
            lines = (
                await session.scalars(
                    select(PlanLineRow)
                    .where(PlanLineRow.plan_id == plan.plan_id)
                    .order_by(PlanLineRow.position)
                )
            ).all()
        counted = Counter(line.klass for line in lines)
        return Plan(
            run_id=plan.run_id,
            campaign=plan.campaign,
            partner=plan.partner,
            number=plan.number,
            campaign_version=plan.campaign_version,
            created_at=plan.created_at,
            totals={klass: counted[klass] for klass in SubscriptionClass if counted[klass]},
            lines=[_line(line) for line in lines],
        )

    async def holders(self, campaign: str, subscription_id: str) -> Sequence[str]:
        """The partners in whose surveys the subscription was seen."""
        query = (
            select(SubscriptionRow.partner)
            .where(SubscriptionRow.campaign == campaign, SubscriptionRow.subscription_id == subscription_id)
            .order_by(SubscriptionRow.partner)
        )
        async with self._transaction() as session:
            return (await session.scalars(query)).all()


def _line(row: PlanLineRow) -> PlanLine:
    return PlanLine.model_validate(
        {
            "subscription": row.subscription_id,
            "customer": row.customer_id,
            "class": row.klass,
            **{
                name: getattr(row, name)
                for name in PlanLine.model_fields
                if name not in ("subscription", "customer", "klass")
            },
        }
    )
