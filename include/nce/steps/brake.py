"""The brake: whether a partner may buy at this moment. Asked at the wave's gate and before each purchase.

Whoever asks pulls the brake when the figures have reached a threshold of the campaign's, so that a campaign
stops by itself wherever it is at work. What is bought already is finished in any case, and asks nobody here.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from include.nce.domain.brake import Figures, why_stop
from include.nce.domain.campaign import Brake, Campaign
from include.nce.steps.ports import BrakeRecord, CoverageSignals, WaveLedger

BY_ITSELF = "its brake"


async def why_not_buy(campaign: Campaign, partner: str, *, ledger: WaveLedger, now_at: datetime) -> str:
    """Why this partner may not buy now, in a sentence; empty when it may."""
    stopped = (await brake(campaign, ledger=ledger, now_at=now_at)).sentence
    if stopped:
        return stopped
    if campaign.waves is not None and not await ledger.admitted(campaign.campaign, partner):
        return "This partner's wave has not begun; `nce campaign waves` says what it waits for."
    return ""


async def brake(campaign: Campaign, *, ledger: WaveLedger, now_at: datetime) -> BrakeRecord:
    """The word that counts now; the campaign is stopped here when its figures say so."""
    record = await ledger.brake_record(campaign.campaign)
    policy = campaign.brake_in_force
    if record.stopped or policy is None:
        return record
    figures, partners = await read_figures(campaign, policy, record, ledger=ledger, now_at=now_at)
    known = record.known
    signals = why_stop(policy, figures, known_zero=known.zero, known_double=known.double)
    if signals:
        at_whom = f", at {', '.join(partners)}" if partners else ""
        return await ledger.stop_campaign(
            campaign.campaign,
            by=BY_ITSELF,
            reason=f"{'; '.join(signals)}{at_whom}",
            partners=partners,
            figures=asdict(figures),
            at=now_at,
            unless_after=record.event_id,
        )
    if figures.zero < known.zero or figures.double < known.double:
        await ledger.ease_brake(
            campaign.campaign, signals=CoverageSignals(figures.zero, figures.double), at=now_at
        )
    return record


async def read_figures(
    campaign: Campaign, policy: Brake, record: BrakeRecord, *, ledger: WaveLedger, now_at: datetime
) -> tuple[Figures, tuple[str, ...]]:
    """What the brake looks at, and the partners whose conversions stand as failed."""
    attempts = await ledger.attempts(
        campaign.campaign, since_at=record.since_at, unknown_hours=policy.unknown_hours, now_at=now_at
    )
    signals = await ledger.coverage_signals(campaign.campaign)
    return Figures(attempts.tried, attempts.failed, signals.zero, signals.double), attempts.partners
