"""Commands on record: the intention first, then the send, then the answer."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from include.nce.domain.command import AnsweredAlready, Command, CommandKind, CommandOutcome
from include.nce.domain.conversion import Conversion
from include.nce.domain.recordable import recordable_number
from include.nce.ledger.conversions import refuse_unless_as_seen
from include.nce.ledger.tables import ANSWERS, CommandEvent, CommandEventRow, CommandRow, ConversionRow
from include.nce.ledger.transactions import Transactions, in_turn


class Commands(Transactions):
    """Commands and their events.

    A command is open until it is answered: accepted, refused, found, or not found. `lost` is no answer: its
    outcome is unknown, and a resend carries the same request id.
    """

    async def intend(
        self, seen: Conversion, kind: CommandKind, payload: Mapping[str, Any], *, at: datetime
    ) -> Command:
        """Commit the intention; returns the open one of this kind when there is one, with its own payload.

        Raises `Overtaken` when the conversion is in another state or plan by now than the caller has `seen`.
        """
        async with self._transaction() as session:
            # Two that intend the same take turns on the conversion; the second finds the first one's.
            conversion = await session.get_one(ConversionRow, seen.conversion_id, with_for_update=True)
            refuse_unless_as_seen(conversion, seen)
            standing = await _open(session, seen.conversion_id, kind)
            if standing is not None:
                return standing
            row = CommandRow(
                conversion_id=seen.conversion_id,
                kind=kind,
                request_id=str(uuid.uuid4()),
                payload=dict(payload),
                intended_at=at,
            )
            session.add(row)
            await session.flush()
            return _command(row, conversion.legacy_id, frozenset())

    async def open_command(self, conversion_id: int, kind: CommandKind) -> Command | None:
        """The latest command of this kind that has no answer yet."""
        async with self._transaction() as session:
            return await _open(session, conversion_id, kind)

    async def last_sent_at(self, conversion_id: int, kind: CommandKind) -> datetime | None:
        """When a command of this kind was last sent and not refused: it may have arrived. None: never."""
        refusal = aliased(CommandEventRow)
        refused = exists().where(
            refusal.command_id == CommandRow.command_id, refusal.event == CommandEvent.REFUSED
        )
        query = (
            select(func.max(CommandEventRow.at))
            .join(CommandRow, CommandRow.command_id == CommandEventRow.command_id)
            .where(
                CommandRow.conversion_id == conversion_id,
                CommandRow.kind == kind,
                CommandEventRow.event == CommandEvent.SENDING,
                ~refused,
            )
        )
        async with self._transaction() as session:
            sent_at: datetime | None = await session.scalar(query)
        return sent_at

    async def note_sending(self, command_id: int, *, at: datetime) -> None:
        """Commit "about to send". Raises `AnsweredAlready` for an answered command: never sent again."""
        async with self._transaction() as session:
            await _in_turn(session, command_id)
            if await _events(session, command_id) & set(ANSWERS):
                raise AnsweredAlready(f"command {command_id} is answered already and may not be sent again")
            session.add(CommandEventRow(command_id=command_id, event=CommandEvent.SENDING, at=at))

    async def note_answer(
        self,
        command_id: int,
        *,
        at: datetime,
        outcome: CommandOutcome,
        status: int | None,
        code: int | None,
        correlation_id: str | None,
        body: Any,
    ) -> None:
        """Keep what became of it, and what came back, whole.

        An answer that comes after another one is kept too; it does not open the command again.
        """
        async with self._transaction() as session:
            await _in_turn(session, command_id)
            session.add(
                CommandEventRow(
                    command_id=command_id,
                    event=CommandEvent(outcome.value),
                    status=recordable_number(status),
                    code=recordable_number(code),
                    correlation_id=correlation_id,
                    body=body,
                    at=at,
                )
            )  # fmt: skip


async def _in_turn(session: AsyncSession, command_id: int) -> None:
    """One at a time for each command. Not by its row: who may not change a row cannot lock it either."""
    await in_turn(session, "command", str(command_id))
    await session.get_one(CommandRow, command_id)


async def sent_without_answer(session: AsyncSession, conversion_ids: Sequence[int]) -> frozenset[int]:
    """Those for which something was sent, or was about to be, and no answer is on record."""
    query = (
        select(CommandRow.conversion_id)
        .where(CommandRow.conversion_id.in_(conversion_ids), ~_ANSWERED)
        .where(
            select(CommandEventRow.event_id)
            .where(
                CommandEventRow.command_id == CommandRow.command_id,
                CommandEventRow.event == CommandEvent.SENDING,
            )
            .exists()
        )
    )
    return frozenset(await session.scalars(query))


async def sent_at_without_answer(
    session: AsyncSession, campaign: str, partner: str, kinds: Sequence[CommandKind]
) -> dict[int, datetime]:
    """Conversion id -> when a command of these kinds was last sent of which no answer is on record."""
    sending = aliased(CommandEventRow)
    query = (
        select(CommandRow.conversion_id, func.max(sending.at))
        .join(ConversionRow, ConversionRow.conversion_id == CommandRow.conversion_id)
        .join(sending, sending.command_id == CommandRow.command_id)
        .where(
            ConversionRow.campaign == campaign,
            ConversionRow.partner == partner,
            CommandRow.kind.in_(kinds),
            sending.event == CommandEvent.SENDING,
            ~_ANSWERED,
        )
        .group_by(CommandRow.conversion_id)
    )
    return dict((await session.execute(query)).tuples().all())


_ANSWERED = (
    select(CommandEventRow.event_id)
    .where(CommandEventRow.command_id == CommandRow.command_id, CommandEventRow.event.in_(ANSWERS))
    .exists()
)


async def _open(session: AsyncSession, conversion_id: int, kind: CommandKind) -> Command | None:
    found = (
        await session.execute(
            select(CommandRow, ConversionRow.legacy_id)
            .join(ConversionRow, ConversionRow.conversion_id == CommandRow.conversion_id)
            .where(CommandRow.conversion_id == conversion_id, CommandRow.kind == kind, ~_ANSWERED)
            .order_by(CommandRow.command_id.desc())
            .limit(1)
        )
    ).one_or_none()
    if found is None:
        return None
    row, legacy_id = found
    return _command(row, legacy_id, await _events(session, row.command_id))


async def _events(session: AsyncSession, command_id: int) -> frozenset[CommandEvent]:
    query = select(CommandEventRow.event).where(CommandEventRow.command_id == command_id)
    return frozenset(await session.scalars(query))


def _command(row: CommandRow, legacy_id: str, events: frozenset[CommandEvent]) -> Command:
    return Command(
        command_id=row.command_id,
        kind=CommandKind(row.kind),
        legacy_id=legacy_id,
        request_id=row.request_id,
        payload=row.payload,
        sent=CommandEvent.SENDING in events,
        answered=not events.isdisjoint(ANSWERS),
    )
