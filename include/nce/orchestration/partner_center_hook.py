"""The connection `partner_center` as Airflow knows it: its settings, and whether they work.

Responsible for what `nce check-connection` asks. The form stands in `provider`, what is read of the
connection in `partner_center.connection`, what the sentence says in `partner_center.probe`.
"""

from __future__ import annotations

import logging

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from sqlalchemy.exc import SQLAlchemyError

from include.nce.domain.errors import InputRefused
from include.nce.orchestration.composition import credential_store, mask, run
from include.nce.orchestration.provider import CONNECTION_TYPE, HOOK_NAME
from include.nce.partner_center.connection import CONNECTION_ID, PartnerCenterConnection

log = logging.getLogger(__name__)


class PartnerCenterHook(BaseHook):
    """Access to Partner Center as an Airflow connection describes it."""

    conn_name_attr = "partner_center_conn_id"
    default_conn_name = CONNECTION_ID
    conn_type = CONNECTION_TYPE
    hook_name = HOOK_NAME

    def __init__(self, partner_center_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.partner_center_conn_id = partner_center_conn_id

    def get_conn(self) -> PartnerCenterConnection:
        """The settings, checked. Raises `InputRefused` with one sentence for each fault."""
        return PartnerCenterConnection.from_airflow(self.get_connection(self.partner_center_conn_id))

    def test_connection(self) -> tuple[bool, str]:
        """Whether both kinds of token work, and one sentence on what works and what does not."""
        try:
            settings = self.get_conn()
        except InputRefused as refused:
            return False, " ".join(refused.faults)
        return run(self._test(settings))

    async def _test(self, settings: PartnerCenterConnection) -> tuple[bool, str]:
        from include.nce.ledger.connection import ledger_url
        from include.nce.ledger.ledger import PostgresLedger
        from include.nce.partner_center.probe import probe

        try:
            async with PostgresLedger.open(ledger_url(self.get_connection), pool_size=1) as ledger:
                found = await probe(settings, credential_store(ledger, settings), mask=mask)
        except (InputRefused, AirflowNotFoundException, SQLAlchemyError, OSError) as error:
            log.warning("The ledger cannot keep credentials: %s", str(error).partition("\n")[0])
            found = await probe(settings, None, mask=mask)
        return found.works, found.sentence
