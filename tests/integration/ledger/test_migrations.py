"""Alembic's checks: one head, upgrade, model and tables agree, down and up again; and no two at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import NullPool

from include.nce.domain.errors import InputRefused
from include.nce.ledger import migrate
from include.nce.ledger.ledger import PostgresLedger
from include.nce.ledger.tables import SCHEMA_REVISION, Table

CONSTRAINTS = """
    SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version'
"""
INDEXES = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'"


def connected(url: str) -> Connection:
    return create_engine(url, poolclass=NullPool).connect()


def constraints_and_indexes(url: str) -> set[str]:
    with connected(url) as connection:
        return {*connection.scalars(text(CONSTRAINTS)), *connection.scalars(text(INDEXES))}


def test_there_is_one_head_and_the_code_asks_for_it():
    assert ScriptDirectory.from_config(migrate._config()).get_heads() == [SCHEMA_REVISION]


def test_an_upgrade_brings_an_empty_database_to_the_head(empty_database):
    assert migrate.current(empty_database) is None
    migrate.upgrade(empty_database)
    assert migrate.current(empty_database) == SCHEMA_REVISION


def test_an_upgrade_twice_changes_nothing(ledger_owner_database):
    migrate.upgrade(ledger_owner_database)
    assert migrate.current(ledger_owner_database) == SCHEMA_REVISION


def test_the_model_has_the_columns_of_the_migrations(ledger_owner_database):
    with connected(ledger_owner_database) as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Table.metadata) == []


def test_the_model_has_the_constraints_and_indexes_of_the_migrations(ledger_owner_database, empty_database):
    with connected(empty_database) as connection, connection.begin():
        Table.metadata.create_all(connection)
    ours, theirs = constraints_and_indexes(empty_database), constraints_and_indexes(ledger_owner_database)
    assert ours ^ theirs == set()


def test_down_leaves_nothing_and_up_again_works(ledger_owner_database):
    migrate.downgrade(ledger_owner_database, "base")
    with connected(ledger_owner_database) as connection:
        left = inspect(connection).get_table_names()
        functions = connection.scalar(
            text("SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace")
        )
    migrate.upgrade(ledger_owner_database)
    assert (left, functions, migrate.current(ledger_owner_database)) == (
        ["alembic_version"],
        0,
        SCHEMA_REVISION,
    )


def test_two_starts_at_once_migrate_once(empty_database):
    with ThreadPoolExecutor(2) as starts:
        for start in [starts.submit(migrate.upgrade, empty_database) for _ in range(2)]:
            start.result(timeout=60)
    assert migrate.current(empty_database) == SCHEMA_REVISION


def test_an_id_in_upper_case_cannot_slip_past_the_uniqueness_of_conversions(ledger_owner_database):
    with (
        connected(ledger_owner_database) as connection,
        pytest.raises(IntegrityError, match="ids_are_lower_case"),
    ):
        connection.execute(
            text(
                "INSERT INTO conversions (campaign, partner, customer_id, legacy_id, base_id, route, state,"
                " offer_id, state_since_at, created_at)"
                " VALUES ('c', 'p', 'ABC', 'd', 'd', 'migrate', 'planned', 'o', now(), now())"
            )
        )


async def test_a_ledger_without_tables_says_how_to_make_them(empty_database):
    with pytest.raises(InputRefused, match=r"python -m include\.nce\.ledger\.migrate upgrade"):
        async with PostgresLedger.open(empty_database):
            pass


def uri(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgres://")


def test_the_command_upgrades_what_the_connection_names(empty_database, monkeypatch, capsys):
    monkeypatch.setenv("AIRFLOW_CONN_NCE_LEDGER", uri(empty_database))
    assert migrate.main(["upgrade"]) == 0
    assert capsys.readouterr().out == f"The ledger is at revision {SCHEMA_REVISION}.\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["downgrade"], "A downgrade names its revision"),
        (["upgrade", "9999"], "The ledger cannot be migrated"),
    ],
)
def test_a_faulty_command_is_told_in_one_line(empty_database, monkeypatch, capsys, arguments, sentence):
    monkeypatch.setenv("AIRFLOW_CONN_NCE_LEDGER", uri(empty_database))
    assert migrate.main(arguments) == 1
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_a_database_that_does_not_answer_is_told_in_one_line(monkeypatch, capsys):
    monkeypatch.setenv("AIRFLOW_CONN_NCE_LEDGER", "postgres://nce:pw-5@127.0.0.1:1/ledger")
    assert migrate.main(["current"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "pw-5" not in said
