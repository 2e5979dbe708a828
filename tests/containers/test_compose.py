"""The container set-up, as far as it can be checked without a container engine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jsonschema
import pytest
import yaml
from sqlalchemy.engine import URL, make_url

from include.nce.ledger import migrate
from scripts.stack import databases
from scripts.stack.errors import StackError
from scripts.stack.postgres import EmbeddedPostgres

CHECKOUT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
IN_IMAGE = "/opt/nce/"
"""Where the image keeps the project."""

COMPOSE_TEXT = (CHECKOUT / "docker-compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (CHECKOUT / "Dockerfile").read_text()
ENVIRONMENT_EXAMPLE = (CHECKOUT / ".env.example").read_text()
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?P<operator>:?[-?+])?(?P<rest>[^}]*)\}")
COPIED = {Path(line.split()[1]).name for line in DOCKERFILE.splitlines() if line.startswith("COPY")}

_PARSE_COMMANDS = """
import json, sys
from airflow.cli.cli_parser import get_parser
for command in json.load(sys.stdin):
    get_parser().parse_args(command[1:])
print("parsed")
"""


def _uses_our_image(service: dict[str, Any]) -> bool:
    return str(service["image"]).startswith("nce-migration:")


def _programs() -> list[list[str]]:
    """Every command and health check, with variables set to their defaults."""
    commands = [service["command"] for service in SERVICES.values() if "command" in service]
    checks = [service["healthcheck"]["test"] for service in SERVICES.values() if "healthcheck" in service]
    assert all(check[0] == "CMD" for check in checks)
    lists = commands + [check[1:] for check in checks]
    return [[VARIABLE.sub(lambda found: found["rest"], str(word)) for word in words] for words in lists]


def _started_with(profile: str | None) -> set[str]:
    return {
        name
        for name, service in SERVICES.items()
        if "profiles" not in service or profile in service["profiles"]
    }


def test_the_file_is_one_that_compose_reads() -> None:
    schema = json.loads((HERE / "compose-spec" / "compose-spec.json").read_text())
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert [error.message for error in validator.iter_errors(COMPOSE)] == []


def test_all_parts_are_there() -> None:
    parts = {"postgres", "redis", "airflow-migration", "ledger-migration", "api-server", "scheduler"}
    assert _started_with("production") == parts | {"dag-processor", "triggerer", "worker"}


def test_the_simulator_runs_in_a_rehearsal_only() -> None:
    assert "simulator" not in _started_with("production")
    assert "simulator" in _started_with("rehearsal")


def test_in_a_rehearsal_nobody_speaks_to_anything_but_the_simulator() -> None:
    extra = _started_with("rehearsal") - _started_with(None) - {"simulator"}
    assert {SERVICES[name]["network_mode"] for name in extra} == {"service:simulator"}
    assert not {"worker", "triggerer"} & _started_with("rehearsal")


def test_every_variable_is_in_the_example_and_every_one_of_the_example_is_used() -> None:
    used = {found["name"] for found in VARIABLE.finditer(COMPOSE_TEXT)} | {"COMPOSE_PROFILES"}
    offered = set(re.findall(r"^#?([A-Z_]+)=", ENVIRONMENT_EXAMPLE, re.MULTILINE))
    assert used == offered


def test_nothing_secret_has_a_default() -> None:
    for found in VARIABLE.finditer(COMPOSE_TEXT):
        if re.search("PASSWORD|SECRET|KEY|PARTNER_CENTER", found["name"]):
            assert found["operator"] == ":?", f"{found['name']} has a default"
            assert found["rest"].startswith(f"Set {found['name']} in .env"), "no sentence says what to do"


def test_the_example_fills_in_no_secret() -> None:
    filled = dict(re.findall(r"^([A-Z_]+)=(.+)$", ENVIRONMENT_EXAMPLE, re.MULTILINE))
    assert filled == {"COMPOSE_PROFILES": "production"}


def test_ports_are_open_to_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_nothing_runs_as_root() -> None:
    users = re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE)
    assert users
    assert users[-1] not in ("root", "0")
    for name, service in SERVICES.items():
        user = str(service.get("user", users[-1] if _uses_our_image(service) else "root"))
        assert user.split(":")[0] not in ("root", "0"), f"{name} runs as root"
        assert not service.get("privileged")


def test_nothing_can_become_more_than_it_is() -> None:
    for name, service in SERVICES.items():
        assert service.get("cap_drop") == ["ALL"], f"{name} keeps capabilities"
        assert service.get("security_opt") == ["no-new-privileges:true"], f"{name} may gain privileges"
        assert not {"cap_add", "privileged", "pid", "ipc", "devices"} & service.keys(), name


def test_nothing_writes_outside_its_volumes_and_its_memory() -> None:
    for name, service in SERVICES.items():
        assert service.get("read_only") is True, f"{name} may change its image"
        assert "/tmp" in service["tmpfs"], f"{name} has nowhere to put what it needs for a moment"


def test_no_container_sees_this_machine() -> None:
    for name, service in SERVICES.items():
        assert service.get("network_mode", "").partition(":")[0] in ("", "service"), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or volume.endswith(":ro"), f"{name} may write {source}"
            assert "docker.sock" not in volume, f"{name} rules this machine"


def test_images_are_pinned_to_a_release() -> None:
    foreign = [service["image"] for service in SERVICES.values() if not _uses_our_image(service)]
    foreign += re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert foreign
    for image in foreign:
        assert re.search(r":\d+\.\d+(\.\d+)?-", image), f"{image} may change under us"


def test_whatever_stays_up_is_watched() -> None:
    for name, service in SERVICES.items():
        assert (service["restart"] == "no") != ("healthcheck" in service), name


def test_waits_are_for_services_that_can_end_them() -> None:
    for name, service in SERVICES.items():
        for other, wait in service.get("depends_on", {}).items():
            if wait["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], (
                    f"{name} waits for {other}, which has no health check"
                )
            else:
                assert SERVICES[other]["restart"] == "no", f"{name} waits for the end of {other}"


def test_airflow_starts_after_both_migrations() -> None:
    for name in ("api-server", "scheduler", "dag-processor", "triggerer", "worker"):
        assert {"airflow-migration", "ledger-migration"} <= set(SERVICES[name]["depends_on"])


def test_nobody_hands_out_work_before_the_api_server_answers() -> None:
    for name in ("scheduler", "triggerer", "rehearsal-triggerer"):
        assert SERVICES[name]["depends_on"]["api-server"] == {"condition": "service_healthy"}


def test_every_mount_has_its_source() -> None:
    named = set()
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            if source.startswith("."):
                assert (CHECKOUT / source).is_file(), f"{source} is not in the repository"
            else:
                named.add(source)
    assert named == set(COMPOSE["volumes"])


def test_every_setting_is_one_that_this_airflow_knows() -> None:
    from airflow.providers.celery.get_provider_info import get_provider_info

    airflow = find_spec("airflow")
    assert airflow is not None
    assert airflow.origin is not None
    text = (Path(airflow.origin).parent / "config_templates" / "config.yml").read_text()
    known = yaml.load(text, yaml.CSafeLoader) | get_provider_info()["config"]
    names = {name for service in SERVICES.values() for name in service.get("environment", {})}
    names |= set(re.findall(r"(AIRFLOW__\w+)=", DOCKERFILE))
    settings = [name.lower().split("__")[1:] for name in names if name.startswith("AIRFLOW__")]
    assert settings
    assert [key for key in settings if key[1] not in known.get(key[0], {}).get("options", {})] == []


def test_every_airflow_command_is_one_that_this_airflow_knows(tmp_path: Path) -> None:
    commands = [words for words in _programs() if words[0] == "airflow"]
    assert len(commands) >= 6
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _PARSE_COMMANDS],
        input=json.dumps(commands),
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.endswith("parsed\n"), done.stderr[-500:]


def test_every_module_and_path_of_a_command_is_in_the_image() -> None:
    for words in _programs():
        if words[:2] == ["python", "-m"]:
            module = words[2].replace(".", "/")
            found = [CHECKOUT / f"{module}.py", CHECKOUT / module / "__main__.py"]
            assert any(path.is_file() for path in found), f"{words[2]} does not exist"
            assert module.split("/")[0] in COPIED
        for word in words:
            if word.startswith(IN_IMAGE):
                path = word.removeprefix(IN_IMAGE)
                assert (CHECKOUT / path).exists(), f"{word} does not exist"
                assert path.split("/")[0] in COPIED


def test_every_program_is_one_that_its_image_brings() -> None:
    brought = {
        "nce-migration": {"airflow", "celery", "python"},
        "postgres": {"pg_isready"},
        "redis": {"redis-server", "redis-cli"},
    }
    for name, service in SERVICES.items():
        image = service["image"].split(":")[0]
        check = service.get("healthcheck", {}).get("test", ["CMD"])[1:2]
        for program in service.get("command", [])[:1] + check:
            assert program in brought[image], f"{name} calls {program}"


def test_the_simulator_takes_the_arguments_it_is_given() -> None:
    from typer.main import get_command

    from simulator.__main__ import cli

    group: Any = get_command(cli)
    words = SERVICES["simulator"]["command"]
    assert words[:4] == ["python", "-m", "simulator", "serve"]
    assert group.commands["serve"].make_context("serve", list(words[4:]))


def test_the_image_gets_what_it_copies_and_nothing_else() -> None:
    ignored = (CHECKOUT / ".dockerignore").read_text().splitlines()
    let_in = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert ignored[0] == "*"
    assert let_in == COPIED
    assert all((CHECKOUT / name).exists() for name in COPIED)


@pytest.mark.parametrize("name", [".env", ".local/", ".venv/"])
def test_what_holds_secrets_or_is_made_here_is_not_committed(name: str) -> None:
    assert name in (CHECKOUT / ".gitignore").read_text().splitlines()


PASSWORDS = {
    "NCE_AIRFLOW_DATABASE_PASSWORD": "of-airflow's",
    "NCE_LEDGER_OWNER_PASSWORD": "of-the-owner",
    "NCE_LEDGER_PASSWORD": "of-the-product",
}


@pytest.fixture(scope="module")
def container_database() -> Iterator[EmbeddedPostgres]:
    """A server that docker/ledger.sql has set up, twice, as the image's entry point runs it."""
    folder = Path(tempfile.mkdtemp(prefix="nce-containers-"))
    folder.chmod(0o711)
    server = EmbeddedPostgres(folder / "postgres", settings={"fsync": "off"})
    try:
        server.start()
        with databases.connect(make_url(server.url())) as connection:
            databases.create(connection, "nce_airflow")
        for _ in range(2):
            done = subprocess.run(
                [
                    str(server._binaries() / "psql"),
                    *("--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--quiet"),
                    *("--file", str(CHECKOUT / "docker" / "ledger.sql")),
                    server.url("nce_airflow").replace("postgresql+psycopg", "postgresql"),
                ],
                env={**os.environ, **PASSWORDS},
                capture_output=True,
                text=True,
                check=False,
            )
            assert (done.returncode, done.stderr) == (0, "")
        yield server
    finally:
        server.delete()
        shutil.rmtree(folder, ignore_errors=True)


