"""A clock that stands still until a test moves it, so that no test ever sleeps."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta


class FakeClock:
    """The campaign's time. `pauses` are the seconds somebody waited through `pause`."""

    def __init__(self, now_at: datetime) -> None:
        self.now_at = now_at
        self.pauses: list[float] = []

    async def now(self) -> datetime:
        return self.now_at

    def advance(self, **duration: float) -> None:
        """`clock.advance(hours=6)`."""
        self.now_at += timedelta(**duration)

    async def pause(self, seconds: float) -> None:
        """Stands in for `asyncio.sleep`: time passes at once, and whoever else is ready goes on."""
        self.pauses.append(seconds)
        self.advance(seconds=seconds)
        await asyncio.sleep(0)
