"""The ledger read for people: everything on record about one partner or subscription, in order.

Responsible for turning rows into dated sentences. One query per kind of fact.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from pydantic import Field
from sqlalchemy import ColumnElement, Text, and_, cast, or_, select
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


async def about_partners(session: AsyncSession, campaign: str, partners: Sequence[str]) -> list[Entry]:
    """What is on record about whole partners and their campaign; a new kind of it is added here.

    Here belongs as well what is bound to a whole plan, such as an approval. The plans themselves come from
    `plan_entries`.
    """
    return [
        *await _policy_entries(session, campaign),
        *await _campaign_entries(session, campaign, partners),
        *await _run_entries(session, campaign, partners),
        *await _check_entries(session, campaign, partners),
        *await _opt_out_entries(session, campaign, partners),
        *await _question_entries(session, campaign, partners),
    ]


async def about_whole_plans(
    session: AsyncSession, campaign: str, partners: Sequence[str], legacy_ids: Sequence[str] | None
) -> list[Entry]:
    """What people approved or rejected: all of the partners', or where one of `legacy_ids` was a line."""
    return [
        *await _approval_entries(session, campaign, partners, legacy_ids),
        *await _undo_plan_entries(session, campaign, partners, legacy_ids),
    ]


async def about_subscriptions(
    session: AsyncSession, campaign: str, partners: Sequence[str], legacy_ids: Sequence[str] | None
) -> list[Entry]:
    """What is on record about these subscriptions, or about all of the partners'; a new kind is added here.

    The evidence pack asks for a page of subscriptions at a time: one query for each kind of fact, narrowed to
    `legacy_ids` where they are given.
    """
    return [
        *await plan_entries(session, campaign, partners, legacy_ids),
        *await about_whole_plans(session, campaign, partners, legacy_ids),
        *await _decision_entries(session, campaign, partners, legacy_ids),
        *await _conversion_entries(session, campaign, partners, legacy_ids),
        *await _command_entries(session, campaign, partners, legacy_ids),
        *await _undo_entries(session, campaign, partners, legacy_ids),
        *await _finding_entries(session, campaign, partners, legacy_ids),
    ]


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


async def _question_entries(session: AsyncSession, campaign: str, partners: Sequence[str]) -> list[Entry]:
    """What people were asked, and answers that do not count. Those that do are told by what they decide."""
    mine = QuestionRow.campaign == campaign, QuestionRow.partner.in_(partners)
    asked = (await session.scalars(select(QuestionRow).where(*mine))).all()
    refused = await session.execute(
        select(QuestionAnswerRow, QuestionRow)
        .join(QuestionRow, QuestionRow.question_id == QuestionAnswerRow.question_id)
        .where(*mine, QuestionAnswerRow.refused != "")
    )
    told = [
        *((row, row, row.asked_at, f"Run {row.run_id} asked: {row.subject}") for row in asked),
        *((answer, row, answer.at, answer.refused) for answer, row in refused.tuples()),
    ]
    return [
        Entry(
            at=at,
            recorded_at=row.recorded_at,
            kind="question",
            partner=question.partner,
            subscription=None,
            sentence=sentence,
            facts={"about": question.about, "fingerprint": question.fingerprint},
        )
        for row, question, at, sentence in told
    ]


async def _policy_entries(session: AsyncSession, campaign: str) -> list[Entry]:
    query = select(CampaignVersionRow).where(CampaignVersionRow.campaign == campaign)
    return [
        Entry(
            at=row.created_at,
            recorded_at=row.recorded_at,
            kind="campaign",
            partner=None,
            subscription=None,
            sentence=f"{row.author} made version {row.version} of the campaign: {row.reason}",
            facts={"version": row.version, "author": row.author},
        )
        for row in await session.scalars(query)
    ]


async def _campaign_entries(session: AsyncSession, campaign: str, partners: Sequence[str]) -> list[Entry]:
    """Stops and releases, which hold for everybody, and these partners' waves."""
    everybodys = CampaignEventRow.event.in_([CampaignEvent.STOPPED, CampaignEvent.RELEASED])
    query = select(CampaignEventRow).where(
        CampaignEventRow.campaign == campaign,
        or_(everybodys, cast(CampaignEventRow.partners, ARRAY(Text())).overlap(list(partners))),
    )
    return [
        Entry(
            at=row.at,
            recorded_at=row.recorded_at,
            kind="wave" if row.event in (CampaignEvent.WAVE_BEGUN, CampaignEvent.WENT_AHEAD) else "brake",
            partner=None,
            subscription=None,
            sentence=_in_words(row),
            facts={**row.figures, "partners": row.partners},
        )
        for row in await session.scalars(query)
    ]


