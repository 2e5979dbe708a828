"""Make, mark and drop databases on a PostgreSQL server.

Responsible for the server's version, for names, and for the mark that tells whose a database or a role is:
what does not bear our mark is never adopted and never dropped. Leaves running a server to
`scripts.stack.postgres` and the tables to Airflow and to the ledger's migrations.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from scripts.stack.errors import StackError

OLDEST_MAJOR_VERSION = 15
CONNECT_SECONDS = 10

Connection = psycopg.Connection[tuple[object, ...]]


def server_url(text: str) -> URL:
    """Read ``NCE_DATABASE_URL``; the driver is always psycopg, whatever the text says.

    Raises StackError when the text is no PostgreSQL address.
    """
    try:
        url = make_url(text)
    except ArgumentError:
        url = None
    if url is None or url.get_backend_name() not in {"postgresql", "postgres"}:
        raise StackError(
            "NCE_DATABASE_URL is no PostgreSQL address; write postgresql://user:password@host:5432/postgres."
        )
    return url.set(drivername="postgresql+psycopg", database=url.database or "postgres")


def connect(url: URL) -> Connection:
    """Open an autocommit connection to `url` within `CONNECT_SECONDS`."""
    try:
        return psycopg.connect(
            url.set(drivername="postgresql").render_as_string(hide_password=False),
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
        )
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[-1]
        raise StackError(
            f"PostgreSQL at {_address(url)} cannot be reached ({reason}); check NCE_DATABASE_URL."
        ) from error


def check_version(url: URL) -> None:
    """Raise StackError when the server at `url` is older than PostgreSQL `OLDEST_MAJOR_VERSION`."""
    with connect(url) as connection:
        major = connection.info.server_version // 10000
    if major < OLDEST_MAJOR_VERSION:
        raise StackError(
            f"PostgreSQL at {_address(url)} is version {major}; "
            f"this project needs {OLDEST_MAJOR_VERSION} or newer: name another server in NCE_DATABASE_URL."
        )


def ensure(server: URL, name: str, *, owner_mark: str) -> URL:
    """Make the database `name` unless it is there, and return its URL.

    Raises StackError when a database of that name bears another mark than `owner_mark`.
    """
    with connect(server) as connection:
        found = connection.execute(
            "select shobj_description(oid, 'pg_database') from pg_database where datname = %s", [name]
        ).fetchone()
        if found is None:
            create(connection, name)
            mark = sql.SQL("comment on database {} is {}")
            connection.execute(mark.format(sql.Identifier(name), sql.Literal(owner_mark)))
        elif found[0] != owner_mark:
            raise StackError(
                f"The database {name} at {server.host} belongs to another installation; "
                f"set NCE_DATABASE_PREFIX to a name of your own."
            )
    return server.set(database=name)


def create(connection: Connection, name: str, *, template: str = "template0") -> None:
    """Make the database `name` as a copy of `template`."""
    statement = sql.SQL("create database {} template {}")
    connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))


def may_make_roles(server: URL) -> bool:
    """Whether the account of `server` may make other roles there."""
    with connect(server) as connection:
        found = connection.execute(
            "select rolsuper or rolcreaterole from pg_roles where rolname = current_user"
        ).fetchone()
    return bool(found and found[0])


def ensure_role(connection: Connection, name: str, password: str, *, owner_mark: str) -> None:
    """Make the role `name` with `password`, or give the one that is there this password.

    Raises StackError when a role of that name bears another mark than `owner_mark`.
    """
    found = connection.execute(
        "select shobj_description(oid, 'pg_authid') from pg_roles where rolname = %s", [name]
    ).fetchone()
    if found is not None and found[0] != owner_mark:
        raise StackError(
            f"The role {name} at {connection.info.host} belongs to another installation; "
            "set NCE_DATABASE_PREFIX to a name of your own."
        )
    role = sql.Identifier(name)
    if found is None:
        connection.execute(sql.SQL("create role {}").format(role))
        connection.execute(sql.SQL("comment on role {} is {}").format(role, sql.Literal(owner_mark)))
    connection.execute(sql.SQL("alter role {} login password {}").format(role, sql.Literal(password)))


def give(server: URL, name: str, *, owner: str) -> None:
    """Let the role `owner` own the database `name` and everything of ours in it."""
    with connect(server) as connection:
        # Who is no superuser gives things away only as a member of the role that gets them.
        connection.execute(sql.SQL("grant {} to current_user").format(sql.Identifier(owner)))
        change = sql.SQL("alter database {} owner to {}")
        connection.execute(change.format(sql.Identifier(name), sql.Identifier(owner)))
    with connect(server.set(database=name)) as connection:
        for kind, query in _OWNED.items():
            for (thing,) in connection.execute(query, [owner]).fetchall():
                change = sql.SQL(f"alter {kind} {{}} owner to {{}}")
                connection.execute(change.format(sql.SQL(str(thing)), sql.Identifier(owner)))


_OWNED = {
    # A sequence that numbers a column goes with its table.
    "table": "select oid::regclass::text from pg_class where relnamespace = 'public'::regnamespace"
    " and relkind = 'r' and relowner <> %s::regrole",
    "function": "select oid::regprocedure::text from pg_proc where pronamespace = 'public'::regnamespace"
    " and proowner <> %s::regrole",
}


def relax_durability(server: URL, name: str) -> None:
    """Let commits in `name` return before the disk has them; a power cut may take the last second."""
    with connect(server) as connection:
        statement = sql.SQL("alter database {} set synchronous_commit = off")
        connection.execute(statement.format(sql.Identifier(name)))


def drop(connection: Connection, name: str) -> None:
    """Drop the database `name` with whoever is still connected to it."""
    connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def drop_ours(server: URL, names: Sequence[str], *, owner_mark: str) -> None:
    """Drop those of `names` that bear `owner_mark`."""
    with connect(server) as connection:
        rows = connection.execute(
            "select datname from pg_database"
            " where datname = any(%s) and shobj_description(oid, 'pg_database') = %s",
            [list(names), owner_mark],
        ).fetchall()
        for (name,) in rows:
            drop(connection, str(name))


def drop_our_roles(server: URL, names: Sequence[str], *, owner_mark: str) -> None:
    """Drop those roles of `names` that bear `owner_mark`; what they own has to be gone already."""
    with connect(server) as connection:
        rows = connection.execute(
            "select rolname from pg_roles"
            " where rolname = any(%s) and shobj_description(oid, 'pg_authid') = %s",
            [list(names), owner_mark],
        ).fetchall()
        for (name,) in rows:
            connection.execute(sql.SQL("drop role {}").format(sql.Identifier(str(name))))


def _address(url: URL) -> str:
    return f"{url.host or 'localhost'}:{url.port or 5432}"
