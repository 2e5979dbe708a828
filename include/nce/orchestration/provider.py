"""What this project adds to Airflow's list of providers: the connection type `partner_center` and its form.

Airflow finds `get_provider_info` by the entry point of the installed project, and calls it in each of its
processes: nothing is imported here. The form is read as data (`conn-fields`); the hook only names the type.
"""

from __future__ import annotations

from typing import Any

CONNECTION_TYPE = "partner_center"
HOOK_NAME = "Microsoft Partner Center"

_MICROSOFT = "https://api.partnercenter.microsoft.com"
_SIGN_IN = "https://login.microsoftonline.com"


def get_provider_info() -> dict[str, Any]:
    """As `airflow/provider.yaml.schema.json` of Airflow 3.3 describes it."""
    return {
        "package-name": "nce-migration",
        "name": HOOK_NAME,
        "description": "Moves resellers' customers from legacy subscriptions to the New Commerce Experience.",
        "connection-types": [
            {
                "connection-type": CONNECTION_TYPE,
                "hook-class-name": "include.nce.orchestration.partner_center_hook.PartnerCenterHook",
                "hook-name": HOOK_NAME,
                "ui-field-behaviour": {
                    "hidden-fields": ["schema"],
                    "relabeling": {"host": "Address", "login": "Client id", "password": "Client secret"},
                    "placeholders": {
                        "host": _MICROSOFT,
                        "port": "443",
                        "login": "Application (client) id of the app registration",
                    },
                },
                "conn-fields": {
                    "tenant_id": {
                        "label": "Tenant",
                        "description": "The provider's own tenant id.",
                        "schema": {"type": "string"},
                    },
                    "refresh_token": {
                        "label": "Refresh token",
                        "description": "The service account's, from a sign-in with its second factor. The "
                        "ones Microsoft replaces it with are kept in the ledger; a new one here counts.",
                        "schema": {"type": ["string", "null"], "format": "password"},
                    },
                    "authority": {
                        "label": "Sign-in service",
                        "description": f"Left empty: {_SIGN_IN}.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "rehearsal": {
                        "label": "Rehearsal",
                        "description": "Address and sign-in service are the simulator on this machine.",
                        "schema": {"type": ["boolean", "null"]},
                    },
                },
            }
        ],
    }
