"""The connection type as Airflow itself reads it: registered, with its form, and with its secrets hidden."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest
from airflow.api_fastapi.core_api.datamodels.connections import ConnectionResponse
from airflow.models.connection import Connection
from airflow.providers_manager import ProvidersManager

from include.nce.orchestration.provider import CONNECTION_TYPE, get_provider_info
from include.nce.partner_center.connection import PartnerCenterConnection

PROJECT = Path(__file__).resolve().parents[3]
FORM = get_provider_info()["connection-types"][0]


def entered(**extra: Any) -> Connection:
    """As the form writes it."""
    fields: dict[str, Any] = dict.fromkeys(FORM["conn-fields"])
    return Connection(
        conn_id="partner_center",
        conn_type=CONNECTION_TYPE,
        login="client-id",
        password="client-secret",
        extra=json.dumps({**fields, "tenant_id": "tenant", **extra}),
    )


@pytest.mark.filterwarnings("ignore:ProvidersManager.hooks is deprecated")  # Airflow's own pages use it
def test_airflow_lists_the_connection_type_of_the_installed_project() -> None:
    hooks = ProvidersManager().hooks
    assert CONNECTION_TYPE in hooks, "the project is not installed; run scripts/venv requirements-dev.txt"
    hook = hooks[CONNECTION_TYPE]
    assert hook is not None
    assert hook.package_name == "nce-migration"


def test_the_form_has_a_field_for_everything_and_hides_what_is_not_used() -> None:
    manager = ProvidersManager()
    widgets = {
        name.removeprefix(f"extra__{CONNECTION_TYPE}__"): widget
        for name, widget in manager.connection_form_widgets.items()
        if name.startswith(f"extra__{CONNECTION_TYPE}__")
    }
    assert {name: widget.is_sensitive for name, widget in widgets.items()} == {
        "tenant_id": False,
        "refresh_token": True,
        "authority": False,
        "rehearsal": False,
    }
    behaviour = manager.field_behaviours[CONNECTION_TYPE]
    assert behaviour["relabeling"] == {
        "host": "Address",
        "login": "Client id",
        "password": "Client secret",
    }
    assert behaviour["hidden_fields"] == ["schema"]


def test_the_description_is_what_airflow_documents() -> None:
    schema = json.loads((Path(airflow.__file__).parent / "provider.yaml.schema.json").read_text())
    jsonschema.validate(
        FORM,
        {
            **schema["properties"]["connection-types"]["items"],
            "definitions": schema.get("definitions", {}),
        },
    )


def test_a_form_with_untouched_fields_is_read() -> None:
    read = PartnerCenterConnection.from_airflow(entered())
    assert (read.tenant_id, read.refresh_token, read.rehearsal) == ("tenant", None, False)
    assert read.authority == "https://login.microsoftonline.com"


@pytest.mark.parametrize("conn_type", [CONNECTION_TYPE, "http"])
def test_a_connection_of_the_older_type_is_read_too(conn_type: str) -> None:
    connection = entered(refresh_token="0.token")
    connection.conn_type = conn_type
    assert PartnerCenterConnection.from_airflow(connection).refresh_token == "0.token"


def test_what_airflow_shows_of_a_connection_holds_no_secret() -> None:
    shown = ConnectionResponse.model_validate(entered(refresh_token="0.token")).model_dump_json()
    assert "tenant" in shown
    assert "0.token" not in shown
    assert "client-secret" not in shown


def test_reading_the_form_imports_nothing() -> None:
    program = (
        "import sys; from include.nce.orchestration.provider import get_provider_info;"
        "get_provider_info(); print(sorted(n for n in sys.modules if n.startswith(('include', 'airflow'))))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == str(
        ["include", "include.nce", "include.nce.orchestration", "include.nce.orchestration.provider"]
    )


@pytest.mark.filterwarnings("ignore:ProvidersManager.hooks is deprecated")
def test_airflow_offers_no_test_button_for_it() -> None:
    hook = ProvidersManager().hooks[CONNECTION_TYPE]
    assert hook is not None
    assert not hook.connection_testable
