"""New-commerce migrations: ask, create, follow, find again."""

from __future__ import annotations

from collections.abc import AsyncIterator

from include.nce.partner_center.models.migrations import (
    MigrationEvent,
    MigrationRequest,
    MigrationSchedule,
    NewCommerceEligibility,
    NewCommerceMigration,
)
from include.nce.partner_center.models.reading import Collection
from include.nce.partner_center.paging import by_header
from include.nce.partner_center.transport import Call, Leave, Transport, Written

PAGE_SIZE = 300
"""The most a page can hold (query-migrated-subscriptions, 07/31/2023)."""
VALIDATE = "validate migration"
CREATE = "create migration"


class Migrations:
    """App-only tokens do for all of them. Limits: validate 450 in 5 minutes for each customer, create 100
    in 5 minutes for the provider (api-throttling-guidance, 7/18/2022)."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def validate(self, customer_id: str, request: MigrationRequest) -> NewCommerceEligibility:
        """Could this subscription be migrated? Changes nothing; "not eligible" is an answer, not an error
        (validate-subscription-for-migration, 10/13/2023)."""
        call = Call(
            VALIDATE,
            "POST",
            f"/v1/customers/{customer_id}/migrations/newcommerce/validate",
            body=request.body(),
            customer_id=customer_id,
        )
        return (await self._transport.send(call)).one(NewCommerceEligibility)

    async def create(
        self, customer_id: str, request: MigrationRequest, *, request_id: str, leave: Leave | None = None
    ) -> Written[NewCommerceMigration]:
        """Migrate a subscription with the add-ons named. Costs money; sent once.

        Ineligible is an HTTP error here. `OutcomeUnknown` and `AlreadyInProgress` ask for `query` by the
        legacy subscription or the external reference before anything else (create-migration, 10/13/2023).
        """
        call = Call(
            CREATE,
            "POST",
            f"/v1/customers/{customer_id}/migrations/newcommerce",
            body=request.body(),
            writes=True,
            request_id=request_id,
            leave=leave,
            customer_id=customer_id,
        )
        return (await self._transport.send(call)).written(NewCommerceMigration)

    async def get(self, customer_id: str, migration_id: str) -> NewCommerceMigration:
        """An unknown id is `NotFound`, though Microsoft answers 400/900224
        (get-new-commerce-migration, 11/8/2022)."""
        call = Call(
            "read migration",
            "GET",
            f"/v1/customers/{customer_id}/migrations/newcommerce/{migration_id}",
            customer_id=customer_id,
        )
        return (await self._transport.send(call)).one(NewCommerceMigration)

    def query(
        self,
        *,
        customer_id: str | None = None,
        legacy_subscription_id: str | None = None,
        external_reference_id: str | None = None,
    ) -> AsyncIterator[Collection[NewCommerceMigration]]:
        """Migrations of any customer by at least one of these; no match is an empty page
        (query-migrated-subscriptions, 07/31/2023). Items come in no documented order."""
        query = _wanted(customer_id, legacy_subscription_id, external_reference_id)
        call = Call(
            "query migrations", "GET", "/v1/migrations/newcommerce", query={**query, "PageSize": PAGE_SIZE}
        )
        return by_header(self._transport, call, NewCommerceMigration)

    async def events(
        self,
        customer_id: str,
        *,
        migration_id: str | None = None,
        legacy_subscription_id: str | None = None,
    ) -> Collection[MigrationEvent]:
        """What Microsoft did so far (get-migration-events, 09/22/2023)."""
        query = {
            name: value
            for name, value in (
                ("migration_id", migration_id),
                ("current_subscription_id", legacy_subscription_id),
            )
            if value is not None
        }
        if not query:
            raise ValueError("migration events are asked by migration or by legacy subscription")
        call = Call(
            "list migration events",
            "GET",
            f"/v1/customers/{customer_id}/migrations/newcommerce/events",
            query=query,
            customer_id=customer_id,
        )
        return (await self._transport.send(call)).many(MigrationEvent)

    def schedules(
        self, *, customer_id: str | None = None, legacy_subscription_id: str | None = None
    ) -> AsyncIterator[Collection[MigrationSchedule]]:
        """Migrations somebody scheduled (get-a-new-commerce-migration-schedule, 10/27/2022)."""
        call = Call(
            "query migration schedules",
            "GET",
            "/v1/migrations/newcommerce/schedules",
            query=_wanted(customer_id, legacy_subscription_id, None),
        )
        return by_header(self._transport, call, MigrationSchedule)


def _wanted(
    customer_id: str | None, legacy_subscription_id: str | None, external_reference_id: str | None
) -> dict[str, str]:
    wanted = {
        name: value
        for name, value in (
            ("CustomerTenantId", customer_id),
            ("CurrentSubscriptionId", legacy_subscription_id),
            ("ExternalReferenceId", external_reference_id),
        )
        if value is not None
    }
    if not wanted:
        raise ValueError("migrations are queried by customer, legacy subscription or external reference")
    return wanted
