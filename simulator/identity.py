"""Sign-in: tokens for applications and users, and what a token says when it comes back.

Responsible for the token endpoints' answers and for reading bearer tokens. Tokens look like Microsoft's (a
JWT with aud, appid, amr, exp) and live in real time. Source: partner-center-authentication (6/14/2022),
enable-secure-app-model (12/09/2021), partner-security-requirements-mandating-mfa (05/26/2023).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from simulator.records import RefreshTokenRecord
from simulator.schema import Application
from simulator.wire import stamp
from simulator.world import World, token_digest

AUDIENCE = "https://api.partnercenter.microsoft.com"


@dataclass(frozen=True)
class Caller:
    """Who calls: an application by itself (`app`) or for a user (`user`)."""

    kind: Literal["app", "user"]
    client_id: str
    audience: str
    mfa: bool


class SignInRefusal(Exception):
    """A refusal of the token endpoint, with its error name and number."""

    def __init__(self, error: str, number: int, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.status = status
        self.error = error
        self.number = number
        self.description = f"AADSTS{number}: {description}"

    def body(self, world: World) -> dict[str, Any]:
        """The error body of the sign-in service."""
        return {
            "error": self.error,
            "error_description": self.description,
            "error_codes": [self.number],
            "timestamp": stamp(world.now),
            "trace_id": str(uuid.uuid4()),
            "correlation_id": str(uuid.uuid4()),
        }


class TokenDesk:
    """Issues and reads tokens, signed with a key of this installation."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def issue(
        self, world: World, tenant: str, form: Mapping[str, str], *, v2: bool, issuer: str
    ) -> dict[str, Any]:
        """The answer of the token endpoint; raises `SignInRefusal`."""
        provider = world.scenario.provider
        if tenant.lower() not in (provider.tenant_id, provider.domain):
            raise SignInRefusal("invalid_request", 90002, f"Tenant '{tenant}' not found.")
        application = self._application(world, form)
        grant = form.get("grant_type", "")
        audience = _audience(form, v2=v2)
        if grant == "client_credentials":
            return self._answer(world, application, "app", audience, v2=v2, issuer=issuer)
        if grant == "refresh_token":
            refresh_token = self._refreshed(world, application, form.get("refresh_token", ""))
        elif grant == "authorization_code":
            if not application.authorization_code or form.get("code") != application.authorization_code:
                raise SignInRefusal(
                    "invalid_grant", 70008, "The provided authorization code is expired or invalid."
                )
            refresh_token = self._new_refresh_token(world, application)
        else:
            raise SignInRefusal(
                "unsupported_grant_type", 70003, f"The grant type '{grant}' is not supported."
            )
        answer = self._answer(world, application, "user", audience, v2=v2, issuer=issuer)
        return answer | {"refresh_token": refresh_token}

    def _application(self, world: World, form: Mapping[str, str]) -> Application:
        for application in world.scenario.provider.applications:
            if application.client_id == form.get("client_id", "").lower():
                if hmac.compare_digest(application.client_secret, form.get("client_secret", "")):
                    return application
                raise SignInRefusal("invalid_client", 7000215, "Invalid client secret provided.", 401)
        raise SignInRefusal("unauthorized_client", 700016, "The application was not found in the directory.")

    def _refreshed(self, world: World, application: Application, token: str) -> str:
        record = world.refresh_tokens.get(token_digest(token))
        if record is None or record.client_id != application.client_id:
            raise SignInRefusal("invalid_grant", 9002313, "The refresh token is malformed or not valid.")
        expires_at = application.refresh_token_expires_at
        if record.retired or (expires_at is not None and expires_at <= world.now):
            raise SignInRefusal("invalid_grant", 700082, "The refresh token has expired due to inactivity.")
        if not world.scenario.provider.rotate_refresh_tokens:
            return token
        record.retired = not world.scenario.provider.rotated_tokens_stay_valid
        return self._new_refresh_token(world, application)

    def _new_refresh_token(self, world: World, application: Application) -> str:
        token = "0." + secrets.token_urlsafe(48)
        world.refresh_tokens.add(RefreshTokenRecord(id=token_digest(token), client_id=application.client_id))
        return token

    def _answer(
        self,
        world: World,
        application: Application,
        kind: Literal["app", "user"],
        audience: str,
        *,
        v2: bool,
        issuer: str,
    ) -> dict[str, Any]:
        provider, now = world.scenario.provider, int(time.time())
        life = provider.token_lifetime_s
        claims: dict[str, Any] = {
            "aud": audience,
            "iss": f"https://sts.windows.net/{provider.tenant_id}/",
            "iat": now,
            "nbf": now,
            "exp": now + life,
            "appid": application.client_id,
            "appidacr": "1",
            "tid": provider.tenant_id,
            "ver": "1.0",
        }
        user_id = str(uuid.uuid5(uuid.UUID(application.client_id), "user"))
        upn = f"agent@{provider.domain}"
        if kind == "user":
            methods = ["pwd", "mfa"] if application.mfa else ["pwd"]
            claims |= {"amr": methods, "oid": user_id, "upn": upn, "scp": "user_impersonation"}
        else:
            claims |= {"idtyp": "app", "oid": str(uuid.uuid5(uuid.UUID(application.client_id), "principal"))}
        answer: dict[str, Any] = {"token_type": "Bearer", "access_token": self._sign(claims)}
        if v2:
            answer |= {"expires_in": life, "ext_expires_in": life}
        else:
            answer |= {
                "expires_in": str(life),
                "ext_expires_in": str(life),
                "expires_on": str(now + life),
                "not_before": str(now),
                "resource": audience,
            }
        if kind == "user":
            answer["scope"] = f"{audience}/user_impersonation" if v2 else "user_impersonation"
            answer["id_token"] = self._sign(
                {
                    "aud": application.client_id,
                    "iss": issuer,
                    "iat": now,
                    "nbf": now,
                    "exp": now + life,
                    "oid": user_id,
                    "sub": user_id,
                    "tid": provider.tenant_id,
                    "preferred_username": upn,
                    "ver": "2.0",
                }
            )
            if v2:
                answer["client_info"] = _base64(
                    json.dumps({"uid": user_id, "utid": provider.tenant_id}).encode()
                )
        return answer

    def read(self, token: str) -> Caller | None:
        """Who a bearer token speaks for; None when it is not ours, changed or expired."""
        try:
            head, payload, signature = token.split(".")
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        except ValueError:
            return None
        if (
            not hmac.compare_digest(self._signature(f"{head}.{payload}"), signature)
            or claims["exp"] <= time.time()
        ):
            return None
        user = "scp" in claims
        return Caller(
            "user" if user else "app", claims["appid"], claims["aud"], "mfa" in claims.get("amr", [])
        )

    def _sign(self, claims: dict[str, Any]) -> str:
        head = _base64(json.dumps({"typ": "JWT", "alg": "HS256", "kid": "simulator"}).encode())
        signed = f"{head}.{_base64(json.dumps(claims).encode())}"
        return f"{signed}.{self._signature(signed)}"

    def _signature(self, text: str) -> str:
        return _base64(hmac.new(self._key, text.encode(), hashlib.sha256).digest())


def _audience(form: Mapping[str, str], *, v2: bool) -> str:
    """The audience asked for: `resource` (v1) or the resource part of the first absolute scope (v2)."""
    if not v2:
        return form.get("resource", "").rstrip("/") or AUDIENCE
    for scope in form.get("scope", "").split():
        if scope.startswith("https://"):
            return scope.rsplit("/", 1)[0].rstrip("/")
    return AUDIENCE


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
