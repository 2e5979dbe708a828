"""Microsoft's published rate limits, and what an operator sets instead of them.

Responsible for the numbers and for reading them from the extra field `limits` of the connection
`partner_center`. Which call counts on which limit is said by `budget`.

    {"limits": {"create_migration": {"calls": 80, "seconds": 300}}}

leaves a fifth of that limit to other programs of the provider.

Source: api-throttling-guidance (7/18/2022) and the pages of the resources.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Limit(str, Enum):
    """What Microsoft counts together."""

    CREATE_MIGRATION = "create_migration"
    """Migrations created, per provider."""
    VALIDATE_MIGRATION = "validate_migration"
    """Migrations validated, per provider and customer."""
    RESOURCES = "resources"
    """Customer, subscription and order resources, per tenant id: the customer's, else the provider's own."""
    UNPUBLISHED = "unpublished"
    """Everything else, per provider. Microsoft throttles it, but names no number."""


@dataclass(frozen=True)
class CallRate:
    """At most `calls` in any `seconds`."""

    calls: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.calls} calls in {self.seconds:g} s"


Limits = Mapping[Limit, CallRate]
"""A limit without a rate is not counted; a 429 to it still makes everybody wait."""

DOCUMENTED: Limits = {
    Limit.CREATE_MIGRATION: CallRate(100, 300),
    Limit.VALIDATE_MIGRATION: CallRate(450, 300),
    Limit.RESOURCES: CallRate(500, 60),
}


def read_limits(value: Any) -> tuple[Limits, list[str]]:
    """The documented limits with the operator's changes, and a sentence for each thing wrong with those."""
    if value is None:
        return DOCUMENTED, []
    if not isinstance(value, Mapping):
        return DOCUMENTED, [
            'extra field \'limits\' is no object; write {"create_migration": {"calls": 80, "seconds": 300}}'
        ]
    limits, faults = dict(DOCUMENTED), []
    known = {limit.value: limit for limit in Limit}
    for name, entry in value.items():
        if name not in known:
            faults.append(f"extra field 'limits.{name}' is not known; the limits are {', '.join(known)}")
        elif (rate := _rate(entry)) is None:
            faults.append(
                f"extra field 'limits.{name}' is no rate; "
                'write {"calls": 80, "seconds": 300}, a whole number and a positive number'
            )
        else:
            limits[known[name]] = rate
    return limits, faults


def _rate(entry: Any) -> CallRate | None:
    if not isinstance(entry, Mapping) or set(entry) != {"calls", "seconds"}:
        return None
    calls, seconds = entry["calls"], entry["seconds"]
    if isinstance(calls, bool) or not isinstance(calls, int) or calls < 1:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    return CallRate(calls, float(seconds)) if 0 < seconds < math.inf else None


def bolder_than_documented(limits: Limits) -> list[str]:
    """One sentence for each limit that lets more through than Microsoft publishes."""
    return [
        f"The limit '{limit.value}' is set to {rate}, more than Microsoft's published {DOCUMENTED[limit]}; "
        "expect to be throttled unless Microsoft has agreed to it."
        for limit, rate in limits.items()
        if limit in DOCUMENTED and _lets_more_through(rate, DOCUMENTED[limit])
    ]


def _lets_more_through(rate: CallRate, documented: CallRate) -> bool:
    windows = max(1, math.ceil(documented.seconds / rate.seconds))
    return rate.calls * windows > documented.calls
