"""The scenario schema: a world of resellers, customers and subscriptions, its clock, and what happens in it.

Responsible for what may be written and in what form. Leaves reading a file, filling in defaults and checking
references to `scenario`, what becomes of it all to `world`, and the sections that only the rehearsal reads
(`expect`, `opt_outs`, `moves`, `undos`) to the rehearsal.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta, timezone
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

ID_NAMESPACE = uuid.UUID("7f1f6f0e-5a39-5d0b-9c58-0c1b0a2f7c11")
LONG_AGO = datetime(2020, 1, 1, tzinfo=timezone.utc)
FAR_FUTURE = datetime(9999, 12, 10, tzinfo=timezone.utc)


ISO = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d+))?)?\s*([zZ]|[+-]\d\d:\d\d)?")


def read_moment(text: str) -> datetime:
    """An ISO moment with or without zone; fractions beyond microseconds are cut. Raises ValueError."""
    found = ISO.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a moment; write it like 2022-07-11T08:00:00Z")
    on, clock, fraction, zone = found.groups()
    zone = "+00:00" if zone in ("z", "Z") else zone or ""
    return datetime.fromisoformat(
        f"{on}T{clock or '00:00'}{'.' + (fraction + '00000')[:6] if fraction else ''}{zone}"
    )


def _moment(value: object) -> object:
    if isinstance(value, str):
        value = read_moment(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time(0), timezone.utc)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value.isoformat()} has no time zone; write {value.isoformat()}Z")
        return value.astimezone(timezone.utc)
    return value


def _text(value: object) -> object:
    """YAML reads an unquoted MPN id as a number; ids are text."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _guid(value: object) -> object:
    if isinstance(value, str):
        try:
            return str(uuid.UUID(value))
        except ValueError:
            raise ValueError(f"{value!r} is not a GUID") from None
    return value


