"""`scripts/nce`: which installation it talks to, whatever lies in the folder it is called in."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from scripts.nce import surroundings
from scripts.stack.installation import Installation

LAUNCHER = Path(__file__).resolve().parents[3] / "scripts" / "nce"


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """A checkout whose stack was set up: its secrets and its database server's notes."""
    installation = Installation(checkout=tmp_path, airflow_port=18080, simulator_port=18765)
    (tmp_path / ".local" / "postgres").mkdir(parents=True)
    server = {"foundation": str(tmp_path), "port": 54321, "password": "pg-secret"}
    (tmp_path / ".local" / "postgres" / "server.json").write_text(json.dumps(server))
    installation.secrets  # noqa: B018 - made on first use
    return installation


def test_a_stack_lends_its_ledger_its_airflow_and_its_clock(installation: Installation) -> None:
    assert surroundings(installation, {}) == {
        "AIRFLOW_CONN_NCE_LEDGER": "postgresql+psycopg://postgres:pg-secret@127.0.0.1:54321/nce_ledger",
        "NCE_AIRFLOW_URL": "http://127.0.0.1:18080",
        "NCE_AIRFLOW_USER": "operator",
        "NCE_AIRFLOW_PASSWORD": installation.secrets.passwords["operator"],
        "NCE_SIMULATOR_URL": "http://127.0.0.1:18765",
    }


def test_an_environment_that_names_another_ledger_is_left_alone(installation: Installation) -> None:
    assert surroundings(installation, {"AIRFLOW_CONN_NCE_LEDGER": "postgres://db.example/nce_ledger"}) == {}


def test_an_environment_that_names_the_stacks_own_ledger_is_completed(installation: Installation) -> None:
    own = "postgres://postgres:pg-secret@127.0.0.1:54321/nce_ledger"
    added = surroundings(installation, {"AIRFLOW_CONN_NCE_LEDGER": own})
    assert added["NCE_SIMULATOR_URL"] == "http://127.0.0.1:18765"
    assert "AIRFLOW_CONN_NCE_LEDGER" not in added


def test_the_check_of_the_connection_finds_the_stacks_airflow_too(installation: Installation) -> None:
    added = surroundings(installation, {}, command="check-connection")
    assert added["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].endswith("@127.0.0.1:54321/nce_airflow")
    assert added["AIRFLOW__CORE__FERNET_KEY"] == installation.secrets.fernet_key
    assert added["NCE_AIRFLOW_URL"] == "http://127.0.0.1:18080"


def test_the_check_of_another_installations_connection_is_left_alone(installation: Installation) -> None:
    named = {"AIRFLOW_CONN_NCE_LEDGER": "postgres://db.example/nce_ledger"}
    assert surroundings(installation, named, command="check-connection") == {}


def test_a_named_database_server_holds_the_ledger(tmp_path: Path, installation: Installation) -> None:
    elsewhere = Installation(
        checkout=tmp_path, database_prefix="mine", database_server="postgresql://u:p@db.example:5432/postgres"
    )
    ledger = surroundings(elsewhere, {})["AIRFLOW_CONN_NCE_LEDGER"]
    assert ledger == "postgresql+psycopg://u:p@db.example:5432/mine_ledger"


def test_the_command_line_is_the_products_role_not_the_owner(
    tmp_path: Path, installation: Installation
) -> None:
    roles = installation.choose_ledger_roles()
    product = f"nce_ledger:{roles.application_password}"
    ledger = surroundings(installation, {})["AIRFLOW_CONN_NCE_LEDGER"]
    assert ledger == f"postgresql+psycopg://{product}@127.0.0.1:54321/nce_ledger"
    elsewhere = Installation(checkout=tmp_path, database_server="postgresql://u:p@db.example:5432/postgres")
    ledger = surroundings(elsewhere, {})["AIRFLOW_CONN_NCE_LEDGER"]
    assert ledger == f"postgresql+psycopg://{product}@db.example:5432/nce_ledger"


def test_a_checkout_without_a_stack_lends_nothing_and_makes_nothing(tmp_path: Path) -> None:
    assert surroundings(Installation(checkout=tmp_path), {}) == {}
    assert list(tmp_path.iterdir()) == []


def run(launcher: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.defpath, "AIRFLOW_CONN_NCE_LEDGER": "postgres://nobody@127.0.0.1:9/none"}
    return subprocess.run(
        [str(launcher), *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_files_of_the_present_folder_are_not_mistaken_for_modules(tmp_path: Path) -> None:
    for name in ("json.py", "typer.py", "secrets.py"):
        (tmp_path / name).write_text("raise SystemExit('a stranger was run')")
    link = tmp_path / "nce"
    link.symlink_to(LAUNCHER)
    done = run(link, tmp_path, "status")
    assert done.stderr.startswith("The ledger at 127.0.0.1:9 does not answer")
    assert done.returncode == 1


def test_a_relative_file_name_means_the_present_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("campaign: x\n")
    done = run(LAUNCHER, tmp_path, "campaign", "import", "mine.yaml")
    assert done.returncode == 2
    assert "mine.yaml, line 1" in done.stderr


def test_a_checkout_without_an_environment_says_how_to_make_it(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    copy = tmp_path / "scripts" / "nce"
    copy.write_bytes(LAUNCHER.read_bytes())
    copy.chmod(0o755)
    done = run(copy, tmp_path, "status")
    assert done.returncode == 1
    assert done.stderr == (
        f"There is no {tmp_path}/.venv yet; make it with: {tmp_path}/scripts/venv requirements.txt\n"
    )
