"""Reading a table as people save it: bytes to rows of named cells, each with the line it stands on.

Responsible for encodings, delimiters, headers in two languages and everything that is wrong with the table
as a table. What a cell means belongs to `roster` and `opt_out_list`. Cells are text and stay text: one that
starts with `=` is never anything but its characters.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from include.nce.domain.errors import InputRefused

DELIMITERS = (";", "\t", ",")
_SEPARATOR_LINE = re.compile(r"^\s*\"?sep=([;,\t])\"?\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class Column:
    """A column: the name faults call it by, and what people write over it."""

    name: str
    aliases: tuple[str, ...] = ()
    required: bool = False


@dataclass(frozen=True)
class Row:
    """One row. `cells` maps a column's own name to its text, without the empty ones; `line` counts from 1."""

    line: int
    cells: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """The rows that say something, what divided their cells, and the faults of the table's form."""

    rows: Sequence[Row]
    delimiter: str
    faults: Sequence[str]


def fault(name: str, line: int | None, field: str | None, what: str) -> str:
    """`roster.csv, line 4, tenant_id: what.`: the form of every sentence about something people wrote."""
    where = name + (f", line {line}" if line is not None else "") + (f", {field}" if field else "")
    return f"{where}: {what}" if what.endswith(("?", ".")) else f"{where}: {what}."


def refused(name: str, line: int | None, field: str | None, what: str) -> InputRefused:
    """The one fault that ends the reading of a file."""
    return InputRefused([fault(name, line, field, what)])


def meant(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant."""
    return next(iter(get_close_matches(word, list(known), n=1, cutoff=0.6)), None)


def closest(word: str, known: Sequence[str]) -> str:
    """`did you mean 'x'?`, or what there is to choose from."""
    near = meant(word, known)
    return f"did you mean '{near}'?" if near else f"known are: {', '.join(known)}"


def decode(data: bytes, *, name: str) -> str:
    """UTF-8 with or without a byte-order mark, UTF-16 with one, else what spreadsheets on Windows write."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16"]
    else:
        encodings = ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
        break
    raise refused(name, None, None, "it is no text file; save it as CSV with UTF-8 encoding")


def read_table(text: str, columns: Sequence[Column], *, name: str) -> Table:
    """The table in `text`. Raises `InputRefused` without a usable header or when cells run together."""
    if not text.strip():
        raise refused(name, None, None, f"the file is empty; its first line names {_names(columns)}")
    text, first_line, delimiter = _delimiter(text, columns)
    lines = _records(text, delimiter, first_line, name)
    header_line, header = next(lines, (first_line, []))
    faults: list[str] = []
    positions = _header(header, columns, header_line, name, faults)
    rows = []
    for line, cells in lines:
        faults.extend(
            fault(
                name, line, f"column {position + 1}",
                f"'{_short(cell)}' stands under no header; name the column or empty the cell",
            )
            for position, cell in enumerate(cells)
            if cell and (position >= len(header) or not header[position])
        )  # fmt: skip
        named = {column: cells[at] for column, at in positions.items() if at < len(cells) and cells[at]}
        if named:
            rows.append(Row(line, named))
    return Table(rows, delimiter, faults)


def column_of(heading: str, columns: Sequence[Column]) -> Column | None:
    """The column a heading stands for: case, accents, blanks and underscores do not matter."""
    plain = _plain(heading)
    return next((c for c in columns if plain in {_plain(word) for word in (c.name, *c.aliases)}), None)


def _plain(heading: str) -> str:
    letters = unicodedata.normalize("NFKD", heading).casefold()
    return "".join(letter for letter in letters if letter.isalnum())


def _names(columns: Sequence[Column]) -> str:
    return ", ".join(c.name for c in columns if c.required)


def _short(cell: str) -> str:
    return cell if len(cell) <= 60 else cell[:57] + "..."


def _delimiter(text: str, columns: Sequence[Column]) -> tuple[str, int, str]:
    """Text from its header on, the header's line, and the delimiter under which most headings are known.

    Some spreadsheets write their delimiter above the header, as `sep=;`.
    """
    lines = io.StringIO(text, newline="").readlines()
    written = [at for at, line in enumerate(lines) if line.strip()]
    declared = _SEPARATOR_LINE.match(lines[written[0]])
    header = written[1] if declared is not None and len(written) > 1 else written[0]

    def known(delimiter: str) -> int:
        headings = lines[header].strip().split(delimiter)
        return sum(column_of(heading.strip(' "'), columns) is not None for heading in headings)

    delimiter = declared.group(1) if declared is not None else max(DELIMITERS, key=known)
    return "".join(lines[header:]), header + 1, delimiter


def _records(text: str, delimiter: str, first_line: int, name: str) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not empty, with the line on which it starts and its cells stripped of blanks."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = first_line
    try:
        for record in reader:
            cells = [cell.strip() for cell in record]
            if any(cells):
                yield line, cells
            line = first_line + reader.line_num
    except csv.Error as broken:
        quotes = any(words in str(broken) for words in ("expected after", "end of data"))
        what = "a quotation mark is not closed" if quotes else f"the row cannot be read ({broken})"
        raise refused(name, line, None, f"{what}; correct it in the spreadsheet and save again") from None


def _header(
    header: Sequence[str], columns: Sequence[Column], line: int, name: str, faults: list[str]
) -> dict[str, int]:
    positions: dict[str, int] = {}
    spellings = {word: c.name for c in columns for word in (c.name, *c.aliases)}
    for at, heading in enumerate(header):
        if not heading:
            continue
        column = column_of(heading, columns)
        if column is None:
            near = meant(heading.casefold(), spellings)
            hint = (
                f"did you mean '{near}'?"
                if near
                else f"remove the column or call it one of {', '.join(c.name for c in columns)}"
            )
            faults.append(fault(name, line, f"column '{_short(heading)}'", f"it is not known; {hint}"))
        elif column.name in positions:
            faults.append(
                fault(
                    name, line, f"column '{_short(heading)}'",
                    f"'{column.name}' is already column {positions[column.name] + 1}; keep one of the two",
                )
            )  # fmt: skip
        else:
            positions[column.name] = at
    if not positions:
        what = f"this is no header; its columns are {_names(columns)}, divided by ';', ',' or tab"
        raise refused(name, line, None, what)
    missing = [c for c in columns if c.required and c.name not in positions]
    if missing:
        faults.extend(
            fault(name, line, c.name, f"the column is missing; add it (or as: {', '.join(c.aliases)})")
            for c in missing
        )
        raise InputRefused(faults)
    return positions
