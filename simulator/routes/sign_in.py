"""The sign-in service: token endpoints, and what msal asks before it uses them."""

from __future__ import annotations

import uuid
from urllib.parse import urlsplit

from simulator.exchange import Answer, Call, Operations
from simulator.identity import SignInRefusal

operations = Operations()

CREDENTIALS = ("grant_type", "client_id", "client_secret", "refresh_token", "code", "scope")


def _authority(call: Call) -> str:
    """The authority as the real service writes it: always https; a rehearsal carries calls to loopback."""
    return f"https://{urlsplit(call.origin).netloc}/{call.ids.get('tenant', 'common')}"


def _token(call: Call, *, v2: bool) -> Answer:
    no_store = {"Cache-Control": "no-store", "Pragma": "no-cache"}
    try:
        issuer = f"{_authority(call)}/v2.0"
        body = call.simulation.tokens.issue(call.world, call.ids["tenant"], call.form(), v2=v2, issuer=issuer)
    except SignInRefusal as refusal:
        return Answer(refusal.body(call.world), refusal.status, no_store)
    return Answer(body, headers=no_store)


@operations.add(
    "POST",
    "/{tenant}/oauth2/token",
    auth="none",
    page="partner-center-authentication (6/14/2022)",
    form=(*CREDENTIALS, "resource"),
)
def get_token(call: Call) -> Answer:
    """Token endpoint, first version: every value is text."""
    return _token(call, v2=False)


@operations.add(
    "POST",
    "/{tenant}/oauth2/v2.0/token",
    auth="none",
    page="enable-secure-app-model (12/09/2021)",
    form=CREDENTIALS,
)
def get_token_v2(call: Call) -> Answer:
    """Token endpoint, second version."""
    return _token(call, v2=True)


@operations.add(
    "GET", "/{tenant}/v2.0/.well-known/openid-configuration", auth="none", page="OpenID Connect discovery"
)
def get_openid_configuration(call: Call) -> Answer:
    """What a client library reads before its first token request."""
    authority = _authority(call)
    return Answer(
        {
            "issuer": f"{authority}/v2.0",
            "authorization_endpoint": f"{authority}/oauth2/v2.0/authorize",
            "token_endpoint": f"{authority}/oauth2/v2.0/token",
            "device_authorization_endpoint": f"{authority}/oauth2/v2.0/devicecode",
            "jwks_uri": f"{authority}/discovery/v2.0/keys",
            "response_types_supported": ["code", "id_token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["HS256"],
            "tenant_region_scope": "EU",
        }
    )


@operations.add(
    "GET",
    "/common/discovery/instance",
    auth="none",
    page="OpenID Connect discovery",
    query=("api-version", "authorization_endpoint"),
)
def discover_instance(call: Call) -> Answer:
    """Instance discovery: this host is the only one."""
    host = urlsplit(call.origin).netloc
    return Answer(
        {
            "tenant_discovery_endpoint": f"{_authority(call)}/v2.0/.well-known/openid-configuration",
            "api-version": "1.1",
            "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
        }
    )


@operations.add("GET", "/{tenant}/discovery/v2.0/keys", auth="none", page="OpenID Connect discovery")
def get_signing_keys(call: Call) -> Answer:
    """Signing keys: the simulator signs with a secret, so it publishes none."""
    return Answer({"keys": []}, headers={"x-ms-request-id": str(uuid.uuid4())})