def _address(service: str, setting: str, server: EmbeddedPostgres) -> URL:
    """The address a service is given, on the server of this test instead of the container's."""
    text = str(SERVICES[service]["environment"][setting])
    url = make_url(VARIABLE.sub(lambda found: quote(PASSWORDS.get(found["name"], "none")), text))
    return url.set(host="127.0.0.1", port=make_url(server.url()).port, drivername="postgresql+psycopg")


def test_every_service_gets_into_its_databases_with_what_it_is_given(
    container_database: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = _address("ledger-migration", "AIRFLOW_CONN_NCE_LEDGER_OWNER", container_database)
    product = _address("worker", "AIRFLOW_CONN_NCE_LEDGER", container_database)
    metadata = _address("worker", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", container_database)
    for variable, url in (("AIRFLOW_CONN_NCE_LEDGER_OWNER", owner), ("AIRFLOW_CONN_NCE_LEDGER", product)):
        monkeypatch.setenv(variable, url.set(drivername="postgres").render_as_string(hide_password=False))
    assert migrate.main(["upgrade"]) == 0
    with databases.connect(product) as ledger:
        assert ledger.execute("select count(*) from commands").fetchone() == (0,)
    with databases.connect(metadata) as airflow:
        airflow.execute("create table made_by_airflow (x int)")


def test_airflows_account_does_not_get_into_the_ledger(container_database: EmbeddedPostgres) -> None:
    airflow = _address("worker", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", container_database)
    with pytest.raises(StackError, match="CONNECT privilege"):
        databases.connect(airflow.set(database="nce_ledger"))


def test_the_products_account_does_not_get_into_airflows_database(
    container_database: EmbeddedPostgres,
) -> None:
    product = _address("worker", "AIRFLOW_CONN_NCE_LEDGER", container_database)
    with pytest.raises(StackError, match="CONNECT privilege"):
        databases.connect(product.set(database="nce_airflow"))


def test_only_the_migration_can_change_the_ledgers_tables() -> None:
    owners = {
        name
        for name, service in SERVICES.items()
        if "NCE_LEDGER_OWNER_PASSWORD" in json.dumps(service) and name != "postgres"
    }
    assert owners == {"ledger-migration"}
    assert SERVICES["ledger-migration"]["restart"] == "no"


def test_nobody_but_postgresql_itself_has_the_superusers_password() -> None:
    assert [name for name in SERVICES if "NCE_POSTGRES_PASSWORD" in json.dumps(SERVICES[name])] == [
        "postgres"
    ]
