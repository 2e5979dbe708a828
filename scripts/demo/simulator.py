"""The simulator as the rehearsal sees it: its clock, its story and its world.

Speaks the simulator's control surface under ``/__sim__/`` and nothing else of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from types import TracebackType
from typing import Any

import httpx

from scripts.stack.errors import NotAnswering

LEASE_SECONDS = 3.0


def moment(text: str) -> datetime:
    """An ISO moment as aware UTC; text without a zone means UTC."""
    value = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)


@dataclass(frozen=True)
class ClockReading:
    """The campaign clock at one moment; `speed` is that of a running clock, in campaign seconds
    per real second.
    """

    now_at: datetime
    running: bool
    speed: float
    starts_at: datetime
    ends_at: datetime

    @property
    def ended(self) -> bool:
        """Whether the story is told."""
        return self.now_at >= self.ends_at


class Simulator:
    """A client of the control surface. Raises NotAnswering when it does not answer as it should."""

    def __init__(self, address: str, *, transport: httpx.BaseTransport | None = None) -> None:
        self._address = address
        self._http = httpx.Client(base_url=address, timeout=10, trust_env=False, transport=transport)

    def __enter__(self) -> Simulator:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def clock(self) -> ClockReading:
        """Read the campaign clock."""
        document = self._ask("GET", "/__sim__/clock")
        return ClockReading(
            now_at=moment(document["now"]),
            running=bool(document["running"]),
            speed=float(document["nominal_speed"]),
            starts_at=moment(document["starts_at"]),
            ends_at=moment(document["ends_at"]),
        )

    def lease(self, *, busy: bool, not_beyond: datetime | None) -> None:
        """Let campaign time pass for the next `LEASE_SECONDS`, never beyond `not_beyond`."""
        limit = not_beyond.isoformat() if not_beyond else None
        self._ask(
            "POST", "/__sim__/clock/lease", {"seconds": LEASE_SECONDS, "busy": busy, "not_beyond": limit}
        )

    def scenario(self) -> dict[str, Any]:
        """The story with every default and id filled in."""
        return self._ask("GET", "/__sim__/scenario")

    def state(self) -> dict[str, Any]:
        """The whole world as it is now."""
        return self._ask("GET", "/__sim__/state")

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            answer = self._http.request(method, path, json=body)
            answer.raise_for_status()
            document: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise NotAnswering(
                f"The simulator at {self._address} does not answer {path} ({error}); run `make status`."
            ) from error
        return document
