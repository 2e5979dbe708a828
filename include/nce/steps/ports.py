"""What the steps need of the world, in the domain's words. The client and the ledger implement it.

Every method may raise `PartnerCenterFault` (see `include.nce.domain.errors`); its failure class says what
helps. Reads may be repeated freely. Writes are sent once a call, carry the request id of their recorded
intention, and raise a LOOK_FIRST fault whenever it is unknown whether they arrived.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from include.nce.domain.approval import Approval, PlanOnRecord
from include.nce.domain.brake import Attempts, BrakeRecord, CoverageSignals, Release
from include.nce.domain.campaign import Campaign
from include.nce.domain.cancellation import SuspensionPermit
from include.nce.domain.classification import SubscriptionClass, Verdict
from include.nce.domain.command import Answered, Command, CommandKind, CommandOutcome
from include.nce.domain.comparison import FindingChanges, KnownHoldings, ReconcileTally
from include.nce.domain.conversion import (
    Conversion,
    ConversionRequest,
    ConversionState,
    Eligibility,
    Migration,
)
from include.nce.domain.opt_out import OptOut, OptOutRuling
from include.nce.domain.partner import Partner
from include.nce.domain.preview import Preview
from include.nce.domain.purchase import Cart, Purchase, PurchaseLine
from include.nce.domain.question import AskedQuestion, PersonsAnswer, Question, QuestionKind
from include.nce.domain.readiness import Finding, MpaStatus, PartnerOfRecord, ResellerLink
from include.nce.domain.reconciliation import Discrepancy
from include.nce.domain.run import BatchReference, Run
from include.nce.domain.starts import StartList
from include.nce.domain.subscription import Customer, Subscription
from include.nce.domain.undo import CancellationPermit, CaseState, UndoCause, UndoLine
from include.nce.domain.undo_case import UndoAnswer, UndoCase, UndoMember, UndoPlan
from include.nce.domain.waves import Wave, WaveBoard

if TYPE_CHECKING:
    from include.nce.steps.sending import Departure


class Clock(Protocol):
    """The campaign's time: the machine's, or in a rehearsal the simulator's."""

    async def now(self) -> datetime: ...


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
        self, request: ConversionRequest, *, departure: Departure
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
        self, customer_id: str, cart_id: str, lines: Sequence[PurchaseLine], *, departure: Departure
    ) -> tuple[Purchase, Answered]:
        """Idempotent per cart id. `lines` are those the cart was made of, to name the legacy ids again."""
        ...

    # The legacy side ---------------------------------------------------------------------------------------

    async def suspend(self, permit: SuspensionPermit, *, departure: Departure) -> Answered:
        """Reads the whole subscription, sends it back with status suspended, and nothing else changed."""
        ...

    # Taking back -------------------------------------------------------------------------------------------

    async def reactivate(self, customer_id: str, subscription_id: str, *, departure: Departure) -> Answered:
        """Reads the whole subscription, sends it back with status active, and nothing else changed. Only
        before its term end."""
        ...

    async def cancel_nce(self, permit: CancellationPermit, *, departure: Departure) -> Answered:
        """Reads the whole subscription, sends it back with status deleted: it ends for good. Only within its
        cancellation window; later it is refused with 900117."""
        ...


