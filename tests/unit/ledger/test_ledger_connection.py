"""Where the ledger is: what people write into the connection, and what they are told when it is wrong."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from include.nce.domain.errors import InputRefused
from include.nce.ledger.connection import VARIABLE, aledger_url, from_airflow, ledger_url, with_driver

SECRET = "s3cret/@:"


def airflow_connection(**changes: Any) -> SimpleNamespace:
    fields = {
        "conn_type": "postgres",
        "host": "db.internal",
        "port": 5433,
        "login": "nce",
        "password": SECRET,
        "schema": "ledger",
        "extra": None,
        **changes,
    }
    return SimpleNamespace(**fields)


def test_a_uri_is_read_with_its_escapes():
    url = ledger_url(
        environ={VARIABLE: "postgres://nce:s3cret%2F%40%3A@db.internal:5433/ledger?sslmode=require"}
    )
    assert (url.drivername, url.host, url.port) == ("postgresql+psycopg", "db.internal", 5433)
    assert (url.username, url.password, url.database) == ("nce", SECRET, "ledger")
    assert dict(url.query) == {"sslmode": "require"}


def test_json_is_read_like_airflow_reads_it():
    document = {"conn_type": "postgres", "host": "db", "login": "nce", "password": SECRET, "schema": "ledger",
                "extra": {"sslmode": "require", "cursor": "dictcursor"}}  # fmt: skip
    url = ledger_url(environ={VARIABLE: json.dumps(document)})
    assert (url.host, url.password, dict(url.query)) == ("db", SECRET, {"sslmode": "require"})


def test_airflows_extra_may_travel_in_the_uri():
    extra = "%7B%22sslmode%22%3A%20%22verify-full%22%7D"
    url = ledger_url(environ={VARIABLE: f"postgres://nce@db/ledger?__extra__={extra}"})
    assert dict(url.query) == {"sslmode": "verify-full"}


def test_the_environment_goes_before_airflow():
    def never(connection_id: str) -> None:
        raise AssertionError("Airflow was asked")

    assert ledger_url(never, environ={VARIABLE: "postgres://nce@db/ledger"}).host == "db"


def test_airflow_is_asked_when_the_environment_says_nothing():
    asked = []

    def get_connection(connection_id: str) -> SimpleNamespace:
        asked.append(connection_id)
        return airflow_connection()

    url = ledger_url(get_connection, environ={})
    assert (asked, url.port, url.password) == (["nce_ledger"], 5433, SECRET)


async def test_a_triggerer_asks_airflow_asynchronously():
    async def get_connection(connection_id: str) -> SimpleNamespace:
        return airflow_connection(extra='{"connect_timeout": 5}')

    url = await aledger_url(get_connection, environ={})
    assert dict(url.query) == {"connect_timeout": "5"}


def test_nowhere_to_look_says_what_to_set():
    with pytest.raises(InputRefused, match=f"No ledger is named: set {VARIABLE}="):
        ledger_url(environ={})


def test_no_text_shows_the_password():
    url = from_airflow(airflow_connection())
    assert SECRET not in f"{url!r} {url.render_as_string()}"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("mysql://nce:pw-5@db/ledger", "the type is 'mysql'"),
        ("postgres://nce:pw-5@/ledger", "the host is missing"),
        ("postgres://nce:pw-5@db", "the database (schema) is missing"),
        ("postgres://nce:pw-5@db:port/ledger", "no URI with a numeric port"),
        ('{"conn_type": "postgres", "password": "pw-5",}', "is no JSON (column"),
        ('{"conn_type": "postgres", "host": "db", "schema": "l", "port": "x"}', "the port is no number"),
        ('{"conn_type": "postgres", "host": "db", "schema": "l", "extra": "{"}', "the extra is no JSON"),
    ],
)
def test_a_fault_is_one_sentence_without_the_password(text, sentence):
    with pytest.raises(InputRefused) as refused:
        ledger_url(environ={VARIABLE: text})
    (fault,) = refused.value.faults
    assert fault.startswith(VARIABLE)
    assert sentence in fault
    assert "pw-5" not in fault


def test_every_fault_of_a_connection_is_told():
    with pytest.raises(InputRefused) as refused:
        from_airflow(airflow_connection(host=None, schema=""))
    assert len(refused.value.faults) == 2


def test_any_postgresql_url_takes_the_one_driver():
    assert with_driver("postgresql://nce@db/ledger").drivername == "postgresql+psycopg"


@pytest.mark.parametrize("text", ["nonsense", "sqlite:///ledger.db"])
def test_a_url_of_no_postgresql_is_refused(text):
    with pytest.raises(InputRefused, match="postgres://user:password@host"):
        with_driver(text)
