"""The command line on a real ledger, beside a small Airflow and a campaign clock that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import pytest
from typer.testing import CliRunner, Result

from include.nce.cli.app import app
from include.nce.ledger.ledger import PostgresLedger
from tests.integration.ledger.scene import CAMPAIGN, campaign, partner
from tests.support.airflow_api import PASSWORD, USER, FakeAirflow, fake_airflow, serving

T = TypeVar("T")


@dataclass
class Desk:
    """An operator's terminal. `nce` takes the words after `nce`; `ledger` does something with the ledger."""

    url: str
    environment: dict[str, str | None] = field(default_factory=dict)
    now: str = "2022-06-20T08:00:00Z"

    def nce(self, *words: str) -> Result:
        environment = {"AIRFLOW_CONN_NCE_LEDGER": self.url, **self.environment}
        return CliRunner(env=environment).invoke(app, list(words), prog_name="nce")

    def ledger(self, work: Callable[[PostgresLedger], Awaitable[T]]) -> T:
        async def opened() -> T:
            async with PostgresLedger.open(self.url, pool_size=1) as ledger:
                return await work(ledger)

        return asyncio.run(opened())

    def moves_to(self, moment: datetime) -> None:
        self.now = moment.isoformat()


@pytest.fixture
def blank_desk(ledger_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A desk whose ledger is empty, in a rehearsal: the simulator tells the time."""
    for name in ("NCE_CAMPAIGN", "NCE_TRACEBACK", "AIRFLOW_HOME"):
        monkeypatch.delenv(name, raising=False)
    desk = Desk(ledger_database)
    with serving(lambda method, path, body, token: (200, {"now": desk.now})) as simulator:
        desk.environment["NCE_SIMULATOR_URL"] = simulator
        yield desk


@pytest.fixture
def desk(blank_desk: Desk) -> Desk:
    """A desk whose ledger has one campaign with three partners in three time zones."""

    async def set_scene(ledger: PostgresLedger) -> None:
        await ledger.import_campaign(campaign(), "anna", "first import")
        await ledger.enrol(
            CAMPAIGN,
            [
                partner("rossi", province="PD"),
                partner("verdi"),
                partner("canarias", country="ES", zone="Atlantic/Canary", language="es"),
            ],
        )

    blank_desk.ledger(set_scene)
    return blank_desk


@pytest.fixture
def airflow(blank_desk: Desk) -> Iterator[FakeAirflow]:
    """An Airflow the desk is signed in to."""
    with fake_airflow() as airflow:
        blank_desk.environment.update(
            NCE_AIRFLOW_URL=airflow.address, NCE_AIRFLOW_USER=USER, NCE_AIRFLOW_PASSWORD=PASSWORD
        )
        yield airflow
