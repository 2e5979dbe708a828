"""What the world keeps: plain records with an id, the moment at which something happens to them next, and
nothing else.

Responsible for the shape of the state and for noticing changes (assigning a field marks the record; replace
lists and dicts, do not change them in place). Leaves rules to `behaviour`, wire names to `wire`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, PrivateAttr

from simulator.schema import (
    Customer,
    Event,
    Fault,
    MigrationPlan,
    Moment,
    Partner,
    Qualification,
    Status,
)

By = Literal["microsoft", "caller", "story"]
Origin = Literal["seed", "migration", "order", "story", "portal"]


class Record(BaseModel):
    """One row of state. Assigning a field tells the table."""

    kind: ClassVar[str]
    model_config = ConfigDict(extra="forbid")
    id: str
    _changed: dict[str, None] | None = PrivateAttr(default=None)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name != "_changed" and self._changed is not None:
            self._changed[self.id] = None

    def next_at(self) -> datetime | None:
        """When something happens to this record by itself."""
        return None


R = TypeVar("R", bound=Record)


class Table(Generic[R]):
    """All records of one kind, and which changed since the last commit. Ids compare without case."""

    def __init__(self, record: type[R]) -> None:
        self.record = record
        self.changed: dict[str, None] = {}  # ordered, so that everything follows in a stable order
        self.removed: set[str] = set()
        self._rows: dict[str, R] = {}

    def add(self, row: R) -> R:
        """Takes in a new record."""
        self.load(row)
        self.changed[row.id] = None
        self.removed.discard(row.id)
        return row

    def load(self, row: R) -> None:
        """Takes in a record that is stored already."""
        self._rows[row.id.lower()] = row
        row._changed = self.changed

    def get(self, key: str) -> R | None:
        """The record, or None."""
        return self._rows.get(key.lower())

    def __getitem__(self, key: str) -> R:
        return self._rows[key.lower()]

    def __contains__(self, key: str) -> bool:
        return key.lower() in self._rows

    def __iter__(self) -> Iterator[R]:
        return iter(list(self._rows.values()))

    def __len__(self) -> int:
        return len(self._rows)

    def remove(self, key: str) -> None:
        """Drops a record."""
        row = self._rows.pop(key.lower())
        self.changed.pop(row.id, None)
        self.removed.add(row.id)


class PartnerRecord(Record):
    """A reseller as the scenario describes it; its standing is read against the clock."""

    kind = "partner"
    profile: Partner

    def holds(self, value: bool | datetime | None, now: datetime) -> bool:
        """Whether a property that may begin at a moment holds now."""
        return value if isinstance(value, bool) else value is not None and value <= now


class Agreement(BaseModel):
    """A partner's attestation that a customer accepted an agreement."""

    template_id: str
    type: str
    first_name: str
    last_name: str
    email: str
    phone_number: str | None = None
    agreed_at: Moment


class CustomerRecord(Record):
    """One customer tenant. `partners` are the slugs of the resellers who serve it; `id` is the tenant id."""

    kind = "customer"
    profile: Customer
    partners: list[str]
    agreements: list[Agreement] = []
    signed_at: Moment | None = None
    qualifications: list[Qualification] = []

    def has_mca(self, now: datetime) -> bool:
        """Accepted = confirmed by the partner or signed by the customer, in either case before now."""
        return self.signed(now) or bool(self.confirmed(now, "MicrosoftCustomerAgreement"))

    def signed(self, now: datetime) -> bool:
        """Whether the customer signed by itself."""
        return self.signed_at is not None and self.signed_at <= now

    def confirmed(self, now: datetime, agreement_type: str) -> list[Agreement]:
        """The partner's confirmations of one type of agreement."""
        return [
            agreement
            for agreement in self.agreements
            if agreement.type == agreement_type and agreement.agreed_at <= now
        ]


class PendingUpdate(BaseModel):
    """An update that was accepted with 202 and takes effect later."""

    at: Moment
    changes: dict[str, Any]


class SubscriptionRecord(Record):
    """One subscription.

    `line` tells what it is: legacy (license or add-on), azure, software or nce. `starts_at` and `ends_at`
    bound the current term. `offer_id` is the offer (legacy) or product:sku:availability.
    """

    kind = "subscription"
    key: str | None = None
    customer: str
    partner: str
    line: Literal["legacy", "azure", "software", "nce"]
    offer_id: str
    name: str
    friendly_name: str
    segment: str
    seats: int
    term: str
    term_shown: bool
    billing: str
    created_at: Moment
    starts_at: Moment
    ends_at: Moment
    shown_ends_at: Moment | None = None
    auto_renew: bool
    status: Status
    parent: str | None = None
    partner_id: str = ""
    promotion: str | None = None
    trial: bool = False
    order_id: str
    version: int = 1
    created_by: Origin = "seed"
    suspended_by: By | None = None
    suspended_at: Moment | None = None
    ended_at: Moment | None = None
    migrated_from: str | None = None
    migrated_to: str | None = None
    migration: str | None = None
    cancellable_until: Moment | None = None
    seats_back: list[tuple[int, datetime]] = []
    active_at: Moment | None = None
    pending_update: PendingUpdate | None = None
    next_term: dict[str, Any] | None = None
    next_charge: dict[str, Any] | None = None
    plan: MigrationPlan | None = None

    def next_at(self) -> datetime | None:
        moments: list[datetime] = []
        if self.status == "pending" and self.active_at is not None:
            moments.append(self.active_at)
        if self.pending_update is not None:
            moments.append(self.pending_update.at)
        # a suspended legacy subscription that is migrating or migrated stays suspended at its term end
        if self.status == "active" or (
            self.status == "suspended" and self.migration is None and self.migrated_to is None
        ):
            moments.append(self.ends_at)
        return min(moments, default=None)


