"""Tokens for Partner Center: both kinds, renewed early, one request however many ask.

Responsible for signing in through msal and for handing on a rotated refresh token. Which call needs which
kind stands at the call; where a refresh token is kept is the business of whoever passes a
`RefreshTokenStore`.

Facts: partner-center-authentication (6/14/2022), enable-secure-app-model (12/09/2021). Access tokens live
about an hour, refresh tokens 90 days; an answer may bring a new refresh token that replaces the old one.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol
from urllib.parse import urlsplit

from include.nce.partner_center.connection import PartnerCenterConnection, is_loopback
from include.nce.partner_center.errors import CredentialsRefused, Unreachable

SCOPE = "https://api.partnercenter.microsoft.com/.default"
RENEWED_EARLY_BY_SECONDS = 300.0
"""As Microsoft's bulk migration tool does: a token never runs out between two parts of one request."""
SIGN_IN_TIMEOUT_SECONDS = 60.0

log = logging.getLogger(__name__)


class TokenKind(str, Enum):
    """For whom the token speaks: the application alone, or the service account through it."""

    APP = "app"
    APP_AND_USER = "app and user"


@dataclass(frozen=True)
class Token:
    """`expires_at_monotonic_seconds` counts on the clock given to `TokenSource`."""

    value: str = field(repr=False)
    expires_at_monotonic_seconds: float


class RefreshTokenStore(Protocol):
    """Keeps the refresh token between processes. Both are called in a thread, never two at once."""

    def load(self) -> str | None:
        """The newest refresh token, or None when nothing was stored yet."""

    def save(self, refresh_token: str) -> None:
        """Microsoft rotated it: this one replaces what was stored."""


class InMemoryRefreshTokens:
    """Keeps a rotated refresh token for as long as the process lives."""

    def __init__(self) -> None:
        self._token: str | None = None

    def load(self) -> str | None:
        return self._token

    def save(self, refresh_token: str) -> None:
        self._token = refresh_token