Moment = Annotated[datetime, BeforeValidator(_moment)]
Text = Annotated[str, BeforeValidator(_text)]
Guid = Annotated[str, BeforeValidator(_guid)]
Slug = Annotated[str, BeforeValidator(_text), Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
Sku = Annotated[str, Field(pattern=r"^[A-Z0-9]{12}:[A-Z0-9]{4}$")]
Term = Literal["P1M", "P1Y", "P3Y"]
Billing = Literal["monthly", "annual", "triennial", "none", "one_time"]
Segment = Literal["commercial", "education", "government", "nonprofit"]
Status = Literal["none", "active", "pending", "suspended", "expired", "disabled", "deleted"]


class Part(BaseModel):
    """Every part of a scenario: what it does not know, it refuses."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class SpeedFrom(Part):
    """From this campaign moment on, `speed` campaign seconds pass in one real second."""

    from_: Moment = Field(alias="from")
    speed: float = Field(gt=0)


class ClockPlan(Part):
    """The campaign clock: where it starts and ends, and how fast it runs in between.

    `while_converting` caps the speed while a migration or order is in flight, `while_busy` while the holder
    of the lease says that it is busy.
    """

    starts_at: Moment
    ends_at: Moment
    schedule: list[SpeedFrom] = Field(default_factory=list)
    while_converting: float | None = Field(default=None, gt=0)
    while_busy: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> ClockPlan:
        if self.ends_at <= self.starts_at:
            raise ValueError("ends_at must lie after starts_at")
        moments = [segment.from_ for segment in self.schedule]
        if moments != sorted(set(moments)):
            raise ValueError("the moments of the schedule must grow from line to line")
        return self


class Application(Part):
    """One app registration that may ask for tokens. `refresh_token` belongs to its service account."""

    client_id: Guid
    client_secret: str = Field(min_length=1)
    refresh_token: str = Field(min_length=1)
    authorization_code: str | None = None
    mfa: bool = True
    refresh_token_expires_at: Moment | None = None


class Provider(Part):
    """The indirect provider whose Partner Center this is."""

    name: str = "Provider"
    tenant_id: Guid
    mpn_id: Text = "1000000"
    country: str = Field(default="IT", pattern=r"^[A-Z]{2}$")
    currency: str = Field(default="EUR", pattern=r"^[A-Z]{3}$")
    domain: str = "provider.example"
    mpa_signed: bool = True
    token_lifetime_s: int = Field(default=3599, gt=0)
    rotate_refresh_tokens: bool = False
    rotated_tokens_stay_valid: bool = True
    applications: list[Application] = Field(min_length=1)


class TermOption(Part):
    """One way to buy a SKU."""

    term: Term
    billing: Billing


class CatalogueSku(Part):
    """One SKU of the new-commerce catalogue. `seat_cap` is the most seats of the product per customer.

    `availability` pins the last part of its catalogue item id; left out, it changes with the campaign clock.
    `upgrades_to` names the SKUs that its subscriptions may become.
    """

    sku: str = Field(pattern=r"^[A-Z0-9]{4}$")
    availability: str | None = Field(default=None, pattern=r"^[A-Z0-9]{12}$")
    title: str | None = None
    min: int = Field(default=1, ge=1)
    max: int = Field(default=10000, ge=1)
    seat_cap: int | None = Field(default=None, ge=1)
    addon_of: list[Sku] = Field(default_factory=list)
    upgrades_to: list[Sku] = Field(default_factory=list)
    unit_price: float = Field(default=10.0, ge=0)
    terms: list[TermOption] = Field(
        default_factory=lambda: [
            TermOption(term="P1M", billing="monthly"),
            TermOption(term="P1Y", billing="monthly"),
            TermOption(term="P1Y", billing="annual"),
        ]
    )


class CatalogueProduct(Part):
    """One product of the new-commerce catalogue."""

    product: str = Field(pattern=r"^[A-Z0-9]{12}$")
    title: str
    segment: Segment = "commercial"
    skus: list[CatalogueSku] = Field(min_length=1)


class Offer(Part):
    """One legacy offer. `segment` is known to the simulator only: no subscription shows it.

    `nce` is the product and SKU it becomes. Without `migration_path` the migration API refuses (900220, the
    customer must buy); left out, there is a path when there is a target and the segment is commercial.
    """

    offer_id: Text
    name: str
    segment: Segment = "commercial"
    kind: Literal["license", "addon", "azure", "software", "trial"] = "license"
    nce: Sku | None = None
    migration_path: bool | None = None
    seat_cap: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _shape(self) -> Offer:
        if self.kind in ("license", "addon", "trial"):
            self.offer_id = str(_guid(self.offer_id)).upper()
        if self.migration_path is None:
            self.migration_path = self.nce is not None and self.segment == "commercial"
        if self.migration_path and self.nce is None:
            raise ValueError(
                "a migration path needs a target; set nce to product:sku or migration_path to false"
            )
        return self


class Promotion(Part):
    """One promotion of the catalogue; `percent` is the discount."""

    id: str
    name: str
    sku: Sku
    segment: Segment = "commercial"
    term: Term = "P1Y"
    billing: Billing = "annual"
    percent: float = Field(default=5, ge=0, le=100)
    starts_at: Moment
    ends_at: Moment
    min_seats: int = 1
    max_seats: int = 2400


class Expectation(Part):
    """What the story expects of the product. The simulator never reads it; the rehearsal compares it."""

    outcome: str
    reason: str | None = None
    note: str | None = None


class MigrationPlan(Part):
    """How a migration of this subscription goes.

    `completed`: it does. `failed_reverts`, `failed_completes`: it says Failed with legacy suspended, and
    Microsoft reverts or finishes it `settles_after` the start (at most 72 h). `failed`: Failed, legacy
    active, may be tried again (`fails_times` attempts fail, the next one completes; null = all fail).
    `legacy_comes_back`: whether what was migrated may be reactivated, which nobody documents.
    """

    takes: timedelta | None = None
    outcome: Literal["completed", "failed_reverts", "failed_completes", "failed"] = "completed"
    settles_after: timedelta = timedelta(hours=48)
    fails_times: int | None = Field(default=None, ge=1)
    suspends_legacy: bool = True
    legacy_comes_back: bool = True
    eligibility_errors: list[Annotated[int, Field(ge=0, le=99)]] = Field(default_factory=list)

    @model_validator(mode="after")
    def _within_72_hours(self) -> MigrationPlan:
        if self.settles_after > timedelta(hours=72):
            raise ValueError("settles_after: Microsoft finishes or reverts within 72 hours")
        return self


class NcePart(Part):
    """Makes a subscription a new-commerce one that exists from the start.

    `migrated_from` names a subscription of the same customer (key or id), or any id.
    """

    product: str = Field(pattern=r"^[A-Z0-9]{12}$")
    sku: str = Field(pattern=r"^[A-Z0-9]{4}$")
    migrated_from: Text | None = None


class Subscription(Part):
    """One subscription. A legacy one names an `offer`, a new-commerce one has `nce`.

    `key` is a short name, unique for its customer, from which the id is derived. `parent` (key or id) makes
    it an add-on. `partner_id` is the partner of record and defaults to the partner's own `mpn_id`; "" shows
    it as unset.
    """

    key: Slug | None = None
    id: Guid | None = None
    offer: Text | None = None
    nce: NcePart | None = None
    seats: int | None = Field(default=None, ge=1)
    term: Term | None = None
    term_shown: bool | None = None
    billing: Billing | None = None
    created_at: Moment | None = None
    ends_at: Moment | None = None
    shown_ends_at: Moment | None = None
    auto_renew: bool | None = None
    status: Status = "active"
    parent: Text | None = None
    partner_id: Text | None = None
    promotion: str | None = None
    trial: bool | None = None
    friendly_name: str | None = None
    migration: MigrationPlan | None = None
    expect: Expectation | None = None
    note: str | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Subscription:
        if (self.offer is None) == (self.nce is None):
            raise ValueError("give either offer (legacy) or nce (new commerce)")
        if self.key is None and self.id is None:
            raise ValueError("give a key (the id is derived from it) or an id")
        return self


class Mca(Part):
    """How and when the customer accepted the Microsoft Customer Agreement."""

    by: Literal["partner", "customer"] = "partner"
    at: Moment = LONG_AGO


class Qualification(Part):
    """A vetted property of a customer."""

    qualification: Literal["None", "Education", "Nonprofit", "GovernmentCommunityCloud", "StateOwnedEntity"]
    vetting_status: Literal["Approved", "InReview", "Denied"] | None = "Approved"
    vetting_reason: str | None = None
    vetting_created_at: Moment | None = None


def _qualification(value: object) -> object:
    return {"qualification": value} if isinstance(value, str) else value


class Customer(Part):
    """An end customer of a partner. The same `key` or `tenant_id` under two partners is one tenant served by
    both.

    `mca`: left out = the default of the scenario; null = never accepted.
    """

    key: Slug | None = None
    tenant_id: Guid | None = None
    name: str
    domain: str | None = None
    country: str | None = Field(default=None, pattern=r"^[A-Z]{2}$")
    mca: Mca | None = None
    qualifications: list[Annotated[Qualification, BeforeValidator(_qualification)]] = Field(
        default_factory=list
    )
    subscriptions: list[Subscription] = Field(default_factory=list)
    note: str | None = None

    @model_validator(mode="after")
    def _named(self) -> Customer:
        if self.key is None and self.tenant_id is None:
            raise ValueError("give a key (the tenant id is derived from it) or a tenant_id")
        return self


class Partner(Part):
    """An indirect reseller.

    `mpn_id` is its location id (PLA), `pga_id` its global one. `mpa_signed_at`, `linked_at`: null = never, an
    instant = from then on, left out = long ago. `mpa_unknown`: true = the status call answers 503; 500 to 599
    = that status; 2200 to 2206 = HTTP 400 with that code; until `mpa_unknown_until` when given. `mpn_known`,
    `por_valid`: true, false, or the instant from which it holds. `mpa_lag`: how long after the signature
    purchases are still refused.
    """

    id: Slug
    name: str
    tenant_id: Guid | None = None
    mpn_id: Text
    pga_id: Text | None = None
    location: str | None = Field(default=None, pattern=r"^[A-Z]{2}$")
    mpa_signed_at: Moment | None = LONG_AGO
    mpa_unknown: bool | int = False
    mpa_unknown_until: Moment | None = None
    mpa_lag: timedelta = timedelta(0)
    linked_at: Moment | None = LONG_AGO
    relationship_state: str = "Active"
    relationship_mpn_id: Text | None = None
    mpn_known: bool | Moment = True
    por_valid: bool | Moment = True
    customers: list[Customer] = Field(default_factory=list)
    expect: Expectation | None = None
    note: str | None = None

    @model_validator(mode="after")
    def _known_answer(self) -> Partner:
        code = self.mpa_unknown
        if not isinstance(code, bool) and not (500 <= code <= 599 or 2200 <= code <= 2206):
            raise ValueError(
                "mpa_unknown must be true, false, an HTTP status 500 to 599 or a code 2200 to 2206"
            )
        return self


class _Event(Part):
    at: Moment
    note: str | None = None


class SubscriptionEvent(_Event):
    """Something that happens to one subscription, named by id, key or `customer/key`."""

    subscription: Text


class MigrateInPortal(SubscriptionEvent):
    """Somebody migrates in Partner Center's own pages, or Microsoft does (`microsoft_led`)."""

    kind: Literal["migrate_in_portal"]
    seats: int | None = Field(default=None, ge=1)
    term: Term | None = None
    billing: Billing | None = None
    full_term: bool = False
    microsoft_led: bool = False


class ChangeSeats(SubscriptionEvent):
    """Seats of a subscription change."""

    kind: Literal["change_seats"]
    seats: int = Field(ge=1)


class SwitchAutoRenew(SubscriptionEvent):
    """Auto-renew is switched on or off."""

    kind: Literal["switch_auto_renew"]
    auto_renew: bool


class ChangeStatus(SubscriptionEvent):
    """A subscription is suspended, reactivated or cancelled in the portal (a legacy one: suspended)."""

    kind: Literal["suspend", "reactivate", "cancel"]


class ChangePartnerOfRecord(SubscriptionEvent):
    """The partner of record of a subscription changes."""

    kind: Literal["change_partner_of_record"]
    partner_id: Text


class BuyInPortal(_Event):
    """Somebody buys a new-commerce subscription for a customer. `key` names the new subscription."""

    kind: Literal["buy_in_portal"]
    partner: Slug
    customer: Text
    key: Slug
    sku: Sku
    seats: int = Field(ge=1)
    term: Term = "P1Y"
    billing: Billing = "monthly"


class AcceptMca(_Event):
    """A customer accepts the Microsoft Customer Agreement, or (`accepted: false`) that is withdrawn."""

    kind: Literal["accept_mca"]
    customer: Text
    by: Literal["partner", "customer"] = "customer"
    accepted: bool = True


class ChangePartner(_Event):
    """A partner signs the MPA, gets linked or unlinked, or its MPN id becomes (in)valid."""

    kind: Literal["change_partner"]
    partner: Slug
    mpa_signed: bool | None = None
    linked: bool | None = None
    mpn_known: bool | None = None
    por_valid: bool | None = None


Event = Annotated[
    MigrateInPortal
    | ChangeSeats
    | SwitchAutoRenew
    | ChangeStatus
    | ChangePartnerOfRecord
    | BuyInPortal
    | AcceptMca
    | ChangePartner,
    Field(discriminator="kind"),
]


class FaultMatch(Part):
    """Only calls about this customer or subscription, or the one with this MS-RequestId."""

    customer: Text | None = None
    subscription: Text | None = None
    request: Guid | None = None


class Fault(Part):
    """A fault that waits for calls of one operation; see README for the kinds.

    `skip` calls pass first, then `count` calls are hit (null = all). With `probability` each call is hit by
    chance, drawn from `seed`. `from_at` and `until_at` (campaign moments) bound when it is due.
    """

    operation: str
    match: FaultMatch = Field(default_factory=FaultMatch)
    kind: Literal[
        "status",
        "throttle",
        "lost_answer",
        "reset_before",
        "reset_after",
        "slow",
        "malformed",
        "stuck",
        "hold",
    ]
    status: int | None = Field(default=None, ge=400, le=599)
    code: int | None = None
    description: str | None = None
    retry_after: int | None = Field(default=None, ge=0)
    seconds: float = Field(default=1.0, ge=0)
    after: bool = False
    count: int | None = Field(default=1, ge=1)
    skip: int = Field(default=0, ge=0)
    probability: float | None = Field(default=None, gt=0, le=1)
    seed: int = 0
    from_at: Moment | None = None
    until_at: Moment | None = None


class OptOut(Part):
    """An opt-out as the provider receives it. Not read by the simulator."""

    partner: Slug
    customer: Text | None = None
    received_at: Moment
    enter_at: Moment | None = None
    withdrawn_at: Moment | None = None
    by: str
    note: str | None = None

    @model_validator(mode="after")
    def _entered(self) -> OptOut:
        if self.enter_at is None:
            self.enter_at = self.received_at
        return self


class Move(Part):
    """A date of the campaign that the provider moves at `at`. Not read by the simulator."""

    at: Moment
    moment: str
    to: Moment
    by: str
    note: str | None = None


class Undo(Part):
    """A conversion that the provider takes back at `at`. Not read by the simulator."""

    at: Moment
    subscription: Text
    reason: str
    by: str
    note: str | None = None


class Limit(Part):
    """At most `calls` in `seconds` real seconds."""

    calls: int = Field(ge=1)
    seconds: float = Field(gt=0)


class Throttling(Part):
    """`documented` = the published limits; `off` = none; `custom` = those given here, else documented."""

    mode: Literal["off", "documented", "custom"] = "documented"
    validate_per_customer: Limit = Limit(calls=450, seconds=300)
    create_migration: Limit = Limit(calls=100, seconds=300)
    resources: Limit = Limit(calls=500, seconds=60)


def _throttling(value: object) -> object:
    if value is False:  # YAML reads a bare `off` as false
        value = "off"
    return {"mode": value} if isinstance(value, str) else value


class Rules(Part):
    """What the published contract leaves open or what a story may want to differ. Durations are campaign
    time.

    `last_legacy_renewal_on`: the last UTC day on which a commercial legacy subscription renews.
    """

    last_legacy_renewal_on: date = date(2022, 7, 10)
    order_takes: timedelta = timedelta(minutes=10)
    orders_listed_after: timedelta = timedelta(minutes=15)
    availability_lifetime: timedelta = timedelta(days=1)
    cart_lifetime: timedelta = timedelta(days=7)
    first_month_refused: bool = True
    migration_needs_mca: bool = True
    migration_needs_mpa: bool = True
    attestation_enforced: bool = False
    reactivation_after_migration: bool = True
    unrenewed_becomes: Literal["expired", "suspended", "disabled"] = "expired"
    updates_take: timedelta = timedelta(0)
    transition_takes: timedelta = timedelta(minutes=30)
    customers_page_size: int = Field(default=500, ge=1)
    migrations_page_size: int = Field(default=300, ge=1, le=300)


class Defaults(Part):
    """What subscriptions, customers and migrations get when they do not say."""

    term: Term = "P1Y"
    term_shown: bool = False
    billing: Billing = "monthly"
    auto_renew: bool = True
    seats: int = Field(default=10, ge=1)
    country: str | None = Field(default=None, pattern=r"^[A-Z]{2}$")
    mca: Mca | None = Field(default_factory=Mca)
    migration: MigrationPlan = Field(default_factory=lambda: MigrationPlan(takes=timedelta(hours=2)))


class Scenario(Part):
    """A whole story. Once `scenario` has completed it, every default is filled in and every id is there."""

    name: str
    clock: ClockPlan
    provider: Provider
    defaults: Defaults = Field(default_factory=Defaults)
    rules: Rules = Field(default_factory=Rules)
    throttling: Annotated[Throttling, BeforeValidator(_throttling)] = Field(default_factory=Throttling)
    latency_ms: dict[str, float] = Field(default_factory=dict)
    offers: list[Offer] = Field(default_factory=list)
    products: list[CatalogueProduct] = Field(default_factory=list)
    promotions: list[Promotion] = Field(default_factory=list)
    partners: list[Partner] = Field(default_factory=list)
    events: list[Event] = Field(default_factory=list)
    faults: list[Fault] = Field(default_factory=list)
    opt_outs: list[OptOut] = Field(default_factory=list)
    moves: list[Move] = Field(default_factory=list)
    undos: list[Undo] = Field(default_factory=list)

    def walk(self) -> Iterator[tuple[Partner, Customer, Subscription]]:
        """Every subscription with its customer and partner."""
        for partner in self.partners:
            for customer in partner.customers:
                for subscription in customer.subscriptions:
                    yield partner, customer, subscription

    def find_customer(self, reference: str) -> str | None:
        """The tenant id that a key or tenant id stands for."""
        for partner in self.partners:
            for customer in partner.customers:
                if reference == customer.key or reference.lower() == customer.tenant_id:
                    return customer.tenant_id
        return None

    def find_subscriptions(self, reference: str) -> list[str]:
        """The subscription ids that an id, a key or `customer/key` may stand for."""
        return sorted(
            {
                subscription.id or ""
                for _, customer, subscription in self.walk()
                if reference in (subscription.key, f"{customer.key}/{subscription.key}")
                or reference.lower() == subscription.id
            }
            | {
                derived_id(self.find_customer(event.customer) or "", event.key)
                for event in self.events
                if isinstance(event, BuyInPortal)
                and reference in (event.key, f"{event.customer}/{event.key}")
            }
        )


def derived_id(*words: str) -> str:
    """The id that belongs to these words: the same in every run."""
    return str(uuid.uuid5(ID_NAMESPACE, "/".join(words)))


def add_term(moment: datetime, term: str, times: int = 1) -> datetime:
    """`moment` plus a number of terms by the calendar (31 January + P1M = 28 February)."""
    months = moment.year * 12 + moment.month - 1 + {"P1M": 1, "P1Y": 12, "P3Y": 36}[term] * times
    year, month = divmod(months, 12)
    next_month = datetime(year + (month == 11), (month + 1) % 12 + 1, 1, tzinfo=moment.tzinfo)
    last_day = (next_month - timedelta(days=1)).day
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last_day))
