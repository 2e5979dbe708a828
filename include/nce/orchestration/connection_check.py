"""Whether the connection to Partner Center works, asked by a person at a terminal.

Responsible for reading the connection as Airflow's own commands do, and for where credentials are kept. What
is read of the connection stands in `partner_center.connection`, what is asked and said in
`partner_center.probe`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from airflow.sdk.exceptions import AirflowNotFoundException
from sqlalchemy.exc import SQLAlchemyError

from include.nce.domain.errors import InputRefused
from include.nce.ledger.connection import ledger_url
from include.nce.ledger.ledger import PostgresLedger
from include.nce.orchestration.composition import credential_store, mask
from include.nce.partner_center.connection import CONNECTION_ID, PartnerCenterConnection
from include.nce.partner_center.probe import Probe, probe

log = logging.getLogger(__name__)


async def check_connection() -> Probe:
    """Sign in anew and ask once with each kind of token.

    Raises `InputRefused` for a connection that is missing or incomplete, with a sentence for each fault.
    """
    settings = PartnerCenterConnection.from_airflow(await asyncio.to_thread(_connection, CONNECTION_ID))
    try:
        address = await asyncio.to_thread(ledger_url, _connection)
        async with PostgresLedger.open(address, pool_size=1) as ledger:
            return await probe(settings, credential_store(ledger, settings), mask=mask)
    except (InputRefused, SQLAlchemyError, OSError) as error:
        log.warning("The ledger cannot keep credentials: %s", str(error).partition("\n")[0])
        return await probe(settings, None, mask=mask)


def _connection(connection_id: str) -> Any:
    """From wherever Airflow keeps it; outside of a task its SDK looks into the environment only."""
    from airflow.models.connection import Connection

    try:
        return Connection.get_connection_from_secrets(connection_id)
    except AirflowNotFoundException:
        raise InputRefused(
            [
                f"This Airflow knows no connection '{connection_id}', or its database does not answer: add "
                "the connection under Admin, Connections, and run this command where Airflow's settings are."
            ]
        ) from None
