"""The ledger's tables, as typed classes ending in `Row`.

Responsible for columns, constraints and indexes. What the rows mean together belongs to the classes beside
this module, how tables come and change to `migrations`.

Two times stand on each row: `recorded_at` is the machine's, set by PostgreSQL; every other `_at` is the
campaign's clock, or a moment of Microsoft's. All are UTC. At the end each table is said to be of one kind: it
grows, its rows change, or they also go. By that the application's role has its rights (`roles`), and what
grows also refuses by trigger, so that what was once on record stays.
"""

from __future__ import annotations

from datetime import datetime, timezone
from enum import Enum
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy import Enum as EnumType
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from include.nce.domain.approval import ApprovalWord
from include.nce.domain.classification import SubscriptionClass
from include.nce.domain.command import CommandOutcome
from include.nce.domain.conversion import ConversionState, Route
from include.nce.domain.decision import DecisionKind
from include.nce.domain.opt_out import OptOutVerdict
from include.nce.domain.outcome import RunOutcome
from include.nce.domain.privacy import body_without_persons, masked, without_persons
from include.nce.domain.question import QuestionKind
from include.nce.domain.readiness import Answer, Check, Owner
from include.nce.domain.reconciliation import CoverageGap, FindingKind, Severity
from include.nce.domain.recordable import recordable, recordable_text
from include.nce.domain.subscription import Status, SubscriptionKind
from include.nce.domain.undo import CaseState, UndoCause

SCHEMA_REVISION = "0011"
"""The migration this code needs at least; revisions are numbered, so that a newer database is told apart."""


class RunEvent(str, Enum):
    OPENED = "opened"
    REOPENED = "reopened"
    CLOSED = "closed"


class CommandEvent(str, Enum):
    """What happened to a command: it is about to be sent, or one of `CommandOutcome`."""

    SENDING = "sending"
    ACCEPTED = CommandOutcome.ACCEPTED.value
    REFUSED = CommandOutcome.REFUSED.value
    LOST = CommandOutcome.LOST.value
    FOUND = CommandOutcome.FOUND.value
    NOT_FOUND = CommandOutcome.NOT_FOUND.value


class FindingEvent(str, Enum):
    """What happened to a finding. `returned`: it was resolved, and is there again."""

    OPENED = "opened"
    CHANGED = "changed"
    RESOLVED = "resolved"
    RETURNED = "returned"


ANSWERS = tuple(CommandEvent(outcome.value) for outcome in CommandOutcome if outcome.answers)


class CampaignEvent(str, Enum):
    """What happened to a campaign as a whole. The latest of `stopped` and `released` counts.

    `eased`: fewer coverage signals stand than the release accepted. `went_ahead`: a partner may buy before
    its wave.
    """

    WAVE_BEGUN = "wave_begun"
    WENT_AHEAD = "went_ahead"
    STOPPED = "stopped"
    RELEASED = "released"
    EASED = "eased"


class AccountKind(str, Enum):
    """With what a ledger is used."""

    PRODUCTION = "production"
    REHEARSAL = "rehearsal"


class Utc(TypeDecorator[datetime]):
    """An aware moment, handed back in UTC whatever the session's time zone is."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value.isoformat()} has no time zone; the ledger keeps instants")
        return value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(timezone.utc)


class Json(TypeDecorator[Any]):
    """Whatever came over the wire as jsonb; what it cannot hold (NUL, half a surrogate, NaN) is replaced."""

    impl = JSONB(none_as_null=True)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return recordable(value)


class Evidence(Json):
    """A raw answer, without what it says of persons and without secrets: see `domain.privacy`."""

    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        kept = body_without_persons(value) if isinstance(value, str) else without_persons(recordable(value))
        return super().process_bind_param(kept, dialect)


class FreeText(TypeDecorator[str]):
    """A sentence of ours, of Microsoft's or of an operator, without addresses, telephone numbers and
    tokens."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else masked(value)


