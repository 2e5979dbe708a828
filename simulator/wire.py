"""How resources look on the wire: moments, links, collections, and the case of names in requests.

Responsible for forms that all resources share. Each resource renders itself in its own file under `routes`.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated, Any

from pydantic import BeforeValidator

from simulator.schema import read_moment


def wire_moment(value: object) -> datetime | None:
    """Callers write moments with any number of fractional digits and also without a zone, which means UTC."""
    if not isinstance(value, str) or not value:
        return None
    moment = read_moment(value)
    return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)


WireMoment = Annotated[datetime, BeforeValidator(wire_moment)]
OptionalWireMoment = Annotated[datetime | None, BeforeValidator(wire_moment)]


def stamp(moment: datetime) -> str:
    """A moment as most resources write it: seven fractional digits when there is a fraction."""
    moment = moment.astimezone(timezone.utc)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    return f"{text}.{moment.microsecond:06d}7Z" if moment.microsecond else f"{text}Z"


def stamp7(moment: datetime) -> str:
    """A moment as migrations write it: always seven fractional digits."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f") + "7Z"


def day(moment: datetime) -> str:
    """The day of a moment as midnight."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT00:00:00Z")


def link(uri: str, method: str = "GET") -> dict[str, Any]:
    """A link; the uri is relative to /v1."""
    return {"uri": uri, "method": method, "headers": []}


def collection(items: list[Any], uri: str | None = None) -> dict[str, Any]:
    """A wrapped collection."""
    body: dict[str, Any] = {"totalCount": len(items), "items": items}
    if uri is not None:
        body["links"] = {"self": link(uri)}
    return body | {"attributes": {"objectType": "Collection"}}


def present(**fields: Any) -> dict[str, Any]:
    """The fields that are not None: absent fields are left out."""
    return {name: value for name, value in fields.items() if value is not None}


def camel_case(body: Any) -> Any:
    """A request body with every name in camelCase: the server takes PascalCase as well."""
    if isinstance(body, dict):
        return {f"{name[:1].lower()}{name[1:]}": camel_case(value) for name, value in body.items()}
    return [camel_case(value) for value in body] if isinstance(body, list) else body
