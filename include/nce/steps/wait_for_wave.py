"""`wait_for_wave`: one look at a campaign's waves, shared by all partners that wait for theirs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from include.nce.domain.campaign import Campaign
from include.nce.domain.waves import is_urgent, next_wave, why_not_yet
from include.nce.steps.brake import brake
from include.nce.steps.ports import WaveLedger


@dataclass(frozen=True)
class WaveLook:
    """Who may buy now.

    `stopped`: the sentence of the stop in force, or empty. `admitted`: None when the campaign has no waves.
    `next_waits_for`: why the next wave has not begun. `ahead`: who went ahead of its wave, and why. `urgent`:
    who cannot wait for the release of a stopped campaign, and the term end that says so.
    """

    stopped: str
    admitted: frozenset[str] | None
    next_waits_for: str = ""
    ahead: Mapping[str, str] = field(default_factory=dict)
    urgent: Mapping[str, datetime] = field(default_factory=dict)

    def why_not(self, partner: str) -> str:
        """Why this partner waits, in a sentence; empty when it may go on."""
        if self.stopped:
            ends_at = self.urgent.get(partner)
            if ends_at is None:
                return self.stopped
            return f"{self.stopped} This is urgent: a subscription ends on {ends_at:%Y-%m-%d %H:%M} UTC."
        if self.admitted is None or partner in self.admitted:
            return ""
        return f"Waiting for the partner's wave. {self.next_waits_for}".rstrip()


async def wait_for_wave(campaign: Campaign, *, ledger: WaveLedger, now_at: datetime) -> WaveLook:
    """Waits until this partner's wave has begun, without using a worker.

    A campaign file with `waves` lets its pilot buy first, then wave after wave, each once the one before has
    been quiet; without it nothing is waited for. A partner with a subscription near its last safe start goes
    ahead of its wave, with a warning. While the campaign is stopped everybody waits here; the log says who
    stopped it and why, and what ends it. `nce campaign waves` shows all of it. Red only when the ledger does
    not know the run or its campaign.
    """
    stopped = (await brake(campaign, ledger=ledger, now_at=now_at)).sentence
    if stopped:
        return WaveLook(stopped, None, urgent=await urgent(campaign, ledger=ledger, now_at=now_at))
    if campaign.waves is None:
        return WaveLook("", None)
    board = await ledger.wave_board(campaign.campaign)
    waits_for = why_not_yet(campaign, campaign.waves, board, now_at)
    wave = next_wave(campaign.waves, board) if waits_for is None else None
    if wave is not None:
        await ledger.begin_wave(campaign.campaign, wave, at=now_at)
        board = await ledger.wave_board(campaign.campaign)
        waits_for = why_not_yet(campaign, campaign.waves, board, now_at)
    # A wave that waits must strand nobody.
    held_back = frozenset(board.enrolled) - board.admitted
    left_behind = {
        partner: ends_at
        for partner, ends_at in (await urgent(campaign, ledger=ledger, now_at=now_at)).items()
        if partner in held_back
    }
    for partner, ends_at in sorted(left_behind.items()):
        why = f"A subscription of it ends on {ends_at:%Y-%m-%d %H:%M} UTC."
        await ledger.go_ahead(campaign.campaign, partner, why, at=now_at)
    if left_behind:
        board = await ledger.wave_board(campaign.campaign)
    return WaveLook("", board.admitted, waits_for or "", board.ahead)


async def urgent(campaign: Campaign, *, ledger: WaveLedger, now_at: datetime) -> dict[str, datetime]:
    """Partner -> the first term end of a subscription that cannot wait; nobody before the cut-over."""
    if now_at < campaign.cut_over_at():
        return {}
    late_enough = now_at + timedelta(hours=campaign.safety.refusal_hours)
    ends = await ledger.nearest_term_ends(
        campaign.campaign,
        offers=campaign.convertible_offers,
        after_at=max(late_enough, campaign.last_legacy_renewal_ends_at()),
    )
    return {partner: at for partner, at in ends.items() if is_urgent(at, campaign, now_at)}
