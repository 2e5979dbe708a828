"""Tokens for Partner Center: both kinds, renewed early, one request however many ask.

Responsible for signing in through msal and for what is kept of it: access tokens, and the refresh token that
an answer may bring to replace the last one. Which call needs which kind stands at the call; where credentials
are kept between processes is the business of whoever passes a `CredentialStore`.

Facts: partner-center-authentication (6/14/2022), enable-secure-app-model (12/09/2021). Access tokens live
about an hour, refresh tokens 90 days. Microsoft does not revoke a refresh token by replacing it
(learn.microsoft.com/entra/identity-platform/refresh-tokens), so a process that dies between answer and store
leaves the last one usable. What an AADSTS number means: reference-error-codes on the same site.
"""

from __future__ import annotations

import asyncio
import copy
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any, Protocol
from urllib.parse import urlsplit

from include.nce.domain.errors import InputRefused
from include.nce.partner_center.connection import PartnerCenterConnection, is_loopback
from include.nce.partner_center.errors import Broken, CredentialsRefused, SecondFactorMissing, Unreachable

SCOPE = "https://api.partnercenter.microsoft.com/.default"
RENEWED_EARLY_BY = timedelta(minutes=5)
"""As Microsoft's bulk migration tool does: a token never runs out between two parts of one request."""
SIGN_IN_TIMEOUT_SECONDS = 60.0

_KEPT_REFRESH = "refresh_token"

log = logging.getLogger(__name__)


class TokenKind(str, Enum):
    """For whom the token speaks: the application alone, or the service account through it."""

    APP = "app"
    APP_AND_USER = "app and user"


@dataclass(frozen=True)
class Token:
    value: str = field(repr=False)
    expires_at: datetime


class CredentialStore(Protocol):
    """Keeps what was issued, between processes: names to JSON values.

    Both raise `InputRefused` when what is kept cannot be read.
    """

    async def read(self) -> Mapping[str, Any]:
        """What was kept last."""

    def changing(self) -> AbstractAsyncContextManager[MutableMapping[str, Any]]:
        """The only right to change it; what stands in it at the end is kept, after an error nothing."""


class InMemoryCredentials:
    """Keeps what was issued for as long as the process lives."""

    def __init__(self) -> None:
        self._kept: dict[str, Any] = {}
        self._turn = asyncio.Lock()

    async def read(self) -> Mapping[str, Any]:
        return copy.deepcopy(self._kept)

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[MutableMapping[str, Any]]:
        async with self._turn:
            document = copy.deepcopy(self._kept)
            yield document
            self._kept = document


Mask = Callable[[str], Awaitable[None]]


async def unmasked(secret: str) -> None:
    del secret


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


