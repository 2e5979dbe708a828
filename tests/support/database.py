"""Databases for tests: one server a session, one fresh database a test.

``NCE_DATABASE_URL`` names the server when it is set; otherwise the embedded PostgreSQL is started for the
session and deleted afterwards. URLs have the form
``postgresql+psycopg://user:password@host:port/database``.

A ledger has two roles, as in production: tests use it as the product does, by the application's role, and
take ``ledger_owner_database`` for what only the owner of the tables may do.
"""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from psycopg import sql
from sqlalchemy.engine import URL, make_url

from scripts.stack import databases
from scripts.stack.postgres import EmbeddedPostgres
from tests.support.folders import server_folder

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
    folder = server_folder("nce-tests-")
    settings = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "256MB"}
    postgres = EmbeddedPostgres(folder / "postgres", settings=settings)
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


@dataclass(frozen=True)
class Roles:
    """The owner of the ledgers of this session, and the role that uses them."""

    owner: str
    application: str
    password: str

    def as_owner(self, url: str) -> str:
        return self._as(self.owner, url)

    def as_application(self, url: str) -> str:
        return self._as(self.application, url)

    def _as(self, role: str, url: str) -> str:
        return make_url(url).set(username=role, password=self.password).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def ledger_roles(postgres_server: str) -> Iterator[Roles]:
    """Two roles of this session's own, dropped after it."""
    server, mark = make_url(postgres_server), f"nce tests {os.getpid()}"
    roles = Roles(_name("owner"), _name("application"), secrets.token_urlsafe(12))
    with databases.connect(server) as connection:
        for role in (roles.owner, roles.application):
            databases.ensure_role(connection, role, roles.password, owner_mark=mark)
    yield roles
    databases.drop_our_roles(server, [roles.owner, roles.application], owner_mark=mark)


@pytest.fixture
def blank_ledger_database(empty_database: str, ledger_roles: Roles) -> str:
    """URL of a database without any table, for the role that owns it."""
    url = make_url(empty_database)
    databases.give(url, str(url.database), owner=ledger_roles.owner)
    return ledger_roles.as_owner(empty_database)


@pytest.fixture(scope="session")
def _migrated_template(postgres_server: str, ledger_roles: Roles) -> Iterator[str]:
    """Name of a database with the ledger's migrations applied, to be copied."""
    # Imported here, so that tests without a ledger do not pay for it.
    from include.nce.ledger.migrate import upgrade

    name, server = _name("template"), make_url(postgres_server)
    for url in _database(server, name, template="template0"):
        databases.give(server, name, owner=ledger_roles.owner)
        upgrade(ledger_roles.as_owner(url), application=ledger_roles.application)
        yield name


@pytest.fixture
def ledger_owner_database(
    postgres_server: str, _migrated_template: str, ledger_roles: Roles
) -> Iterator[str]:
    """URL of a database with the ledger's tables and no rows, for their owner; dropped after the test."""
    yield from _ledger(make_url(postgres_server), _migrated_template, ledger_roles)


@pytest.fixture(scope="module")
def shared_ledger_owner_database(
    postgres_server: str, _migrated_template: str, ledger_roles: Roles
) -> Iterator[str]:
    """The same for all tests of a module: for what is refused, and so leaves no trace."""
    yield from _ledger(make_url(postgres_server), _migrated_template, ledger_roles)


def _ledger(server: URL, template: str, roles: Roles) -> Iterator[str]:
    for url in _database(server, _name("ledger"), template=template):
        databases.give(server, str(make_url(url).database), owner=roles.owner)
        _take_from_everybody(roles.as_owner(url))
        yield roles.as_owner(url)


@pytest.fixture
def ledger_database(ledger_owner_database: str, ledger_roles: Roles) -> str:
    """URL of a database with the ledger's tables and no rows, for the application's role."""
    return ledger_roles.as_application(ledger_owner_database)


def _take_from_everybody(url: str) -> None:
    """What a copy of a database does not copy: that nobody may make temporary tables there."""
    name = str(make_url(url).database)
    with databases.connect(make_url(url)) as connection:
        connection.execute(
            sql.SQL("revoke temporary on database {} from public").format(sql.Identifier(name))
        )


def _database(server: URL, name: str, *, template: str) -> Iterator[str]:
    with databases.connect(server) as connection:
        databases.create(connection, name, template=template)
        try:
            yield server.set(database=name).render_as_string(hide_password=False)
        finally:
            databases.drop(connection, name)