class WaveLedger(Protocol):
    """The part of the ledger that knows who may buy, and whether the campaign is stopped."""

    async def brake_record(self, campaign: str) -> BrakeRecord:
        """One small query; asked under the lock right before each send."""
        ...

    async def attempts(
        self, campaign: str, *, since: Release | None, unknown_hours: int, now_at: datetime
    ) -> Attempts:
        """Failed: in a state of failure, or without a known outcome for `unknown_hours`, since after
        that release."""
        ...

    async def in_flight(self, campaign: str, *, besides: Collection[int] = ()) -> int:
        """Conversions whose purchase left within the last minutes and has no answer yet, `besides` some.

        Within a last word nobody else is admitted until it ends: who asks next counts this one too.
        """
        ...

    async def coverage_signals(self, campaign: str) -> CoverageSignals:
        """What the ledger knows itself, or what the latest comparison found: the larger of each."""
        ...

    async def stop_campaign(
        self,
        campaign: str,
        *,
        by: str,
        reason: str,
        partners: Sequence[str] = (),
        figures: Mapping[str, int] | None = None,
        at: datetime,
        unless_after: int | None = None,
    ) -> BrakeRecord:
        """Stop it; a stopped one stays as it is. `unless_after`: only while that event is the latest."""
        ...

    async def release_campaign(
        self, campaign: str, *, stop: int, by: str, reason: str, at: datetime
    ) -> BrakeRecord:
        """Let it buy again, accepting today's coverage signals. Refuses one that is not stopped, and another
        stop than the one that is named."""
        ...

    async def ease_brake(self, campaign: str, *, signals: CoverageSignals, at: datetime) -> None:
        """Fewer coverage signals stand than the release accepted: from now on only these are accepted."""
        ...

    async def wave_board(self, campaign: str) -> WaveBoard: ...

    async def begin_wave(self, campaign: str, wave: Wave, *, at: datetime) -> None:
        """Put it on record; whoever comes second finds it there, and changes nothing."""
        ...

    async def go_ahead(self, campaign: str, partner: str, reason: str, *, at: datetime) -> None:
        """Let a partner buy before its wave, with the reason; once is enough."""
        ...

    async def admitted(self, campaign: str, partner: str) -> bool:
        """Whether the partner's wave has begun, or the partner went ahead of it."""
        ...

    async def nearest_term_ends(
        self, campaign: str, *, offers: Collection[str], after_at: datetime
    ) -> Mapping[str, datetime]:
        """Partner -> first term end after `after_at` of what is still to be converted, as last surveyed."""
        ...


class UndoRecords(Protocol):
    """The part of the ledger that knows what is to be taken back."""

    async def bought(
        self,
        campaign: str,
        partner: str,
        *,
        customer_id: str | None = None,
        subscription_id: str | None = None,
    ) -> Sequence[UndoMember]:
        """Conversions made for the partner of which something is bought or may be: whole bundles, each base
        before its add-ons. `subscription_id` is legacy's or NCE's, of a base or of an add-on."""
        ...

    async def open_undo_case(
        self,
        campaign: str,
        partner: str,
        *,
        customer_id: str,
        base_id: str,
        cause: UndoCause,
        scope: str,
        reason: str,
        opened_by: str,
        at: datetime,
        opt_out_received_at: datetime | None = None,
    ) -> tuple[UndoCase, bool]:
        """The bundle's open case, made when there is none; True when it is new.

        What an opt-out called for once and a person closed is not opened again by the same opt-out.
        """
        ...

    async def undo_case(self, case_id: int) -> UndoCase: ...

    async def undo_cases(
        self,
        campaign: str,
        partner: str | None = None,
        *,
        closed: bool = False,
        after: int = 0,
        limit: int | None = None,
    ) -> Sequence[UndoCase]:
        """Open cases in the order in which they were opened; with `closed`, the closed ones too."""
        ...

    async def undo_members(self, case_id: int) -> Sequence[UndoMember]:
        """The bundle of a case, the base before its add-ons; what is undone already is among them."""
        ...

    async def move_undo_case(
        self,
        case_id: int,
        state: CaseState,
        sentence: str,
        *,
        by: str,
        at: datetime,
        until_at: datetime | None = None,
    ) -> UndoCase:
        """Keep how far a case is, and append it to its history; the same again leaves no trace."""
        ...

    async def record_undo_plan(
        self, run_id: str, campaign: str, partner: str, lines: Sequence[UndoLine], *, at: datetime
    ) -> UndoPlan: ...

    async def undo_plan(self, run_id: str) -> UndoPlan | None:
        """The run's latest one."""
        ...

    async def answer_undo_plan(
        self, plan_id: int, hash_: str, *, approved: bool, who: str, at: datetime
    ) -> None: ...

    async def undo_answer(self, plan_id: int) -> UndoAnswer | None:
        """The latest word on a plan."""
        ...