def _in_words(row: CampaignEventRow) -> str:
    if row.event is CampaignEvent.WAVE_BEGUN:
        return f"Wave {row.wave} began."
    if row.event is CampaignEvent.WENT_AHEAD:
        return f"{', '.join(row.partners)} went ahead of its wave. {row.reason}"
    return f"The campaign was {row.event.value} by {row.by}: {row.reason}"


_RUN_WORDS = {RunEvent.OPENED: "opened", RunEvent.REOPENED: "opened again", RunEvent.CLOSED: "closed"}


async def _run_entries(session: AsyncSession, campaign: str, partners: Sequence[str]) -> list[Entry]:
    query = (
        select(RunHistoryRow, RunRow.partner)
        .join(RunRow, RunRow.run_id == RunHistoryRow.run_id)
        .where(RunRow.campaign == campaign, RunRow.partner.in_(partners))
    )
    entries = []
    for row, partner in await session.execute(query):
        ending = f" as {row.outcome.value}: {row.sentence}" if row.outcome else f" in mode {row.mode}."
        entries.append(
            Entry(
                at=row.at,
                recorded_at=row.recorded_at,
                kind="run",
                partner=partner,
                subscription=None,
                sentence=f"Run {row.run_id} was {_RUN_WORDS[row.event]}{ending}",
                facts={"run_id": row.run_id, "opening": row.opening, "mode": row.mode},
            )
        )
    return entries


async def _check_entries(session: AsyncSession, campaign: str, partners: Sequence[str]) -> list[Entry]:
    query = (
        select(CheckHistoryRow, RunRow.partner)
        .join(RunRow, RunRow.run_id == CheckHistoryRow.run_id)
        .where(RunRow.campaign == campaign, RunRow.partner.in_(partners))
    )
    return [
        Entry(
            at=row.at,
            recorded_at=row.recorded_at,
            kind="check",
            partner=partner,
            subscription=None,
            sentence=f"{row.check.value}: {row.answer.value}. {finding_of(row).sentence}",
            facts={
                "check": row.check.value,
                "answer": row.answer.value,
                "run_id": row.run_id,
                "code": row.code,
                "missing_customers": row.missing_customers,
            },
        )
        for row, partner in await session.execute(query)
    ]


async def _opt_out_entries(session: AsyncSession, campaign: str, partners: Sequence[str]) -> list[Entry]:
    entries = []
    forms = select(OptOutRow).where(OptOutRow.campaign == campaign, OptOutRow.partner.in_(partners))
    for row in await session.scalars(forms):
        whose = f"customer {row.customer_id}" if row.customer_id else "the whole partner"
        about = {"kind": "opt_out", "partner": row.partner, "subscription": None}
        entries.append(
            Entry(
                at=row.received_at,
                recorded_at=row.recorded_at,
                sentence=f"An opt-out of {whose} came in, entered by {row.recorded_by}. {row.note}".strip(),
                **about,
            )
        )
        if row.withdrawn_at is not None:
            withdrawn = f"The opt-out of {whose} was withdrawn, entered by {row.withdrawn_by}."
            entries.append(Entry(at=row.withdrawn_at, recorded_at=None, sentence=withdrawn, **about))
    rulings = (
        select(OptOutRulingRow, RunRow.partner)
        .join(RunRow, RunRow.run_id == OptOutRulingRow.run_id)
        .where(RunRow.campaign == campaign, RunRow.partner.in_(partners))
    )
    for ruling, partner in await session.execute(rulings):
        entries.append(
            Entry(
                at=ruling.at,
                recorded_at=ruling.recorded_at,
                kind="opt_out_ruling",
                partner=partner,
                subscription=None,
                sentence=f"Run {ruling.run_id} ruled on the opt-outs: partner {ruling.verdict.value}, single "
                f"customers {len(ruling.customers_in_time)} in time, {len(ruling.customers_late)} late.",
                facts={
                    "deadline_at": f"{ruling.deadline_at:%Y-%m-%dT%H:%M:%SZ}",
                    "customers_in_time": ruling.customers_in_time,
                    "customers_late": ruling.customers_late,
                },
            )
        )
    return entries


