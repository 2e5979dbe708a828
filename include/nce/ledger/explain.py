"""The ledger read for people: everything on record about one partner or subscription, in order.

Responsible for turning rows into dated sentences: one query and one mapper for each kind of fact, and one
loop over all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from pydantic import Field
from sqlalchemy import ColumnElement, Select, Text, and_, cast, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from include.nce.domain.approval import SHORT_HASH
from include.nce.domain.decision import DecisionKind
from include.nce.ledger.approvals import approval_of
from include.nce.ledger.policy import latest_number
from include.nce.ledger.reports import Moment, Report
from include.nce.ledger.runs import finding_of
from include.nce.ledger.tables import (
    ApprovalRow,
    CampaignEvent,
    CampaignEventRow,
    CampaignVersionRow,
    CheckHistoryRow,
    CommandEvent,
    CommandEventRow,
    CommandRow,
    ConversionHistoryRow,
    ConversionRow,
    DecisionRow,
    FindingEvent,
    FindingHistoryRow,
    FindingRow,
    OptOutRow,
    OptOutRulingRow,
    PartnerRow,
    PlanLineRow,
    PlanRow,
    QuestionAnswerRow,
    QuestionRow,
    RunEvent,
    RunHistoryRow,
    RunRow,
    SubscriptionRow,
    UndoAnswerRow,
    UndoCaseRow,
    UndoEventRow,
    UndoLineRow,
    UndoPlanRow,
)
from include.nce.ledger.transactions import Transactions, unknown


class Entry(Report):
    """One thing on record: when, about whom, what happened in a sentence, and the facts behind it.

    `at` is the campaign's clock, `recorded_at` the machine's (null for a withdrawal, which changes a row).
    """

    at: Moment = Field(description="The campaign's clock; entries are in this order.")
    recorded_at: Moment | None = Field(description="The machine's clock; null for a withdrawal.")
    kind: str = Field(description="What kind of record it is, such as run, check, opt_out, plan, command.")
    partner: str | None = Field(description="Whom it is about; null: the campaign.")
    subscription: str | None = Field(description="The subscription it is about, if one.")
    sentence: str = Field(description="What happened.")
    facts: dict[str, Any] = Field(
        default_factory=dict, description="What the sentence leaves out; keys depend on `kind`."
    )


EntryT = TypeVar("EntryT", bound=Entry)


class Explanations(Transactions):
    """Why things are as they are."""

    async def explain(self, campaign: str, subject: str) -> Sequence[Entry]:
        """Everything on record about a partner or a subscription, in the order of the campaign's clock.

        About a subscription also what held for its whole partner: runs, checks, opt-outs, moved dates. Raises
        InputRefused with the names that look alike when the campaign knows neither.
        """
        name = subject.strip().lower()
        async with self._transaction() as session:
            await latest_number(session, campaign)
            partners, legacy_ids = await meant(session, campaign, name)
            return in_order(
                [
                    *await about_partners(session, campaign, partners),
                    *await about_subscriptions(session, campaign, partners, legacy_ids),
                ]
            )


@dataclass(frozen=True)
class _Scope:
    """Whom the entries are about: these partners, or only these subscriptions of theirs."""

    campaign: str
    partners: Sequence[str]
    legacy_ids: Sequence[str] | None

    def of_partners(self, table: Any) -> ColumnElement[bool]:
        return and_(table.campaign == self.campaign, table.partner.in_(self.partners))

    def narrowed(self, query: Select[Any], subscription: Any) -> Select[Any]:
        """`query`, for these subscriptions only where some are named."""
        return query if self.legacy_ids is None else query.where(subscription.in_(self.legacy_ids))

    def conversions(self) -> ColumnElement[bool]:
        """A subscription's conversion whoever made it; a partner's conversions that were made for it."""
        if self.legacy_ids is not None:
            return ConversionRow.legacy_id.in_(self.legacy_ids)
        return self.of_partners(ConversionRow)


@dataclass(frozen=True)
class _Table:
    """One kind of fact: its rows, and how one row is told."""

    rows: Callable[[_Scope], Select[Any]]
    told: Callable[..., Entry]


async def _tell(session: AsyncSession, scope: _Scope, tables: Iterable[_Table]) -> list[Entry]:
    return [
        table.told(*row) for table in tables for row in (await session.execute(table.rows(scope))).tuples()
    ]


async def about_partners(session: AsyncSession, campaign: str, partners: Sequence[str]) -> list[Entry]:
    """What is on record about whole partners and their campaign; a new kind of it is added to `_PARTNERS`.

    Here belongs as well what is bound to a whole plan, such as an approval. The plans themselves come from
    `plan_entries`.
    """
    return await _tell(session, _Scope(campaign, partners, None), _PARTNERS)


async def about_whole_plans(
    session: AsyncSession, campaign: str, partners: Sequence[str], legacy_ids: Sequence[str] | None
) -> list[Entry]:
    """What people approved or rejected: all of the partners', or where one of `legacy_ids` was a line."""
    return await _tell(session, _Scope(campaign, partners, legacy_ids), _WHOLE_PLANS)


