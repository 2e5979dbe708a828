"""Waits outlast outages; only a refusal about the run itself ends one."""

from __future__ import annotations

import logging

import pytest
from sqlalchemy.exc import OperationalError

from include.nce.domain.errors import InputRefused
from include.nce.orchestration.patience import LONGEST_PAUSE_SECONDS, NotSetUp, patiently

LOG = logging.getLogger("test")
OUTAGES = [
    OSError("the campaign clock answers HTTP 502"),
    OperationalError("SELECT 1", {}, Exception("server closed the connection")),
    NotSetUp(InputRefused(["Connection 'nce_ledger' does not exist; add it in Airflow."])),
]


class Pauses(list[float]):
    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda outage: type(outage).__name__)
async def test_a_wait_goes_on_after_an_outage(outage: Exception) -> None:
    tries = []

    async def watch() -> str:
        tries.append(1)
        if len(tries) < 4:
            raise outage
        return "over"

    assert await patiently(watch, LOG, sleep=Pauses()) == "over"
    assert len(tries) == 4


async def test_an_outage_of_hours_is_asked_about_once_a_minute() -> None:
    pauses = Pauses()

    async def watch() -> None:
        if len(pauses) < 200:
            raise OSError("connection refused")

    await patiently(watch, LOG, sleep=pauses)
    assert max(pauses) == LONGEST_PAUSE_SECONDS
    assert pauses[-100:] == [LONGEST_PAUSE_SECONDS] * 100


async def test_a_refusal_about_the_run_ends_the_wait() -> None:
    async def watch() -> None:
        raise InputRefused(["Run 'x' is not in the ledger; it is opened by its first task."])

    with pytest.raises(InputRefused):
        await patiently(watch, LOG, sleep=Pauses())


async def test_the_tasks_log_says_in_one_line_what_is_out_of_reach(caplog: pytest.LogCaptureFixture) -> None:
    pauses = Pauses()

    async def watch() -> None:
        if not pauses:
            raise OSError("the campaign clock answers HTTP 502\nand more")

    with caplog.at_level(logging.WARNING):
        await patiently(watch, LOG, sleep=pauses)
    assert caplog.messages == ["Waiting on: the campaign clock answers HTTP 502"]
