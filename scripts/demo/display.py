"""What the person at the terminal sees while the campaign runs.

A live panel on a terminal, one plain line every few seconds elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from include.nce.domain.classification import SubscriptionClass
from include.nce.domain.readiness import Answer
from include.nce.ledger.reports import PartnerStatus

PLAIN_LINE_SECONDS = 5.0
CONVERTIBLE = (
    SubscriptionClass.DUE,
    SubscriptionClass.CONVERTED,
    SubscriptionClass.FAILED,
)
"""Classes of the subscriptions that are to be converted, or were."""


@dataclass(frozen=True)
class Progress:
    """One look at the campaign. `state` is running, standing still or waiting, with what for."""

    now_at: datetime
    ends_at: datetime
    speed: float
    state: str
    elapsed_s: float
    left_s: float
    reds: int
    stages: Mapping[str, int] = field(default_factory=dict)
    converted: int = 0
    to_convert: int = 0

    def line(self) -> str:
        """All of it in one line."""
        stages = ", ".join(f"{count} {stage}" for stage, count in self.stages.items()) or "no partners yet"
        parts = [
            f"{self.now_at:%Y-%m-%d %H:%M}Z {self.state}",
            stages,
            f"converted {self.converted}/{self.to_convert}",
            f"red {self.reds}",
            f"{_duration(self.elapsed_s)} elapsed, about {_duration(self.left_s)} left",
        ]
        return " | ".join(parts)


def count(partners: Iterable[PartnerStatus]) -> tuple[dict[str, int], int, int]:
    """Partners by stage, subscriptions converted, subscriptions to convert."""
    rows = list(partners)
    stages = Counter(stage(row) for row in rows)
    totals: Counter[SubscriptionClass] = Counter()
    for row in rows:
        totals.update(row.totals)
    to_convert = sum(totals[each] for each in CONVERTIBLE)
    return dict(stages.most_common()), totals[SubscriptionClass.CONVERTED], to_convert


def stage(row: PartnerStatus) -> str:
    """How far a partner has come: its outcome, or what its open run is at."""
    if row.outcome is not None:
        return row.outcome.value.replace("_", " ")
    if row.run_id is None:
        return "not started"
    if row.totals:
        return "converting"
    if any(check.answer is not Answer.SATISFIED for check in row.checks.values()):
        return "not ready"
    return "before the opt-out deadline" if row.opt_out.verdict is None else "before the cut-over"


class Display(Protocol):
    """Shows one progress after another."""

    def __enter__(self) -> Display: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def show(self, progress: Progress) -> None: ...


class LivePanel:
    """A panel that is drawn again in place."""

    def __init__(self, console: Console, title: str) -> None:
        self._title = title
        self._live = Live(console=console, refresh_per_second=4)

    def __enter__(self) -> LivePanel:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, progress: Progress) -> None:
        """Draw `progress`."""
        reds = Text(str(progress.reds), style="red" if progress.reds else "")
        rows: dict[str, str | Text] = {
            "campaign clock": Text(f"{progress.now_at:%A %d %B %Y %H:%M} UTC", style="bold"),
            "ends": f"{progress.ends_at:%d %B}, {_speed(progress.speed)}",
            "state": progress.state,
            "partners": ", ".join(f"{n} {stage}" for stage, n in progress.stages.items()) or "none yet",
            "conversions": f"{progress.converted} of {progress.to_convert}",
            "open reds": reds,
            "time": f"{_duration(progress.elapsed_s)} elapsed, about {_duration(progress.left_s)} left",
        }
        grid = Table.grid(padding=(0, 2))
        for name, value in rows.items():
            grid.add_row(name, value if isinstance(value, Text) else Text(value))
        self._live.update(Panel(grid, title=Text(self._title), expand=False))


class PlainLines:
    """A line every `PLAIN_LINE_SECONDS`, and at once when the state changes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._state = ""
        self._shown_s = float("-inf")

    def __enter__(self) -> PlainLines:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def show(self, progress: Progress) -> None:
        """Print `progress` when its turn has come."""
        if progress.state == self._state and progress.elapsed_s - self._shown_s < PLAIN_LINE_SECONDS:
            return
        self._state, self._shown_s = progress.state, progress.elapsed_s
        self._console.print(progress.line(), markup=False, highlight=False, soft_wrap=True)


def display_for(console: Console, title: str) -> Display:
    """The display that fits the terminal."""
    return LivePanel(console, title) if console.is_terminal else PlainLines(console)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _speed(campaign_seconds: float) -> str:
    return f"{timedelta(seconds=round(campaign_seconds))} of campaign time a second"
