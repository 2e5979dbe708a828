"""Subscriptions: term ends, updates and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.bench import FACULTY, bench, legacy

BEFORE = {"clock": {"starts_at": "2022-06-20T00:00:00Z", "ends_at": "2022-12-31T00:00:00Z"}}
NCE: dict[str, Any] = {
    "key": "new",
    "nce": {"product": "CFQ7TTC0LDPB", "sku": "0001"},
    "seats": 10,
    "created_at": "2022-07-09T10:00:00Z",
    "ends_at": "2023-07-08T00:00:00Z",
}


def code(answer: Any) -> tuple[int, int]:
    return answer.status_code, answer.json()["code"]


async def test_a_commercial_subscription_that_ends_on_10_july_renews_once_more() -> None:
    async with bench(legacy(ends_at="2022-07-10T08:00:00Z"), **BEFORE) as sim:
        await sim.go_to("2022-07-10T08:00:01Z")
        row = await sim.subscription("premium")
        assert (row["status"], row["commitmentEndDate"]) == ("active", "2023-07-10T08:00:00Z")


async def test_a_commercial_subscription_that_ends_on_11_july_is_interrupted_although_auto_renew_is_on() -> (
    None
):
    async with bench(legacy(ends_at="2022-07-11T08:00:00Z"), **BEFORE) as sim:
        await sim.go_to("2022-07-11T08:00:00Z")
        row = await sim.subscription("premium")
        assert (row["status"], row["autoRenewEnabled"]) == ("expired", True)


async def test_an_education_subscription_renews_after_10_july() -> None:
    async with bench(legacy(offer=FACULTY)) as sim:
        await sim.go_to("2022-07-15T08:00:00Z")
        assert (await sim.subscription("premium"))["status"] == "active"


async def test_without_auto_renew_a_subscription_ends_before_10_july_too() -> None:
    async with bench(legacy(ends_at="2022-07-05T08:00:00Z", auto_renew=False), **BEFORE) as sim:
        await sim.go_to("2022-07-06T00:00:00Z")
        assert (await sim.subscription("premium"))["status"] == "expired"


async def test_a_monthly_subscription_renews_until_10_july() -> None:
    async with bench(legacy(ends_at="2022-06-30T08:00:00Z", term="P1M"), **BEFORE) as sim:
        await sim.go_to("2022-07-29T00:00:00Z")
        assert (await sim.subscription("premium"))["status"] == "active"
        await sim.go_to("2022-07-31T00:00:00Z")
        assert (await sim.subscription("premium"))["status"] == "expired"


async def test_a_suspended_legacy_subscription_is_deleted_at_its_term_end() -> None:
    async with bench(legacy()) as sim:
        assert (await sim.patch("premium", status="suspended")).status_code == 200
        assert (await sim.state_of("premium"))["suspended_by"] == "caller"
        await sim.go_to("2022-07-15T08:00:00Z")
        assert (await sim.subscription("premium"))["status"] == "deleted"


async def test_a_suspended_subscription_is_reactivated_before_its_term_end() -> None:
    async with bench(legacy()) as sim:
        await sim.patch("premium", status="suspended")
        answer = await sim.patch("premium", status="active")
        assert (answer.status_code, answer.json()["status"]) == (200, "active")


async def test_a_missing_auto_renew_switches_it_off() -> None:
    async with bench(legacy()) as sim:
        path = f"/customers/{sim.alfa}/subscriptions/{sim.id('premium')}"
        answer = await sim.call("PATCH", path, json={"Status": "suspended"})
        assert answer.json()["autoRenewEnabled"] is False


async def test_missing_next_term_instructions_are_deleted() -> None:
    async with bench(NCE) as sim:
        answer = await sim.patch("new", scheduledNextTermInstructions={"quantity": 3})
        assert answer.json()["scheduledNextTermInstructions"] == {"quantity": 3}
        body = await sim.subscription("new")
        del body["scheduledNextTermInstructions"]
        path = f"/customers/{sim.alfa}/subscriptions/{sim.id('new')}"
        answer = await sim.call("PATCH", path, json=body)
        assert "scheduledNextTermInstructions" not in answer.json()


async def test_a_stale_etag_is_refused_on_legacy() -> None:
    async with bench(legacy()) as sim:
        etag = f'"{(await sim.subscription("premium"))["attributes"]["etag"]}"'
        assert (await sim.patch("premium", headers={"If-Match": etag}, quantity=13)).status_code == 200
        assert code(await sim.patch("premium", headers={"If-Match": etag}, quantity=14)) == (400, 2055)


async def test_a_new_commerce_subscription_has_no_etag_and_asks_for_none() -> None:
    async with bench(NCE) as sim:
        assert "etag" not in (await sim.subscription("new"))["attributes"]
        assert (await sim.patch("new", headers={"If-Match": '"x"'}, quantity=11)).status_code == 200


async def test_new_commerce_is_cancelled_up_to_the_last_second_of_the_window() -> None:
    async with bench(NCE) as sim:
        await sim.go_to("2022-07-16T10:00:00Z")
        assert (await sim.subscription("new"))["cancellationAllowedUntilDate"] == "2022-07-16T10:00:00Z"
        assert (await sim.patch("new", status="deleted")).json()["status"] == "deleted"
        assert code(await sim.patch("new", status="active")) == (400, 2011)


async def test_one_second_later_the_window_is_closed() -> None:
    async with bench(NCE) as sim:
        await sim.go_to("2022-07-16T10:00:01Z")
        assert "cancellationAllowedUntilDate" not in await sim.subscription("new")
        assert code(await sim.patch("new", status="deleted")) == (400, 900117)


async def test_legacy_is_suspended_and_not_deleted() -> None:
    async with bench(legacy()) as sim:
        assert code(await sim.patch("premium", status="deleted")) == (400, 800063)


async def test_suspending_new_commerce_switches_auto_renew_off() -> None:
    async with bench(NCE) as sim:
        answer = await sim.patch("new", status="suspended")
        assert (answer.json()["status"], answer.json()["autoRenewEnabled"]) == ("suspended", False)


@pytest.mark.parametrize(
    ("row", "changes", "expected"),
    [
        (legacy(), {"billingCycle": "annual"}, (400, 2054)),
        (legacy(status="suspended"), {"quantity": 3}, (400, 2001)),
        (NCE | {"status": "suspended"}, {"quantity": 3}, (400, 800091)),
        (legacy(status="expired"), {"quantity": 3}, (400, 900279)),
        (legacy(status="deleted"), {"quantity": 3}, (400, 2011)),
        (legacy(), {"quantity": 0}, (400, 2002)),
        (NCE, {"quantity": 301}, (400, 2002)),
        (legacy(), {"status": "expired"}, (400, 800040)),
        (legacy(), {"partnerId": "999"}, (404, 800015)),
        (legacy(), {"partnerId": "4847380"}, (400, 800016)),
        (legacy(), {"quantity": "many"}, (400, 800002)),
    ],
)
async def test_an_update_that_is_not_possible_is_refused(
    row: dict[str, Any], changes: dict[str, Any], expected: tuple[int, int]
) -> None:
    async with bench(row) as sim:
        assert code(await sim.patch(row["key"], **changes)) == expected


async def test_new_commerce_seats_go_back_for_seven_days_only() -> None:
    async with bench(NCE) as sim:
        assert (await sim.patch("new", quantity=9)).status_code == 200
        await sim.go_to("2022-07-17T00:00:00Z")
        assert code(await sim.patch("new", quantity=8)) == (400, 800090)
        assert (await sim.patch("new", quantity=12)).status_code == 200
        assert (await sim.subscription("new"))["refundableQuantity"]["totalQuantity"] == 3
        assert (await sim.patch("new", quantity=9)).status_code == 200


async def test_seats_that_an_increase_added_go_back_once_only() -> None:
    async with bench(NCE) as sim:
        await sim.go_to("2022-07-17T00:00:00Z")
        assert (await sim.patch("new", quantity=15)).status_code == 200
        assert (await sim.patch("new", quantity=12)).status_code == 200
        assert (await sim.subscription("new"))["refundableQuantity"]["totalQuantity"] == 2
        assert (await sim.patch("new", quantity=10)).status_code == 200
        assert "refundableQuantity" not in await sim.subscription("new")
        assert code(await sim.patch("new", quantity=9)) == (400, 800090)


async def test_never_more_seats_can_go_back_than_there_are() -> None:
    async with bench(NCE) as sim:
        for seats in (15, 3):
            assert (await sim.patch("new", quantity=seats)).status_code == 200
        refundable = (await sim.subscription("new"))["refundableQuantity"]
        assert refundable["totalQuantity"] == 3
        assert [detail["quantity"] for detail in refundable["details"]] == [3]


async def test_a_product_outside_the_catalogue_can_be_changed_as_well() -> None:
    async with bench(legacy(), products=[]) as sim:
        assert (await sim.migrate("premium")).status_code == 201
        await sim.go_to("2022-07-11T12:00:00Z")
        body = await sim.nce_of("premium") | {"quantity": 13}
        path = f"/customers/{sim.alfa}/subscriptions/{body['id']}"
        answer = await sim.call("PATCH", path, json=body)
        assert (answer.status_code, answer.json()["quantity"]) == (200, 13)
        assert code(await sim.call("PATCH", path, json=body | {"quantity": 0})) == (400, 2002)


async def test_an_update_may_be_accepted_first_and_done_later() -> None:
    async with bench(legacy(), rules={"updates_take": "PT5M"}) as sim:
        answer = await sim.patch("premium", status="suspended")
        assert answer.status_code == 202
        assert answer.headers["Location"].endswith(sim.id("premium"))
        assert answer.json()["status"] == "suspended"
        assert (await sim.subscription("premium"))["status"] == "active"
        assert code(await sim.patch("premium", quantity=3)) == (409, 800082)
        await sim.go_to("2022-07-11T06:05:00Z")
        assert (await sim.subscription("premium"))["status"] == "suspended"


async def test_the_list_is_filtered_by_partner_of_record_and_order() -> None:
    async with bench(legacy(), legacy("other", partner_id="")) as sim:
        path = f"/customers/{sim.alfa}/subscriptions"
        (mine,) = (await sim.get(f"{path}?mpn_id=4847383")).json()["items"]
        assert mine["id"] == sim.id("premium")
        (same,) = (await sim.get(f"{path}?order_id={mine['orderId']}")).json()["items"]
        assert same["id"] == mine["id"]


async def test_an_unset_partner_of_record_is_an_empty_text() -> None:
    async with bench(legacy(partner_id="")) as sim:
        assert (await sim.subscription("premium"))["partnerId"] == ""


async def test_addons_stand_in_the_list_and_name_their_base() -> None:
    async with bench(legacy(), legacy("audio", parent="premium")) as sim:
        (addon,) = (await sim.get(f"/customers/{sim.alfa}/subscriptions/{sim.id('premium')}/addons")).json()[
            "items"
        ]
        assert addon["parentSubscriptionId"] == sim.id("premium")
        assert (await sim.get(f"/customers/{sim.alfa}/subscriptions")).json()["totalCount"] == 2


async def test_a_subscription_of_another_customer_is_not_found() -> None:
    async with bench(legacy()) as sim:
        path = f"/customers/{sim.alfa}/subscriptions/3b33e682-00c3-41ee-9dd2-a548adf56438"
        assert code(await sim.get(path)) == (404, 20003)


async def test_custom_term_ends_are_month_ends_and_own_subscriptions() -> None:
    async with bench(NCE | {"ends_at": "2022-08-03T00:00:00Z", "term": "P1M"}) as sim:
        path = f"/customers/{sim.alfa}/subscriptions/customTermEndDates?term_duration=P1M"
        items = (await sim.get(path)).json()["items"]
        assert items == [
            {
                "allowedCustomTermEndDateType": "calendarMonthAligned",
                "allowedCustomTermEndDate": "2022-07-31T00:00:00",
            },
            {
                "allowedCustomTermEndDateType": "subscriptionAligned",
                "cotermSubscriptionIds": [sim.id("new")],
                "allowedCustomTermEndDate": "2022-08-03T00:00:00",
            },
        ]


async def test_new_commerce_renews_with_a_new_window() -> None:
    row = NCE | {"term": "P1M", "created_at": "2022-06-13T00:00:00Z", "ends_at": "2022-07-12T00:00:00Z"}
    async with bench(row) as sim:
        await sim.go_to("2022-07-13T00:00:00Z")
        renewed = await sim.subscription("new")
        assert (renewed["status"], renewed["commitmentEndDateTime"]) == ("active", "2022-08-12T23:59:59Z")
        assert renewed["cancellationAllowedUntilDate"] == "2022-07-20T00:00:00Z"


RENEWS_SOON = NCE | {"term": "P1M", "created_at": "2022-06-13T00:00:00Z", "ends_at": "2022-07-12T00:00:00Z"}
NEXT_PRODUCT = {
    "productId": "CFQ7TTC0LF8R",
    "skuId": "0001",
    "availabilityId": "CFQ7TTC0KCSV",
    "termDuration": "P1Y",
    "billingCycle": "Annual",
    "promotionId": "39NFJQT1PFPJ:000H:39NFJQT1Q5DK",
}


async def test_the_next_term_begins_as_it_was_instructed() -> None:
    async with bench(RENEWS_SOON) as sim:
        wish = {"product": NEXT_PRODUCT, "quantity": 7, "customTermEndDate": "2023-06-30T00:00:00"}
        assert (await sim.patch("new", scheduledNextTermInstructions=wish)).status_code == 200
        await sim.go_to("2022-07-12T23:59:58Z")
        assert (await sim.subscription("new"))["quantity"] == 10
        await sim.go_to("2022-07-13T00:00:00Z")
        row = await sim.subscription("new")
    assert (row["offerId"], row["offerName"]) == ("CFQ7TTC0LF8R:0001:CFQ7TTC0KCSV", "Office 365 E3")
    assert (row["termDuration"], row["billingCycle"], row["quantity"]) == ("P1Y", "annual", 7)
    assert row["promotionId"] == NEXT_PRODUCT["promotionId"]
    assert row["commitmentEndDateTime"] == "2023-06-30T23:59:59Z"
    assert "scheduledNextTermInstructions" not in row


async def test_what_an_instruction_does_not_name_stays() -> None:
    async with bench(RENEWS_SOON) as sim:
        await sim.patch("new", scheduledNextTermInstructions={"quantity": 3})
        await sim.go_to("2022-07-13T00:00:00Z")
        row = await sim.subscription("new")
    assert (row["offerId"][:17], row["termDuration"], row["quantity"]) == ("CFQ7TTC0LDPB:0001", "P1M", 3)
    assert row["commitmentEndDateTime"] == "2022-08-12T23:59:59Z"


async def test_without_auto_renew_there_is_no_next_term_to_instruct() -> None:
    async with bench(RENEWS_SOON) as sim:
        await sim.patch("new", autoRenewEnabled=False, scheduledNextTermInstructions={"quantity": 3})
        await sim.go_to("2022-07-13T00:00:00Z")
        row = await sim.subscription("new")
    assert (row["status"], row["quantity"]) == ("expired", 10)


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ("soon", (400, 800002)),
        ({"quantity": "many"}, (400, 800002)),
        ({"quantity": 0}, (400, 800002)),
        ({"quantity": 301}, (400, 2002)),
        ({"product": {"skuId": "0001"}}, (400, 800002)),
        ({"product": NEXT_PRODUCT | {"termDuration": "P2Y"}}, (400, 800002)),
        ({"product": NEXT_PRODUCT | {"termDuration": "P3Y"}}, (400, 900222)),
    ],
)
async def test_an_instruction_that_cannot_be_carried_out_is_refused(wish: Any, expected: Any) -> None:
    async with bench(NCE) as sim:
        assert code(await sim.patch("new", scheduledNextTermInstructions=wish)) == expected


async def test_next_charge_instructions_are_kept_until_they_are_left_out() -> None:
    async with bench(NCE) as sim:
        answer = await sim.patch("new", nextChargeInstructions={"quantity": 3})
        assert answer.json()["nextChargeInstructions"] == {"quantity": 3}
        body = await sim.subscription("new")
        del body["nextChargeInstructions"]
        path = f"/customers/{sim.alfa}/subscriptions/{sim.id('new')}"
        answer = await sim.call("PATCH", path, json=body)
        assert "nextChargeInstructions" not in answer.json()


async def test_the_provisioning_status_needs_a_user() -> None:
    async with bench(legacy()) as sim:
        path = f"/customers/{sim.alfa}/subscriptions/{sim.id('premium')}/provisioningstatus"
        assert (await sim.get(path, token="app")).status_code == 403
        assert (await sim.get(path)).json()["status"] == "success"
