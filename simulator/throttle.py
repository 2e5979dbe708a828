"""The published rate limits, counted in real seconds over a sliding window; refused calls count too.

Source: api-throttling-guidance (7/18/2022) and the resource pages. "Per tenant id" is read as: the customer
tenant in the path, else the provider's own.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from typing import Literal

from simulator.schema import Limit, Throttling

LimitName = Literal["validate_per_customer", "create_migration", "resources"]


class Throttle:
    """Counts calls per limit and key."""

    def __init__(self, plan: Throttling, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._plan = plan
        self._monotonic = monotonic
        self._calls: dict[tuple[str, str], deque[float]] = {}

    def wait_s(self, name: LimitName, key: str) -> int:
        """Counts this call; 0 when it may pass, else the seconds for Retry-After."""
        if self._plan.mode == "off":
            return 0
        limit = self._limit(name)
        now = self._monotonic()
        calls = self._calls.setdefault((name, key), deque())
        while calls and calls[0] <= now - limit.seconds:
            calls.popleft()
        calls.append(now)
        if len(calls) <= limit.calls:
            return 0
        # the call may pass again when so many have left the window that one more fits
        return max(1, math.ceil(calls[len(calls) - limit.calls] + limit.seconds - now))

    def _limit(self, name: LimitName) -> Limit:
        plan = self._plan if self._plan.mode == "custom" else Throttling()
        limit: Limit = getattr(plan, name)
        return limit
