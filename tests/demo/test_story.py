"""What the rehearsal reads of a scenario."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from typer.main import get_command

from include.nce.cli.app import app
from scripts.demo.story import Story


def _at(day: int, hour: int = 0) -> datetime:
    return datetime(2022, 6, day, hour, tzinfo=timezone.utc)


@pytest.fixture
def scenario() -> dict[str, Any]:
    return {
        "name": "tiny",
        "clock": {
            "starts_at": "2022-06-20T00:00:00Z",
            "ends_at": "2022-06-24T00:00:00Z",
            "schedule": [
                {"from": "2022-06-20T00:00:00Z", "speed": 86400.0},
                {"from": "2022-06-22T00:00:00Z", "speed": 43200.0},
            ],
        },
        "partners": [
            {
                "id": "rossi",
                "expect": {"outcome": "opted_out", "reason": None},
                "customers": [
                    {
                        "subscriptions": [
                            {"id": "AAAA", "expect": {"outcome": "opted_out", "reason": "form"}},
                            {"id": "bbbb", "expect": None},
                        ]
                    }
                ],
            },
            {"id": "bianchi", "expect": None, "customers": []},
        ],
        "opt_outs": [
            {
                "partner": "rossi",
                "customer": "cccc",
                "received_at": "2022-06-21T10:00:00Z",
                "enter_at": "2022-06-22T08:00:00Z",
                "withdrawn_at": "2022-06-23T08:00:00Z",
                "by": "anna",
            },
            {"partner": "bianchi", "customer": None, "received_at": "2022-06-20T10:00:00Z", "by": "anna"},
        ],
        "moves": [
            {"at": "2022-06-21T00:00:00Z", "moment": "cut_over", "to": "2022-07-12T00:00:00Z", "by": "carla"}
        ],
        "undos": [
            {
                "at": "2022-06-23T12:00:00Z",
                "subscription": "8f0d2a44-6c1b-4c0e-9f0e-3a52c1c07d11",
                "reason": "contract cancelled",
                "by": "anna",
            }
        ],
    }


def test_expectations_are_those_that_are_there(scenario: dict[str, Any]) -> None:
    found = [
        (each.partner, each.subscription, each.outcome, each.reason)
        for each in Story.read(scenario).expectations
    ]
    assert found == [("rossi", None, "opted_out", None), ("rossi", "aaaa", "opted_out", "form")]


def test_entries_come_in_the_order_in_which_they_are_typed(scenario: dict[str, Any]) -> None:
    story = Story.read(scenario)
    assert [(entry.at, entry.words[:2]) for entry in story.entries] == [
        (_at(20, 10), ("opt-out", "add")),
        (_at(21), ("campaign", "move-date")),
        (_at(22, 8), ("opt-out", "add")),
        (_at(23, 8), ("opt-out", "withdraw")),
        (_at(23, 12), ("undo", "start")),
    ]


def test_an_opt_out_is_entered_with_the_moment_it_was_received_at(scenario: dict[str, Any]) -> None:
    late = Story.read(scenario).entries[2]
    assert late.words == (
        *("opt-out", "add", "rossi", "--customer", "cccc", "--received", "2022-06-21T10:00:00+00:00"),
        *("--by", "anna"),
    )


def test_an_undo_is_work_for_airflow_and_the_other_entries_are_not(scenario: dict[str, Any]) -> None:
    assert [entry.starts_undo for entry in Story.read(scenario).entries] == [False] * 4 + [True]


def test_the_partners_of_the_story_are_counted(scenario: dict[str, Any]) -> None:
    assert Story.read(scenario).partners == 2


def test_every_entry_is_one_that_the_command_line_knows(scenario: dict[str, Any]) -> None:
    for entry in Story.read(scenario).entries:
        group: Any = get_command(app)
        words = list(entry.words)
        while hasattr(group, "commands"):
            group = group.commands[words.pop(0)]
        assert group.make_context(group.name, [*words, "--campaign", "c"])


def test_no_two_entries_share_a_key(scenario: dict[str, Any]) -> None:
    keys = [entry.key for entry in Story.read(scenario).entries]
    assert len(set(keys)) == len(keys)


def test_the_time_left_follows_the_speeds(scenario: dict[str, Any]) -> None:
    story = Story.read(scenario)
    assert story.seconds_left(_at(20), _at(24)) == pytest.approx(2 * 1 + 2 * 2)
    assert story.seconds_left(_at(21, 12), _at(24)) == pytest.approx(0.5 + 2 * 2)
    assert story.seconds_left(_at(23), _at(24)) == pytest.approx(2)
    assert story.seconds_left(_at(24), _at(24)) == 0


def test_the_time_left_before_the_first_speed_runs_at_real_time(scenario: dict[str, Any]) -> None:
    story = Story.read(scenario)
    before = _at(20) - timedelta(seconds=30)
    assert story.seconds_left(before, _at(21)) == pytest.approx(30 + 1)
