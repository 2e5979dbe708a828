"""New-commerce migrations and their schedules."""

from __future__ import annotations

import base64
import uuid
from datetime import datetime
from typing import Any

from simulator.behaviour import migrations
from simulator.behaviour.migrations import ELIGIBILITY, MigrationRequest, Verdict
from simulator.errors import Refusal
from simulator.exchange import Answer, Call, Operations
from simulator.records import MigrationLine, MigrationRecord, ScheduleRecord
from simulator.wire import day, present, stamp, stamp7, wire_moment

operations = Operations()

PREFIX = "/v1/customers/{customer_id}/migrations/newcommerce"
BILLING_NAMES = {"one_time": "OneTime"}


def _billing(cycle: str) -> str:
    return BILLING_NAMES.get(cycle, cycle.capitalize())


def _verdict(verdict: Verdict, *, base: bool = True) -> dict[str, Any]:
    line = verdict.line
    body: dict[str, Any] = {
        "currentSubscriptionId": verdict.subscription.upper(),
        "isEligible": verdict.eligible,
    }
    if line is not None:
        body |= {"termDuration": line.term, "billingCycle": _billing(line.billing)}
        if line.custom_ends_at is not None:
            body["customTermEndDate"] = stamp(line.custom_ends_at)
    if verdict.eligible and line is not None:
        body["catalogItemId"] = line.item
    else:
        body["errors"] = [
            {"code": code, "description": ELIGIBILITY.get(code, ("The subscription is not eligible.", 0))[0]}
            for code in verdict.errors
        ]
    if base and verdict.addons:
        body["addOnMigrations"] = [_verdict(addon, base=False) for addon in verdict.addons]
    return body


@operations.add(
    "POST",
    f"{PREFIX}/validate",
    auth="either",
    page="validate-subscription-for-migration (10/13/2023)",
    limit="validate_per_customer",
    body=MigrationRequest,
)
def validate_migration(call: Call) -> Answer:
    """Whether a subscription and its add-ons may migrate; a no is a success response with its reasons."""
    return Answer(_verdict(migrations.judge(call.world, call.customer().id, call.model(MigrationRequest))))


def _line(migration: MigrationRecord, line: MigrationLine) -> dict[str, Any]:
    completed = migration.status == "Completed"
    return present(
        currentSubscriptionId=line.legacy.upper(),
        customerTenantId=migration.customer,
        catalogItemId=line.item,
        newCommerceSubscriptionId=line.nce if completed else None,
        newCommerceOrderId=line.order if completed else None,
        subscriptionEndDate=day(line.ends_at),
        customTermEndDate=stamp(line.custom_ends_at) if line.custom_ends_at else None,
        quantity=line.seats,
        termDuration=line.term,
        billingCycle=_billing(line.billing),
        purchaseFullTerm=line.full_term,
    )


def _rendered(migration: MigrationRecord) -> dict[str, Any]:
    base, *addons = migration.lines
    body = {"addOnMigrations": [_line(migration, line) for line in addons]} if addons else {}
    return (
        body
        | {"id": migration.id, "startedTime": stamp7(migration.started_at), "status": migration.status}
        | present(
            completedTime=stamp7(migration.completed_at) if migration.completed_at else None,
            externalReferenceId=migration.external_reference,
            microsoftLed=True if migration.by == "microsoft" else None,
        )
        | _line(migration, base)
    )


@operations.add(
    "POST",
    PREFIX,
    auth="either",
    page="create-migration (10/13/2023)",
    limit="create_migration",
    body=MigrationRequest,
    answers=201,
)
def create_migration(call: Call) -> Answer:
    """Starts a migration of a subscription with its add-ons."""
    customer, request = call.customer(), call.model(MigrationRequest)
    migration = migrations.create(call.world, customer.id, request, stuck=call.stuck)
    call.world.record_action(
        "create_new_commerce_migration",
        "new_commerce_migration",
        customer.id,
        f'{{"Id":"{migration.id}","CurrentSubscriptionId":"{request.subscription}"}}',
        [("SubscriptionId", str(request.subscription))],
        application=call.caller.client_id if call.caller else None,
    )
    return Answer(_rendered(migration), 201)


@operations.add(
    "GET",
    f"{PREFIX}/events",
    auth="either",
    page="get-migration-events (09/22/2023)",
    query=("migration_id", "current_subscription_id"),
)
def get_migration_events(call: Call) -> Answer:
    """What happened in a migration, oldest first, as a bare array."""
    customer = call.customer()
    migration_id, subscription = call.query("migration_id"), call.query("current_subscription_id")
    if not migration_id and not subscription:
        raise Refusal(800002, "Give migration_id or current_subscription_id.")
    found = [
        (event, migration)
        for migration in call.world.migrations
        if migration.customer == customer.id
        and (not migration_id or migration.id == migration_id.lower())
        and (not subscription or subscription.lower() in {line.legacy for line in migration.lines})
        for event in migration.events
    ]
    found.sort(key=lambda pair: pair[0].at)
    return Answer(
        [
            {
                "id": event.id,
                "newCommerceMigrationId": migration.id,
                "currentSubscriptionId": subscription.lower() if subscription else migration.lines[0].legacy,
                "customerTenantId": customer.id,
                "createdTime": stamp7(event.at),
                "eventName": event.name,
            }
            for event, migration in found
        ]
    )