class PlainText(TypeDecorator[str]):
    """Any text, without what PostgreSQL cannot hold."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else recordable_text(value)


def one_of(kind: type[Enum], name: str) -> EnumType:
    """A text column that a CHECK holds to the values of `kind`."""
    return EnumType(
        kind,
        name=name,
        native_enum=False,
        create_constraint=True,
        length=40,
        values_callable=lambda members: [member.value for member in members],
    )


class ConversionStateType(TypeDecorator[ConversionState]):
    """The states of this version. One that a later version wrote reads as `LATER`, which is never written:
    a batch with such a line goes on without it."""

    impl = String(40)
    cache_ok = True

    def process_bind_param(self, value: ConversionState | None, dialect: Dialect) -> str | None:
        if value is ConversionState.LATER:
            raise ValueError("a state of a later version is read, and never written")
        return None if value is None else ConversionState(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> ConversionState | None:
        if value is None:
            return None
        try:
            return ConversionState(value)
        except ValueError:
            return ConversionState.LATER


def known_state() -> CheckConstraint:
    """What `ConversionStateType` may write."""
    states = ", ".join(f"'{state.value}'" for state in ConversionState if state is not ConversionState.LATER)
    return CheckConstraint(f"state IN ({states})", name="state")


class Table(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - declared so by SQLAlchemy
        str: PlainText(),
        datetime: Utc(),
        list[str]: ARRAY(Text()),
        dict[str, Any]: Json(),
        AccountKind: one_of(AccountKind, "kind"),
        QuestionKind: one_of(QuestionKind, "kind"),
        Answer: one_of(Answer, "answer"),
        ApprovalWord: one_of(ApprovalWord, "word"),
        CampaignEvent: one_of(CampaignEvent, "event"),
        CaseState: one_of(CaseState, "state"),
        Check: one_of(Check, "check"),
        CommandEvent: one_of(CommandEvent, "event"),
        ConversionState: ConversionStateType(),
        CoverageGap: one_of(CoverageGap, "gap"),
        DecisionKind: one_of(DecisionKind, "kind"),
        FindingEvent: one_of(FindingEvent, "event"),
        FindingKind: one_of(FindingKind, "kind"),
        OptOutVerdict: one_of(OptOutVerdict, "verdict"),
        Owner: one_of(Owner, "owner"),
        Route: one_of(Route, "route"),
        RunEvent: one_of(RunEvent, "event"),
        RunOutcome: one_of(RunOutcome, "outcome"),
        Severity: one_of(Severity, "severity"),
        Status: one_of(Status, "status"),
        SubscriptionClass: one_of(SubscriptionClass, "class"),
        SubscriptionKind: one_of(SubscriptionKind, "kind"),
        UndoCause: one_of(UndoCause, "cause"),
    }

    recorded_at: Mapped[datetime] = mapped_column(server_default=func.now(), sort_order=1000)


def numbered() -> Mapped[int]:
    """A primary key that PostgreSQL numbers."""
    return mapped_column(BigInteger, Identity(always=True), primary_key=True)


def of_partner() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["campaign", "partner"], ["partners.campaign", "partners.partner"])


class CampaignVersionRow(Table):
    """One version of a campaign's document; the highest number is what runs."""

    __tablename__ = "campaign_versions"

    campaign: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    document: Mapped[dict[str, Any]]
    author: Mapped[str]
    reason: Mapped[str] = mapped_column(FreeText())
    created_at: Mapped[datetime]


class PartnerRow(Table):
    """A partner's enrolment in a campaign, as the roster had it last."""

    __tablename__ = "partners"

    campaign: Mapped[str] = mapped_column(primary_key=True)
    partner: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    tenant_id: Mapped[str]
    mpn_id: Mapped[str | None]
    country: Mapped[str]
    province: Mapped[str | None]
    zone: Mapped[str | None]
    language: Mapped[str]
    enrolled_at: Mapped[datetime]


class RunRow(Table):
    """A run as it stands. `opening` counts how often it was opened; `opened_at` is the latest time."""

    __tablename__ = "runs"
    __table_args__ = (of_partner(), Index(None, "campaign", "partner", "opened_at"))

    run_id: Mapped[str] = mapped_column(primary_key=True)
    campaign: Mapped[str]
    partner: Mapped[str]
    mode: Mapped[str]
    opening: Mapped[int]
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    outcome: Mapped[RunOutcome | None]
    sentence: Mapped[str] = mapped_column(FreeText(), server_default="")


