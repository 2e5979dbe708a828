"""Approvals on record: who said what about a plan of exactly this hash."""

from __future__ import annotations

from sqlalchemy import Select, select

from include.nce.domain.approval import Approval, ApprovalWord, PlanOnRecord
from include.nce.domain.privacy import masked
from include.nce.ledger.plans import plan_on_record
from include.nce.ledger.tables import ApprovalRow, PlanRow
from include.nce.ledger.transactions import Transactions, partner_turn


class Approvals(Transactions):
    """Words about plans; the latest about a hash counts."""

    async def record_approval(self, campaign: str, partner: str, approval: Approval) -> None:
        """Keep a person's word; repeated by a task that runs twice, it is kept once."""
        async with self._transaction() as session:
            await partner_turn(session, campaign, partner)
            standing = await session.scalar(latest_word(campaign, partner, approval.plan_hash))
            if standing is not None and _plain(standing) == (
                approval.word, approval.decided_by, masked(approval.comment)
            ):  # fmt: skip
                return
            session.add(
                ApprovalRow(
                    campaign=campaign,
                    partner=partner,
                    plan_hash=approval.plan_hash,
                    word=approval.word,
                    decided_by=approval.decided_by,
                    comment=approval.comment,
                    at=approval.at,
                )
            )

    async def approval(self, campaign: str, partner: str, plan_hash: str) -> Approval | None:
        """The latest word on exactly this hash; None when nobody has said anything."""
        async with self._transaction() as session:
            row = await session.scalar(latest_word(campaign, partner, plan_hash))
            return None if row is None else approval_of(row)

    async def approved_plan(self, campaign: str, partner: str) -> PlanOnRecord | None:
        """The plan that was approved last and whose latest word still is an approval."""
        latest = (
            select(ApprovalRow)
            .where(ApprovalRow.campaign == campaign, ApprovalRow.partner == partner)
            .distinct(ApprovalRow.plan_hash)
            .order_by(ApprovalRow.plan_hash, ApprovalRow.approval_id.desc())
            .subquery()
        )
        query = (
            select(PlanRow)
            .join(latest, latest.c.plan_hash == PlanRow.hash)
            .where(
                PlanRow.campaign == campaign,
                PlanRow.partner == partner,
                latest.c.word == ApprovalWord.APPROVED,
            )
            .order_by(latest.c.approval_id.desc(), PlanRow.number.desc())
            .limit(1)
        )
        async with self._transaction() as session:
            plan = await session.scalar(query)
            return None if plan is None else await plan_on_record(session, plan)


def approval_of(row: ApprovalRow) -> Approval:
    return Approval(row.plan_hash, row.word, row.decided_by, row.at, row.comment)


def latest_word(campaign: str, partner: str, plan_hash: str) -> Select[tuple[ApprovalRow]]:
    return (
        select(ApprovalRow)
        .where(
            ApprovalRow.campaign == campaign,
            ApprovalRow.partner == partner,
            ApprovalRow.plan_hash == plan_hash,
        )
        .order_by(ApprovalRow.approval_id.desc())
        .limit(1)
    )


def _plain(row: ApprovalRow) -> tuple[ApprovalWord, str, str]:
    return row.word, row.decided_by, row.comment