class TokenSource:
    """Gives access tokens of both kinds; clients of one event loop may share it.

    Raises `CredentialsRefused` when the sign-in service says no (an expired secret or refresh token, a
    missing second factor) and `Unreachable` when it does not answer: both before anything was sent to
    Partner Center."""

    def __init__(
        self,
        connection: PartnerCenterConnection,
        *,
        refresh_tokens: RefreshTokenStore | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._refresh_tokens: RefreshTokenStore = refresh_tokens or InMemoryRefreshTokens()
        self._monotonic = monotonic
        self._tokens: dict[TokenKind, Token] = {}
        self._lock = asyncio.Lock()
        self._application: Any = None

    async def token(self, kind: TokenKind) -> str:
        """A token that is good for at least five more minutes."""
        return await self._token(kind, refused=None)

    async def renewed(self, kind: TokenKind, refused: str) -> str:
        """A token other than `refused`, which Partner Center did not accept although it had not run out."""
        return await self._token(kind, refused=refused)

    async def _token(self, kind: TokenKind, *, refused: str | None) -> str:
        held = self._held(kind, refused)
        if held is not None:
            return held
        async with self._lock:
            held = self._held(kind, refused)
            if held is None:
                # msal blocks, and so may a store.
                token = await asyncio.to_thread(self._request, kind)
                self._tokens[kind] = token
                held = token.value
            return held

    def _held(self, kind: TokenKind, refused: str | None) -> str | None:
        token = self._tokens.get(kind)
        if token is None or token.value == refused:
            return None
        good_until = token.expires_at_monotonic_seconds - RENEWED_EARLY_BY_SECONDS
        return token.value if self._monotonic() < good_until else None

    def _request(self, kind: TokenKind) -> Token:
        import requests
        from msal.exceptions import MsalServiceError

        asked_at = self._monotonic()
        try:
            result = self._app_token() if kind is TokenKind.APP else self._user_token()
        except (requests.RequestException, MsalServiceError, json.JSONDecodeError) as error:
            raise Unreachable(
                f"The sign-in service {self._connection.authority} does not answer "
                f"({type(error).__name__}); it is asked again by itself.",
                operation="sign in",
            ) from error
        except ValueError as error:
            raise CredentialsRefused(
                f"The sign-in service {self._connection.authority} does not know tenant "
                f"'{self._connection.tenant_id}'; operators check the connection 'partner_center'.",
                operation="sign in",
            ) from error
        value = result.get("access_token")
        if not isinstance(value, str):
            raise _sign_in_refused(kind, result)
        rotated = result.get("refresh_token")
        if kind is TokenKind.APP_AND_USER and isinstance(rotated, str) and rotated != self._refresh_token():
            self._refresh_tokens.save(rotated)
        lifetime = float(result.get("expires_in") or 3600)
        log.info("signed in to Partner Center as %s, good for %d s", kind.value, lifetime)
        return Token(value, asked_at + lifetime)

    def _app_token(self) -> Mapping[str, Any]:
        application = self._msal()
        # msal keeps app-only tokens itself and has no other way to be asked for a new one.
        application.remove_tokens_for_client()
        result: Mapping[str, Any] = application.acquire_token_for_client(scopes=[SCOPE])
        return result

    def _user_token(self) -> Mapping[str, Any]:
        refresh_token = self._refresh_token()
        if refresh_token is None:
            raise CredentialsRefused(
                "Connection 'partner_center' has no refresh token, which the checks need; an operator signs "
                "in with the service account and enters it as extra field 'refresh_token'.",
                operation="sign in",
            )
        result: Mapping[str, Any] = self._msal().acquire_token_by_refresh_token(refresh_token, scopes=[SCOPE])
        return result

    def _refresh_token(self) -> str | None:
        return self._refresh_tokens.load() or self._connection.refresh_token

    def _msal(self) -> Any:
        # Made on first use: msal asks the authority for its endpoints in the constructor.
        if self._application is None:
            import msal

            authority = f"{self._connection.authority}/{self._connection.tenant_id}"
            rehearsal: dict[str, Any] = {}
            if urlsplit(authority).scheme == "http":
                rehearsal = {"http_client": _PlainLoopback(authority), "instance_discovery": False}
                authority = _encrypted(authority)
            self._application = msal.ConfidentialClientApplication(
                self._connection.client_id,
                client_credential=self._connection.client_secret,
                authority=authority,
                timeout=SIGN_IN_TIMEOUT_SECONDS,
                **rehearsal,
            )
        return self._application


def _sign_in_refused(kind: TokenKind, result: Mapping[str, Any]) -> CredentialsRefused | Unreachable:
    error = str(result.get("error") or "unknown error")
    said = str(result.get("error_description") or "").splitlines()
    description = said[0][:300] if said else ""
    if error in ("temporarily_unavailable", "server_error"):
        return Unreachable(
            f"The sign-in service is not available now ({error}); it is asked again by itself.",
            operation="sign in",
            description=description,
        )
    remedy = {
        "invalid_client": "operators enter a client secret that has not expired",
        "unauthorized_client": "operators check the app registration",
        "invalid_grant": "an operator signs in with the service account and enters the new refresh token",
        "interaction_required": "an operator signs in with the service account and its second factor",
    }.get(error, "operators check the connection 'partner_center'")
    return CredentialsRefused(
        f"The sign-in service refuses a token for {kind.value} ({error}); {remedy}.",
        operation="sign in",
        description=description,
    )


def _encrypted(address: str) -> str:
    return "https" + address.removeprefix("http")


@dataclass(frozen=True)
class _Discovered:
    """The answer to msal's question for an authority's endpoints."""

    text: str
    status_code: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def raise_for_status(self) -> None:
        return None


class _PlainLoopback:
    """Carries msal's calls to a simulator that speaks plain HTTP, on this machine only.

    msal refuses an authority that is not https, so it is told https and this client takes the encryption off
    again. It also answers for the authority's endpoints, whose documented addresses are fixed (v2 token
    endpoint), since msal would refuse plain ones there as well.
    """

    def __init__(self, authority: str) -> None:
        if not is_loopback(urlsplit(authority).hostname):
            raise ValueError("plain HTTP is for this machine only")
        self._authority = _encrypted(authority)

    def get(self, url: str, params: Any = None, headers: Any = None, **_: Any) -> Any:
        if url.endswith("/.well-known/openid-configuration"):
            endpoints = {
                "issuer": f"{self._authority}/v2.0",
                "authorization_endpoint": f"{self._authority}/oauth2/v2.0/authorize",
                "token_endpoint": f"{self._authority}/oauth2/v2.0/token",
            }
            return _Discovered(json.dumps(endpoints))
        return self._carry("GET", url, params=params, headers=headers)

    def post(self, url: str, params: Any = None, data: Any = None, headers: Any = None, **_: Any) -> Any:
        return self._carry("POST", url, params=params, data=data, headers=headers)

    def close(self) -> None:
        return None

    def _carry(self, method: str, url: str, **parts: Any) -> Any:
        import requests

        with requests.Session() as session:
            session.trust_env = False
            return session.request(method, self._plain(url), timeout=SIGN_IN_TIMEOUT_SECONDS, **parts)

    def _plain(self, url: str) -> str:
        if urlsplit(url).netloc != urlsplit(self._authority).netloc:
            raise ValueError("a rehearsal signs in on this machine only")
        return "http" + url.removeprefix("https")
