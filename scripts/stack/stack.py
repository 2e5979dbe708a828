"""The stack as a whole: bring it up, take it down, throw it away, say how it is.

Responsible for the order, the bounds of every wait, and for one caller at a time. Leaves the parts to the
modules beside it. What runs as it should is kept, what is half dead is repaired.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import yaml
from sqlalchemy.engine import URL, make_url

from include.nce.domain.errors import InputRefused
from include.nce.orchestration.open_files import make_room
from scripts.stack import airflow_settings, databases
from scripts.stack.errors import StackError
from scripts.stack.installation import Installation
from scripts.stack.postgres import EmbeddedPostgres
from scripts.stack.private import write_private
from scripts.stack.services import Keeper, Service, refuse_taken_port
from scripts.stack.turn import alone

AIRFLOW_SERVICES = ("api-server", "dag-processor", "scheduler", "triggerer")
BEATING_SERVICES = AIRFLOW_SERVICES[1:]
HEALTHY = "healthy"
STACK_LOCK = "stack.lock"
PREPARE_SECONDS = 300
SIMULATOR_SECONDS = 60
AIRFLOW_SECONDS = 180
DEFAULT_SCENARIO = Path("simulator/scenarios/csp-commercial-2022.yaml")


@dataclass(frozen=True)
class ServiceState:
    """One line of `status`: what runs, since when, and where to read about it."""

    name: str
    pid: int | None
    health: str
    address: str
    log: Path


class Stack:
    """The stack of one installation; `say` gets one line per thing that was done.

    `variables` are environment variables of its services that differ from this machine's usual ones: a test
    shortens Airflow's timeouts with them.
    """

    def __init__(
        self,
        installation: Installation,
        *,
        say: Callable[[str], None] = print,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.installation = installation
        self._say = say
        self._variables = dict(variables or {})
        self._keeper = Keeper(installation.local / "run", installation.logs)
        self._embedded = EmbeddedPostgres(
            installation.local / "postgres", settings={"max_connections": "200"}
        )

    def up(self, scenario: Path | None = None) -> None:
        """Bring everything up for the story in `scenario`; raises StackError with what to do."""
        with self._alone():
            story = self._choose_story(scenario)
            began = time.monotonic()
            self._make_room_for_waits()
            self._refuse_taken_ports()
            server = self._start_database_server()
            self._ensure_databases(server)
            owner = self._ensure_ledger_roles(server)
            metadata, ledger = self.database_urls()
            environment = airflow_settings.environment(self.installation, metadata) | self._variables
            self._stop_the_unwell()
            new_simulator = self._keeper.start(self._simulator(story, environment))
            self._prepare_databases(environment, {**self.environment(), **owner}, story, ledger)
            self._wait(self._simulator_fault, "simulator", seconds=SIMULATOR_SECONDS)
            self._done("simulator", started=new_simulator, began=began)
            self._start_airflow(environment, began)

    def _make_room_for_waits(self) -> None:
        """The services inherit this process's limits."""
        try:
            make_room(airflow_settings.WAITS_AT_ONCE)
        except InputRefused as refused:
            raise StackError(" ".join(refused.faults)) from None

    def down(self) -> None:
        """Stop everything; nothing is deleted."""
        with self._alone():
            self._stop_all()

    def reset(self) -> None:
        """Stop everything and delete what the installation made, in ``.local`` and on a named server."""
        with self._alone():
            self._stop_all()
            if self.installation.database_server and (self.installation.local / "secrets.json").exists():
                server = databases.server_url(self.installation.database_server)
                databases.drop_ours(server, self._database_names(), owner_mark=self._owner_mark())
                roles = self.installation.ledger_roles
                if roles is not None:
                    names = (roles.application, roles.owner)
                    databases.drop_our_roles(server, names, owner_mark=self._owner_mark())
            self._embedded.delete()
            for path in self.installation.local.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.suffix != ".lock":
                    path.unlink()

    def status(self) -> list[ServiceState]:
        """How each part is at this moment."""
        states = []
        if self.installation.database_server is None:
            pid = self._embedded.pid
            address = f"127.0.0.1:{make_url(self._embedded.url()).port}" if pid else "-"
            health = HEALTHY if pid else "not running"
            states.append(ServiceState("postgres", pid, health, address, self._embedded.log))
        answers = "no answer" if self._simulator_fault() else HEALTHY
        states.append(self._state("simulator", answers, self.installation.simulator_url))
        beats = self._heartbeats()
        answers = "no answer" if beats is None else HEALTHY
        states.append(self._state("api-server", answers, self.installation.airflow_url))
        for name in BEATING_SERVICES:
            health = "unknown" if beats is None else self._pulse_fault(name, beats) or HEALTHY
            states.append(self._state(name, health, "-"))
        return states

    def environment(self) -> dict[str, str]:
        """Environment in which Airflow's own commands and the project's CLI find this stack."""
        metadata, ledger = self.database_urls()
        return {
            **{name: value for name, value in os.environ.items() if name.startswith("NCE_")},
            **airflow_settings.environment(self.installation, metadata),
            **self.installation.variables,
            "AIRFLOW_CONN_NCE_LEDGER": _as_connection(ledger),
        }

    def database_urls(self) -> tuple[URL, URL]:
        """Airflow's metadata database, and the ledger as the product's role."""
        if self.installation.database_server:
            server = databases.server_url(self.installation.database_server)
        else:
            server = make_url(self._embedded.url())
        metadata, name = self._database_names()
        ledger, roles = server.set(database=name), self.installation.ledger_roles
        if roles is not None:
            ledger = ledger.set(username=roles.application, password=roles.application_password)
        return server.set(database=metadata), ledger

    def fault(self) -> str | None:
        """What keeps the stack from working, None when nothing does."""
        return self._simulator_fault() or self._airflow_fault()

    def _airflow_fault(self) -> str | None:
        """What keeps Airflow from working, None when nothing does."""
        for name in AIRFLOW_SERVICES:
            if self._keeper.process(name) is None:
                return f"{name} has ended; read {self._keeper.log(name)}"
        beats = self._heartbeats()
        if beats is None:
            return self._no_answer()
        for name in BEATING_SERVICES:
            fault = self._pulse_fault(name, beats)
            if fault is not None:
                return f"{name} is {fault}; read {self._keeper.log(name)}"
        return None

    def _api_server_fault(self) -> str | None:
        return self._no_answer() if self._heartbeats() is None else None

    def _no_answer(self) -> str:
        return f"api-server does not answer; read {self._keeper.log('api-server')}"

    def _heartbeats(self) -> dict[str, Any] | None:
        """Airflow's word on its parts, None when its API does not answer or has lost its database."""
        try:
            answer = httpx.get(f"{self.installation.airflow_url}/api/v2/monitor/health", timeout=5)
            answer.raise_for_status()
            beats: dict[str, Any] = answer.json()
            return beats if beats["metadatabase"]["status"] == HEALTHY else None
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return None

    def _pulse_fault(self, name: str, beats: dict[str, Any]) -> str | None:
        """Why the heartbeat of a service does not count, None when it does.

        For half a minute after a kill Airflow calls the dead process healthy, so the beat has to be younger
        than the process that runs now.
        """
        part = name.replace("-", "_")
        pulse = beats.get(part) or {}
        process = self._keeper.process(name)
        if pulse.get("status") != HEALTHY:
            return "without a heartbeat"
        beat_at = datetime.fromisoformat(str(pulse[f"latest_{part}_heartbeat"]).replace("Z", "+00:00"))
        if process is None or beat_at.timestamp() < process.create_time():
            return "still starting"
        return None

    def was_taken_down(self) -> bool:
        """Whether Airflow does not run because somebody stopped it, rather than because it died."""
        return not any(self._keeper.is_noted(name) for name in AIRFLOW_SERVICES)

    def _alone(self) -> contextlib.AbstractContextManager[None]:
        self.installation.make_folders()
        return alone(self.installation.local / STACK_LOCK, "is setting up or taking down this checkout")

    def _choose_story(self, scenario: Path | None) -> Path:
        """The story that is in progress, or `scenario` when there is none yet.

        Raises StackError when both are there and differ: ledger and simulator already tell the first one.
        """
        note = self.installation.local / "story.json"
        told = json.loads(note.read_text()) if note.exists() else None
        story = (
            scenario or (Path(told["scenario"]) if told else self.installation.checkout / DEFAULT_SCENARIO)
        ).resolve()
        try:
            digest = hashlib.sha256(story.read_bytes()).hexdigest()
        except OSError as error:
            raise StackError(
                f"The scenario {story} cannot be read ({error.strerror}); name another one."
            ) from error
        if told and told["sha256"] != digest:
            raise StackError(
                f"{story} is not the story that is in progress here ({told['scenario']}); "
                "run `make reset` first, it deletes that one."
            )
        if not told:
            self._check_story(story)
            write_private(note, json.dumps({"scenario": str(story), "sha256": digest}))
        return story

    def _check_story(self, story: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "simulator", "check", str(story)],
            cwd=self.installation.checkout,
            capture_output=True,
            text=True,
            timeout=SIMULATOR_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise StackError((done.stderr or done.stdout).strip() or f"The scenario {story} is not valid.")

    def _refuse_taken_ports(self) -> None:
        """Before anything is started, so that a taken port leaves nothing half up."""
        ports = {
            "simulator": (self.installation.simulator_port, "NCE_SIMULATOR_PORT"),
            "api-server": (self.installation.airflow_port, "NCE_AIRFLOW_PORT"),
        }
        for name, (port, setting) in ports.items():
            if self._keeper.process(name) is None:
                refuse_taken_port(port, setting)

    def _start_database_server(self) -> URL:
        began = time.monotonic()
        if self.installation.database_server:
            server = databases.server_url(self.installation.database_server)
            databases.check_version(server)
            self._say(f"PostgreSQL: the one at {server.host} that NCE_DATABASE_URL names")
            return server
        started = self._embedded.pid is None
        if started:
            # What still runs of Airflow has lost its database, and may end on its own in a moment.
            self._keeper.stop(AIRFLOW_SERVICES)
        self._embedded.start()
        self._done("PostgreSQL", started=started, began=began)
        return make_url(self._embedded.url())

    def _ensure_databases(self, server: URL) -> None:
        metadata, ledger = self._database_names()
        mark = self._owner_mark()
        databases.ensure(server, metadata, owner_mark=mark)
        databases.ensure(server, ledger, owner_mark=mark)
        # Airflow can redo what a power cut takes from it; what the ledger has confirmed must never be lost.
        databases.relax_durability(server, metadata)

    def _ensure_ledger_roles(self, server: URL) -> dict[str, str]:
        """Make the ledger's two roles; the variable that names the owner to the migration and nobody else.

        On a server that does not let us make roles its account does everything, and is told so.
        """
        if self.installation.ledger_roles is None and not databases.may_make_roles(server):
            self._say(
                f"ledger: '{server.username}' may not make roles at {server.host}, so it is owner and product"
                " in one; history is kept by triggers alone"
            )
            return {}
        roles, mark = self.installation.choose_ledger_roles(), self._owner_mark()
        with databases.connect(server) as connection:
            databases.ensure_role(connection, roles.owner, roles.owner_password, owner_mark=mark)
            databases.ensure_role(connection, roles.application, roles.application_password, owner_mark=mark)
        _, ledger = self._database_names()
        databases.give(server, ledger, owner=roles.owner)
        owner = server.set(database=ledger, username=roles.owner, password=roles.owner_password)
        return {"AIRFLOW_CONN_NCE_LEDGER_OWNER": _as_connection(owner)}

    def _database_names(self) -> tuple[str, str]:
        prefix = self.installation.database_prefix
        return f"{prefix}_airflow", f"{prefix}_ledger"

    def _owner_mark(self) -> str:
        return f"nce-migration {self.installation.secrets.installation_id}"

    def _prepare_databases(
        self, airflow: dict[str, str], ledger: dict[str, str], story: Path, url: URL
    ) -> None:
        began = time.monotonic()
        connections = self.installation.local / "connections.json"
        write_private(connections, json.dumps(self._connections(story, url)))
        running: list[tuple[str, subprocess.Popen[bytes]]] = []
        try:
            for name, module, argument, environment in [
                ("prepare-ledger", "include.nce.ledger.migrate", "upgrade", ledger),
                ("prepare-airflow", "scripts.stack.prepare", str(connections), airflow),
            ]:
                running.append((name, self._run_aside(name, module, argument, environment)))
            for name, process in running:
                self._finish(name, process, began + PREPARE_SECONDS)
        finally:
            for _, process in running:
                process.kill()
            connections.unlink()
        self._say(f"databases: up to date ({time.monotonic() - began:.1f} s)")

    def _run_aside(
        self, name: str, module: str, argument: str, environment: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        with self._keeper.log(name).open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", module, argument],
                cwd=self.installation.checkout,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _finish(self, name: str, process: subprocess.Popen[bytes], deadline: float) -> None:
        log = self._keeper.log(name)
        try:
            code = process.wait(max(1.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired as error:
            raise StackError(f"{name} is not done after {PREPARE_SECONDS} s; read {log}.") from error
        if code != 0:
            raise StackError(f"{name} failed; read {log}.")

    def _connections(self, story: Path, ledger: URL) -> dict[str, dict[str, Any]]:
        """Airflow's two connections: to the simulator with the story's credentials, and to the ledger."""
        provider = yaml.safe_load(story.read_text(encoding="utf-8-sig"))["provider"]
        application = provider["applications"][0]
        return {
            "partner_center": {
                "conn_type": "partner_center",
                "host": "http://127.0.0.1",
                "port": self.installation.simulator_port,
                "login": application["client_id"],
                "password": application["client_secret"],
                "extra": {
                    "tenant_id": provider["tenant_id"],
                    "refresh_token": application["refresh_token"],
                    "authority": self.installation.simulator_url,
                    "rehearsal": True,
                },
            },
            "nce_ledger": {
                "conn_type": "postgres",
                "host": ledger.host,
                "port": ledger.port,
                "login": ledger.username,
                "password": ledger.password,
                "schema": ledger.database,
                "extra": dict(ledger.query),
            },
        }

    def _simulator(self, story: Path, environment: dict[str, str]) -> Service:
        state = self.installation.local / "simulator" / "state.db"
        port = str(self.installation.simulator_port)
        arguments = ["serve", "--scenario", str(story), "--state", str(state), "--port", port]
        return Service(
            "simulator",
            [sys.executable, "-m", "simulator", *arguments],
            # It is a world of its own: none of the product's settings and secrets.
            {name: value for name, value in environment.items() if not name.startswith("AIRFLOW")},
            self.installation.checkout,
            self.installation.simulator_port,
            "NCE_SIMULATOR_PORT",
        )

    def _stop_the_unwell(self) -> None:
        """Stop what runs without doing its work, to be started afresh."""
        unwell = [state for state in self.status() if state.pid and state.health not in (HEALTHY, "unknown")]
        self._keeper.stop([state.name for state in unwell if state.name != "postgres"])

    def _start_airflow(self, environment: dict[str, str], began: float) -> None:
        write_private(
            self.installation.airflow_home / "passwords.json", json.dumps(self.installation.secrets.passwords)
        )
        airflow = str(Path(sys.executable).with_name("airflow"))
        started = False
        for name in AIRFLOW_SERVICES:
            if name == "scheduler":
                # What it hands out while the API server does not answer fails, and a task has lost a try.
                self._wait(self._api_server_fault, "api-server", seconds=AIRFLOW_SECONDS)
            # The API server reads the task logs from this machine's disk; the log servers of scheduler and
            # triggerer would listen on every interface, with no setting that says otherwise.
            arguments = ["--skip-serve-logs"] if name in ("scheduler", "triggerer") else []
            port = self.installation.airflow_port if name == "api-server" else None
            service = Service(
                name,
                [airflow, name, *arguments],
                environment,
                self.installation.checkout,
                port,
                "NCE_AIRFLOW_PORT",
            )
            started = self._keeper.start(service) or started
        self._wait(self._airflow_fault, *AIRFLOW_SERVICES, seconds=AIRFLOW_SECONDS)
        self._done("Airflow", started=started, began=began)

    def _wait(self, fault: Callable[[], str | None], *names: str, seconds: float) -> None:
        """Wait until `fault` finds none; give up at once when one of the services `names` has ended."""
        deadline = time.monotonic() + seconds
        while (found := fault()) is not None:
            for name in names:
                if self._keeper.process(name) is None:
                    raise StackError(f"{name} has ended; read {self._keeper.log(name)}.")
            if time.monotonic() > deadline:
                raise StackError(f"After {seconds:.0f} s {found}.")
            time.sleep(0.25)

    def _simulator_fault(self) -> str | None:
        try:
            answer = httpx.get(f"{self.installation.simulator_url}/__sim__/health", timeout=5)
            if answer.json().get("simulator") == "partner-center":
                return None
        except (httpx.HTTPError, ValueError, AttributeError):
            pass
        return f"the simulator does not answer; read {self._keeper.log('simulator')}"

    def _stop_all(self) -> None:
        # The scheduler first: what it would still hand out has nobody left to do it.
        self._keeper.stop(["scheduler"])
        self._keeper.stop(["triggerer", "dag-processor", "api-server"])
        self._keeper.stop(["simulator"])
        self._embedded.stop()

    def _state(self, name: str, health: str, address: str) -> ServiceState:
        process = self._keeper.process(name)
        pid = process.pid if process else None
        return ServiceState(name, pid, health if pid else "not running", address, self._keeper.log(name))

    def _done(self, what: str, *, started: bool, began: float) -> None:
        word = f"up ({time.monotonic() - began:.1f} s)" if started else "was up"
        self._say(f"{what}: {word}")


def _as_connection(url: URL) -> str:
    """A URL as Airflow writes connections."""
    return url.set(drivername="postgres").render_as_string(hide_password=False)
