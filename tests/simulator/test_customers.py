"""Customers: paging, filters, profiles, qualifications."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.simulator.bench import Bench, bench, scenario


def many(count: int) -> dict[str, Any]:
    """A story with so many customers of one partner."""
    partner = scenario()["partners"][0]
    customers = [{"key": f"c{number:02}", "name": f"Company {number:02}"} for number in range(count)]
    return {"partners": [partner | {"customers": customers}]}


def by(field: str, value: str, operator: str = "starts_with") -> str:
    text = json.dumps({"Field": field, "Value": value, "Operator": operator})
    return f"/customers?size=0&filter={quote(text)}"


async def pages(sim: Bench, size: int) -> list[list[str]]:
    found: list[list[str]] = []
    path, headers = f"/customers?size={size}", {}
    while True:
        body = (await sim.get(path, headers=headers)).json()
        found.append([item["id"] for item in body["items"]])
        if "continuationToken" not in body:
            return found
        path, headers = (
            f"/customers?size={size}&seekOperation=next",
            {"MS-ContinuationToken": body["continuationToken"]},
        )


async def test_every_customer_comes_once_over_all_pages() -> None:
    async with bench(**many(7)) as sim:
        found = await pages(sim, 3)
    assert [len(page) for page in found] == [3, 3, 1]
    assert len({customer for page in found for customer in page}) == 7


async def test_the_total_counts_this_page_only() -> None:
    async with bench(**many(5)) as sim:
        assert (await sim.get("/customers?size=2")).json()["totalCount"] == 2


async def test_a_spent_continuation_token_is_2000() -> None:
    async with bench(**many(3)) as sim:
        headers = {"MS-ContinuationToken": "bm9uZQ=="}
        answer = await sim.get("/customers?size=2&seekOperation=next", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, 2000)


async def test_customers_are_found_by_reseller_tenant_with_a_user_token_only() -> None:
    story = many(2)
    other = {"id": "bianchi", "name": "Bianchi", "mpn_id": "2", "customers": [{"key": "x", "name": "X"}]}
    story["partners"].append(other)
    async with bench(**story) as sim:
        path = by("IndirectReseller", sim.story.partners[1].tenant_id or "")
        assert [item["id"] for item in (await sim.get(path)).json()["items"]] == [sim.customer("x")]
        refused = await sim.get(path, token="app")
        assert (refused.status_code, refused.json()["code"]) == (403, 900329)


async def test_customers_are_found_by_the_beginning_of_name_or_domain() -> None:
    async with bench(**many(12)) as sim:
        assert (await sim.get(by("CompanyName", "company 1"))).json()["totalCount"] == 2
        assert (await sim.get(by("Domain", "c03.on"))).json()["totalCount"] == 1


@pytest.mark.parametrize("path", ["/customers?filter=x", by("Colour", "red"), by("Domain", "c", "contains")])
async def test_a_filter_that_is_not_known_is_refused(path: str) -> None:
    async with bench() as sim:
        assert (await sim.get(path)).json()["code"] == 800002


async def test_an_unknown_customer_is_1000() -> None:
    async with bench() as sim:
        answer = await sim.get("/customers/3b33e682-00c3-41ee-9dd2-a548adf56438")
        assert (answer.status_code, answer.json()["code"]) == (404, 1000)


async def test_a_customer_id_is_found_in_either_case() -> None:
    async with bench() as sim:
        assert (await sim.get(f"/customers/{sim.alfa.upper()}")).json()["id"] == sim.alfa


async def test_an_education_qualification_is_reviewed_first() -> None:
    async with bench() as sim:
        path = f"/customers/{sim.alfa}/qualifications"
        assert (await sim.get(path)).json() == []
        wish = {"Qualification": "Education", "EducationSegment": "K12", "Website": "contoso.edu"}
        answer = await sim.post(path, wish)
        assert (answer.status_code, answer.json()["vettingStatus"]) == (201, "InReview")
        assert (await sim.get(path)).json() == [answer.json()]
        assert (await sim.get(f"/customers/{sim.alfa}/qualification")).json() == "none"


async def test_nonprofit_cannot_be_set() -> None:
    async with bench() as sim:
        answer = await sim.post(f"/customers/{sim.alfa}/qualifications", {"qualification": "Nonprofit"})
        assert (answer.status_code, answer.json()["code"]) == (400, 800002)


async def test_the_resellers_of_a_customer_have_neither_state_nor_location() -> None:
    async with bench() as sim:
        (item,) = (await sim.get(f"/customers/{sim.alfa}/relationships")).json()["items"]
        assert item["mpnId"] == "4847383"
        assert not {"state", "location"} & item.keys()
