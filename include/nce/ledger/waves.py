"""Waves and the brake on record: who may buy, and whether the campaign is stopped.

What happened is only added to (`campaign_events`); the latest stop or release counts. When a wave may begin
and at which figures a campaign stops are rules of the domain.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, any_, case, exists, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from include.nce.domain.brake import Attempts, BrakeRecord, CoverageSignals, Release
from include.nce.domain.conversion import ConversionState
from include.nce.domain.decision import DecisionKind
from include.nce.domain.errors import InputRefused
from include.nce.domain.opt_out import OptOutVerdict
from include.nce.domain.subscription import Status, SubscriptionKind
from include.nce.domain.waves import Progress, Wave, WaveBoard
from include.nce.ledger.findings import coverage_found
from include.nce.ledger.policy import latest_number
from include.nce.ledger.tables import (
    CampaignEvent,
    CampaignEventRow,
    CommandEvent,
    CommandEventRow,
    CommandRow,
    ConversionHistoryRow,
    ConversionRow,
    DecisionRow,
    OptOutRulingRow,
    PartnerRow,
    RunRow,
    SubscriptionRow,
)
from include.nce.ledger.transactions import Transactions, campaign_turn, in_turn

_FAILED = ConversionState.where(lambda state: state.counts_as_failed)
_TRIED = ConversionState.where(lambda state: state.was_tried)
_BEGUN = ConversionState.where(lambda state: state.was_tried and not state.is_unsent)
_UNDER_WAY = ConversionState.where(lambda state: state.is_under_way and not state.counts_as_failed)
ANSWER_COMES_WITHIN = timedelta(minutes=5)
"""Far longer than any call lasts. What got no answer by then has lost it: it is unknown, not on its way."""
_DESK = "the project"
"""Who begins a wave and lets a partner go ahead of it."""


class CampaignWaves(Transactions):
    """Waves, stops and releases."""

    async def brake_record(self, campaign: str) -> BrakeRecord:
        """The latest stop or release of the campaign."""
        async with self._transaction() as session:
            return await _brake_record(session, campaign)

    async def attempts(
        self, campaign: str, *, since: Release | None, unknown_hours: int, now_at: datetime
    ) -> Attempts:
        """How many conversions were tried since then, and how many of them stand as failed, and whose."""
        failed = _stands_as_failed(since, timedelta(hours=unknown_hours), now_at)
        tried: ColumnElement[bool] = ConversionRow.state.in_(_TRIED)
        if since is not None:
            tried = and_(tried, or_(ConversionRow.moved_no > since.moved_no, failed))
        query = (
            select(
                ConversionRow.partner, func.count().filter(tried), func.count().filter(failed)
            )
            .where(ConversionRow.campaign == campaign, ConversionRow.state.in_(_TRIED))
            .group_by(ConversionRow.partner)
            .order_by(ConversionRow.partner)
        )  # fmt: skip
        async with self._transaction() as session:
            rows = (await session.execute(query)).all()
        return Attempts(
            tried=sum(number for _, number, _ in rows),
            failed=sum(number for _, _, number in rows),
            partners=tuple(partner for partner, _, number in rows if number),
        )

    async def in_flight(self, campaign: str, *, besides: Collection[int] = ()) -> int:
        """How many conversions were sent within `ANSWER_COMES_WITHIN`, by the server's clock, and have no
        answer.

        Who asks within a transaction is the only one to be admitted until it ends.
        """
        base = aliased(ConversionRow)
        sending = aliased(CommandEventRow)
        answer = aliased(CommandEventRow)
        on_its_way = (
            select(CommandRow.command_id)
            .join(base, base.conversion_id == CommandRow.conversion_id)
            .join(sending, sending.command_id == CommandRow.command_id)
            .where(
                base.customer_id == ConversionRow.customer_id,
                base.legacy_id == ConversionRow.base_id,
                sending.event == CommandEvent.SENDING,
                sending.recorded_at > func.clock_timestamp() - ANSWER_COMES_WITHIN,
                ~exists().where(
                    answer.command_id == CommandRow.command_id, answer.event_id > sending.event_id
                ),
            )
            .exists()
        )
        query = select(func.count()).where(
            ConversionRow.campaign == campaign,
            ConversionRow.state == ConversionState.SENT,
            ConversionRow.conversion_id.not_in(besides),
            on_its_way,
        )
        async with self._transaction() as session:
            await in_turn(session, "waves", campaign)
            return await session.scalar(query) or 0

    async def coverage_signals(self, campaign: str) -> CoverageSignals:
        """What the ledger knows itself, or what the latest comparison found: the larger of each."""
        async with self._transaction() as session:
            known = await _coverage_known(session, campaign)
            found = await coverage_found(session, campaign)
            return replace(found, zero=max(known.zero, found.zero), double=max(known.double, found.double))

    async def stop_campaign(
        self,
        campaign: str,
        *,
        by: str,
        reason: str,
        partners: Sequence[str] = (),
        figures: Mapping[str, int] | None = None,
        at: datetime,
        unless_after: int | None = None,
    ) -> BrakeRecord:
        """Stop the campaign and return what counts now; one that is stopped stays as it is.

        With `unless_after` it is stopped only while that event is the latest: figures that were read before a
        release stop nothing after it.
        """
        async with self._transaction() as session:
            await latest_number(session, campaign)
            await campaign_turn(session, campaign)
            await in_turn(session, "waves", campaign)
            standing = await _brake_record(session, campaign)
            if standing.stopped or (unless_after is not None and standing.event_id != unless_after):
                return standing
            session.add(
                _event(campaign, CampaignEvent.STOPPED, by, reason, at, partners=partners, figures=figures)
            )
            await session.flush()
            return await _brake_record(session, campaign)

    async def release_campaign(
        self, campaign: str, *, stop: int, by: str, reason: str, at: datetime
    ) -> BrakeRecord:
        """Let the campaign buy again; what has failed and the signals that stand now count no more.

        `stop` is the event that is ended. Raises InputRefused when the campaign is not stopped, and when
        another stop counts by now: its author has not seen that one.
        """
        async with self._transaction() as session:
            await latest_number(session, campaign)
            await in_turn(session, "waves", campaign)
            _refuse_another(campaign, await _brake_record(session, campaign), stop)
        # Asked outside the transaction: whoever knows more of coverage than conversions replaces the method.
        signals = await self.coverage_signals(campaign)
        async with self._transaction() as session:
            await campaign_turn(session, campaign)
            await in_turn(session, "waves", campaign)
            _refuse_another(campaign, await _brake_record(session, campaign), stop)
            moved_no = await session.scalar(select(func.max(ConversionHistoryRow.history_id)))
            figures = {**_figures(signals), "moved_no": moved_no or 0}
            session.add(_event(campaign, CampaignEvent.RELEASED, by, reason, at, figures=figures))
            await session.flush()
            return await _brake_record(session, campaign)

    async def ease_brake(self, campaign: str, *, signals: CoverageSignals, at: datetime) -> None:
        """Accept only these coverage signals from now on, where the release accepted more."""
        async with self._transaction() as session:
            await in_turn(session, "waves", campaign)
            known = (await _brake_record(session, campaign)).known
            fewer = CoverageSignals(min(signals.zero, known.zero), min(signals.double, known.double))
            if fewer != known:
                session.add(
                    _event(campaign, CampaignEvent.EASED, _DESK, "Fewer signals stand.", at,
                           figures=_figures(fewer))
                )  # fmt: skip

    async def wave_board(self, campaign: str) -> WaveBoard:
        """Who takes part, which waves have begun, who went ahead, and how the conversions stand."""
        async with self._transaction() as session:
            events = (
                await session.scalars(
                    select(CampaignEventRow)
                    .where(
                        CampaignEventRow.campaign == campaign,
                        CampaignEventRow.event.in_([CampaignEvent.WAVE_BEGUN, CampaignEvent.WENT_AHEAD]),
                    )
                    .order_by(CampaignEventRow.event_id)
                )
            ).all()
            enrolled = await _taking_part(session, campaign)
            progress = await _progress(session, campaign)
        return WaveBoard(
            enrolled=enrolled,
            begun=tuple(
                Wave(row.wave, tuple(row.partners), row.at) for row in events if row.wave is not None
            ),
            ahead={
                name: row.reason
                for row in events
                if row.event is CampaignEvent.WENT_AHEAD
                for name in row.partners
            },
            progress=progress,
        )

    async def begin_wave(self, campaign: str, wave: Wave, *, at: datetime) -> None:
        """Put the wave on record, once: two triggerers may find at the same time that it begins."""
        async with self._transaction() as session:
            await in_turn(session, "waves", campaign)
            begun = await session.scalar(
                select(func.max(CampaignEventRow.wave)).where(CampaignEventRow.campaign == campaign)
            )
            stopped = (await _brake_record(session, campaign)).stopped
            if not stopped and wave.number == (begun or 0) + 1:
                session.add(
                    _event(campaign, CampaignEvent.WAVE_BEGUN, _DESK, "", at, partners=wave.partners,
                           wave=wave.number)
                )  # fmt: skip

    async def go_ahead(self, campaign: str, partner: str, reason: str, *, at: datetime) -> None:
        """Let the partner buy before its wave; on record once, however often it is found."""
        async with self._transaction() as session:
            await in_turn(session, "waves", campaign)
            stopped = (await _brake_record(session, campaign)).stopped
            if not stopped and not await session.scalar(_admission(campaign, partner)):
                session.add(_event(campaign, CampaignEvent.WENT_AHEAD, _DESK, reason, at, partners=[partner]))

    async def admitted(self, campaign: str, partner: str) -> bool:
        """Whether the partner's wave has begun, or the partner went ahead of it."""
        async with self._transaction() as session:
            return bool(await session.scalar(_admission(campaign, partner)))

    async def nearest_term_ends(
        self, campaign: str, *, offers: Collection[str], after_at: datetime
    ) -> Mapping[str, datetime]:
        """Partner -> the first term end after `after_at` among its active legacy ones of these offers.

        Without those that are bought or finished, and those whose auto-renew is off, unless a person decided
        to convert them. As last surveyed: nobody is asked.
        """
        begun = (
            select(ConversionRow.conversion_id)
            .where(
                ConversionRow.customer_id == SubscriptionRow.customer_id,
                ConversionRow.legacy_id == SubscriptionRow.subscription_id,
                ConversionRow.state.in_(_BEGUN),
            )
            .exists()
        )
        confirmed = (
            select(DecisionRow.decision_id)
            .where(
                DecisionRow.campaign == SubscriptionRow.campaign,
                DecisionRow.partner == SubscriptionRow.partner,
                DecisionRow.subscription_id == SubscriptionRow.subscription_id,
                DecisionRow.kind == DecisionKind.CONFIRM_CONVERSION,
            )
            .exists()
        )
        query = (
            select(SubscriptionRow.partner, func.min(SubscriptionRow.term_end_at))
            .where(
                SubscriptionRow.campaign == campaign,
                SubscriptionRow.kind == SubscriptionKind.LEGACY,
                SubscriptionRow.status == Status.ACTIVE,
                SubscriptionRow.is_trial.is_(False),
                SubscriptionRow.offer_id.in_(offers),
                SubscriptionRow.term_end_at > after_at,
                or_(SubscriptionRow.auto_renew, confirmed),
                ~begun,
            )
            .group_by(SubscriptionRow.partner)
        )
        async with self._transaction() as session:
            return {name: ends_at for name, ends_at in await session.execute(query) if ends_at is not None}