class RunHistoryRow(Table):
    __tablename__ = "run_history"
    __table_args__ = (Index(None, "run_id", "history_id"),)

    history_id: Mapped[int] = numbered()
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.run_id"))
    opening: Mapped[int]
    event: Mapped[RunEvent]
    mode: Mapped[str]
    outcome: Mapped[RunOutcome | None]
    sentence: Mapped[str] = mapped_column(FreeText())
    at: Mapped[datetime]


class CheckRow(Table):
    """The latest finding of one check in one run: `since_at` it reads so, `asked_at` it was last asked."""

    __tablename__ = "checks"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.run_id"), primary_key=True)
    check: Mapped[Check] = mapped_column(primary_key=True)
    answer: Mapped[Answer]
    reason: Mapped[str] = mapped_column(FreeText())
    owner: Mapped[Owner]
    remedy: Mapped[str] = mapped_column(FreeText())
    code: Mapped[int | None]
    missing_customers: Mapped[list[str]]
    customers: Mapped[int]
    since_at: Mapped[datetime]
    asked_at: Mapped[datetime]


class CheckHistoryRow(Table):
    """A finding each time its answer or its reason changed."""

    __tablename__ = "check_history"
    __table_args__ = (Index(None, "run_id", "history_id"),)

    history_id: Mapped[int] = numbered()
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.run_id"))
    check: Mapped[Check]
    answer: Mapped[Answer]
    reason: Mapped[str] = mapped_column(FreeText())
    owner: Mapped[Owner]
    remedy: Mapped[str] = mapped_column(FreeText())
    code: Mapped[int | None]
    missing_customers: Mapped[list[str]]
    customers: Mapped[int]
    at: Mapped[datetime]


class OptOutRow(Table):
    """One opt-out form; without a customer it speaks for the whole partner."""

    __tablename__ = "opt_outs"
    __table_args__ = (
        of_partner(),
        UniqueConstraint(
            "campaign", "partner", "customer_id", "received_at", postgresql_nulls_not_distinct=True
        ),
        Index(None, "campaign", "opt_out_id"),
        CheckConstraint("(withdrawn_at IS NULL) = (withdrawn_by IS NULL)", name="withdrawn_by_somebody"),
    )

    opt_out_id: Mapped[int] = numbered()
    campaign: Mapped[str]
    partner: Mapped[str]
    customer_id: Mapped[str | None]
    received_at: Mapped[datetime]
    recorded_by: Mapped[str]
    withdrawn_at: Mapped[datetime | None]
    withdrawn_by: Mapped[str | None]
    note: Mapped[str] = mapped_column(FreeText(), server_default="")


class OptOutRulingRow(Table):
    """What the opt-outs meant when a run ruled on them; the latest ruling counts."""

    __tablename__ = "opt_out_rulings"
    __table_args__ = (Index(None, "run_id", "ruling_id"),)

    ruling_id: Mapped[int] = numbered()
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.run_id"))
    opening: Mapped[int]
    verdict: Mapped[OptOutVerdict]
    customers_in_time: Mapped[list[str]]
    customers_late: Mapped[list[str]]
    deadline_at: Mapped[datetime]
    at: Mapped[datetime]


class CustomerRow(Table):
    __tablename__ = "customers"
    __table_args__ = (of_partner(),)

    campaign: Mapped[str] = mapped_column(primary_key=True)
    partner: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    country: Mapped[str | None]
    surveyed_at: Mapped[datetime]


