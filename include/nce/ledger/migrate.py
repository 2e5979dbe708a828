"""Bring the ledger's tables to a revision: `python -m include.nce.ledger.migrate upgrade`.

Responsible for running alembic programmatically and once at a time: an advisory lock makes a second start
wait for the first. What a revision changes stands in `migrations/versions`, what the application may do with
the tables afterwards in `roles`.

AIRFLOW_CONN_NCE_LEDGER_OWNER names the role that owns the tables, AIRFLOW_CONN_NCE_LEDGER the one the product
uses, which gets its rights here. Without an owner the product's role does everything.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Connection, create_engine, pool, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from include.nce.domain.errors import InputRefused
from include.nce.ledger.connection import OWNER_VARIABLE, VARIABLE, ledger_url, owner_url, with_driver
from include.nce.ledger.locks import lock_key
from include.nce.ledger.roles import grant

WAIT_SECONDS = 120
"""How long a start waits for another one's migration."""


def upgrade(url: str | URL, revision: str = "head", *, application: str | None = None) -> None:
    """Apply the migrations up to `revision`; nothing happens when they are applied already.

    `url` is that of the tables' owner. The role `application` gets its rights in any case, also when there
    was nothing to apply. Raises InputRefused when it is no role to give rights to.
    """
    with _alone(url) as connection:
        command.upgrade(_config(connection), revision)
        _grant(connection, application)


def downgrade(url: str | URL, revision: str, *, application: str | None = None) -> None:
    """Take migrations back down to `revision` (`base`: all of them, with every row of the ledger)."""
    with _alone(url) as connection:
        command.downgrade(_config(connection), revision)
        _grant(connection, application)


def _grant(connection: Connection, application: str | None) -> None:
    if application is not None:
        grant(connection, application)
        connection.commit()


def current(url: str | URL) -> str | None:
    """The revision the database is at; None for a database without the ledger's tables."""
    with _connect(url) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


@contextlib.contextmanager
def _connect(url: str | URL) -> Iterator[Connection]:
    engine = create_engine(with_driver(url), poolclass=pool.NullPool, connect_args={"connect_timeout": 10})
    with engine.connect() as connection:
        yield connection


@contextlib.contextmanager
def _alone(url: str | URL) -> Iterator[Connection]:
    key = lock_key("migration")
    with _connect(url) as connection:
        connection.execute(text(f"SET lock_timeout = '{WAIT_SECONDS}s'"))
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})
        connection.commit()
        yield connection
        # The lock belongs to the session, which ends with this connection, also after an error.


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m include.nce.ledger.migrate", description=__doc__)
    parser.add_argument("action", choices=["upgrade", "downgrade", "current"])
    parser.add_argument("revision", nargs="?", help="default: head; a downgrade has to name one")
    wish = parser.parse_args(arguments)
    try:
        url, application = _roles(os.environ)
        if wish.action == "upgrade":
            upgrade(url, wish.revision or "head", application=application)
            if application is None:
                sys.stderr.write(_ONE_ROLE)
        elif wish.action == "downgrade":
            if wish.revision is None:
                raise InputRefused(["A downgrade names its revision, such as 0001, or base for all."])  # noqa: TRY301
            downgrade(url, wish.revision, application=application)
        sys.stdout.write(f"The ledger is at revision {current(url) or 'none'}.\n")
    except InputRefused as refused:
        return _fail(str(refused))
    except CommandError as error:
        return _fail(f"The ledger cannot be migrated: {error}")
    except OperationalError as error:
        return _fail(f"The ledger's database does not answer as expected: {_last_line(error)}")
    except ProgrammingError as error:
        if not isinstance(error.orig, InsufficientPrivilege):
            raise
        return _fail(
            f"The role '{url.username}' may not do that in database {url.database} ({_last_line(error)}); "
            "let it own the database and everything in it."
        )
    return 0


_ONE_ROLE = (
    f"No owner is named in {OWNER_VARIABLE}: the product's own role owns the tables, and only triggers keep "
    "it from changing history. See 'The two roles of the ledger' in docs/operations.md.\n"
)


def _roles(environ: Mapping[str, str]) -> tuple[URL, str | None]:
    """The URL to migrate with, and the role to give rights to; None when one role does everything."""
    product, owner = ledger_url(environ=environ), owner_url(environ)
    if owner is None or owner.username == product.username:
        return product, None
    if owner.database != product.database:
        raise InputRefused(
            [
                f"{OWNER_VARIABLE} names database {owner.database}, {VARIABLE} {product.database}; "
                "let both name the ledger's."
            ]
        )
    if product.username is None:
        raise InputRefused([f"{VARIABLE} names no login; name the role that the product uses."])
    return owner, product.username


def _last_line(error: DBAPIError) -> str:
    return (str(error.orig).strip() or type(error.orig).__name__).splitlines()[-1]


def _fail(sentence: str) -> int:
    sys.stderr.write(sentence + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
