"""Bring the ledger's tables to a revision: `python -m include.nce.ledger.migrate upgrade`.

Responsible for running alembic programmatically and once at a time: an advisory lock makes a second start
wait for the first. What a revision changes stands in `migrations/versions`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine, pool, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, OperationalError

from include.nce.domain.errors import InputRefused
from include.nce.ledger.connection import ledger_url, with_driver
from include.nce.ledger.locks import lock_key

WAIT_SECONDS = 120
"""How long a start waits for another one's migration."""


def upgrade(url: str | URL, revision: str = "head") -> None:
    """Apply the migrations up to `revision`; nothing happens when they are applied already."""
    with _alone(url) as connection:
        command.upgrade(_config(connection), revision)


def downgrade(url: str | URL, revision: str) -> None:
    """Take migrations back down to `revision` (`base`: all of them, with every row of the ledger)."""
    with _alone(url) as connection:
        command.downgrade(_config(connection), revision)


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
        url = ledger_url(environ=os.environ)
        if wish.action == "upgrade":
            upgrade(url, wish.revision or "head")
        elif wish.action == "downgrade":
            if wish.revision is None:
                raise InputRefused(["A downgrade names its revision, such as 0001, or base for all."])  # noqa: TRY301
            downgrade(url, wish.revision)
        sys.stdout.write(f"The ledger is at revision {current(url) or 'none'}.\n")
    except InputRefused as refused:
        return _fail(str(refused))
    except CommandError as error:
        return _fail(f"The ledger cannot be migrated: {error}")
    except OperationalError as error:
        return _fail(f"The ledger's database does not answer as expected: {_last_line(error)}")
    return 0


def _last_line(error: DBAPIError) -> str:
    return (str(error.orig).strip() or type(error.orig).__name__).splitlines()[-1]


def _fail(sentence: str) -> int:
    sys.stderr.write(sentence + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