class SubscriptionRow(Table):
    """A subscription as the latest survey read it, and the term end at which it was first seen."""

    __tablename__ = "subscriptions"
    __table_args__ = (of_partner(), Index(None, "subscription_id"))

    campaign: Mapped[str] = mapped_column(primary_key=True)
    partner: Mapped[str] = mapped_column(primary_key=True)
    subscription_id: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.run_id"))
    customer_id: Mapped[str]
    offer_id: Mapped[str]
    offer_name: Mapped[str]
    kind: Mapped[SubscriptionKind]
    status: Mapped[Status]
    seats: Mapped[int]
    term_end_at: Mapped[datetime | None]
    created_at: Mapped[datetime | None]
    auto_renew: Mapped[bool]
    is_trial: Mapped[bool]
    term: Mapped[str | None]
    billing: Mapped[str | None]
    parent_id: Mapped[str | None]
    partner_mpn_id: Mapped[str | None]
    migrated_from_id: Mapped[str | None]
    cancellable_until_at: Mapped[datetime | None]
    order_id: Mapped[str | None]
    suspension_reasons: Mapped[list[str]]
    first_seen_term_end_at: Mapped[datetime | None]
    first_seen_at: Mapped[datetime]
    surveyed_at: Mapped[datetime]


class SubscriptionHistoryRow(Table):
    """A subscription as it was read, each time anything about it had changed: the first is the one before us.

    `facts` are the fields of the domain's `Subscription`, moments as ISO 8601.
    """

    __tablename__ = "subscription_history"
    __table_args__ = (
        of_partner(),
        Index("ix_subscription_history_of_partner", "campaign", "partner", "subscription_id", "history_id"),
        Index(None, "subscription_id"),
    )

    history_id: Mapped[int] = numbered()
    campaign: Mapped[str]
    partner: Mapped[str]
    subscription_id: Mapped[str]
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.run_id"))
    facts: Mapped[dict[str, Any]]
    at: Mapped[datetime]


class PlanRow(Table):
    """One plan of a partner; numbers count per partner, and the highest is the latest.

    `hash` is that of what it buys, or of the earlier plan that it `follows_plan_id` and carries out.
    """

    __tablename__ = "plans"
    __table_args__ = (
        of_partner(),
        UniqueConstraint("campaign", "partner", "number"),
        Index(None, "run_id", "number"),
        Index(None, "campaign", "partner", "hash"),
    )

    plan_id: Mapped[int] = numbered()
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.run_id"))
    campaign: Mapped[str]
    partner: Mapped[str]
    number: Mapped[int]
    campaign_version: Mapped[int]
    tally: Mapped[dict[str, Any]]
    hash: Mapped[str]
    follows_plan_id: Mapped[int | None] = mapped_column(ForeignKey("plans.plan_id"))
    created_at: Mapped[datetime]


class PlanLineRow(Table):
    """What the plan says of one subscription. `batch_no` counts from 0; None: not converted now.

    `fingerprint` is set on what the plan buys, now or later: its hash is made of these.
    """

    __tablename__ = "plan_lines"
    __table_args__ = (
        Index(None, "plan_id", "batch_no", "position"),
        Index(None, "subscription_id"),
        Index(None, "conversion_id"),
    )

    plan_id: Mapped[int] = mapped_column(ForeignKey("plans.plan_id"), primary_key=True)
    subscription_id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str]
    offer_id: Mapped[str]
    offer_name: Mapped[str]
    legacy_seats: Mapped[int]
    legacy_term: Mapped[str | None]
    legacy_billing: Mapped[str | None]
    term_end_at: Mapped[datetime | None]
    klass: Mapped[SubscriptionClass] = mapped_column("class")
    reason: Mapped[str] = mapped_column(FreeText())
    owner: Mapped[Owner]
    remedy: Mapped[str] = mapped_column(FreeText())
    warning: Mapped[str] = mapped_column(FreeText())
    route: Mapped[Route | None]
    term: Mapped[str | None]
    billing: Mapped[str | None]
    seats: Mapped[int | None]
    window_opens_at: Mapped[datetime | None]
    last_safe_start_at: Mapped[datetime | None]
    travels_with: Mapped[str | None]
    nce_subscription_id: Mapped[str | None]
    product_and_sku: Mapped[str | None]
    fingerprint: Mapped[str | None]
    position: Mapped[int]
    batch_no: Mapped[int | None]
    conversion_id: Mapped[int | None] = mapped_column(ForeignKey("conversions.conversion_id"))


