"""The part of the ledger in memory that knows waves and the brake; see `fake_ledger`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from include.nce.domain.brake import Attempts, BrakeRecord, CoverageSignals, Release
from include.nce.domain.conversion import Conversion, ConversionState
from include.nce.domain.errors import InputRefused
from include.nce.domain.opt_out import OptOutRuling, OptOutVerdict
from include.nce.domain.partner import Partner
from include.nce.domain.run import Run
from include.nce.domain.subscription import Status, Subscription
from include.nce.domain.waves import Progress, Wave, WaveBoard


@dataclass
class _Word:
    number: int
    kind: str
    by: str
    reason: str
    at: datetime
    known: CoverageSignals = field(default_factory=CoverageSignals)
    moved_no: int = 0


class FakeWaves:
    """Keeps what `include.nce.steps.ports.WaveLedger` promises. `signals` stands in for a reconciliation."""

    roster: dict[tuple[str, str], Partner]
    runs: dict[str, Run]
    events: list[tuple[Any, ...]]
    _conversions: dict[int, Conversion]
    moves: int
    moved: dict[int, int]
    _surveyed: dict[tuple[str, str, str], Subscription]
    _rulings: dict[str, OptOutRuling]
    _confirmed: set[tuple[str, str, str]]

    def __init__(self) -> None:
        super().__init__()
        self.signals: CoverageSignals | None = None
        self.figures: list[Mapping[str, int]] = []
        """What each stop was tried on."""
        self._words: dict[str, list[_Word]] = {}
        self._begun: dict[str, list[Wave]] = {}
        self._ahead: dict[str, dict[str, str]] = {}

    async def brake_record(self, campaign: str) -> BrakeRecord:
        words = self._words.get(campaign, [])
        spoken = [word for word in words if word.kind != "eased"]
        released = [word for word in words if word.kind == "released"]
        accepted = [word for word in words if word.kind != "stopped"]
        last = spoken[-1] if spoken else None
        return BrakeRecord(
            event_id=last.number if last else 0,
            stopped=last is not None and last.kind == "stopped",
            by=last.by if last else "",
            reason=last.reason if last else "",
            at=last.at if last else None,
            released=Release(released[-1].at, released[-1].moved_no) if released else None,
            known=accepted[-1].known if accepted else CoverageSignals(0, 0),
        )

    def _say(self, campaign: str, kind: str, by: str, reason: str, at: datetime, **facts: Any) -> None:
        words = self._words.setdefault(campaign, [])
        words.append(_Word(len(words) + 1, kind, by, reason, at, **facts))
        self.events.append((kind, campaign))

    async def attempts(
        self, campaign: str, *, since: Release | None, unknown_hours: int, now_at: datetime
    ) -> Attempts:
        patience = timedelta(hours=unknown_hours)
        tried, failed = [], []
        for one in self._conversions.values():
            if one.campaign != campaign or not one.state.was_tried or one.state_since_at is None:
                continue
            later = since is None or self.moved[one.conversion_id] > since.moved_no
            stands = one.state.counts_as_failed and later
            if one.state is ConversionState.UNKNOWN:
                overdue_at = one.state_since_at + patience
                stands = overdue_at <= now_at and (since is None or overdue_at > since.at)
            if stands:
                failed.append(one)
            if stands or later:
                tried.append(one)
        return Attempts(len(tried), len(failed), tuple(sorted({one.partner for one in failed})))

    async def in_flight(self, campaign: str, *, besides: Collection[int] = ()) -> int:
        on_its_way = {command.legacy_id for command in self.commands.values() if command.sent}
        on_its_way -= {command.legacy_id for command in self.commands.values() if command.answered}
        return sum(
            one.campaign == campaign and one.state is ConversionState.SENT
            and one.base_id in on_its_way and one.conversion_id not in besides
            for one in self._conversions.values()
        )  # fmt: skip

    async def coverage_signals(self, campaign: str) -> CoverageSignals:
        if self.signals is not None:
            return self.signals
        stranded = [
            c
            for c in self._conversions.values()
            if c.campaign == campaign and c.state is ConversionState.STRANDED
        ]
        double = sum(c.nce_subscription_id is not None for c in stranded)
        found = self._signals(campaign, None)
        return replace(found, zero=max(found.zero, len(stranded) - double), double=max(found.double, double))

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
        standing = await self.brake_record(campaign)
        if not standing.stopped and unless_after in (None, standing.event_id):
            self._say(campaign, "stopped", by, reason, at)
            self.figures.append(figures or {})
        return await self.brake_record(campaign)

    async def release_campaign(
        self, campaign: str, *, stop: int, by: str, reason: str, at: datetime
    ) -> BrakeRecord:
        standing = await self.brake_record(campaign)
        if not standing.stopped:
            raise InputRefused([f"Campaign {campaign} is not stopped: there is nothing to release."])
        if standing.event_id != stop:
            raise InputRefused([f"Stop {stop} is not the one that counts any more. {standing.sentence}"])
        known = await self.coverage_signals(campaign)
        self._say(campaign, "released", by, reason, at, known=known, moved_no=self.moves)
        return await self.brake_record(campaign)

    async def ease_brake(self, campaign: str, *, signals: CoverageSignals, at: datetime) -> None:
        known = (await self.brake_record(campaign)).known
        fewer = CoverageSignals(min(signals.zero, known.zero), min(signals.double, known.double))
        if fewer != known:
            self._say(campaign, "eased", "the project", "", at, known=fewer)

    async def wave_board(self, campaign: str) -> WaveBoard:
        out = {
            run.partner.partner
            for run_id, run in self.runs.items()
            if run.campaign == campaign
            and run_id in self._rulings
            and self._rulings[run_id].partner is OptOutVerdict.IN_TIME
        }
        names = [name for where, name in self.roster if where == campaign]
        return WaveBoard(
            enrolled=tuple(name for name in names if name not in out),
            begun=tuple(self._begun.get(campaign, [])),
            ahead=dict(self._ahead.get(campaign, {})),
            progress={name: progress for name in names if (progress := self._progress(campaign, name))},
        )

    def _progress(self, campaign: str, partner: str) -> Progress | None:
        theirs = [c for c in self._conversions.values() if (c.campaign, c.partner) == (campaign, partner)]
        moved = [c.state_since_at for c in theirs if c.state.was_tried and c.state_since_at is not None]
        return Progress(
            converted=sum(c.state is ConversionState.CONVERTED for c in theirs),
            failed=sum(c.state.counts_as_failed for c in theirs),
            under_way=sum(c.state.is_under_way and not c.state.counts_as_failed for c in theirs),
            waiting=sum(c.state in (ConversionState.PLANNED, ConversionState.WAITING) for c in theirs),
            last_change_at=max(moved, default=None),
        ) if theirs else None  # fmt: skip

    async def begin_wave(self, campaign: str, wave: Wave, *, at: datetime) -> None:
        begun = self._begun.setdefault(campaign, [])
        if not (await self.brake_record(campaign)).stopped and wave.number == len(begun) + 1:
            begun.append(replace(wave, begun_at=at))
            self.events.append(("wave_begun", wave.number))

    async def go_ahead(self, campaign: str, partner: str, reason: str, *, at: datetime) -> None:
        if not (await self.brake_record(campaign)).stopped and not await self.admitted(campaign, partner):
            self._ahead.setdefault(campaign, {})[partner] = reason
            self.events.append(("went_ahead", partner))

    async def admitted(self, campaign: str, partner: str) -> bool:
        return partner in (await self.wave_board(campaign)).admitted

    async def nearest_term_ends(
        self, campaign: str, *, offers: Collection[str], after_at: datetime
    ) -> Mapping[str, datetime]:
        begun = {
            (c.customer_id, c.legacy_id)
            for c in self._conversions.values()
            if c.state.was_tried and not c.state.is_unsent
        }
        ends: dict[str, datetime] = {}
        for (where, partner, subscription_id), held in self._surveyed.items():
            if (
                where == campaign
                and held.is_legacy
                and held.status is Status.ACTIVE
                and not held.is_trial
                and held.offer_id in offers
                and held.term_end_at is not None
                and held.term_end_at > after_at
                and (held.auto_renew or (where, partner, subscription_id) in self._confirmed)
                and (held.customer_id, subscription_id) not in begun
            ):
                ends[partner] = min(held.term_end_at, ends.get(partner, held.term_end_at))
        return ends
