"""The ledger read for people: everything on record about one partner or subscription, in order.

Responsible for turning rows into dated sentences. One query per kind of fact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field
from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.ext.asyncio import AsyncSession

from include.nce.domain.approval import SHORT_HASH
from include.nce.ledger.approvals import approval_of
from include.nce.ledger.policy import latest_number
from include.nce.ledger.reports import Moment, Report
from include.nce.ledger.runs import finding_of
from include.nce.ledger.tables import (
    ApprovalRow,
    CampaignVersionRow,
    CheckHistoryRow,
    CommandEvent,
    CommandEventRow,
    CommandRow,
    ConversionHistoryRow,
    ConversionRow,
    DecisionKind,
    DecisionRow,
    OptOutRow,
    OptOutRulingRow,
    PartnerRow,
    PlanLineRow,
    PlanRow,
    RunEvent,
    RunHistoryRow,
    RunRow,
    SubscriptionRow,
)
from include.nce.ledger.transactions import Transactions, unknown


class Entry(Report):
    """One thing on record: when, about whom, what happened in a sentence, and the facts behind it.

    `at` is the campaign's clock, `recorded_at` the machine's (null for a withdrawal, which changes a row).
    """

    at: Moment
    recorded_at: Moment | None
    kind: str
    partner: str | None
    subscription: str | None
    sentence: str
    facts: dict[str, Any] = Field(default_factory=dict)


class Explanations(Transactions):
    """Why things are as they are."""

    async def explain(self, campaign: str, subject: str) -> Sequence[Entry]:
        """Everything on record about a partner or a subscription, in the order of the campaign's clock.

        About a subscription also what held for its whole partner: runs, checks, opt-outs, moved dates. Raises
        InputRefused with the names that look alike when the campaign knows neither.
        """
        name = subject.strip().lower()
        async with self._transaction() as session:
            await latest_number(session, campaign)
            partners, legacy_ids = await _meant(session, campaign, name)
            entries = [
                *await _policy_entries(session, campaign),
                *await _run_entries(session, campaign, partners),
                *await _check_entries(session, campaign, partners),
                *await _opt_out_entries(session, campaign, partners),
                *await _plan_entries(session, campaign, partners, legacy_ids),
                *await _approval_entries(session, campaign, partners, legacy_ids),
                *await _decision_entries(session, campaign, partners, legacy_ids),
                *await _conversion_entries(session, campaign, partners, legacy_ids),
                *await _command_entries(session, campaign, partners, legacy_ids),
            ]
        return sorted(entries, key=lambda e: (e.at, e.recorded_at is None, e.recorded_at or e.at))


async def _meant(
    session: AsyncSession, campaign: str, name: str
) -> tuple[Sequence[str], Sequence[str] | None]:
    """The partners and legacy ids `name` stands for; None for "all of the partner's"."""
    if await session.get(PartnerRow, (campaign, name)) is not None:
        return [name], None
    query = select(SubscriptionRow.partner).where(
        SubscriptionRow.campaign == campaign, SubscriptionRow.subscription_id == name
    )
    partners = (await session.scalars(query)).all()
    if partners:
        return partners, [name]
    known = await session.scalars(select(PartnerRow.partner).where(PartnerRow.campaign == campaign))
    raise unknown("Partner or subscription", name, known, where=f"campaign {campaign}")


async def _policy_entries(session: AsyncSession, campaign: str) -> list[Entry]:
    query = select(CampaignVersionRow).where(CampaignVersionRow.campaign == campaign)
    return [
        Entry(
            at=row.created_at,
            recorded_at=row.recorded_at,
            kind="campaign",
            partner=None,
            subscription=None,
            sentence=f"{row.author} made version {row.version} of the campaign: {row.reason}",
        )
        for row in await session.scalars(query)
    ]


_RUN_WORDS = {RunEvent.OPENED: "opened", RunEvent.REOPENED: "opened again", RunEvent.CLOSED: "closed"}


async def _run_entries(session: AsyncSession, campaign: str, partners: Sequence[str]) -> list[Entry]:
    query = (
        select(RunHistoryRow, RunRow.partner)
        .join(RunRow, RunRow.run_id == RunHistoryRow.run_id)
        .where(RunRow.campaign == campaign, RunRow.partner.in_(partners))
    )
    entries = []
    for row, partner in await session.execute(query):
        ending = f" as {row.outcome.value}: {row.sentence}" if row.outcome else f" in mode {row.mode}."
        entries.append(
            Entry(
                at=row.at,
                recorded_at=row.recorded_at,
                kind="run",
                partner=partner,
                subscription=None,
                sentence=f"Run {row.run_id} was {_RUN_WORDS[row.event]}{ending}",
            )
        )
    return entries


async def _check_entries(session: AsyncSession, campaign: str, partners: Sequence[str]) -> list[Entry]:
    query = (
        select(CheckHistoryRow, RunRow.partner)
        .join(RunRow, RunRow.run_id == CheckHistoryRow.run_id)
        .where(RunRow.campaign == campaign, RunRow.partner.in_(partners))
    )
    return [
        Entry(
            at=row.at,
            recorded_at=row.recorded_at,
            kind="check",
            partner=partner,
            subscription=None,
            sentence=f"{row.check.value}: {row.answer.value}. {finding_of(row).sentence}",
            facts={"code": row.code, "missing_customers": row.missing_customers},
        )
        for row, partner in await session.execute(query)
    ]


async def _opt_out_entries(session: AsyncSession, campaign: str, partners: Sequence[str]) -> list[Entry]:
    entries = []
    forms = select(OptOutRow).where(OptOutRow.campaign == campaign, OptOutRow.partner.in_(partners))
    for row in await session.scalars(forms):
        whose = f"customer {row.customer_id}" if row.customer_id else "the whole partner"
        about = {"kind": "opt_out", "partner": row.partner, "subscription": None}
        entries.append(
            Entry(
                at=row.received_at,
                recorded_at=row.recorded_at,
                sentence=f"An opt-out of {whose} came in, entered by {row.recorded_by}. {row.note}".strip(),
                **about,
            )
        )
        if row.withdrawn_at is not None:
            withdrawn = f"The opt-out of {whose} was withdrawn, entered by {row.withdrawn_by}."
            entries.append(Entry(at=row.withdrawn_at, recorded_at=None, sentence=withdrawn, **about))
    rulings = (
        select(OptOutRulingRow, RunRow.partner)
        .join(RunRow, RunRow.run_id == OptOutRulingRow.run_id)
        .where(RunRow.campaign == campaign, RunRow.partner.in_(partners))
    )
    for ruling, partner in await session.execute(rulings):
        entries.append(
            Entry(
                at=ruling.at,
                recorded_at=ruling.recorded_at,
                kind="opt_out_ruling",
                partner=partner,
                subscription=None,
                sentence=f"Run {ruling.run_id} ruled on the opt-outs: partner {ruling.verdict.value}, single "
                f"customers {len(ruling.customers_in_time)} in time, {len(ruling.customers_late)} late.",
                facts={
                    "deadline_at": f"{ruling.deadline_at:%Y-%m-%dT%H:%M:%SZ}",
                    "customers_in_time": ruling.customers_in_time,
                    "customers_late": ruling.customers_late,
                },
            )
        )
    return entries


async def _plan_entries(
    session: AsyncSession, campaign: str, partners: Sequence[str], legacy_ids: Sequence[str] | None
) -> list[Entry]:
    theirs = (PlanRow.campaign == campaign, PlanRow.partner.in_(partners))
    if legacy_ids is None:
        return [
            Entry(
                at=plan.created_at,
                recorded_at=plan.recorded_at,
                kind="plan",
                partner=plan.partner,
                subscription=None,
                sentence=f"Plan {plan.number} ({plan.hash[:SHORT_HASH]}) by campaign version "
                f"{plan.campaign_version}: "
                + (", ".join(f"{n} {klass}" for klass, n in plan.tally.items()) or "no subscriptions")
                + ".",
            )
            for plan in await session.scalars(select(PlanRow).where(*theirs))
        ]
    query = (
        select(PlanLineRow, PlanRow)
        .join(PlanRow, PlanRow.plan_id == PlanLineRow.plan_id)
        .where(*theirs, PlanLineRow.subscription_id.in_(legacy_ids))
    )
    return [
        Entry(
            at=plan.created_at,
            recorded_at=line.recorded_at,
            kind="plan",
            partner=plan.partner,
            subscription=line.subscription_id,
            sentence=f"Plan {plan.number} ({plan.hash[:SHORT_HASH]}): {line.klass.value}. "
            f"{line.reason} {line.remedy}".strip(),
            facts={
                "owner": line.owner.value,
                "warning": line.warning,
                "batch_no": line.batch_no,
                "plan_hash": plan.hash,
                "fingerprint": line.fingerprint,
            },
        )
        for line, plan in await session.execute(query)
    ]


async def _approval_entries(
    session: AsyncSession, campaign: str, partners: Sequence[str], legacy_ids: Sequence[str] | None
) -> list[Entry]:
    """What people said about plans: all of the partner's, or those that a subscription was a line of."""
    query = select(ApprovalRow).where(ApprovalRow.campaign == campaign, ApprovalRow.partner.in_(partners))
    if legacy_ids is not None:
        with_it = (
            select(PlanLineRow.plan_id)
            .join(PlanRow, PlanRow.plan_id == PlanLineRow.plan_id)
            .where(
                PlanRow.campaign == ApprovalRow.campaign,
                PlanRow.partner == ApprovalRow.partner,
                PlanRow.hash == ApprovalRow.plan_hash,
                PlanLineRow.subscription_id.in_(legacy_ids),
                PlanLineRow.fingerprint.is_not(None),
            )
            .exists()
        )
        query = query.where(with_it)
    return [
        Entry(
            at=row.at,
            recorded_at=row.recorded_at,
            kind="approval",
            partner=row.partner,
            subscription=None,
            sentence=f"{approval_of(row).sentence}.",
            facts={"plan_hash": row.plan_hash},
        )
        for row in await session.scalars(query)
    ]