class ApprovalRow(Table):
    """What a person said about a partner's plan with this hash; the latest word counts.

    `at` is the campaign's clock; `recorded_at`, as everywhere, the machine's.
    """

    __tablename__ = "approvals"
    __table_args__ = (of_partner(), Index(None, "campaign", "partner", "plan_hash", "approval_id"))

    approval_id: Mapped[int] = numbered()
    campaign: Mapped[str]
    partner: Mapped[str]
    plan_hash: Mapped[str]
    word: Mapped[ApprovalWord]
    decided_by: Mapped[str]
    comment: Mapped[str] = mapped_column(FreeText())
    at: Mapped[datetime]


class ConversionRow(Table):
    """The way of one legacy subscription to NCE.

    One row for each customer and subscription in the whole database, whichever campaign or partner asks: the
    last line of defence against buying twice. Ids are held to lower case, or the line would have a gap.
    """

    __tablename__ = "conversions"
    __table_args__ = (
        of_partner(),
        UniqueConstraint("customer_id", "legacy_id"),
        known_state(),
        CheckConstraint(
            "customer_id = lower(customer_id) AND legacy_id = lower(legacy_id)", name="ids_are_lower_case"
        ),
        Index(None, "campaign", "partner"),
        Index(None, "legacy_id"),
    )

    conversion_id: Mapped[int] = numbered()
    campaign: Mapped[str]
    partner: Mapped[str]
    customer_id: Mapped[str]
    legacy_id: Mapped[str]
    base_id: Mapped[str]
    route: Mapped[Route]
    state: Mapped[ConversionState]
    seats: Mapped[int | None]
    term: Mapped[str | None]
    billing: Mapped[str | None]
    offer_id: Mapped[str]
    expected_product_and_sku: Mapped[str | None]
    reference: Mapped[str | None]
    migration_id: Mapped[str | None]
    cart_id: Mapped[str | None]
    order_id: Mapped[str | None]
    nce_subscription_id: Mapped[str | None]
    reason: Mapped[str] = mapped_column(FreeText(), server_default="")
    state_since_at: Mapped[datetime]
    not_before_at: Mapped[datetime | None]
    plan_id: Mapped[int | None] = mapped_column(ForeignKey("plans.plan_id"))
    undoable_until_at: Mapped[datetime | None]
    moved_no: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """The entry of its history with which it got into its state: the order of moves, whatever clocks say."""
    created_at: Mapped[datetime]


class ConversionHistoryRow(Table):
    """Each state a conversion was in, with the reason and the facts learnt on the way there."""

    __tablename__ = "conversion_history"
    __table_args__ = (
        known_state(),
        Index(None, "conversion_id", "history_id"),
    )

    history_id: Mapped[int] = numbered()
    conversion_id: Mapped[int] = mapped_column(ForeignKey("conversions.conversion_id"))
    state: Mapped[ConversionState]
    reason: Mapped[str] = mapped_column(FreeText())
    facts: Mapped[dict[str, Any]]
    at: Mapped[datetime]


class CommandRow(Table):
    """One intention to write to Partner Center; what became of it are its events."""

    __tablename__ = "commands"
    __table_args__ = (Index(None, "conversion_id", "kind", "command_id"), UniqueConstraint("request_id"))

    command_id: Mapped[int] = numbered()
    conversion_id: Mapped[int] = mapped_column(ForeignKey("conversions.conversion_id"))
    kind: Mapped[str]
    request_id: Mapped[str] = mapped_column(Uuid(as_uuid=False))
    payload: Mapped[dict[str, Any]]
    intended_at: Mapped[datetime]


class CommandEventRow(Table):
    __tablename__ = "command_events"
    __table_args__ = (Index(None, "command_id", "event_id"),)

    event_id: Mapped[int] = numbered()
    command_id: Mapped[int] = mapped_column(ForeignKey("commands.command_id"))
    event: Mapped[CommandEvent]
    status: Mapped[int | None]
    code: Mapped[int | None]
    correlation_id: Mapped[str | None]
    body: Mapped[Any] = mapped_column(Evidence(), nullable=True)
    at: Mapped[datetime]


