"""Undo on record: what was bought and may be taken back, the cases, and what a person approved.

Responsible for at most one open case of a bundle and for histories that only grow. What a case may lead to is
said by `domain.undo`, carried out by the steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, and_, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from include.nce.domain.conversion import ConversionState
from include.nce.domain.errors import InputRefused
from include.nce.domain.subscription import lower_guid
from include.nce.domain.undo import (
    CaseState,
    UndoCause,
    UndoLine,
    hash_of,
    late_case_state,
    too_late_sentence,
)
from include.nce.domain.undo_case import UndoAnswer, UndoCase, UndoMember, UndoPlan
from include.nce.ledger.conversions import conversion_of
from include.nce.ledger.policy import find_partner
from include.nce.ledger.tables import (
    ConversionRow,
    PlanLineRow,
    UndoAnswerRow,
    UndoCaseRow,
    UndoEventRow,
    UndoLineRow,
    UndoPlanRow,
)
from include.nce.ledger.transactions import Transactions, in_turn, partner_turn

_LINES = TypeAdapter(tuple[UndoLine, ...])


@dataclass(frozen=True)
class UndoableBundle:
    """A converted bundle, with the state of its base and the first of its windows, where known."""

    partner: str
    customer_id: str
    base_id: str
    subscriptions: int
    state: ConversionState
    until_at: datetime | None


_BUNDLE = (ConversionRow.customer_id, ConversionRow.base_id)


class UndoCases(Transactions):
    """Implements `include.nce.steps.ports.UndoRecords`."""

    async def bought(
        self,
        campaign: str,
        partner: str,
        *,
        customer_id: str | None = None,
        subscription_id: str | None = None,
    ) -> Sequence[UndoMember]:
        """Conversions made for the partner of which something is bought or may be, in whole bundles."""
        wanted: list[ColumnElement[bool]] = [
            ConversionRow.campaign == campaign,
            ConversionRow.partner == partner,
        ]
        if customer_id is not None:
            wanted.append(ConversionRow.customer_id == lower_guid(customer_id))
        async with self._transaction() as session:
            await find_partner(session, campaign, partner)
            if subscription_id is not None:
                wanted.append(await _bundles_of(session, lower_guid(subscription_id)))
            return await _members(
                session,
                *wanted,
                ConversionRow.state.in_(ConversionState.where(lambda state: state.is_bought)),
            )

    async def buyers_of(
        self, campaign: str, *, subscription_id: str | None = None, customer_id: str | None = None
    ) -> Sequence[str]:
        """The partners for which something of this bundle or customer is bought, or may be; one query."""
        query = (
            select(ConversionRow.partner)
            .where(
                ConversionRow.campaign == campaign,
                ConversionRow.state.in_(ConversionState.where(lambda state: state.is_bought)),
            )
            .distinct()
            .order_by(ConversionRow.partner)
        )
        if customer_id is not None:
            query = query.where(ConversionRow.customer_id == lower_guid(customer_id))
        async with self._transaction() as session:
            if subscription_id is not None:
                query = query.where(await _bundles_of(session, lower_guid(subscription_id)))
            return (await session.scalars(query)).all()

    async def undoable_bundles(self, campaign: str, partner: str | None = None) -> Sequence[UndoableBundle]:
        """Bundles that were converted, are not being undone and have no open case; one query."""
        query = (
            select(
                ConversionRow,
                func.count().over(partition_by=_BUNDLE),
                func.min(ConversionRow.undoable_until_at).over(partition_by=_BUNDLE),
            )
            .where(
                ConversionRow.campaign == campaign,
                ConversionRow.state.in_(ConversionState.where(lambda state: state.can_be_undone)),
                ~select(UndoCaseRow.case_id)
                .where(
                    UndoCaseRow.customer_id == ConversionRow.customer_id,
                    UndoCaseRow.base_id == ConversionRow.base_id,
                    UndoCaseRow.closed_at.is_(None),
                )
                .exists(),
            )
            .order_by(ConversionRow.customer_id, ConversionRow.base_id)
        )
        if partner is not None:
            query = query.where(ConversionRow.partner == partner)
        async with self._transaction() as session:
            rows = (await session.execute(query)).tuples().all()
        found: dict[tuple[str, str], UndoableBundle] = {}
        for row, number, until_at in rows:
            key = (row.customer_id, row.base_id)
            if key not in found or row.legacy_id == row.base_id:
                found[key] = UndoableBundle(row.partner, *key, number, row.state, until_at)
        return list(found.values())

    async def open_undo_case(
        self,
        campaign: str,
        partner: str,
        *,
        customer_id: str,
        base_id: str,
        cause: UndoCause,
        scope: str,
        reason: str,
        opened_by: str,
        at: datetime,
        opt_out_received_at: datetime | None = None,
    ) -> tuple[UndoCase, bool]:
        """The bundle's open case, made when there is none; True when it is new.

        Raises InputRefused when nothing of the bundle is bought.
        """
        about = (UndoCaseRow.customer_id == customer_id, UndoCaseRow.base_id == base_id)
        async with self._transaction() as session:
            # Two that open the same take turns; the second finds the first one's.
            await in_turn(session, "undo case", customer_id, base_id)
            standing: list[ColumnElement[bool]] = [UndoCaseRow.closed_at.is_(None)]
            if opt_out_received_at is not None:
                standing.append(UndoCaseRow.opt_out_received_at == opt_out_received_at)
            found = await session.scalar(
                select(UndoCaseRow)
                .where(*about, or_(*standing))
                .order_by(UndoCaseRow.closed_at.is_not(None), UndoCaseRow.case_id.desc())
                .limit(1)
            )
            if found is not None:
                return _case(found), False
            members = await _members(
                session,
                ConversionRow.campaign == campaign,
                ConversionRow.partner == partner,
                ConversionRow.customer_id == customer_id,
                ConversionRow.base_id == base_id,
                ConversionRow.state.in_(ConversionState.where(lambda state: state.is_bought)),
            )
            if not members:
                raise InputRefused(
                    [f"Of subscription {base_id} nothing is bought: there is nothing to undo."]
                )
            windows = [m.conversion.undoable_until_at for m in members if m.conversion.undoable_until_at]
            until_at = min(windows, default=None)
            state = late_case_state(until_at, at)
            row = UndoCaseRow(
                campaign=campaign,
                partner=partner,
                customer_id=customer_id,
                base_id=base_id,
                cause=cause,
                scope=scope,
                reason=reason,
                opened_by=opened_by,
                opened_at=at,
                opt_out_received_at=opt_out_received_at,
                state=state,
                sentence=_first_sentence(state, until_at),
                until_at=until_at,
            )
            session.add(row)
            await session.flush()
            session.add_all(
                UndoLineRow(case_id=row.case_id, conversion_id=m.conversion.conversion_id) for m in members
            )
            session.add(_event(row, by=opened_by, at=at))
            return _case(row), True

    async def undo_case(self, case_id: int) -> UndoCase:
        """One case; raises InputRefused when there is none of that number."""
        async with self._transaction() as session:
            return _case(await _find(session, case_id))

    async def undo_cases(
        self,
        campaign: str,
        partner: str | None = None,
        *,
        closed: bool = False,
        after: int = 0,
        limit: int | None = None,
    ) -> Sequence[UndoCase]:
        """Open cases in the order of their numbers (with `closed`, all); pass the last number as `after` for
        the next page."""
        query = (
            select(UndoCaseRow)
            .where(UndoCaseRow.campaign == campaign, UndoCaseRow.case_id > after)
            .order_by(UndoCaseRow.case_id)
            .limit(limit)
        )
        if partner is not None:
            query = query.where(UndoCaseRow.partner == partner)
        if not closed:
            query = query.where(UndoCaseRow.closed_at.is_(None))
        async with self._transaction() as session:
            if partner is not None:
                await find_partner(session, campaign, partner)
            return [_case(row) for row in await session.scalars(query)]

    async def undo_members(self, case_id: int) -> Sequence[UndoMember]:
        """The bundle of a case, the base before its add-ons."""
        async with self._transaction() as session:
            await _find(session, case_id)
            mine = select(UndoLineRow.conversion_id).where(UndoLineRow.case_id == case_id)
            return await _members(session, ConversionRow.conversion_id.in_(mine))

    async def move_undo_case(
        self,
        case_id: int,
        state: CaseState,
        sentence: str,
        *,
        by: str,
        at: datetime,
        until_at: datetime | None = None,
    ) -> UndoCase:
        """Keep how far a case is, and append it to its history; the same again leaves no trace.

        A closed case stays closed: raises InputRefused.
        """
        async with self._transaction() as session:
            about = await _find(session, case_id)
            # What is sent for the bundle and what is said of its case take turns.
            await partner_turn(session, about.campaign, about.partner)
            row = await _find(session, case_id, lock=True)
            if until_at is not None:
                row.until_at = until_at
            if (row.state, row.sentence) == (state, sentence):
                return _case(row)
            if row.closed_at is not None:
                raise InputRefused([f"Undo case {case_id} is closed: {row.sentence}"])
            row.state, row.sentence = state, sentence
            row.closed_at = at if state.is_closed else None
            session.add(_event(row, by=by, at=at))
            return _case(row)

    async def record_undo_plan(
        self, run_id: str, campaign: str, partner: str, lines: Sequence[UndoLine], *, at: datetime
    ) -> UndoPlan:
        """Write down what a run would undo, with its fingerprint."""
        row = UndoPlanRow(
            run_id=run_id,
            campaign=campaign,
            partner=partner,
            hash=hash_of(lines),
            lines={"lines": _LINES.dump_python(tuple(lines), mode="json")},
            created_at=at,
        )
        async with self._transaction() as session:
            await find_partner(session, campaign, partner)
            session.add(row)
            await session.flush()
            return _plan(row)

    async def undo_plan(self, run_id: str) -> UndoPlan | None:
        """The run's latest plan; None when it has made none."""
        query = (
            select(UndoPlanRow)
            .where(UndoPlanRow.run_id == run_id)
            .order_by(UndoPlanRow.plan_id.desc())
            .limit(1)
        )
        async with self._transaction() as session:
            row = await session.scalar(query)
            return None if row is None else _plan(row)

    async def answer_undo_plan(
        self, plan_id: int, hash_: str, *, approved: bool, who: str, at: datetime
    ) -> None:
        """Keep what a person said to a plan of this fingerprint."""
        async with self._transaction() as session:
            session.add(UndoAnswerRow(plan_id=plan_id, hash=hash_, approved=approved, who=who, at=at))

    async def undo_answer(self, plan_id: int) -> UndoAnswer | None:
        """The latest word on a plan; None while nobody answered."""
        query = (
            select(UndoAnswerRow)
            .where(UndoAnswerRow.plan_id == plan_id)
            .order_by(UndoAnswerRow.answer_id.desc())
            .limit(1)
        )
        async with self._transaction() as session:
            row = await session.scalar(query)
            return None if row is None else UndoAnswer(row.hash, row.approved, row.who, row.at)


