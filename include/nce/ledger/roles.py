"""The two roles of the ledger's database: who owns the tables, and what the product may do with them.

Responsible for the application's rights, made anew from `tables` at each migration, so that no table is left
out and none keeps a right that was taken back: history is read and added to, and by its role alone the
application can neither change nor delete a line of it. The triggers of the migrations refuse the same, to the
owner too. Making the roles belongs to whoever sets up the database (docs/operations.md).
"""

from __future__ import annotations

from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql.base import PGDialect

from include.nce.domain.errors import InputRefused
from include.nce.ledger.tables import CHANGING, PASSING, Table

GROWING_RIGHTS = ("SELECT", "INSERT")
"""What everything else in `tables` gets: also a table that somebody forgot to say anything about."""
CHANGING_RIGHTS = (*GROWING_RIGHTS, "UPDATE")
PASSING_RIGHTS = (*CHANGING_RIGHTS, "DELETE")

_REVISION_TABLE = "alembic_version"


def rights_of(table: str) -> tuple[str, ...]:
    """What the application may do with a table of ours."""
    if table in {row.__tablename__ for row in PASSING}:
        return PASSING_RIGHTS
    if table in {row.__tablename__ for row in CHANGING}:
        return CHANGING_RIGHTS
    return GROWING_RIGHTS


def grant(connection: Connection, application: str) -> None:
    """Give the role `application` its rights in this database, and no others; the caller commits.

    Run it as the owner of the tables. Raises InputRefused when the role does not exist, or can do more than
    it should and this connection cannot take that from it.
    """
    _refuse_unfit(connection, application)
    role, database = _quoted(application), _quoted(str(connection.scalar(text("SELECT current_database()"))))
    for statement in (
        f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC, {role}",
        f"GRANT CONNECT ON DATABASE {database} TO {role}",
        f"REVOKE CREATE ON SCHEMA public FROM PUBLIC, {role}",
        f"GRANT USAGE ON SCHEMA public TO {role}",
        f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC, {role}",
        f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM PUBLIC, {role}",
    ):
        _run(connection, statement)
    ours = {table.name for table in Table.metadata.tables.values()}
    there = set(connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")))
    for table in sorted(ours & there):
        _run(connection, f"GRANT {', '.join(rights_of(table))} ON TABLE {_quoted(table)} TO {role}")
    if _REVISION_TABLE in there:
        _run(connection, f"GRANT SELECT ON TABLE {_REVISION_TABLE} TO {role}")
    _refuse_too_mighty(connection, application)


def _refuse_unfit(connection: Connection, application: str) -> None:
    found = connection.execute(
        text(
            "SELECT rolsuper, pg_has_role(oid, current_user, 'MEMBER'), current_user"
            " FROM pg_roles WHERE rolname = :role"
        ),
        {"role": application},
    ).one_or_none()
    if found is None:
        raise InputRefused(
            [
                f"The application's role '{application}' does not exist on this server; make it with "
                f"CREATE ROLE {_quoted(application)} LOGIN PASSWORD '...' and migrate again."
            ]
        )
    superuser, owns, owner = found
    if superuser or owns:
        why = "is a superuser" if superuser else f"is a member of '{owner}', which owns the tables"
        raise InputRefused(
            [
                f"The application's role '{application}' {why}, so nothing could be kept from it; name a "
                "role without rights of its own in connection nce_ledger."
            ]
        )


def _refuse_too_mighty(connection: Connection, application: str) -> None:
    """What was not ours to revoke is told with the statement that revokes it."""
    creates, makes_schemas, temporary, database = connection.execute(
        text(
            "SELECT has_schema_privilege(:role, 'public', 'CREATE'),"
            " has_database_privilege(:role, current_database(), 'CREATE'),"
            " has_database_privilege(:role, current_database(), 'TEMPORARY'), current_database()"
        ),
        {"role": application},
    ).one()
    name, role = _quoted(database), _quoted(application)
    remedies = {
        f"REVOKE CREATE ON SCHEMA public FROM PUBLIC, {role}": creates,
        f"REVOKE CREATE ON DATABASE {name} FROM PUBLIC, {role}": makes_schemas,
        f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC, {role}": temporary,
    }
    faults = [
        f"The application's role '{application}' may make things in database {database}; let the database's "
        f"owner run {statement} and migrate again."
        for statement, may in remedies.items()
        if may
    ]
    if faults:
        raise InputRefused(faults)


def _quoted(name: str) -> str:
    return PGDialect().identifier_preparer.quote(name)  # type: ignore[no-untyped-call]


def _run(connection: Connection, statement: str) -> None:
    """A statement without parameters, also where a role's name holds a colon."""
    connection.execute(text(statement.replace(":", r"\:")))
