"""The roster: who the partners are, from a spreadsheet (CSV) or from a program (JSON).

Responsible for turning bytes into partners and for saying what is wrong with them, all faults at once.
Fetching the bytes, and storing the partners, is others' work.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence

from pydantic import ValidationError

from include.nce.domain.campaign import slug
from include.nce.domain.errors import InputRefused
from include.nce.domain.partner import Partner
from include.nce.intake.table import (
    Column,
    Row,
    Table,
    closest,
    column_of,
    decode,
    fault,
    read_table,
    refused,
)

COLUMNS = (
    Column("partner", ("slug", "partner slug", "sigla")),
    Column("name", ("nome", "ragione sociale", "denominazione"), required=True),
    Column("tenant_id", ("tenant", "id tenant", "tenant id"), required=True),
    Column("mpn_id", ("mpn", "partnerid", "id mpn", "codice mpn")),
    Column("country", ("paese", "nazione")),
    Column("province", ("provincia",)),
    Column("zone", ("fuso orario", "fuso", "time zone")),
    Column("language", ("lingua",)),
)
"""What a roster may say. `name` and `tenant_id` must be there; the rest has the defaults of `Partner`."""

_OWN = ("partner", "tenant_id", "mpn_id")
"""What no two partners share."""
_PUNCTUATION = re.compile(r"\s*([\[\],])?\s*")

_WHAT_HELPS = {
    "partner": "write lower-case letters, digits and hyphens, such as rossi-informatica",
    "mpn_id": "write the local PartnerID, 1 to 10 digits",
    "country": "write the two letters of the country, such as IT",
    "language": "write the two letters of the language, such as it",
    "name": "write the partner's name",
}


def load_roster(text_or_bytes: str | bytes, *, name: str) -> list[Partner]:
    """The partners in file order. `name` is how sentences call the file.

    CSV with `;`, `,` or tab and a header in English or Italian, or a JSON array of objects with the same
    names. A partner without a `partner` cell gets its id from its name. Raises `InputRefused`.
    """
    text = decode(text_or_bytes, name=name) if isinstance(text_or_bytes, bytes) else text_or_bytes
    text = text.removeprefix("\ufeff")
    if text.lstrip()[:1] in ("[", "{"):
        table = _json_table(text, name)
    else:
        table = read_table(text, COLUMNS, name=name)
    if not table.rows:
        raise refused(name, None, None, "it lists no partner; write one row for each partner")
    faults = list(table.faults)
    partners: list[Partner] = []
    own: list[tuple[int, Mapping[str, str | None]]] = []
    for row in table.rows:
        fields = _fields(row)
        try:
            partner = Partner.model_validate(fields)
            partners.append(partner)
            own.append((row.line, {field: getattr(partner, field) for field in _OWN}))
        except ValidationError as invalid:
            faults.extend(_sentences(invalid, row, name))
            own.append((row.line, {field: fields.get(field, "").lower() or None for field in _OWN}))
    faults.extend(_duplicates(own, name))
    if faults:
        raise InputRefused(faults)
    return partners


def _fields(row: Row) -> dict[str, str]:
    fields = dict(row.cells)
    if "partner" not in fields and "name" in fields:
        letters = unicodedata.normalize("NFKD", fields["name"])
        fields["partner"] = slug("".join(c for c in letters if not unicodedata.combining(c)))[:60].strip("-")
    for field, change in (("country", str.upper), ("language", str.lower)):
        if field in fields:
            fields[field] = change(fields[field])
    return fields


def _sentences(invalid: ValidationError, row: Row, name: str) -> Iterator[str]:
    for error in invalid.errors():
        field = str(error["loc"][0]) if error["loc"] else None
        if error["type"] == "missing":
            if field == "partner":
                continue  # it would have been made from the missing name
            yield fault(name, row.line, field, "the cell is empty; fill it in")
        elif field == "partner" and "partner" not in row.cells:
            yield fault(
                name, row.line, "name",
                f"no id can be made of '{row.cells.get('name', '')}'; add a column 'partner' with one",
            )  # fmt: skip
        elif error["type"] == "value_error":
            yield fault(name, row.line, field, str(error["ctx"]["error"]))
        else:
            what = _WHAT_HELPS.get(field or "", error["msg"])
            yield fault(name, row.line, field, f"'{row.cells.get(field or '', '')}' cannot be used; {what}")


def _duplicates(own: Sequence[tuple[int, Mapping[str, str | None]]], name: str) -> Iterator[str]:
    """Rows with another fault count, too: one reading tells all there is to correct."""
    for field in _OWN:
        first_line: dict[str, int] = {}
        for line, values in own:
            value = values[field]
            if value is None:
                continue
            if value in first_line:
                yield fault(
                    name, line, field,
                    f"'{value}' is already on line {first_line[value]}; each partner has its own",
                )  # fmt: skip
            first_line.setdefault(value, line)


def _json_table(text: str, name: str) -> Table:
    """The objects of a JSON array, each with the line on which it starts."""
    faults: list[str] = []
    rows = [Row(line, _json_cells(pairs, line, name, faults)) for line, pairs in _json_objects(text, name)]
    return Table(rows, "", faults)


def _json_objects(text: str, name: str) -> Iterator[tuple[int, list[tuple[str, object]]]]:
    decoder = json.JSONDecoder(object_pairs_hook=lambda pairs: pairs)
    at, expected = 0, "["
    while True:
        between = next(_PUNCTUATION.finditer(text, at))
        mark, start = between.group(1), between.end()
        line = text.count("\n", 0, start) + 1
        if mark == "]" and expected == ",":
            break
        if mark != expected:
            raise refused(name, line, None, f"'{expected}' is missing before this; write an array of objects")
        if expected == "[" and text[start : start + 1] == "]":
            start += 1
            break
        if text[start : start + 1] != "{":
            raise refused(name, line, None, "an object is expected here; write an array of objects")
        try:
            pairs, at = decoder.raw_decode(text, start)
        except json.JSONDecodeError as broken:
            raise refused(name, broken.lineno, None, f"this is no JSON: {broken.msg}") from None
        except (ValueError, RecursionError):
            raise refused(name, line, None, "this object cannot be read; write texts as its values") from None
        yield line, pairs
        expected = ","
    if text[start:].strip():
        raise refused(name, line, None, "the array ends here, and more follows; remove what follows")


def _json_cells(
    pairs: Sequence[tuple[str, object]], line: int, name: str, faults: list[str]
) -> dict[str, str]:
    cells: dict[str, str] = {}
    seen: set[str] = set()
    for key, value in pairs:
        column = column_of(key, COLUMNS)
        if column is None:
            hint = closest(key, [c.name for c in COLUMNS])
            faults.append(fault(name, line, f"'{key}'", f"this field is not known; {hint}"))
        elif column.name in seen:
            faults.append(fault(name, line, f"'{key}'", f"'{column.name}' is given twice; keep one"))
        elif isinstance(value, bool) or not isinstance(value, str | int | None):
            faults.append(fault(name, line, f"'{key}'", "its value is no text; write it in quotation marks"))
        elif value is not None and str(value).strip():
            cells[column.name] = str(value).strip()
        if column is not None:
            seen.add(column.name)
    return cells