_DECISION_WORDS = {
    DecisionKind.CONFIRM_CONVERSION: "decided to convert it",
    DecisionKind.WITHDRAW_CONFIRMATION: "took the decision to convert it back",
}


async def _decision_entries(
    session: AsyncSession, campaign: str, partners: Sequence[str], legacy_ids: Sequence[str] | None
) -> list[Entry]:
    query = select(DecisionRow).where(DecisionRow.campaign == campaign, DecisionRow.partner.in_(partners))
    if legacy_ids is not None:
        query = query.where(DecisionRow.subscription_id.in_(legacy_ids))
    return [
        Entry(
            at=row.at,
            recorded_at=row.recorded_at,
            kind="decision",
            partner=row.partner,
            subscription=row.subscription_id,
            sentence=f"{row.decided_by} {_DECISION_WORDS[row.kind]}: {row.reason}",
        )
        for row in await session.scalars(query)
    ]


def _conversions_meant(
    campaign: str, partners: Sequence[str], legacy_ids: Sequence[str] | None
) -> ColumnElement[bool]:
    """A subscription's conversion whoever made it; a partner's conversions that were made for it."""
    if legacy_ids is not None:
        return ConversionRow.legacy_id.in_(legacy_ids)
    return and_(ConversionRow.campaign == campaign, ConversionRow.partner.in_(partners))


