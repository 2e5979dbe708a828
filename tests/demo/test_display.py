"""What the person at the terminal sees."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import datetime, timezone

import pytest
from rich.console import Console

from include.nce.ledger.reports import PartnerStatus
from scripts.demo.display import LivePanel, PlainLines, Progress, count, display_for, stage
from tests.support.status import partner_row

PROGRESS = Progress(
    now_at=datetime(2022, 6, 25, 10, tzinfo=timezone.utc),
    ends_at=datetime(2022, 7, 20, tzinfo=timezone.utc),
    speed=3600.0,
    state="running",
    elapsed_s=95.0,
    left_s=61.0,
    reds=2,
    stages={"waiting for cut-over": 3, "blocked": 1},
    converted=4,
    to_convert=9,
)


def _console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=120)


def _text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_partners_and_subscriptions_are_counted_from_the_status() -> None:
    rows = [
        partner_row("rossi", totals={"converted": 1, "due": 1, "exempt": 5}),
        partner_row("bianchi", totals={"scheduled": 2}),
        partner_row("verdi", run_id=None),
    ]
    assert count(rows) == ({"converting": 2, "not started": 1}, 1, 2)


@pytest.mark.parametrize(
    ("row", "word"),
    [
        (partner_row("rossi", "opted_out"), "opted out"),
        (partner_row("rossi", run_id=None), "not started"),
        (partner_row("rossi", checks={"check_mpa": "missing"}), "not ready"),
        (partner_row("rossi", checks={"check_mpa": "satisfied"}), "before the opt-out deadline"),
        (partner_row("rossi", ruling="none"), "before the cut-over"),
        (partner_row("rossi", ruling="none", totals={"due": 1}), "converting"),
    ],
)
def test_the_stage_says_how_far_a_partner_has_come(row: PartnerStatus, word: str) -> None:
    assert stage(row) == word


def test_a_plain_line_holds_everything() -> None:
    assert PROGRESS.line() == (
        "2022-06-25 10:00Z running | 3 waiting for cut-over, 1 blocked | converted 4/9 | red 2 "
        "| 1:35 elapsed, about 1:01 left"
    )


def test_plain_lines_come_every_few_seconds() -> None:
    console = _console(terminal=False)
    with PlainLines(console) as lines:
        for elapsed_s in (0.0, 1.0, 4.9, 5.0, 9.0, 10.1):
            lines.show(replace(PROGRESS, elapsed_s=elapsed_s))
    assert [line.split("| ")[-1][:4] for line in _text(console).splitlines()] == ["0:00", "0:05", "0:10"]


def test_a_changed_state_is_told_at_once() -> None:
    console = _console(terminal=False)
    with PlainLines(console) as lines:
        lines.show(PROGRESS)
        lines.show(replace(PROGRESS, state="waiting for Airflow: scheduler has ended", elapsed_s=95.5))
    assert "waiting for Airflow: scheduler has ended" in _text(console).splitlines()[1]


def test_a_terminal_gets_the_panel_and_a_pipe_the_lines() -> None:
    assert isinstance(display_for(_console(terminal=True), "x"), LivePanel)
    assert isinstance(display_for(_console(terminal=False), "x"), PlainLines)


def test_the_panel_shows_clock_state_partners_conversions_reds_and_time() -> None:
    console = _console(terminal=True)
    with LivePanel(console, "story") as panel:
        panel.show(PROGRESS)
    shown = _text(console)
    for words in ("25 June 2022 10:00 UTC", "running", "3 waiting for cut-over", "4 of 9", "1:35 elapsed"):
        assert words in shown


def test_a_fault_with_brackets_does_not_break_the_panel() -> None:
    console = _console(terminal=True)
    with LivePanel(console, "story") as panel:
        panel.show(replace(PROGRESS, state="waiting for Airflow: [/red] odd"))
    assert "[/red] odd" in _text(console)
