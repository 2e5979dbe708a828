"""Opt-outs on record, their withdrawal, and what a run ruled on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from include.nce.domain.errors import InputRefused
from include.nce.domain.opt_out import OptOut, OptOutRuling, Withdrawal, withdrawal
from include.nce.domain.subscription import lower_guid
from include.nce.ledger.policy import find_partner
from include.nce.ledger.tables import OptOutRow, OptOutRulingRow
from include.nce.ledger.transactions import Transactions, campaign_turn, find_run, partner_turn


@dataclass(frozen=True)
class RecordedOptOut:
    """An opt-out with its number (for paging), when it was typed in, and who withdrew it."""

    opt_out_id: int
    opt_out: OptOut
    recorded_at: datetime
    withdrawn_by: str | None


class OptOuts(Transactions):
    """Opt-outs and rulings."""

    async def record_opt_out(self, campaign: str, opt_out: OptOut) -> bool:
        """Keep one form; False when the same one (partner, customer, instant) was on record already.

        A form that says it was withdrawn withdraws the one on record. Raises InputRefused when the partner
        is not enrolled, and when the very form was withdrawn since: either would protect nobody.
        """
        async with self._transaction() as session:
            await partner_turn(session, campaign, opt_out.partner)
            return await _record(session, campaign, opt_out)

    async def record_opt_outs(self, campaign: str, opt_outs: Sequence[OptOut]) -> int:
        """Keep all of these forms, or none: how many were new. Raises InputRefused with each refused one.

        They are written in one order, whatever the order of the list: two lists at once wait for each other
        and never both.
        """
        new = 0
        refused: dict[int, list[str]] = {}
        async with self._transaction() as session:
            await campaign_turn(session, campaign)
            for number, opt_out in sorted(enumerate(opt_outs), key=lambda each: _key(each[1])):
                try:
                    new += await _record(session, campaign, opt_out)
                except InputRefused as one:
                    refused[number] = one.faults
            if refused:
                raise InputRefused([fault for number in sorted(refused) for fault in refused[number]])
        return new

    async def withdraw_opt_out(
        self,
        campaign: str,
        partner: str,
        *,
        customer_id: str | None = None,
        withdrawn_at: datetime,
        withdrawn_by: str,
    ) -> Withdrawal:
        """End what this partner, or this customer of it, said until then; what that was, and what it left.

        All of it: a partner that takes its word back takes back every copy of it.
        """
        customer = None if customer_id is None else lower_guid(customer_id)
        query = (
            select(OptOutRow)
            .where(
                OptOutRow.campaign == campaign,
                OptOutRow.partner == partner,
                OptOutRow.customer_id.is_not_distinct_from(customer),
            )
            .order_by(OptOutRow.received_at)
            .with_for_update()
        )
        async with self._transaction() as session:
            await partner_turn(session, campaign, partner)
            await find_partner(session, campaign, partner)
            rows = {_opt_out(row): row for row in await session.scalars(query)}
            said = withdrawal(rows, customer, withdrawn_at)
            for form in said.ends:
                rows[form].withdrawn_at, rows[form].withdrawn_by = withdrawn_at, withdrawn_by
            return said

    async def opt_outs(self, campaign: str, partner: str) -> Sequence[OptOut]:
        """All opt-outs of a partner and its customers, withdrawn ones too, in the order of arrival."""
        query = (
            select(OptOutRow)
            .where(OptOutRow.campaign == campaign, OptOutRow.partner == partner)
            .order_by(OptOutRow.received_at, OptOutRow.opt_out_id)
        )
        async with self._transaction() as session:
            return [_opt_out(row) for row in await session.scalars(query)]

    async def list_opt_outs(
        self, campaign: str, partner: str | None = None, *, after: int = 0, limit: int = 100
    ) -> Sequence[RecordedOptOut]:
        """One page of opt-outs in the order of entry; pass the last `opt_out_id` as `after` for the next."""
        query = (
            select(OptOutRow)
            .where(OptOutRow.campaign == campaign, OptOutRow.opt_out_id > after)
            .order_by(OptOutRow.opt_out_id)
            .limit(limit)
        )
        if partner is not None:
            query = query.where(OptOutRow.partner == partner)
        async with self._transaction() as session:
            return [
                RecordedOptOut(row.opt_out_id, _opt_out(row), row.recorded_at, row.withdrawn_by)
                for row in await session.scalars(query)
            ]

    async def latest_opt_outs(self, campaign: str, *, limit: int) -> Sequence[RecordedOptOut]:
        """The opt-outs entered last, the latest first."""
        query = (
            select(OptOutRow)
            .where(OptOutRow.campaign == campaign)
            .order_by(OptOutRow.opt_out_id.desc())
            .limit(limit)
        )
        async with self._transaction() as session:
            return [
                RecordedOptOut(row.opt_out_id, _opt_out(row), row.recorded_at, row.withdrawn_by)
                for row in await session.scalars(query)
            ]

    async def record_opt_out_ruling(self, run_id: str, ruling: OptOutRuling, *, at: datetime) -> None:
        """Keep what the opt-outs mean for this run; the same ruling again adds nothing."""
        async with self._transaction() as session:
            run = await find_run(session, run_id, lock=True)
            latest = await session.scalar(_latest_ruling(run_id))
            if latest is not None and latest.opening == run.opening and _ruling(latest) == ruling:
                return
            session.add(
                OptOutRulingRow(
                    run_id=run_id,
                    opening=run.opening,
                    verdict=ruling.partner,
                    customers_in_time=sorted(ruling.customers_in_time),
                    customers_late=sorted(ruling.customers_late),
                    deadline_at=ruling.deadline_at,
                    at=at,
                )
            )

    async def opt_out_ruling(self, run_id: str) -> OptOutRuling | None:
        """The latest ruling of this run, of an earlier opening too; None when it never ruled."""
        async with self._transaction() as session:
            row = await session.scalar(_latest_ruling(run_id))
            return None if row is None else _ruling(row)


def _key(opt_out: OptOut) -> tuple[str, str, datetime]:
    """The order in which forms are written and locked."""
    return opt_out.partner, lower_guid(opt_out.customer_id or ""), opt_out.received_at


async def _record(session: AsyncSession, campaign: str, opt_out: OptOut) -> bool:
    await find_partner(session, campaign, opt_out.partner)
    customer = None if opt_out.customer_id is None else lower_guid(opt_out.customer_id)
    withdrawn_by = None if opt_out.withdrawn_at is None else opt_out.recorded_by
    number = await session.scalar(
        insert(OptOutRow)
        .values(
            campaign=campaign,
            partner=opt_out.partner,
            customer_id=customer,
            received_at=opt_out.received_at,
            recorded_by=opt_out.recorded_by,
            withdrawn_at=opt_out.withdrawn_at,
            withdrawn_by=withdrawn_by,
            note=opt_out.note,
        )
        .on_conflict_do_nothing()
        .returning(OptOutRow.opt_out_id)
    )
    if number is None and opt_out.withdrawn_at is not None:
        await session.execute(
            update(OptOutRow)
            .where(
                OptOutRow.campaign == campaign,
                OptOutRow.partner == opt_out.partner,
                OptOutRow.customer_id.is_not_distinct_from(customer),
                OptOutRow.received_at == opt_out.received_at,
                OptOutRow.withdrawn_at.is_(None),
            )
            .values(withdrawn_at=opt_out.withdrawn_at, withdrawn_by=withdrawn_by)
        )
    elif number is None:
        taken_back_by = await session.scalar(
            select(OptOutRow.withdrawn_by).where(
                OptOutRow.campaign == campaign,
                OptOutRow.partner == opt_out.partner,
                OptOutRow.customer_id.is_not_distinct_from(customer),
                OptOutRow.received_at == opt_out.received_at,
            )
        )
        if taken_back_by is not None:
            raise was_withdrawn(opt_out, taken_back_by)
    return number is not None


def was_withdrawn(opt_out: OptOut, by: str) -> InputRefused:
    whose = opt_out.partner if opt_out.customer_id is None else (
        f"{opt_out.partner}'s customer {lower_guid(opt_out.customer_id)}"
    )  # fmt: skip
    return InputRefused(
        [
            f"The opt-out of {whose} received at {opt_out.received_at.isoformat()} was withdrawn by {by} and "
            "does not stand; if it is to stand again, record it with the moment at which the partner said so."
        ]
    )


def _latest_ruling(run_id: str) -> Select[tuple[OptOutRulingRow]]:
    return (
        select(OptOutRulingRow)
        .where(OptOutRulingRow.run_id == run_id)
        .order_by(OptOutRulingRow.ruling_id.desc())
        .limit(1)
    )


def _ruling(row: OptOutRulingRow) -> OptOutRuling:
    return OptOutRuling(
        partner=row.verdict,
        customers_in_time=frozenset(row.customers_in_time),
        customers_late=frozenset(row.customers_late),
        deadline_at=row.deadline_at,
    )


def _opt_out(row: OptOutRow) -> OptOut:
    return OptOut(
        partner=row.partner,
        received_at=row.received_at,
        recorded_by=row.recorded_by,
        customer_id=row.customer_id,
        withdrawn_at=row.withdrawn_at,
        note=row.note,
    )
