"""What the steps need of the world, in the domain's words. The client and the ledger implement it.

Every method may raise `PartnerCenterFault` (see `include.nce.domain.errors`); its failure class says what
helps. Reads may be repeated freely. Writes are sent once a call, carry the request id of their recorded
intention, and raise a LOOK_FIRST fault whenever it is unknown whether they arrived.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from include.nce.domain.campaign import Campaign
from include.nce.domain.classification import Done, SubscriptionClass, Verdict
from include.nce.domain.conversion import (
    ConversionRequest,
    ConversionState,
    Eligibility,
    Migration,
    Route,
)
from include.nce.domain.opt_out import OptOut, OptOutRuling
from include.nce.domain.partner import Partner
from include.nce.domain.readiness import Finding, MpaStatus, PartnerOfRecord, ResellerLink
from include.nce.domain.subscription import CatalogueTarget, Customer, Subscription


class Clock(Protocol):
    """The campaign's time: the machine's, or in a rehearsal the simulator's."""

    async def now(self) -> datetime: ...


@dataclass(frozen=True)
class PurchaseLine:
    """One line of a purchase: what to buy for which legacy subscription."""

    legacy_id: str
    target: CatalogueTarget
    seats: int


@dataclass(frozen=True)
class CartLineFault:
    """Why Partner Center would not take a cart line, or could not order it. `legacy_id` None: the whole
    cart."""

    legacy_id: str | None
    code: int | None
    description: str


@dataclass(frozen=True)
class Cart:
    cart_id: str
    faults: tuple[CartLineFault, ...] = ()
    ordered: bool = False


@dataclass(frozen=True)
class Purchase:
    """The answer to a checkout. `subscription_ids` maps legacy id to the NCE subscription, where known yet.

    `order_ids` maps legacy id to the order its line went into.
    """

    cart_id: str
    order_ids: Mapping[str, str]
    subscription_ids: Mapping[str, str]
    faults: tuple[CartLineFault, ...] = ()


@dataclass(frozen=True)
class Answered:
    """A write that was answered: the ids to find it again, and what came back."""

    request_id: str
    correlation_id: str | None
    status: int
    body: Any


class PartnerCenter(Protocol):
    """Microsoft's side. Ids in answers are lower case, moments UTC."""

    # What a partner has in order ---------------------------------------------------------------------------

    async def mpa_status(self, tenant_id: str) -> MpaStatus:
        """Tri-state; 2203/2206 are answers. Transient faults raise WAIT, our credentials raise
        PROVIDER_ACTS."""
        ...

    async def resellers(self) -> Sequence[ResellerLink]: ...

    async def mpn_profile_exists(self, mpn_id: str) -> bool: ...

    async def partner_of_record(self, mpn_id: str) -> PartnerOfRecord:
        """`UNKNOWN` where the environment does not know the question (404 or 405 on the route)."""
        ...

    def customers_of(self, reseller_tenant_id: str) -> AsyncIterator[Customer]: ...

    async def customer_agreement_accepted(self, customer_id: str) -> bool:
        """Confirmed by the partner or signed directly."""
        ...

    # What customers hold -----------------------------------------------------------------------------------

    async def subscriptions_of(self, customer_id: str) -> Sequence[Subscription]: ...

    async def subscription(self, customer_id: str, subscription_id: str) -> Subscription | None:
        """None when Partner Center does not know it (404/20003)."""
        ...

    # The migrate route -------------------------------------------------------------------------------------

    async def validate_migration(self, request: ConversionRequest) -> Eligibility: ...

    async def create_migration(
        self, request: ConversionRequest, *, request_id: str
    ) -> tuple[Migration, Answered]: ...

    def migrations(
        self,
        *,
        customer_id: str | None = None,
        legacy_id: str | None = None,
        reference: str | None = None,
    ) -> AsyncIterator[Migration]:
        """All migrations that match; at least one criterion is given. Pages are followed."""
        ...

    # The purchase route ------------------------------------------------------------------------------------

    async def create_cart(
        self, customer_id: str, lines: Sequence[PurchaseLine], *, partner_mpn_id: str | None, request_id: str
    ) -> tuple[Cart, Answered]:
        """Fetches fresh catalogue items for the lines first. A cart alone costs nothing."""
        ...

    async def cart(self, customer_id: str, cart_id: str) -> Cart | None: ...

    async def check_out(
        self, customer_id: str, cart_id: str, lines: Sequence[PurchaseLine], *, request_id: str
    ) -> tuple[Purchase, Answered]:
        """Idempotent per cart id. `lines` are those the cart was made of, to name the legacy ids again."""
        ...

    # The legacy side ---------------------------------------------------------------------------------------

    async def suspend(self, customer_id: str, subscription_id: str, *, request_id: str) -> Answered:
        """Reads the whole subscription, sends it back with status suspended, and nothing else changed."""
        ...


