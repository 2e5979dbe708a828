"""Make or refresh ``.venv`` from a lock file; run by ``scripts/venv`` with the Python it found.

Responsible for an environment that holds exactly what the lock says and the project itself, made once and
again when the lock, the project's own description, the place of the checkout or the interpreter changed.
Uses the standard library only. Leaves finding Python to ``scripts/venv``.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
CONTAINED = {"requirements.txt": "requirements-dev.txt"}
"""Lock files that another one contains: an environment for the tests serves the demo too."""


class CannotInstall(Exception):
    """Why there is no environment, in one sentence."""


def stamp(checkout: Path, lock: str) -> str:
    """What the environment of `lock` was made from."""
    made_from = (checkout / lock).read_bytes() + (checkout / "pyproject.toml").read_bytes()
    return hashlib.sha256(made_from).hexdigest() + f" {checkout}"


def is_fresh(checkout: Path, lock: str) -> bool:
    """Whether ``.venv`` holds what `lock` says."""
    noted = checkout / ".venv" / f"{lock}.stamp"
    if noted.exists() and noted.read_text() == stamp(checkout, lock):
        return _works(checkout)
    return lock in CONTAINED and is_fresh(checkout, CONTAINED[lock])


def refresh(checkout: Path, lock: str) -> None:
    """Bring ``.venv`` to what `lock` says. Raises CannotInstall."""
    python = checkout / ".venv" / "bin" / "python"
    if not _works(checkout):
        print(f"Making .venv with Python {sys.version.split()[0]}", flush=True)
        made = _run([sys.executable, "-m", "venv", "--clear", str(checkout / ".venv")])
        if made.returncode != 0:
            raise CannotInstall(
                f"Python {sys.version.split()[0]} at {sys.executable} cannot make a virtual environment; "
                "install its venv package (on Debian and Ubuntu: apt install python3-venv)."
            )
    print(f"Installing {lock} into .venv (a minute or two, once)", flush=True)
    _run([str(python), "-I", "-m", "ensurepip"])  # an interrupted or foreign environment may have no pip
    # The lock names every package, so pip has nothing to work out.
    pip = [str(python), "-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet"]
    pip += ["--no-user", "--no-deps"]
    # The project as it stands here, built by the lock's setuptools: so Airflow finds its connection type.
    itself = ["--no-index", "--no-build-isolation", "--editable", str(checkout)]
    for what, wish in [(lock, ["-r", str(checkout / lock)]), ("the project itself", itself)]:
        done = _run([*pip, *wish])
        if done.returncode != 0:
            log = checkout / ".venv" / "pip.log"
            log.write_text(done.stdout + done.stderr)
            raise CannotInstall(
                f"pip could not install {what} ({_reason(done.stderr)}); the whole story is in {log}."
            )
    (checkout / ".venv" / f"{lock}.stamp").write_text(stamp(checkout, lock))


def _works(checkout: Path) -> bool:
    """Whether ``.venv`` has a running interpreter of a version that fits and was made at this place."""
    python = checkout / ".venv" / "bin" / "python"
    config = checkout / ".venv" / "bin" / "activate"
    if not python.exists() or str(checkout) not in config.read_text(errors="replace"):
        return False
    check = "import sys; sys.exit(not ((3, 11) <= sys.version_info[:2] <= (3, 13)))"
    return _run([str(python), "-I", "-c", check]).returncode == 0


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _reason(text: str) -> str:
    errors = [line for line in text.splitlines() if line.startswith("ERROR:")]
    return errors[-1].removeprefix("ERROR:").strip().rstrip(".") if errors else "it gave no reason"


def main(checkout: Path, lock: str) -> int:
    """Make sure of ``.venv``; one caller at a time, the next one finds it done."""
    (checkout / ".local").mkdir(exist_ok=True)
    with (checkout / ".local" / "venv.lock").open("a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if is_fresh(checkout, lock):
            return 0
        try:
            refresh(checkout, lock)
        except CannotInstall as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    os.environ.pop("PYTHONHOME", None)
    os.environ.pop("PYTHONPATH", None)
    sys.exit(main(CHECKOUT, sys.argv[1]))
