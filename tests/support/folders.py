"""Folders for the servers of tests."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM_BYTES = 2_000_000_000


def server_folder(prefix: str) -> Path:
    """A new folder, in memory where there is room: PostgreSQL copies a database there twenty times as fast.

    Not pytest's own temporary folder: it is closed to the account under which root runs PostgreSQL.
    """
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_BYTES
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=MEMORY if roomy else None))
    folder.chmod(0o711)
    return folder
