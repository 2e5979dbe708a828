"""New-commerce migrations: eligibility, the migration itself, its events and its schedules."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Annotated, ClassVar

from include.nce.partner_center.models.reading import (
    Guid,
    Moment,
    RequestModel,
    SentMoment,
    WireModel,
    known_text,
)


class EligibilityError(WireModel):
    """Codes 0 to 12 are known (nce-bulk-migration-tool, Models.cs, March 2024), others may come."""

    code: int
    description: str = ""


class NewCommerceEligibility(WireModel):
    """Microsoft's verdict (validate-subscription-for-migration, 10/13/2023).

    A subscription that is not eligible is a success answer with `errors`. `catalog_item_id` is what it would
    become. Microsoft finds the add-ons of a base itself and judges each in `add_on_migrations`; promotions on
    the NCE side are not judged.
    """

    current_subscription_id: Guid
    is_eligible: bool
    term_duration: str | None = None
    billing_cycle: str | None = None
    catalog_item_id: str | None = None
    custom_term_end_date: Moment = None
    errors: tuple[EligibilityError, ...] = ()
    add_on_migrations: tuple[NewCommerceEligibility, ...] = ()


class MigrationStatus(str, Enum):
    """The three documented states (migrate-subscriptions-to-new-commerce, 10/13/2023). `Failed` is not always
    final; any other text counts as in progress."""

    PROCESSING = "Processing"
    COMPLETED = "Completed"
    FAILED = "Failed"


class NewCommerceMigration(WireModel):
    """A migration (create-migration, 10/13/2023; query-migrated-subscriptions, 07/31/2023).

    Add-ons stand in `add_on_migrations`, without id or status of their own. `subscription_end_date` is the
    term end, `quantity` seats. No field tells why a migration failed.
    """

    id: Guid | None = None
    current_subscription_id: Guid
    status: Annotated[MigrationStatus | str, known_text(MigrationStatus)] | None = None
    started_time: Moment = None
    completed_time: Moment = None
    customer_tenant_id: Guid | None = None
    catalog_item_id: str | None = None
    new_commerce_subscription_id: Guid | None = None
    new_commerce_order_id: str | None = None
    subscription_end_date: Moment = None
    custom_term_end_date: Moment = None
    quantity: int | None = None
    term_duration: str | None = None
    billing_cycle: str | None = None
    purchase_full_term: bool | None = None
    external_reference_id: Guid | None = None
    microsoft_led: bool | None = None
    add_on_migrations: tuple[NewCommerceMigration, ...] = ()


class AddOnMigrationRequest(RequestModel):
    """One add-on of a bundle: a flat list, never nested. What is left out is taken over from legacy
    (create-migration, 10/13/2023)."""

    current_subscription_id: str
    term_duration: str | None = None
    billing_cycle: str | None = None
    purchase_full_term: bool | None = None
    quantity: int | None = None
    custom_term_end_date: SentMoment | None = None


class MigrationRequest(AddOnMigrationRequest):
    """Body of validate and create. `external_reference_id` is ours, and finds the migration again when the
    answer to its creation was lost (query-migrated-subscriptions, 07/31/2023)."""

    add_on_migrations: list[AddOnMigrationRequest] | None = None
    external_reference_id: str | None = None


class MigrationEventName(str, Enum):
    """The steps Microsoft tells of (get-migration-events, 09/22/2023)."""

    MIGRATION_STARTED = "MigrationStarted"
    SUBSCRIPTION_CREATED = "NewCommerceSubscriptionCreated"
    SUBSCRIPTION_PROVISIONED = "NewCommerceSubscriptionProvisioned"
    MIGRATION_COMPLETED = "MigrationCompleted"
    MIGRATION_FAILED = "MigrationFailed"


class MigrationEvent(WireModel):
    """One step Microsoft recorded (get-migration-events, 09/22/2023), none before 22 June 2022."""

    id: Guid
    new_commerce_migration_id: Guid | None = None
    current_subscription_id: Guid | None = None
    customer_tenant_id: Guid | None = None
    created_time: Moment = None
    event_name: Annotated[MigrationEventName | str, known_text(MigrationEventName)]


class MigrationSchedule(WireModel):
    """A migration for later (get-a-new-commerce-migration-schedule, 10/27/2022).

    Read only: this product times its conversions itself, and must see a schedule somebody else made before it
    creates a migration beside it. A request has no `id` yet. Add-ons are called by two names on one page.
    """

    also_called: ClassVar[Mapping[str, tuple[str, ...]]] = {"add_on_migrations": ("addOnMigrationSchedules",)}

    id: Guid | None = None
    current_subscription_id: Guid
    status: str | None = None
    customer_tenant_id: Guid | None = None
    catalog_item_id: str | None = None
    subscription_end_date: Moment = None
    custom_term_end_date: Moment = None
    quantity: int | None = None
    term_duration: str | None = None
    billing_cycle: str | None = None
    purchase_full_term: bool | None = None
    target_date: Moment = None
    migrate_on_renewal: bool | None = None
    created_time: Moment = None
    last_modified_time: Moment = None
    new_commerce_migration_id: Guid | None = None
    external_reference_id: Guid | None = None
    error_code: int | None = None
    error_description: str | None = None
    add_on_migrations: tuple[AddOnSchedule, ...] = ()


class AddOnSchedule(WireModel):
    """One add-on of a bundle that is to migrate later (schedule-a-new-commerce-migration, 07/24/2023)."""

    current_subscription_id: Guid
    quantity: int | None = None
    billing_cycle: str | None = None
    purchase_full_term: bool | None = None
    term_duration: str | None = None
    custom_term_end_date: Moment = None
