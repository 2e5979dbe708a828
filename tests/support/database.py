"""Databases for tests: one server a session, one fresh database a test.

``NCE_DATABASE_URL`` names the server when it is set; otherwise the embedded PostgreSQL is started for the
session and deleted afterwards. URLs have the form
``postgresql+psycopg://user:password@host:port/database``.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import URL, make_url

from scripts.stack import databases
from scripts.stack.postgres import EmbeddedPostgres

_numbers = itertools.count(1)


def _name(kind: str) -> str:
    return f"nce_test_{os.getpid()}_{kind}_{next(_numbers)}"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a PostgreSQL server on which tests may make databases."""
    named = os.environ.get("NCE_DATABASE_URL")
    if named:
        server = databases.server_url(named)
        databases.check_version(server)
        yield server.render_as_string(hide_password=False)
        return
    # Not pytest's own temporary folder: it is closed to the account under which root runs PostgreSQL.
    folder = Path(tempfile.mkdtemp(prefix="nce-tests-"))
    folder.chmod(0o711)
    postgres = EmbeddedPostgres(folder / "postgres", settings={"fsync": "off", "full_page_writes": "off"})
    try:
        postgres.start()
        yield postgres.url()
    finally:
        postgres.delete()
        shutil.rmtree(folder)


@pytest.fixture
def empty_database(postgres_server: str) -> Iterator[str]:
    """URL of a database without any table, dropped after the test."""
    yield from _database(make_url(postgres_server), _name("empty"), template="template0")


@pytest.fixture(scope="session")
def _migrated_template(postgres_server: str) -> Iterator[str]:
    """Name of a database with the ledger's migrations applied, to be copied."""
    # Imported here, so that tests without a ledger do not pay for it.
    from include.nce.ledger.migrate import upgrade

    name = _name("template")
    for url in _database(make_url(postgres_server), name, template="template0"):
        upgrade(url)
        yield name


@pytest.fixture
def ledger_database(postgres_server: str, _migrated_template: str) -> Iterator[str]:
    """URL of a database with the ledger's tables and no rows, dropped after the test."""
    yield from _database(make_url(postgres_server), _name("ledger"), template=_migrated_template)


def _database(server: URL, name: str, *, template: str) -> Iterator[str]:
    with databases.connect(server) as connection:
        databases.create(connection, name, template=template)
        try:
            yield server.set(database=name).render_as_string(hide_password=False)
        finally:
            databases.drop(connection, name)