class TokenSource:
    """Gives access tokens of both kinds; clients of one event loop may share it.

    `mask` is told each token before it is used, so that logs can hide it. Raises `CredentialsRefused` when
    the sign-in service says no (an expired secret or refresh token, a missing second factor) or the store
    cannot be read, `Unreachable` when the service does not answer, and `Broken` when its answer cannot be
    read: all before anything was sent to Partner Center.
    """

    def __init__(
        self,
        connection: PartnerCenterConnection,
        *,
        store: CredentialStore | None = None,
        mask: Mask = unmasked,
        now: Callable[[], datetime] = _utc_now,
        timeout_seconds: float = SIGN_IN_TIMEOUT_SECONDS,
    ) -> None:
        self._connection = connection
        self._store: CredentialStore = store or InMemoryCredentials()
        self._mask = mask
        self._now = now
        self._timeout_seconds = timeout_seconds
        self._tokens: dict[TokenKind, Token] = {}
        self._lock = asyncio.Lock()
        self._application: Any = None

    async def token(self, kind: TokenKind) -> str:
        """A token that is good for at least five more minutes."""
        token = self._tokens.get(kind)
        if token is not None and self._is_good(token):
            return token.value
        return await self._obtain(kind, self._is_good)

    async def renewed(self, kind: TokenKind, refused: str) -> str:
        """A token other than `refused`, which Partner Center did not accept although it had not run out."""
        return await self._obtain(kind, lambda token: self._is_good(token) and token.value != refused)

    async def sign_in(self, kind: TokenKind) -> str:
        """A token asked for now, whatever is held."""
        return await self._obtain(kind, lambda token: False)

    def _is_good(self, token: Token) -> bool:
        return self._now() < token.expires_at - RENEWED_EARLY_BY

    async def _obtain(self, kind: TokenKind, will_do: Callable[[Token], bool]) -> str:
        # Shielded: when the one who asked is cancelled, a refresh token that is on its way is still kept.
        return await asyncio.shield(asyncio.ensure_future(self._obtain_in_turn(kind, will_do)))

    async def _obtain_in_turn(self, kind: TokenKind, will_do: Callable[[Token], bool]) -> str:
        async with self._lock:
            token = self._tokens.get(kind)
            if token is None or not will_do(token):
                self._tokens[kind] = token = await self._kept_or_new(kind, will_do)
            return token.value

    async def _kept_or_new(self, kind: TokenKind, will_do: Callable[[Token], bool]) -> Token:
        try:
            token = _kept_token(await self._store.read(), kind)
            if token is None or not will_do(token):
                async with self._store.changing() as kept:
                    # Another process may have signed in while this one waited for its turn.
                    token = _kept_token(kept, kind)
                    if token is None or not will_do(token):
                        return await self._new(kind, kept)
        except InputRefused as refused:
            raise CredentialsRefused(str(refused), operation="sign in") from None
        await self._mask(token.value)
        return token

    async def _new(self, kind: TokenKind, kept: MutableMapping[str, Any]) -> Token:
        refresh_token = None
        if kind is TokenKind.APP_AND_USER:
            refresh_token = kept.get(_KEPT_REFRESH) or self._connection.refresh_token
        if refresh_token:
            await self._mask(refresh_token)
        asked_at = self._now()
        # msal blocks.
        result = await asyncio.to_thread(self._ask, kind, refresh_token)
        value = result.get("access_token")
        if not isinstance(value, str):
            raise _sign_in_refused(kind, result)
        await self._mask(value)
        lifetime = timedelta(seconds=float(result.get("expires_in") or 3600))
        token = Token(value, asked_at + lifetime)
        kept[kind.value] = {"token": value, "expires_at": token.expires_at.isoformat()}
        rotated = result.get("refresh_token")
        if kind is TokenKind.APP_AND_USER and isinstance(rotated, str):
            await self._mask(rotated)
            kept[_KEPT_REFRESH] = rotated
        log.info("signed in to Partner Center as %s, good for %d s", kind.value, lifetime.total_seconds())
        return token

    def _ask(self, kind: TokenKind, refresh_token: str | None) -> Mapping[str, Any]:
        import requests
        from msal.exceptions import MsalServiceError

        try:
            return self._app_token() if kind is TokenKind.APP else self._user_token(refresh_token)
        except (requests.RequestException, MsalServiceError, json.JSONDecodeError) as error:
            raise Unreachable(
                f"The sign-in service {self._connection.authority} does not answer "
                f"({type(error).__name__}); it is asked again by itself.",
                operation="sign in",
            ) from error
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            # msal takes an id token apart without looking whether it is one.
            raise Broken(
                f"The answer of the sign-in service {self._connection.authority} cannot be read "
                f"({type(error).__name__}); operators check that address in the connection 'partner_center'.",
                operation="sign in",
            ) from error

    def _app_token(self) -> Mapping[str, Any]:
        application = self._msal()
        # msal keeps app-only tokens itself and has no other way to be asked for a new one.
        application.remove_tokens_for_client()
        result: Mapping[str, Any] = application.acquire_token_for_client(scopes=[SCOPE])
        return result

    def _user_token(self, refresh_token: str | None) -> Mapping[str, Any]:
        if refresh_token is None:
            raise CredentialsRefused(
                "Connection 'partner_center' has no refresh token, which the checks need; an operator signs "
                "in with the service account and enters it.",
                operation="sign in",
            )
        result: Mapping[str, Any] = self._msal().acquire_token_by_refresh_token(refresh_token, scopes=[SCOPE])
        return result

    def _msal(self) -> Any:
        # Made on first use: msal asks the authority for its endpoints in the constructor.
        if self._application is None:
            import msal

            authority = f"{self._connection.authority}/{self._connection.tenant_id}"
            rehearsal: dict[str, Any] = {}
            if urlsplit(authority).scheme == "http":
                rehearsal = {
                    "http_client": _PlainLoopback(authority, self._timeout_seconds),
                    "instance_discovery": False,
                }
                authority = _encrypted(authority)
            try:
                self._application = msal.ConfidentialClientApplication(
                    self._connection.client_id,
                    client_credential=self._connection.client_secret,
                    authority=authority,
                    timeout=self._timeout_seconds,
                    **rehearsal,
                )
            except json.JSONDecodeError:
                raise
            except ValueError as error:
                raise CredentialsRefused(
                    f"The sign-in service {self._connection.authority} does not know tenant "
                    f"'{self._connection.tenant_id}'; operators check the connection 'partner_center'.",
                    operation="sign in",
                ) from error
        return self._application


def _kept_token(kept: Mapping[str, Any], kind: TokenKind) -> Token | None:
    found = kept.get(kind.value)
    return Token(found["token"], datetime.fromisoformat(found["expires_at"])) if found else None


_SIGN_IN_AGAIN = "an operator signs in with the service account and enters the new refresh token"
_RENEW_IT = "operators enter a client secret that is valid"
_SECOND_FACTOR = (
    "an operator signs in with the service account and its second factor and enters the new refresh token"
)
_CHECK_CONNECTION = "operators check the connection 'partner_center'"

