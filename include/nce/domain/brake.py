"""The brake: at which figures a campaign stops by itself, and what it says then."""

from __future__ import annotations

from dataclasses import dataclass

from include.nce.domain.campaign import Brake


@dataclass(frozen=True)
class Figures:
    """What the brake looks at. `tried` and `failed` count conversions since the last release; `zero` and
    `double` are the subscriptions that may be covered on no side, or billed on both, at this moment."""

    tried: int = 0
    failed: int = 0
    zero: int = 0
    double: int = 0

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
