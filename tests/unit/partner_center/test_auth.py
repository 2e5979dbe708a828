"""Signing in through msal against a real token endpoint on this machine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, MutableMapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from include.nce.domain.errors import FailureClass, InputRefused
from include.nce.partner_center.auth import (
    RENEWED_EARLY_BY,
    InMemoryCredentials,
    TokenKind,
    TokenSource,
    _PlainLoopback,
)
from include.nce.partner_center.connection import PartnerCenterConnection
from include.nce.partner_center.errors import (
    Broken,
    CredentialsRefused,
    SecondFactorMissing,
    Unreachable,
)
from tests.support.partner_center_server import TENANT, PartnerCenterServer, Reply


class ClockFace:
    def __init__(self) -> None:
        self.now_at = datetime(2022, 7, 11, 6, tzinfo=timezone.utc)

    def __call__(self) -> datetime:
        return self.now_at


def rotating(form: dict[str, str], number: int) -> Reply:
    """A sign-in service that replaces the refresh token at each use."""
    body = {"token_type": "Bearer", "expires_in": "3599", "access_token": f"user-token-{number}"}
    return Reply(200, {**body, "refresh_token": f"rotated-{number}"})


@pytest.fixture
def clock() -> ClockFace:
    return ClockFace()


@pytest.fixture
def tokens(connection: PartnerCenterConnection, clock: ClockFace) -> TokenSource:
    return TokenSource(connection, now=clock)


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
    clock.now_at += timedelta(seconds=3598) - RENEWED_EARLY_BY
    assert await tokens.token(kind) == first
    clock.now_at += timedelta(seconds=1)
    assert await tokens.token(kind) != first
    assert len(server.signed_in) == 2


async def test_a_rotated_refresh_token_is_kept_and_used_next(
    server: PartnerCenterServer, connection: PartnerCenterConnection
) -> None:
    server.token_reply = rotating
    store = InMemoryCredentials()
    tokens = TokenSource(connection, store=store)
    first = await tokens.token(TokenKind.APP_AND_USER)
    assert (await store.read())["refresh_token"] == "rotated-1"
    await tokens.renewed(TokenKind.APP_AND_USER, first)
    assert [form["refresh_token"] for form in server.signed_in] == ["first-refresh-token", "rotated-1"]


async def test_a_kept_refresh_token_is_newer_than_the_connections(
    server: PartnerCenterServer, connection: PartnerCenterConnection
) -> None:
    store = InMemoryCredentials()
    async with store.changing() as kept:
        kept["refresh_token"] = "kept-refresh-token"
    await TokenSource(connection, store=store).token(TokenKind.APP_AND_USER)
    assert server.signed_in[0]["refresh_token"] == "kept-refresh-token"


@pytest.mark.parametrize("kind", TokenKind)
async def test_a_token_that_another_process_was_given_is_used(
    server: PartnerCenterServer, connection: PartnerCenterConnection, clock: ClockFace, kind: TokenKind
) -> None:
    store = InMemoryCredentials()
    given = await TokenSource(connection, store=store, now=clock).token(kind)
    clock.now_at += timedelta(minutes=50)
    assert await TokenSource(connection, store=store, now=clock).token(kind) == given
    assert len(server.signed_in) == 1


async def test_a_kept_token_that_runs_out_soon_is_not_used(
    server: PartnerCenterServer, connection: PartnerCenterConnection, clock: ClockFace
) -> None:
    store = InMemoryCredentials()
    await TokenSource(connection, store=store, now=clock).token(TokenKind.APP)
    clock.now_at += timedelta(minutes=55)
    assert await TokenSource(connection, store=store, now=clock).token(TokenKind.APP) == "app-token-2"


async def test_a_refused_token_is_renewed_by_one_process_for_all(
    server: PartnerCenterServer, connection: PartnerCenterConnection
) -> None:
    store = InMemoryCredentials()
    processes = [TokenSource(connection, store=store) for _ in range(3)]
    refused = {await process.token(TokenKind.APP) for process in processes}
    assert refused == {"app-token-1"}
    given = {await process.renewed(TokenKind.APP, "app-token-1") for process in processes}
    assert given == {"app-token-2"}
    assert len(server.signed_in) == 2


async def test_a_sign_in_that_is_asked_for_takes_place_whatever_is_kept(
    server: PartnerCenterServer, tokens: TokenSource
) -> None:
    await tokens.token(TokenKind.APP)
    assert await tokens.sign_in(TokenKind.APP) == "app-token-2"
    assert await tokens.token(TokenKind.APP) == "app-token-2"


async def test_a_refresh_token_on_its_way_is_kept_when_the_one_who_asked_is_cancelled(
    server: PartnerCenterServer, connection: PartnerCenterConnection
) -> None:
    class Watched(InMemoryCredentials):
        turn, kept = asyncio.Event(), asyncio.Event()

        @asynccontextmanager
        async def changing(self) -> AsyncIterator[MutableMapping[str, Any]]:
            async with super().changing() as document:
                self.turn.set()
                yield document
            self.kept.set()

    server.token_reply = rotating
    store = Watched()
    asking = asyncio.create_task(TokenSource(connection, store=store).token(TokenKind.APP_AND_USER))
    await store.turn.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await store.kept.wait()
    assert (await store.read())["refresh_token"] == "rotated-1"


async def test_a_refusal_leaves_what_was_kept(
    server: PartnerCenterServer, connection: PartnerCenterConnection
) -> None:
    store = InMemoryCredentials()
    tokens = TokenSource(connection, store=store)
    await tokens.token(TokenKind.APP_AND_USER)
    before = await store.read()
    server.token_reply = lambda form, number: Reply(400, {"error": "invalid_grant"})
    with pytest.raises(CredentialsRefused):
        await tokens.sign_in(TokenKind.APP_AND_USER)
    assert await store.read() == before


async def test_a_store_that_cannot_be_read_is_the_operators_business(
    connection: PartnerCenterConnection,
) -> None:
    class Sealed:
        async def read(self) -> Mapping[str, Any]:
            raise InputRefused(["Give the key back."])

        def changing(self) -> AbstractAsyncContextManager[MutableMapping[str, Any]]:
            raise NotImplementedError

    with pytest.raises(CredentialsRefused, match=r"^Give the key back\.$"):
        await TokenSource(connection, store=Sealed()).token(TokenKind.APP)


async def test_every_token_is_masked_before_it_is_used(
    server: PartnerCenterServer, connection: PartnerCenterConnection
) -> None:
    server.token_reply = rotating
    masked: list[str] = []

    async def mask(secret: str) -> None:
        masked.append(secret)

    store = InMemoryCredentials()
    await TokenSource(connection, store=store, mask=mask).token(TokenKind.APP_AND_USER)
    assert masked == ["first-refresh-token", "user-token-1", "rotated-1"]
    masked.clear()
    await TokenSource(connection, store=store, mask=mask).token(TokenKind.APP_AND_USER)
    assert masked == ["user-token-1"]


@pytest.mark.parametrize("kind", TokenKind)
async def test_no_log_holds_a_secret(
    server: PartnerCenterServer,
    connection: PartnerCenterConnection,
    caplog: pytest.LogCaptureFixture,
    kind: TokenKind,
) -> None:
    server.token_reply = rotating
    caplog.set_level(logging.DEBUG)
    tokens = TokenSource(connection)
    first = await tokens.token(kind)
    await tokens.renewed(kind, first)
    assert f"signed in to Partner Center as {kind.value}" in caplog.text
    secrets = ["client-secret", "first-refresh-token", "rotated-", "user-token-"]
    assert [secret for secret in secrets if secret in caplog.text] == []


@pytest.mark.parametrize(
    ("number", "meaning", "who"),
    [
        (7000215, "the client secret is wrong", "operators enter a client secret that is valid"),
        (7000222, "the client secret has expired", "operators enter a client secret that is valid"),
        (700016, "it does not know the client id", "operators check the connection"),
        (90002, "it does not know the tenant", "operators check the connection"),
        (700082, "the refresh token has expired", "enters the new refresh token"),
        (50173, "the refresh token was revoked", "enters the new refresh token"),
        (500011, "the tenant does not know Partner Center's API", "add the API to the app registration"),
        (65001, "our application has no consent", "an administrator consents"),
    ],
)
async def test_a_refusal_with_a_number_says_what_it_is(
    server: PartnerCenterServer, tokens: TokenSource, number: int, meaning: str, who: str
) -> None:
    body = {"error": "any", "error_description": f"AADSTS{number}: x", "error_codes": [number]}
    server.token_reply = lambda form, number: Reply(400, body)
    with pytest.raises(CredentialsRefused) as raised:
        await tokens.token(TokenKind.APP_AND_USER)
    assert meaning in str(raised.value)
    assert f"(AADSTS{number})" in str(raised.value)
    assert who in str(raised.value)


@pytest.mark.parametrize("number", [50074, 50076, 50078, 50079, 50158])
async def test_a_sign_in_that_needs_a_second_factor_is_told_apart(
    server: PartnerCenterServer, tokens: TokenSource, number: int
) -> None:
    server.token_reply = lambda form, _: Reply(400, {"error": "invalid_grant", "error_codes": [number]})
    with pytest.raises(SecondFactorMissing, match="second factor"):
        await tokens.token(TokenKind.APP_AND_USER)


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
        Reply(400, {"error": "invalid_grant", "error_codes": [50196]}),
        Reply(400, {"error": "invalid_client", "error_codes": [90055]}),
    ],
    ids=[
        "503",
        "429 without JSON",
        "200 without JSON",
        "temporarily unavailable",
        "throttled",
        "tenant throttled",
    ],
)
async def test_a_sign_in_service_that_does_not_answer_is_waited_for(
    server: PartnerCenterServer, tokens: TokenSource, reply: Reply
) -> None:
    server.token_reply = lambda form, number: reply
    with pytest.raises(Unreachable) as raised:
        await tokens.token(TokenKind.APP)
    assert raised.value.failure_class is FailureClass.WAIT


@pytest.mark.parametrize("id_token", ["no-jwt", "a.b.c", 7])
async def test_an_id_token_that_is_none_is_told_in_a_sentence(
    server: PartnerCenterServer, tokens: TokenSource, id_token: object
) -> None:
    good = server.token_reply

    def strange(form: dict[str, str], number: int) -> Reply:
        answer = good(form, number)
        return replace(answer, body={**answer.body, "id_token": id_token})

    server.token_reply = strange
    with pytest.raises(Broken, match=r"sign-in service .* cannot be read") as raised:
        await tokens.token(TokenKind.APP_AND_USER)
    assert "no-jwt" not in str(raised.value)


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
        _PlainLoopback(f"http://login.example.com/{TENANT}", 1)
    with pytest.raises(ValueError, match="this machine"):
        _PlainLoopback(f"http://127.0.0.1:9/{TENANT}", 1).post("https://login.example.com/token")


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
