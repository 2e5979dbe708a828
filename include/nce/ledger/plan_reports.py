"""One plan and one subscription, read for people.

Responsible for the lines of a run's plan as they were written down, also those of a dry run, and for whose a
subscription is. The state of a campaign belongs to `reports`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pydantic import Field
from sqlalchemy import select

from include.nce.domain.approval import ApprovalWord, reasons_to_ask
from include.nce.domain.campaign import Campaign
from include.nce.domain.classification import SubscriptionClass
from include.nce.domain.conversion import Route
from include.nce.domain.readiness import Owner
from include.nce.ledger.approvals import latest_word
from include.nce.ledger.plans import plan_on_record
from include.nce.ledger.reports import Moment, Report
from include.nce.ledger.tables import CampaignVersionRow, PlanLineRow, PlanRow, SubscriptionRow
from include.nce.ledger.transactions import Transactions


class PlanLine(Report):
    """What the plan says of one subscription; `term`, `billing` and `seats` are what would be bought."""

    subscription: str = Field(description="Id of the subscription the line is about.")
    customer: str = Field(description="Tenant id of the end customer.")
    offer_id: str = Field(description="Microsoft's id of the legacy offer.")
    offer_name: str = Field(description="Microsoft's name of it.")
    legacy_seats: int = Field(description="Seats it has in legacy.")
    term_end_at: Moment | None = Field(description="When the present term ends.")
    klass: SubscriptionClass = Field(alias="class", description="What becomes of it.")
    reason: str = Field(description="Why, in one sentence.")
    owner: Owner = Field(description="Who has to act next.")
    remedy: str = Field(description="How; empty when nobody has to.")
    warning: str = Field(description="What goes on but deserves a look; mostly empty.")
    route: Route | None = Field(description="How it would be converted.")
    term: str | None = Field(description="Term that would be bought, as P1Y.")
    billing: str | None = Field(description="Billing cycle that would be bought.")
    seats: int | None = Field(description="Seats that would be bought.")
    window_opens_at: Moment | None = Field(description="When it becomes due.")
    last_safe_start_at: Moment | None = Field(
        description="After this, Microsoft may not finish before the term ends."
    )
    travels_with: str | None = Field(description="For an add-on, the subscription it is converted with.")


class Plan(Report):
    """The latest plan of one run, its lines in the order in which they would be worked."""

    run_id: str = Field(description="The run's id in Airflow.")
    campaign: str = Field(description="The campaign's name.")
    partner: str = Field(description="Short id.")
    number: int = Field(description="Counted for each partner.")
    campaign_version: int = Field(description="The version of the campaign it follows.")
    hash: str = Field(description="SHA-256 of what it buys, on which terms; `nce apply` takes its beginning.")
    approval_needed: list[str] = Field(
        description="Why a person has to approve it before it is bought, by the campaign's policy of today."
    )
    approved_by: str | None = Field(description="Who approved exactly this hash; null when nobody has.")
    created_at: Moment = Field(description="When it was made.")
    totals: dict[SubscriptionClass, int] = Field(description="Subscriptions by class.")
    lines: list[PlanLine] = Field(description="In the order in which they would be worked.")


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
            on_record = await plan_on_record(session, plan)
            said = await session.scalar(latest_word(plan.campaign, plan.partner, plan.hash))
            policy = await session.scalar(
                select(CampaignVersionRow.document)
                .where(CampaignVersionRow.campaign == plan.campaign)
                .order_by(CampaignVersionRow.version.desc())
                .limit(1)
            )
            approvals = Campaign.model_validate(policy).approvals
        counted = Counter(line.klass for line in lines)
        return Plan(
            run_id=plan.run_id,
            campaign=plan.campaign,
            partner=plan.partner,
            number=plan.number,
            campaign_version=plan.campaign_version,
            hash=plan.hash,
            approval_needed=list(reasons_to_ask(list(on_record.lines.values()), approvals)),
            approved_by=said.decided_by if said is not None and said.word is ApprovalWord.APPROVED else None,
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
