"""Waves: which partners may buy already, which come next, and why the next wave has not begun.

A wave holds back what is bought and nothing else: runs start, watch their checks and honour opt-outs long
before. Once begun, a wave keeps the partners it began with, whatever is enrolled or imported later. Keeping
what has begun belongs to the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from include.nce.domain.campaign import Campaign, Waves
from include.nce.domain.conversion import last_safe_start_at, refused_from

DEFAULT_AHEAD_HOURS: int = Waves.model_fields["ahead_hours"].default


@dataclass(frozen=True)
class Wave:
    """Its partners, and when it began; None: it is still to come."""

    number: int
    partners: tuple[str, ...]
    begun_at: datetime | None = None


@dataclass(frozen=True)
class Progress:
    """How one partner's conversions stand.

    `under_way`: bought or sent, and neither finished nor failed. `waiting`: planned, and not bought yet.
    """

    converted: int = 0
    failed: int = 0
    under_way: int = 0
    waiting: int = 0
    last_change_at: datetime | None = None


@dataclass(frozen=True)
class WaveBoard:
    """What the ledger knows of a campaign's waves.

    `enrolled`: partners that take part, in the order of their enrolment; who opted out in time is not among
    them. `ahead`: partners that went ahead of their wave, and why.
    """

    enrolled: tuple[str, ...]
    begun: tuple[Wave, ...] = ()
    ahead: Mapping[str, str] = field(default_factory=dict)
    progress: Mapping[str, Progress] = field(default_factory=dict)

    @property
    def admitted(self) -> frozenset[str]:
        """Who may buy."""
        return frozenset(name for wave in self.begun for name in wave.partners) | frozenset(self.ahead)

    def sum_of(self, partners: Sequence[str]) -> Progress:
        """The progress of these partners together."""
        theirs = [self.progress[name] for name in partners if name in self.progress]
        return Progress(
            converted=sum(one.converted for one in theirs),
            failed=sum(one.failed for one in theirs),
            under_way=sum(one.under_way for one in theirs),
            waiting=sum(one.waiting for one in theirs),
            last_change_at=max((one.last_change_at for one in theirs if one.last_change_at), default=None),
        )


def next_wave(policy: Waves, board: WaveBoard) -> Wave | None:
    """The wave that begins next; None when everybody may buy, or when no pilot takes part."""
    number = len(board.begun) + 1
    if policy.pilot and number == 1:
        enrolled = frozenset(board.enrolled)
        pilots = tuple(name for name in policy.pilot if name in enrolled)
        return Wave(number, pilots) if pilots else None
    admitted = board.admitted
    waiting = [name for name in board.enrolled if name not in admitted]
    # Pilots that were named, or enrolled, only after the first wave had begun come first.
    waiting.sort(key=lambda name: name not in policy.pilot)
    place = number - 1 - bool(policy.pilot)
    size = policy.then[min(max(place, 0), len(policy.then) - 1)]
    return Wave(number, tuple(waiting[:size])) if waiting else None


def coming(policy: Waves, board: WaveBoard) -> tuple[Wave, ...]:
    """All waves still to come, as things stand: enrolments, opt-outs and who goes ahead change them."""
    found: list[Wave] = []
    while (wave := next_wave(policy, board)) is not None:
        found.append(wave)
        board = replace(board, begun=(*board.begun, wave))
    return tuple(found)


def why_not_yet(campaign: Campaign, policy: Waves, board: WaveBoard, now_at: datetime) -> str | None:
    """What the next wave waits for, in a sentence; None when it may begin."""
    if now_at < campaign.cut_over_at():
        return f"Nothing is bought before the cut-over, {campaign.cut_over_at():%Y-%m-%d %H:%M} UTC."
    if not board.begun:
        if policy.pilot and next_wave(policy, board) is None:
            return (
                f"The pilot begins with none: {', '.join(policy.pilot)} "
                f"{'is' if len(policy.pilot) == 1 else 'are'} not enrolled or opted out. Who acts: operator. "
                "Name others as 'pilot' in the campaign file and import it."
            )
        return None
    last = board.begun[-1]
    so_far = board.sum_of(last.partners)
    name = "The pilot" if policy.pilot and last.number == 1 else f"Wave {last.number}"
    if so_far.under_way:
        return f"{name} has {so_far.under_way} conversion{'s' * (so_far.under_way > 1)} under way."
    if policy.pilot and last.number == 1 and not so_far.converted:
        return (
            f"{name} has converted nothing, so it has proved nothing. Who acts: operator. See that "
            f"{', '.join(last.partners)} can convert, or remove 'pilot' from the campaign file and import it."
        )
    moments = [at for at in (last.begun_at, so_far.last_change_at) if at is not None]
    quiet_until = max(moments, default=now_at) + timedelta(hours=policy.quiet_hours)
    if now_at < quiet_until:
        return f"{name} has to be quiet until {quiet_until:%Y-%m-%d %H:%M} UTC."
    return None


def is_urgent(term_end_at: datetime, campaign: Campaign, now_at: datetime) -> bool:
    """Whether a subscription that ends then cannot wait for its wave, or for a release.

    Within Microsoft's last hours a person decides anyway, and nothing is urgent any more.
    """
    hours = campaign.waves.ahead_hours if campaign.waves is not None else DEFAULT_AHEAD_HOURS
    urgent_from = last_safe_start_at(term_end_at, campaign.safety) - timedelta(hours=hours)
    return urgent_from <= now_at < refused_from(term_end_at, campaign.safety)