class DecisionRow(Table):
    """What a person decided about a partner's subscription, and why."""

    __tablename__ = "decisions"
    __table_args__ = (
        of_partner(),
        Index(None, "campaign", "partner", "subscription_id", "decision_id"),
        Index(None, "subscription_id"),
    )

    decision_id: Mapped[int] = numbered()
    campaign: Mapped[str]
    partner: Mapped[str]
    subscription_id: Mapped[str]
    kind: Mapped[DecisionKind]
    decided_by: Mapped[str]
    reason: Mapped[str] = mapped_column(FreeText())
    moved_no: Mapped[int | None] = mapped_column(BigInteger)
    """`moved_no` of its conversion when it was decided, 0 for none: what the person could know. None: an
    entry of an earlier version, whose order only the campaign's clock tells."""
    at: Mapped[datetime]


class CampaignEventRow(Table):
    """A wave that began, a partner that went ahead of its own, a stop or a release, and who said so.

    `partners` are those of the wave, or those behind the signals that stopped the campaign.
    """

    __tablename__ = "campaign_events"
    __table_args__ = (
        Index(None, "campaign", "event_id"),
        UniqueConstraint("campaign", "wave"),
        CheckConstraint("(event = 'wave_begun') = (wave IS NOT NULL)", name="a_wave_has_a_number"),
    )

    event_id: Mapped[int] = numbered()
    campaign: Mapped[str]
    event: Mapped[CampaignEvent]
    wave: Mapped[int | None]
    partners: Mapped[list[str]]
    by: Mapped[str]
    reason: Mapped[str] = mapped_column(FreeText())
    figures: Mapped[dict[str, Any]]
    at: Mapped[datetime]


class CallBudgetRow(Table):
    """The calls counted on one limit of Partner Center for one tenant; its times are PostgreSQL's clock.

    `taken_ms` are calls that left within the window, `booked_ms` calls that wait for their moment, both in
    milliseconds since 1970 in UTC: hundreds of them are read with each call, and numbers are read fast.
    """

    __tablename__ = "call_budgets"

    provider_id: Mapped[str] = mapped_column(primary_key=True)
    limit_name: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    calls: Mapped[int | None]
    window_seconds: Mapped[float | None]
    taken_ms: Mapped[list[int]] = mapped_column(ARRAY(BigInteger()), server_default="{}")
    booked_ms: Mapped[list[int]] = mapped_column(ARRAY(BigInteger()), server_default="{}")
    paused_until_at: Mapped[datetime | None]
    throttled_at: Mapped[datetime | None]
    used_at: Mapped[datetime]


class CredentialsRow(Table):
    """What the sign-in service issued for one sign-in that an operator entered, as one sealed document."""

    __tablename__ = "credentials"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    client_id: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str] = mapped_column(primary_key=True)
    sealed: Mapped[str]
    changed_at: Mapped[datetime]


class AccountRow(Table):
    """Whose ledger this is: at most one row, written by the first use."""

    __tablename__ = "account"
    __table_args__ = (CheckConstraint("one_row", name="single"),)

    one_row: Mapped[bool] = mapped_column(primary_key=True)
    kind: Mapped[AccountKind]
    tenant_id: Mapped[str]


class UndoCaseRow(Table):
    """One bundle that is to be taken back; at most one case of a bundle is open."""

    __tablename__ = "undo_cases"
    __table_args__ = (
        of_partner(),
        Index(
            "uq_undo_cases_open",
            "customer_id",
            "base_id",
            unique=True,
            postgresql_where=text("closed_at IS NULL"),
        ),
        Index(None, "campaign", "partner", "case_id"),
    )

    case_id: Mapped[int] = numbered()
    campaign: Mapped[str]
    partner: Mapped[str]
    customer_id: Mapped[str]
    base_id: Mapped[str]
    cause: Mapped[UndoCause]
    scope: Mapped[str]
    reason: Mapped[str] = mapped_column(FreeText())
    opened_by: Mapped[str]
    opened_at: Mapped[datetime]
    opt_out_received_at: Mapped[datetime | None]
    state: Mapped[CaseState]
    sentence: Mapped[str] = mapped_column(FreeText())
    until_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]


