"""Resources beside a conversion: service costs and requests, transitions between NCE products, webhooks.

No call of this product asks for them today. They are read so that everything the contract shows can be read,
and whoever adds such a call begins with the documented fields.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from include.nce.partner_center.models.links import Attributes, Contact, Links
from include.nce.partner_center.models.reading import Guid, Moment, Text, WireModel
from include.nce.partner_center.models.subscriptions import BillingCycleText


class ServiceCosts(WireModel):
    """What one kind of invoice, or all of them, came to (get-a-customer-s-service-costs-summary,
    06/16/2022)."""

    billing_start_date: Moment = None
    billing_end_date: Moment = None
    pretax_total: float | None = None
    tax: float | None = None
    after_tax_total: float | None = None
    currency_code: str | None = None
    currency_symbol: str | None = None
    customer_id: Guid | None = None
    links: Links
    attributes: Attributes | None = None


class ServiceCostsOfInvoice(WireModel):
    """`Recurring` or `OneTime` (get-a-customer-s-service-costs-summary, 06/16/2022)."""

    invoice_type: str | None = None
    summary: ServiceCosts | None = None


class ServiceCostsSummary(ServiceCosts):
    """get-a-customer-s-service-costs-summary (06/16/2022)."""

    details: tuple[ServiceCostsOfInvoice, ...] = ()


class ServiceRequest(WireModel):
    """A support ticket (get-all-service-requests-for-a-customer, 06/28/2022); severity and status are shown
    as numbers."""

    id: Text
    title: str | None = None
    severity: Text | None = None
    status: Text | None = None
    primary_contact: Contact | None = None
    created_date: Moment = None
    last_modified_date: Moment = None
    last_closed_date: Moment = None
    attributes: Attributes | None = None


class TransitionError(WireModel):
    """Why not (transition-a-new-commerce-subscription, 7/14/2023)."""

    code: int
    description: str = ""


class TransitionTypeEligibility(WireModel):
    """`transition_only` or `transition_with_license_transfer` (transition-a-new-commerce-subscription,
    7/14/2023)."""

    is_eligible: bool
    transition_type: str | None = None
    errors: tuple[TransitionError, ...] = ()


class TransitionTargetEligibility(WireModel):
    """May an existing subscription take the seats (transition-a-new-commerce-subscription, 7/14/2023)?"""

    is_eligible: bool
    subscription_id: Guid | None = None
    subscription_friendly_name: str | None = None
    subscription_term_duration: str | None = None
    subscription_billing_cycle: BillingCycleText | None = None
    errors: tuple[TransitionError, ...] = ()


class TransitionEligibility(WireModel):
    """An NCE product that a subscription could become (transition-a-new-commerce-subscription, 7/14/2023)."""

    catalog_item_id: str
    operation_id: Guid | None = None
    title: str | None = None
    description: str | None = None
    quantity: int | None = None
    subscription_eligibilities: tuple[TransitionTargetEligibility, ...] = ()
    eligibilities: tuple[TransitionTypeEligibility, ...] = ()
    attributes: Attributes | None = None


class TransitionEvent(WireModel):
    """`Conversion` or `LicenseReassignment`: Started, InProgress, Completed or Failed (get-transitions,
    03/13/2023)."""

    name: str | None = None
    status: str | None = None
    timestamp: Moment = None
    attributes: Attributes | None = None


class Transition(WireModel):
    """One upgrade between NCE products (get-transitions, 03/13/2023)."""

    operation_id: Guid | None = None
    from_catalog_item_id: str | None = None
    from_subscription_id: Guid | None = None
    to_catalog_item_id: str
    to_subscription_id: Guid | None = None
    quantity: int | None = None
    term_duration: str | None = None
    billing_cycle: BillingCycleText | None = None
    transition_type: str | None = None
    events: tuple[TransitionEvent, ...] = ()
    attributes: Attributes | None = None


class Transitions(WireModel):
    """A subscription's upgrades, in a list that is not called `items` (get-transitions, 03/13/2023)."""

    transition: Annotated[tuple[Transition, ...], Field(default=())]
    attributes: Attributes | None = None


class WebhookEvent(WireModel):
    """A pointer to what changed, never the change itself (partner-center-webhooks, 10/17/2023)."""

    event_name: str
    resource_uri: str | None = None
    resource_name: str | None = None
    audit_uri: str | None = None
    resource_change_utc_date: Moment = None


class WebhookRegistration(WireModel):
    """Which events are sent where (partner-center-webhooks, 10/17/2023)."""

    webhook_url: str
    webhook_events: tuple[str, ...] = ()