async def plan_entries(
    session: AsyncSession, campaign: str, partners: Sequence[str], legacy_ids: Sequence[str] | None
) -> list[Entry]:
    theirs = (PlanRow.campaign == campaign, PlanRow.partner.in_(partners))
    if legacy_ids is None:
        return [
            Entry(
                at=plan.created_at,
                recorded_at=plan.recorded_at,
                kind="plan",
                partner=plan.partner,
                subscription=None,
                sentence=f"Plan {plan.number} ({plan.hash[:SHORT_HASH]}) by campaign version "
                f"{plan.campaign_version}: "
                + (", ".join(f"{n} {klass}" for klass, n in plan.tally.items()) or "no subscriptions")
                + ".",
                facts=_plan_facts(plan),
            )
            for plan in await session.scalars(select(PlanRow).where(*theirs))
        ]
    query = (
        select(PlanLineRow, PlanRow)
        .join(PlanRow, PlanRow.plan_id == PlanLineRow.plan_id)
        .where(*theirs, PlanLineRow.subscription_id.in_(legacy_ids))
    )
    return [
        Entry(
            at=plan.created_at,
            recorded_at=line.recorded_at,
            kind="plan",
            partner=plan.partner,
            subscription=line.subscription_id,
            sentence=f"Plan {plan.number} ({plan.hash[:SHORT_HASH]}): {line.klass.value}. "
            f"{line.reason} {line.remedy}".strip(),
            facts={
                **_plan_facts(plan),
                "class": line.klass.value,
                "reason": line.reason,
                "owner": line.owner.value,
                "warning": line.warning,
                "route": None if line.route is None else line.route.value,
                "term": line.term,
                "billing": line.billing,
                "seats": line.seats,
                "legacy_seats": line.legacy_seats,
                "term_end_at": None if line.term_end_at is None else f"{line.term_end_at:%Y-%m-%dT%H:%M:%SZ}",
                "travels_with": line.travels_with,
                "batch_no": line.batch_no,
                "fingerprint": line.fingerprint,
            },
        )
        for line, plan in await session.execute(query)
    ]


async def _approval_entries(
    session: AsyncSession, campaign: str, partners: Sequence[str], legacy_ids: Sequence[str] | None
) -> list[Entry]:
    """What people said about plans: all of the partner's, or those that a subscription was a line of."""
    query = select(ApprovalRow).where(ApprovalRow.campaign == campaign, ApprovalRow.partner.in_(partners))
    if legacy_ids is not None:
        with_it = (
            select(PlanLineRow.plan_id)
            .join(PlanRow, PlanRow.plan_id == PlanLineRow.plan_id)
            .where(
                PlanRow.campaign == ApprovalRow.campaign,
                PlanRow.partner == ApprovalRow.partner,
                PlanRow.hash == ApprovalRow.plan_hash,
                PlanLineRow.subscription_id.in_(legacy_ids),
                PlanLineRow.fingerprint.is_not(None),
            )
            .exists()
        )
        query = query.where(with_it)
    return [
        Entry(
            at=row.at,
            recorded_at=row.recorded_at,
            kind="approval",
            partner=row.partner,
            subscription=None,
            sentence=f"{approval_of(row).sentence.rstrip('.')}.",
            facts={"plan_hash": row.plan_hash},
        )
        for row in await session.scalars(query)
    ]


def _plan_facts(plan: PlanRow) -> dict[str, Any]:
    """What names a plan; whatever an approval is bound to belongs here."""
    return {
        "plan_id": plan.plan_id,
        "number": plan.number,
        "campaign_version": plan.campaign_version,
        "run_id": plan.run_id,
        "plan_hash": plan.hash,
    }


_DECISION_WORDS = {
    DecisionKind.CONFIRM_CONVERSION: "decided to convert it",
    DecisionKind.WITHDRAW_CONFIRMATION: "took the decision to convert it back",
}