class QuestionRecords(Protocol):
    """The part of the ledger that knows what people were asked, and what they answered."""

    async def record_question(self, question: Question, *, at: datetime) -> AskedQuestion:
        """Put a question on record; the run's latest is kept when it is the same and still stands."""
        ...

    async def question(self, run_id: str, kind: QuestionKind) -> AskedQuestion | None:
        """The run's latest question of the kind, answered or not."""
        ...

    async def record_question_answer(
        self, question_id: int, answer: PersonsAnswer, *, refused: str, at: datetime
    ) -> None:
        """Keep an answer; `refused` says why it does not count, empty where it does."""
        ...

    async def has_answer(self, run_id: str, kind: QuestionKind, given_at: datetime) -> bool:
        """Whether the answer that Airflow took at this moment is on record, taken or refused."""
        ...


class StartRecords(Protocol):
    """The part of the ledger that knows which runs a start of the campaign starts."""

    async def record_starts(self, starts: StartList, *, at: datetime) -> None: ...

    async def starts(self, run_id: str) -> StartList | None:
        """What a run of `nce_campaign` starts: its latest list; None while it has none."""
        ...

    async def run_ids_of(self, campaign: str, partners: Collection[str]) -> Mapping[str, str]:
        """Every run id on record of these partners -> its partner."""
        ...

    async def runs_that_asked(self, run_ids: Collection[str]) -> Collection[str]:
        """Those of the runs that have put a question to a person."""
        ...

    async def preview(self, campaign: str, partners: Collection[str], *, now_at: datetime) -> Preview: ...


class Ledger(WaveLedger, UndoRecords, QuestionRecords, StartRecords, Protocol):
    """Our side: what was found, decided, intended, sent and answered. Each method is one transaction.

    `at` is the campaign's clock everywhere; the ledger adds the machine's own time to each row.
    """

    # Policy ------------------------------------------------------------------------------------------------

    async def campaign(self, name: str) -> Campaign: ...

    async def latest_version(self, name: str) -> int: ...

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

    async def standing_conversions(self, campaign: str, partner: str) -> Mapping[str, Conversion]:
        """Legacy id -> our conversion that is under way, converted, being taken back or taken back.

        Those that a plan starts afresh are not listed, nor what was undone and a person decided afterwards
        to convert again: they are classified afresh.
        """
        ...

    async def confirmed_conversions(self, campaign: str, partner: str) -> frozenset[str]:
        """Legacy ids a person decided to convert although something spoke against it."""
        ...

    async def record_verdicts(
        self,
        run_id: str,
        verdicts: Sequence[Verdict],
        batches: Sequence[Sequence[str]],
        *,
        at: datetime,
        follows: PlanOnRecord | None = None,
    ) -> int:
        """Write the plan with its lines and batches, and open a conversion for each line of a batch; the
        plan's id.

        Its hash is that of what it buys (`planned_lines`), or that of the plan it `follows`. Add-ons get a
        conversion of their own whose `base_id` is the subscription they travel with. A conversion whose
        state `starts_afresh` goes back to `planned`, as does one that was undone and is to be converted
        again by a person's later decision; any other keeps its state and its facts.
        """
        ...

    # Plans and who agreed to them ---------------------------------------------------------------------------

    async def plan(self, plan_id: int) -> PlanOnRecord: ...

    async def plan_with_hash(self, campaign: str, partner: str, beginning: str) -> PlanOnRecord:
        """The partner's latest plan whose hash begins so. Raises `InputRefused` when none or several do."""
        ...

    async def approved_plan(self, campaign: str, partner: str) -> PlanOnRecord | None:
        """The plan a person approved last, unless a later word rejected it."""
        ...

    async def record_approval(self, campaign: str, partner: str, approval: Approval) -> None:
        """Keep a person's word; the same word of the same person about the same plan is kept once."""
        ...

    async def approval(self, campaign: str, partner: str, plan_hash: str) -> Approval | None:
        """The latest word on exactly this hash."""
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

        converted -> CONVERTED, by_others -> ALREADY_MIGRATED, refused/failed/stranded -> FAILED, held and
        undoing -> HELD, undone -> UNDONE; else the plan's class.
        """
        ...

    async def advance(
        self,
        seen: Conversion,
        state: ConversionState,
        reason: str = "",
        *,
        at: datetime,
        **facts: Any,
    ) -> Conversion:
        """Move a conversion to a state and keep the facts learnt (`migration_id`, `nce_subscription_id`,
        ...).

        `seen` is the conversion as the caller looked at it: raises `Overtaken`, and changes nothing, when it
        is in another state or another plan by now. Raises `ImpossibleMove` for a move that
        `domain.conversion.MOVES` does not know.
        """
        ...

    def single_writer(self, tenant_id: str, *keys: str) -> AbstractAsyncContextManager[SingleWriter]:
        """The only right to write for these subscriptions of a tenant, across runs, workers and machines.

        Raises `Busy` when somebody else has it.
        """
        ...

    def last_word(self, campaign: str, partner: str) -> AbstractAsyncContextManager[Ledger]:
        """The ledger as it stands now, in one transaction that commits at its end.

        Meanwhile nobody records an opt-out, a decision or an approval of the partner, a stop, a release or a
        version of the campaign. Raises `Busy` when the locks or an answer take too long.
        """
        ...

    # Commands: intention, send, answer ----------------------------------------------------------------------

    async def intend(
        self, seen: Conversion, kind: CommandKind, payload: Mapping[str, Any], *, at: datetime
    ) -> Command:
        """Commit the intention; returns the open one of this kind when it exists (same request id).

        Raises `Overtaken`, and intends nothing, when the conversion is in another state or plan by now than
        the caller has `seen`.
        """
        ...

    async def open_command(self, conversion_id: int, kind: CommandKind) -> Command | None:
        """The latest command of this kind that has no answer yet."""
        ...

    async def last_sent_at(self, conversion_id: int, kind: CommandKind) -> datetime | None:
        """When a command of this kind was last sent and not refused: it may have arrived. None: never."""
        ...

    async def note_sending(self, command_id: int, *, at: datetime) -> None:
        """Commit "about to send"; raises `AnsweredAlready` for a command that has its answer."""
        ...

    async def note_answer(
        self,
        command_id: int,
        *,
        at: datetime,
        outcome: CommandOutcome,
        status: int | None,
        code: int | None,
        correlation_id: str | None,
        body: Any,
    ) -> None:
        """Keep what became of it; an answer that comes after another one is kept too."""
        ...


class SingleWriter(Protocol):
    """The lock, held in the holder's own database session."""

    async def still_held(self) -> bool:
        """False when the session is gone: whoever lost it stops sending."""
        ...


