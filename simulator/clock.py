"""The campaign clock: how much campaign time passes in how much real time.

Responsible for exact accounting over segments of different speed, leases, holds and the end of the story.
Leaves to the world what happens at a campaign moment: while time passes, the clock stops at every moment the
world names.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Literal, Protocol

from simulator.schema import ClockPlan

Mode = Literal["leased", "manual", "free"]


class Happenings(Protocol):
    """What the clock needs to know of the world."""

    def next_moment(self) -> datetime | None:
        """The next campaign moment at which something happens by itself."""

    def settle(self, now: datetime) -> None:
        """Lets everything happen that is due at `now`."""

    def converting(self) -> bool:
        """Whether a migration or order is in flight."""


class CampaignClock:
    """Campaign time, driven by `monotonic` (real nanoseconds).

    `leased`: time passes only while a lease is fresh. `free`: always. `manual`: only by `advance_to`. Never
    beyond `plan.ends_at`, and with a lease never beyond its `not_beyond`.
    """

    def __init__(
        self, plan: ClockPlan, mode: Mode = "leased", monotonic: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self.plan = plan
        self.mode: Mode = mode
        self.now = plan.starts_at
        self._monotonic = monotonic
        self._real = monotonic()
        self._lease_until = self._real
        self._rest = 0.0
        self.busy = False
        self.not_beyond: datetime | None = None

    @property
    def limit(self) -> datetime:
        """The campaign moment that may not be passed now."""
        return min(self.plan.ends_at, self.not_beyond) if self.not_beyond else self.plan.ends_at

    @property
    def lease_left_s(self) -> float:
        """Real seconds until the lease ends."""
        return max(0.0, (self._lease_until - self._monotonic()) / 1e9)

    def speed(self, world: Happenings) -> float:
        """Campaign seconds in one real second at this moment, whether or not the clock runs."""
        speed = 1.0
        for segment in self.plan.schedule:
            if segment.from_ <= self.now:
                speed = segment.speed
        if self.plan.while_converting is not None and world.converting():
            speed = min(speed, self.plan.while_converting)
        if self.plan.while_busy is not None and self.busy:
            speed = min(speed, self.plan.while_busy)
        return speed

    def running(self) -> bool:
        """Whether campaign time passes right now."""
        fresh = self.mode == "free" or (self.mode == "leased" and self.lease_left_s > 0)
        return fresh and self.now < self.limit

    def catch_up(self, world: Happenings) -> datetime:
        """Lets the campaign time pass that belongs to the real time since the last look; returns now."""
        real = self._monotonic()
        until = real if self.mode == "free" else min(real, self._lease_until) if self.mode == "leased" else 0
        left = max(0, until - self._real) / 1e9
        self._real = real
        world.settle(self.now)
        while left > 0 and self.now < self.limit:
            speed = self.speed(world)
            stop = self._next_stop(world)
            needed = max(0.0, (stop - self.now).total_seconds() - self._rest) / speed
            if needed <= left:
                left -= needed
                self.now, self._rest = stop, 0.0
            else:
                # datetime counts whole microseconds: what is smaller is carried to the next look
                passed = self._rest + left * speed
                whole = int(passed * 1_000_000)
                self.now += timedelta(microseconds=whole)
                self._rest = passed - whole / 1_000_000
                left = 0
            world.settle(self.now)
        return self.now

    def _next_stop(self, world: Happenings) -> datetime:
        stops = [segment.from_ for segment in self.plan.schedule if segment.from_ > self.now] + [self.limit]
        happening = world.next_moment()
        if happening is not None and happening > self.now:
            stops.append(happening)
        return min(stops)

    def lease(self, world: Happenings, seconds: float, busy: bool, not_beyond: datetime | None) -> None:
        """Time may pass for so many real seconds from here."""
        self.catch_up(world)
        self._lease_until = self._monotonic() + int(seconds * 1e9)
        self.busy = busy
        self.not_beyond = not_beyond

    def advance_to(self, world: Happenings, moment: datetime) -> None:
        """Goes to a later moment at once, through everything on the way. Never back, never past the end."""
        self.catch_up(world)
        if moment < self.now:
            raise ValueError(f"campaign time only goes forward: it is {self.now.isoformat()} already")
        if moment > self.plan.ends_at:
            raise ValueError(f"the story ends at {self.plan.ends_at.isoformat()}")
        while self.now < moment:
            happening = world.next_moment()
            self.now = min(moment, happening) if happening is not None and happening > self.now else moment
            world.settle(self.now)
        self._rest = 0.0

    def switch(self, world: Happenings, mode: Mode) -> None:
        """Changes the mode from here on."""
        self.catch_up(world)
        self.mode = mode
        self._lease_until = self._real
        self.not_beyond = None
        self.busy = False

    def restore(self, now: datetime, mode: Mode) -> None:
        """Takes up a campaign time that an earlier process had reached."""
        self.now, self.mode = now.astimezone(timezone.utc), mode
