"""One whole installation in a folder of its own: brought up, played, killed and taken down from outside.

Everything is started as `make` starts it, by the same programs, and looked at through what people use:
Airflow's REST API, the command line and the simulator's control surface. Every wait has an end.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psutil
import yaml
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.pool import NullPool

from scripts.stack.installation import CHECKOUT, Installation
from scripts.stack.services import Keeper
from scripts.stack.stack import AIRFLOW_SERVICES, Stack
from tests.e2e.story import CAMPAIGN, PARTNERS, ROSTER, STORY
from tests.support.folders import server_folder

UP_SECONDS = 300
PLAY_SECONDS = 420
COMMAND_SECONDS = 90
RUN_SECONDS = 180
LOOK_SECONDS = 0.5
READ_SECONDS = 8.0
"""How long a person looks at a question before answering it."""
PARTNER_DAG = "nce_partner_migration"
CAMPAIGN_DAG = "nce_campaign"
RECONCILE_DAG = "nce_reconcile"
LOUD = ("ERROR", "CRITICAL", "Traceback", "Error:", '"level":"error"')


def until(
    what: str, holds: Callable[[], Any], *, seconds: float = RUN_SECONDS, every: float = LOOK_SECONDS
) -> float:
    """Look until `holds`; the seconds it took. Fails when it does not within `seconds`."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"After {seconds:.0f} s it is still not so: {what}")
        time.sleep(every)
    return time.monotonic() - began


@dataclass(frozen=True)
class World:
    """What Partner Center holds, and what it was asked so far."""

    subscriptions: Mapping[str, Mapping[str, Any]]
    migrations: list[dict[str, Any]]
    orders: list[dict[str, Any]]
    people: Mapping[str, Any]
    requests: list[dict[str, Any]]


@dataclass(frozen=True)
class Ending:
    """How a play ended: for Partner Center, for Airflow and for the ledger."""

    world: World
    runs: Mapping[str, Mapping[str, Any]]
    tasks: Mapping[str, Mapping[str, str]]
    status: Mapping[str, Any]