_REFUSALS: dict[int, tuple[type[CredentialsRefused], str, str]] = {
    50034: (CredentialsRefused, "the service account does not exist", _SIGN_IN_AGAIN),
    50057: (CredentialsRefused, "the service account is disabled", "operators enable it"),
    50074: (SecondFactorMissing, "the service account needs its second factor", _SECOND_FACTOR),
    50076: (SecondFactorMissing, "the service account needs its second factor", _SECOND_FACTOR),
    50078: (SecondFactorMissing, "the service account's second factor has expired", _SECOND_FACTOR),
    50079: (SecondFactorMissing, "the service account has no second factor yet", _SECOND_FACTOR),
    50158: (SecondFactorMissing, "the service account needs its second factor", _SECOND_FACTOR),
    50173: (CredentialsRefused, "the refresh token was revoked, as by a new password", _SIGN_IN_AGAIN),
    53003: (CredentialsRefused, "a conditional access policy forbids it", "operators change the policy"),
    65001: (CredentialsRefused, "our application has no consent", "an administrator consents to it"),
    70000: (CredentialsRefused, "the refresh token is not valid", _SIGN_IN_AGAIN),
    70008: (CredentialsRefused, "the refresh token has expired", _SIGN_IN_AGAIN),
    70043: (CredentialsRefused, "the refresh token has expired", _SIGN_IN_AGAIN),
    90002: (CredentialsRefused, "it does not know the tenant", _CHECK_CONNECTION),
    500011: (
        CredentialsRefused,
        "the tenant does not know Partner Center's API",
        "operators add the API to the app registration and consent to it",
    ),
    700016: (CredentialsRefused, "it does not know the client id in this tenant", _CHECK_CONNECTION),
    700082: (CredentialsRefused, "the refresh token has expired", _SIGN_IN_AGAIN),
    7000112: (CredentialsRefused, "our application is disabled", "operators enable it"),
    7000215: (CredentialsRefused, "the client secret is wrong", _RENEW_IT),
    7000222: (CredentialsRefused, "the client secret has expired", _RENEW_IT),
    9002313: (CredentialsRefused, "the refresh token is not valid", _SIGN_IN_AGAIN),
}
"""AADSTS number -> what it is, what it means in our words, and who acts."""

_TIME_HELPS = frozenset({50196, 90006, 90012, 90024, 90033, 90055})
"""AADSTS numbers that say nothing of our credentials, whatever `error` stands beside them. By Microsoft's
page reference-error-codes: LoopDetected (too many requests), ExternalServerRetryableError, RequestTimeout,
RequestBudgetExceededError, MsodsServiceUnavailable, TenantThrottlingError."""

_REFUSED_IN_GENERAL: dict[str, tuple[type[CredentialsRefused], str, str]] = {
    "invalid_client": (CredentialsRefused, "the client secret is not accepted", _RENEW_IT),
    "unauthorized_client": (
        CredentialsRefused,
        "our application is not accepted",
        "operators check the app registration",
    ),
    "invalid_grant": (CredentialsRefused, "the refresh token is not accepted", _SIGN_IN_AGAIN),
    "interaction_required": (SecondFactorMissing, "somebody has to sign in", _SECOND_FACTOR),
}


def _sign_in_refused(kind: TokenKind, result: Mapping[str, Any]) -> CredentialsRefused | Unreachable:
    error = str(result.get("error") or "unknown error")
    said = str(result.get("error_description") or "").splitlines()
    description = said[0][:300] if said else ""
    passing = [f"AADSTS{number}" for number in result.get("error_codes") or () if number in _TIME_HELPS]
    if passing or error in ("temporarily_unavailable", "server_error"):
        return Unreachable(
            f"The sign-in service is not available now ({(passing or [error])[0]}); it is asked again by "
            "itself.",
            operation="sign in",
            description=description,
        )
    numbers = [number for number in result.get("error_codes") or () if number in _REFUSALS]
    if numbers:
        refusal, meaning, remedy = _REFUSALS[numbers[0]]
        code = f"AADSTS{numbers[0]}"
    else:
        unknown = (CredentialsRefused, "it gave no reason that is known here", _CHECK_CONNECTION)
        refusal, meaning, remedy = _REFUSED_IN_GENERAL.get(error, unknown)
        code = description.partition(":")[0] if description.startswith("AADSTS") else error
    return refusal(
        f"The sign-in service refuses a token for {kind.value}: {meaning} ({code}); {remedy}.",
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

    def __init__(self, authority: str, timeout_seconds: float) -> None:
        if not is_loopback(urlsplit(authority).hostname):
            raise ValueError("plain HTTP is for this machine only")
        self._authority = _encrypted(authority)
        self._timeout_seconds = timeout_seconds

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
            return session.request(method, self._plain(url), timeout=self._timeout_seconds, **parts)

    def _plain(self, url: str) -> str:
        if urlsplit(url).netloc != urlsplit(self._authority).netloc:
            raise ValueError("a rehearsal signs in on this machine only")
        return "http" + url.removeprefix("https")
