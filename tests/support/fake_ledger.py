"""A ledger in memory, for tests of steps: small, working, and held to the same contract as the real one.

Keeps what `include.nce.steps.ports.Ledger` promises, plus the few calls that set a scene (`import_campaign`,
`enrol`, `record_opt_out`, `record_decision`). Leaves durability and processes to PostgreSQL.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

from include.nce.domain.approval import Approval, PlannedLine, PlanOnRecord, plan_hash, planned_lines
from include.nce.domain.campaign import Campaign
from include.nce.domain.classification import SubscriptionClass, Verdict, effective_class
from include.nce.domain.command import AnsweredAlready, Command, CommandKind, CommandOutcome
from include.nce.domain.conversion import (
    Conversion,
    ConversionState,
    Overtaken,
    Route,
)
from include.nce.domain.decision import DecisionKind
from include.nce.domain.errors import Busy, InputRefused
from include.nce.domain.opt_out import OptOut, OptOutRuling, OptOutVerdict, Withdrawal, withdrawal
from include.nce.domain.outcome import RunOutcome
from include.nce.domain.partner import Partner
from include.nce.domain.readiness import Check, Finding
from include.nce.domain.run import Run
from include.nce.domain.subscription import Customer, Subscription
from include.nce.ledger.opt_outs import was_withdrawn
from include.nce.ledger.runs import WatchFacts
from tests.support.fake_findings import FakeFindings
from tests.support.fake_questions import FakeQuestions
from tests.support.fake_undo_records import FakeUndoRecords
from tests.support.fake_waves import FakeWaves

_TRIED = (
    "migration_id",
    "cart_id",
    "order_id",
    "nce_subscription_id",
    "not_before_at",
    "undoable_until_at",
)
_WRITTEN_IN_A_LAST_WORD = ("_conversions", "commands", "_sent_at", "events")
_LEARNT = {*_TRIED, "seats", "term", "billing", "expected_product_and_sku", "reference"}


@dataclass
class _Plan:
    plan_id: int
    run_id: str
    record: PlanOnRecord
    lines: list[tuple[Verdict, int | None, int | None]] = field(default_factory=list)
    """Verdict, batch number, conversion id."""


class _Writer:
    def __init__(self) -> None:
        self.held = True

    async def still_held(self) -> bool:
        return self.held


class FakeLedger(FakeWaves, FakeUndoRecords, FakeQuestions, FakeFindings):
    """`ledger.events` tells in order what was written; `ledger.lose_locks()` breaks every single writer."""

    def __init__(self) -> None:
        super().__init__()
        self.versions: dict[str, list[Campaign]] = {}
        self.roster: dict[tuple[str, str], Partner] = {}
        self.runs: dict[str, Run] = {}
        self.closed: dict[str, tuple[str, str]] = {}
        self.events: list[tuple[Any, ...]] = []
        self.states: dict[int, list[tuple[ConversionState, str]]] = {}
        """Every state each conversion was in, with its reason."""
        self.commands: dict[int, Command] = {}
        self._findings: dict[tuple[str, Check], Finding] = {}
        self._opt_outs: dict[tuple[str, str, str | None, datetime], OptOut] = {}
        self._rulings: dict[str, OptOutRuling] = {}
        self._decided: set[str] = set()
        self._surveyed: dict[tuple[str, str, str], Subscription] = {}
        self._first_seen: dict[tuple[str, str, str], datetime] = {}
        self._confirmed: dict[tuple[str, str, str], int] = {}
        """How many moves there had been of what was decided about."""
        self.moves = 0
        self.moved: dict[int, int] = defaultdict(int)
        """With which move each conversion got into its state."""
        self._plans: list[_Plan] = []
        self.approvals: list[tuple[str, str, Approval]] = []
        """Campaign, partner and word, in the order in which they were said."""
        self._conversions: dict[int, Conversion] = {}
        self._command_of: dict[int, int] = {}
        self._refused: set[int] = set()
        self._locks: dict[tuple[str, str], _Writer] = {}

    # Policy

    async def import_campaign(
        self, document: Campaign, author: str, reason: str, *, at: datetime | None = None
    ) -> int:
        versions = self.versions.setdefault(document.campaign, [])
        if not versions or versions[-1] != document:
            versions.append(document)
        return len(versions)

    async def move_moment(
        self,
        name: str,
        moment: str,
        value: date | datetime,
        author: str,
        reason: str,
        *,
        at: datetime | None = None,
    ) -> int:
        document = await self.campaign(name)
        standing = getattr(document.moments, moment)
        if value == (standing.at if isinstance(value, datetime) else standing.on):
            return len(self.versions[name])
        moved = document.with_moment(moment, value, source=reason)
        return await self.import_campaign(moved, author, reason)

    async def campaign(self, name: str) -> Campaign:
        if name not in self.versions:
            raise InputRefused([f"Campaign '{name}' is not in the ledger."])
        return self.versions[name][-1]

    async def latest_version(self, name: str) -> int:
        await self.campaign(name)
        return len(self.versions[name])

    async def enrol(self, campaign: str, partners: Sequence[Partner]) -> None:
        await self.campaign(campaign)
        self.roster.update({(campaign, partner.partner): partner for partner in partners})

    async def partner(self, campaign: str, partner: str) -> Partner:
        return self._enrolled(campaign, partner)

    async def partners(
        self,
        campaign: str,
        names: Collection[str] | None = None,
        outcomes: Collection[str] | None = None,
        *,
        after: str = "",
        limit: int | None = None,
    ) -> Sequence[Partner]:
        for name in names or ():
            self._enrolled(campaign, name)
        ended = {
            self.runs[run_id].partner.partner
            for run_id, (outcome, _) in self.closed.items()
            if self.runs[run_id].campaign == campaign and outcome in (outcomes or ())
        }
        return [
            partner
            for (where, name), partner in sorted(self.roster.items())
            if where == campaign and (names is None or name in names) and (outcomes is None or name in ended)
            if name > after
        ][:limit]

    def _enrolled(self, campaign: str, partner: str) -> Partner:
        if (campaign, partner) not in self.roster:
            raise InputRefused([f"Partner '{partner}' is not in the roster of campaign {campaign}."])
        return self.roster[campaign, partner]

    # Runs and findings

    async def open_run(self, run_id: str, campaign: str, partner: str, mode: str, *, at: datetime) -> Run:
        enrolled = self._enrolled(campaign, partner)
        standing = self.runs.get(run_id)
        if standing is not None and (standing.campaign, standing.partner.partner) != (campaign, partner):
            raise InputRefused([f"Run '{run_id}' belongs to partner {standing.partner.partner}."])
        if standing is None or run_id in self.closed or standing.mode != mode:
            self.closed.pop(run_id, None)
            self._decided.discard(run_id)
            self.runs[run_id] = Run(run_id, campaign, enrolled, mode, at)
            self.events.append(("opened", run_id))
        return replace(self.runs[run_id], partner=enrolled)

    async def run(self, run_id: str) -> Run:
        if run_id not in self.runs:
            raise InputRefused([f"Run '{run_id}' is not in the ledger."])
        run = self.runs[run_id]
        return replace(run, partner=self.roster[run.campaign, run.partner.partner])

    async def close_run(self, run_id: str, outcome: str, sentence: str, *, at: datetime) -> None:
        await self.run(run_id)
        self.closed[run_id] = (RunOutcome(outcome).value, sentence)
        self.events.append(("closed", run_id, outcome))

    async def record_finding(self, run_id: str, finding: Finding, *, at: datetime) -> None:
        await self.run(run_id)
        self._findings[run_id, finding.check] = finding

    async def findings(self, run_id: str) -> Sequence[Finding]:
        return [self._findings[run_id, check] for check in Check if (run_id, check) in self._findings]

    # Opt-outs

    async def record_opt_out(self, campaign: str, opt_out: OptOut) -> bool:
        self._enrolled(campaign, opt_out.partner)
        customer = opt_out.customer_id.lower() if opt_out.customer_id else None
        key = (campaign, opt_out.partner, customer, opt_out.received_at)
        new = key not in self._opt_outs
        if not new and opt_out.stands() and not self._opt_outs[key].stands():
            raise was_withdrawn(opt_out, "somebody")
        if new:
            self._opt_outs[key] = replace(opt_out, customer_id=customer)
        return new

    async def record_opt_outs(self, campaign: str, opt_outs: Sequence[OptOut]) -> int:
        return sum([await self.record_opt_out(campaign, opt_out) for opt_out in opt_outs])

    async def withdraw_opt_out(
        self,
        campaign: str,
        partner: str,
        *,
        customer_id: str | None = None,
        withdrawn_at: datetime,
        withdrawn_by: str,
    ) -> Withdrawal:
        self._enrolled(campaign, partner)
        said = withdrawal(await self.opt_outs(campaign, partner), customer_id, withdrawn_at)
        for form in said.ends:
            key = (campaign, partner, customer_id, form.received_at)
            self._opt_outs[key] = replace(form, withdrawn_at=withdrawn_at)
        return said

    async def opt_outs(self, campaign: str, partner: str) -> Sequence[OptOut]:
        theirs = [o for key, o in self._opt_outs.items() if key[:2] == (campaign, partner)]
        return sorted(theirs, key=lambda opt_out: opt_out.received_at)

    async def record_opt_out_ruling(self, run_id: str, ruling: OptOutRuling, *, at: datetime) -> None:
        await self.run(run_id)
        self._rulings[run_id] = ruling
        self._decided.add(run_id)

    async def opt_out_ruling(self, run_id: str) -> OptOutRuling | None:
        return self._rulings.get(run_id)

    async def watch(self, campaign: str, run_ids: Sequence[str]) -> Mapping[str, WatchFacts]:
        return {
            run_id: WatchFacts(
                opted_out=run_id in self._decided and self._rulings[run_id].partner is OptOutVerdict.IN_TIME,
                opt_out_received_at=min(
                    (
                        opt_out.received_at
                        for key, opt_out in self._opt_outs.items()
                        if key[:3] == (campaign, self.runs[run_id].partner.partner, None) and opt_out.stands()
                    ),
                    default=None,
                ),
            )
            for run_id in run_ids
            if run_id in self.runs and self.runs[run_id].campaign == campaign
        }

    # Surveys and plans

    async def record_survey(
        self,
        run_id: str,
        subscriptions: Sequence[Subscription],
        customers: Sequence[Customer],
        *,
        at: datetime,
    ) -> None:
        run = await self.run(run_id)
        for subscription in subscriptions:
            key = (run.campaign, run.partner.partner, subscription.subscription_id)
            self._surveyed[key] = subscription
            if subscription.term_end_at is not None:
                self._first_seen.setdefault(key, subscription.term_end_at)

    async def first_seen_term_ends(self, campaign: str, partner: str) -> Mapping[str, datetime]:
        return {key[2]: end for key, end in self._first_seen.items() if key[:2] == (campaign, partner)}

    async def record_verdicts(
        self,
        run_id: str,
        verdicts: Sequence[Verdict],
        batches: Sequence[Sequence[str]],
        *,
        at: datetime,
        follows: PlanOnRecord | None = None,
    ) -> int:
        run = await self.run(run_id)
        verdicts = list({v.subscription.subscription_id: v for v in verdicts}.values())
        number = len(self._plans) + 1
        lines: Mapping[str, PlannedLine] = planned_lines(verdicts)
        record = PlanOnRecord(number, number, plan_hash(lines.values()), at, lines)
        if follows is not None:
            record = replace(follows, number=number, made_at=at)
        plan = _Plan(number, run_id, record)
        references = [str(uuid.uuid4()) for _ in batches]
        order = {
            base: (number, at_) for number, batch in enumerate(batches) for at_, base in enumerate(batch)
        }
        if strangers := order.keys() - {v.subscription.subscription_id for v in verdicts}:
            raise ValueError(f"batches name subscriptions without a verdict: {strangers}")

        def place(verdict: Verdict) -> tuple[int, int] | None:
            if verdict.travels_with is not None and verdict.klass is not SubscriptionClass.DUE:
                return None
            return order.get(verdict.travels_with or verdict.subscription.subscription_id)

        last = (len(batches), 0)
        for verdict in sorted(verdicts, key=lambda v: (place(v) or last, v.travels_with is not None)):
            placed = place(verdict)
            if placed is not None:
                plan.lines.append(
                    (verdict, placed[0], self._plan_conversion(run, verdict, references[placed[0]], at))
                )
            else:
                standing = self._known(verdict.subscription)
                begun = (
                    verdict.klass in (SubscriptionClass.DUE, SubscriptionClass.CONVERTED)
                    and standing is not None
                    and not standing.state.starts_afresh
                )
                plan.lines.append((verdict, None, standing.conversion_id if begun and standing else None))
        self._plans.append(plan)
        return plan.plan_id

    def _known(self, subscription: Subscription) -> Conversion | None:
        wanted = (subscription.customer_id, subscription.subscription_id)
        return next((c for c in self._conversions.values() if (c.customer_id, c.legacy_id) == wanted), None)

    def _plan_conversion(self, run: Run, verdict: Verdict, reference: str, at: datetime) -> int:
        subscription = verdict.subscription
        standing = self._known(subscription)
        if standing is not None:
            in_doubt = any(
                c.sent and not c.answered and self._command_of[c.command_id] == standing.conversion_id
                for c in self.commands.values()
            )
            afresh_again = standing.state.starts_afresh or self._again(standing)
            if not afresh_again or in_doubt:
                return standing.conversion_id
        afresh = standing is None or standing.state is not ConversionState.PLANNED
        number = standing.conversion_id if standing else len(self._conversions) + 1
        self._conversions[number] = Conversion(
            conversion_id=number,
            campaign=run.campaign,
            partner=run.partner.partner,
            customer_id=subscription.customer_id,
            legacy_id=subscription.subscription_id,
            base_id=verdict.travels_with or subscription.subscription_id,
            route=verdict.route or Route.MIGRATE,
            state=ConversionState.PLANNED,
            seats=verdict.seats,
            term=verdict.term,
            billing=verdict.billing,
            offer_id=subscription.offer_id,
            expected_product_and_sku=verdict.expected_product_and_sku,
            reference=reference,
            reason=f"Planned in plan {len(self._plans) + 1}.",
            plan_id=len(self._plans) + 1,
            state_since_at=at if afresh or standing is None else standing.state_since_at,
        )
        self.states.setdefault(number, []).append((ConversionState.PLANNED, ""))
        return number

    def _latest_plan(self, run_id: str) -> _Plan | None:
        return next((plan for plan in reversed(self._plans) if plan.run_id == run_id), None)

    async def latest_plan_id(self, run_id: str) -> int:
        plan = self._latest_plan(run_id)
        if plan is None:
            raise InputRefused([f"Run '{run_id}' has no plan yet."])
        return plan.plan_id

    async def plan(self, plan_id: int) -> PlanOnRecord:
        return self._plans[plan_id - 1].record

    def _plans_of(self, campaign: str, partner: str) -> list[PlanOnRecord]:
        return [
            plan.record
            for plan in self._plans
            if (self.runs[plan.run_id].campaign, self.runs[plan.run_id].partner.partner)
            == (campaign, partner)
        ]

    async def plan_with_hash(self, campaign: str, partner: str, beginning: str) -> PlanOnRecord:
        self._enrolled(campaign, partner)
        fitting = {
            plan.hash: plan
            for plan in self._plans_of(campaign, partner)
            if plan.hash.startswith(beginning.lower())
        }
        if len(fitting) != 1:
            raise InputRefused([f"Plan '{beginning}' is not one of the plans of {partner} in {campaign}."])
        return next(iter(fitting.values()))

    async def approved_plan(self, campaign: str, partner: str) -> PlanOnRecord | None:
        latest = {
            word.plan_hash: word for where, who, word in self.approvals if (where, who) == (campaign, partner)
        }
        in_order = [word for where, who, word in self.approvals if (where, who) == (campaign, partner)]
        for word in reversed(in_order):
            if latest[word.plan_hash] is word and word.approved:
                for plan in reversed(self._plans_of(campaign, partner)):
                    if plan.hash == word.plan_hash:
                        return plan
        return None

    async def record_approval(self, campaign: str, partner: str, approval: Approval) -> None:
        standing = await self.approval(campaign, partner, approval.plan_hash)
        if standing is None or replace(standing, at=approval.at) != approval:
            self.approvals.append((campaign, partner, approval))

    async def approval(self, campaign: str, partner: str, plan_hash: str) -> Approval | None:
        said = [
            word
            for where, who, word in self.approvals
            if (where, who, word.plan_hash) == (campaign, partner, plan_hash)
        ]
        return said[-1] if said else None

    # Conversions

    async def batch(self, run_id: str, plan_id: int, batch_no: int) -> Sequence[Conversion]:
        return [
            self._conversions[conversion_id]
            for plan in self._plans
            if (plan.plan_id, plan.run_id) == (plan_id, run_id)
            for _, number, conversion_id in plan.lines
            if number == batch_no and conversion_id is not None
        ]

    async def conversion(self, conversion_id: int) -> Conversion:
        return self._conversions[conversion_id]

    async def conversions(self, run_id: str) -> Sequence[Conversion]:
        plan = self._latest_plan(run_id)
        return [self._conversions[number] for _, _, number in (plan.lines if plan else []) if number]

    async def effective_classes(self, run_id: str) -> Mapping[str, SubscriptionClass]:
        plan = self._latest_plan(run_id)
        return {
            verdict.subscription.subscription_id: (
                effective_class(verdict.klass, None if number is None else self._conversions[number].state)
            )
            for verdict, _, number in (plan.lines if plan else [])
        }

    async def standing_conversions(self, campaign: str, partner: str) -> Mapping[str, Conversion]:
        standing = {}
        for c in self._conversions.values():
            surveyed = self._surveyed.get((campaign, partner, c.legacy_id))
            theirs = (c.campaign, c.partner) == (campaign, partner)
            if not theirs and (surveyed is None or surveyed.customer_id != c.customer_id):
                continue
            if not c.state.starts_afresh and not self._again(c):
                standing[c.legacy_id] = c
        return standing

    def _again(self, c: Conversion) -> bool:
        """Undone, and a person decided afterwards to convert it again."""
        decided = [moved for key, moved in self._confirmed.items() if key[2] == c.legacy_id]
        return c.state is ConversionState.UNDONE and any(m >= self.moved[c.conversion_id] for m in decided)

    async def advance(
        self, seen: Conversion, state: ConversionState, reason: str = "", *, at: datetime, **facts: Any
    ) -> Conversion:
        if facts.keys() - _LEARNT:
            raise TypeError(f"a conversion has no facts named {facts.keys() - _LEARNT}")
        now = self._conversions[seen.conversion_id]
        if replace(now, state=state, reason=reason, **facts) == now and now.plan_id == seen.plan_id:
            return now
        before = self._as_seen(seen)
        before.refuse_move(state)
        if before.state is not state:
            facts = {"not_before_at": None, "state_since_at": at, **facts}
            self.moves += 1
            self.moved[seen.conversion_id] = self.moves
        after = replace(before, state=state, reason=reason, **facts)
        if after != before:
            self._conversions[seen.conversion_id] = after
            self.states[seen.conversion_id].append((state, reason))
            self.events.append(("advanced", after.legacy_id, state.value))
        return after

    def _as_seen(self, seen: Conversion) -> Conversion:
        now = self._conversions[seen.conversion_id]
        if (now.state, now.plan_id) != (seen.state, seen.plan_id):
            raise Overtaken(f"{now.legacy_id} is {now.state.value} by now, or planned anew")
        return now

    @asynccontextmanager
    async def last_word(self, campaign: str, partner: str) -> AsyncIterator[FakeLedger]:
        """One transaction: what raises within it, a crash too, leaves no trace."""
        kept = {name: copy(getattr(self, name)) for name in _WRITTEN_IN_A_LAST_WORD}
        states = {number: list(states) for number, states in self.states.items()}
        try:
            yield self
        except BaseException:
            vars(self).update(kept, states=states)
            raise

    async def record_decision(
        self,
        campaign: str,
        partner: str,
        subscription_id: str,
        kind: DecisionKind,
        *,
        decided_by: str,
        reason: str,
        at: datetime,
    ) -> None:
        key = (campaign, partner, self._seen(campaign, partner, subscription_id))
        if kind is DecisionKind.CONFIRM_CONVERSION:
            standing = [c for c in self._conversions.values() if c.legacy_id == key[2]]
            self._confirmed[key] = max((self.moved[c.conversion_id] for c in standing), default=0)
        else:
            self._confirmed.pop(key, None)

    async def holders(self, campaign: str, subscription_id: str) -> Sequence[str]:
        return sorted({key[1] for key in self._surveyed if (key[0], key[2]) == (campaign, subscription_id)})

    def _seen(self, campaign: str, partner: str, subscription_id: str) -> str:
        self._enrolled(campaign, partner)
        if (campaign, partner, subscription_id.lower()) not in self._surveyed:
            raise InputRefused([f"Subscription {subscription_id} is not among those seen at {partner}."])
        return subscription_id.lower()

    async def confirmed_conversions(self, campaign: str, partner: str) -> frozenset[str]:
        return frozenset(key[2] for key in self._confirmed if key[:2] == (campaign, partner))

    @asynccontextmanager
    async def single_writer(self, tenant_id: str, *keys: str) -> AsyncIterator[_Writer]:
        wanted = {(tenant_id.lower(), key.lower()) for key in keys}
        if wanted & self._locks.keys():
            raise Busy("Somebody else is converting this subscription right now.")
        writer = _Writer()
        self._locks.update(dict.fromkeys(wanted, writer))
        try:
            yield writer
        finally:
            for key in wanted:
                if self._locks.get(key) is writer:
                    del self._locks[key]

    def lose_locks(self) -> None:
        """As when the database sessions end: who held a lock does not, and others may take it."""
        for writer in self._locks.values():
            writer.held = False
        self._locks.clear()

    # Commands

    async def intend(
        self, seen: Conversion, kind: CommandKind, payload: Mapping[str, Any], *, at: datetime
    ) -> Command:
        conversion_id, legacy_id = seen.conversion_id, self._as_seen(seen).legacy_id
        standing = await self.open_command(conversion_id, kind)
        if standing is not None:
            return standing
        number = len(self.commands) + 1
        command = Command(
            number, kind, legacy_id, str(uuid.uuid4()), dict(payload), sent=False, answered=False
        )
        self.commands[number] = command
        self._command_of[number] = conversion_id
        self.events.append(("intended", legacy_id, kind.value, command.request_id))
        return command

    async def open_command(self, conversion_id: int, kind: CommandKind) -> Command | None:
        return next(
            (
                command
                for number, command in reversed(self.commands.items())
                if self._command_of[number] == conversion_id and command.kind == kind and not command.answered
            ),
            None,
        )

    async def last_sent_at(self, conversion_id: int, kind: CommandKind) -> datetime | None:
        return max(
            (
                at
                for number, at in self._sent_at.items()
                if self._command_of[number] == conversion_id
                and self.commands[number].kind == kind
                and number not in self._refused
            ),
            default=None,
        )

    async def note_sending(self, command_id: int, *, at: datetime) -> None:
        command = self.commands[command_id]
        if command.answered:
            raise AnsweredAlready(f"command {command_id} is answered already and may not be sent again")
        self.commands[command_id] = replace(command, sent=True)
        self._sent_at[command_id] = at
        self.events.append(("sending", command.legacy_id, command.kind.value, command.request_id))

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
        command = self.commands[command_id]
        self.commands[command_id] = replace(command, answered=command.answered or outcome.answers)
        if outcome is CommandOutcome.REFUSED:
            self._refused.add(command_id)
        self.events.append(("answered", command.legacy_id, command.kind.value, outcome.value))
