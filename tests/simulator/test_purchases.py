"""Buying: catalogue, carts, checkout, orders, promotions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.bench import PREMIUM, Bench, bench, legacy, scenario

RESELLER = {"key": "transaction_reseller", "value": "4847383"}


def code(answer: Any) -> tuple[int, int]:
    return answer.status_code, answer.json()["code"]


async def item(sim: Bench, product: str = "CFQ7TTC0LFLS", sku: str = "0002") -> str:
    """The catalogue item that is for sale now."""
    answer = await sim.get(f"/products/{product}/skus/{sku}/availabilities?country=IT")
    text: str = answer.json()["items"][0]["catalogItemId"]
    return text


def line(catalogue_item: str, **changes: Any) -> dict[str, Any]:
    return {
        "catalogItemId": catalogue_item,
        "quantity": 12,
        "billingCycle": "Monthly",
        "termDuration": "P1Y",
        "participants": [RESELLER],
    } | changes


async def cart(sim: Bench, *lines: dict[str, Any]) -> Any:
    return await sim.post(f"/customers/{sim.alfa}/carts", {"LineItems": list(lines)})


async def checkout(sim: Bench, *lines: dict[str, Any]) -> Any:
    made = await cart(sim, *lines)
    assert made.status_code == 201, made.text
    return await sim.post(f"/customers/{sim.alfa}/carts/{made.json()['id']}/checkout")


async def subscriptions(sim: Bench) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await sim.get(f"/customers/{sim.alfa}/subscriptions")).json()["items"]
    return found


async def test_a_checkout_brings_a_pending_order_and_a_subscription_that_becomes_active() -> None:
    async with bench() as sim:
        answer = await checkout(sim, line(await item(sim)))
        (order,) = answer.json()["orders"]
        assert (answer.status_code, order["status"], len(order["id"])) == (201, "pending", 12)
        assert "subscriptionId" not in order["lineItems"][0]
        (row,) = await subscriptions(sim)
        assert (row["status"], row["orderId"]) == ("pending", order["id"])
        await sim.go_to("2022-07-11T06:10:00Z")
        done = (await sim.get(f"/customers/{sim.alfa}/orders/{order['id']}")).json()
        (row,) = await subscriptions(sim)
        assert (done["status"], done["lineItems"][0]["subscriptionId"]) == ("completed", row["id"])
        assert (row["status"], row["quantity"], row["partnerId"]) == ("active", 12, "4847383")
        assert row["commitmentEndDateTime"] == "2023-07-10T23:59:59Z"
        assert "migratedFromSubscriptionId" not in row


async def test_a_repeated_checkout_buys_once_and_says_the_same() -> None:
    async with bench() as sim:
        made = (await cart(sim, line(await item(sim)))).json()["id"]
        path = f"/customers/{sim.alfa}/carts/{made}/checkout"
        first, second = await sim.post(path), await sim.post(path)
        assert first.json() == second.json()
        assert len(await subscriptions(sim)) == 1
        assert (await sim.get(f"/customers/{sim.alfa}/carts/{made}")).json()["status"] == "Ordered"


async def test_an_availability_lives_a_short_time_only() -> None:
    async with bench() as sim:
        old = await item(sim)
        await sim.go_to("2022-07-13T06:00:00Z")
        assert old != await item(sim)
        gone = await sim.get(f"/products/CFQ7TTC0LFLS/skus/0002/availabilities/{old[-12:]}?country=IT")
        assert code(gone) == (404, 400019)
        (bad,) = (await cart(sim, line(old))).json()["lineItems"]
        assert bad["error"]["errorCode"] == 10001


async def test_an_availability_is_still_taken_right_after_it_changed() -> None:
    async with bench() as sim:
        old = await item(sim)
        await sim.go_to("2022-07-12T00:30:00Z")
        assert old != await item(sim)
        assert (await checkout(sim, line(old))).status_code == 201


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"quantity": 0}, 10002),
        ({"termDuration": "P3Y"}, 10013),
        ({"promotionId": "39NFJQT1PFPJ:000H:39NFJQT1Q5DK"}, 10014),
        ({"customTermEndDate": "2024-07-11T00:00:00Z"}, 10016),
        ({"catalogItemId": PREMIUM}, 500600),
    ],
)
async def test_a_cart_with_a_bad_line_is_made_and_not_checked_out(
    changes: dict[str, Any], error: int
) -> None:
    async with bench() as sim:
        made = await cart(sim, line(await item(sim), **changes))
        assert (made.status_code, made.json()["lineItems"][0]["error"]["errorCode"]) == (201, error)
        path = f"/customers/{sim.alfa}/carts/{made.json()['id']}/checkout"
        assert code(await sim.post(path)) == (400, 800009)
        assert await subscriptions(sim) == []


async def test_a_blocked_legacy_offer_names_what_to_buy_instead() -> None:
    async with bench() as sim:
        (bad,) = (await cart(sim, line(PREMIUM))).json()["lineItems"]
        assert await item(sim, "CFQ7TTC0LDPB", "0001") in bad["error"]["errorDescription"]


async def test_seats_beyond_the_cap_tell_what_is_left() -> None:
    owned = {
        "key": "nce",
        "nce": {"product": "CFQ7TTC0LDPB", "sku": "0001"},
        "seats": 295,
        "ends_at": "2023-06-01T00:00:00Z",
    }
    async with bench(owned) as sim:
        (bad,) = (await cart(sim, line(await item(sim, "CFQ7TTC0LDPB", "0001")))).json()["lineItems"]
        assert bad["error"]["additionalInformation"] == {"availableQuantity": 5, "purchasedQuantity": 295}


async def test_a_checkout_may_succeed_for_one_order_and_not_for_another() -> None:
    async with bench() as sim:
        capped = await item(sim, "CFQ7TTC0LDPB", "0001")
        good = line(await item(sim))
        made = (await cart(sim, good, line(capped, quantity=200, billingCycle="Annual"))).json()["id"]
        await checkout(sim, line(capped, quantity=200))
        answer = (await sim.post(f"/customers/{sim.alfa}/carts/{made}/checkout")).json()
        assert len(answer["orders"]) == 1
        assert [error["orderGroupId"] for error in answer["orderErrors"]] == ["1"]


async def test_a_checkout_that_is_refused_for_one_order_places_none() -> None:
    products = scenario()["products"]
    products[0]["skus"][0] |= {"availability": "CFQ7TTC0KDLJ"}  # it stays for sale
    async with bench(products=products) as sim:
        stays, goes = await item(sim, "CFQ7TTC0LDPB", "0001"), await item(sim)
        made = (await cart(sim, line(stays), line(goes, billingCycle="Annual"))).json()["id"]
        await sim.go_to("2022-07-14T06:00:00Z")
        answer = await sim.post(f"/customers/{sim.alfa}/carts/{made}/checkout")
        assert code(answer) == (404, 400019)
        assert goes.endswith(answer.json()["description"].split()[2])
        assert await subscriptions(sim) == []


async def test_lines_of_one_cart_share_the_cap_of_their_product() -> None:
    async with bench() as sim:
        capped = line(await item(sim, "CFQ7TTC0LDPB", "0001"), quantity=200)
        first, second = (await cart(sim, capped, capped | {"billingCycle": "Annual"})).json()["lineItems"]
        assert "error" not in first
        assert second["error"]["errorCode"] == 10015
        assert second["error"]["additionalInformation"] == {"availableQuantity": 100, "purchasedQuantity": 0}
        offer = {"offerId": capped["catalogItemId"], "quantity": 200, "termDuration": "P1Y"}
        wish = {
            "billingCycle": "monthly",
            "lineItems": [offer | {"lineItemNumber": 0}, offer | {"lineItemNumber": 1}],
        }
        assert code(await sim.post(f"/customers/{sim.alfa}/orders", wish)) == (400, 2002)
        assert await subscriptions(sim) == []


async def test_an_addon_needs_its_base() -> None:
    async with bench() as sim:
        addon = line(await item(sim, "CFQ7TTC0LHSL", "0001"))
        (bad,) = (await cart(sim, addon)).json()["lineItems"]
        assert bad["error"]["errorCode"] == 400041
        base = line(await item(sim, "CFQ7TTC0LDPB", "0001"))
        assert (await checkout(sim, base, addon)).status_code == 201


@pytest.mark.parametrize(("mpn_id", "expected"), [("999", (404, 800015)), ("4847380", (400, 800016))])
async def test_a_partner_of_record_who_may_not_be_one_is_refused(
    mpn_id: str, expected: tuple[int, int]
) -> None:
    async with bench() as sim:
        reseller = {"key": "transaction_reseller", "value": mpn_id}
        assert code(await cart(sim, line(await item(sim), participants=[reseller]))) == expected


async def test_a_missing_partner_of_record_does_not_fail() -> None:
    async with bench() as sim:
        assert (await checkout(sim, line(await item(sim), participants=[]))).status_code == 201
        assert (await subscriptions(sim))[0]["partnerId"] == ""


async def test_without_an_mpa_nothing_is_sold() -> None:
    partner = scenario()["partners"][0] | {"mpa_signed_at": None}
    async with bench(partners=[partner]) as sim:
        assert code(await checkout(sim, line(await item(sim)))) == (403, 900123)


async def test_without_an_mca_nothing_is_sold() -> None:
    story = scenario()
    story["partners"][0]["customers"][0]["mca"] = None
    async with bench(partners=story["partners"]) as sim:
        assert code(await checkout(sim, line(await item(sim)))) == (403, 13605)
        await sim.control("POST", "/clock/advance", {"seconds": 1})
        assert await subscriptions(sim) == []


async def test_without_the_providers_own_mpa_nothing_is_sold() -> None:
    async with bench(provider=scenario()["provider"] | {"mpa_signed": False}) as sim:
        assert code(await checkout(sim, line(await item(sim)))) == (403, 900124)


async def test_an_attestation_is_asked_for_where_it_is_enforced() -> None:
    async with bench(rules={"attestation_enforced": True}) as sim:
        wish = {"lineItems": [line(await item(sim))]}
        path = f"/customers/{sim.alfa}/carts"
        assert code(await sim.post(path, wish)) == (400, 900206)
        wish["PartnerOnRecordAttestationAccepted"] = True  # type: ignore[assignment]
        assert (await sim.post(path, wish)).status_code == 201


async def test_a_cart_can_be_changed_until_it_is_ordered_and_dies_after_a_week() -> None:
    async with bench() as sim:
        made = (await cart(sim, line(await item(sim)))).json()
        path = f"/customers/{sim.alfa}/carts/{made['id']}"
        changed = await sim.call("PUT", path, json=made | {"lineItems": [line(await item(sim), quantity=3)]})
        assert (changed.status_code, changed.json()["lineItems"][0]["quantity"]) == (201, 3)
        await sim.go_to("2022-07-18T06:00:01Z")
        assert code(await sim.get(path)) == (404, 800008)


async def test_an_order_is_listed_only_after_a_while() -> None:
    async with bench() as sim:
        order = (await checkout(sim, line(await item(sim)))).json()["orders"][0]["id"]
        path = f"/customers/{sim.alfa}/orders"
        assert (await sim.get(path)).json()["items"] == []
        assert (await sim.get(f"{path}/{order}")).status_code == 200
        await sim.go_to("2022-07-11T06:15:00Z")
        assert [row["id"] for row in (await sim.get(path)).json()["items"]] == [order]


async def test_an_order_without_a_cart_is_bought_whole_or_not_at_all() -> None:
    async with bench() as sim:
        good = {"lineItemNumber": 0, "offerId": await item(sim), "quantity": 5, "termDuration": "P1Y"}
        bad = {"lineItemNumber": 1, "offerId": "CFQ7TTC0LFLS:0002:CFQ7TTC00000", "quantity": 5}
        path = f"/customers/{sim.alfa}/orders"
        wish = {"referenceCustomerId": sim.alfa, "billingCycle": "monthly", "lineItems": [good, bad]}
        assert code(await sim.post(path, wish)) == (404, 400019)
        assert await subscriptions(sim) == []
        assert (await sim.post(path, wish | {"lineItems": [good]})).status_code == 201


async def test_the_provisioning_of_an_order_is_fulfilled_when_it_completes() -> None:
    async with bench() as sim:
        order = (await checkout(sim, line(await item(sim)))).json()["orders"][0]["id"]
        path = f"/customers/{sim.alfa}/orders/{order}/provisioningstatus"
        assert (await sim.get(path)).json()["items"][0]["status"] == "prefulfillmentPending"
        await sim.go_to("2022-07-11T06:10:00Z")
        assert (await sim.get(path)).json()["items"][0]["status"] == "fulfilled"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/products?targetView=OnlineServices", (400, 800002)),
        ("/products?country=IT&targetView=Games", (403, 400036)),
        ("/products?country=IT&targetView=OnlineServices&targetSegment=pirates", (403, 400030)),
        ("/products/CFQ7TTC00000?country=IT", (404, 400013)),
        ("/products/CFQ7TTC0LFLS/skus/9999?country=IT", (404, 400018)),
    ],
)
async def test_what_the_catalogue_does_not_have_is_refused(path: str, expected: tuple[int, int]) -> None:
    async with bench() as sim:
        assert code(await sim.get(path, token="app")) == expected


async def test_a_product_of_a_closed_segment_does_not_exist_for_a_customer() -> None:
    products = scenario()["products"]
    products[3]["segment"] = "education"
    async with bench(products=products) as sim:
        path = f"/customers/{sim.alfa}/products"
        found = (await sim.get(f"{path}?targetView=OnlineServices")).json()["items"]
        assert "CFQ7TTC0LFLS" not in {product["id"] for product in found}
        assert code(await sim.get(f"{path}/CFQ7TTC0LFLS/skus")) == (404, 400013)
        (bad,) = (await cart(sim, line(await item(sim)))).json()["lineItems"]
        assert bad["error"]["errorCode"] == 10006


PROMOTION = {
    "id": "39NFJQT1PJQB:0001:39NFJQT1Q5KN",
    "name": "AAD P1",
    "sku": "CFQ7TTC0LFLS:0002",
    "billing": "monthly",
    "starts_at": "2022-07-01T00:00:00Z",
    "ends_at": "2022-07-20T00:00:00Z",
    "max_seats": 100,
}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({}, None),
        ({"quantity": 101}, "SeatCount"),
        ({"termDuration": "P1M"}, "Term"),
        ({"promotionId": "none"}, "InvalidPromotion"),
        ({"catalogItemId": "CFQ7TTC0LF8R:0001:CFQ7TTC00000"}, "NoPromotionsAvailable"),
        ({"catalogItemId": "CFQ7TTC00000:0001:CFQ7TTC00000"}, "InvalidCatalogItemId"),
    ],
)
async def test_a_promotion_is_granted_or_refused_with_a_type(
    changes: dict[str, Any], error: str | None
) -> None:
    async with bench(promotions=[PROMOTION]) as sim:
        wish = line(await item(sim)) | changes
        answer = await sim.post(f"/customers/{sim.alfa}/promotionEligibilities", {"items": [wish]})
        (verdict,) = answer.json()["items"][0]["eligibilities"]
        assert verdict["isEligible"] is (error is None)
        assert [fault["type"] for fault in verdict.get("errors", [])] == ([error] if error else [])


async def test_only_promotions_that_run_are_listed() -> None:
    async with bench(promotions=[PROMOTION]) as sim:
        path = "/productpromotions?country=IT&segment=commercial"
        assert (await sim.get(path)).json()["totalCount"] == 1
        await sim.go_to("2022-07-21T00:00:00Z")
        assert (await sim.get(path)).json()["totalCount"] == 0


async def test_somebody_may_buy_in_the_portal() -> None:
    event = {
        "at": "2022-07-12T00:00:00Z",
        "kind": "buy_in_portal",
        "partner": "rossi",
        "customer": "alfa",
        "key": "bought",
        "sku": "CFQ7TTC0LDPB:0001",
        "seats": 12,
    }
    async with bench(legacy(), events=[event]) as sim:
        await sim.go_to("2022-07-12T01:00:00Z")
        row = await sim.state_of("bought")
        assert (row["status"], row["created_by"], row["migrated_from"]) == ("active", "portal", None)


async def test_what_was_bought_stands_in_the_audit_records() -> None:
    async with bench() as sim:
        await checkout(sim, line(await item(sim)))
        (record,) = (await sim.get("/auditrecords?startDate=2022-07-11")).json()["items"]
        assert (record["operationType"], record["customerId"]) == ("create_order", sim.alfa)
        assert code(await sim.get("/auditrecords?startDate=2022-01-01&endDate=2022-01-31")) == (400, 800002)


async def test_the_order_a_migration_names_can_be_read_and_is_pending_until_it_is_provisioned() -> None:
    async with bench(legacy("premium", seats=12)) as sim:
        migration = (await sim.migrate("premium")).json()["id"]
        await sim.go_to("2022-07-11T06:30:00Z")  # created, not yet provisioned
        new = await sim.nce_of("premium")
        path = f"/customers/{sim.alfa}/orders/{new['orderId']}"
        assert (await sim.get(path)).json()["status"] == "pending"
        await sim.go_to("2022-07-11T10:00:00Z")
        assert (await sim.migration(migration))["newCommerceOrderId"] == new["orderId"]
        order = (await sim.get(path)).json()
        status = (await sim.get(f"{path}/provisioningstatus")).json()["items"]
    (bought,) = order["lineItems"]
    assert (order["status"], bought["subscriptionId"], bought["quantity"]) == ("completed", new["id"], 12)
    assert [item["status"] for item in status] == ["fulfilled"]


async def test_what_was_there_from_the_beginning_came_with_an_order_too() -> None:
    async with bench(legacy("premium")) as sim:
        row = await sim.subscription("premium")
        order = await sim.get(f"/customers/{sim.alfa}/orders/{row['orderId']}")
        listed = (await sim.get(f"/customers/{sim.alfa}/orders")).json()["items"]
        assert (await sim.control("GET", "/state")).json()["orders"] == []
    (bought,) = order.json()["lineItems"]
    assert (bought["subscriptionId"], bought["offerId"]) == (row["id"], row["offerId"])
    assert [each["id"] for each in listed] == [row["orderId"]]
