"""An answer that gives a person or a secret away reaches neither a log nor whoever keeps it."""

from __future__ import annotations

import json
import logging

import pytest

from include.nce.partner_center.auth import TokenKind
from include.nce.partner_center.client import PartnerCenterClient
from include.nce.partner_center.errors import PartnerCenterError
from include.nce.partner_center.gateway import _answered
from include.nce.partner_center.transport import Call, Transport
from tests.support.partner_center_server import PartnerCenterServer, Reply

WRITE = Call("create migration", "POST", "/v1/migrations", token=TokenKind.APP_AND_USER, body={}, writes=True)
PERSON = ("Ludovica", "Serafini-Canary", "ludovica.canary@rifugi.example", "+39 055 123 4567")
ANSWER = {
    "code": 800042,
    "description": f"Ask {PERSON[2]} or {PERSON[3]}.",
    "primaryContact": {"firstName": PERSON[0], "lastName": PERSON[1], "email": PERSON[2]},
    "billingProfile": {"defaultAddress": {"phoneNumber": PERSON[3]}},
}


@pytest.fixture
async def transport(client: PartnerCenterClient) -> Transport:
    return client._transport


def given_away(*texts: object) -> list[str]:
    secrets = (*PERSON, "client-secret", "first-refresh-token")
    return [secret for secret in secrets if any(secret in str(text) for text in texts)]


@pytest.mark.parametrize("text", [json.dumps(ANSWER), json.dumps(ANSWER)[:-30]], ids=["whole", "cut off"])
@pytest.mark.parametrize("status", [400, 403, 503])
async def test_an_error_tells_of_no_person(
    server: PartnerCenterServer,
    transport: Transport,
    status: int,
    text: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    server.on("POST", "/v1/migrations", Reply(status, text=text))
    with pytest.raises(PartnerCenterError) as caught:
        await transport.send(WRITE)
    error = caught.value
    assert given_away(error, error.sentence, error.description, error.body, caplog.text) == []
    assert "800042" in str(error.body)


async def test_an_answer_that_repeats_our_secrets_does_not_give_them_away(
    server: PartnerCenterServer, transport: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    server.on(
        "POST",
        "/v1/migrations",
        Reply(400, {"code": 1, "description": "client-secret and first-refresh-token"}),
    )
    with pytest.raises(PartnerCenterError) as caught:
        await transport.send(WRITE)
    sent = server.requests("POST", "/v1/migrations")[0].headers["authorization"].split()[1]
    assert given_away(caught.value, caught.value.body, caught.value.description, caplog.text) == []
    assert sent not in caplog.text


async def test_what_is_handed_on_as_evidence_has_no_person_in_it(
    server: PartnerCenterServer, transport: Transport
) -> None:
    server.on("POST", "/v1/migrations", Reply(201, {"id": "9a2e3b74", **ANSWER, "code": None}))
    answered = _answered(await transport.send(WRITE))
    assert given_away(answered.body) == []
    assert answered.body["id"] == "9a2e3b74"