async def _conversion_entries(
    session: AsyncSession, campaign: str, partners: Sequence[str], legacy_ids: Sequence[str] | None
) -> list[Entry]:
    query = (
        select(ConversionHistoryRow, ConversionRow.partner, ConversionRow.legacy_id)
        .join(ConversionRow, ConversionRow.conversion_id == ConversionHistoryRow.conversion_id)
        .where(_conversions_meant(campaign, partners, legacy_ids))
    )
    return [
        Entry(
            at=row.at,
            recorded_at=row.recorded_at,
            kind="conversion",
            partner=partner,
            subscription=legacy_id,
            sentence=f"Conversion {row.state.value}{': ' + row.reason if row.reason else '.'}",
            facts=row.facts,
        )
        for row, partner, legacy_id in await session.execute(query)
    ]


_EVENT_WORDS = {
    CommandEvent.SENDING: "is being sent",
    CommandEvent.ACCEPTED: "was accepted",
    CommandEvent.REFUSED: "was refused",
    CommandEvent.LOST: "got no usable answer",
    CommandEvent.FOUND: "was found to have arrived",
    CommandEvent.NOT_FOUND: "was found not to have arrived",
}


async def _command_entries(
    session: AsyncSession, campaign: str, partners: Sequence[str], legacy_ids: Sequence[str] | None
) -> list[Entry]:
    meant = _conversions_meant(campaign, partners, legacy_ids)
    intentions = (
        select(CommandRow, ConversionRow.partner, ConversionRow.legacy_id)
        .join(ConversionRow, ConversionRow.conversion_id == CommandRow.conversion_id)
        .where(meant)
    )
    entries = [
        Entry(
            at=row.intended_at,
            recorded_at=row.recorded_at,
            kind="command",
            partner=partner,
            subscription=legacy_id,
            sentence=f"Command {row.command_id} ({row.kind}) is intended with request id {row.request_id}.",
            facts={"payload": row.payload, "request_id": row.request_id},
        )
        for row, partner, legacy_id in await session.execute(intentions)
    ]
    events = (
        select(CommandEventRow, CommandRow.kind, ConversionRow.partner, ConversionRow.legacy_id)
        .join(CommandRow, CommandRow.command_id == CommandEventRow.command_id)
        .join(ConversionRow, ConversionRow.conversion_id == CommandRow.conversion_id)
        .where(meant)
    )
    for row, kind, partner, legacy_id in await session.execute(events):
        status = (
            f" (HTTP {row.status}{'' if row.code is None else f', code {row.code}'})" if row.status else ""
        )
        entries.append(
            Entry(
                at=row.at,
                recorded_at=row.recorded_at,
                kind="command",
                partner=partner,
                subscription=legacy_id,
                sentence=f"Command {row.command_id} ({kind}) {_EVENT_WORDS[row.event]}{status}.",
                facts={
                    "status": row.status,
                    "code": row.code,
                    "correlation_id": row.correlation_id,
                    "body": row.body,
                },
            )
        )
    return entries
