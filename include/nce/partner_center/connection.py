"""Where Partner Center is and who we are there: the Airflow connection `partner_center`, checked.

Responsible for reading and refusing; signing in belongs to `auth`, sending to `transport`.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from include.nce.domain.errors import InputRefused
from include.nce.partner_center.limits import DOCUMENTED, Limits, read_limits

CONNECTION_ID = "partner_center"
DEFAULT_ADDRESS = "https://api.partnercenter.microsoft.com"
"""Global cloud (partner-center-rest-urls, 07/03/2023)."""
DEFAULT_AUTHORITY = "https://login.microsoftonline.com"
"""Global cloud (partner-center-authentication, 6/14/2022)."""

_MICROSOFTS = (
    "microsoft.com",
    "microsoftonline.cn",
    "microsoftonline.com",
    "microsoftonline.us",
)
"""Whose hosts Partner Center and its sign-in service are, in all clouds (partner-center-rest-urls,
07/03/2023; partner-center-authentication, 6/14/2022)."""

_EXTRA_FIELDS = frozenset({"tenant_id", "refresh_token", "authority", "rehearsal", "limits"})


class AirflowConnection(Protocol):
    """What is read of an Airflow connection."""

    host: str | None
    port: int | None
    schema: str | None
    login: str | None
    password: str | None

    @property
    def extra_dejson(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class PartnerCenterConnection:
    """The provider's access to Partner Center. Its text never shows the secret or the refresh token.

    `address` and `authority` are scheme, host and port without a trailing slash. Either both are Microsoft's,
    over https, or `rehearsal` says that both are a simulator on this machine: secrets go nowhere else.
    `limits` are Microsoft's rate limits, or what the operator set instead.
    """

    tenant_id: str
    client_id: str
    client_secret: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    address: str = DEFAULT_ADDRESS
    authority: str = DEFAULT_AUTHORITY
    rehearsal: bool = False
    limits: Limits = field(default_factory=lambda: DOCUMENTED)

    def __post_init__(self) -> None:
        faults = _address_faults("host", self.address, self.rehearsal)
        faults += _address_faults("extra field 'authority'", self.authority, self.rehearsal)
        if faults:
            raise InputRefused(faults)

    @property
    def fingerprint(self) -> str:
        """Names the sign-in that an operator entered without giving it away: another refresh token or another
        sign-in service is another sign-in; a new client secret is not."""
        entered = json.dumps([self.authority, self.refresh_token])
        return hashlib.sha256(entered.encode()).hexdigest()

    @classmethod
    def from_airflow(cls, connection: AirflowConnection) -> PartnerCenterConnection:
        """Read the connection; raises `InputRefused` with one sentence for each thing that is wrong with
        it."""
        faults: list[str] = []
        try:
            extra: Mapping[str, Any] = connection.extra_dejson or {}
        except ValueError:
            extra = {}
            faults.append(_fault("extra", "is not JSON", 'write an object such as {"tenant_id": "..."}'))

        def text(name: str, value: Any, advice: str, *, needed: bool = True) -> str:
            if isinstance(value, str) and value.strip():
                return value.strip()
            if value is not None and not isinstance(value, str):
                faults.append(_fault(name, "is not a text", advice))
            elif needed:
                faults.append(_fault(name, "is empty", advice))
            return ""

        client_id = text("login", connection.login, "enter the client id of the app registration")
        client_secret = text(
            "password", connection.password, "enter the client secret of the app registration"
        )
        tenant = text("extra field 'tenant_id'", extra.get("tenant_id"), "enter the provider's own tenant id")
        refresh_token = text(
            "extra field 'refresh_token'",
            extra.get("refresh_token"),
            "enter the refresh token of the service account",
            needed=False,
        )
        authority = text(
            "extra field 'authority'",
            extra.get("authority"),
            f"leave it out for {DEFAULT_AUTHORITY}",
            needed=False,
        )
        # Airflow's form writes null for a box that nobody touched.
        rehearsal = extra.get("rehearsal") or False
        if not isinstance(rehearsal, bool):
            faults.append(
                _fault("extra field 'rehearsal'", "is neither true nor false", "write true or false")
            )
            rehearsal = False
        faults += [
            _fault(
                f"extra field '{name}'", "is not known", f"the fields are {', '.join(sorted(_EXTRA_FIELDS))}"
            )
            for name in sorted(set(extra) - _EXTRA_FIELDS)
        ]
        limits, wrong = read_limits(extra.get("limits"))
        faults += [f"Connection '{CONNECTION_ID}': {sentence}." for sentence in wrong]
        address = _address_of(connection)
        authority = authority.rstrip("/") or DEFAULT_AUTHORITY
        try:
            checked = cls(
                tenant_id=tenant,
                client_id=client_id,
                client_secret=client_secret,
                refresh_token=refresh_token or None,
                address=address,
                authority=authority,
                rehearsal=rehearsal,
                limits=limits,
            )
        except InputRefused as refused:
            raise InputRefused(faults + refused.faults) from None
        if faults:
            raise InputRefused(faults)
        return checked


def is_microsofts(host: str | None) -> bool:
    return host is not None and any(host == name or host.endswith(f".{name}") for name in _MICROSOFTS)


def is_loopback(host: str | None) -> bool:
    """Whether the host is this machine beyond doubt; of names only `localhost` is (RFC 6761)."""
    if not host:
        return False
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _address_of(connection: AirflowConnection) -> str:
    host = (connection.host or "").strip().rstrip("/")
    if not host:
        return DEFAULT_ADDRESS
    address = host if "://" in host else f"{connection.schema or 'https'}://{host}"
    return f"{address}:{connection.port}" if connection.port else address


def _address_faults(name: str, address: str, rehearsal: bool) -> list[str]:
    parts = urlsplit(address)
    try:
        port_is_readable = parts.port is None or parts.port > 0
    except ValueError:
        port_is_readable = False
    plain = parts.scheme in ("http", "https") and parts.hostname and port_is_readable
    if not plain or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        # Not repeated: somebody may have written a password into it.
        return [_fault(name, "is no plain address", "write scheme, host and port only")]
    if rehearsal and not is_loopback(parts.hostname):
        return [
            _fault(
                name,
                f"is '{address}' in a rehearsal",
                "a rehearsal talks to a simulator on this machine only",
            )
        ]
    if parts.scheme == "http" and not rehearsal:
        return [
            _fault(name, f"is '{address}', which is not encrypted", "use https, or mark it as a rehearsal")
        ]
    if not rehearsal and not is_microsofts(parts.hostname):
        return [
            _fault(
                name,
                f"is '{address}', which is not Microsoft's",
                "write Microsoft's address, or mark it as a rehearsal",
            )
        ]
    return []


def _fault(name: str, what: str, advice: str) -> str:
    return f"Connection '{CONNECTION_ID}': {name} {what}; {advice}."
