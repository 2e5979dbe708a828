"""Long-running programs of the stack: start them, recognise them again, stop them.

Each runs in a session of its own, so that Ctrl-C in the terminal that started it does not reach it. What
was started is noted in a file; a noted process is ours only if it still is the same process, not merely
the same number. Leaves what is started, in which order and when it is healthy to `scripts.stack.stack`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import psutil

from scripts.stack.errors import StackError
from scripts.stack.private import write_private

STOP_SECONDS = 20
LARGEST_LOG_BYTES = 50_000_000


@dataclass(frozen=True)
class Service:
    """One program; `port` is the one it listens on, `port_setting` the variable that moves it."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    port: int | None = None
    port_setting: str | None = None

    @property
    def fingerprint(self) -> str:
        """Changes when the program would have to be started differently."""
        ours = {
            name: value for name, value in self.environment.items() if name.startswith(("AIRFLOW", "NCE_"))
        }
        text = json.dumps([list(self.command), sorted(ours.items())])
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class _Note:
    pid: int
    created_at: float
    fingerprint: str


class Keeper:
    """Keeps the notes in `notes` and the outputs of the services in `logs`."""

    def __init__(self, notes: Path, logs: Path) -> None:
        self._notes = notes
        self._logs = logs
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def log(self, name: str) -> Path:
        """The file that holds what the service prints."""
        return self._logs / f"{name}.log"

    def process(self, name: str) -> psutil.Process | None:
        """The running process of a service, None when it does not run."""
        note = self._read(name)
        return None if note is None else _same_process(note)

    def is_noted(self, name: str) -> bool:
        """Whether the service was started and nobody has stopped it since; it may have died."""
        return self._path(name).exists()

    def start(self, service: Service) -> bool:
        """Start `service` unless it runs as it should; return whether it had to be started.

        What a dead or outdated one left behind is ended first: a task of a killed scheduler must not go on
        beside the one that replaces it. Raises StackError when the port belongs to somebody else.
        """
        note = self._read(service.name)
        if note and note.fingerprint == service.fingerprint and _same_process(note):
            return False
        self.stop([service.name])
        if service.port is not None:
            refuse_taken_port(service.port, service.port_setting or service.name)
        with self._open_log(service.name) as output:
            self._children[service.name] = started = subprocess.Popen(
                list(service.command),
                env=dict(service.environment),
                cwd=service.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        created_at = psutil.Process(started.pid).create_time()
        write_private(
            self._path(service.name), json.dumps(asdict(_Note(started.pid, created_at, service.fingerprint)))
        )
        return True

    def stop(self, names: Sequence[str]) -> None:
        """Ask the services to end, all at once, and end what has not ended after `STOP_SECONDS`."""
        notes = [(name, note) for name in names if (note := self._read(name)) is not None]
        asked = [process for _, note in notes if (process := _same_process(note)) is not None]
        for process in asked:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        while any(_is_alive(process) for process in asked) and time.monotonic() < deadline:
            time.sleep(0.1)
        for name, note in notes:
            for process in _session(note):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGKILL)
            if name in self._children:
                self._children.pop(name).wait(STOP_SECONDS)
            self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._notes / f"{name}.json"

    def _read(self, name: str) -> _Note | None:
        try:
            return _Note(**json.loads(self._path(name).read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def _open_log(self, name: str) -> BinaryIO:
        path = self.log(name)
        if path.exists() and path.stat().st_size > LARGEST_LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def refuse_taken_port(port: int, setting: str) -> None:
    """Raise StackError when something listens on `port` of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise StackError(
                f"Port {port} of this machine is taken{_owner(port)}; stop that program or set {setting} "
                "to a free port."
            ) from error


def _owner(port: int) -> str:
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                with contextlib.suppress(psutil.Error):
                    return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    return ""


def _same_process(note: _Note) -> psutil.Process | None:
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(note.pid)
        if abs(process.create_time() - note.created_at) < 0.5 and _is_alive(process):
            return process
    return None


def _is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _session(note: _Note) -> list[psutil.Process]:
    """All live processes of the session that the noted process opened, whether or not it still lives."""
    with contextlib.suppress(psutil.Error):
        leader = psutil.Process(note.pid)
        if abs(leader.create_time() - note.created_at) >= 0.5:
            return []  # the number was given to somebody else
    members = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
            later = process.create_time() >= note.created_at - 0.5
            if os.getsid(process.pid) == note.pid and later and _is_alive(process):
                members.append(process)
    return members
