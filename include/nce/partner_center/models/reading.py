"""How wire texts become values: tolerant on the way in, exact on the way out.

Responsible for what all resources share: key case, empty texts, GUID case, dates of several precisions, open
lists of values, collections wrapped or bare. What a field means stands at its model.

Facts: contract conventions from the docs pages of each resource; casing, enum texts and null fields as the
Microsoft SDK reads them (partner-center-sdk-for-dotNET 3.4.0, EnumJsonConverter.cs).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import Enum
from functools import cache
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    PrivateAttr,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_MOMENT = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})"
    r"(?:[T ](?P<time>\d{2}:\d{2}(?::\d{2})?)(?:\.(?P<fraction>\d+))?)?"
    r"\s*(?P<zone>[Zz]|[+-]\d{2}:?\d{2})?"
)
_NEVER = "0001-01-01"
"""What .NET writes for a moment that was never set."""


def read_moment(value: Any) -> Any:
    """ISO 8601 with up to seven fractional digits, with `Z`, an offset or no zone (then UTC), as aware UTC.

    .NET's first moment means "not set" and reads as None. A moment whose UTC form no calendar holds is the
    last one there is.
    """
    if not isinstance(value, str):
        return value
    match = _MOMENT.fullmatch(value.strip())
    if match is None:
        raise ValueError(f"'{value}' is no date Partner Center is known to write")
    if match["date"] == _NEVER:
        return None
    clock = match["time"] or "00:00:00"
    moment = datetime.fromisoformat(f"{match['date']}T{clock if clock.count(':') == 2 else clock + ':00'}")
    moment = moment.replace(microsecond=int((match["fraction"] or "0")[:6].ljust(6, "0")))
    try:
        return (moment - _offset(match["zone"])).replace(tzinfo=timezone.utc)
    except OverflowError:
        return datetime.max.replace(tzinfo=timezone.utc)


def _offset(zone: str | None) -> timedelta:
    if zone is None or zone in "Zz":
        return timedelta()
    digits = zone[1:].replace(":", "")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return -offset if zone[0] == "-" else offset


def write_moment(value: datetime) -> str:
    """`2022-07-11T00:00:00Z`: what every documented request shows."""
    if value.tzinfo is None:
        raise ValueError("a moment that is sent needs a time zone")
    return value.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def read_guid(value: Any) -> Any:
    """Lower case when it is a GUID (both cases occur for the same id); any other text is left alone."""
    if isinstance(value, str) and _GUID.fullmatch(value.strip()):
        return value.strip().lower()
    return value


def read_text(value: Any) -> Any:
    """Text, also where Microsoft sends a number in its place (cart line ids, PartnerIDs)."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Moment = Annotated[datetime | None, BeforeValidator(read_moment)]
Guid = Annotated[str, BeforeValidator(read_guid)]
Text = Annotated[str, BeforeValidator(read_text)]


def _plain(text: str) -> str:
    return re.sub(r"[\s_]", "", text).lower()


@cache
def _members(kind: type[Enum]) -> dict[str, Enum]:
    return {_plain(str(member.value)): member for member in kind}


def known_text(kind: type[Enum]) -> BeforeValidator:
    """Reads a member of `kind` whatever its case, `_` and blanks; a text nobody knows stays the text it
    is."""

    def read(value: Any) -> Any:
        return _members(kind).get(_plain(value), value) if isinstance(value, str) else value

    return BeforeValidator(read)


@cache
def _names(kind: type[WireModel]) -> dict[str, str]:
    names = {(info.alias or name).lower(): info.alias or name for name, info in kind.model_fields.items()}
    for name, others in kind.also_called.items():
        alias = kind.model_fields[name].alias or name
        names.update({other.lower(): alias for other in others})
    return names


Wire = TypeVar("Wire", bound="WireModel")


@dataclass(frozen=True)
class Trace:
    """The ids of the call that brought something, by which Microsoft finds it (headers, 6/7/2022)."""

    request_id: str | None = None
    correlation_id: str | None = None

    def __str__(self) -> str:
        return f"request {self.request_id}, correlation {self.correlation_id}"


UNTRACED = Trace()