async def plan_entries(
    session: AsyncSession, campaign: str, partners: Sequence[str], legacy_ids: Sequence[str] | None
) -> list[Entry]:
    """The plans as wholes, or where subscriptions are named their lines in them."""
    kind = _PLANS if legacy_ids is None else _PLAN_LINES
    return await _tell(session, _Scope(campaign, partners, legacy_ids), [kind])


async def about_subscriptions(
    session: AsyncSession, campaign: str, partners: Sequence[str], legacy_ids: Sequence[str] | None
) -> list[Entry]:
    """What is on record about these subscriptions, or about all of the partners'; a new kind is added to
    `_SUBSCRIPTIONS`.

    The evidence pack asks for a page of subscriptions at a time: one query for each kind of fact, narrowed to
    `legacy_ids` where they are given.
    """
    plans = _PLANS if legacy_ids is None else _PLAN_LINES
    scope = _Scope(campaign, partners, legacy_ids)
    return await _tell(session, scope, [plans, *_WHOLE_PLANS, *_SUBSCRIPTIONS])


def in_order(entries: Iterable[EntryT]) -> list[EntryT]:
    """By the campaign's clock, and where that is the same by the machine's."""
    return sorted(entries, key=lambda e: (e.at, e.recorded_at is None, e.recorded_at or e.at))


async def meant(
    session: AsyncSession, campaign: str, name: str
) -> tuple[Sequence[str], Sequence[str] | None]:
    """The partners and legacy ids `name` stands for; None for "all of the partner's"."""
    if await session.get(PartnerRow, (campaign, name)) is not None:
        return [name], None
    query = select(SubscriptionRow.partner).where(
        SubscriptionRow.campaign == campaign, SubscriptionRow.subscription_id == name
    )
    partners = (await session.scalars(query)).all()
    if partners:
        return partners, [name]
    known = await session.scalars(select(PartnerRow.partner).where(PartnerRow.campaign == campaign))
    raise unknown("Partner or subscription", name, known, where=f"campaign {campaign}")


def _entry(
    row: Any,
    kind: str,
    sentence: str,
    *,
    at: datetime | None = None,
    partner: str | None = None,
    subscription: str | None = None,
    **facts: Any,
) -> Entry:
    """A row told: when, by its own clock unless another moment counts, about whom, and what."""
    return Entry(
        at=at or row.at,
        recorded_at=row.recorded_at,
        kind=kind,
        partner=partner,
        subscription=subscription,
        sentence=sentence.strip(),
        facts=facts,
    )


def _version(row: CampaignVersionRow) -> Entry:
    said = f"{row.author} made version {row.version} of the campaign: {row.reason}"
    return _entry(row, "campaign", said, at=row.created_at, version=row.version, author=row.author)