async def _decision_entries(
    session: AsyncSession, campaign: str, partners: Sequence[str], legacy_ids: Sequence[str] | None
) -> list[Entry]:
    query = select(DecisionRow).where(DecisionRow.campaign == campaign, DecisionRow.partner.in_(partners))
    if legacy_ids is not None:
        query = query.where(DecisionRow.subscription_id.in_(legacy_ids))
    return [
        Entry(
            at=row.at,
            recorded_at=row.recorded_at,
            kind="decision",
            partner=row.partner,
            subscription=row.subscription_id,
            sentence=f"{row.decided_by} {_DECISION_WORDS[row.kind]}: {row.reason}",
            facts={"decided_by": row.decided_by, "decision": row.kind.value},
        )
        for row in await session.scalars(query)
    ]


def _conversions_meant(
    campaign: str, partners: Sequence[str], legacy_ids: Sequence[str] | None
) -> ColumnElement[bool]:
    """A subscription's conversion whoever made it; a partner's conversions that were made for it."""
    if legacy_ids is not None:
        return ConversionRow.legacy_id.in_(legacy_ids)
    return and_(ConversionRow.campaign == campaign, ConversionRow.partner.in_(partners))


async def _conversion_entries(
    session: AsyncSession, campaign: str, partners: Sequence[str], legacy_ids: Sequence[str] | None
) -> list[Entry]:
    query = (
        select(ConversionHistoryRow, ConversionRow.partner, ConversionRow.legacy_id)
        .join(ConversionRow, ConversionRow.conversion_id == ConversionHistoryRow.conversion_id)
        .where(_conversions_meant(campaign, partners, legacy_ids))
    )
    return [
        Entry(
            at=row.at,
            recorded_at=row.recorded_at,
            kind="conversion",
            partner=partner,
            subscription=legacy_id,
            sentence=f"Conversion {row.state.value}{': ' + row.reason if row.reason else '.'}",
            facts=row.facts,
        )
        for row, partner, legacy_id in await session.execute(query)
    ]


_EVENT_WORDS = {
    CommandEvent.SENDING: "is being sent",
    CommandEvent.ACCEPTED: "was accepted",
    CommandEvent.REFUSED: "was refused",
    CommandEvent.LOST: "got no usable answer",
    CommandEvent.FOUND: "was found to have arrived",
    CommandEvent.NOT_FOUND: "was found not to have arrived",
}


async def _command_entries(
    session: AsyncSession, campaign: str, partners: Sequence[str], legacy_ids: Sequence[str] | None
) -> list[Entry]:
    meant = _conversions_meant(campaign, partners, legacy_ids)
    intentions = (
        select(CommandRow, ConversionRow.partner, ConversionRow.legacy_id)
        .join(ConversionRow, ConversionRow.conversion_id == CommandRow.conversion_id)
        .where(meant)
    )
    entries = [
        Entry(
            at=row.intended_at,
            recorded_at=row.recorded_at,
            kind="command",
            partner=partner,
            subscription=legacy_id,
            sentence=f"Command {row.command_id} ({row.kind}) is intended with request id {row.request_id}.",
            facts={
                "command_id": row.command_id,
                "command": row.kind,
                "event": "intended",
                "request_id": row.request_id,
                "payload": row.payload,
            },
        )
        for row, partner, legacy_id in await session.execute(intentions)
    ]
    events = (
        select(
            CommandEventRow,
            CommandRow.kind,
            CommandRow.request_id,
            ConversionRow.partner,
            ConversionRow.legacy_id,
        )
        .join(CommandRow, CommandRow.command_id == CommandEventRow.command_id)
        .join(ConversionRow, ConversionRow.conversion_id == CommandRow.conversion_id)
        .where(meant)
    )
    for row, kind, request_id, partner, legacy_id in await session.execute(events):
        status = (
            f" (HTTP {row.status}{'' if row.code is None else f', code {row.code}'})" if row.status else ""
        )
        entries.append(
            Entry(
                at=row.at,
                recorded_at=row.recorded_at,
                kind="command",
                partner=partner,
                subscription=legacy_id,
                sentence=f"Command {row.command_id} ({kind}) {_EVENT_WORDS[row.event]}{status}.",
                facts={
                    "command_id": row.command_id,
                    "command": kind,
                    "event": row.event.value,
                    "request_id": request_id,
                    "status": row.status,
                    "code": row.code,
                    "correlation_id": row.correlation_id,
                    "body": row.body,
                },
            )
        )
    return entries