async def open_cases_about(session: AsyncSession, legacy_ids: Sequence[str]) -> Mapping[str, UndoCaseRow]:
    """Legacy id -> the open case of its bundle, in one query."""
    query = (
        select(ConversionRow.legacy_id, UndoCaseRow)
        .join(UndoLineRow, UndoLineRow.case_id == UndoCaseRow.case_id)
        .join(ConversionRow, ConversionRow.conversion_id == UndoLineRow.conversion_id)
        .where(UndoCaseRow.closed_at.is_(None), ConversionRow.legacy_id.in_(legacy_ids))
    )
    return dict((await session.execute(query)).tuples().all())


async def open_case_counts(session: AsyncSession, campaign: str) -> Mapping[str, int]:
    """Partner -> how many of its cases are open; partners without one are left out."""
    query = (
        select(UndoCaseRow.partner, func.count())
        .where(UndoCaseRow.campaign == campaign, UndoCaseRow.closed_at.is_(None))
        .group_by(UndoCaseRow.partner)
    )
    return dict((await session.execute(query)).tuples().all())


async def _bundles_of(session: AsyncSession, subscription_id: str) -> ColumnElement[bool]:
    """The bundles in which this subscription is, legacy or NCE, as a condition."""
    query = select(ConversionRow.customer_id, ConversionRow.base_id).where(
        or_(
            ConversionRow.legacy_id == subscription_id,
            ConversionRow.nce_subscription_id == subscription_id,
        )
    )
    found = (await session.execute(query)).all()
    return or_(
        False,
        *(
            and_(ConversionRow.customer_id == customer_id, ConversionRow.base_id == base_id)
            for customer_id, base_id in found
        ),
    )