def _campaign_events(scope: _Scope) -> Select[Any]:
    """Stops and releases, which hold for everybody, and these partners' waves."""
    everybodys = CampaignEventRow.event.in_([CampaignEvent.STOPPED, CampaignEvent.RELEASED])
    theirs = cast(CampaignEventRow.partners, ARRAY(Text())).overlap(list(scope.partners))
    return select(CampaignEventRow).where(
        CampaignEventRow.campaign == scope.campaign, or_(everybodys, theirs)
    )


def _campaign_event(row: CampaignEventRow) -> Entry:
    kind, said = "brake", f"The campaign was {row.event.value} by {row.by}: {row.reason}"
    if row.event is CampaignEvent.WAVE_BEGUN:
        kind, said = "wave", f"Wave {row.wave} began."
    elif row.event is CampaignEvent.WENT_AHEAD:
        kind, said = "wave", f"{', '.join(row.partners)} went ahead of its wave. {row.reason}"
    return _entry(row, kind, said, **row.figures, partners=row.partners)


def _of_runs(table: Any) -> Callable[[_Scope], Select[Any]]:
    """Rows that belong to a run, with the partner of the run."""
    return lambda scope: (
        select(table, RunRow.partner)
        .join(RunRow, RunRow.run_id == table.run_id)
        .where(scope.of_partners(RunRow))
    )


_RUN_WORDS = {RunEvent.OPENED: "opened", RunEvent.REOPENED: "opened again", RunEvent.CLOSED: "closed"}


def _run(row: RunHistoryRow, partner: str) -> Entry:
    ending = f" as {row.outcome.value}: {row.sentence}" if row.outcome else f" in mode {row.mode}."
    said = f"Run {row.run_id} was {_RUN_WORDS[row.event]}{ending}"
    return _entry(row, "run", said, partner=partner, run_id=row.run_id, opening=row.opening, mode=row.mode)


def _check(row: CheckHistoryRow, partner: str) -> Entry:
    return _entry(
        row, "check", f"{row.check.value}: {row.answer.value}. {finding_of(row).sentence}", partner=partner,
        check=row.check.value, answer=row.answer.value, run_id=row.run_id, code=row.code,
        missing_customers=row.missing_customers,
    )  # fmt: skip


def _whose(form: OptOutRow) -> str:
    return f"customer {form.customer_id}" if form.customer_id else "the whole partner"


def _opt_out(row: OptOutRow) -> Entry:
    said = f"An opt-out of {_whose(row)} came in, entered by {row.recorded_by}. {row.note}"
    return _entry(row, "opt_out", said, at=row.received_at, partner=row.partner)


def _withdrawal(row: OptOutRow) -> Entry:
    said = f"The opt-out of {_whose(row)} was withdrawn, entered by {row.withdrawn_by}."
    told = _entry(row, "opt_out", said, at=row.withdrawn_at, partner=row.partner)
    return told.model_copy(update={"recorded_at": None})  # it changed a row, which has the time of its first


def _ruling(row: OptOutRulingRow, partner: str) -> Entry:
    said = (
        f"Run {row.run_id} ruled on the opt-outs: partner {row.verdict.value}, single customers "
        f"{len(row.customers_in_time)} in time, {len(row.customers_late)} late."
    )
    return _entry(
        row, "opt_out_ruling", said, partner=partner, deadline_at=_instant(row.deadline_at),
        customers_in_time=row.customers_in_time, customers_late=row.customers_late,
    )  # fmt: skip


def _question(row: QuestionRow) -> Entry:
    said = f"Run {row.run_id} asked: {row.subject}"
    return _entry(
        row, "question", said, at=row.asked_at, partner=row.partner, about=row.about,
        fingerprint=row.fingerprint,
    )  # fmt: skip


def _refused_answers(scope: _Scope) -> Select[Any]:
    """Answers that do not count. Those that do are told by what they decide."""
    return (
        select(QuestionAnswerRow, QuestionRow)
        .join(QuestionRow, QuestionRow.question_id == QuestionAnswerRow.question_id)
        .where(scope.of_partners(QuestionRow), QuestionAnswerRow.refused != "")
    )


