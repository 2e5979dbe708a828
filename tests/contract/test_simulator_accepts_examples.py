"""The simulator takes every documented request, as it stands, in a world that has what the request names.

`NCE_CONTRACT_EXAMPLES=<folder>` selects another folder of examples.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from simulator.wire import wire_moment
from tests.contract.fitting_world import customer_of, fitting_story
from tests.contract.folder import REQUESTS, Example, camel_case, named, plain
from tests.simulator.bench import CLIENT, PROVIDER, SECRET, Bench, scenario

NOT_SERVED = {
    "WebhookEvent": "sent by Microsoft to a partner, not to the API",
    "WebhookRegistration": "there are no webhooks",
}
SERVED = [example for example in REQUESTS if example.subject not in NOT_SERVED]
DOCUMENTED = {
    (row["status"], row["code"])
    for row in json.loads((Path(__file__).parent / "error_codes.json").read_text(encoding="utf-8"))
}
OF_THE_SERVER = {
    *("id", "attributes", "links", "creationDate", "creationTimestamp", "lastModifiedTimestamp"),
    *("expirationTimestamp", "lastModifiedUser", "effectiveStartDate", "commitmentEndDate", "orderId"),
    *("offerName", "unitType", "billingType", "refundOptions", "refundableQuantity", "publisherName"),
    *("isMicrosoftProduct", "hasPurchasableAddons", "renewalTermDuration", "productType", "partnerId"),
    *("provisioningContext", "currencyCode"),
}
"""Fields that a caller may send and cannot set."""


@asynccontextmanager
async def world(story: dict[str, Any]) -> Any:
    sim = Bench(story, None, "manual")
    async with sim.http:
        yield sim
    sim.simulation.close()


async def send(sim: Bench, example: Example, body: Any) -> Any:
    """Sends a request to where its example says, with the ids of this world in the path."""
    if example.subject == "auth.token":
        known = {"client_id": CLIENT, "client_secret": SECRET}
        form = {name: known.get(name, value) for name, value in body.items()}
        return await sim.http.post(f"/{PROVIDER}/oauth2/token", data=form)
    operation = example.operation
    assert operation is not None, f"the simulator has no {example.method} {example.path}"
    path = re.sub(r"^/v1", "", operation.path)
    path = path.replace("{customer_id}", customer_of(camel_case(body)))
    if "{subscription_id}" in path:
        fields = camel_case(body)
        path = path.replace("{subscription_id}", fields.get("id") or fields["fromSubscriptionId"])
    if example.method == "PUT" and path.endswith("}"):
        collection = path.rpartition("/")[0]
        made = await sim.post(collection, body)
        assert made.status_code == 201, made.text
        path = f"{collection}/{made.json()['id']}"
    if example.method == "GET":
        return await sim.get(path, params={"size": 0, "filter": json.dumps(body)})
    return await sim.call(example.method, path, json=body)


def contradictions(asked: Any, answered: Any, place: str = "") -> list[str]:
    """Where an answer says otherwise than the request, in fields that both have."""
    if isinstance(asked, dict) and isinstance(answered, dict):
        own = {name.lower(): (name, value) for name, value in answered.items()}
        found = []
        for name, value in asked.items():
            if name in OF_THE_SERVER or name.lower() not in own:
                continue
            found += contradictions(value, own[name.lower()][1], f"{place}.{name}")
        return found
    if isinstance(asked, list) and isinstance(answered, list) and len(asked) == len(answered):
        return [
            sentence
            for number, (one, other) in enumerate(zip(asked, answered, strict=True))
            for sentence in contradictions(one, other, f"{place}[{number}]")
        ]
    if asked in (None, "", "unknown") or same(asked, answered):
        return []
    return [f"{place}: asked for {asked!r}, got {answered!r}"]


def same(asked: Any, answered: Any) -> bool:
    if isinstance(asked, str) and isinstance(answered, str):
        if re.match(r"\d{4}-\d\d-\d\dT", asked):
            return wire_moment(asked) == wire_moment(answered)
        return plain(asked) == plain(answered)
    return bool(asked == answered)


def granted(example: Example, answer: Any) -> bool:
    """Whether an answer that is a success also says yes."""
    said: dict[str, Callable[[Any], bool]] = {
        "auth.token": lambda body: body["token_type"] == "Bearer" and bool(body["access_token"]),
        "Cart": lambda body: not any("error" in line for line in body["lineItems"]),
        "Customer.filter": lambda body: body["totalCount"] == 1,
        "NewCommerceEligibility": lambda body: (
            body["isEligible"] and all(addon["isEligible"] for addon in body.get("addOnMigrations", []))
        ),
        "NewCommerceMigration": lambda body: body["status"] == "Processing",
        "NewCommerceMigrationSchedule": lambda body: body["status"] == "Created",
        "PromotionEligibilities": lambda body: all(
            verdict["isEligible"] for row in body["items"] for verdict in row["eligibilities"]
        ),
        "ResellerValidation": lambda body: all(
            row["isValidPartnerIdOnRecord"] for row in body["validationResults"]
        ),
        "Transition": lambda body: body["events"][-1]["status"] == "Started",
    }
    return said.get(example.subject, lambda _: True)(answer.json())


def pascal_case(value: Any) -> Any:
    if isinstance(value, dict):
        return {name[:1].upper() + name[1:]: pascal_case(part) for name, part in value.items()}
    return [pascal_case(part) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize("example", named(SERVED))
async def test_a_documented_request_is_granted_where_it_can_be(example: Example) -> None:
    async with world(fitting_story(example)) as sim:
        answer = await send(sim, example, example.payload)
    assert answer.status_code in {200, 201}, answer.text
    assert granted(example, answer), answer.text
    assert contradictions(camel_case(example.payload), answer.json()) == []


@pytest.mark.parametrize("case", [camel_case, pascal_case])
@pytest.mark.parametrize("example", named([one for one in SERVED if one.subject != "auth.token"]))
async def test_the_case_of_names_makes_no_difference(example: Example, case: Callable[[Any], Any]) -> None:
    async with world(fitting_story(example)) as sim:
        answer = await send(sim, example, case(example.payload))
    assert answer.status_code in {200, 201}, answer.text
    assert granted(example, answer), answer.text


@pytest.mark.parametrize("example", named([one for one in SERVED if one.method != "PUT"]))
async def test_where_nothing_it_names_exists_it_is_refused_with_a_documented_code(example: Example) -> None:
    story = scenario(offers=[], products=[])
    story["partners"][0]["mpn_id"] = "1"
    story["partners"][0]["customers"][0]["tenant_id"] = customer_of(camel_case(example.payload))
    async with world(story) as sim:
        answer = await send(sim, example, example.payload)
    if answer.status_code >= 400:
        assert (answer.status_code, answer.json()["code"]) in DOCUMENTED, answer.text
    else:
        codes = re.findall(r'"errorCode": ?(\d+)', answer.text)
        assert {(None, int(code)) for code in codes} <= DOCUMENTED, answer.text


def test_every_request_is_served_or_named_with_its_reason() -> None:
    left_out = {example.subject for example in REQUESTS if example.operation is None}
    assert left_out <= set(NOT_SERVED)


@pytest.mark.parametrize(
    "example", named([one for one in REQUESTS if one.subject in NOT_SERVED and one.path.startswith("/")])
)
async def test_what_is_not_served_says_so(example: Example) -> None:
    async with world(scenario()) as sim:
        answer = await sim.http.request(example.method, example.path, json=example.payload)
    assert (answer.status_code, answer.json()["source"]) == (404, "simulator")