class WireModel(BaseModel):
    """A resource as Partner Center writes it: its names in camel case, ours in snake case.

    Keys are read in any case, null and "" count as absent, fields Microsoft adds are kept. The payload as it
    came stays in `raw`, for sending the whole resource back, and the ids of its answer in `trace`.
    """

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, extra="allow")

    also_called: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Other spellings the pages use for a field: our name -> wire names. Where both come, the first one
    counts."""

    _raw: dict[str, Any] = PrivateAttr(default_factory=dict)
    _trace: Trace = PrivateAttr(default=UNTRACED)

    @model_validator(mode="before")
    @classmethod
    def _tidy(cls, payload: Any) -> Any:
        if not isinstance(payload, dict):
            return payload
        names = _names(cls)
        tidy: dict[Any, Any] = {}
        for key, value in payload.items():
            if value is None or value == "":
                continue
            name = names.get(str(key).lower(), key)
            if name not in tidy or str(key).lower() == str(name).lower():
                tidy[name] = value
        return tidy

    @classmethod
    def read(cls: type[Wire], payload: Any, trace: Trace = UNTRACED) -> Wire:
        """The resource in `payload`; raises pydantic's `ValidationError` when a field cannot be read."""
        resource = cls.model_validate(payload)
        resource._raw = payload if isinstance(payload, dict) else {}
        resource._trace = trace
        return resource

    @property
    def raw(self) -> dict[str, Any]:
        return self._raw

    @property
    def trace(self) -> Trace:
        return self._trace


class RequestModel(BaseModel):
    """A request body: exact documented names, nothing that was not set, no field nobody documented."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, extra="forbid", frozen=True)

    def body(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


SentMoment = Annotated[AwareDatetime, PlainSerializer(write_moment)]


@dataclass(frozen=True)
class Unreadable:
    """One item of a collection that could not be read: the others are still good."""

    payload: Any
    why: str
    trace: Trace = field(default=UNTRACED, compare=False)

    @property
    def id(self) -> str:
        """The item's id as far as it has one."""
        if not isinstance(self.payload, dict):
            return ""
        return str(next((v for k, v in self.payload.items() if str(k).lower() == "id"), ""))


@dataclass(frozen=True)
class Collection(Generic[Wire]):
    """A list of resources, wrapped or bare on the wire.

    `continuation_token` is set when there are more pages. An item that cannot be read never takes the others
    with it: it stands in `unreadable`.
    """

    items: list[Wire] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    continuation_token: str | None = None
    trace: Trace = field(default=UNTRACED, compare=False)

    def __iter__(self) -> Iterator[Wire]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


def read_collection(
    kind: type[Wire],
    payload: Any,
    *,
    continuation_token: str | None = None,
    trace: Trace = UNTRACED,
) -> Collection[Wire]:
    """Reads `{"items": [...]}`, a bare array, or a lone item; raises ValueError for anything else.

    Wrapped is the rule; bare arrays are shown for qualifications, migrations, events and schedules, and a
    lone item for availabilities (get-a-list-of-availabilities-for-a-sku, 08/23/2023). `totalCount` is not
    trusted: examples show 37 with one item.
    """
    raw, token = _unwrap(payload)
    items: list[Wire] = []
    broken: list[Unreadable] = []
    for entry in raw:
        try:
            items.append(kind.read(entry, trace))
        except ValidationError as error:
            broken.append(Unreadable(entry, why_unreadable(kind, error), trace))
    return Collection(items, broken, continuation_token or token, trace)


def _unwrap(payload: Any) -> tuple[list[Any], str | None]:
    if isinstance(payload, list):
        return payload, None
    if not isinstance(payload, dict):
        raise ValueError("it is no collection")  # noqa: TRY004 - bad data, not a wrong call
    fields = {str(key).lower(): value for key, value in payload.items()}
    token = fields.get("continuationtoken")
    items = fields.get("items", fields.get("qualifications"))
    if isinstance(items, list):
        return items, token if isinstance(token, str) and token else None
    if fields.get("attributes", {}) == {"objectType": "Collection"} or fields.get("totalcount") == 0:
        return [], None
    if "id" in fields or "qualification" in fields:
        return [payload], None
    raise ValueError("it is no collection")


def why_unreadable(kind: type[BaseModel], error: ValidationError) -> str:
    """Which fields, and what was expected there; never the value, which may be somebody's name."""
    found = [
        f"{kind.__name__}.{'.'.join(str(part) for part in fault['loc']) or '(whole)'} ({fault['type']})"
        for fault in error.errors(include_input=False, include_url=False, include_context=False)
    ]
    return ", ".join(found[:5])