def _refused_answer(row: QuestionAnswerRow, asked: QuestionRow) -> Entry:
    return _entry(
        row, "question", row.refused, partner=asked.partner, about=asked.about, fingerprint=asked.fingerprint
    )


def _plan(row: PlanRow) -> Entry:
    classes = ", ".join(f"{n} {klass}" for klass, n in row.tally.items()) or "no subscriptions"
    said = f"{_named(row)} by campaign version {row.campaign_version}: {classes}."
    return _entry(row, "plan", said, at=row.created_at, partner=row.partner, **_plan_facts(row))


def _plan_lines(scope: _Scope) -> Select[Any]:
    query = (
        select(PlanLineRow, PlanRow)
        .join(PlanRow, PlanRow.plan_id == PlanLineRow.plan_id)
        .where(scope.of_partners(PlanRow))
    )
    return scope.narrowed(query, PlanLineRow.subscription_id)


def _plan_line(row: PlanLineRow, plan: PlanRow) -> Entry:
    said = f"{_named(plan)}: {row.klass.value}. {row.reason} {row.remedy}"
    facts = {
        "class": row.klass.value,
        "reason": row.reason,
        "owner": row.owner.value,
        "warning": row.warning,
        "route": None if row.route is None else row.route.value,
        "term": row.term,
        "billing": row.billing,
        "seats": row.seats,
        "legacy_seats": row.legacy_seats,
        "term_end_at": _instant(row.term_end_at),
        "travels_with": row.travels_with,
        "batch_no": row.batch_no,
        "fingerprint": row.fingerprint,
    }
    return _entry(
        row, "plan", said, at=plan.created_at, partner=plan.partner, subscription=row.subscription_id,
        **_plan_facts(plan), **facts,
    )  # fmt: skip


def _named(plan: PlanRow) -> str:
    return f"Plan {plan.number} ({plan.hash[:SHORT_HASH]})"


def _plan_facts(plan: PlanRow) -> dict[str, Any]:
    """What names a plan; whatever an approval is bound to belongs here."""
    return {
        "plan_id": plan.plan_id,
        "number": plan.number,
        "campaign_version": plan.campaign_version,
        "run_id": plan.run_id,
        "plan_hash": plan.hash,
    }


def _approvals(scope: _Scope) -> Select[Any]:
    """What people said about plans: all of the partner's, or those that a subscription was a line of."""
    query = select(ApprovalRow).where(scope.of_partners(ApprovalRow))
    if scope.legacy_ids is None:
        return query
    with_it = (
        select(PlanLineRow.plan_id)
        .join(PlanRow, PlanRow.plan_id == PlanLineRow.plan_id)
        .where(
            PlanRow.campaign == ApprovalRow.campaign,
            PlanRow.partner == ApprovalRow.partner,
            PlanRow.hash == ApprovalRow.plan_hash,
            PlanLineRow.subscription_id.in_(scope.legacy_ids),
            PlanLineRow.fingerprint.is_not(None),
        )
        .exists()
    )
    return query.where(with_it)


def _approval(row: ApprovalRow) -> Entry:
    said = f"{approval_of(row).sentence.rstrip('.')}."
    return _entry(row, "approval", said, partner=row.partner, plan_hash=row.plan_hash)


def _undo_plans(scope: _Scope) -> Select[Any]:
    query = select(UndoPlanRow).where(scope.of_partners(UndoPlanRow))
    return query if scope.legacy_ids is None else query.where(_undoes(scope.legacy_ids))


def _undo_answers(scope: _Scope) -> Select[Any]:
    query = (
        select(UndoAnswerRow, UndoPlanRow)
        .join(UndoPlanRow, UndoPlanRow.plan_id == UndoAnswerRow.plan_id)
        .where(scope.of_partners(UndoPlanRow))
    )
    return query if scope.legacy_ids is None else query.where(_undoes(scope.legacy_ids))


