"""The class that Airflow wants to see behind the connection type `partner_center`: its names, nothing else.

It has no `test_connection` on purpose. Airflow's test button sends what is stored to the host that is typed
in; `connection_check` asks only where the stored connection leads.
"""

from __future__ import annotations

from airflow.sdk import BaseHook

from include.nce.orchestration.provider import CONNECTION_TYPE, HOOK_NAME
from include.nce.partner_center.connection import CONNECTION_ID


class PartnerCenterHook(BaseHook):
    """Opens nothing: the product is opened in `composition`."""

    conn_name_attr = "partner_center_conn_id"
    default_conn_name = CONNECTION_ID
    conn_type = CONNECTION_TYPE
    hook_name = HOOK_NAME