class Enrolment(Protocol):
    """The part of the ledger that knows who takes part."""

    async def enrol(self, campaign: str, partners: Sequence[Partner]) -> Any: ...

    async def partners(
        self, campaign: str, names: Collection[str] | None = None, outcomes: Collection[str] | None = None
    ) -> Sequence[Partner]: ...


class Findings(Protocol):
    """The part of the ledger that is compared with Partner Center, and what was found."""

    async def campaigns(self) -> Sequence[str]: ...

    async def partners(
        self,
        campaign: str,
        names: Collection[str] | None = None,
        outcomes: Collection[str] | None = None,
        *,
        after: str = "",
        limit: int | None = None,
    ) -> Sequence[Partner]:
        """In the order of their ids, those behind `after`; an unknown name raises InputRefused."""
        ...

    async def known_holdings(self, campaign: str, partner: str) -> KnownHoldings:
        """The legacy subscriptions surveyed at this partner and its conversions, each once.

        A conversion that another partner or campaign made is compared there, and not listed here.
        """
        ...

    async def batches_of(self, conversion_ids: Collection[int]) -> Sequence[BatchReference]:
        """The latest batch of each, every batch once, oldest first."""
        ...

    async def record_comparison(
        self,
        run_id: str,
        campaign: str,
        partner: str,
        discrepancies: Sequence[Discrepancy],
        *,
        compared: Collection[str],
        lines: int,
        unread: str,
        at: datetime,
    ) -> FindingChanges:
        """Keep what was found. A standing finding about one of `compared` that was not found again is
        resolved; one about any other subscription stays as it is.

        `lines` is how many there are to compare, `unread` says what could not be, and is empty otherwise.
        """
        ...

    async def reconcile_tally(
        self, run_id: str, campaign: str, names: Collection[str] | None = None
    ) -> ReconcileTally:
        """What the run came to; `names`: only these partners were to be compared."""
        ...


class ReconcileLedger(Ledger, Findings, Protocol):
    """What `reconcile_partner` needs: it finishes through the steps, so it needs what they need."""
