"""What the provider's people type, through the real command line."""

from __future__ import annotations

import asyncio
import os
from datetime import datetime, timezone
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from include.nce.domain.campaign import Campaign
from include.nce.ledger.ledger import PostgresLedger
from scripts.demo.desk import Desk
from scripts.demo.ledger import LedgerReader
from scripts.demo.story import Entry
from scripts.stack import databases
from scripts.stack.errors import NotAnswering

CHECKOUT = Path(__file__).resolve().parents[2]
CAMPAIGN = "csp-commercial-2022"
MOVE = Entry(
    datetime(2022, 6, 25, tzinfo=timezone.utc),
    ("campaign", "move-date", "cut_over", "2022-07-12T00:00:00Z", "--by", "carla"),
)


@pytest.fixture
def desk(ledger_database: str, tmp_path: Path) -> Desk:
    connection = make_url(ledger_database).set(drivername="postgres").render_as_string(hide_password=False)
    environment = {**os.environ, "AIRFLOW_CONN_NCE_LEDGER": connection, "PYTHONPATH": str(CHECKOUT)}
    return Desk(CAMPAIGN, CHECKOUT, environment, tmp_path / "entries.json")


@pytest.fixture
def reader(ledger_database: str) -> LedgerReader:
    return LedgerReader(make_url(ledger_database), CAMPAIGN)


def _import(desk: Desk) -> None:
    desk.import_campaign(Path("include/campaigns") / f"{CAMPAIGN}.yaml")


def test_the_campaign_is_imported_once_however_often_it_is_asked_for(
    desk: Desk, reader: LedgerReader
) -> None:
    _import(desk)
    _import(desk)
    assert reader.status().version == 1


def test_a_roster_that_is_named_becomes_the_campaigns_own(desk: Desk, reader: LedgerReader) -> None:
    desk.import_campaign(Path("include/campaigns") / f"{CAMPAIGN}.yaml", "/data/Società.csv")
    assert asyncio.run(_campaign(reader)).roster == "/data/Società.csv"


async def _campaign(reader: LedgerReader) -> Campaign:
    async with PostgresLedger.open(reader.url) as ledger:
        return await ledger.campaign(CAMPAIGN)


def test_an_entry_reaches_the_ledger_and_is_remembered_by_the_next_call(
    desk: Desk, reader: LedgerReader
) -> None:
    _import(desk)
    desk.make(MOVE)
    assert reader.status().version == 2
    assert Desk(desk.campaign, desk.checkout, desk.environment, desk.notes).is_made(MOVE)


def test_what_the_command_line_refuses_is_told_with_its_sentence(desk: Desk) -> None:
    _import(desk)
    with pytest.raises(NotAnswering, match=r"`nce opt-out add nobody .*failed: .*nobody"):
        desk.make(Entry(MOVE.at, ("opt-out", "add", "nobody", "--by", "anna")))
    assert not desk.notes.exists()


def test_a_campaign_that_is_not_imported_yet_may_be_read_later(reader: LedgerReader) -> None:
    with pytest.raises(NotAnswering, match=CAMPAIGN):
        reader.status()


def test_a_ledger_that_is_away_may_be_read_later() -> None:
    away = LedgerReader(databases.server_url("postgresql://me:geheim@127.0.0.1:1/x"), CAMPAIGN)
    with pytest.raises(NotAnswering, match="The ledger does not answer") as refusal:
        away.status()
    assert "geheim" not in str(refusal.value)
