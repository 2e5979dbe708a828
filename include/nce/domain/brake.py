"""The brake: at which figures a campaign stops by itself, what it says then, and the latest word on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from include.nce.domain.campaign import Brake


@dataclass(frozen=True)
class Figures:
    """What the brake looks at. `tried` and `failed` count conversions since the last release; `zero` and
    `double` are the subscriptions that may be covered on no side, or billed on both, at this moment."""

    tried: int = 0
    failed: int = 0
    zero: int = 0
    double: int = 0

    def if_all_fail(self, in_flight: int) -> Figures:
        """As they would stand if none of the purchases on their way succeeded."""
        return replace(self, tried=self.tried + in_flight, failed=self.failed + in_flight)

    @property
    def failed_percent(self) -> int:
        """Rounded down."""
        return 100 * self.failed // self.tried if self.tried else 0


def why_stop(brake: Brake, seen: Figures, *, known_zero: int = 0, known_double: int = 0) -> tuple[str, ...]:
    """Each signal that has reached its threshold, in words; none: the campaign goes on.

    `known_zero` and `known_double` were accepted by the person who released the campaign: only what comes on
    top of them counts.
    """
    signals = []
    if seen.failed >= brake.failed_at_least and 100 * seen.failed >= brake.failed_percent * seen.tried:
        signals.append(
            f"{seen.failed} of {seen.tried} conversions failed ({seen.failed_percent} %; it stops at "
            f"{brake.failed_percent} % and {brake.failed_at_least})"
        )
    for count, known, threshold, what in (
        (seen.zero, known_zero, brake.zero_coverage, "may be covered on no side"),
        (seen.double, known_double, brake.double_coverage, "may be billed on both sides"),
    ):
        if count - known >= threshold:
            more = f", {known} of them known" if known else ""
            signals.append(f"{_subscriptions(count)} {what}{more} (it stops at {threshold})")
    return tuple(signals)


def _subscriptions(count: int) -> str:
    return "1 subscription" if count == 1 else f"{count} subscriptions"


@dataclass(frozen=True)
class CoverageSignals:
    """Subscriptions that neither side covers (`zero`), and subscriptions that both sides bill (`double`).

    `by_partner`: short id -> the two numbers, for the partners that have any, in the order of their ids;
    only where findings are counted.
    """

    zero: int = 0
    double: int = 0
    by_partner: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Release:
    """The latest release: when, by the campaign's clock, and the last move of a conversion before it.

    What failed after it is told by the order of moves, which the database serialised, and not by clocks.
    """

    at: datetime
    moved_no: int


@dataclass(frozen=True)
class BrakeRecord:
    """The latest word on whether a campaign may buy: its stop, its release, or none of both.

    `event_id` is 0 while there is no word. `released` is the latest release: only what
    failed after it counts. `known` are the coverage signals that the release accepted.
    """

    event_id: int = 0
    stopped: bool = False
    by: str = ""
    reason: str = ""
    at: datetime | None = None
    released: Release | None = None
    known: CoverageSignals = field(default_factory=CoverageSignals)

    @property
    def sentence(self) -> str:
        """Who stopped the campaign and why, and what ends it; empty when it is not stopped."""
        if not self.stopped or self.at is None:
            return ""
        return (
            f"The campaign was stopped by {self.by} on {self.at:%Y-%m-%d %H:%M} UTC: "
            f"{self.reason.rstrip('.')}. Nothing new is bought; what is bought is finished. Who acts: "
            "operator. Look at `nce campaign waves`, remove the cause, then `nce campaign release --reason`."
        )


@dataclass(frozen=True)
class Attempts:
    """Conversions tried since a moment, those of them that stand as failed, and whose these are."""

    tried: int
    failed: int
    partners: tuple[str, ...] = ()
