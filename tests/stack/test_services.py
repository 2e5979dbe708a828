"""Starting programs, recognising them again and ending them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from scripts.stack import services
from scripts.stack.errors import StackError
from scripts.stack.services import Keeper, Service

WAIT_S = 10.0
SLEEP = "import time; time.sleep(300)"
STUBBORN = f"""
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
{SLEEP}
"""
WITH_CHILD = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {SLEEP!r}])
print(child.pid, flush=True)
child.wait()
"""


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    for name in ("run", "logs"):
        (tmp_path / name).mkdir()
    keeper = Keeper(tmp_path / "run", tmp_path / "logs")
    yield keeper
    keeper.stop(["sleeper"])


def _service(folder: Path, code: str = SLEEP, *, port: int | None = None, **settings: str) -> Service:
    return Service(
        "sleeper", [sys.executable, "-c", code], {**os.environ, **settings}, folder, port, "NCE_PORT"
    )


def _pid(keeper: Keeper) -> int:
    process = keeper.process("sleeper")
    assert process is not None
    return process.pid


def _soon(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_what_runs_is_kept(keeper: Keeper, tmp_path: Path) -> None:
    assert keeper.start(_service(tmp_path)) is True
    pid = _pid(keeper)
    assert keeper.start(_service(tmp_path)) is False
    assert _pid(keeper) == pid


def test_what_would_be_started_differently_now_is_started_again(keeper: Keeper, tmp_path: Path) -> None:
    keeper.start(_service(tmp_path, NCE_THING="old"))
    before = _pid(keeper)
    assert keeper.start(_service(tmp_path, NCE_THING="new")) is True
    assert _pid(keeper) != before


def test_a_dead_one_is_started_again(keeper: Keeper, tmp_path: Path) -> None:
    keeper.start(_service(tmp_path))
    psutil.Process(_pid(keeper)).kill()
    _soon(lambda: keeper.process("sleeper") is None)
    assert keeper.start(_service(tmp_path)) is True


def test_a_number_that_was_given_to_somebody_else_is_not_ours(keeper: Keeper, tmp_path: Path) -> None:
    somebody = subprocess.Popen([sys.executable, "-c", SLEEP], start_new_session=True)
    note = {"pid": somebody.pid, "created_at": 1.0, "fingerprint": ""}
    (tmp_path / "run" / "sleeper.json").write_text(json.dumps(note))
    try:
        assert keeper.process("sleeper") is None
        keeper.stop(["sleeper"])
        assert somebody.poll() is None
    finally:
        somebody.kill()
        somebody.wait()


def test_a_broken_note_means_that_it_does_not_run(keeper: Keeper, tmp_path: Path) -> None:
    (tmp_path / "run" / "sleeper.json").write_text("{")
    assert keeper.process("sleeper") is None


def test_what_a_killed_one_left_behind_ends_before_it_is_replaced(keeper: Keeper, tmp_path: Path) -> None:
    keeper.start(_service(tmp_path, WITH_CHILD))
    _soon(lambda: keeper.log("sleeper").read_text().strip())
    orphan = int(keeper.log("sleeper").read_text())
    psutil.Process(_pid(keeper)).kill()
    _soon(lambda: keeper.process("sleeper") is None)
    assert _lives(orphan)

    keeper.start(_service(tmp_path))

    _soon(lambda: not _lives(orphan))


def test_one_that_does_not_listen_is_ended_all_the_same(
    keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "STOP_SECONDS", 0.2)
    keeper.start(_service(tmp_path, STUBBORN))
    _soon(lambda: "deaf" in keeper.log("sleeper").read_text())
    pid = _pid(keeper)
    keeper.stop(["sleeper"])
    _soon(lambda: not _lives(pid))


def test_it_does_not_hear_the_terminal_of_who_started_it(keeper: Keeper, tmp_path: Path) -> None:
    keeper.start(_service(tmp_path))
    assert os.getsid(_pid(keeper)) != os.getsid(0)


def test_a_taken_port_is_named_with_the_setting_that_moves_it(keeper: Keeper, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StackError, match=rf"Port {port} .* is taken.*NCE_PORT"):
            keeper.start(_service(tmp_path, port=port))
    assert keeper.process("sleeper") is None


def test_logs_are_readable_by_their_owner_only(keeper: Keeper, tmp_path: Path) -> None:
    keeper.start(_service(tmp_path))
    assert keeper.log("sleeper").stat().st_mode & 0o077 == 0


def test_stopped_is_told_from_died(keeper: Keeper, tmp_path: Path) -> None:
    keeper.start(_service(tmp_path))
    psutil.Process(_pid(keeper)).kill()
    _soon(lambda: keeper.process("sleeper") is None)
    assert keeper.is_noted("sleeper")
    keeper.stop(["sleeper"])
    assert not keeper.is_noted("sleeper")