def _undoes(legacy_ids: Sequence[str]) -> ColumnElement[bool]:
    """Whether one of the plan's lines is about one of these subscriptions."""
    return or_(
        *(UndoPlanRow.lines.contains({"lines": [{"legacy_id": legacy_id}]}) for legacy_id in legacy_ids)
    )


def _undo_plan(row: UndoPlanRow) -> Entry:
    lines = row.lines["lines"]
    subscriptions = len({line["legacy_id"] for line in lines})
    said = f"Run {row.run_id} planned to undo {subscriptions} subscriptions (lines {row.hash[:12]})."
    return _entry(row, "undo", said, at=row.created_at, partner=row.partner, hash=row.hash, lines=lines)


def _undo_answer(row: UndoAnswerRow, plan: UndoPlanRow) -> Entry:
    word = "approved" if row.approved else "did not approve"
    said = f"{row.who} {word} the undo of run {plan.run_id} (lines {row.hash[:12]})."
    return _entry(row, "undo", said, partner=plan.partner, hash=row.hash)


_DECISION_WORDS = {
    DecisionKind.CONFIRM_CONVERSION: "decided to convert it",
    DecisionKind.WITHDRAW_CONFIRMATION: "took the decision to convert it back",
}


def _decision(row: DecisionRow) -> Entry:
    return _entry(
        row, "decision", f"{row.decided_by} {_DECISION_WORDS[row.kind]}: {row.reason}", partner=row.partner,
        subscription=row.subscription_id, decided_by=row.decided_by, decision=row.kind.value,
    )  # fmt: skip


def _moves(scope: _Scope) -> Select[Any]:
    return (
        select(ConversionHistoryRow, ConversionRow)
        .join(ConversionRow, ConversionRow.conversion_id == ConversionHistoryRow.conversion_id)
        .where(scope.conversions())
    )


def _move(row: ConversionHistoryRow, conversion: ConversionRow) -> Entry:
    said = f"Conversion {row.state.value}{': ' + row.reason if row.reason else '.'}"
    told = _entry(row, "conversion", said, partner=conversion.partner, subscription=conversion.legacy_id)
    return told.model_copy(update={"facts": row.facts})


def _intentions(scope: _Scope) -> Select[Any]:
    return (
        select(CommandRow, ConversionRow)
        .join(ConversionRow, ConversionRow.conversion_id == CommandRow.conversion_id)
        .where(scope.conversions())
    )


def _intention(row: CommandRow, conversion: ConversionRow) -> Entry:
    said = f"Command {row.command_id} ({row.kind}) is intended with request id {row.request_id}."
    return _entry(
        row, "command", said, at=row.intended_at, partner=conversion.partner,
        subscription=conversion.legacy_id, command_id=row.command_id, command=row.kind, event="intended",
        request_id=row.request_id, payload=row.payload,
    )  # fmt: skip


def _command_events(scope: _Scope) -> Select[Any]:
    return (
        select(CommandEventRow, CommandRow, ConversionRow)
        .join(CommandRow, CommandRow.command_id == CommandEventRow.command_id)
        .join(ConversionRow, ConversionRow.conversion_id == CommandRow.conversion_id)
        .where(scope.conversions())
    )


_EVENT_WORDS = {
    CommandEvent.SENDING: "is being sent",
    CommandEvent.ACCEPTED: "was accepted",
    CommandEvent.REFUSED: "was refused",
    CommandEvent.LOST: "got no usable answer",
    CommandEvent.FOUND: "was found to have arrived",
    CommandEvent.NOT_FOUND: "was found not to have arrived",
}


def _command_event(row: CommandEventRow, command: CommandRow, conversion: ConversionRow) -> Entry:
    code = "" if row.code is None else f", code {row.code}"
    status = f" (HTTP {row.status}{code})" if row.status else ""
    said = f"Command {row.command_id} ({command.kind}) {_EVENT_WORDS[row.event]}{status}."
    return _entry(
        row, "command", said, partner=conversion.partner, subscription=conversion.legacy_id,
        command_id=row.command_id, command=command.kind, event=row.event.value,
        request_id=command.request_id, status=row.status, code=row.code,
        correlation_id=row.correlation_id, body=row.body,
    )  # fmt: skip