def _page(call: Call, items: list[dict[str, Any]]) -> Answer:
    """One page of a bare array; the token for the next one travels in a header."""
    most = call.world.scenario.rules.migrations_page_size
    text = call.query("PageSize") or str(most)
    if not text.isdecimal() or not 1 <= int(text) <= 300:
        raise Refusal(800002, "PageSize must be 1 to 300.")
    size = min(int(text), most)
    start = 0
    if token := call.headers.get("MS-ContinuationToken"):
        try:
            last = base64.urlsafe_b64decode(token).decode()
            start = [item["id"] for item in items].index(last) + 1
        except ValueError:
            raise Refusal(800002, "The continuation token is not valid.") from None
    page = items[start : start + size]
    more = len(items) > start + size
    headers = (
        {"MS-ContinuationToken": base64.urlsafe_b64encode(page[-1]["id"].encode()).decode()} if more else {}
    )
    return Answer(page, headers=headers)


def _wanted(call: Call) -> tuple[str | None, str | None, str | None]:
    tenant, subscription = call.query("CustomerTenantId"), call.query("CurrentSubscriptionId")
    reference = call.query("ExternalReferenceId")
    if not (tenant or subscription or reference):
        raise Refusal(800002, "Give CustomerTenantId, CurrentSubscriptionId or ExternalReferenceId.")
    return tenant and tenant.lower(), subscription and subscription.lower(), reference


@operations.add(
    "GET",
    "/v1/migrations/newcommerce",
    auth="either",
    page="query-migrated-subscriptions (07/31/2023)",
    query=("CustomerTenantId", "CurrentSubscriptionId", "ExternalReferenceId", "PageSize", "IsMicrosoftLed"),
)
def query_migrations(call: Call) -> Answer:
    """Migrations by customer, legacy subscription or the caller's reference, as a bare array."""
    tenant, subscription, reference = _wanted(call)
    led = call.query("IsMicrosoftLed")
    found = [
        row
        for row in call.world.migrations
        if (tenant is None or row.customer == tenant)
        and (subscription is None or subscription in {line.legacy for line in row.lines})
        and (reference is None or row.external_reference == reference)
        and (led is None or (row.by == "microsoft") == (led.lower() == "true"))
    ]
    found.sort(key=lambda row: (row.started_at, row.id))
    return _page(call, [{"addOnMigrations": []} | _rendered(row) for row in found])


def _schedule_request(call: Call) -> tuple[MigrationRequest, dict[str, Any]]:
    body = call.json()
    if isinstance(body, dict) and body.get("addOnMigrationSchedules") and not body.get("addOnMigrations"):
        body["addOnMigrations"] = body["addOnMigrationSchedules"]
    return call.fit(MigrationRequest, body), body


def _scheduled(call: Call, schedule: ScheduleRecord) -> dict[str, Any]:
    row = call.world.subscriptions[schedule.request["currentSubscriptionId"].lower()]
    request = MigrationRequest.model_validate(schedule.request)
    return present(
        id=schedule.id,
        currentSubscriptionId=row.id,
        subscriptionEndDate=day(row.ends_at),
        status=schedule.status,
        customerTenantId=schedule.customer,
        quantity=request.seats if request.seats is not None else row.seats,
        termDuration=request.term or row.term,
        billingCycle=_billing(request.billing or row.billing),
        purchaseFullTerm=bool(request.full_term),
        targetDate=None if schedule.on_renewal else schedule.target_at.strftime("%Y-%m-%dT%H:%M:%S"),
        migrateOnRenewal=True if schedule.on_renewal else None,
        createdTime=stamp7(schedule.created_at),
        lastModifiedTime=stamp7(schedule.modified_at),
        externalReferenceId=request.external_reference,
        newCommerceMigrationId=schedule.migration,
        errorCode=schedule.error_code,
        errorDescription=schedule.error_description,
    )


def _target(call: Call, body: dict[str, Any], row_ends_at: datetime) -> tuple[datetime, bool]:
    on_renewal = bool(body.get("migrateOnRenewal"))
    text = body.get("targetDate")
    if on_renewal == bool(text):
        raise Refusal(800002, "Give either targetDate or migrateOnRenewal.")
    if on_renewal:
        return row_ends_at, True
    try:
        target = wire_moment(text)
    except ValueError:
        raise Refusal(800002, "targetDate is not a date.") from None
    if target is None or not call.now < target <= row_ends_at:
        raise Refusal(800002, "targetDate must lie between now and the term end.")
    return target, False


