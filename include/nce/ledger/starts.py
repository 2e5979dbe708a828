"""Starts on record: which runs a run of `nce_campaign` starts, and which run ids a partner has had."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import select

from include.nce.domain.starts import StartList
from include.nce.ledger.tables import QuestionRow, RunRow, StartListRow
from include.nce.ledger.transactions import Transactions


class Starts(Transactions):
    """Implements `include.nce.steps.ports.StartRecords` but its preview."""

    async def record_starts(self, starts: StartList, *, at: datetime) -> None:
        """Write down what a run starts; its latest list counts."""
        async with self._transaction() as session:
            session.add(
                StartListRow(
                    run_id=starts.run_id,
                    campaign=starts.campaign,
                    mode=starts.mode,
                    again=starts.again,
                    asks=starts.asks,
                    hash=starts.hash,
                    orders={"orders": [dict(order) for order in starts.orders]},
                    at=at,
                )
            )

    async def starts(self, run_id: str) -> StartList | None:
        """What the run starts, by its latest list; None while it has none."""
        query = (
            select(StartListRow)
            .where(StartListRow.run_id == run_id)
            .order_by(StartListRow.list_id.desc())
            .limit(1)
        )
        async with self._transaction() as session:
            row = await session.scalar(query)
        if row is None:
            return None
        orders = tuple(row.orders["orders"])
        return StartList(row.run_id, row.campaign, row.mode, row.again, row.asks, orders)

    async def run_ids_of(self, campaign: str, partners: Collection[str]) -> Mapping[str, str]:
        """Every run id on record of these partners -> its partner."""
        query = select(RunRow.run_id, RunRow.partner).where(
            RunRow.campaign == campaign, RunRow.partner.in_(partners)
        )
        async with self._transaction() as session:
            return dict((await session.execute(query)).tuples().all())

    async def runs_that_asked(self, run_ids: Collection[str]) -> Collection[str]:
        """Those of the runs that have put a question to a person."""
        query = select(QuestionRow.run_id).where(QuestionRow.run_id.in_(run_ids)).distinct()
        async with self._transaction() as session:
            return set(await session.scalars(query))