def _stands_as_failed(since: Release | None, unknown: timedelta, now_at: datetime) -> ColumnElement[bool]:
    """An unknown outcome becomes a failure when its time is over, which may be after the release."""
    state, since_at = ConversionRow.state, ConversionRow.state_since_at
    failed: ColumnElement[bool] = state.in_(_FAILED)
    overdue = and_(state == ConversionState.UNKNOWN, since_at <= now_at - unknown)
    if since is not None:
        failed = and_(failed, ConversionRow.moved_no > since.moved_no)
        overdue = and_(overdue, since_at > since.at - unknown)
    return or_(failed, overdue)


async def _brake_record(session: AsyncSession, campaign: str) -> BrakeRecord:
    words = (CampaignEvent.STOPPED, CampaignEvent.RELEASED, CampaignEvent.EASED)
    rows = (
        await session.scalars(
            select(CampaignEventRow)
            .where(CampaignEventRow.campaign == campaign, CampaignEventRow.event.in_(words))
            .order_by(CampaignEventRow.event, CampaignEventRow.event_id.desc())
            .distinct(CampaignEventRow.event)
        )
    ).all()
    latest = {row.event: row for row in rows}
    released = latest.get(CampaignEvent.RELEASED)
    word = max(
        (row for row in rows if row.event is not CampaignEvent.EASED),
        key=lambda row: row.event_id,
        default=None,
    )
    accepted = max(
        (row for row in rows if row.event is not CampaignEvent.STOPPED),
        key=lambda row: row.event_id,
        default=None,
    )
    return BrakeRecord(
        event_id=word.event_id if word else 0,
        stopped=word is not None and word.event is CampaignEvent.STOPPED,
        by=word.by if word else "",
        reason=word.reason if word else "",
        at=word.at if word else None,
        released=None if released is None else Release(released.at, await _moved_until(session, released)),
        known=CoverageSignals(
            int(accepted.figures.get("zero", 0)) if accepted else 0,
            int(accepted.figures.get("double", 0)) if accepted else 0,
        ),
    )


