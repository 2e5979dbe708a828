"""A person starts runs: what that would do is said in one way, in the terminal and in Airflow.

What starts them is Airflow; nothing of it is on record before a run is opened.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from include.nce.domain.brake import BrakeRecord
from include.nce.domain.preview import Preview
from include.nce.steps.ports import Clock


class Standing(Protocol):
    """The part of the ledger that counts what runs would do."""

    async def preview(self, campaign: str, partners: Collection[str], *, now_at: datetime) -> Preview: ...

    async def brake_record(self, campaign: str) -> BrakeRecord: ...


async def preview_start(
    campaign: str, partners: Collection[str], *, not_enrolled: int = 0, ledger: Standing, clock: Clock
) -> str:
    """What running these partners would do, and whether the campaign is stopped. `not_enrolled` come on top:
    of them the ledger knows nothing yet."""
    counted = await ledger.preview(campaign, partners, now_at=await clock.now())
    counted = replace(
        counted,
        partners=counted.partners + not_enrolled,
        not_planned=counted.not_planned + not_enrolled,
    )
    stopped = (await ledger.brake_record(campaign)).sentence
    return f"{counted.sentence} {stopped}".rstrip()