@operations.add(
    "POST",
    f"{PREFIX}/schedules",
    auth="either",
    page="schedule-a-new-commerce-migration (07/24/2023)",
    body=MigrationRequest,
    answers=201,
)
def create_migration_schedule(call: Call) -> Answer:
    """Plans a migration for a day, or for the renewal."""
    customer = call.customer()
    request, body = _schedule_request(call)
    row = migrations.find_legacy(call.world, customer.id, request.subscription)
    if row.status != "active":
        raise Refusal(900215)
    if any(
        old.status == "Created" and old.request["currentSubscriptionId"].lower() == row.id
        for old in call.world.schedules
    ):
        raise Refusal(900216)
    target, on_renewal = _target(call, body, row.ends_at)
    schedule = call.world.schedules.add(
        ScheduleRecord(
            id=str(uuid.uuid4()),
            customer=customer.id,
            request=body,
            target_at=target,
            on_renewal=on_renewal,
            created_at=call.now,
            modified_at=call.now,
        )
    )
    return Answer(_scheduled(call, schedule), 201)


def _find_schedule(call: Call) -> ScheduleRecord:
    schedule = call.world.schedules.get(call.ids["schedule_id"])
    if schedule is None or schedule.customer != call.customer().id:
        raise Refusal(900224, call.ids["schedule_id"])
    return schedule


SCHEDULE_PAGE = "get-a-new-commerce-migration-schedule (10/27/2022)"


@operations.add("GET", f"{PREFIX}/schedules/{{schedule_id}}", auth="either", page=SCHEDULE_PAGE)
def get_migration_schedule(call: Call) -> Answer:
    """One planned migration."""
    return Answer(_scheduled(call, _find_schedule(call)))


@operations.add(
    "PUT",
    f"{PREFIX}/schedules/{{schedule_id}}",
    auth="either",
    page="update-a-new-commerce-migration-schedule (10/27/2022)",
    body=MigrationRequest,
)
def update_migration_schedule(call: Call) -> Answer:
    """Changes a planned migration; its subscription stays."""
    schedule = _find_schedule(call)
    request, body = _schedule_request(call)
    if schedule.status != "Created":
        raise Refusal(800002, f"The schedule is {schedule.status}.")
    if str(request.subscription) != schedule.request["currentSubscriptionId"].lower():
        raise Refusal(800002, "currentSubscriptionId cannot be changed.")
    row = migrations.find_legacy(call.world, schedule.customer, request.subscription)
    target, on_renewal = _target(call, body, row.ends_at)
    schedule.request, schedule.target_at, schedule.on_renewal = body, target, on_renewal
    schedule.modified_at = call.now
    return Answer(_scheduled(call, schedule))


@operations.add(
    "POST",
    f"{PREFIX}/schedules/{{schedule_id}}/cancel",
    auth="either",
    page="cancel-a-new-commerce-migration-schedule (07/24/2023)",
)
def cancel_migration_schedule(call: Call) -> Answer:
    """Calls a planned migration off."""
    schedule = _find_schedule(call)
    if schedule.status != "Created":
        raise Refusal(800002, f"The schedule is {schedule.status}.")
    schedule.status, schedule.modified_at = "Cancelled", call.now
    return Answer(_scheduled(call, schedule))


@operations.add(
    "GET",
    "/v1/migrations/newcommerce/schedules",
    auth="either",
    page=SCHEDULE_PAGE,
    query=("CustomerTenantId", "CurrentSubscriptionId", "ExternalReferenceId", "PageSize"),
)
def query_migration_schedules(call: Call) -> Answer:
    """Planned migrations by customer, subscription or reference, as a bare array."""
    tenant, subscription, reference = _wanted(call)
    found = [
        row
        for row in call.world.schedules
        if (tenant is None or row.customer == tenant)
        and (subscription is None or row.request["currentSubscriptionId"].lower() == subscription)
        and (reference is None or row.request.get("externalReferenceId") == reference)
    ]
    return _page(call, [_scheduled(call, row) for row in found])


@operations.add(
    "GET", f"{PREFIX}/{{migration_id}}", auth="either", page="get-new-commerce-migration (11/8/2022)"
)
def get_migration(call: Call) -> Answer:
    """One migration; an unknown id is a 400."""
    migration = call.world.migrations.get(call.ids["migration_id"])
    if migration is None or migration.customer != call.customer().id:
        raise Refusal(900224, call.ids["migration_id"])
    return Answer(_rendered(migration))
