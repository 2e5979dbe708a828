"""One caller at a time, across processes."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from scripts.stack.errors import StackError


@contextlib.contextmanager
def alone(lock: Path, doing: str) -> Iterator[None]:
    """Hold `lock` for as long as the block runs.

    Raises StackError at once when another process holds it; `doing` says what that one does.
    """
    with lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            raise StackError(
                f"Another make {doing} (process {file.read().strip()}); wait for its end."
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
