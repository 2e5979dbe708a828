"""Where the ledger's database is: Airflow's connection `nce_ledger`, turned into an SQLAlchemy URL.

Responsible for reading `AIRFLOW_CONN_NCE_LEDGER` (Airflow's own convention, a URI or JSON) and for saying in
one sentence what is wrong with it; likewise for `AIRFLOW_CONN_NCE_LEDGER_OWNER`, which only the migration
knows. Leaves asking Airflow's secrets backends to whoever runs inside Airflow:
they hand in `BaseHook.get_connection` or `BaseHook.aget_connection`, so that this package works without.

No password leaves here in a text: SQLAlchemy's URL masks it in `repr`, and the sentences never quote one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from include.nce.domain.errors import InputRefused

CONNECTION_ID = "nce_ledger"
VARIABLE = "AIRFLOW_CONN_NCE_LEDGER"
OWNER_VARIABLE = "AIRFLOW_CONN_NCE_LEDGER_OWNER"
DRIVER = "postgresql+psycopg"

_EXAMPLE = "postgres://user:password@host:5432/database"
_TYPES = ("postgres", "postgresql")
_LIBPQ_EXTRAS = (
    "channel_binding",
    "connect_timeout",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "options",
    "sslcert",
    "sslcrl",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "target_session_attrs",
    "tcp_user_timeout",
)


class AirflowConnection(Protocol):
    """What is read of Airflow's connection object."""

    conn_type: str | None
    host: str | None
    port: int | None
    login: str | None
    password: str | None
    schema: str | None
    extra: str | None


def ledger_url(
    get_connection: Callable[[str], Any] | None = None, *, environ: Mapping[str, str] = os.environ
) -> URL:
    """The ledger's URL: from the environment, else from `get_connection("nce_ledger")`.

    Raises InputRefused when neither names a PostgreSQL database.
    """
    url = _from_environment(environ)
    if url is not None:
        return url
    if get_connection is None:
        raise _nowhere()
    return from_airflow(get_connection(CONNECTION_ID))


def owner_url(environ: Mapping[str, str] = os.environ) -> URL | None:
    """The same database as the role that owns its tables; None when no such role is named.

    Raises InputRefused when what is named is no PostgreSQL database.
    """
    return _from_environment(environ, OWNER_VARIABLE)


async def aledger_url(
    get_connection: Callable[[str], Awaitable[Any]] | None = None, *, environ: Mapping[str, str] = os.environ
) -> URL:
    """`ledger_url` for a triggerer, where asking Airflow is asynchronous."""
    url = _from_environment(environ)
    if url is not None:
        return url
    if get_connection is None:
        raise _nowhere()
    return from_airflow(await get_connection(CONNECTION_ID))


def from_airflow(connection: AirflowConnection) -> URL:
    """An Airflow connection's fields as URL; raises InputRefused when they name no PostgreSQL database."""
    return _url(
        f"Airflow's connection {CONNECTION_ID}",
        conn_type=connection.conn_type,
        host=connection.host,
        port=connection.port,
        login=connection.login,
        password=connection.password,
        schema=connection.schema,
        extra=connection.extra,
    )


def with_driver(url: str | URL) -> URL:
    """Any PostgreSQL URL with the one driver used here, for sync and async alike."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise InputRefused([f"The ledger's address is no URL; write {_EXAMPLE}."]) from None
    if parsed.get_backend_name() not in _TYPES:
        raise InputRefused(
            [f"The ledger's address is of type '{parsed.get_backend_name()}'; write {_EXAMPLE}."]
        )
    # Of two hosts the driver would take the standby when the primary is merely full.
    return parsed.set(drivername=DRIVER).update_query_dict({"target_session_attrs": "read-write"})


def _nowhere() -> InputRefused:
    return InputRefused([f"No ledger is named: set {VARIABLE}={_EXAMPLE}."])


def _from_environment(environ: Mapping[str, str], variable: str = VARIABLE) -> URL | None:
    text = environ.get(variable, "").strip()
    if not text:
        return None
    fields = _json_fields(variable, text) if text.startswith("{") else _uri_fields(variable, text)
    return _url(variable, **fields)


def _json_fields(variable: str, text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputRefused(
            [f"{variable} is no JSON (column {error.colno}); correct it or write {_EXAMPLE}."]
        ) from None
    known = ("conn_type", "host", "port", "login", "password", "schema", "extra")
    return {name: document.get(name) for name in known}


def _uri_fields(variable: str, text: str) -> dict[str, Any]:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise InputRefused([f"{variable} is no URI with a numeric port; write {_EXAMPLE}."]) from None
    query = dict(parse_qsl(parts.query))
    return {
        "conn_type": parts.scheme,
        "host": unquote(parts.hostname or ""),
        "port": port,
        "login": None if parts.username is None else unquote(parts.username),
        "password": None if parts.password is None else unquote(parts.password),
        "schema": unquote(parts.path.lstrip("/")),
        "extra": query.get("__extra__", query),
    }


def _url(
    where: str, *, conn_type: Any, host: Any, port: Any, login: Any, password: Any, schema: Any, extra: Any
) -> URL:
    faults = []
    kind = str(conn_type or "").partition("+")[0]
    if kind not in _TYPES:
        faults.append(f"{where}: the type is '{kind}'; write 'postgres'.")
    if not host:
        faults.append(f"{where}: the host is missing; write {_EXAMPLE}.")
    if not schema:
        faults.append(f"{where}: the database (schema) is missing; write {_EXAMPLE}.")
    try:
        number = int(port) if port else None
    except (TypeError, ValueError):
        number = None
        faults.append(f"{where}: the port is no number; write {_EXAMPLE}.")
    if faults:
        raise InputRefused(faults)
    return URL.create(
        DRIVER,
        username=login or None,
        password=password or None,
        host=str(host),
        port=number,
        database=str(schema),
        query=_libpq_options(where, extra),
    )


def _libpq_options(where: str, extra: Any) -> dict[str, str]:
    if isinstance(extra, str) and extra.strip():
        try:
            extra = json.loads(extra)
        except json.JSONDecodeError:
            raise InputRefused([f"{where}: the extra is no JSON; correct or empty it."]) from None
    if not isinstance(extra, Mapping):
        return {}
    return {name: str(extra[name]) for name in _LIBPQ_EXTRAS if extra.get(name) not in (None, "")}
