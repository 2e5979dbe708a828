from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from include.nce.partner_center.auth import TokenSource
from include.nce.partner_center.client import PartnerCenterClient
from include.nce.partner_center.connection import PartnerCenterConnection
from include.nce.partner_center.transport import Transport
from tests.support.partner_center_server import PartnerCenterServer, serving


class Naps:
    """Sleeps that take no time and are remembered, in seconds."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


@pytest.fixture
async def server() -> AsyncIterator[PartnerCenterServer]:
    async with serving() as running:
        yield running


@pytest.fixture
def naps() -> Naps:
    return Naps()


@pytest.fixture
def connection(server: PartnerCenterServer) -> PartnerCenterConnection:
    return PartnerCenterConnection.from_airflow(server.airflow_connection())


@pytest.fixture
async def client(connection: PartnerCenterConnection, naps: Naps) -> AsyncIterator[PartnerCenterClient]:
    transport = Transport(connection, TokenSource(connection), sleep=naps)
    async with PartnerCenterClient(connection, transport=transport) as opened:
        yield opened
