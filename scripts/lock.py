"""``python -m scripts.lock``: write both lock files anew from pyproject.toml, with uv.

One lock for every Python and platform the project runs on. An entry that still fits is kept; give
``--upgrade`` to take the newest of everything.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
COMPILE = (
    "pip",
    "compile",
    "pyproject.toml",
    "--universal",
    "--python-version",
    "3.11",
    "--no-header",
    "--quiet",
)
LOCKS = (
    ("--output-file", "requirements.txt"),
    ("--extra", "dev", "--constraint", "requirements.txt", "--output-file", "requirements-dev.txt"),
)


def main(arguments: list[str]) -> int:
    """Write the lock files; 0 when both were written."""
    uv = shutil.which("uv")
    if uv is None:
        print(
            "make lock needs uv on the PATH; see https://docs.astral.sh/uv/ for how to install it.",
            file=sys.stderr,
        )
        return 1
    for lock in LOCKS:
        done = subprocess.run([uv, *COMPILE, *lock, *arguments], cwd=CHECKOUT, check=False)
        if done.returncode != 0:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