class UndoLineRow(Table):
    """A conversion that a case is about."""

    __tablename__ = "undo_lines"
    __table_args__ = (Index(None, "conversion_id"),)

    case_id: Mapped[int] = mapped_column(ForeignKey("undo_cases.case_id"), primary_key=True)
    conversion_id: Mapped[int] = mapped_column(ForeignKey("conversions.conversion_id"), primary_key=True)


class UndoEventRow(Table):
    """Each state a case was in, who brought it there, and why."""

    __tablename__ = "undo_events"
    __table_args__ = (Index(None, "case_id", "event_id"),)

    event_id: Mapped[int] = numbered()
    case_id: Mapped[int] = mapped_column(ForeignKey("undo_cases.case_id"))
    state: Mapped[CaseState]
    sentence: Mapped[str] = mapped_column(FreeText())
    by: Mapped[str]
    at: Mapped[datetime]


class UndoPlanRow(Table):
    """What a run would undo. `lines` is the whole of it, as a person saw it; `hash` is its fingerprint."""

    __tablename__ = "undo_plans"
    __table_args__ = (of_partner(), Index(None, "run_id", "plan_id"))

    plan_id: Mapped[int] = numbered()
    run_id: Mapped[str]
    campaign: Mapped[str]
    partner: Mapped[str]
    hash: Mapped[str]
    lines: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class UndoAnswerRow(Table):
    """What a person said to an undo plan of exactly this fingerprint."""

    __tablename__ = "undo_answers"
    __table_args__ = (Index(None, "plan_id", "answer_id"),)

    answer_id: Mapped[int] = numbered()
    plan_id: Mapped[int] = mapped_column(ForeignKey("undo_plans.plan_id"))
    hash: Mapped[str]
    approved: Mapped[bool]
    who: Mapped[str]
    at: Mapped[datetime]


class ComparisonRow(Table):
    """When a partner was last compared with Partner Center. `run_id` is the latest run that tried.

    `compared_at` is the latest time at which something of it could be compared; `unread` says what could not.
    """

    __tablename__ = "comparisons"
    __table_args__ = (of_partner(), Index(None, "campaign", "run_id"))

    campaign: Mapped[str] = mapped_column(primary_key=True)
    partner: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str]
    lines: Mapped[int]
    lines_unread: Mapped[int]
    unread: Mapped[str] = mapped_column(FreeText())
    tried_at: Mapped[datetime]
    compared_at: Mapped[datetime | None]


class FindingRow(Table):
    """A difference between ledger and Partner Center: one row for its life, however often it comes back.

    `since_at` is when it last appeared, `times` how often. `rank` orders by severity, 0 first.
    """

    __tablename__ = "findings"
    __table_args__ = (
        of_partner(),
        UniqueConstraint("campaign", "partner", "subscription_id", "kind"),
        Index(None, "campaign", "rank", "finding_id"),
        Index(
            "ix_findings_open", "campaign", "rank", "finding_id", postgresql_where=text("resolved_at IS NULL")
        ),
        Index(
            "ix_findings_gaps",
            "campaign",
            "partner",
            postgresql_where=text("resolved_at IS NULL AND gap <> 'none'"),
        ),
    )

    finding_id: Mapped[int] = numbered()
    campaign: Mapped[str]
    partner: Mapped[str]
    customer_id: Mapped[str]
    subscription_id: Mapped[str]
    kind: Mapped[FindingKind]
    severity: Mapped[Severity]
    rank: Mapped[int]
    gap: Mapped[CoverageGap]
    owner: Mapped[Owner]
    sentence: Mapped[str] = mapped_column(FreeText())
    act_by_at: Mapped[datetime | None]
    nce_subscription_id: Mapped[str | None]
    times: Mapped[int]
    first_seen_at: Mapped[datetime]
    since_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    resolved_at: Mapped[datetime | None]


