"""The simulator against the published examples, and FIDELITY.md against the simulator."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from simulator.routes import OPERATIONS
from tests.simulator.bench import FACULTY, Bench, bench, legacy, scenario
from tests.simulator.test_purchases import PROMOTION, cart, checkout, item, line

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "tests/contract/examples"
Ask = Callable[[Bench], Awaitable[Any]]

NCE = {
    "key": "nce",
    "nce": {"product": "CFQ7TTC0LDPB", "sku": "0001"},
    "seats": 4,
    "created_at": "2022-07-09T10:00:00Z",
    "ends_at": "2022-08-08T00:00:00Z",
    "term": "P1M",
}
ROWS = (
    legacy(),
    legacy("moving"),
    legacy("azure", offer="MS-AZR-0145P", ends_at=None, seats=None),
    NCE,
)
MCA = "agreementType=MicrosoftCustomerAgreement"


def reading(path: str) -> Ask:
    """A GET whose path may name the customer and subscriptions by key."""

    async def ask(sim: Bench) -> Any:
        keys = {"customer": sim.alfa} | {key: sim.id(key) for key in ("premium", "nce", "azure")}
        return await sim.get(path.format(**keys))

    return ask


async def completed(sim: Bench) -> str:
    migration: str = (await sim.migrate("moving", externalReferenceId="r")).json()["id"]
    await sim.go_to("2022-07-11T10:00:00Z")
    return migration


async def migration_completed(sim: Bench) -> Any:
    path = f"/customers/{sim.alfa}/migrations/newcommerce/{await completed(sim)}"
    return await sim.get(path)


async def migrations_queried(sim: Bench) -> Any:
    await completed(sim)
    return await sim.get(f"/migrations/newcommerce?CustomerTenantId={sim.alfa}")


async def migration_events(sim: Bench) -> Any:
    path = f"/customers/{sim.alfa}/migrations/newcommerce/events?migration_id={await completed(sim)}"
    return await sim.get(path)


async def validated(sim: Bench) -> Any:
    path = f"/customers/{sim.alfa}/migrations/newcommerce/validate"
    return await sim.post(path, {"currentSubscriptionId": sim.id("premium")})


async def planned(sim: Bench) -> Any:
    wish = {"currentSubscriptionId": sim.id("premium"), "targetDate": "2022-07-13T00:00:00Z"}
    path = f"/customers/{sim.alfa}/migrations/newcommerce/schedules"
    made = (await sim.post(path, wish)).json()
    return await sim.call("PUT", f"{path}/{made['id']}", json=wish | {"quantity": 3})


async def plans_queried(sim: Bench) -> Any:
    await planned(sim)
    return await sim.get(f"/migrations/newcommerce/schedules?CustomerTenantId={sim.alfa}")


async def cart_made(sim: Bench) -> Any:
    return await cart(sim, line(await item(sim)))


async def ordered(sim: Bench) -> Any:
    order = (await checkout(sim, line(await item(sim)))).json()["orders"][0]["id"]
    await sim.go_to("2022-07-11T07:00:00Z")
    return await sim.get(f"/customers/{sim.alfa}/orders/{order}")


async def orders_listed(sim: Bench) -> Any:
    await ordered(sim)
    return await sim.get(f"/customers/{sim.alfa}/orders")


async def order_provisioned(sim: Bench) -> Any:
    order = (await ordered(sim)).json()["id"]
    return await sim.get(f"/customers/{sim.alfa}/orders/{order}/provisioningstatus")


async def promotion_refused(sim: Bench) -> Any:
    wish = {"items": [line(await item(sim), quantity=500)]}
    return await sim.post(f"/customers/{sim.alfa}/promotionEligibilities", wish)


async def auto_renew_off(sim: Bench) -> Any:
    return await sim.patch("nce", autoRenewEnabled=False)


async def audited(sim: Bench) -> Any:
    await checkout(sim, line(await item(sim)))
    return await sim.get("/auditrecords")


async def qualification_asked(sim: Bench) -> Any:
    wish = {"qualification": "Education", "educationSegment": "HigherEducation", "website": "contoso.edu"}
    return await sim.post(f"/customers/{sim.alfa}/qualifications", wish)


# example file: how the simulator is asked for the like, and the fields of the example that do not apply
LIKE: dict[str, tuple[Ask, set[str]]] = {
    "agreements.metadata.response.mca.json": (reading(f"/agreements?{MCA}"), set()),
    "agreementstatus.response.signed.json": (
        reading("/compliance/csp/agreementstatus?mpnId=4847383"),
        set(),
    ),
    "agreementstatus.response.error.both-missing.json": (reading("/compliance/csp/agreementstatus"), set()),
    "agreementstatus.response.error.mpn-invalid-or-not-in-partner-center.json": (
        reading("/compliance/csp/agreementstatus?mpnId=1"),
        set(),
    ),
    "auditrecords.response.json": (audited, {"userPrincipalName"}),
    "cart.create.response.nce.json": (cart_made, set()),
    "catalog.availability.response.nce.json": (
        lambda sim: availability(sim),
        set(),
    ),
    "catalog.products.response.nce.json": (
        reading("/products?country=IT&targetView=OnlineServices"),
        set(),
    ),
    "catalog.skus.response.nce.json": (
        reading("/customers/{customer}/products/CFQ7TTC0LDPB/skus"),
        {"provisioningId"},
    ),
    "customer.agreements.response.mca.json": (
        reading(f"/customers/{{customer}}/agreements?{MCA}"),
        {"phoneNumber"},
    ),
    "customer.company.response.json": (reading("/customers/{customer}/profiles/company"), {"region"}),
    "customer.directsigned.response.json": (
        reading("/customers/{customer}/directSignedMicrosoftCustomerAgreementStatus"),
        set(),
    ),
    "customer.get.response.json": (reading("/customers/{customer}"), {"region", "state"}),
    "customer.qualifications.create.response.education.json": (qualification_asked, set()),
    "customers.list.response.json": (reading("/customers?size=40"), set()),
    "customers.search.response.json": (reading("/customers?size=40"), set()),
    "migration.events.response.json": (migration_events, set()),
    "migration.get.response.completed.json": (migration_completed, set()),
    "migration.schedule.update.response.json": (planned, set()),
    "migration.schedules.query.response.json": (plans_queried, set()),
    "migration.validate.response.eligible.json": (validated, set()),
    "migrations.query.response.json": (migrations_queried, set()),
    "order.provisioningstatus.response.json": (order_provisioned, set()),
    "order.response.nce-checkout.json": (ordered, set()),
    "orders.list.response.json": (
        orders_listed,
        {"subscription", "etag", "lineItems[].links.provisioningStatus"},
    ),
    "profile.legalbusiness.response.json": (reading("/profiles/legalbusiness"), set()),
    "profile.mpn.response.json": (reading("/profiles/mpn?mpnId=4847383"), set()),
    "profile.organization.response.json": (reading("/profiles/organization"), set()),
    "promotioneligibilities.response.not-eligible.json": (promotion_refused, set()),
    "promotions.list.response.json": (reading("/productpromotions?country=IT&segment=commercial"), set()),
    "relationshiprequest.response.json": (reading("/customers/relationshiprequests"), set()),
    "relationships.resellers.response.json": (
        reading("/relationships?relationship_type=IsIndirectCloudSolutionProviderOf"),
        set(),
    ),
    "subscription.autorenew-off.response.json": (auto_renew_off, {"etag"}),
    "subscription.get.response.azure-legacy.json": (
        reading("/customers/{customer}/subscriptions/{azure}"),
        set(),
    ),
    "subscription.get.response.nce.json": (reading("/customers/{customer}/subscriptions/{nce}"), set()),
    "subscription.provisioningstatus.response.json": (
        reading("/customers/{customer}/subscriptions/{premium}/provisioningstatus"),
        set(),
    ),
    "subscriptions.by-partner.response.legacy.json": (
        reading("/customers/{customer}/subscriptions?mpn_id=4847383"),
        set(),
    ),
    "subscriptions.customtermenddates.response.json": (
        reading("/customers/{customer}/subscriptions/customTermEndDates?term_duration=P1M"),
        set(),
    ),
}


async def availability(sim: Bench) -> Any:
    key = (await item(sim))[-12:]
    return await sim.get(f"/products/CFQ7TTC0LFLS/skus/0002/availabilities/{key}?country=IT")


def kind(value: Any) -> str:
    return (
        "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
    )


def differences(example: Any, answer: Any, left_out: set[str], place: str = "") -> list[str]:
    """What the example has and the answer has not, or in another form. Lists compare by all their items."""
    if kind(example) != kind(answer):
        return [f"{place or 'the answer'} is {kind(answer)}, not {kind(example)}"]
    if isinstance(example, list):
        if example and not answer:
            return [f"{place} is empty"]
        return differences(_together(example), _together(answer), left_out, f"{place}[]") if example else []
    if not isinstance(example, dict):
        return []
    found = []
    for name, value in example.items():
        if value is None or any(f"{place}.{name}".endswith(f".{field}") for field in left_out):
            continue
        if name not in answer:
            found.append(f"{place}.{name} is missing")
        else:
            found += differences(value, answer[name], left_out, f"{place}.{name}")
    return found


def _together(items: list[Any]) -> Any:
    """One object that has every field of any item."""
    if not all(isinstance(entry, dict) for entry in items):
        return items[0]
    whole: dict[str, Any] = {}
    for entry in items:
        for name, value in entry.items():
            known = whole.get(name)
            if isinstance(value, dict) and isinstance(known, dict):
                whole[name] = _together([known, value])
            elif isinstance(value, list) and isinstance(known, list):
                whole[name] = known + value
            else:
                whole[name] = value
    return whole


@pytest.mark.parametrize("name", sorted(LIKE))
async def test_an_answer_has_the_fields_and_types_of_the_example(name: str) -> None:
    example = json.loads((EXAMPLES / name).read_text())
    index = json.loads((EXAMPLES / "index.json").read_text())[name]
    ask, left_out = LIKE[name]
    rows = [{key: value for key, value in row.items() if value is not None} for row in ROWS]
    async with bench(*rows, promotions=[PROMOTION]) as sim:
        answer = await ask(sim)
    read_again = {"order.response.nce-checkout.json": 200}
    assert answer.status_code == read_again.get(name, index["status"])
    assert differences(example, answer.json(), left_out) == []


async def test_an_education_qualification_looks_like_the_example() -> None:
    story = scenario(legacy(offer=FACULTY))
    story["partners"][0]["customers"][0]["qualifications"] = ["Education"]
    async with bench(partners=story["partners"]) as sim:
        answer = await sim.get(f"/customers/{sim.alfa}/qualifications")
        old = await sim.get(f"/customers/{sim.alfa}/qualification")
    example = EXAMPLES / "customer.qualifications.response.education-approved.json"
    assert answer.json() == json.loads(example.read_text())
    assert old.json() == "education"


def rows_of_the_page() -> list[tuple[str, str, str, str]]:
    """Method, path, operation and source page of each row of FIDELITY.md."""
    text = (ROOT / "simulator/FIDELITY.md").read_text()
    found = re.findall(r"^\| (\w+) `([^`]+)` \| `(\w+)` \| ([^|]+?) \|", text, re.MULTILINE)
    return sorted((method, path, name, page) for method, path, name, page in found)


def test_the_fidelity_page_has_one_row_for_each_operation() -> None:
    routes = sorted((row.method, row.path, row.name, row.page) for row in OPERATIONS)
    assert rows_of_the_page() == routes


def test_every_row_of_the_fidelity_page_says_how_faithful_it_is() -> None:
    text = (ROOT / "simulator/FIDELITY.md").read_text()
    verdicts = re.findall(r"^\| \w+ `[^`]+` \| `\w+` \| [^|]+ \| ([^|]+?) \|", text, re.MULTILINE)
    assert len(verdicts) == len(OPERATIONS)
    assert set(verdicts) <= {"faithful", "inferred", "partly inferred", "simplified"}


def test_operation_names_are_unique() -> None:
    names = [row.name for row in OPERATIONS]
    assert len(names) == len(set(names))


async def test_the_api_is_published_with_its_operations() -> None:
    async with bench() as sim:
        paths = (await sim.http.get("/openapi.json")).json()["paths"]
    published = {call["operationId"] for path in paths.values() for call in path.values()}
    assert {row.name for row in OPERATIONS} <= published