def _undo_events(scope: _Scope) -> Select[Any]:
    """Undo cases with each state they were in."""
    query = select(UndoEventRow, UndoCaseRow).join(UndoCaseRow, UndoEventRow.case_id == UndoCaseRow.case_id)
    if scope.legacy_ids is None:
        return query.where(scope.of_partners(UndoCaseRow))
    about = (
        select(UndoLineRow.case_id)
        .join(ConversionRow, ConversionRow.conversion_id == UndoLineRow.conversion_id)
        .where(ConversionRow.legacy_id.in_(scope.legacy_ids))
    )
    return query.where(UndoCaseRow.case_id.in_(about))


def _undo_event(row: UndoEventRow, case: UndoCaseRow) -> Entry:
    said = f"Undo case {case.case_id} is {row.state.value} ({row.by}). {row.sentence or case.reason}"
    return _entry(
        row, "undo", said, partner=case.partner, subscription=case.base_id, case=case.case_id,
        cause=case.cause.value, reason=case.reason,
    )  # fmt: skip


def _findings(scope: _Scope) -> Select[Any]:
    query = (
        select(FindingHistoryRow, FindingRow)
        .join(FindingRow, FindingRow.finding_id == FindingHistoryRow.finding_id)
        .where(scope.of_partners(FindingRow))
    )
    return scope.narrowed(query, FindingRow.subscription_id)


_FINDING_WORDS = {
    FindingEvent.OPENED: "Found",
    FindingEvent.CHANGED: "Found now",
    FindingEvent.RESOLVED: "Not found any more",
    FindingEvent.RETURNED: "Found again",
}


def _finding(row: FindingHistoryRow, found: FindingRow) -> Entry:
    said = f"{_FINDING_WORDS[row.event]}: {found.kind.value}, {row.severity.value}. {row.sentence}"
    return _entry(
        row, "finding", said, partner=found.partner, subscription=found.subscription_id,
        finding=found.finding_id, event=row.event.value, gap=row.gap.value, owner=row.owner.value,
        run_id=row.run_id,
    )  # fmt: skip


def _instant(at: datetime | None) -> str | None:
    return None if at is None else f"{at:%Y-%m-%dT%H:%M:%SZ}"


_PARTNERS = (
    _Table(lambda s: select(CampaignVersionRow).where(CampaignVersionRow.campaign == s.campaign), _version),
    _Table(_campaign_events, _campaign_event),
    _Table(_of_runs(RunHistoryRow), _run),
    _Table(_of_runs(CheckHistoryRow), _check),
    _Table(lambda s: select(OptOutRow).where(s.of_partners(OptOutRow)), _opt_out),
    _Table(
        lambda s: select(OptOutRow).where(s.of_partners(OptOutRow), OptOutRow.withdrawn_at.is_not(None)),
        _withdrawal,
    ),
    _Table(_of_runs(OptOutRulingRow), _ruling),
    _Table(lambda s: select(QuestionRow).where(s.of_partners(QuestionRow)), _question),
    _Table(_refused_answers, _refused_answer),
)
_PLANS = _Table(lambda s: select(PlanRow).where(s.of_partners(PlanRow)), _plan)
_PLAN_LINES = _Table(_plan_lines, _plan_line)
_WHOLE_PLANS = (
    _Table(_approvals, _approval),
    _Table(_undo_plans, _undo_plan),
    _Table(_undo_answers, _undo_answer),
)
_SUBSCRIPTIONS = (
    _Table(
        lambda s: s.narrowed(
            select(DecisionRow).where(s.of_partners(DecisionRow)), DecisionRow.subscription_id
        ),
        _decision,
    ),
    _Table(_moves, _move),
    _Table(_intentions, _intention),
    _Table(_command_events, _command_event),
    _Table(_undo_events, _undo_event),
    _Table(_findings, _finding),
)