async def _undo_entries(
    session: AsyncSession, campaign: str, partners: Sequence[str], legacy_ids: Sequence[str] | None
) -> list[Entry]:
    """Undo cases with each state they were in."""
    cases = select(UndoCaseRow, UndoEventRow).join(UndoEventRow, UndoEventRow.case_id == UndoCaseRow.case_id)
    if legacy_ids is None:
        cases = cases.where(UndoCaseRow.campaign == campaign, UndoCaseRow.partner.in_(partners))
    else:
        about = (
            select(UndoLineRow.case_id)
            .join(ConversionRow, ConversionRow.conversion_id == UndoLineRow.conversion_id)
            .where(ConversionRow.legacy_id.in_(legacy_ids))
        )
        cases = cases.where(UndoCaseRow.case_id.in_(about))
    return [
        Entry(
            at=event.at,
            recorded_at=event.recorded_at,
            kind="undo",
            partner=case.partner,
            subscription=case.base_id,
            sentence=f"Undo case {case.case_id} is {event.state.value} ({event.by}). "
            f"{event.sentence or case.reason}",
            facts={"case": case.case_id, "cause": case.cause.value, "reason": case.reason},
        )
        for case, event in await session.execute(cases)
    ]


async def _undo_plan_entries(
    session: AsyncSession, campaign: str, partners: Sequence[str], legacy_ids: Sequence[str] | None
) -> list[Entry]:
    """What runs planned to take back, and what a person said to it."""
    entries: list[Entry] = []
    plans = (
        select(UndoPlanRow, UndoAnswerRow)
        .outerjoin(UndoAnswerRow, UndoAnswerRow.plan_id == UndoPlanRow.plan_id)
        .where(UndoPlanRow.campaign == campaign, UndoPlanRow.partner.in_(partners))
    )
    told: set[int] = set()
    for plan, answer in await session.execute(plans):
        named = {line["legacy_id"] for line in plan.lines["lines"]}
        if legacy_ids is not None and named.isdisjoint(legacy_ids):
            continue
        about_plan = {"kind": "undo", "partner": plan.partner, "subscription": None}
        if plan.plan_id not in told:
            told.add(plan.plan_id)
            entries.append(
                Entry(
                    at=plan.created_at,
                    recorded_at=plan.recorded_at,
                    sentence=f"Run {plan.run_id} planned to undo {len(named)} subscriptions (lines "
                    f"{plan.hash[:12]}).",
                    facts={"hash": plan.hash, "lines": plan.lines["lines"]},
                    **about_plan,
                )
            )
        if answer is not None:
            word = "approved" if answer.approved else "did not approve"
            entries.append(
                Entry(
                    at=answer.at,
                    recorded_at=answer.recorded_at,
                    sentence=f"{answer.who} {word} the undo of run {plan.run_id} (lines {answer.hash[:12]}).",
                    facts={"hash": answer.hash},
                    **about_plan,
                )
            )
    return entries


_FINDING_WORDS = {
    FindingEvent.OPENED: "Found",
    FindingEvent.CHANGED: "Found now",
    FindingEvent.RESOLVED: "Not found any more",
    FindingEvent.RETURNED: "Found again",
}


async def _finding_entries(
    session: AsyncSession, campaign: str, partners: Sequence[str], legacy_ids: Sequence[str] | None
) -> list[Entry]:
    query = (
        select(FindingHistoryRow, FindingRow)
        .join(FindingRow, FindingRow.finding_id == FindingHistoryRow.finding_id)
        .where(FindingRow.campaign == campaign, FindingRow.partner.in_(partners))
    )
    if legacy_ids is not None:
        query = query.where(FindingRow.subscription_id.in_(legacy_ids))
    return [
        Entry(
            at=row.at,
            recorded_at=row.recorded_at,
            kind="finding",
            partner=finding.partner,
            subscription=finding.subscription_id,
            sentence=f"{_FINDING_WORDS[row.event]}: {finding.kind.value}, {row.severity.value}. "
            + row.sentence,
            facts={
                "finding": finding.finding_id,
                "event": row.event.value,
                "gap": row.gap.value,
                "owner": row.owner.value,
                "run_id": row.run_id,
            },
        )
        for row, finding in await session.execute(query)
    ]
