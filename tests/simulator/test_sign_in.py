"""Tokens: who gets one, what it opens, and when it does not."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import identity
from tests.simulator.bench import AUDIENCE, CLIENT, PROVIDER, REFRESH, SECRET, Bench, bench, scenario

USER_ONLY = "/relationships?relationship_type=IsIndirectCloudSolutionProviderOf"


async def ask(sim: Bench, path: str = "oauth2/token", tenant: str = PROVIDER, **form: str) -> Any:
    wish = {"client_id": CLIENT, "client_secret": SECRET, "resource": AUDIENCE} | form
    return await sim.http.post(f"/{tenant}/{path}", data=wish)


async def test_the_first_version_answers_in_text_only() -> None:
    async with bench() as sim:
        answer = (await ask(sim, grant_type="client_credentials")).json()
    assert {name: type(value) for name, value in answer.items()} == dict.fromkeys(
        [
            "token_type",
            "access_token",
            "expires_in",
            "ext_expires_in",
            "expires_on",
            "not_before",
            "resource",
        ],
        str,
    )


async def test_the_second_version_counts_in_numbers_and_brings_an_id_token() -> None:
    async with bench() as sim:
        scope = f"{AUDIENCE}/.default"
        answer = await ask(
            sim, "oauth2/v2.0/token", grant_type="refresh_token", refresh_token=REFRESH, scope=scope
        )
    body = answer.json()
    assert body["expires_in"] == 3599
    assert {"id_token", "client_info", "refresh_token"} <= body.keys()


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": PROVIDER}, 400, "unauthorized_client"),
        ({"grant_type": "refresh_token", "refresh_token": "wrong"}, 400, "invalid_grant"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"tenant": "elsewhere.example"}, 400, "invalid_request"),
    ],
)
async def test_a_wrong_sign_in_is_refused(form: dict[str, str], status: int, error: str) -> None:
    async with bench() as sim:
        answer = await ask(sim, **({"grant_type": "client_credentials"} | form))
        assert (answer.status_code, answer.json()["error"]) == (status, error)
        assert SECRET not in answer.text


async def test_an_app_token_does_not_open_what_needs_a_user() -> None:
    async with bench() as sim:
        answer = await sim.get(USER_ONLY, token="app")
        assert (answer.status_code, answer.json()["code"]) == (403, 900329)
        assert (await sim.get(USER_ONLY, token="user")).status_code == 200


async def test_without_a_token_nothing_opens() -> None:
    async with bench() as sim:
        answer = await sim.get("/customers?size=0", token=None)
        assert (answer.status_code, answer.json()["code"]) == (401, 800001)


async def test_a_token_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench() as sim:
        headers = {"Authorization": f"Bearer {await sim.token('app')}"}
        now = identity.time.time()
        monkeypatch.setattr(identity.time, "time", lambda: now + 3600)
        answer = await sim.get("/customers?size=0", token=None, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


async def test_a_changed_token_is_no_token() -> None:
    async with bench() as sim:
        headers = {"Authorization": f"Bearer {(await sim.token('app'))[:-3]}abc"}
        assert (await sim.get("/customers?size=0", token=None, headers=headers)).status_code == 401


async def test_a_token_for_another_audience_is_refused() -> None:
    async with bench() as sim:
        answer = await ask(sim, grant_type="client_credentials", resource="https://graph.windows.net")
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        refused = await sim.get("/customers?size=0", token=None, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (401, 900420)


async def test_a_user_without_second_factor_is_refused() -> None:
    story = scenario()
    story["provider"]["applications"][0]["mfa"] = False
    async with bench(provider=story["provider"]) as sim:
        refused = await sim.get("/customers?size=0", token="user")
        assert (refused.status_code, refused.json()["code"]) == (401, 900421)
        assert (await sim.get("/customers?size=0", token="app")).status_code == 200


async def test_the_second_factor_is_told_when_asked_for() -> None:
    async with bench() as sim:
        answer = await sim.get("/customers?size=0", headers={"ValidateMfa": "true"})
        assert answer.headers["isMfaCompliant"] == "true"


async def test_a_rotated_refresh_token_replaces_the_old_one() -> None:
    provider = scenario()["provider"] | {"rotate_refresh_tokens": True, "rotated_tokens_stay_valid": False}
    async with bench(provider=provider) as sim:
        first = await ask(sim, grant_type="refresh_token", refresh_token=REFRESH)
        new = first.json()["refresh_token"]
        assert new != REFRESH
        assert (await ask(sim, grant_type="refresh_token", refresh_token=REFRESH)).status_code == 400
        assert (await ask(sim, grant_type="refresh_token", refresh_token=new)).status_code == 200


async def test_an_old_refresh_token_runs_out() -> None:
    provider = scenario()["provider"]
    provider["applications"][0]["refresh_token_expires_at"] = "2022-07-12T00:00:00Z"
    async with bench(provider=provider) as sim:
        assert (await ask(sim, grant_type="refresh_token", refresh_token=REFRESH)).status_code == 200
        await sim.go_to("2022-07-12T00:00:00Z")
        answer = await ask(sim, grant_type="refresh_token", refresh_token=REFRESH)
        assert answer.json()["error_codes"] == [700082]
