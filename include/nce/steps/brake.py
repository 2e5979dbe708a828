"""The brake: whether a partner may buy at this moment. Asked at the wave's gate and before each purchase.

Whoever asks pulls the brake when the figures have reached a threshold of the campaign's, so that a campaign
stops by itself wherever it is at work. What is bought already is finished in any case, and asks nobody here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime

from include.nce.domain.brake import BrakeRecord, CoverageSignals, Figures, why_stop
from include.nce.domain.campaign import Brake, Campaign
from include.nce.domain.conversion import Conversion
from include.nce.steps.ports import WaveLedger

BY_ITSELF = "its brake"


class MayNotBuy(Exception):
    """The campaign is stopped, or the partner's wave has not begun: the line stays as it is."""


class NotYourTurn(Exception):
    """As many purchases are on their way as may fail before the campaign stops: one of them comes first."""


async def why_not_buy(campaign: Campaign, partner: str, *, ledger: WaveLedger, now_at: datetime) -> str:
    """Why this partner may not buy now, in a sentence; empty when it may."""
    stopped = (await brake(campaign, ledger=ledger, now_at=now_at)).sentence
    if stopped:
        return stopped
    if campaign.waves is not None and not await ledger.admitted(campaign.campaign, partner):
        return _WAVE_HAS_NOT_BEGUN
    return ""


_WAVE_HAS_NOT_BEGUN = "This partner's wave has not begun; `nce campaign waves` says what it waits for."


async def refuse_unless_admitted(
    campaign: Campaign,
    partner: str,
    own: Iterable[Conversion],
    *,
    ledger: WaveLedger,
    now_at: datetime,
) -> None:
    """May one more purchase leave, in this very moment? Asked within the transaction that notes its sending.

    With a brake, what is on its way counts as failed until its answer is there, so that at any number of
    workers no more is sent than one after another would be. `own` are the conversions about to be sent.
    Raises `MayNotBuy`, or `NotYourTurn` when an answer that is on its way has to come first.
    """
    record = await ledger.brake_record(campaign.campaign)
    if record.stopped:
        raise MayNotBuy(record.sentence)
    if campaign.waves is not None and not await ledger.admitted(campaign.campaign, partner):
        raise MayNotBuy(_WAVE_HAS_NOT_BEGUN)
    policy = campaign.brake_in_force
    if policy is None:
        return
    in_flight = await ledger.in_flight(campaign.campaign, besides=[one.conversion_id for one in own])
    figures, _ = await read_figures(campaign, policy, record, ledger=ledger, now_at=now_at)
    known = record.known
    if why_stop(policy, figures.if_all_fail(in_flight), known_zero=known.zero, known_double=known.double):
        raise NotYourTurn(
            f"As many purchases are on their way ({in_flight}) as may fail before the campaign stops; the "
            "next one leaves when they are answered."
        )


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
        campaign.campaign, since=record.released, unknown_hours=policy.unknown_hours, now_at=now_at
    )
    signals = await ledger.coverage_signals(campaign.campaign)
    return Figures(attempts.tried, attempts.failed, signals.zero, signals.double), attempts.partners