class Stage:
    """An installation with free ports and a folder that is deleted when it is struck."""

    def __init__(self, *, database_server: str | None = os.environ.get("NCE_DATABASE_URL") or None) -> None:
        self._folder = server_folder("nce-e2e-")
        self.installation = Installation(
            folder=self._folder / "local",
            airflow_port=_free_port(),
            simulator_port=_free_port(),
            database_prefix=f"nce_e2e_{self._folder.name[-8:].lower()}",
            database_server=database_server,
        )
        self._simulator = httpx.Client(base_url=self.installation.simulator_url, timeout=30, trust_env=False)
        self._airflow = httpx.Client(base_url=self.installation.airflow_url, timeout=30, trust_env=False)

    @cached_property
    def rosters(self) -> Path:
        """A folder that is set up for rosters."""
        folder = self._folder / "rosters"
        folder.mkdir()
        return folder

    # Programs, as people start them

    @cached_property
    def environment(self) -> dict[str, str]:
        """The environment of a person who works with this installation."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "NCE_"))}
        return {
            **kept,
            **self.installation.variables,
            "SCENARIO": str(STORY),
            "ROSTER": str(ROSTER),
            "NCE_ROSTER_PLACES": str(self.rosters),
            "NCE_DEMO_MINUTES": str(PLAY_SECONDS / 60),
        }

    def up(self) -> None:
        """Bring everything up; the campaign clock stands still."""
        self._run("scripts.stack", "up", "--scenario", str(STORY), seconds=UP_SECONDS)

    def play(self) -> str:
        """Play the story to its end as `make demo` does, from wherever it stands; what was printed."""
        return self._run("scripts.demo", seconds=PLAY_SECONDS).stdout

    @contextlib.contextmanager
    def playing(self) -> Iterator[subprocess.Popen[bytes]]:
        """`make demo` in the background; whatever of it still runs in the end is killed."""
        with (self._folder / "demo.log").open("ab") as output:
            demo = subprocess.Popen(
                [sys.executable, "-m", "scripts.demo"],
                cwd=CHECKOUT, env=self.environment, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
            try:
                yield demo
            finally:
                demo.kill()
                demo.wait()

    def nce(self, *words: str) -> str:
        """One command of `scripts/nce`; what it printed."""
        return self._run("scripts.nce", *words, seconds=COMMAND_SECONDS).stdout

    def kill_airflow(self) -> None:
        """SIGKILL for every process of Airflow at once: nobody has time to tidy up."""
        keeper = Keeper(self.installation.local / "run", self.installation.logs)
        leaders = [process for name in AIRFLOW_SERVICES if (process := keeper.process(name))]
        assert len(leaders) == len(AIRFLOW_SERVICES), "Airflow was not whole when it was to be killed"
        family = [one for leader in leaders for one in (leader, *leader.children(recursive=True))]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=10)

    def strike(self) -> list[str]:
        """Take everything down and delete it; the processes that had to be killed by hand."""
        try:
            self._run("scripts.stack", "reset", seconds=UP_SECONDS)
        finally:
            left = self._left_behind()
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            self._simulator.close()
            self._airflow.close()
            shutil.rmtree(self._folder, ignore_errors=True)
        return [str(process) for process in left]

    def _run(self, module: str, *words: str, seconds: float) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", module, *words],
            cwd=CHECKOUT, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=seconds, check=False,
        )  # fmt: skip
        said = f"{done.stdout}\n{done.stderr}".strip()
        assert done.returncode == 0, f"python -m {module} {' '.join(words)}\n{said}"
        return done

    def _left_behind(self) -> list[psutil.Process]:
        """Every process that works for this installation."""
        home, found = str(self._folder), []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                ours = process.environ().get("AIRFLOW_HOME", "").startswith(home)
                named = ours or any(home in word for word in process.cmdline())
                if named and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    # The simulator

    def simulator(self, method: str, path: str, body: Any = None) -> Any:
        """One call of the control surface."""
        answer = self._simulator.request(method, f"/__sim__/{path}", json=body)
        answer.raise_for_status()
        return answer.json()

    def set_clock(self, moment: str) -> None:
        """Go to a later moment of the campaign at once."""
        self.simulator("POST", "clock/advance", {"to": moment})

    def requests(self, since: int = 0, operation: str | None = None) -> list[dict[str, Any]]:
        """What Partner Center was asked after request number `since`."""
        found: list[dict[str, Any]] = []
        which = f"&operation={operation}" if operation else ""
        at: int | None = since
        while at is not None:
            page = self.simulator("GET", f"requests?since={at}&limit=5000{which}")
            found += page["requests"]
            at = page["next"]
        return found

    def last_request(self) -> int:
        """The number of the latest request."""
        return int(self.simulator("GET", "requests?limit=1")["last"])

    def world(self) -> World:
        """Everything Partner Center holds now."""
        state = self.simulator("GET", "state")
        return World(
            subscriptions={each["id"].lower(): each for each in state["subscriptions"]},
            migrations=state["migrations"],
            orders=state["orders"],
            people={"partners": state["partners"], "customers": state["customers"]},
            requests=self.requests(),
        )

    # Airflow

    def airflow(self, method: str, path: str, body: Any = None) -> Any:
        """One call of Airflow's REST API as the administrator; None for what does not exist."""
        if "Authorization" not in self._airflow.headers:
            login = {"username": "admin", "password": self.installation.secrets.passwords["admin"]}
            token = self._airflow.post("/auth/token", json=login).raise_for_status().json()["access_token"]
            self._airflow.headers["Authorization"] = f"Bearer {token}"
        answer = self._airflow.request(method, f"/api/v2/{path}", json=body)
        if answer.status_code == 404:
            return None
        assert answer.is_success, f"{method} {path}: HTTP {answer.status_code} {answer.text}"
        return answer.json()

    def as_person(self, who: str | None, method: str, path: str, body: Any = None) -> httpx.Response:
        """One call as this user, or as nobody."""
        address = self.installation.airflow_url
        with httpx.Client(base_url=address, timeout=30, trust_env=False) as client:
            if who is not None:
                login = {"username": who, "password": self.installation.secrets.passwords[who]}
                token = client.post("/auth/token", json=login).raise_for_status().json()["access_token"]
                client.headers["Authorization"] = f"Bearer {token}"
            return client.request(method, path, json=body)

    def trigger(self, dag_id: str, run_id: str, **conf: Any) -> str:
        """Start a run and wait until it has finished; its state."""
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        assert self.airflow("POST", f"dags/{dag_id}/dagRuns", body) is not None
        return self.finished(run_id, dag_id)

    def asked(self, run_id: str, task_id: str, **conf: Any) -> dict[str, Any]:
        """Start a run of the campaign's DAG and wait until it asks a person; its question."""
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        assert self.airflow("POST", f"dags/{CAMPAIGN_DAG}/dagRuns", body) is not None
        until(f"{run_id} asks", lambda: self.tasks(run_id, CAMPAIGN_DAG).get(task_id) == "awaiting_input")
        question = self.airflow("GET", self._question(run_id, task_id))
        assert question is not None, f"{task_id} of {run_id} asks nothing"
        return dict(question)

    def answered(self, run_id: str, task_id: str, option: str, dag_id: str = CAMPAIGN_DAG) -> str:
        """Answer as the page Required Actions does, once it was read; the state in which the run ends.

        Nobody answers while the asking process still leaves: Airflow 3.3.2 takes the end of that process for
        the end of the answered task, forgets the answer and asks again a minute later.
        """
        body = {"chosen_options": [option], "params_input": {}}
        asked_s: list[float] = []

        def over() -> bool:
            if self.tasks(run_id, dag_id).get(task_id) != "awaiting_input":
                asked_s.clear()
            elif not asked_s:
                asked_s.append(time.monotonic())
            elif time.monotonic() - asked_s[0] > READ_SECONDS:
                path = self._question(run_id, task_id, dag_id)
                if not (self.airflow("GET", path) or {"response_received": True})["response_received"]:
                    self.airflow("PATCH", path, body)
            return self.run(run_id, dag_id)["state"] in ("success", "failed")

        until(f"{run_id} has finished", over, seconds=2 * RUN_SECONDS)
        return str(self.run(run_id, dag_id)["state"])

    @staticmethod
    def _question(run_id: str, task_id: str, dag_id: str = CAMPAIGN_DAG) -> str:
        task = f"dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{quote(task_id)}"
        return f"{task}/-1/hitlDetails"

    def finished(self, run_id: str, dag_id: str = PARTNER_DAG) -> str:
        """The state in which the run ends."""
        until(f"{run_id} has finished", lambda: self.run(run_id, dag_id)["state"] in ("success", "failed"))
        return str(self.run(run_id, dag_id)["state"])

    def clear(self, run_id: str) -> None:
        """Clear all tasks of a run, as the dialog *Clear run* does."""
        path = f"dags/{PARTNER_DAG}/dagRuns/{quote(run_id)}/clear"
        assert self.airflow("POST", path, {"dry_run": False, "only_failed": False}) is not None

    def run(self, run_id: str, dag_id: str = PARTNER_DAG) -> dict[str, Any]:
        """A run as Airflow describes it."""
        found = self.airflow("GET", f"dags/{dag_id}/dagRuns/{quote(run_id)}")
        assert found is not None, f"There is no run {run_id}"
        return dict(found)

    def run_ids(self, dag_id: str = PARTNER_DAG) -> set[str]:
        """Every run of a DAG."""
        runs = self.airflow("GET", f"dags/{dag_id}/dagRuns?limit=100")["dag_runs"]
        return {run["dag_run_id"] for run in runs}

    def tasks(self, run_id: str, dag_id: str = PARTNER_DAG) -> dict[str, str | None]:
        """State of each task of a run; mapped ones are called `convert.buy_nce[0]`."""
        path = f"dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances?limit=100"
        page = self.airflow("GET", path) or {"task_instances": []}
        return {
            task["task_id"] + (f"[{task['map_index']}]" if task["map_index"] >= 0 else ""): task["state"]
            for task in page["task_instances"]
        }

    def task(self, run_id: str, task_id: str, dag_id: str = PARTNER_DAG) -> dict[str, Any]:
        """A task that is not mapped, as Airflow describes it."""
        path = f"dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{quote(task_id)}"
        found = self.airflow("GET", path)
        assert found is not None, f"There is no task {task_id} in {run_id}"
        return dict(found)

    def log(self, run_id: str, task_id: str, dag_id: str = PARTNER_DAG) -> str:
        """What the latest try of a task said, as its page in Airflow shows it."""
        number = self.task(run_id, task_id, dag_id)["try_number"]
        path = f"dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{quote(task_id)}/logs/{number}"
        page = self.airflow("GET", f"{path}?full_content=true")
        return "\n".join(_told(line) for line in (page["content"] if page else []))

    def mapped_log(
        self, run_id: str, task_id: str = "reconcile_partners", dag_id: str = RECONCILE_DAG
    ) -> str:
        """What the first try of a mapped task's first instance said."""
        path = f"dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{quote(task_id)}/logs/1"
        page = self.airflow("GET", f"{path}?map_index=0&full_content=true")
        return "\n".join(_told(line) for line in (page["content"] if page else []))

    # What is left behind

    def secrets(self) -> dict[str, str]:
        """Everything that must not be read anywhere, by what it is."""
        made = self.installation.secrets
        story = yaml.safe_load(STORY.read_text())
        (application,) = story["provider"]["applications"]
        return {
            "the client secret": application["client_secret"],
            "the refresh token": application["refresh_token"],
            "the Fernet key": made.fernet_key,
            "the key of Airflow's tokens": made.jwt_secret,
            "the key of Airflow's forms": made.api_secret,
            **{f"{user}'s password": password for user, password in made.passwords.items()},
        }

    def logs(self) -> str:
        """Every log of every task and service."""
        folders = (self.installation.logs, self.installation.airflow_home / "logs")
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        return "\n".join(path.read_text(errors="replace") for path in files)

    def dump(self, which: str) -> str:
        """Every value of every table of one of the two databases: runs' conf, XCom, notes, all of the
        ledger."""
        metadata, ledger = Stack(self.installation, say=lambda line: None).database_urls()
        engine = create_engine({"metadata": metadata, "ledger": ledger}[which], poolclass=NullPool)
        with engine.connect() as connection:
            return "\n".join(
                str(row[0])
                for table in inspect(connection).get_table_names()
                for row in connection.execute(text(f'SELECT t::text FROM "{table}" t'))
            )

    # Everything at once

    def ending(self) -> Ending:
        """How it stands with Partner Center, Airflow and the ledger."""
        run_ids = {partner: f"{CAMPAIGN}__{partner}" for partner in PARTNERS}
        return Ending(
            world=self.world(),
            runs={partner: self.run(run_id) for partner, run_id in run_ids.items()},
            tasks={partner: self.tasks(run_id) for partner, run_id in run_ids.items()},
            status=json.loads(self.nce("status", "--json")),
        )

    def excerpt(self) -> str:
        """The lines of all logs that somebody reads first when something went wrong."""
        parts = []
        for log in [self._folder / "demo.log", *sorted(self.installation.logs.glob("*.log"))]:
            if log.exists():
                lines = log.read_text(errors="replace").splitlines()
                loud = [line for line in lines[:-8] if any(word in line for word in LOUD)][-12:]
                parts += [f"--- {log.name}", *loud, *lines[-8:]]
        for log in sorted((self.installation.airflow_home / "logs").rglob("attempt=*.log*")):
            lines = [
                line for line in log.read_text(errors="replace").splitlines() if '"level":"error"' in line
            ]
            if lines:
                parts += [f"--- {log.relative_to(self.installation.airflow_home / 'logs')}", _told(lines[-1])]
        return "\n".join(line[:600] for line in parts)


def _told(line: str | Mapping[str, Any]) -> str:
    """One line of a task's log without what only programs read."""
    if isinstance(line, str):
        try:
            line = dict(json.loads(line))
        except ValueError:
            return str(line)
    whys = [f"{each['exc_type']}: {each['exc_value']}" for each in line.get("error_detail") or []]
    reason = [str(line["reason"])] if line.get("reason") else []
    return " | ".join([str(line["event"]), *reason, *whys])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
