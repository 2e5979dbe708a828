"""`nce budget`: what is used of the rate limits, for people and for programs."""

from __future__ import annotations

import json

from include.nce.ledger.ledger import PostgresLedger
from tests.integration.cli.conftest import Desk

CUSTOMER = "d3a1f6c0-0000-4000-8000-000000000001"


async def _twelve_calls_and_a_429(ledger: PostgresLedger) -> None:
    for _ in range(12):
        await ledger.book_call(
            "provider", "resources", CUSTOMER, calls=10, window_seconds=60.0, longest_wait_seconds=100.0
        )
    await ledger.pause_calls("provider", "unpublished", "provider", seconds=57.0)


def test_a_budget_that_nobody_used_is_said_in_a_sentence(blank_desk: Desk) -> None:
    assert blank_desk.nce("budget").stdout == "No call was counted in the last day.\n"


def test_the_table_tells_used_left_and_waiting(blank_desk: Desk) -> None:
    blank_desk.ledger(_twelve_calls_and_a_429)
    lines = blank_desk.nce("budget").stdout.splitlines()
    assert lines[1].split()[:10] == ["resources", CUSTOMER, "10", "in", "60", "s", "10", "0", "2", "67"]
    assert lines[2].split()[:7] == ["unpublished", "provider", "-", "0", "-", "0", "-"]


def test_the_json_tells_the_same_in_numbers(blank_desk: Desk) -> None:
    blank_desk.ledger(_twelve_calls_and_a_429)
    document = json.loads(blank_desk.nce("budget", "--json").stdout)
    counted, paused = document["budgets"]
    assert (counted["used"], counted["left"], counted["waiting"]) == (10, 0, 2)
    assert 50 < paused["paused_seconds"] <= 57
    assert paused["throttled_at"] <= document["now"]
