"""What was asked of the simulator: the last calls, and counts of all of them.

Holds operation names, paths without query, ids and statuses; never a token, a secret or a body.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class LoggedRequest:
    """One call. `at` is campaign time, `duration_ms` real time, `fault` the kind of an injected fault."""

    number: int
    operation: str
    method: str
    path: str
    status: int | None
    code: int | None
    request_id: str
    correlation_id: str
    at: str
    duration_ms: float
    fault: str | None = None
    replayed: bool = False


class RequestLog:
    """The last `keep` calls and the counts per operation and status since the last reset."""

    def __init__(self, keep: int = 20_000) -> None:
        self._calls: deque[LoggedRequest] = deque(maxlen=keep)
        self._counts: Counter[tuple[str, str]] = Counter()
        self._number = 0

    def next_number(self) -> int:
        """The number of the next call."""
        self._number += 1
        return self._number

    def add(self, call: LoggedRequest) -> None:
        """Remembers a call."""
        self._calls.append(call)
        self._counts[call.operation, "none" if call.status is None else str(call.status)] += 1

    def page(self, operation: str | None, since: int, limit: int) -> dict[str, Any]:
        """Calls with a number above `since`, oldest first; `next` is the `since` of the next page or null."""
        found = [call for call in self._calls if call.number > since and operation in (None, call.operation)]
        more = len(found) > limit
        return {
            "requests": [asdict(call) for call in found[:limit]],
            "next": found[limit - 1].number if more else None,
            "last": self._number,
        }

    def summary(self) -> dict[str, dict[str, int]]:
        """Counts per operation and status ("none" = no answer was given)."""
        summary: dict[str, dict[str, int]] = {}
        for (operation, status), count in sorted(self._counts.items()):
            summary.setdefault(operation, {})[status] = count
        return summary

    def clear(self) -> None:
        """Forgets everything."""
        self._calls.clear()
        self._counts.clear()
        self._number = 0
