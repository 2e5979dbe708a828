"""What is taken out of answers and sentences, and what stays as it came."""

from __future__ import annotations

import json
from typing import Any

import pytest

from include.nce.domain.privacy import REMOVED, body_without_persons, masked, without, without_persons

AGREEMENT = {
    "userId": "8df8d5a0-0000-4000-8000-000000000001",
    "primaryContact": {"firstName": "Ludovica", "lastName": "Serafini", "email": "l@x.example"},
    "templateId": "117a77b0-9360-443b-8795-c6dedc750cf9",
    "dateAgreed": "2019-08-26T00:00:00",
}
EVIDENCE = {
    "id": "9A2E3B74-0000-4000-8000-000000000002",
    "currentSubscriptionId": "ab380787-f71a-57b5-9d0c-f182fc69a976",
    "status": "Processing",
    "quantity": 25,
    "startedTime": "2022-07-11T00:00:00.0966728Z",
    "companyName": "Rifugi Alpini S.p.A.",
    "catalogItemId": "CFQ7TTC0LF8R:0001:CFQ7TTC0ABCD",
    "links": {"self": {"uri": "/customers/1/migrations/newcommerce/2", "method": "GET", "headers": []}},
    "attributes": {"etag": "eyJpZCI6IjEifQ==", "objectType": "NewCommerceMigration"},
    "isAutoRenew": True,
    "errors": [],
}


def test_evidence_stays_as_it_came() -> None:
    assert without_persons(EVIDENCE) == EVIDENCE
    assert body_without_persons(json.dumps(EVIDENCE)) == json.dumps(EVIDENCE)


def test_a_person_goes_and_the_rest_of_the_answer_stays() -> None:
    assert without_persons(AGREEMENT) == {**AGREEMENT, "primaryContact": REMOVED}


@pytest.mark.parametrize(
    "field",
    ["firstName", "LastName", "EMAIL", "phoneNumber", "phone_number", "addressLine1", "postalCode",
     "defaultAddress", "billingProfile", "companyApproverEmail", "userPrincipalName", "refresh_token",
     "access_token", "client_secret", "password", "Authorization"],
)  # fmt: skip
@pytest.mark.parametrize("value", ["Serafini", {"of": {"any": "shape"}}, ["a", "list"], 390123])
def test_the_field_is_told_by_its_name_however_it_is_written(field: str, value: Any) -> None:
    assert without_persons({"items": [{"deep": {field: value}}]}) == {"items": [{"deep": {field: REMOVED}}]}


@pytest.mark.parametrize("value", [None, ""])
def test_a_field_with_nothing_in_it_shows_that_nothing_was_there(value: Any) -> None:
    assert without_persons({"email": value}) == {"email": value}


def test_the_answer_itself_is_not_changed() -> None:
    answer = {"contact": {"email": "l@x.example"}, "text": "call +39 055 123 4567"}
    before = json.dumps(answer)
    without_persons(answer)
    assert json.dumps(answer) == before


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Contact ludovica.serafini+x@rifugi.example now.", f"Contact {REMOVED} now."),
        ("call +39 055 123-4567 today", f"call {REMOVED} today"),
        ("tel. 055 1234567", f"tel. {REMOVED}"),
        ("Telefono: (055) 123.45.67", f"Telefono: {REMOVED}"),
        ("got eyJhbGciOiJIUzI1.eyJzdWIiOiIxIn0.c2ln back", f"got {REMOVED} back"),
        ("Authorization: Bearer abcdefgh12345", f"Authorization: Bearer {REMOVED}"),
        ("grant_type=refresh_token&refresh_token=0.AXoA-x_y&scope=openid",
         f"grant_type=refresh_token&refresh_token={REMOVED}&scope=openid"),
        ("client_secret: 'x' is wrong", "client_secret: 'x' is wrong"),
    ],
)  # fmt: skip
def test_a_sentence_loses_addresses_numbers_and_tokens(text: str, kept: str) -> None:
    assert masked(text) == kept


@pytest.mark.parametrize(
    "sentence",
    [
        "The cut-over is on 2022-07-11 00:00 UTC.",
        "ab380787-f71a-57b5-9d0c-f182fc69a976 is unknown: no usable answer (HTTP 503, code 800003).",
        "Plan 3: 25 seats, 2022-07-11T00:00:00+02:00, PartnerID 4200110.",
        "Run csp-commercial-2022__rossi-informatica was opened.",
        "Form no. 17 of 29/06/2022, filed in folder 2022-4711.",
        "the telephone company Telefonia 2000 S.r.l. opted out",
        "12345678-1234-1234-1234-123456789012",
    ],
)
def test_an_ordinary_sentence_stays_as_it_is(sentence: str) -> None:
    assert masked(sentence) == sentence


@pytest.mark.parametrize(
    "broken",
    [
        '{"primaryContact": {"firstName": "Ludovica", "lastName": "Serafini", "email": "l@x.exa',
        '{"code": 1, "firstName": "Ludo\\"vica", "lastName" : "Serafini"} trailing',
        '<html>"lastName":"Serafini" l@x.example Ludovica@x.example</html>',
    ],
)
def test_an_answer_that_is_no_json_any_more_gives_nobody_away(broken: str) -> None:
    kept = body_without_persons(broken)
    assert not [name for name in ("Serafini", "Ludo", "l@x") if name in kept]


def test_these_very_secrets_go_wherever_they_stand() -> None:
    assert without("a s3cret and a s3cret, None stays", ["s3cret", None, ""]) == (
        f"a {REMOVED} and a {REMOVED}, None stays"
    )
