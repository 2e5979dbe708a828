"""The clock of a rehearsal is a simulator's on this machine, and proves it."""

from __future__ import annotations

from typing import Any

import pytest

from include.nce.domain.errors import InputRefused
from include.nce.orchestration.clock import RehearsalClock
from tests.support.airflow_api import serving


@pytest.mark.parametrize(
    "address",
    [
        "http://10.0.0.7:8765",
        "https://api.partnercenter.microsoft.com",
        "http://simulator:8765",
        "http://localhost.evil.example:8765",
        "http://127.0.0.1.nip.io:8765",
        "http://127.0.0.1@evil.example:8765",
        "http://0.0.0.0:8765",
        "http://[::]:8765",
        "http://2130706433:8765",
        "http://127.1:8765",
        "http://0x7f.1:8765",
        "",
    ],
)
def test_an_address_elsewhere_is_no_rehearsals_clock(address: str) -> None:
    with pytest.raises(InputRefused, match="on this machine"):
        RehearsalClock(address)


@pytest.mark.parametrize("address", ["http://127.0.0.1:8765", "http://[::1]:8765", "http://localhost:8765"])
def test_an_address_of_this_machine_may_be(address: str) -> None:
    RehearsalClock(address)


@pytest.mark.parametrize(
    ("status", "document"),
    [(200, {"status": "ok"}), (200, {"simulator": "another"}), (200, ["simulator"]), (404, {})],
)
async def test_something_else_on_this_machine_is_not_taken_for_the_simulator(
    status: int, document: Any
) -> None:
    def answer(method: str, path: str, body: Any, token: str | None) -> tuple[int, Any]:
        return status, document

    with serving(answer) as address, pytest.raises(InputRefused, match="simulator"):
        await RehearsalClock(address).prove()
