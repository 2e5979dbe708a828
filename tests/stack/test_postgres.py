"""The embedded server, and the databases on whichever server."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy.engine import URL, make_url

from include.nce.ledger.migrate import upgrade
from scripts.stack import databases
from scripts.stack.errors import StackError
from scripts.stack.postgres import EmbeddedPostgres

QUICK = {"fsync": "off"}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose parents everybody may walk through, as those of a usual checkout."""
    path = Path(tempfile.mkdtemp(prefix="nce-postgres-test-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def postgres(folder: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(folder / "postgres", settings=QUICK)
    yield server
    server.delete()


def _one(url: str, query: str) -> object:
    with databases.connect(make_url(url)) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row and row[0]


def _make(url: str, table: str) -> None:
    with databases.connect(make_url(url)) as connection:
        connection.execute(f"create table {table} as select 42 as answer".encode())


def _modes(path: Path) -> dict[Path, int]:
    return {parent: stat.S_IMODE(parent.stat().st_mode) for parent in path.parents}


def test_a_killed_server_comes_back_with_what_was_committed(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    _make(postgres.url(), "kept")
    pid = postgres.pid
    assert pid is not None
    psutil.Process(pid).kill()
    while postgres.pid is not None:
        time.sleep(0.02)

    postgres.start()

    assert _one(postgres.url(), "select answer from kept") == 42


def test_a_pid_file_whose_number_belongs_to_somebody_else_does_not_stop_the_start(
    postgres: EmbeddedPostgres,
) -> None:
    postgres.start()
    data = Path(str(_one(postgres.url(), "show data_directory")))
    postgres.stop()
    (data / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n0\n5432\n\n127.0.0.1\n\nready\n")

    postgres.start()

    assert postgres.pid not in (None, os.getpid())


def test_an_interrupted_making_of_the_cluster_is_begun_again(
    postgres: EmbeddedPostgres, folder: Path
) -> None:
    postgres.start()
    data = Path(str(_one(postgres.url(), "show data_directory")))
    postgres.stop()
    data.rename(data.with_name("data.new"))
    (data.with_name("data.new") / "PG_VERSION").unlink()

    postgres.start()

    assert _one(postgres.url(), "select 1") == 1


def test_the_server_listens_on_this_machine_only_and_asks_for_its_password(
    postgres: EmbeddedPostgres,
) -> None:
    postgres.start()
    assert _one(postgres.url(), "show listen_addresses") == "127.0.0.1"
    assert _one(postgres.url(), "show unix_socket_directories") == ""
    with pytest.raises(StackError, match="password authentication failed"):
        databases.connect(make_url(postgres.url()).set(password="guess"))


def test_the_cluster_is_closed_and_nothing_above_it_is_opened(
    postgres: EmbeddedPostgres, folder: Path
) -> None:
    before = _modes(folder / "postgres")
    postgres.start()
    data = Path(str(_one(postgres.url(), "show data_directory")))
    assert _modes(folder / "postgres") == before
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "postgres" / "server.json").stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server under another account")
def test_root_places_the_cluster_elsewhere_when_the_checkout_is_closed(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    server = EmbeddedPostgres(closed / "postgres", settings=QUICK)
    try:
        server.start()
        data = Path(str(_one(server.url(), "show data_directory")))
        assert Path("/var/tmp") in data.parents
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        home = data.parents[1]
    finally:
        server.delete()
    assert not home.exists()


def test_a_fresh_database_has_no_tables(empty_database: str) -> None:
    assert _one(empty_database, "select count(*) from pg_tables where schemaname = 'public'") == 0


@pytest.fixture
def server(postgres_server: str) -> URL:
    return make_url(postgres_server)


@pytest.fixture
def names(server: URL) -> Iterator[list[str]]:
    """Names for databases of this test, dropped afterwards."""
    names = [f"nce_test_{os.getpid()}_{kind}" for kind in ("ours", "theirs")]
    yield names
    with databases.connect(server) as connection:
        for name in names:
            databases.drop(connection, name)


def test_a_database_is_made_once_and_found_again(server: URL, names: list[str]) -> None:
    url = databases.ensure(server, names[0], owner_mark="us")
    _make(url.render_as_string(hide_password=False), "kept")

    again = databases.ensure(server, names[0], owner_mark="us")

    assert _one(again.render_as_string(hide_password=False), "select count(*) from kept") == 1


def test_a_database_of_another_installation_is_not_adopted(server: URL, names: list[str]) -> None:
    databases.ensure(server, names[1], owner_mark="them")
    with pytest.raises(StackError, match="NCE_DATABASE_PREFIX"):
        databases.ensure(server, names[1], owner_mark="us")


def test_a_reset_drops_our_databases_and_nobody_elses(server: URL, names: list[str]) -> None:
    databases.ensure(server, names[0], owner_mark="us")
    databases.ensure(server, names[1], owner_mark="them")

    databases.drop_ours(server, names, owner_mark="us")

    with databases.connect(server) as connection:
        left = connection.execute(
            "select datname from pg_database where datname = any(%s)", [names]
        ).fetchall()
    assert left == [(names[1],)]


@pytest.fixture
def role(server: URL, names: list[str]) -> Iterator[str]:
    """Name for a role of this test, dropped before the databases that it may own."""
    role = f"nce_test_{os.getpid()}_role"
    yield role
    with databases.connect(server) as connection:
        for name in names:
            databases.drop(connection, name)
    databases.drop_our_roles(server, [role], owner_mark="us")


def _as(role: str, url: URL, password: str) -> str:
    return url.set(username=role, password=password).render_as_string(hide_password=False)


def test_a_role_is_made_once_and_takes_the_password_of_today(
    postgres: EmbeddedPostgres,
) -> None:
    postgres.start()
    server = make_url(postgres.url())
    with databases.connect(server) as connection:
        for password in ("first", "second"):
            databases.ensure_role(connection, "desk", password, owner_mark="us")
    assert _one(_as("desk", server, "second"), "select current_user::text") == "desk"
    with pytest.raises(StackError, match="cannot be reached"):
        _one(_as("desk", server, "first"), "select 1")


def test_a_role_of_another_installation_is_not_adopted(server: URL, role: str) -> None:
    with databases.connect(server) as connection:
        databases.ensure_role(connection, role, "x", owner_mark="us")
        with pytest.raises(StackError, match="NCE_DATABASE_PREFIX"):
            databases.ensure_role(connection, role, "x", owner_mark="them")
    databases.drop_our_roles(server, [role], owner_mark="them")
    assert _one(
        server.render_as_string(hide_password=False),
        f"select count(*) from pg_roles where rolname = '{role}'",
    )


def test_a_database_and_what_was_made_in_it_get_a_new_owner(server: URL, names: list[str], role: str) -> None:
    url = databases.ensure(server, names[0], owner_mark="us")
    _make(url.render_as_string(hide_password=False), "older")
    with databases.connect(server) as connection:
        databases.ensure_role(connection, role, "x", owner_mark="us")
    for _ in range(2):
        databases.give(server, names[0], owner=role)
    owners = "select string_agg(tableowner::text, ',') from pg_tables where schemaname = 'public'"
    assert _one(url.render_as_string(hide_password=False), owners) == role


def test_an_account_that_may_make_roles_need_not_be_a_superuser(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    server = make_url(postgres.url())
    with databases.connect(server) as connection:
        connection.execute("create role hoster login createdb createrole password 'h'")
        connection.execute("create role guest login createdb password 'g'")
    hoster = server.set(username="hoster", password="h")
    assert databases.may_make_roles(hoster)
    assert not databases.may_make_roles(server.set(username="guest", password="g"))
    databases.ensure(hoster, "theirs", owner_mark="us")
    with databases.connect(hoster) as connection:
        databases.ensure_role(connection, "owner", "o", owner_mark="us")
        databases.ensure_role(connection, "application", "a", owner_mark="us")
    databases.give(hoster, "theirs", owner="owner")
    ledger = server.set(database="theirs")
    upgrade(_as("owner", ledger, "o"), application="application")
    assert _one(_as("application", ledger, "a"), "select count(*) from commands") == 0
    databases.drop_ours(hoster, ["theirs"], owner_mark="us")
    databases.drop_our_roles(hoster, ["application", "owner"], owner_mark="us")
    assert (
        _one(postgres.url(), "select count(*) from pg_roles where rolname in ('owner', 'application')") == 0
    )


def test_an_older_server_is_refused_with_its_version(server: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "OLDEST_MAJOR_VERSION", 99)
    with pytest.raises(StackError, match=r"is version \d+; this project needs 99 or newer"):
        databases.check_version(server)


def test_a_server_that_cannot_be_reached_is_named_without_its_password() -> None:
    with pytest.raises(StackError, match=r"127\.0\.0\.1:1 cannot be reached") as refusal:
        databases.connect(databases.server_url("postgresql://me:geheim@127.0.0.1:1/x"))
    assert "geheim" not in str(refusal.value)


@pytest.mark.parametrize("text", ["mysql://root@localhost/x", "no address", "http://localhost"])
def test_an_address_of_no_postgresql_is_refused(text: str) -> None:
    with pytest.raises(StackError, match="NCE_DATABASE_URL is no PostgreSQL address"):
        databases.server_url(text)