async def _moved_until(session: AsyncSession, released: CampaignEventRow) -> int:
    """The last move before it; of a release by an earlier version, the last that was recorded before it."""
    noted = released.figures.get("moved_no")
    if noted is not None:
        return int(noted)
    query = select(func.max(ConversionHistoryRow.history_id)).where(
        ConversionHistoryRow.recorded_at <= released.recorded_at
    )
    return await session.scalar(query) or 0


async def _coverage_known(session: AsyncSession, campaign: str) -> CoverageSignals:
    """Stranded conversions, with NCE bought (double) or without (zero)."""
    bought = ConversionRow.nce_subscription_id.is_not(None)
    query = select(func.count().filter(~bought), func.count().filter(bought)).where(
        ConversionRow.campaign == campaign, ConversionRow.state == ConversionState.STRANDED
    )
    zero, double = (await session.execute(query)).one()
    return CoverageSignals(zero, double)


async def _taking_part(session: AsyncSession, campaign: str) -> tuple[str, ...]:
    """In the order of enrolment, which is the roster's; without those that opted out in time."""
    latest = (
        select(RunRow.partner, OptOutRulingRow.verdict)
        .join(OptOutRulingRow, OptOutRulingRow.run_id == RunRow.run_id)
        .where(RunRow.campaign == campaign)
        .distinct(RunRow.partner)
        .order_by(RunRow.partner, OptOutRulingRow.ruling_id.desc())
        .subquery()
    )
    query = (
        select(PartnerRow.partner)
        .outerjoin(latest, latest.c.partner == PartnerRow.partner)
        .where(PartnerRow.campaign == campaign, latest.c.verdict.is_distinct_from(OptOutVerdict.IN_TIME))
        .order_by(PartnerRow.enrolled_at, PartnerRow.partner)
    )
    return tuple(await session.scalars(query))


