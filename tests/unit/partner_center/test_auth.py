"""Signing in through msal against a real token endpoint on this machine."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from include.nce.domain.errors import FailureClass
from include.nce.partner_center.auth import (
    RENEWED_EARLY_BY_SECONDS,
    InMemoryRefreshTokens,
    TokenKind,
    TokenSource,
    _PlainLoopback,
)
from include.nce.partner_center.connection import PartnerCenterConnection
from include.nce.partner_center.errors import CredentialsRefused, Unreachable
from tests.support.partner_center_server import TENANT, PartnerCenterServer, Reply


class ClockFace:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> ClockFace:
    return ClockFace()


@pytest.fixture
def tokens(connection: PartnerCenterConnection, clock: ClockFace) -> TokenSource:
    return TokenSource(connection, monotonic=clock)


async def test_the_application_signs_in_for_partner_center_alone(
    server: PartnerCenterServer, tokens: TokenSource
) -> None:
    assert await tokens.token(TokenKind.APP) == "app-token-1"
    form = server.signed_in[0]
    assert form["grant_type"] == "client_credentials"
    assert form["scope"] == "https://api.partnercenter.microsoft.com/.default"
    assert (form["client_id"], form["client_secret"]) == ("client-id", "client-secret")


async def test_the_service_account_signs_in_with_its_refresh_token(
    server: PartnerCenterServer, tokens: TokenSource
) -> None:
    assert await tokens.token(TokenKind.APP_AND_USER) == "user-token-1"
    form = server.signed_in[0]
    assert form["grant_type"] == "refresh_token"
    assert form["refresh_token"] == "first-refresh-token"
    assert "https://api.partnercenter.microsoft.com/.default" in form["scope"]


@pytest.mark.parametrize("kind", TokenKind)
async def test_a_stampede_makes_one_token_request(
    server: PartnerCenterServer, tokens: TokenSource, kind: TokenKind
) -> None:
    given = await asyncio.gather(*(tokens.token(kind) for _ in range(50)))
    assert len(set(given)) == 1
    assert len(server.signed_in) == 1


async def test_a_stampede_after_a_refusal_makes_one_token_request(
    server: PartnerCenterServer, tokens: TokenSource
) -> None:
    refused = await tokens.token(TokenKind.APP)
    given = await asyncio.gather(*(tokens.renewed(TokenKind.APP, refused) for _ in range(50)))
    assert set(given) == {"app-token-2"}
    assert len(server.signed_in) == 2


@pytest.mark.parametrize("kind", TokenKind)
async def test_a_token_is_kept_until_five_minutes_before_it_runs_out(
    server: PartnerCenterServer, tokens: TokenSource, clock: ClockFace, kind: TokenKind
) -> None:
    first = await tokens.token(kind)
    clock.seconds += 3599 - RENEWED_EARLY_BY_SECONDS - 1
    assert await tokens.token(kind) == first
    clock.seconds += 1
    assert await tokens.token(kind) != first
    assert len(server.signed_in) == 2


async def test_a_rotated_refresh_token_is_kept_and_used_next(
    server: PartnerCenterServer, connection: PartnerCenterConnection
) -> None:
    def rotating(form: dict[str, str], number: int) -> Reply:
        body = {"token_type": "Bearer", "expires_in": "3599", "access_token": f"user-token-{number}"}
        return Reply(200, {**body, "refresh_token": f"rotated-{number}"})

    server.token_reply = rotating
    store = InMemoryRefreshTokens()
    tokens = TokenSource(connection, refresh_tokens=store)
    first = await tokens.token(TokenKind.APP_AND_USER)
    assert store.load() == "rotated-1"
    await tokens.renewed(TokenKind.APP_AND_USER, first)
    assert [form["refresh_token"] for form in server.signed_in] == ["first-refresh-token", "rotated-1"]


async def test_a_stored_refresh_token_is_newer_than_the_connections(
    server: PartnerCenterServer, connection: PartnerCenterConnection
) -> None:
    store = InMemoryRefreshTokens()
    store.save("stored-refresh-token")
    await TokenSource(connection, refresh_tokens=store).token(TokenKind.APP_AND_USER)
    assert server.signed_in[0]["refresh_token"] == "stored-refresh-token"


@pytest.mark.parametrize(
    ("error", "who"),
    [
        ("invalid_client", "client secret"),
        ("invalid_grant", "refresh token"),
        ("interaction_required", "second factor"),
        ("something_new", "connection 'partner_center'"),
    ],
)
async def test_a_refused_sign_in_says_what_operators_have_to_do(
    server: PartnerCenterServer, tokens: TokenSource, error: str, who: str
) -> None:
    said = "AADSTS7000222: The provided client secret keys are expired.\r\nTrace ID: 1234"
    server.token_reply = lambda form, number: Reply(400, {"error": error, "error_description": said})
    with pytest.raises(CredentialsRefused) as raised:
        await tokens.token(TokenKind.APP_AND_USER)
    assert raised.value.failure_class is FailureClass.PROVIDER_ACTS
    assert who in str(raised.value)
    assert "first-refresh-token" not in str(raised.value)
    assert "Trace ID" not in raised.value.description


async def test_without_a_refresh_token_only_the_checks_are_impossible(
    server: PartnerCenterServer, connection: PartnerCenterConnection
) -> None:
    tokens = TokenSource(replace(connection, refresh_token=None))
    assert await tokens.token(TokenKind.APP) == "app-token-1"
    with pytest.raises(CredentialsRefused, match="no refresh token"):
        await tokens.token(TokenKind.APP_AND_USER)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(503, text="try later"),
        Reply(429, text="<html>too many"),
        Reply(200, text="<html>a proxy"),
        Reply(400, {"error": "temporarily_unavailable"}),
    ],
    ids=["503", "429 without JSON", "200 without JSON", "temporarily unavailable"],
)
async def test_a_sign_in_service_that_does_not_answer_is_waited_for(
    server: PartnerCenterServer, tokens: TokenSource, reply: Reply
) -> None:
    server.token_reply = lambda form, number: reply
    with pytest.raises(Unreachable) as raised:
        await tokens.token(TokenKind.APP)
    assert raised.value.failure_class is FailureClass.WAIT


async def test_a_tenant_the_sign_in_service_does_not_know_is_the_operators_business(
    connection: PartnerCenterConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    import msal

    def unknown(*_: object, **__: object) -> None:
        raise ValueError("Unable to get authority configuration")

    monkeypatch.setattr(msal, "ConfidentialClientApplication", unknown)
    with pytest.raises(CredentialsRefused, match=f"does not know tenant '{TENANT}'"):
        await TokenSource(connection).token(TokenKind.APP)


def test_a_rehearsal_never_carries_a_sign_in_to_another_machine() -> None:
    with pytest.raises(ValueError, match="this machine"):
        _PlainLoopback(f"http://login.example.com/{TENANT}")
    with pytest.raises(ValueError, match="this machine"):
        _PlainLoopback(f"http://127.0.0.1:9/{TENANT}").post("https://login.example.com/token")


def test_a_production_sign_in_is_msals_own(monkeypatch: pytest.MonkeyPatch) -> None:
    import msal

    made: dict[str, object] = {}

    class Recorded:
        def __init__(self, client_id: str, **options: object) -> None:
            made.update(options, client_id=client_id)

    monkeypatch.setattr(msal, "ConfidentialClientApplication", Recorded)
    TokenSource(PartnerCenterConnection(TENANT, "client-id", "secret"))._msal()
    assert made == {
        "client_id": "client-id",
        "client_credential": "secret",
        "authority": f"https://login.microsoftonline.com/{TENANT}",
        "timeout": 60.0,
    }