async def _members(session: AsyncSession, *wanted: ColumnElement[bool]) -> list[UndoMember]:
    """With what the latest plan that converted it knew of legacy."""
    planned = (
        select(PlanLineRow.offer_name, PlanLineRow.legacy_seats)
        .where(PlanLineRow.conversion_id == ConversionRow.conversion_id, PlanLineRow.batch_no.is_not(None))
        .order_by(PlanLineRow.plan_id.desc())
        .limit(1)
        .lateral()
    )
    query = (
        select(ConversionRow, planned.c.offer_name, planned.c.legacy_seats)
        .outerjoin(planned, true())
        .where(*wanted)
        .order_by(
            ConversionRow.customer_id,
            ConversionRow.base_id,
            ConversionRow.legacy_id != ConversionRow.base_id,
            ConversionRow.legacy_id,
        )
    )
    return [
        UndoMember(conversion_of(row), offer_name or "", seats)
        for row, offer_name, seats in await session.execute(query)
    ]


async def _find(session: AsyncSession, case_id: int, *, lock: bool = False) -> UndoCaseRow:
    row = await session.get(UndoCaseRow, case_id, with_for_update=lock or None)
    if row is None:
        raise InputRefused([f"There is no undo case {case_id}; see: nce undo list."])
    return row


def _first_sentence(state: CaseState, until_at: datetime | None) -> str:
    if state is CaseState.TOO_LATE and until_at is not None:
        return too_late_sentence(until_at)
    return "Nothing is sent yet: a person starts it and approves it."


def _case(row: UndoCaseRow) -> UndoCase:
    return UndoCase(**{field.name: getattr(row, field.name) for field in fields(UndoCase)})


def _event(row: UndoCaseRow, *, by: str, at: datetime) -> UndoEventRow:
    return UndoEventRow(case_id=row.case_id, state=row.state, sentence=row.sentence, by=by, at=at)


def _plan(row: UndoPlanRow) -> UndoPlan:
    return UndoPlan(
        plan_id=row.plan_id,
        run_id=row.run_id,
        campaign=row.campaign,
        partner=row.partner,
        hash=row.hash,
        lines=_LINES.validate_python(row.lines["lines"]),
    )
