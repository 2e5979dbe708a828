"""Opt-outs as they come in: a list kept in a spreadsheet, or one typed in.

Responsible for reading when each was received, and for refusing a date that can be read in two ways: whether
an opt-out is in time hangs on it. What an opt-out means belongs to `domain.opt_out`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import NoReturn
from zoneinfo import ZoneInfo

from include.nce.domain.errors import InputRefused
from include.nce.domain.partner import known_zone
from include.nce.domain.subscription import is_guid, lower_guid
from include.nce.intake.table import Column, Row, Table, closest, decode, fault, read_table, refused
from include.nce.steps.people.record_opt_out import NewOptOut

COLUMNS = (
    Column("partner", ("slug", "sigla"), required=True),
    Column("customer", ("cliente", "customer tenant", "tenant cliente", "tenant")),
    Column("received", ("received_at", "ricevuto", "ricevuto il", "data", "data ricezione"), required=True),
    Column("zone", ("fuso orario", "fuso", "time zone")),
    Column("note", ("nota", "note")),
)

_TIME = r"(?:[T ]+(?P<hour>\d{1,2})[:.](?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.\d{1,9})?)?)"
_OFFSET = r"(?P<offset>Z|[+-]\d{2}:?\d{2})"
_ISO = re.compile(
    rf"^(?P<year>\d{{4}})-(?P<month>\d{{2}})-(?P<day>\d{{2}})(?:{_TIME}\s*{_OFFSET}?)?$", re.ASCII
)
_OTHER = re.compile(rf"^(?P<one>\d{{1,2}})[/.-](?P<two>\d{{1,2}})[/.-](?P<year>\d{{4}}){_TIME}?$", re.ASCII)
_SHORT_YEAR = re.compile(r"^\d{1,2}[/.-]\d{1,2}[/.-]\d{2}(\D|$)")
_FORMS = "write it like 2022-06-30 or 2022-06-30 17:45"


@dataclass(frozen=True)
class _Written:
    """A date as written, before anybody decided which number is the day."""

    text: str
    year: int
    numbers: tuple[int, int]
    """(month, day) of an ISO date; the first and second number of any other."""
    iso: bool
    clock: tuple[int, int, int] | None
    offset: str | None

    @property
    def only_day_first(self) -> bool:
        return not self.iso and self.numbers[0] > 12

    @property
    def only_month_first(self) -> bool:
        return not self.iso and self.numbers[1] > 12 >= self.numbers[0]

    @property
    def two_ways(self) -> bool:
        return not self.iso and max(self.numbers) <= 12 and self.numbers[0] != self.numbers[1]

    def instant(self, zone: str) -> datetime:
        """In UTC, the day coming first unless it is an ISO date. Raises `ValueError` with what is wrong."""
        month, day = self.numbers if self.iso else self.numbers[::-1]
        hour, minute, second = self.clock or (0, 0, 0)
        try:
            local = datetime(self.year, month, day, hour, minute, second, tzinfo=ZoneInfo(zone))
            if self.offset is not None:
                local = local.replace(tzinfo=_offset(self.offset))
            instant = local.astimezone(timezone.utc)
        except (ValueError, OverflowError):
            raise ValueError(f"'{self.text}' is no date and time that exists; {_FORMS}") from None
        if self.offset is None and self.clock is not None:
            if instant.astimezone(local.tzinfo).replace(tzinfo=None) != local.replace(tzinfo=None):
                raise ValueError(
                    f"'{self.text}' does not exist: clocks in {zone} went forward; correct the time"
                )
            if local.utcoffset() != local.replace(fold=1).utcoffset():
                raise ValueError(
                    f"'{self.text}' came twice: clocks in {zone} went back; write its offset, "
                    f"{local.isoformat()} or {local.replace(fold=1).isoformat()}"
                )
        return instant


def parse_received(text: str, zone: str, *, field: str = "received") -> datetime:
    """When one opt-out was received (UTC), as typed on a command line; in `zone` unless an offset is written.

    A date alone is that day from its first moment on: it is in time whenever the day is. ISO dates are read,
    and day/month/year where it can mean nothing else. Raises `InputRefused`.
    """
    try:
        return _instant(_read(text.strip()), zone, day_first=False)
    except ValueError as wrong:
        raise refused(field, None, None, str(wrong)) from None


def load_opt_outs(
    data: bytes,
    *,
    name: str,
    zone: str,
    known_partners: Collection[str],
    now_at: datetime,
) -> list[NewOptOut]:
    """The opt-outs of a CSV list, in file order. Raises `InputRefused` with every fault.

    Columns: `partner` (its id), `received`, and if need be `customer` (tenant id; empty means the whole
    partner), `zone` and `note`. `received` is an ISO date or date-time, or the Italian dd/MM/yyyy
    [HH:MM[:SS]], in the row's zone or else in `zone`. A date alone is that day from its first moment on: it
    is in time whenever the day is.

    dd/MM/yyyy that could as well be MM/dd/yyyy is taken for Italian only in a file divided by `;`, or when
    another row can be nothing else, and never in a file that also writes dates in another form. Refused as
    well: what lies after `now_at`, hours that the clocks skipped or repeated, and a partner or customer that
    is listed twice.
    """
    table = read_table(decode(data, name=name), COLUMNS, name=name)
    if not table.rows:
        raise refused(name, None, None, "it lists no opt-out; write one row for each")
    faults = list(table.faults)
    day_first = _day_first(table)
    opt_outs: list[NewOptOut] = []
    first_line: dict[tuple[str, str | None], int] = {}
    for row in table.rows:
        partner = _partner(row, known_partners, name, faults)
        customer = _customer(row, name, faults)
        received_at = _received(row, zone, now_at, name, faults, day_first=day_first)
        if partner is None:
            continue
        if (partner, customer) in first_line:
            whose = f"customer {customer} of '{partner}'" if customer else f"'{partner}'"
            what = f"{whose} is already on line {first_line[partner, customer]}; keep one of the two"
            faults.append(fault(name, row.line, "partner", what))
        first_line.setdefault((partner, customer), row.line)
        if received_at is not None:
            note = row.cells.get("note", "")
            opt_outs.append(NewOptOut(partner, received_at, customer, note))
    if faults:
        raise InputRefused(faults)
    return opt_outs


def _day_first(table: Table) -> bool:
    """Does the file as a whole prove that 05/06/2022 is the fifth of June?"""
    dates = []
    for row in table.rows:
        with suppress(ValueError):
            dates.append(_read(row.cells.get("received", "")))
    if any(date.iso or date.only_month_first for date in dates):
        return False
    return table.delimiter == ";" or any(date.only_day_first for date in dates)


def _received(
    row: Row, zone: str, now_at: datetime, name: str, faults: list[str], *, day_first: bool
) -> datetime | None:
    zone = row.cells.get("zone", zone)
    try:
        known_zone(zone)
    except ValueError as unknown:
        faults.append(fault(name, row.line, "zone", str(unknown)))
        return None
    written = row.cells.get("received", "")
    try:
        received_at = _instant(_read(written), zone, day_first=day_first)
    except ValueError as wrong:
        faults.append(fault(name, row.line, "received", str(wrong)))
        return None
    if received_at > now_at:
        faults.append(fault(name, row.line, "received", f"'{written}' lies in the future; correct the date"))
    return received_at


def _read(text: str) -> _Written:
    if not text:
        raise ValueError(f"the date is missing; {_FORMS}")
    if _SHORT_YEAR.match(text) and not _OTHER.match(text):
        raise ValueError(f"'{text}' has a year of two digits; {_FORMS}")
    found = _ISO.match(text) or _OTHER.match(text)
    if found is None:
        _no_date(text)
    part = found.groupdict()
    iso = "month" in part
    one, two = (part["month"], part["day"]) if iso else (part["one"], part["two"])
    clock = None
    if part["hour"] is not None:
        clock = (int(part["hour"]), int(part["minute"]), int(part["second"] or 0))
    return _Written(text, int(part["year"]), (int(one), int(two)), iso, clock, part.get("offset"))


def _no_date(text: str) -> NoReturn:
    shown = text if len(text) <= 60 else text[:57] + "..."
    raise ValueError(f"'{shown}' is no date; {_FORMS}")


def _instant(date: _Written, zone: str, *, day_first: bool) -> datetime:
    """What the date means; `day_first` says that others of its file prove that the day comes first."""
    one, two = date.numbers
    if date.only_month_first:
        raise ValueError(f"'{date.text}' has the month first; write {date.year:04}-{one:02}-{two:02}")
    if date.two_ways and not day_first:
        raise ValueError(
            f"'{date.text}' can be read in two ways; write {date.year:04}-{two:02}-{one:02} "
            f"or {date.year:04}-{one:02}-{two:02}"
        )
    return date.instant(zone)


def _offset(text: str) -> timezone:
    if text == "Z":
        return timezone.utc
    hours, minutes = int(text[1:3]), int(text[-2:])
    return timezone((-1 if text[0] == "-" else 1) * timedelta(hours=hours, minutes=minutes))


def _partner(row: Row, known: Collection[str], name: str, faults: list[str]) -> str | None:
    written = row.cells.get("partner", "")
    partner = written.lower()
    if partner in known:
        return partner
    what = (
        f"'{written}' is not in the roster; {closest(partner, sorted(known))}"
        if written
        else "the cell is empty; write the partner's id"
    )
    faults.append(fault(name, row.line, "partner", what))
    return None


def _customer(row: Row, name: str, faults: list[str]) -> str | None:
    written = row.cells.get("customer")
    if written is None:
        return None
    if not is_guid(written):
        faults.append(
            fault(
                name, row.line, "customer",
                f"'{written}' is no tenant id; it looks like 8-4-4-4-12 hexadecimal digits, and empty means "
                "the whole partner",
            )
        )  # fmt: skip
        return None
    return lower_guid(written)