@dataclass(frozen=True)
class Run:
    """One partner's run as the ledger knows it."""

    run_id: str
    campaign: str
    partner: Partner
    mode: str
    opened_at: datetime


@dataclass(frozen=True)
class Conversion:
    """The ledger's record of one legacy subscription's way to NCE; there is exactly one for each."""

    conversion_id: int
    campaign: str
    partner: str
    customer_id: str
    legacy_id: str
    base_id: str
    route: Route
    state: ConversionState
    seats: int | None = None
    term: str | None = None
    billing: str | None = None
    offer_id: str = ""
    expected_product_and_sku: str | None = None
    reference: str | None = None
    migration_id: str | None = None
    cart_id: str | None = None
    order_id: str | None = None
    nce_subscription_id: str | None = None
    reason: str = ""
    state_since_at: datetime | None = None
    not_before_at: datetime | None = None


@dataclass(frozen=True)
class Command:
    """One recorded intention to write to Partner Center.

    `request_id` is made with the intention and stays for every resend while the outcome is unknown. `sent`
    is True once the note "about to send" is committed, `answered` once an answer is.
    """

    command_id: int
    kind: str
    legacy_id: str
    request_id: str
    payload: Mapping[str, Any]
    sent: bool
    answered: bool


class Ledger(Protocol):
    """Our side: what was found, decided, intended, sent and answered. Each method is one transaction.

    `at` is the campaign's clock everywhere; the ledger adds the machine's own time to each row.
    """

    # Policy ------------------------------------------------------------------------------------------------

    async def campaign(self, name: str) -> Campaign: ...

    # A run -------------------------------------------------------------------------------------------------

    async def open_run(self, run_id: str, campaign: str, partner: str, mode: str, *, at: datetime) -> Run: ...

    async def run(self, run_id: str) -> Run: ...

    async def close_run(self, run_id: str, outcome: str, sentence: str, *, at: datetime) -> None: ...

    # Findings ----------------------------------------------------------------------------------------------

    async def record_finding(self, run_id: str, finding: Finding, *, at: datetime) -> None: ...

    async def findings(self, run_id: str) -> Sequence[Finding]: ...

    async def opt_outs(self, campaign: str, partner: str) -> Sequence[OptOut]: ...

    async def record_opt_out_ruling(self, run_id: str, ruling: OptOutRuling, *, at: datetime) -> None: ...

    async def opt_out_ruling(self, run_id: str) -> OptOutRuling | None: ...

    # What the partner's customers hold ----------------------------------------------------------------------

    async def record_survey(
        self,
        run_id: str,
        subscriptions: Sequence[Subscription],
        customers: Sequence[Customer],
        *,
        at: datetime,
    ) -> None: ...

    async def first_seen_term_ends(self, campaign: str, partner: str) -> Mapping[str, datetime]: ...

    async def done(self, campaign: str, partner: str) -> Mapping[str, Done]:
        """Legacy id -> conversions of ours that are converted (`CONVERTED`) or under way (`DUE`, with route
        and base).

        Those in a retriable state are not listed: they are classified afresh.
        """
        ...

    async def confirmed_conversions(self, campaign: str, partner: str) -> frozenset[str]:
        """Legacy ids a person decided to convert although something spoke against it."""
        ...

    async def record_verdicts(
        self, run_id: str, verdicts: Sequence[Verdict], batches: Sequence[Sequence[str]], *, at: datetime
    ) -> int:
        """Write the plan with its lines and batches, and open a conversion for each line of a batch; the
        plan's id.

        Add-ons get a conversion of their own whose `base_id` is the subscription they travel with. A
        conversion in one of `RETRIABLE_STATES` goes back to `planned`; any other keeps its state and its
        facts.
        """
        ...

    # Conversions -------------------------------------------------------------------------------------------

    async def batch(self, run_id: str, plan_id: int, batch_no: int) -> Sequence[Conversion]:
        """The conversions of one batch in the plan's order, each base followed by its add-ons."""
        ...

    async def conversion(self, conversion_id: int) -> Conversion: ...

    async def conversions(self, run_id: str) -> Sequence[Conversion]:
        """Those in the run's latest plan."""
        ...

    async def effective_classes(self, run_id: str) -> Mapping[str, SubscriptionClass]:
        """Subscription id -> its class in the run's latest plan, overridden by what its conversion came to.

        converted -> CONVERTED, by_others -> ALREADY_MIGRATED, refused/failed/stranded -> FAILED, held ->
        HELD; else the plan's class.
        """
        ...

    async def advance(
        self,
        conversion_id: int,
        state: ConversionState,
        reason: str = "",
        *,
        at: datetime,
        seen: ConversionState | None = None,
        **facts: Any,
    ) -> Conversion:
        """Move a conversion to a state and keep the facts learnt (`migration_id`, `nce_subscription_id`,
        ...).

        `seen` is the state in which the caller found it: raises `Overtaken`, and changes nothing, when it is
        in another one by now.
        """
        ...

    def single_writer(self, tenant_id: str, *keys: str) -> AbstractAsyncContextManager[SingleWriter]:
        """The only right to write for these subscriptions of a tenant, across runs, workers and machines.

        Raises `Busy` when somebody else has it.
        """
        ...

    # Commands: intention, send, answer ----------------------------------------------------------------------

    async def intend(
        self, conversion_id: int, kind: str, payload: Mapping[str, Any], *, at: datetime
    ) -> Command:
        """Commit the intention; returns the open one of this kind when it exists (same request id)."""
        ...

    async def open_command(self, conversion_id: int, kind: str) -> Command | None:
        """The latest command of this kind that has no answer yet."""
        ...

    async def note_sending(self, command_id: int, *, at: datetime) -> None:
        """Commit "about to send"; raises `AnsweredAlready` for a command that has its answer."""
        ...

    async def note_answer(
        self,
        command_id: int,
        *,
        at: datetime,
        verdict: str,
        status: int | None,
        code: int | None,
        correlation_id: str | None,
        body: Any,
    ) -> None:
        """`verdict`: accepted, refused, lost (no answer arrived) or found (looked up afterwards)."""
        ...  # fmt: skip


class SingleWriter(Protocol):
    """The lock, held in the holder's own database session."""

    async def still_held(self) -> bool:
        """False when the session is gone: whoever lost it stops sending."""
        ...


class Busy(Exception):
    """Somebody else writes for this subscription right now."""


class Overtaken(Exception):
    """Somebody else has moved this conversion since it was looked at: what was decided then is void."""


class AnsweredAlready(Overtaken, ValueError):
    """Somebody else has settled what became of this command: it is never sent again."""


class Enrolment(Protocol):
    """The part of the ledger that knows who takes part."""

    async def enrol(self, campaign: str, partners: Sequence[Partner]) -> Any: ...

    async def partners(
        self, campaign: str, names: Collection[str] | None = None, outcomes: Collection[str] | None = None
    ) -> Sequence[Partner]: ...
