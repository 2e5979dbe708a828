"""The Airflow connection: what is read of it, and the sentence for each fault."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from include.nce.domain.errors import InputRefused
from include.nce.partner_center.connection import PartnerCenterConnection

TENANT = "3b33e682-00c3-41ee-9dd2-a548adf56438"


def airflow_connection(extra: Any = None, **changes: Any) -> Any:
    whole = {
        "host": None,
        "port": None,
        "schema": None,
        "login": "client-id",
        "password": "client-secret",
        "extra_dejson": {"tenant_id": TENANT, "refresh_token": "refresh"} if extra is None else extra,
    }
    return SimpleNamespace(**{**whole, **changes})


def faults(connection: Any) -> list[str]:
    with pytest.raises(InputRefused) as refused:
        PartnerCenterConnection.from_airflow(connection)
    return refused.value.faults


def test_an_address_left_out_is_microsofts() -> None:
    read = PartnerCenterConnection.from_airflow(airflow_connection())
    assert read.address == "https://api.partnercenter.microsoft.com"
    assert read.authority == "https://login.microsoftonline.com"
    assert read.rehearsal is False


def test_a_port_alone_changes_no_address() -> None:
    read = PartnerCenterConnection.from_airflow(airflow_connection(port=443))
    assert read.address == "https://api.partnercenter.microsoft.com"


@pytest.mark.parametrize(
    ("parts", "address"),
    [
        ({"host": "127.0.0.1", "port": 8765, "schema": "http"}, "http://127.0.0.1:8765"),
        ({"host": "http://localhost:8765/"}, "http://localhost:8765"),
        ({"host": "localhost", "schema": "https"}, "https://localhost"),
        ({"host": "http://127.0.0.1", "port": 8765}, "http://127.0.0.1:8765"),
    ],
)
def test_the_address_is_read_in_the_ways_airflow_writes_it(parts: dict[str, Any], address: str) -> None:
    extra = {"tenant_id": TENANT, "authority": "http://127.0.0.1:8765", "rehearsal": True}
    read = PartnerCenterConnection.from_airflow(airflow_connection(extra, **parts))
    assert read.address == address


def test_neither_secret_nor_refresh_token_is_in_its_text() -> None:
    read = PartnerCenterConnection.from_airflow(airflow_connection())
    for shown in (repr(read), str(read), f"{read}"):
        assert "client-secret" not in shown
        assert "'refresh'" not in shown


@pytest.mark.parametrize(
    ("connection", "sentence"),
    [
        (airflow_connection(login=None), "login is empty"),
        (airflow_connection(password=""), "password is empty"),
        (airflow_connection({}), "extra field 'tenant_id' is empty"),
        (airflow_connection({"tenant_id": 5}), "extra field 'tenant_id' is not a text"),
        (airflow_connection({"tenant_id": TENANT, "rehearsal": "yes"}), "neither true nor false"),
        (airflow_connection({"tenant_id": TENANT, "refreshtoken": "x"}), "'refreshtoken' is not known"),
        (airflow_connection(host="api.example.com", schema="http"), "not encrypted"),
        (airflow_connection(host="127.0.0.1", schema="http"), "not encrypted"),
        (
            airflow_connection({"tenant_id": TENANT, "authority": "http://login.example.com"}),
            "extra field 'authority' is 'http://login.example.com', which is not encrypted",
        ),
        (
            airflow_connection({"tenant_id": TENANT, "rehearsal": True}),
            "a rehearsal talks to a simulator on this machine only",
        ),
        (airflow_connection(host="api.example.com/v1"), "write scheme, host and port only"),
        (airflow_connection(host="https://me:secret@api.example.com"), "write scheme, host and port only"),
        (airflow_connection(host="https://api.example.com:port"), "write scheme, host and port only"),
    ],
)
def test_each_fault_is_one_sentence_with_its_remedy(connection: Any, sentence: str) -> None:
    found = [fault for fault in faults(connection) if sentence in fault]
    assert found
    assert all(fault.startswith("Connection 'partner_center': ") for fault in found)
    assert all(fault.endswith(".") for fault in found)


def test_all_faults_are_told_at_once() -> None:
    assert len(faults(airflow_connection({}, login=None, password=None))) == 3


def test_credentials_in_an_address_are_not_repeated() -> None:
    assert "secret" not in " ".join(faults(airflow_connection(host="https://me:secret@api.example.com")))


@pytest.mark.parametrize(
    "host",
    [
        "https://api.partnercenter.microsoft.com",
        "https://partner.partnercenterapi.microsoftonline.cn",
        "https://API.PartnerCenter.Microsoft.com",
    ],
)
def test_production_is_a_host_of_microsofts(host: str) -> None:
    assert PartnerCenterConnection.from_airflow(airflow_connection(host=host)).rehearsal is False


@pytest.mark.parametrize(
    "host",
    [
        "https://127.0.0.1:8765",
        "https://localhost",
        "https://api.example.com",
        "https://evilmicrosoft.com",
        "https://api.partnercenter.microsoft.com.evil.example",
        "https://microsoft.com@evil.example",
        "https://evil.example#.microsoft.com",
    ],
)
def test_without_rehearsal_no_secret_leaves_for_anybody_but_microsoft(host: str) -> None:
    """So a production campaign reaches no simulator either, not even one that speaks TLS."""
    assert [fault for fault in faults(airflow_connection(host=host)) if "host" in fault]
    authority = {"tenant_id": TENANT, "authority": host}
    assert [fault for fault in faults(airflow_connection(authority)) if "authority" in fault]


@pytest.mark.parametrize(
    "host",
    [
        "https://api.partnercenter.microsoft.com",
        "http://10.0.0.7:8765",
        "http://simulator:8765",
        "http://localhost.example:8765",
        "http://127.0.0.1.nip.io:8765",
        "http://127.1:8765",
        "http://0.0.0.0:8765",
        "http://[::]:8765",
        "http://[fe80::1]:8765",
        "http://127.0.0.1@evil.example:8765",
    ],
)
def test_a_rehearsal_is_on_this_machine_beyond_doubt(host: str) -> None:
    extra = {"tenant_id": TENANT, "authority": "http://127.0.0.1:8765", "rehearsal": True}
    assert faults(airflow_connection(extra, host=host))
    both = {"tenant_id": TENANT, "authority": host, "rehearsal": True}
    assert faults(airflow_connection(both, host="http://127.0.0.1:8765"))


def test_a_rehearsal_over_ipv6_is_on_this_machine_too() -> None:
    extra = {"tenant_id": TENANT, "authority": "http://[::1]:8765", "rehearsal": True}
    assert PartnerCenterConnection.from_airflow(airflow_connection(extra, host="http://[::1]:8765")).rehearsal
