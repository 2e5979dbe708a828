"""Two roles: one owns the tables, the other uses them. The second changes nothing that is on record.

Everything here is asked of PostgreSQL itself, as the application and, where it matters, with triggers off.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from include.nce.domain.command import CommandKind, CommandOutcome
from include.nce.domain.errors import InputRefused
from include.nce.ledger import migrate, roles
from include.nce.ledger.ledger import PostgresLedger
from include.nce.ledger.tables import CHANGING, HISTORY, PASSING, SCHEMA_REVISION, Table
from tests.integration.ledger.conftest import set_scene
from tests.integration.ledger.scene import AT, RUN, due, guid
from tests.support.database import Roles
from tests.support.scene import intend

TABLES = sorted(table.name for table in Table.metadata.tables.values())
GROWING = sorted(row.__tablename__ for row in HISTORY)
RIGHTS = """
    SELECT table_name, array_agg(privilege_type::text) FROM information_schema.role_table_grants
    WHERE grantee = %s GROUP BY table_name
"""


def connection_to(url: str) -> psycopg.Connection:
    address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(address, autocommit=True)


@pytest.fixture
def application(ledger_database: str) -> Iterator[psycopg.Connection]:
    with connection_to(ledger_database) as connection:
        yield connection


@pytest.fixture
def owner(ledger_owner_database: str) -> Iterator[psycopg.Connection]:
    with connection_to(ledger_owner_database) as connection:
        yield connection


@pytest.fixture
def shared_owner(shared_ledger_owner_database: str) -> Iterator[psycopg.Connection]:
    with connection_to(shared_ledger_owner_database) as connection:
        yield connection


@pytest.fixture
def shared_application(
    shared_ledger_owner_database: str, ledger_roles: Roles
) -> Iterator[psycopg.Connection]:
    with connection_to(ledger_roles.as_application(shared_ledger_owner_database)) as connection:
        yield connection


def uri(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgres://")


def test_every_table_is_of_exactly_one_kind():
    kinds = [row.__tablename__ for row in (*HISTORY, *CHANGING, *PASSING)]
    assert sorted(kinds) == TABLES, "say in tables.py whether it grows, changes or passes"


def test_a_table_that_nobody_said_anything_about_can_only_grow():
    assert roles.rights_of("made_tomorrow") == ("SELECT", "INSERT")


def test_the_application_has_the_declared_rights_and_no_others(shared_application, ledger_roles):
    found = dict(shared_application.execute(RIGHTS, [ledger_roles.application]).fetchall())
    expected = {table: sorted(roles.rights_of(table)) for table in TABLES} | {"alembic_version": ["SELECT"]}
    assert {table: sorted(rights) for table, rights in found.items()} == expected


def test_nobody_else_has_any_right(shared_application):
    others = shared_application.execute(
        "SELECT relname FROM pg_class, aclexplode(relacl) WHERE relnamespace = 'public'::regnamespace"
        " AND grantee = 0"
    ).fetchall()
    assert others == []


@pytest.mark.parametrize("table", GROWING)
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "UPDATE {} SET recorded_at = now()", "TRUNCATE {}"])
def test_history_refuses_the_application_also_with_its_triggers_off(
    shared_application, shared_owner, table, statement
):
    name = sql.Identifier(table)
    shared_owner.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(name))
    try:
        with pytest.raises(InsufficientPrivilege):
            shared_application.execute(sql.SQL(statement).format(name))
    finally:
        shared_owner.execute(sql.SQL("ALTER TABLE {} ENABLE TRIGGER USER").format(name))


@pytest.mark.parametrize("table", GROWING)
@pytest.mark.parametrize(
    "statement", ["DELETE FROM {}", "UPDATE {} SET recorded_at = now()", "TRUNCATE {} CASCADE"]
)
def test_history_refuses_its_owner_by_trigger(shared_owner, table, statement):
    with pytest.raises(psycopg.errors.RaiseException, match="only grows"):
        shared_owner.execute(sql.SQL(statement).format(sql.Identifier(table)))


@pytest.mark.parametrize("table", TABLES)
def test_no_table_can_be_emptied_by_the_application(shared_application, table):
    with pytest.raises(InsufficientPrivilege):
        shared_application.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(table)))


@pytest.mark.parametrize("table", [row.__tablename__ for row in CHANGING])
def test_what_changes_still_stays(shared_application, table):
    with pytest.raises(InsufficientPrivilege):
        shared_application.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))


@pytest.mark.parametrize(
    "statement",
    [
        "SET session_replication_role = replica",
        "SET ROLE {owner}",
        "ALTER TABLE command_events DISABLE TRIGGER ALL",
        "ALTER TABLE command_events OWNER TO CURRENT_USER",
        "ALTER TABLE command_events ADD COLUMN x int",
        "ALTER TABLE command_events ALTER COLUMN status DROP NOT NULL",
        "CREATE OR REPLACE RULE x AS ON INSERT TO command_events DO INSTEAD NOTHING",
        "CREATE TRIGGER x BEFORE INSERT ON command_events EXECUTE FUNCTION refuse_change()",
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'",
        "CREATE INDEX ON command_events (status)",
        "DROP TABLE command_events",
        "DROP TRIGGER only_grows ON command_events",
        "DROP FUNCTION refuse_change() CASCADE",
        "CREATE TABLE x (y int)",
        "CREATE TEMPORARY TABLE x (y int)",
        "CREATE VIEW x AS SELECT 1",
        "CREATE FUNCTION x() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TYPE x AS ENUM ('y')",
        "CREATE SCHEMA x",
        "DROP EXTENSION plpgsql CASCADE",
        "CREATE ROLE x",
        "CREATE DATABASE x",
        "UPDATE alembic_version SET version_num = '9999'",
        "COPY command_events TO PROGRAM 'true'",
        "SELECT setval('command_events_event_id_seq', 1)",
    ],
)
def test_the_application_makes_changes_and_takes_away_nothing(
    shared_application, shared_owner, ledger_roles, statement
):
    before = shape(shared_owner)
    with pytest.raises(InsufficientPrivilege):
        shared_application.execute(statement.format(owner=ledger_roles.owner))
    assert shape(shared_owner) == before


def test_the_application_cannot_give_itself_a_right(shared_application, shared_owner):
    before = shape(shared_owner)
    shared_application.execute("GRANT UPDATE ON command_events TO CURRENT_USER")  # PostgreSQL only warns
    assert shape(shared_owner) == before


def shape(connection: psycopg.Connection) -> list:
    """Everything there is in the database, with its rights."""
    return connection.execute(
        "SELECT relname::text, relowner, relacl::text, relhasrules, relhastriggers FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace"
        " UNION ALL SELECT tgname::text, tgrelid, tgenabled::text, false, false FROM pg_trigger"
        " UNION ALL SELECT proname::text, proowner, prosrc, false, false FROM pg_proc"
        " WHERE pronamespace = 'public'::regnamespace ORDER BY 1, 2, 3"
    ).fetchall()


async def test_a_commands_state_is_its_latest_event(ledger_database, application):
    async with PostgresLedger.open(ledger_database) as ledger:
        await set_scene(ledger)
        await ledger.record_verdicts(RUN, [due("a")], [[guid("a")]], at=AT)
        (conversion,) = await ledger.conversions(RUN)
        command = await intend(ledger, conversion.conversion_id, CommandKind.CREATE_MIGRATION, {}, at=AT)
        before = application.execute("SELECT * FROM commands").fetchall()
        await ledger.note_sending(command.command_id, at=AT)
        await ledger.note_answer(
            command.command_id,
            at=AT,
            outcome=CommandOutcome.ACCEPTED,
            status=201,
            code=None,
            correlation_id="c",
            body={},
        )
        assert await ledger.open_command(conversion.conversion_id, CommandKind.CREATE_MIGRATION) is None
    assert application.execute("SELECT * FROM commands").fetchall() == before
    latest = application.execute("SELECT event FROM command_events ORDER BY event_id DESC LIMIT 1").fetchone()
    assert latest == ("accepted",)


def test_a_right_given_by_hand_ends_with_the_next_migration(
    application, owner, ledger_owner_database, ledger_roles
):
    owner.execute(
        sql.SQL("GRANT ALL ON command_events TO {}").format(sql.Identifier(ledger_roles.application))
    )
    migrate.upgrade(ledger_owner_database, application=ledger_roles.application)
    with pytest.raises(InsufficientPrivilege):
        application.execute("TRUNCATE command_events")


def test_rights_go_down_and_up_with_the_tables(application, ledger_owner_database, ledger_roles):
    migrate.downgrade(ledger_owner_database, "0003", application=ledger_roles.application)
    application.execute("SELECT * FROM commands")
    migrate.upgrade(ledger_owner_database, application=ledger_roles.application)
    application.execute("SELECT * FROM subscription_history")


def test_what_was_surveyed_before_histories_were_kept_begins_them(
    ledger_owner_database, ledger_database, ledger_roles
):
    migrate.downgrade(ledger_owner_database, "0003", application=ledger_roles.application)
    with connection_to(ledger_database) as application:
        application.execute(
            "INSERT INTO partners (campaign, partner, name, tenant_id, country, language, enrolled_at)"
            " VALUES ('c', 'p', 'P', 't', 'IT', 'it', now());"
            "INSERT INTO runs (run_id, campaign, partner, mode, opening, opened_at)"
            " VALUES ('r', 'c', 'p', 'plan', 1, now());"
            "INSERT INTO subscriptions (campaign, partner, subscription_id, run_id, customer_id, offer_id,"
            " offer_name, kind, status, seats, term_end_at, auto_renew, is_trial, suspension_reasons,"
            " first_seen_at, surveyed_at) VALUES ('c', 'p', 's', 'r', 'k', 'o', 'O', 'legacy', 'active', 5,"
            " '2022-07-20 10:00+02', true, false, '{}', now(), '2022-06-01 08:00Z')"
        )
        migrate.upgrade(ledger_owner_database, application=ledger_roles.application)
        facts, at = application.execute("SELECT facts, at FROM subscription_history").fetchone()
    assert (facts["seats"], facts["term_end_at"], facts["suspension_reasons"]) == (
        5, "2022-07-20T08:00:00Z", [],
    )  # fmt: skip
    assert at.isoformat().startswith("2022-06-01")


def test_a_role_that_does_not_exist_is_told_with_the_statement_that_makes_it(ledger_owner_database):
    with pytest.raises(InputRefused, match=r'CREATE ROLE "nobody:here" LOGIN PASSWORD'):
        migrate.upgrade(ledger_owner_database, application="nobody:here")


def test_a_superuser_is_refused_as_the_application(ledger_owner_database, postgres_server):
    superuser = make_url(postgres_server).username
    with pytest.raises(InputRefused, match="is a superuser"):
        migrate.upgrade(ledger_owner_database, application=superuser)


def test_a_member_of_the_owner_is_refused_as_the_application(
    ledger_owner_database, postgres_server, ledger_roles
):
    with connection_to(postgres_server) as server:
        grant = sql.SQL("GRANT {} TO {}")
        names = sql.Identifier(ledger_roles.owner), sql.Identifier(ledger_roles.application)
        server.execute(grant.format(*names))
        try:
            with pytest.raises(InputRefused, match=f"member of '{ledger_roles.owner}'"):
                migrate.upgrade(ledger_owner_database, application=ledger_roles.application)
        finally:
            server.execute(sql.SQL("REVOKE {} FROM {}").format(*names))


def test_a_right_that_the_owner_cannot_take_back_is_told_with_the_statement_that_does(
    ledger_owner_database, ledger_roles, postgres_server
):
    database = make_url(ledger_owner_database).database
    with connection_to(make_url(postgres_server).set(database=database)) as server:
        server.execute(sql.SQL("ALTER DATABASE {} OWNER TO CURRENT_USER").format(sql.Identifier(database)))
        grant = sql.SQL("GRANT TEMPORARY ON DATABASE {} TO PUBLIC").format(sql.Identifier(database))
        server.execute(grant)
    with pytest.raises(InputRefused) as refused:
        migrate.upgrade(ledger_owner_database, application=ledger_roles.application)
    assert f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC" in str(refused.value)


def test_names_that_need_quotes_are_names(blank_ledger_database, postgres_server):
    name = 'the "Desk":x; DROP'
    with connection_to(postgres_server) as server:
        server.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
        try:
            migrate.upgrade(blank_ledger_database, application=name)
            with connection_to(blank_ledger_database) as owner:
                found = dict(owner.execute(RIGHTS, [name]).fetchall())
            assert sorted(found["command_events"]) == ["INSERT", "SELECT"]
        finally:
            with connection_to(
                make_url(postgres_server).set(database=database_of(blank_ledger_database))
            ) as db:
                db.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
            server.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


async def test_a_role_without_rights_is_told_how_it_gets_them(
    blank_ledger_database, ledger_roles: Roles, monkeypatch
):
    migrate.upgrade(blank_ledger_database)
    with pytest.raises(InputRefused, match=f"'{ledger_roles.application}' may not read the ledger"):
        async with PostgresLedger.open(ledger_roles.as_application(blank_ledger_database)):
            pass


def test_the_command_gives_the_products_role_its_rights(
    blank_ledger_database, ledger_roles: Roles, monkeypatch, capsys
):
    product = ledger_roles.as_application(blank_ledger_database)
    monkeypatch.setenv("AIRFLOW_CONN_NCE_LEDGER_OWNER", uri(blank_ledger_database))
    monkeypatch.setenv("AIRFLOW_CONN_NCE_LEDGER", uri(product))
    assert migrate.main(["upgrade"]) == 0
    assert capsys.readouterr() == (f"The ledger is at revision {SCHEMA_REVISION}.\n", "")
    with create_engine(product, poolclass=NullPool).connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM commands")) == 0


def test_without_an_owner_one_role_does_everything_and_that_is_told(
    blank_ledger_database, monkeypatch, capsys
):
    monkeypatch.delenv("AIRFLOW_CONN_NCE_LEDGER_OWNER", raising=False)
    monkeypatch.setenv("AIRFLOW_CONN_NCE_LEDGER", uri(blank_ledger_database))
    assert migrate.main(["upgrade"]) == 0
    said = capsys.readouterr().err
    assert "only triggers keep it from changing history" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("owner_variable", "sentence"),
    [
        ("postgres://o:pw-7@127.0.0.1:5432/elsewhere", "names database elsewhere"),
        ("postgres://o:pw-7@127.0.0.1:port/ledger", "AIRFLOW_CONN_NCE_LEDGER_OWNER is no URI"),
        ("mysql://o:pw-7@127.0.0.1/ledger", "AIRFLOW_CONN_NCE_LEDGER_OWNER: the type is 'mysql'"),
    ],
)
def test_a_faulty_owner_is_told_in_one_line(ledger_database, monkeypatch, capsys, owner_variable, sentence):
    monkeypatch.setenv("AIRFLOW_CONN_NCE_LEDGER", uri(ledger_database))
    monkeypatch.setenv("AIRFLOW_CONN_NCE_LEDGER_OWNER", owner_variable)
    assert migrate.main(["upgrade"]) == 1
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert "pw-7" not in said


def test_an_owner_that_owns_nothing_is_told_in_one_line(
    empty_database, ledger_roles: Roles, monkeypatch, capsys
):
    monkeypatch.setenv("AIRFLOW_CONN_NCE_LEDGER", uri(ledger_roles.as_application(empty_database)))
    monkeypatch.setenv("AIRFLOW_CONN_NCE_LEDGER_OWNER", uri(ledger_roles.as_owner(empty_database)))
    assert migrate.main(["upgrade"]) == 1
    said = capsys.readouterr().err
    assert "let it own the database and everything in it" in said
    assert said.count("\n") == 1


def database_of(url: str) -> str:
    return str(make_url(url).database)
