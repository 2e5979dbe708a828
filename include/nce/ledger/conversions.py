"""Conversions on record: how far each is, what was learnt, and what it means for later plans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import Enum
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from include.nce.domain.conversion import Conversion, ConversionState, Overtaken
from include.nce.domain.decision import DecisionKind
from include.nce.domain.errors import InputRefused
from include.nce.domain.privacy import masked
from include.nce.domain.subscription import lower_guid
from include.nce.domain.undo import may_be_converted_again
from include.nce.ledger.policy import find_partner
from include.nce.ledger.tables import (
    ConversionHistoryRow,
    ConversionRow,
    DecisionRow,
    SubscriptionRow,
)
from include.nce.ledger.transactions import Transactions, campaign_shared, partner_turn

FACTS = frozenset(
    {
        "seats",
        "term",
        "billing",
        "expected_product_and_sku",
        "reference",
        "migration_id",
        "cart_id",
        "order_id",
        "nce_subscription_id",
        "not_before_at",
        "undoable_until_at",
    }
)
"""What `advance` may learn about a conversion. What it is about (customer, legacy id, ...) never changes."""


class Conversions(Transactions):
    """Conversions, and the decisions of people about them."""

    async def conversion(self, conversion_id: int) -> Conversion:
        async with self._transaction() as session:
            return conversion_of(await session.get_one(ConversionRow, conversion_id))

    async def standing_conversions(self, campaign: str, partner: str) -> Mapping[str, Conversion]:
        """Legacy id -> our conversion that is under way, converted, being taken back or taken back.

        Also those that another campaign or partner made of what this partner's customers hold. What was
        undone is left out once a person decided, after that, to convert it again.
        """
        query = select(ConversionRow).where(
            _about(campaign, partner),
            ConversionRow.state.not_in(ConversionState.where(lambda state: state.starts_afresh)),
        )
        async with self._transaction() as session:
            rows = (await session.scalars(query)).all()
            again = await to_be_converted_again(session, rows)
        return {row.legacy_id: conversion_of(row) for row in rows if row.legacy_id not in again}

    async def advance(
        self,
        seen: Conversion,
        state: ConversionState,
        reason: str = "",
        *,
        at: datetime,
        **facts: Any,
    ) -> Conversion:
        """Move a conversion to a state and keep the facts learnt (see `FACTS`).

        Raises `Overtaken`, and changes nothing, when it is in another state by now than was `seen`, or
        belongs to another plan: a process that was taken for dead must not write over what its successor
        found, and what was decided by one plan says nothing of the next. Raises `ImpossibleMove` for a move
        that `MOVES` does not know.

        `not_before_at` belongs to its state: it goes with the next one unless that brings its own. A call
        that changes nothing leaves no trace, so that a step may run twice.
        """
        strangers = facts.keys() - FACTS
        if strangers:
            raise TypeError(f"a conversion has no facts named {', '.join(sorted(strangers))}")
        reason = masked(reason)
        async with self._transaction() as session:
            # A release and what fails at the same moment take turns: one of them is the earlier.
            await campaign_shared(session, seen.campaign)
            row = await session.get_one(ConversionRow, seen.conversion_id, with_for_update=True)
            learnt = {name: value for name, value in facts.items() if getattr(row, name) != value}
            if row.state is state and row.reason == reason and row.plan_id == seen.plan_id and not learnt:
                return conversion_of(row)
            refuse_unless_as_seen(row, seen)
            seen.refuse_move(state)
            moves = row.state is not state
            if moves:
                row.state, row.state_since_at = state, at
                if row.not_before_at is not None and "not_before_at" not in facts:
                    learnt["not_before_at"] = None
            row.reason = reason
            for name, value in learnt.items():
                setattr(row, name, value)
            entry = history_of(row, learnt, at)
            session.add(entry)
            if moves:
                await session.flush()
                row.moved_no = entry.history_id
            return conversion_of(row)

    async def confirmed_conversions(self, campaign: str, partner: str) -> frozenset[str]:
        """Legacy ids a person decided to convert although something spoke against it (last word)."""
        query = (
            select(DecisionRow.subscription_id, DecisionRow.kind)
            .where(DecisionRow.campaign == campaign, DecisionRow.partner == partner)
            .order_by(DecisionRow.subscription_id, DecisionRow.decision_id.desc())
            .distinct(DecisionRow.subscription_id)
        )
        async with self._transaction() as session:
            return frozenset(
                legacy_id
                for legacy_id, kind in await session.execute(query)
                if kind is DecisionKind.CONFIRM_CONVERSION
            )

    async def record_decision(
        self,
        campaign: str,
        partner: str,
        subscription_id: str,
        kind: DecisionKind,
        *,
        decided_by: str,
        reason: str,
        at: datetime,
    ) -> None:
        """Keep what a person decided about a subscription; it speaks in the partner's next plan.

        Raises InputRefused for a partner that is not enrolled and for a subscription no survey has seen.
        """
        legacy_id = lower_guid(subscription_id)
        async with self._transaction() as session:
            await partner_turn(session, campaign, partner)
            await find_partner(session, campaign, partner)
            if await session.get(SubscriptionRow, (campaign, partner, legacy_id)) is None:
                raise InputRefused(
                    [
                        f"Subscription {legacy_id} was never seen at partner {partner} in {campaign}; "
                        "check the id, or run the partner first."
                    ]
                )
            stands = await session.scalar(
                select(func.max(ConversionRow.moved_no)).where(ConversionRow.legacy_id == legacy_id)
            )
            session.add(
                DecisionRow(
                    moved_no=stands or 0,
                    campaign=campaign,
                    partner=partner,
                    subscription_id=legacy_id,
                    kind=kind,
                    decided_by=decided_by,
                    reason=reason,
                    at=at,
                )
            )


def refuse_unless_as_seen(row: ConversionRow, seen: Conversion) -> None:
    """Raises `Overtaken` when it is in another state or plan by now."""
    if row.state is not seen.state:
        raise Overtaken(f"{row.legacy_id} is {row.state.value} by now, no longer {seen.state.value}")
    if row.plan_id != seen.plan_id:
        raise Overtaken(f"{row.legacy_id} has been planned anew since it was looked at")


def conversion_of(row: ConversionRow) -> Conversion:
    return Conversion(
        conversion_id=row.conversion_id,
        campaign=row.campaign,
        partner=row.partner,
        customer_id=row.customer_id,
        legacy_id=row.legacy_id,
        base_id=row.base_id,
        route=row.route,
        state=row.state,
        seats=row.seats,
        term=row.term,
        billing=row.billing,
        offer_id=row.offer_id,
        expected_product_and_sku=row.expected_product_and_sku,
        reference=row.reference,
        migration_id=row.migration_id,
        cart_id=row.cart_id,
        order_id=row.order_id,
        nce_subscription_id=row.nce_subscription_id,
        reason=row.reason,
        state_since_at=row.state_since_at,
        not_before_at=row.not_before_at,
        plan_id=row.plan_id,
        undoable_until_at=row.undoable_until_at,
    )


def history_of(row: ConversionRow, facts: Mapping[str, Any], at: datetime) -> ConversionHistoryRow:
    """The entry to add for a conversion as it stands now; `facts` is what was learnt with it."""
    return ConversionHistoryRow(
        conversion_id=row.conversion_id,
        state=row.state,
        reason=row.reason,
        facts={name: _plain(value) for name, value in facts.items()},
        at=at,
    )


async def to_be_converted_again(session: AsyncSession, rows: Iterable[ConversionRow]) -> frozenset[str]:
    """Legacy ids of what was undone and a person decided, after that, to convert again."""
    undone = {row.legacy_id: row for row in rows if row.state is ConversionState.UNDONE}
    if not undone:
        return frozenset()
    query = (
        select(DecisionRow)
        .where(DecisionRow.subscription_id.in_(undone))
        .order_by(DecisionRow.subscription_id, DecisionRow.decision_id.desc())
        .distinct(DecisionRow.subscription_id)
    )
    latest = {row.subscription_id: row for row in await session.scalars(query)}
    return frozenset(
        legacy_id
        for legacy_id, row in undone.items()
        if (decision := latest.get(legacy_id)) is not None
        and decision.kind is DecisionKind.CONFIRM_CONVERSION
        and _is_later(decision, row)
    )


def _is_later(decision: DecisionRow, undone: ConversionRow) -> bool:
    """Whether the person decided when it was undone already."""
    if decision.moved_no is None:
        return may_be_converted_again(undone.state_since_at, decision.at)
    return decision.moved_no >= undone.moved_no


def _about(campaign: str, partner: str) -> ColumnElement[bool]:
    """A partner's conversions: those made for it, and those another one made of what its customers hold."""
    surveyed = (
        select(SubscriptionRow.subscription_id)
        .where(
            SubscriptionRow.campaign == campaign,
            SubscriptionRow.partner == partner,
            SubscriptionRow.subscription_id == ConversionRow.legacy_id,
            SubscriptionRow.customer_id == ConversionRow.customer_id,
        )
        .exists()
    )
    return or_(and_(ConversionRow.campaign == campaign, ConversionRow.partner == partner), surveyed)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return value.value if isinstance(value, Enum) else value
