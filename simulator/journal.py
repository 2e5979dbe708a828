"""Where the state survives a restart: one SQLite file, written before an answer leaves.

Responsible for rows of JSON by kind and id, and a few single values. With no file it keeps nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

Row = tuple[str, str, str | None]  # kind, id, JSON; None = removed


class Journal:
    """Durable rows. A killed process loses nothing that was saved; each `save` is one transaction."""

    def __init__(self, path: Path | None) -> None:
        self._database: sqlite3.Connection | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)  # the scenario in it holds client secrets
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._database.executescript(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
                "CREATE TABLE IF NOT EXISTS record (kind TEXT, id TEXT, body TEXT, PRIMARY KEY (kind, id));"
            )

    def save(self, rows: Iterable[Row], *, replace_all: bool = False) -> None:
        """Writes rows at once; with `replace_all` nothing else remains, except single values not named."""
        if self._database is None:
            return
        self._database.execute("BEGIN IMMEDIATE")
        try:
            if replace_all:
                self._database.execute("DELETE FROM record WHERE kind <> 'value'")
            for kind, key, body in rows:
                if body is None:
                    self._database.execute("DELETE FROM record WHERE kind = ? AND id = ?", (kind, key))
                else:
                    self._database.execute(
                        "INSERT INTO record VALUES (?, ?, ?)"
                        " ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
                        (kind, key, body),
                    )
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def rows(self, kind: str) -> Iterator[tuple[str, str]]:
        """Id and JSON of every row of a kind."""
        if self._database is not None:
            yield from self._database.execute(
                "SELECT id, body FROM record WHERE kind = ? ORDER BY rowid", (kind,)
            )

    def value(self, name: str) -> str | None:
        """A single value."""
        return dict(self.rows("value")).get(name)

    def close(self) -> None:
        """Ends the work with the file."""
        if self._database is not None:
            self._database.close()
            self._database = None