async def _progress(session: AsyncSession, campaign: str) -> Mapping[str, Progress]:
    state = ConversionRow.state
    moved = case((state.in_(_TRIED), ConversionRow.state_since_at))
    query = (
        select(
            ConversionRow.partner,
            func.count().filter(state == ConversionState.CONVERTED),
            func.count().filter(state.in_(_FAILED)),
            func.count().filter(state.in_(_UNDER_WAY)),
            func.count().filter(state.in_([ConversionState.PLANNED, ConversionState.WAITING])),
            func.max(moved),
        )
        .where(ConversionRow.campaign == campaign)
        .group_by(ConversionRow.partner)
    )
    return {partner: Progress(*counts) for partner, *counts in await session.execute(query)}


def _refuse_another(campaign: str, standing: BrakeRecord, stop: int) -> None:
    if not standing.stopped:
        raise InputRefused([f"Campaign {campaign} is not stopped: there is nothing to release."])
    if standing.event_id != stop:
        raise InputRefused([f"Stop {stop} is not the one that counts any more. {standing.sentence}"])


def _admission(campaign: str, partner: str) -> Any:
    return select(
        select(CampaignEventRow.event_id)
        .where(
            CampaignEventRow.campaign == campaign,
            CampaignEventRow.event.in_([CampaignEvent.WAVE_BEGUN, CampaignEvent.WENT_AHEAD]),
            literal(partner) == any_(CampaignEventRow.partners),
        )
        .exists()
    )


def _event(
    campaign: str,
    event: CampaignEvent,
    by: str,
    reason: str,
    at: datetime,
    *,
    partners: Sequence[str] = (),
    figures: Mapping[str, int] | None = None,
    wave: int | None = None,
) -> CampaignEventRow:
    return CampaignEventRow(
        campaign=campaign,
        event=event,
        wave=wave,
        partners=list(partners),
        by=by,
        reason=reason,
        figures=dict(figures or {}),
        at=at,
    )


def _figures(signals: CoverageSignals) -> dict[str, int]:
    return {"zero": signals.zero, "double": signals.double}
