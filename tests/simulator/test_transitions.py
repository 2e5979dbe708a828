"""Transitions between new-commerce products: what is offered, what becomes of it, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.bench import USER, Bench, bench, legacy
from tests.simulator.test_purchases import item

STANDARD = {"product": "CFQ7TTC0LDPB", "sku": "0001"}
E3 = {"product": "CFQ7TTC0LF8R", "sku": "0001"}
SMALL: dict[str, Any] = {
    "key": "small",
    "nce": STANDARD,
    "seats": 10,
    "created_at": "2022-07-09T10:00:00Z",
    "ends_at": "2023-07-08T00:00:00Z",
}
BIG = SMALL | {"key": "big", "nce": E3, "seats": 4}
SHORT = BIG | {"key": "short", "term": "P1M", "ends_at": "2022-08-08T00:00:00Z"}
DONE = "2022-07-11T06:30:00Z"


def code(answer: Any) -> tuple[int, int]:
    return answer.status_code, answer.json()["code"]


def path(sim: Bench, what: str, key: str = "small") -> str:
    return f"/customers/{sim.alfa}/subscriptions/{sim.id(key)}/{what}"


async def wish(sim: Bench, **changes: Any) -> dict[str, Any]:
    whole = {
        "toCatalogItemId": await item(sim, **E3),
        "quantity": 10,
        "termDuration": "P1Y",
        "billingCycle": "Monthly",
        "transitionType": "transition_only",
    } | changes
    return {name: value for name, value in whole.items() if value is not None}


async def upgrade(sim: Bench, key: str = "small", *, token: Any = USER, **changes: Any) -> Any:
    return await sim.post(path(sim, "transitions", key), await wish(sim, **changes), token=token)


async def history(sim: Bench) -> list[tuple[str, str]]:
    (found,) = (await sim.get(path(sim, "transitions"))).json()["transition"]
    return [(event["name"], event["status"]) for event in found["events"]]


async def test_what_a_subscription_may_become_and_who_could_take_its_seats() -> None:
    async with bench(SMALL, BIG, SHORT) as sim:
        answer = await sim.get(path(sim, "transitionEligibilities?eligibilityType=scheduled"), token="app")
        (found,) = answer.json()["items"]
        assert found["catalogItemId"] == await item(sim, **E3)
        takers = {taker["subscriptionId"]: taker for taker in found["subscriptionEligibilities"]}
        assert takers[sim.id("big")]["isEligible"] is True
        assert [error["code"] for error in takers[sim.id("short")]["errors"]] == [3]
    assert [verdict["isEligible"] for verdict in found["eligibilities"]] == [True, True]


async def test_all_seats_make_the_subscription_itself_another_product() -> None:
    async with bench(SMALL) as sim:
        before = await sim.subscription("small")
        answer = await upgrade(sim)
        assert (answer.status_code, await history(sim)) == (200, [("Conversion", "Started")])
        assert (await sim.subscription("small"))["offerId"] == before["offerId"]
        await sim.go_to(DONE)
        after = await sim.subscription("small")
        assert await history(sim) == [("Conversion", "Started"), ("Conversion", "Completed")]
    assert after["offerId"] == answer.json()["toCatalogItemId"]
    kept = ("quantity", "status", "commitmentEndDateTime", "cancellationAllowedUntilDate")
    assert [after[name] for name in kept] == [before[name] for name in kept]


async def test_some_seats_become_a_subscription_of_their_own_with_the_old_window() -> None:
    async with bench(SMALL) as sim:
        made = (await upgrade(sim, quantity=3)).json()["toSubscriptionId"]
        await sim.go_to(DONE)
        old = await sim.subscription("small")
        new = (await sim.get(f"/customers/{sim.alfa}/subscriptions/{made}")).json()
    assert (old["quantity"], new["quantity"], new["status"]) == (7, 3, "active")
    assert new["cancellationAllowedUntilDate"] == old["cancellationAllowedUntilDate"]


async def test_seats_may_go_to_a_subscription_that_is_there() -> None:
    async with bench(SMALL, BIG) as sim:
        await upgrade(sim, toSubscriptionId=sim.id("big"))
        await sim.go_to(DONE)
        assert (await sim.subscription("big"))["quantity"] == 14
        assert (await sim.subscription("small"))["status"] == "deleted"


async def test_licences_are_reassigned_after_the_conversion() -> None:
    async with bench(SMALL) as sim:
        operation = (await upgrade(sim, transitionType="transition_with_license_transfer")).json()
        await sim.go_to(DONE)
        assert (await history(sim))[2:] == [("LicenseReassignment", "Started")]
        await sim.go_to("2022-07-11T07:00:00Z")
        assert (await history(sim))[3:] == [("LicenseReassignment", "Completed")]
        one = await sim.get(path(sim, f"transitions?operation-id={operation['operationId']}"))
        none = await sim.get(path(sim, "transitions?operation-id=another"))
    assert (len(one.json()["transition"]), none.json()["transition"]) == (1, [])


async def test_a_transition_fails_when_its_subscription_ended_meanwhile() -> None:
    ends_tonight = SMALL | {"ends_at": "2022-07-11T00:00:00Z", "auto_renew": False}
    async with bench(ends_tonight, rules={"transition_takes": "PT20H"}) as sim:
        await upgrade(sim)
        await sim.go_to("2022-07-12T02:00:00Z")
        assert await history(sim) == [("Conversion", "Started"), ("Conversion", "Failed")]
        assert (await sim.subscription("small"))["offerId"].startswith("CFQ7TTC0LDPB:0001")


async def test_while_a_transition_is_in_work_nothing_else_is_taken() -> None:
    async with bench(SMALL) as sim:
        await upgrade(sim, quantity=1)
        assert code(await upgrade(sim)) == (409, 800082)
        assert code(await sim.patch("small", quantity=11)) == (409, 800082)
        assert (await sim.get(path(sim, "transitionEligibilities"))).json()["items"] == []
        await sim.go_to(DONE)
        assert (await upgrade(sim, quantity=9)).status_code == 200


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        *[
            ({name: None}, (400, 800002))
            for name in (
                *("toCatalogItemId", "quantity", "termDuration", "billingCycle"),
                "transitionType",
            )
        ],
        ({"transitionType": "upgrade"}, (400, 800002)),
        ({"quantity": 0}, (400, 800002)),
        ({"quantity": 11}, (400, 2002)),
        ({"termDuration": "P1M"}, (400, 900222)),
        ({"billingCycle": "triennial"}, (400, 900222)),
        ({"toCatalogItemId": "CFQ7TTC0XXXX:0001:CFQ7TTC0KCSV"}, (404, 400013)),
        ({"toCatalogItemId": "CFQ7TTC0LF8R:0009:CFQ7TTC0KCSV"}, (404, 400018)),
        ({"toCatalogItemId": "CFQ7TTC0LF8R:0001:CFQ7TTC00000"}, (404, 400019)),
        ({"fromSubscriptionId": "another"}, (400, 800002)),
        ({"fromCatalogItemId": "CFQ7TTC0LF8R:0001:CFQ7TTC0KCSV"}, (400, 800002)),
        ({"toSubscriptionId": "another"}, (404, 20003)),
    ],
)
async def test_a_transition_that_is_not_possible_is_refused(changes: Any, expected: Any) -> None:
    async with bench(SMALL) as sim:
        assert code(await upgrade(sim, **changes)) == expected
        assert (await sim.get(path(sim, "transitions"))).json()["transition"] == []


async def test_only_what_the_catalogue_names_as_an_upgrade_is_one() -> None:
    async with bench(SMALL) as sim:
        other = await item(sim, "CFQ7TTC0LFLS", "0002")
        assert code(await upgrade(sim, toCatalogItemId=other)) == (403, 2085)


async def test_seats_go_only_to_a_subscription_of_the_product_with_a_term_that_is_long_enough() -> None:
    async with bench(SMALL, SHORT, SMALL | {"key": "other"}) as sim:
        assert code(await upgrade(sim, toSubscriptionId=sim.id("short"))) == (400, 900222)
        assert code(await upgrade(sim, toSubscriptionId=sim.id("other"))) == (400, 800002)


async def test_a_seat_cap_of_the_target_counts() -> None:
    story = {"product": "CFQ7TTC0LF8R", "title": "E3", "skus": [{"sku": "0001", "seat_cap": 9}]}
    small = {
        "product": "CFQ7TTC0LDPB",
        "title": "Standard",
        "skus": [{"sku": "0001", "upgrades_to": ["CFQ7TTC0LF8R:0001"]}],
    }
    async with bench(SMALL, products=[small, story]) as sim:
        (found,) = (await sim.get(path(sim, "transitionEligibilities"))).json()["items"]
        assert code(await upgrade(sim)) == (400, 2002)
    assert [verdict["isEligible"] for verdict in found["eligibilities"]] == [False, False]


@pytest.mark.parametrize("status", ["suspended", "deleted"])
async def test_only_an_active_subscription_becomes_another_product(status: str) -> None:
    async with bench(SMALL) as sim:
        await sim.patch("small", status=status)
        assert code(await upgrade(sim)) == (400, 800040)


async def test_legacy_is_no_subject_of_transitions() -> None:
    async with bench(legacy(), SMALL) as sim:
        assert code(await upgrade(sim, "premium")) == (403, 900263)
        assert code(await sim.get(path(sim, "transitionEligibilities", "premium"))) == (403, 900263)


async def test_a_transition_needs_a_token_and_either_kind_will_do() -> None:
    async with bench(SMALL) as sim:
        assert (await upgrade(sim, token=None)).status_code == 401
        assert (await upgrade(sim, token="app")).status_code == 200


async def test_an_unknown_eligibility_type_is_refused() -> None:
    async with bench(SMALL) as sim:
        answer = await sim.get(path(sim, "transitionEligibilities?eligibilityType=later"))
    assert code(answer) == (400, 800002)
