"""The stack as a whole, as far as it can be seen without starting Airflow."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from sqlalchemy.engine import make_url

from include.nce.ledger import migrate
from scripts.stack import airflow_settings, databases
from scripts.stack.errors import StackError
from scripts.stack.installation import CHECKOUT, Installation
from scripts.stack.stack import AIRFLOW_SERVICES, Stack

METADATA = make_url("postgresql+psycopg://postgres:geheim@127.0.0.1:5432/nce_airflow")
TINY_STORY = """
name: tiny
clock: {starts_at: 2022-06-20T00:00:00Z, ends_at: 2022-07-20T00:00:00Z}
provider:
  tenant_id: 11111111-1111-1111-1111-111111111111
  applications:
    - {client_id: 21111111-1111-1111-1111-111111111111, client_secret: secret-one, refresh_token: token-one}
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """An installation in a folder of its own, beside this checkout's code."""
    checkout = Path(__file__).resolve().parents[2]
    (tmp_path / "simulator").symlink_to(checkout / "simulator")
    return Installation(checkout=tmp_path, airflow_port=_free_port(), simulator_port=_free_port())


@pytest.fixture
def story(tmp_path: Path) -> Path:
    path = tmp_path / "story.yaml"
    path.write_text(TINY_STORY)
    return path


@pytest.fixture
def stack(installation: Installation) -> Stack:
    return Stack(installation, say=lambda line: None)


