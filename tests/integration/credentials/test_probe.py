"""The check of the connection: one sentence for each way in which a connection works or does not."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk._shared.secrets_masker import SecretsMasker

from include.nce.orchestration import composition
from include.nce.orchestration.connection_check import check_connection
from include.nce.partner_center import auth
from include.nce.partner_center.auth import InMemoryCredentials
from include.nce.partner_center.connection import PartnerCenterConnection
from include.nce.partner_center.probe import Probe, probe
from tests.integration.credentials.conftest import SignInService
from tests.simulator.bench import SECRET
from tests.support.partner_center_server import Reply, serving

Start = Callable[..., SignInService]
SIGN_IN_AGAIN = "an operator signs in with the service account and enters the new refresh token."
SECOND_FACTOR = (
    "an operator signs in with the service account and its second factor and enters the new refresh token"
)


async def tried(service: SignInService, **changes: Any) -> Probe:
    return await probe(service.connection(**changes), InMemoryCredentials())


def said(found: Probe, service: SignInService) -> str:
    assert not found.works
    return found.sentence.replace(f" (rehearsal at {service.address})", "")


async def test_both_kinds_work(sign_in_service: Start) -> None:
    service = sign_in_service()
    assert await tried(service) == Probe(
        True, f"App-only works and App+User works (rehearsal at {service.address})."
    )
    assert service.statuses("get_customers") == {"200": 1}
    assert service.statuses("get_relationships") == {"200": 1}


async def test_a_wrong_secret_stops_both(sign_in_service: Start) -> None:
    service = sign_in_service()
    sentence = said(await tried(service, client_secret="wrong"), service)
    assert sentence.startswith("App-only does not work: ")
    assert "; App+User does not work: " in sentence
    assert sentence.count("the client secret is wrong (AADSTS7000215)") == 2


async def test_an_expired_refresh_token_stops_app_and_user(sign_in_service: Start) -> None:
    service = sign_in_service(refresh_token_expires_at="2022-07-01T00:00:00Z")
    assert said(await tried(service), service) == (
        "App-only works; App+User does not work: The sign-in service refuses a token for app and user: "
        f"the refresh token has expired (AADSTS700082); {SIGN_IN_AGAIN}"
    )


async def test_a_refresh_token_left_out_is_named(sign_in_service: Start) -> None:
    service = sign_in_service()
    sentence = said(await tried(service, refresh_token=None), service)
    assert sentence.startswith("App-only works; App+User does not work: ")
    assert "has no refresh token" in sentence


async def test_a_missing_second_factor_is_told_apart(sign_in_service: Start) -> None:
    service = sign_in_service(mfa=False)
    sentence = said(await tried(service), service)
    assert sentence.startswith("App-only works; App+User does not work: ")
    assert "without multi-factor authentication (HTTP 401, code 900421)" in sentence
    assert SECOND_FACTOR in sentence


async def test_a_wrong_audience_is_told_apart(
    sign_in_service: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "SCOPE", "https://graph.windows.net/.default")
    service = sign_in_service()
    sentence = said(await tried(service), service)
    assert sentence.count("the token is made for another audience (HTTP 401, code 900420)") == 2
    assert "Partner Center's API" in sentence


async def test_an_app_only_token_in_place_of_a_users_is_told_apart() -> None:
    async with serving() as server:
        server.on("GET", "/v1/customers", Reply(200, {"items": []}))
        server.on("GET", "/v1/relationships", Reply(403, {"code": 900329, "description": "App only."}))
        connection = PartnerCenterConnection.from_airflow(server.airflow_connection())
        found = await probe(connection, InMemoryCredentials())
    assert "App-only works; App+User does not work: " in found.sentence
    assert "an app-only token cannot be used for this call (HTTP 403, code 900329)" in found.sentence
    assert "operators check that the refresh token is the service account's" in found.sentence


async def test_nobody_there_is_told_once() -> None:
    service = SignInService("http://127.0.0.1:9")
    sentence = said(await tried(service), service)
    assert sentence.startswith("Neither App-only nor App+User works: The sign-in service")
    assert sentence.count("does not answer") == 1
    assert sentence.endswith("; operators try again, and check address and network when it stays so.")


async def test_a_partner_center_that_is_throttled_is_told_for_each_kind() -> None:
    async with serving() as server:
        server.on("GET", "/v1/customers", Reply(429, {"statusCode": 429}))
        server.on("GET", "/v1/relationships", Reply(200, {"items": []}))
        connection = PartnerCenterConnection.from_airflow(server.airflow_connection())
        found = await probe(connection, InMemoryCredentials())
    assert found.sentence.startswith("App-only does not work: ")
    assert "too many calls were made (HTTP 429); operators try again" in found.sentence
    assert "; App+User works" in found.sentence


async def test_without_a_place_to_keep_it_the_refresh_token_is_not_spent(sign_in_service: Start) -> None:
    service = sign_in_service()
    sentence = said(await probe(service.connection(), None), service)
    assert sentence.startswith("App-only works; App+User does not work: it was not tried")
    assert service.statuses("get_token_v2") == {"200": 1}


async def test_the_check_keeps_the_token_that_it_was_given(airflow_connections: SignInService) -> None:
    for _ in range(2):
        found = await check_connection()
        assert found.works, found.sentence
    assert airflow_connections.statuses("get_token_v2") == {"200": 4}


async def test_the_check_signs_in_anew_whatever_is_kept(
    airflow_connections: SignInService, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await check_connection()).works
    changed = json.loads(os.environ["AIRFLOW_CONN_PARTNER_CENTER"]) | {"password": "wrong"}
    monkeypatch.setenv("AIRFLOW_CONN_PARTNER_CENTER", json.dumps(changed))
    found = await check_connection()
    assert not found.works
    assert "the client secret is wrong" in found.sentence


async def test_without_a_ledger_the_check_says_so(
    airflow_connections: SignInService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_NCE_LEDGER", "postgres://nce:pw@127.0.0.1:9/none")
    found = await check_connection()
    assert not found.works
    assert "App-only works" in found.sentence
    assert "connection 'nce_ledger'" in found.sentence


async def test_no_log_of_a_sign_in_holds_a_secret(
    airflow_connections: SignInService, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []

    async def note(secret: str) -> None:
        given.append(secret)

    monkeypatch.setattr("include.nce.orchestration.connection_check.mask", note)
    caplog.set_level(logging.DEBUG)
    found = await check_connection()
    assert found.works, found.sentence
    assert "signed in to Partner Center as app and user" in caplog.text
    assert len(given) == 4
    assert [secret for secret in [*given, SECRET] if secret in caplog.text + found.sentence] == []


async def test_airflows_masker_hides_a_token_it_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    masker = SecretsMasker()
    masker.enable_log_masking()
    monkeypatch.setattr("airflow.sdk.log._secrets_masker", lambda: masker)
    monkeypatch.setattr(composition, "_masked", set())
    await composition.mask("0.a-token-that-was-rotated")
    assert masker.redact("it was 0.a-token-that-was-rotated here") == "it was *** here"


async def test_a_process_that_lives_long_stops_masking_before_it_gets_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []

    async def tell(secret: str) -> None:
        told.append(secret)

    monkeypatch.setattr("airflow.sdk.log.amask_secret", tell)
    monkeypatch.setattr(composition, "_masked", set())
    for number in range(composition.MASKED_PER_PROCESS + 5):
        await composition.mask(f"token-{number}")
        await composition.mask("token-0")
    assert told == [f"token-{number}" for number in range(composition.MASKED_PER_PROCESS)]
