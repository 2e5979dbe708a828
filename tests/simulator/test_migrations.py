"""Migrations: who may, what happens over time, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.bench import AUDIO, E3, FACULTY, NO_PATH, Bench, bench, legacy, scenario


def code(answer: Any) -> tuple[int, int]:
    return answer.status_code, answer.json()["code"]


def audio(key: str = "audio", **changes: Any) -> dict[str, Any]:
    return legacy(key, offer=AUDIO, parent="premium", seats=3) | changes


async def events(sim: Bench, migration_id: str) -> list[tuple[str, str]]:
    path = f"/customers/{sim.alfa}/migrations/newcommerce/events?migration_id={migration_id}"
    return [(event["eventName"], event["createdTime"]) for event in (await sim.get(path)).json()]


async def test_validate_names_the_target_and_finds_the_addons_itself() -> None:
    async with bench(legacy(), audio()) as sim:
        verdict = await sim.validate("premium")
    assert verdict["isEligible"] is True
    assert verdict["currentSubscriptionId"] == sim.id("premium").upper()
    assert verdict["catalogItemId"].startswith("CFQ7TTC0LDPB:0001:CFQ7TTC")
    (addon,) = verdict["addOnMigrations"]
    assert (addon["isEligible"], addon["currentSubscriptionId"]) == (True, sim.id("audio").upper())


@pytest.mark.parametrize(
    ("row", "wish", "eligibility", "refusal"),
    [
        (legacy(status="suspended"), {}, 0, (400, 900215)),
        (legacy(ends_at="2022-07-12T05:59:59Z"), {}, 10, (400, 900217)),
        (legacy(promotion="39NFJQT1PFPJ:000H:39NFJQT1Q5DK"), {}, 3, (400, 900218)),
        (legacy(offer=NO_PATH), {}, 5, (400, 900220)),
        (legacy(offer=FACULTY), {}, 5, (400, 900220)),
        (legacy(), {"termDuration": "P3Y"}, 6, (400, 900222)),
        (legacy(), {"termDuration": "P1M", "billingCycle": "Annual"}, 6, (400, 900222)),
        (legacy(created_at="2022-06-20T00:00:00Z"), {}, 7, (403, 900226)),
        (legacy(partner_id=""), {}, 9, (400, 900247)),
        (legacy(partner_id="4847380"), {}, 9, (400, 900247)),
        (legacy(), {"customTermEndDate": "2025-07-11T00:00:00Z"}, 11, (400, 900291)),
        (legacy(), {"customTermEndDate": "2022-09-11T00:00:00Z"}, 12, (400, 900292)),
        (legacy(migration={"eligibility_errors": [8]}), {}, 8, (400, 900221)),
        (legacy(trial=True), {}, 5, (400, 900220)),
    ],
)
async def test_what_validate_says_create_refuses(
    row: dict[str, Any], wish: dict[str, Any], eligibility: int, refusal: tuple[int, int]
) -> None:
    async with bench(row) as sim:
        verdict = await sim.validate("premium", **wish)
        assert verdict["isEligible"] is False
        assert [error["code"] for error in verdict["errors"]] == [eligibility]
        assert "catalogItemId" not in verdict
        assert code(await sim.migrate("premium", **wish)) == refusal
        assert (await sim.control("GET", "/state")).json()["migrations"] == []


async def test_several_reasons_are_all_told() -> None:
    async with bench(legacy(partner_id="", promotion="x")) as sim:
        assert [error["code"] for error in (await sim.validate("premium"))["errors"]] == [3, 9]


async def test_the_last_24_hours_are_open_for_a_full_term() -> None:
    async with bench(legacy(ends_at="2022-07-12T05:59:59Z")) as sim:
        assert (await sim.validate("premium", purchaseFullTerm=True))["isEligible"] is True


async def test_exactly_24_hours_before_the_end_it_is_not_too_late() -> None:
    async with bench(legacy(ends_at="2022-07-12T06:00:00Z")) as sim:
        assert (await sim.validate("premium"))["isEligible"] is True


async def test_a_migration_suspends_legacy_at_once_and_brings_new_commerce_when_it_completes() -> None:
    async with bench(legacy()) as sim:
        created = await sim.migrate("premium", externalReferenceId="batch-7")
        body = created.json()
        assert (created.status_code, body["status"]) == (201, "Processing")
        assert body["startedTime"] == "2022-07-11T06:00:00.0000007Z"
        assert body["externalReferenceId"] == "batch-7"
        assert not {"newCommerceSubscriptionId", "newCommerceOrderId", "completedTime"} & body.keys()
        assert (await sim.state_of("premium"))["suspended_by"] == "microsoft"

        await sim.go_to("2022-07-11T10:00:00Z")
        done = await sim.migration(body["id"])
        nce = await sim.nce_of("premium")
        assert done["status"] == "Completed"
        assert (done["newCommerceSubscriptionId"], done["newCommerceOrderId"]) == (nce["id"], nce["orderId"])
        assert len(nce["orderId"]) == 12
        assert (nce["status"], nce["quantity"], nce["partnerId"]) == ("active", 12, "4847383")
        assert nce["productType"]["displayName"] == "OnlineServicesNCE"
        assert (await sim.subscription("premium"))["status"] == "suspended"


async def test_the_steps_come_in_their_order_and_at_their_moments() -> None:
    async with bench(legacy()) as sim:
        migration = (await sim.migrate("premium")).json()["id"]
        await sim.go_to("2022-07-12T00:00:00Z")
        assert await events(sim, migration) == [
            ("MigrationStarted", "2022-07-11T06:00:00.0000007Z"),
            ("NewCommerceSubscriptionCreated", "2022-07-11T06:18:00.0000007Z"),
            ("NewCommerceSubscriptionProvisioned", "2022-07-11T08:00:00.0000007Z"),
            ("MigrationCompleted", "2022-07-11T10:00:00.0000007Z"),
        ]


async def test_the_new_subscription_is_pending_until_it_is_provisioned() -> None:
    async with bench(legacy()) as sim:
        await sim.migrate("premium")
        await sim.go_to("2022-07-11T07:59:59Z")
        assert (await sim.nce_of("premium"))["status"] == "pending"
        await sim.go_to("2022-07-11T08:00:00Z")
        assert (await sim.nce_of("premium"))["status"] == "active"


async def test_the_new_subscription_may_be_cancelled_for_168_hours_from_its_creation() -> None:
    async with bench(legacy()) as sim:
        await sim.migrate("premium")
        await sim.go_to("2022-07-11T10:00:00Z")
        assert (await sim.nce_of("premium"))["cancellationAllowedUntilDate"] == "2022-07-18T06:18:00Z"


async def test_a_migrated_legacy_subscription_stays_suspended_at_its_term_end() -> None:
    async with bench(legacy()) as sim:
        await sim.migrate("premium")
        await sim.go_to("2022-07-20T00:00:00Z")
        assert (await sim.subscription("premium"))["status"] == "suspended"


async def test_the_remaining_term_is_carried_over() -> None:
    async with bench(legacy()) as sim:
        assert (await sim.migrate("premium")).json()["subscriptionEndDate"] == "2022-07-15T00:00:00Z"


async def test_a_full_term_starts_afresh() -> None:
    async with bench(legacy()) as sim:
        body = (await sim.migrate("premium", purchaseFullTerm=True)).json()
        assert (body["subscriptionEndDate"], body["purchaseFullTerm"]) == ("2023-07-10T00:00:00Z", True)


async def test_a_shorter_term_ends_at_its_next_boundary() -> None:
    clock = {"starts_at": "2022-11-17T12:00:00Z", "ends_at": "2023-03-01T00:00:00Z"}
    async with bench(legacy(ends_at="2023-02-10T00:00:00Z"), clock=clock) as sim:
        body = (await sim.migrate("premium", termDuration="P1M", billingCycle="Monthly")).json()
        assert (body["subscriptionEndDate"], body["termDuration"]) == ("2022-12-10T00:00:00Z", "P1M")


async def test_addons_become_subscriptions_of_their_own() -> None:
    async with bench(legacy(), audio()) as sim:
        body = (await sim.migrate("premium")).json()
        (line,) = body["addOnMigrations"]
        assert not {"id", "status", "startedTime"} & line.keys()
        await sim.go_to("2022-07-11T10:00:00Z")
        nce = await sim.nce_of("audio")
        assert (nce["quantity"], "parentSubscriptionId" in nce) == (3, False)
        assert nce["orderId"] == (await sim.nce_of("premium"))["orderId"]


async def test_an_addon_may_migrate_alone() -> None:
    async with bench(legacy(), audio()) as sim:
        assert (await sim.migrate("audio")).status_code == 201
        assert (await sim.subscription("premium"))["status"] == "active"


async def test_one_ineligible_addon_blocks_the_bundle() -> None:
    async with bench(legacy(), audio(promotion="x"), audio("second")) as sim:
        verdict = await sim.validate("premium")
        assert verdict["isEligible"] is True
        assert [addon["isEligible"] for addon in verdict["addOnMigrations"]] == [False, True]
        assert code(await sim.migrate("premium")) == (400, 900218)
        assert (await sim.subscription("premium"))["status"] == "active"


async def test_an_addon_bought_within_30_days_blocks_the_bundle() -> None:
    async with bench(legacy(), audio(created_at="2022-06-12T00:00:00Z")) as sim:
        assert code(await sim.migrate("premium")) == (403, 900226)


async def test_the_same_addon_twice_is_refused() -> None:
    async with bench(legacy(), audio()) as sim:
        addon = {"currentSubscriptionId": sim.id("audio")}
        assert code(await sim.migrate("premium", addOnMigrations=[addon, addon])) == (400, 900248)


async def test_a_listed_addon_that_is_not_active_is_refused() -> None:
    async with bench(legacy(), audio(status="suspended")) as sim:
        addon = {"currentSubscriptionId": sim.id("audio").upper()}
        assert code(await sim.migrate("premium", addOnMigrations=[addon])) == (400, 900262)


async def test_a_second_create_while_one_is_in_work_is_900216() -> None:
    async with bench(legacy()) as sim:
        await sim.migrate("premium")
        assert code(await sim.migrate("premium")) == (400, 900216)
        assert [error["code"] for error in (await sim.validate("premium"))["errors"]] == [1]


async def test_a_create_after_the_migration_completed_is_900215() -> None:
    async with bench(legacy()) as sim:
        await sim.migrate("premium")
        await sim.go_to("2022-07-11T10:00:00Z")
        assert code(await sim.migrate("premium")) == (400, 900215)


async def test_a_legacy_subscription_in_migration_takes_no_update() -> None:
    async with bench(legacy()) as sim:
        await sim.migrate("premium")
        assert code(await sim.patch("premium", status="active")) == (409, 900278)


async def test_failed_and_reverted_means_legacy_is_active_again_and_may_be_tried_again() -> None:
    plan = {"takes": "PT4H", "outcome": "failed_reverts", "settles_after": "PT48H"}
    async with bench(legacy(ends_at="2022-07-20T08:00:00Z", migration=plan)) as sim:
        migration = (await sim.migrate("premium")).json()["id"]
        await sim.go_to("2022-07-11T10:00:00Z")
        assert (await sim.migration(migration))["status"] == "Failed"
        assert (await sim.subscription("premium"))["status"] == "suspended"
        assert code(await sim.migrate("premium")) == (400, 900216)
        await sim.go_to("2022-07-13T06:00:00Z")
        assert (await sim.migration(migration))["status"] == "Failed"
        assert (await sim.subscription("premium"))["status"] == "active"
        assert (await sim.migrate("premium")).status_code == 201


async def test_failed_may_still_complete() -> None:
    plan = {"takes": "PT4H", "outcome": "failed_completes", "settles_after": "PT30H"}
    async with bench(legacy(migration=plan)) as sim:
        migration = (await sim.migrate("premium")).json()["id"]
        await sim.go_to("2022-07-12T11:59:59Z")
        assert (await sim.migration(migration))["status"] == "Failed"
        await sim.go_to("2022-07-12T12:00:00Z")
        assert (await sim.migration(migration))["status"] == "Completed"
        assert (await sim.nce_of("premium"))["status"] == "active"


async def test_a_failure_with_legacy_active_can_be_repeated_until_it_works() -> None:
    plan = {"takes": "PT1H", "outcome": "failed", "fails_times": 1}
    async with bench(legacy(migration=plan)) as sim:
        first = (await sim.migrate("premium")).json()["id"]
        await sim.go_to("2022-07-11T07:00:00Z")
        assert (await sim.migration(first))["status"] == "Failed"
        assert (await sim.subscription("premium"))["status"] == "active"
        second = (await sim.migrate("premium")).json()["id"]
        await sim.go_to("2022-07-11T08:00:00Z")
        assert (await sim.migration(second))["status"] == "Completed"


async def test_microsoft_may_leave_legacy_active() -> None:
    plan = {"takes": "PT1H", "suspends_legacy": False}
    async with bench(legacy(migration=plan)) as sim:
        await sim.migrate("premium")
        await sim.go_to("2022-07-11T07:00:00Z")
        assert (await sim.subscription("premium"))["status"] == "active"
        assert (await sim.patch("premium", status="suspended")).status_code == 200


async def test_an_undone_migration_ends_like_any_other_subscription() -> None:
    async with bench(legacy()) as sim:
        await sim.migrate("premium")
        await sim.go_to("2022-07-11T10:00:00Z")
        assert (await sim.patch("premium", status="active")).status_code == 200
        await sim.go_to("2022-07-15T08:00:00Z")
        assert (await sim.subscription("premium"))["status"] == "expired"


async def test_reactivation_after_a_migration_may_be_refused() -> None:
    async with bench(legacy(), rules={"reactivation_after_migration": False}) as sim:
        await sim.migrate("premium")
        await sim.go_to("2022-07-11T10:00:00Z")
        assert code(await sim.patch("premium", status="active")) == (400, 800040)


async def test_reactivation_after_a_migration_may_be_refused_for_one_subscription() -> None:
    refused = legacy(migration={"takes": "PT2H", "legacy_comes_back": False})
    async with bench(refused, legacy("other")) as sim:
        await sim.migrate("premium")
        await sim.migrate("other")
        await sim.go_to("2022-07-11T10:00:00Z")
        assert code(await sim.patch("premium", status="active")) == (400, 800040)
        assert (await sim.patch("other", status="active")).json()["status"] == "active"


async def test_legacy_that_came_back_ends_with_its_term() -> None:
    async with bench(legacy()) as sim:
        await sim.migrate("premium")
        await sim.go_to("2022-07-11T10:00:00Z")
        assert (await sim.patch("premium", status="active")).status_code == 200
        await sim.go_to("2022-07-15T08:00:00Z")
        assert (await sim.subscription("premium"))["status"] == "expired"


async def test_after_its_term_end_legacy_does_not_come_back() -> None:
    async with bench(legacy()) as sim:
        await sim.migrate("premium")
        await sim.go_to("2022-07-15T08:00:00Z")
        assert code(await sim.patch("premium", status="active")) == (400, 800040)


async def test_undone_and_migrated_again_it_has_a_second_successor() -> None:
    async with bench(legacy()) as sim:
        await sim.migrate("premium")
        await sim.go_to("2022-07-11T10:00:00Z")
        assert (await sim.patch("premium", status="active")).status_code == 200
        (first,) = [row for row in await successors(sim) if row["status"] == "active"]
        path = f"/customers/{sim.alfa}/subscriptions/{first['id']}"
        cancelled = await sim.call("PATCH", path, json={**first, "status": "deleted"})
        assert cancelled.json()["status"] == "deleted"
        assert (await sim.migrate("premium")).status_code == 201
        await sim.go_to("2022-07-11T14:00:00Z")
        assert sorted(row["status"] for row in await successors(sim)) == ["active", "deleted"]


async def successors(sim: Bench) -> list[dict[str, Any]]:
    rows = (await sim.get(f"/customers/{sim.alfa}/subscriptions")).json()["items"]
    return [row for row in rows if row.get("migratedFromSubscriptionId", "").lower() == sim.id("premium")]


async def test_more_seats_than_a_customer_may_have_are_refused() -> None:
    owned = {
        "key": "nce",
        "nce": {"product": "CFQ7TTC0LDPB", "sku": "0001"},
        "seats": 200,
        "ends_at": "2023-06-01T00:00:00Z",
    }
    async with bench(legacy(seats=101), owned) as sim:
        assert code(await sim.migrate("premium")) == (400, 2002)


async def test_of_two_migrations_that_together_exceed_the_cap_one_fails() -> None:
    async with bench(legacy("one", seats=200), legacy("two", seats=200)) as sim:
        first = (await sim.migrate("one")).json()["id"]
        second = (await sim.migrate("two")).json()["id"]
        await sim.go_to("2022-07-11T10:00:00Z")
        assert (await sim.migration(first))["status"] == "Completed"
        assert (await sim.migration(second))["status"] == "Failed"
        assert (await sim.subscription("two"))["status"] == "active"


async def test_products_without_a_cap_are_not_capped() -> None:
    async with bench(legacy("one", offer=E3, seats=400), legacy("two", offer=E3, seats=400)) as sim:
        assert (await sim.migrate("one")).status_code == 201
        assert (await sim.migrate("two")).status_code == 201


async def test_without_an_mpa_in_force_nothing_is_migrated() -> None:
    story = scenario(legacy())
    partner = story["partners"][0] | {"mpa_signed_at": "2022-07-11T05:00:00Z", "mpa_lag": "PT6H"}
    async with bench(partners=[partner]) as sim:
        assert code(await sim.migrate("premium")) == (403, 900123)
        await sim.go_to("2022-07-11T11:00:00Z")
        assert (await sim.migrate("premium")).status_code == 201


async def test_without_an_mca_nothing_is_migrated() -> None:
    story = scenario(legacy())
    story["partners"][0]["customers"][0]["mca"] = None
    async with bench(partners=story["partners"]) as sim:
        assert (await sim.validate("premium"))["isEligible"] is True
        assert code(await sim.migrate("premium")) == (403, 13605)


async def test_a_migration_is_found_by_legacy_id_or_reference_in_a_bare_array() -> None:
    async with bench(legacy(), legacy("other")) as sim:
        migration = (await sim.migrate("premium", externalReferenceId="r1")).json()["id"]
        for query in (f"CurrentSubscriptionId={sim.id('premium').upper()}", "ExternalReferenceId=r1"):
            (found,) = (await sim.get(f"/migrations/newcommerce?{query}")).json()
            assert found["id"] == migration
        assert (await sim.get("/migrations/newcommerce?ExternalReferenceId=r2")).json() == []
        assert code(await sim.get("/migrations/newcommerce")) == (400, 800002)


async def test_the_query_pages_through_a_response_header() -> None:
    async with bench(*(legacy(f"s{number}") for number in range(5))) as sim:
        for number in range(5):
            await sim.migrate(f"s{number}")
        path = f"/migrations/newcommerce?CustomerTenantId={sim.alfa}&PageSize=2"
        seen: list[str] = []
        headers: dict[str, str] = {}
        while True:
            answer = await sim.get(path, headers=headers)
            seen += [item["id"] for item in answer.json()]
            if "MS-ContinuationToken" not in answer.headers:
                break
            headers = {"MS-ContinuationToken": answer.headers["MS-ContinuationToken"]}
        assert len(seen) == len(set(seen)) == 5


async def test_an_unknown_migration_is_a_400() -> None:
    async with bench(legacy()) as sim:
        path = f"/customers/{sim.alfa}/migrations/newcommerce/{sim.alfa}"
        assert code(await sim.get(path)) == (400, 900224)


async def test_pascal_case_with_empty_read_only_fields_is_taken() -> None:
    async with bench(legacy()) as sim:
        wish = {
            "Id": None,
            "CurrentSubscriptionId": sim.id("premium"),
            "Status": "",
            "Quantity": 14,
            "TermDuration": "P1Y",
            "BillingCycle": "Annual",
            "PurchaseFullTerm": False,
            "AddOnMigrations": [],
        }
        body = (await sim.post(f"/customers/{sim.alfa}/migrations/newcommerce", wish)).json()
        assert (body["quantity"], body["billingCycle"]) == (14, "Annual")


async def test_a_planned_migration_runs_on_its_day() -> None:
    async with bench(legacy()) as sim:
        path = f"/customers/{sim.alfa}/migrations/newcommerce/schedules"
        wish = {"currentSubscriptionId": sim.id("premium"), "targetDate": "2022-07-13T00:00:00.000Z"}
        plan = (await sim.post(path, wish)).json()
        assert (plan["status"], plan["targetDate"]) == ("Created", "2022-07-13T00:00:00")
        assert code(await sim.post(path, wish)) == (400, 900216)
        await sim.go_to("2022-07-13T00:00:00Z")
        done = (await sim.get(f"{path}/{plan['id']}")).json()
        assert (await sim.migration(done["newCommerceMigrationId"]))["status"] == "Processing"


async def test_a_planned_migration_that_is_called_off_does_not_run() -> None:
    async with bench(legacy()) as sim:
        path = f"/customers/{sim.alfa}/migrations/newcommerce/schedules"
        wish = {"currentSubscriptionId": sim.id("premium"), "targetDate": "2022-07-13T00:00:00Z"}
        plan = (await sim.post(path, wish)).json()
        moved = wish | {"targetDate": "2022-07-14T00:00:00Z"}
        changed = await sim.call("PUT", f"{path}/{plan['id']}", json=moved)
        assert changed.json()["targetDate"] == "2022-07-14T00:00:00"
        assert (await sim.post(f"{path}/{plan['id']}/cancel")).json()["status"] == "Cancelled"
        await sim.go_to("2022-07-14T12:00:00Z")
        assert (await sim.subscription("premium"))["status"] == "active"
        query = f"/migrations/newcommerce/schedules?CustomerTenantId={sim.alfa}"
        assert [item["status"] for item in (await sim.get(query)).json()] == ["Cancelled"]


async def test_somebody_may_migrate_in_the_portal() -> None:
    event = {"at": "2022-07-12T00:00:00Z", "kind": "migrate_in_portal", "subscription": "premium"}
    async with bench(legacy(), events=[event]) as sim:
        await sim.go_to("2022-07-12T04:00:00Z")
        assert (await sim.nce_of("premium"))["status"] == "active"
        state = (await sim.control("GET", "/state")).json()
        assert [row["outcome"] for row in state["story"]] == ["done"]
        assert state["migrations"][0]["by"] == "portal"


async def test_a_story_event_that_is_not_possible_is_recorded_and_changes_nothing() -> None:
    event = {"at": "2022-07-12T00:00:00Z", "kind": "migrate_in_portal", "subscription": "premium"}
    async with bench(legacy(promotion="x"), events=[event]) as sim:
        await sim.go_to("2022-07-12T04:00:00Z")
        assert (await sim.subscription("premium"))["status"] == "active"
        (record,) = (await sim.control("GET", "/state")).json()["story"]
        assert record["outcome"].startswith("refused: 900218")


@pytest.mark.parametrize(
    "text", ["2022-07-31T00:00:00", "2022-07-31T00:00:00.1234567Z", "2022-07-31T02:00:00+02:00", "2022-07-31"]
)
async def test_a_moment_is_read_in_every_documented_form(text: str) -> None:
    async with bench(legacy()) as sim:
        body = (await sim.migrate("premium", customTermEndDate=text)).json()
        assert body["subscriptionEndDate"] == "2022-07-31T00:00:00Z"


async def test_a_moment_that_is_none_is_refused() -> None:
    async with bench(legacy()) as sim:
        assert code(await sim.migrate("premium", customTermEndDate="soon")) == (400, 800002)