def test_a_second_up_is_kept_out_while_the_first_is_at_work(stack: Stack, story: Path) -> None:
    stack.installation.make_folders()
    lock = stack.installation.local / "stack.lock"
    hold = "import fcntl, sys; f = open(sys.argv[1], 'a'); fcntl.flock(f, 2); f.write('4711'); f.flush()"
    with subprocess.Popen(
        [sys.executable, "-c", f"{hold}; print('held', flush=True); sys.stdin.read()", str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(StackError, match=r"Another make .*process 4711.*wait"):
            stack.up(story)


def test_a_taken_port_stops_it_before_anything_is_started(stack: Stack, story: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", stack.installation.airflow_port))
        other.listen()
        with pytest.raises(StackError, match=f"Port {stack.installation.airflow_port} .*NCE_AIRFLOW_PORT"):
            stack.up(story)
    assert not (stack.installation.local / "postgres").exists()


def test_another_story_is_refused_while_one_is_in_progress(stack: Stack, story: Path, tmp_path: Path) -> None:
    stack.installation.make_folders()
    told = {"scenario": str(tmp_path / "first.yaml"), "sha256": "of the first"}
    (stack.installation.local / "story.json").write_text(json.dumps(told))
    with pytest.raises(StackError, match=r"first\.yaml.*make reset"):
        stack.up(story)


def test_a_story_that_is_no_file_is_named(stack: Stack, tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"nowhere\.yaml cannot be read"):
        stack.up(tmp_path / "nowhere.yaml")


def test_a_faulty_story_is_refused_with_the_simulators_sentence(stack: Stack, story: Path) -> None:
    story.write_text(TINY_STORY.replace("name: tiny", "nmae: tiny"))
    with pytest.raises(StackError, match=r"story\.yaml:2: nmae"):
        stack.up(story)
    assert not (stack.installation.local / "story.json").exists()


def test_a_reset_deletes_all_but_the_lock_in_use(stack: Stack) -> None:
    stack.installation.make_folders()
    assert stack.installation.secrets.fernet_key
    stack.reset()
    assert [path.name for path in stack.installation.local.iterdir()] == ["stack.lock"]


def test_what_is_down_is_told_part_by_part(stack: Stack) -> None:
    stack.installation.make_folders()
    assert {state.name: state.health for state in stack.status()} == {
        "postgres": "not running",
        "simulator": "not running",
        **dict.fromkeys(AIRFLOW_SERVICES, "not running"),
    }


def test_the_status_of_nothing_is_no_error_and_says_how_to_start(installation: Installation) -> None:
    environment = {**os.environ, "NCE_LOCAL": str(installation.checkout / "empty")}
    done = subprocess.run(
        [sys.executable, "-m", "scripts.stack", "status"],
        cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "Nothing of the rehearsal runs; `make demo` starts it, or goes on where it stood.\n"
    )


def test_who_may_log_in_is_told_with_the_passwords(installation: Installation) -> None:
    installation.make_folders()
    address, *users = installation.logins
    assert address == f"Airflow is at {installation.airflow_url}"
    assert users[0] == f"  admin (admin): password {installation.secrets.passwords['admin']}"
    assert len(users) == 3


def test_secrets_are_made_once_and_readable_by_their_owner_only(installation: Installation) -> None:
    installation.make_folders()
    made = installation.secrets
    again = Installation(checkout=installation.checkout)
    assert again.secrets == made
    assert stat.S_IMODE((installation.local / "secrets.json").stat().st_mode) == 0o600
    assert len({made.fernet_key, made.jwt_secret, made.api_secret, *made.passwords.values()}) == 6


def test_the_passwords_of_the_ledgers_roles_are_made_once_and_readable_by_their_owner_only(
    installation: Installation,
) -> None:
    installation.make_folders()
    assert installation.ledger_roles is None
    made = installation.choose_ledger_roles()
    assert Installation(checkout=installation.checkout).choose_ledger_roles() == made
    assert (made.owner, made.application) == ("nce_ledger_owner", "nce_ledger")
    assert made.owner_password != made.application_password
    assert stat.S_IMODE((installation.local / "ledger-roles.json").stat().st_mode) == 0o600


def test_only_the_migration_is_told_who_owns_the_ledger(
    installation: Installation, postgres_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = f"nce_test_{os.getpid()}_stack"
    named = replace(installation, database_server=postgres_server, database_prefix=prefix)
    named.make_folders()
    stack, server = Stack(named, say=lambda line: None), make_url(postgres_server)
    try:
        stack._ensure_databases(server)
        owner = stack._ensure_ledger_roles(server)
        product = stack.environment()
        for name, value in {**product, **owner}.items():
            if name.startswith("AIRFLOW_CONN_"):
                monkeypatch.setenv(name, value)
        assert migrate.main(["upgrade"]) == 0
        assert f"{prefix}_ledger_owner" not in " ".join(product.values())
        assert make_url(product["AIRFLOW_CONN_NCE_LEDGER"]).username == f"{prefix}_ledger"
    finally:
        stack.reset()
    with databases.connect(server) as connection:
        left = connection.execute("select rolname from pg_roles where rolname like %s", [f"{prefix}%"])
        assert left.fetchall() == []


def test_an_account_that_may_not_make_roles_is_owner_and_product_in_one(
    installation: Installation, postgres_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.make_folders()
    monkeypatch.setattr(databases, "may_make_roles", lambda server: False)
    said: list[str] = []
    stack = Stack(replace(installation, database_server=postgres_server), say=said.append)
    assert stack._ensure_ledger_roles(make_url(postgres_server)) == {}
    assert "history is kept by triggers alone" in said[0]
    assert stack.database_urls()[1].username == make_url(postgres_server).username


def test_two_installations_share_no_secret(tmp_path: Path) -> None:
    secrets = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        installation = Installation(checkout=tmp_path / name)
        installation.make_folders()
        secrets.append(installation.secrets)
    assert secrets[0].jwt_secret != secrets[1].jwt_secret


def test_the_folders_of_an_installation_are_closed(installation: Installation) -> None:
    installation.make_folders()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in installation.local.iterdir()}
    assert set(modes.values()) == {0o700}
    assert stat.S_IMODE(installation.local.stat().st_mode) & 0o066 == 0


def test_an_installation_lives_where_it_is_told_to(tmp_path: Path) -> None:
    installation = Installation.from_environment({"NCE_LOCAL": str(tmp_path / "elsewhere" / "data")})
    installation.make_folders()
    assert installation.airflow_home == tmp_path / "elsewhere" / "data" / "airflow"
    assert installation.airflow_home.is_dir()


def test_a_folder_with_things_of_somebody_elses_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").touch()
    installation = Installation.from_environment({"NCE_LOCAL": str(tmp_path)})
    with pytest.raises(StackError, match=r"NCE_LOCAL names .* holds letters\.txt"):
        installation.make_folders()
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]


def test_another_process_finds_the_installation_by_its_variables(tmp_path: Path) -> None:
    installation = Installation(
        folder=tmp_path / "data",
        airflow_port=18001,
        simulator_port=18002,
        database_prefix="nce_other",
        database_server="postgresql://postgres@127.0.0.1/postgres",
    )
    assert Installation.from_environment(installation.variables) == installation


def test_what_only_concerns_the_caller_restarts_nothing(installation: Installation) -> None:
    installation.make_folders()
    calls = [
        airflow_settings.environment(installation, METADATA, {"NCE_DEMO_MINUTES": minutes})
        for minutes in ("15", "30")
    ]
    assert calls[0] == calls[1]


def test_a_users_own_airflow_settings_do_not_leak_in(installation: Installation) -> None:
    installation.make_folders()
    inherited = {
        "AIRFLOW__CORE__LOAD_EXAMPLES": "True",
        "AIRFLOW_CONN_PARTNER_CENTER": "http://x",
        "HOME": "/h",
    }
    environment = airflow_settings.environment(installation, METADATA, inherited)
    assert environment["AIRFLOW__CORE__LOAD_EXAMPLES"] == "False"
    assert "AIRFLOW_CONN_PARTNER_CENTER" not in environment
    assert environment["HOME"] == "/h"


def test_airflow_listens_on_this_machine_only(installation: Installation) -> None:
    installation.make_folders()
    settings = airflow_settings.settings(installation, METADATA)
    assert settings["api", "host"] == "127.0.0.1"
    assert settings["core", "execution_api_server_url"].startswith("http://127.0.0.1:")


def test_every_setting_is_one_that_this_airflow_knows(installation: Installation) -> None:
    installation.make_folders()
    airflow = find_spec("airflow")
    assert airflow is not None
    assert airflow.origin is not None
    text = (Path(airflow.origin).parent / "config_templates" / "config.yml").read_text()
    known = yaml.load(text, yaml.CSafeLoader)
    unknown = [
        f"[{section}] {name}"
        for section, name in airflow_settings.settings(installation, METADATA)
        if name not in known.get(section, {}).get("options", {})
    ]
    assert unknown == []


@pytest.mark.parametrize("value", ["http", "80", "70000", "-1", "8080.5"])
def test_a_port_that_cannot_be_used_is_named(value: str) -> None:
    with pytest.raises(StackError, match=r"NCE_AIRFLOW_PORT is .*between 1024 and 65535"):
        Installation.from_environment({"NCE_AIRFLOW_PORT": value})


@pytest.mark.parametrize("value", ["Nce", "my-nce", "1nce", "x; drop table", "n" * 41])
def test_a_database_prefix_that_cannot_be_used_is_named(value: str) -> None:
    with pytest.raises(StackError, match="NCE_DATABASE_PREFIX is"):
        Installation.from_environment({"NCE_DATABASE_PREFIX": value})


class _Answers(BaseHTTPRequestHandler):
    """Simulator and API server in one: answers what the test has laid out, by path."""

    laid_out: dict[str, dict[str, Any]]

    def do_GET(self) -> None:
        body = json.dumps(self.laid_out[self.path]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Keep the tests' output clean."""


class _Running:
    """A stack of which everything runs: sleeping programs behind a server that answers for them."""

    def __init__(
        self, stack: Stack, answers: dict[str, dict[str, Any]], children: list[subprocess.Popen[bytes]]
    ) -> None:
        self.stack, self._answers, self.children = stack, answers, children

    def beats(self, **changes: dict[str, Any]) -> None:
        now = datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")
        parts: dict[str, Any] = {
            part: {"status": "healthy", f"latest_{part}_heartbeat": now}
            for part in ("scheduler", "triggerer", "dag_processor")
        }
        self._answers["/api/v2/monitor/health"] = {"metadatabase": {"status": "healthy"}, **parts, **changes}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[_Running]:
    answers: dict[str, dict[str, Any]] = {"/__sim__/health": {"simulator": "partner-center"}}
    handler = type("Handler", (_Answers,), {"laid_out": answers})
    server = HTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    port = server.server_address[1]
    installation = Installation(checkout=tmp_path, airflow_port=port, simulator_port=port)
    installation.make_folders()
    children = []
    for name in ("simulator", *AIRFLOW_SERVICES):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
        created_at = psutil.Process(child.pid).create_time()
        note = {"pid": child.pid, "created_at": created_at, "fingerprint": ""}
        (installation.local / "run" / f"{name}.json").write_text(json.dumps(note))
        children.append(child)
    everything = _Running(Stack(installation, say=lambda line: None), answers, children)
    everything.beats()
    yield everything
    server.shutdown()
    server.server_close()
    for child in children:
        child.kill()
        child.wait()


def test_a_stack_of_which_all_parts_beat_has_no_fault(running: _Running) -> None:
    assert running.stack.fault() is None


def test_a_dead_scheduler_is_a_fault_although_airflow_still_calls_it_healthy(running: _Running) -> None:
    scheduler = running.children[1 + AIRFLOW_SERVICES.index("scheduler")]
    scheduler.kill()
    scheduler.wait()
    assert str(running.stack.fault()).startswith("scheduler has ended; read ")


def test_a_heartbeat_of_the_process_before_this_one_does_not_count(running: _Running) -> None:
    old = datetime.now(timezone.utc) - timedelta(minutes=1)
    running.beats(triggerer={"status": "healthy", "latest_triggerer_heartbeat": old.isoformat()})
    assert str(running.stack.fault()).startswith("triggerer is still starting")


def test_a_part_without_a_heartbeat_is_a_fault(running: _Running) -> None:
    running.beats(dag_processor={"status": "unhealthy", "latest_dag_processor_heartbeat": None})
    assert str(running.stack.fault()).startswith("dag-processor is without a heartbeat")


def test_a_lost_metadata_database_is_a_fault(running: _Running) -> None:
    running.beats(metadatabase={"status": "unhealthy"})
    assert str(running.stack.fault()).startswith("api-server does not answer")


def test_nobody_hands_out_work_before_the_api_server_answers(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.make_folders()
    stack = Stack(installation, say=lambda line: None)
    started: list[str] = []
    answers = iter([None, None, {"metadatabase": {"status": "healthy"}}])
    asked_with: list[list[str]] = []

    def heartbeats() -> dict[str, Any] | None:
        asked_with.append(list(started))
        return next(answers)

    monkeypatch.setattr(stack._keeper, "start", lambda service: started.append(service.name) or True)
    monkeypatch.setattr(stack._keeper, "process", lambda name: psutil.Process())
    monkeypatch.setattr(stack, "_heartbeats", heartbeats)
    monkeypatch.setattr(stack, "_airflow_fault", lambda: None)
    stack._start_airflow({}, began=0)
    assert asked_with == [["api-server", "dag-processor"]] * 3
    assert started == ["api-server", "dag-processor", "scheduler", "triggerer"]


def test_a_stack_that_was_taken_down_is_told_from_one_that_died(running: _Running) -> None:
    for child in running.children:
        child.kill()
        child.wait()
    assert not running.stack.was_taken_down()
    running.stack.down()
    assert running.stack.was_taken_down()


def test_no_answer_of_the_command_line_is_a_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.stack", "up"],
        env={**os.environ, "NCE_AIRFLOW_PORT": "eighty"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "NCE_AIRFLOW_PORT is 'eighty'; set it to a free port between 1024 and 65535.\n"


def test_a_machine_that_allows_too_few_open_files_is_told_before_anything_is_started(tmp_path: Path) -> None:
    up = [sys.executable, "-m", "scripts.stack", "up"]
    done = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -Sn 1024 && ulimit -Hn 4096 && exec "$@"', "sh", *up],
        env={**os.environ, "NCE_LOCAL": str(tmp_path / "local")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("5000 waits need 6000 open files, and this machine allows a process 4096")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "local" / "postgres").exists()