class FindingHistoryRow(Table):
    """A finding each time it appeared, changed what it says, or was gone."""

    __tablename__ = "finding_history"
    __table_args__ = (Index(None, "finding_id", "history_id"), Index(None, "run_id", "event"))

    history_id: Mapped[int] = numbered()
    finding_id: Mapped[int] = mapped_column(ForeignKey("findings.finding_id"))
    run_id: Mapped[str]
    event: Mapped[FindingEvent]
    severity: Mapped[Severity]
    gap: Mapped[CoverageGap]
    owner: Mapped[Owner]
    sentence: Mapped[str] = mapped_column(FreeText())
    at: Mapped[datetime]


class QuestionRow(Table):
    """What a run asked a person, as it was shown. `about` is the hash of what is decided.

    `partner` is empty where the question is about the whole campaign. The run may be of any of our DAGs.
    """

    __tablename__ = "questions"
    __table_args__ = (Index(None, "run_id", "kind", "question_id"),)

    question_id: Mapped[int] = numbered()
    kind: Mapped[QuestionKind]
    run_id: Mapped[str]
    campaign: Mapped[str]
    partner: Mapped[str]
    about: Mapped[str]
    subject: Mapped[str] = mapped_column(FreeText())
    body: Mapped[str] = mapped_column(FreeText())
    fingerprint: Mapped[str]
    asked_at: Mapped[datetime]


class QuestionAnswerRow(Table):
    """What a person answered. `refused` says why it does not count; a question has one that counts.

    `given_at` is the machine's time at which Airflow took it, `at` the campaign's at which it was dealt with.
    """

    __tablename__ = "question_answers"
    __table_args__ = (
        Index(
            "uq_question_answers_counts", "question_id", unique=True, postgresql_where=text("refused = ''")
        ),
    )

    answer_id: Mapped[int] = numbered()
    question_id: Mapped[int] = mapped_column(ForeignKey("questions.question_id"))
    about: Mapped[str]
    approved: Mapped[bool]
    who: Mapped[str]
    comment: Mapped[str] = mapped_column(FreeText())
    given_at: Mapped[datetime]
    refused: Mapped[str] = mapped_column(FreeText())
    at: Mapped[datetime]


class StartListRow(Table):
    """Which runs a run of `nce_campaign` starts; its latest list counts. `hash` is what a person confirms."""

    __tablename__ = "start_lists"
    __table_args__ = (Index(None, "run_id", "list_id"),)

    list_id: Mapped[int] = numbered()
    run_id: Mapped[str]
    campaign: Mapped[str]
    mode: Mapped[str]
    again: Mapped[bool]
    asks: Mapped[bool]
    hash: Mapped[str]
    orders: Mapped[dict[str, Any]]
    at: Mapped[datetime]


HISTORY: tuple[type[Table], ...] = (
    AccountRow,
    RunHistoryRow,
    CheckHistoryRow,
    OptOutRulingRow,
    ConversionHistoryRow,
    CommandEventRow,
    DecisionRow,
    ApprovalRow,
    CampaignVersionRow,
    SubscriptionHistoryRow,
    PlanRow,
    PlanLineRow,
    CommandRow,
    CampaignEventRow,
    UndoEventRow,
    UndoLineRow,
    UndoPlanRow,
    UndoAnswerRow,
    FindingHistoryRow,
    QuestionRow,
    QuestionAnswerRow,
    StartListRow,
)
"""Tables that only grow. A migration gives each of them the trigger `only_grows`."""
CHANGING: tuple[type[Table], ...] = (
    PartnerRow,
    RunRow,
    CheckRow,
    OptOutRow,
    CustomerRow,
    SubscriptionRow,
    ConversionRow,
    UndoCaseRow,
    ComparisonRow,
    FindingRow,
)
"""Tables whose rows change, and stay."""
PASSING: tuple[type[Table], ...] = (CallBudgetRow, CredentialsRow)
"""Tables whose rows change and go: what they hold is of use for a while only."""
