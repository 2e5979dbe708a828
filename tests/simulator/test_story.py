"""What people and Microsoft do in Partner Center's own pages while a campaign runs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.bench import Bench, bench, legacy, scenario

NOON = "2022-07-12T12:00:00Z"
NCE: dict[str, Any] = {
    "key": "new",
    "nce": {"product": "CFQ7TTC0LDPB", "sku": "0001"},
    "seats": 10,
    "created_at": "2022-07-09T10:00:00Z",
    "ends_at": "2023-07-08T00:00:00Z",
}


def event(kind: str, **values: Any) -> dict[str, Any]:
    return {"events": [{"at": NOON, "kind": kind, **values}]}


async def outcome(sim: Bench) -> str:
    """What came of the only event."""
    await sim.go_to(NOON)
    (record,) = (await sim.control("GET", "/state")).json()["story"]
    text: str = record["outcome"]
    return text


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"kind": "change_seats", "seats": 14}, {"seats": 14}),
        ({"kind": "switch_auto_renew", "auto_renew": False}, {"auto_renew": False}),
        ({"kind": "suspend"}, {"status": "suspended", "suspended_by": "story"}),
        ({"kind": "cancel"}, {"status": "suspended", "suspended_by": "story"}),
        ({"kind": "change_partner_of_record", "partner_id": ""}, {"partner_id": ""}),
        ({"kind": "migrate_in_portal", "microsoft_led": True}, {"suspended_by": "microsoft"}),
    ],
)
async def test_a_subscription_changes_at_the_moment_of_its_event(
    values: dict[str, Any], expected: dict[str, Any]
) -> None:
    async with bench(legacy(), **event(subscription="premium", **values)) as sim:
        before = await sim.state_of("premium")
        assert await outcome(sim) == "done"
        after = await sim.state_of("premium")
        assert {name: after[name] for name in expected} == expected
        assert {name: before[name] for name in expected} != expected
        assert after["etag"] != before["etag"]


async def test_a_migration_led_by_microsoft_says_so() -> None:
    values = {"kind": "migrate_in_portal", "subscription": "premium", "microsoft_led": True}
    async with bench(legacy(), **event(**values)) as sim:
        await sim.go_to(NOON)
        query = f"/migrations/newcommerce?CustomerTenantId={sim.alfa}"
        (found,) = (await sim.get(query)).json()
        assert found["microsoftLed"] is True
        assert (await sim.get(f"{query}&IsMicrosoftLed=false")).json() == []


async def test_new_commerce_is_cancelled_in_its_window() -> None:
    async with bench(NCE, **event("cancel", subscription="new")) as sim:
        assert await outcome(sim) == "done"
        assert (await sim.subscription("new"))["status"] == "deleted"


async def test_a_cancellation_after_the_window_is_refused() -> None:
    row = NCE | {"created_at": "2022-06-01T00:00:00Z", "ends_at": "2023-05-31T00:00:00Z"}
    async with bench(row, **event("cancel", subscription="new")) as sim:
        assert (await outcome(sim)).startswith("refused: 900117")
        assert (await sim.subscription("new"))["status"] == "active"


async def test_a_suspended_subscription_is_reactivated_in_the_portal() -> None:
    async with bench(legacy(status="suspended"), **event("reactivate", subscription="premium")) as sim:
        assert await outcome(sim) == "done"
        assert (await sim.subscription("premium"))["status"] == "active"


@pytest.mark.parametrize("by", ["customer", "partner"])
async def test_a_customer_accepts_the_agreement_while_the_campaign_runs(by: str) -> None:
    story = scenario(legacy())
    story["partners"][0]["customers"][0]["mca"] = None
    async with bench(partners=story["partners"], **event("accept_mca", customer="alfa", by=by)) as sim:
        assert (await sim.control("GET", "/state")).json()["customers"][0]["mca"] is False
        assert await outcome(sim) == "done"
        (customer,) = (await sim.control("GET", "/state")).json()["customers"]
        assert (customer["mca"], bool(customer["signed_at"])) == (True, by == "customer")


async def test_an_acceptance_may_be_withdrawn() -> None:
    async with bench(**event("accept_mca", customer="alfa", accepted=False)) as sim:
        assert await outcome(sim) == "done"
        assert (await sim.control("GET", "/state")).json()["customers"][0]["mca"] is False


@pytest.mark.parametrize(
    ("change", "path", "before", "after"),
    [
        ({"mpa_signed": False}, "/compliance/csp/agreementstatus?mpnId=4847383", 200, 400),
        ({"mpn_known": False}, "/profiles/mpn?mpnId=4847383", 200, 404),
    ],
)
async def test_the_standing_of_a_partner_may_change(
    change: dict[str, bool], path: str, before: int, after: int
) -> None:
    async with bench(**event("change_partner", partner="rossi", **change)) as sim:
        assert (await sim.get(path)).status_code == before
        assert await outcome(sim) == "done"
        assert (await sim.get(path)).status_code == after


@pytest.mark.parametrize("change", [{"linked": False}, {"por_valid": False}])
async def test_a_partner_may_stop_being_a_valid_partner_of_record(change: dict[str, bool]) -> None:
    async with bench(legacy(), **event("change_partner", partner="rossi", **change)) as sim:
        assert (await sim.validate("premium"))["isEligible"] is True
        assert await outcome(sim) == "done"
        assert [error["code"] for error in (await sim.validate("premium"))["errors"]] == [9]


async def test_a_purchase_that_is_not_possible_is_refused() -> None:
    values = {"partner": "rossi", "customer": "alfa", "key": "big", "sku": "CFQ7TTC0LDPB:0001", "seats": 301}
    async with bench(**event("buy_in_portal", **values)) as sim:
        assert (await outcome(sim)).startswith("refused: 800002")
        assert (await sim.control("GET", "/state")).json()["subscriptions"] == []


async def test_an_event_about_a_purchase_follows_it() -> None:
    values = {"partner": "rossi", "customer": "alfa", "key": "bought", "sku": "CFQ7TTC0LDPB:0001", "seats": 3}
    later = {"at": "2022-07-12T13:00:00Z", "kind": "change_seats", "subscription": "bought", "seats": 4}
    events = [*event("buy_in_portal", **values)["events"], later]
    async with bench(events=events) as sim:
        await sim.go_to("2022-07-12T13:00:00Z")
        assert (await sim.state_of("bought"))["seats"] == 4
