"""How answers look: tables and sentences for people, one JSON document for programs.

Texts from outside (names, reasons, offers) are shown as they are, never read as markup, and control
characters in them never reach the terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema
from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPED_COLUMNS = 10_000
"""Width of a table that goes into a file or another program: there, a row is a line."""


Instant = Annotated[
    datetime,
    PlainSerializer(lambda at: f"{at.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%SZ}", when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class Part(BaseModel):
    """A part of a document."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)


class Document(Part):
    """What `--json` prints. `schema` rises when a field changes its meaning or goes away."""

    schema_number: int = Field(default=1, alias="schema", description="Number of this document's shape.")


def print_json(document: BaseModel) -> None:
    """The document on standard output; instants are ISO 8601 in UTC, what is absent is null."""
    sys.stdout.write(document.model_dump_json(by_alias=True, indent=2) + "\n")


def say(sentence: str) -> None:
    """One line on standard output."""
    sys.stdout.write(f"{plain(sentence)}\n")


def remark(sentence: str) -> None:
    """One line on standard error: beside the answer, not part of it."""
    sys.stderr.write(f"{plain(sentence)}\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table without lines, as wide as the terminal; cells are folded, never cut off."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    width = None if sys.stdout.isatty() else PIPED_COLUMNS
    console = Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)
    with console.capture() as capture:
        console.print(table)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))


def plain(text: str) -> str:
    """`text` on one line, without what a terminal would obey."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text)


def in_zone(moment: datetime, zone: str) -> str:
    """`2022-07-01 00:00 Europe/Rome (2022-06-30 22:00 UTC)`."""
    in_utc = f"{_digits(moment.astimezone(timezone.utc))} UTC"
    return in_utc if zone == "UTC" else f"{_digits(moment.astimezone(ZoneInfo(zone)))} {zone} ({in_utc})"


def in_utc(moment: datetime | None) -> str:
    """`2022-06-30 22:00`; a dash when there is none."""
    return "-" if moment is None else _digits(moment.astimezone(timezone.utc))


def _digits(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment.second else f"{moment:%Y-%m-%d %H:%M}"
