"""The activity log: windows, filters, pages."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.simulator.bench import bench, legacy


def by(field: str, value: str, operator: str) -> str:
    return quote(json.dumps({"Field": field, "Value": value, "Operator": operator}))


async def test_the_newest_record_comes_first_and_each_comes_once() -> None:
    async with bench(legacy()) as sim:
        for seats in (13, 14, 15):
            await sim.patch("premium", quantity=seats)
            await sim.control("POST", "/clock/advance", {"seconds": 60})
        path, headers, seen = "/auditrecords?size=2", {}, []
        while True:
            body: dict[str, Any] = (await sim.get(path, headers=headers)).json()
            seen += [item["operationDate"] for item in body["items"]]
            if "continuationToken" not in body:
                break
            headers = {"MS-ContinuationToken": body["continuationToken"]}
        assert len(seen) == 3
        assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize(
    ("field", "value", "operator", "count"),
    [
        ("CompanyName", "lf", "substring", 1),
        ("CompanyName", "beta", "substring", 0),
        ("ResourceType", "subscription", "equals", 1),
        ("ResourceType", "order", "equals", 0),
    ],
)
async def test_records_are_filtered(field: str, value: str, operator: str, count: int) -> None:
    async with bench(legacy()) as sim:
        await sim.patch("premium", quantity=13)
        answer = await sim.get(f"/auditrecords?filter={by(field, value, operator)}")
        assert answer.json()["totalCount"] == count


async def test_records_of_one_customer_are_found() -> None:
    async with bench(legacy()) as sim:
        await sim.patch("premium", quantity=13)
        wanted = by("CustomerId", sim.alfa, "equals")
        assert (await sim.get(f"/auditrecords?filter={wanted}")).json()["totalCount"] == 1


@pytest.mark.parametrize(
    "query",
    [
        "startDate=tomorrow",
        "size=0",
        "startDate=2022-05-01&endDate=2022-07-01",
        f"filter={by('Colour', 'x', 'equals')}",
    ],
)
async def test_a_question_that_is_not_possible_is_refused(query: str) -> None:
    async with bench(legacy()) as sim:
        await sim.patch("premium", quantity=13)
        assert (await sim.get(f"/auditrecords?{query}")).json()["code"] == 800002