class MigrationLine(BaseModel):
    """One subscription inside a migration: the base or an add-on."""

    legacy: str
    item: str
    seats: int
    term: str
    billing: str
    full_term: bool
    ends_at: Moment
    custom_ends_at: Moment | None = None
    nce: str | None = None
    order: str | None = None


class MigrationEvent(BaseModel):
    """One entry of a migration's history."""

    id: str
    name: str
    at: Moment


class MigrationRecord(Record):
    """A migration. `steps` are the moments still to come, each with the step's name, in order of time."""

    kind = "migration"
    customer: str
    partner: str
    status: Literal["Processing", "Completed", "Failed"]
    started_at: Moment
    completed_at: Moment | None = None
    external_reference: str | None = None
    lines: list[MigrationLine]
    steps: list[tuple[datetime, str]]
    events: list[MigrationEvent] = []
    by: Literal["caller", "portal", "microsoft", "schedule"] = "caller"
    stuck: str | None = None
    suspends_legacy: bool = True

    def next_at(self) -> datetime | None:
        return self.steps[0][0] if self.steps and not self.stuck else None


class ScheduleRecord(Record):
    """A migration planned for later."""

    kind = "schedule"
    customer: str
    status: Literal["Created", "Cancelled", "Completed", "Failed"] = "Created"
    request: dict[str, Any]
    target_at: Moment
    on_renewal: bool
    created_at: Moment
    modified_at: Moment
    migration: str | None = None
    error_code: int | None = None
    error_description: str | None = None

    def next_at(self) -> datetime | None:
        return self.target_at if self.status == "Created" else None


TransitionType = Literal["transition_only", "transition_with_license_transfer"]


class TransitionEvent(BaseModel):
    """One entry of a transition's history."""

    name: str
    status: str
    at: Moment


class TransitionRecord(Record):
    """An upgrade. Without `target` the source itself becomes `item`. `steps` are the moments to come."""

    kind = "transition"
    customer: str
    source: str
    from_item: str
    item: str
    target: str | None
    quantity: int
    term: str
    billing: str
    type: TransitionType
    steps: list[tuple[datetime, str]]
    events: list[TransitionEvent] = []

    def next_at(self) -> datetime | None:
        return self.steps[0][0] if self.steps else None


class OrderLine(BaseModel):
    """One line of an order."""

    number: int
    offer_id: str
    name: str
    seats: int
    term: str | None
    subscription: str
    partner_id: str | None = None
    promotion: str | None = None
    unit_price: float = 0.0


class OrderRecord(Record):
    """An order. It is pending until `completes_at`."""

    kind = "order"
    customer: str
    billing: str
    created_at: Moment
    status: Literal["pending", "completed", "cancelled"]
    lines: list[OrderLine]
    legacy: bool = False
    completes_at: Moment | None = None
    stuck: str | None = None
    created_by: Origin = "order"
    system: bool = False

    def next_at(self) -> datetime | None:
        return self.completes_at if self.status == "pending" and not self.stuck else None


class CartRecord(Record):
    """A cart; `answer` is what its checkout said, kept for repetitions."""

    kind = "cart"
    customer: str
    created_at: Moment
    modified_at: Moment
    expires_at: Moment
    user: str
    lines: list[dict[str, Any]]
    attested: bool | None = None
    answer: dict[str, Any] | None = None


class StoryRecord(Record):
    """One event of the story and what came of it."""

    kind = "story"
    event: Event
    outcome: str | None = None

    def next_at(self) -> datetime | None:
        return self.event.at if self.outcome is None else None


class FaultRecord(Record):
    """A queued fault. `due` calls matched it, `used` were hit, `held` wait to be released."""

    kind = "fault"
    fault: Fault
    due: int = 0
    used: int = 0
    released: bool = False


class AnswerRecord(Record):
    """The answer that a write with this request id got."""

    kind = "answer"
    digest: str
    status: int
    body: str
    headers: dict[str, str]
    at: Moment


class AuditRecord(Record):
    """One entry of the activity log."""

    kind = "audit"
    customer: str
    at: Moment
    operation: str
    resource: str
    application: str | None
    user: str | None
    new_value: str
    details: list[tuple[str, str | None]]


class RefreshTokenRecord(Record):
    """A refresh token in force, and whose it is; the id is a digest, never the token."""

    kind = "refresh_token"
    client_id: str
    retired: bool = False


RECORDS: tuple[type[Record], ...] = (
    PartnerRecord,
    CustomerRecord,
    SubscriptionRecord,
    MigrationRecord,
    ScheduleRecord,
    TransitionRecord,
    OrderRecord,
    CartRecord,
    StoryRecord,
    FaultRecord,
    AnswerRecord,
    AuditRecord,
    RefreshTokenRecord,
)
