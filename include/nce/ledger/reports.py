"""The ledger read for people: where a campaign stands.

Responsible for the stable shape the command line, the demonstration and the board read. One query per kind of
fact, never one per partner or subscription. Leaves how one thing came about to `explain`, how it looks to the
readers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer
from sqlalchemy import ColumnElement, Text, and_, case, cast, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from include.nce.domain.classification import SubscriptionClass, class_of, effective_class
from include.nce.domain.conversion import ConversionState, Route
from include.nce.domain.opt_out import OptOutVerdict
from include.nce.domain.outcome import RunOutcome
from include.nce.domain.readiness import Answer, Check, Owner
from include.nce.ledger.policy import find_partner, latest_number
from include.nce.ledger.tables import (
    CheckRow,
    ConversionRow,
    CustomerRow,
    OptOutRulingRow,
    PartnerRow,
    PlanLineRow,
    PlanRow,
    RunRow,
)
from include.nce.ledger.transactions import Transactions
from include.nce.ledger.undo import open_case_counts, open_cases_about

Moment = Annotated[datetime, PlainSerializer(lambda at: f"{at:%Y-%m-%dT%H:%M:%SZ}", when_used="json")]


class Report(BaseModel):
    """A shape other programs read: names and meanings stay, fields are only added."""

    model_config = ConfigDict(frozen=True)


class CheckStatus(Report):
    """The present answer of one check of the run."""

    answer: Answer = Field(description="The latest answer.")
    reason: str = Field(description="What was found, in one sentence.")
    owner: Owner = Field(description="Who has to act next.")
    remedy: str = Field(description="How; empty when nobody has to.")
    code: int | None = Field(description="Microsoft's code, when there was one.")
    asked_at: Moment = Field(description="When it was last asked.")


class OptOutStatus(Report):
    """What the run ruled on the opt-outs; `verdict` is null while it has not ruled."""

    verdict: OptOutVerdict | None = Field(default=None, description="For the whole partner.")
    customers_in_time: list[str] = Field(
        default_factory=list, description="Tenant ids of single customers that opted out in time."
    )


class SubscriptionStatus(Report):
    """One line of the partner's plan, overridden by what its conversion came to."""

    subscription: str = Field(description="Id of the subscription the line is about.")
    customer: str = Field(description="Tenant id of the end customer.")
    customer_name: str | None = Field(description="Its name; null when Partner Center gave none.")
    offer_id: str = Field(description="Microsoft's id of the legacy offer.")
    offer_name: str = Field(description="Microsoft's name of it.")
    seats: int = Field(description="Seats of legacy when it was planned.")
    term_end_at: Moment | None = Field(description="When the present term ends.")
    klass: SubscriptionClass = Field(alias="class", description="What becomes of it.")
    reason: str = Field(description="Why, in one sentence.")
    owner: Owner = Field(description="Who has to act next.")
    remedy: str = Field(description="How; empty when nobody has to.")
    warning: str = Field(description="What goes on but deserves a look; mostly empty.")
    route: Route | None = Field(description="How it is converted; null when it is not.")
    nce_subscription: str | None = Field(description="Id of the NCE subscription that replaces it.")
    conversion_state: ConversionState | None = Field(
        description="How far its conversion is; null without one."
    )
    window_opens_at: Moment | None = Field(description="When it becomes due.")
    last_safe_start_at: Moment | None = Field(
        description="After this, Microsoft may not finish before the term ends."
    )
    travels_with: str | None = Field(description="For an add-on, the subscription it is converted with.")
    undo_case: int | None = Field(description="Number of the open undo case it is in; see `nce undo list`.")


class PartnerStatus(Report):
    """One partner with its run, or without one when none was opened yet.

    The run is the latest that is not a dry run (mode `plan`), or the latest dry run when there is no other.
    `subscriptions` is empty unless asked for; `totals` counts them by class in any case.
    """

    partner: str = Field(description="Short id, as run ids and the command line use it.")
    name: str = Field(description="As the roster has it.")
    tenant_id: str = Field(description="The reseller's own tenant.")
    mpn_id: str | None = Field(description="Its local PartnerID (location account).")
    country: str = Field(description="Two letters.")
    province: str | None = Field(description="As the roster has it.")
    run_id: str | None = Field(description="The run's id in Airflow.")
    mode: str | None = Field(description="`plan` or `apply`.")
    outcome: RunOutcome | None = Field(description="How the run ended; null while it is open.")
    sentence: str = Field(description="What the run said when it closed; empty while it is open.")
    opened_at: Moment | None = Field(description="When the run was last opened.")
    closed_at: Moment | None = Field(description="When it was closed; null while it is open.")
    checks: dict[Check, CheckStatus] = Field(description="The checks that were asked in this run.")
    opt_out: OptOutStatus = Field(description="What the run ruled.")
    totals: dict[SubscriptionClass, int] = Field(description="Subscriptions by class.")
    subscriptions: list[SubscriptionStatus] = Field(description="The lines of its latest plan.")
    open_undo_cases: int = Field(description="How many of its undo cases are open; see `nce undo list`.")


class Totals(Report):
    """Sums over the partners shown; those without an outcome count as `running` or `not_started`."""

    partners: int = Field(description="How many partners.")
    subscriptions: dict[SubscriptionClass, int] = Field(description="Subscriptions by class.")
    outcomes: dict[str, int] = Field(description="Partners by outcome, `running` or `not_started`.")


class CampaignStatus(Report):
    """`model_dump_json(by_alias=True)` is the stable JSON."""

    schema_: Literal[1] = Field(default=1, alias="schema", description="Number of this shape.")
    campaign: str = Field(description="Its name.")
    version: int = Field(description="The version of the campaign in force.")
    partners: list[PartnerStatus] = Field(description="In the order of their ids.")
    totals: Totals = Field(description="Sums over the partners.")


@dataclass(frozen=True)
class Page:
    """A part of a campaign's partners: the `limit` next ones `after` that id.

    `standing` narrows to an outcome, `running` or `not_started`; `search` to those whose id or name has this
    text in it.
    """

    limit: int
    after: str = ""
    standing: str | None = None
    search: str = ""


class Reports(Transactions):
    """The status of a campaign."""

    async def standings(self, campaign: str) -> Mapping[str, int]:
        """How many partners stand how: by outcome, `running` or `not_started`; in the order of the
        outcomes."""
        latest_run = _latest_run()
        standing = _standing(latest_run)
        query = (
            select(standing, func.count())
            .select_from(PartnerRow)
            .outerjoin(latest_run, true())
            .where(PartnerRow.campaign == campaign)
            .group_by(standing)
        )
        async with self._transaction() as session:
            await latest_number(session, campaign)
            counted = dict((await session.execute(query)).tuples().all())
        return {name: counted[name] for name in STANDINGS if name in counted}

    async def status(
        self,
        campaign: str,
        partner: str | None = None,
        *,
        with_subscriptions: bool = False,
        page: Page | None = None,
    ) -> CampaignStatus:
        """Where the campaign stands, or one partner of it, or one page of its partners.

        Raises InputRefused with the names that look alike when campaign or partner is unknown.
        """
        async with self._transaction() as session:
            version = await latest_number(session, campaign)
            if partner is not None:
                await find_partner(session, campaign, partner)
            shown = await _partners_with_run_and_plan(session, campaign, partner, page)
            run_ids = [run.run_id for _, run, _ in shown if run is not None]
            plan_ids = [plan_id for _, _, plan_id in shown if plan_id is not None]
            checks = await _checks(session, run_ids)
            rulings = await _rulings(session, run_ids)
            totals = await _class_counts(session, plan_ids)
            lines = await _lines(session, plan_ids) if with_subscriptions else {}
            undo_cases = await open_case_counts(session, campaign)
        partners = [
            _partner_status(
                row,
                run,
                checks=checks.get(run.run_id, {}) if run else {},
                opt_out=rulings.get(run.run_id, OptOutStatus()) if run else OptOutStatus(),
                totals=totals.get(plan_id, {}),
                subscriptions=lines.get(plan_id, []),
                open_undo_cases=undo_cases.get(row.partner, 0),
            )
            for row, run, plan_id in shown
        ]
        return CampaignStatus(
            campaign=campaign, version=version, partners=partners, totals=_totals(partners, totals.values())
        )


STANDINGS = ("not_started", "running", *(outcome.value for outcome in RunOutcome))
"""How a partner can stand: without a run, with an open one, or by the outcome of its run."""


def _latest_run() -> type[RunRow]:
    """The run to show of each partner."""
    theirs = (RunRow.campaign == PartnerRow.campaign, RunRow.partner == PartnerRow.partner)
    return aliased(
        RunRow,
        select(RunRow)
        .where(*theirs)
        .order_by(RunRow.mode == "plan", RunRow.opened_at.desc(), RunRow.run_id.desc())
        .limit(1)
        .lateral(),
    )


def _standing(latest_run: type[RunRow]) -> ColumnElement[str]:
    return case(
        (latest_run.run_id.is_(None), "not_started"),
        (latest_run.outcome.is_(None), "running"),
        else_=cast(latest_run.outcome, Text()),
    )


async def _partners_with_run_and_plan(
    session: AsyncSession, campaign: str, partner: str | None, page: Page | None
) -> list[tuple[PartnerRow, RunRow | None, int | None]]:
    """Each partner with the run to show and the plan that speaks for it: that run's, else its latest."""
    latest_run = _latest_run()
    latest_plan = (
        select(PlanRow.plan_id)
        .where(PlanRow.campaign == PartnerRow.campaign, PlanRow.partner == PartnerRow.partner)
        .order_by(case((PlanRow.run_id == latest_run.run_id, 0), else_=1), PlanRow.number.desc())
        .limit(1)
        .lateral()
    )
    query = (
        select(PartnerRow, latest_run, latest_plan.c.plan_id)
        .select_from(PartnerRow)
        .outerjoin(latest_run, true())
        .outerjoin(latest_plan, true())
        .where(PartnerRow.campaign == campaign)
        .order_by(PartnerRow.partner)
    )
    if partner is not None:
        query = query.where(PartnerRow.partner == partner)
    if page is not None:
        query = query.where(PartnerRow.partner > page.after).limit(page.limit)
        if page.standing is not None:
            query = query.where(_standing(latest_run) == page.standing)
        if page.search:
            query = query.where(
                or_(
                    PartnerRow.partner.icontains(page.search, autoescape=True),
                    PartnerRow.name.icontains(page.search, autoescape=True),
                )
            )
    return [(row, run, plan_id) for row, run, plan_id in await session.execute(query)]


async def _checks(session: AsyncSession, run_ids: Sequence[str]) -> dict[str, dict[Check, CheckStatus]]:
    order = list(Check)
    found: dict[str, dict[Check, CheckStatus]] = {}
    rows = (await session.scalars(select(CheckRow).where(CheckRow.run_id.in_(run_ids)))).all()
    for row in sorted(rows, key=lambda row: order.index(row.check)):
        found.setdefault(row.run_id, {})[row.check] = CheckStatus(
            answer=row.answer,
            reason=row.reason,
            owner=row.owner,
            remedy=row.remedy,
            code=row.code,
            asked_at=row.asked_at,
        )
    return found


async def _rulings(session: AsyncSession, run_ids: Sequence[str]) -> dict[str, OptOutStatus]:
    query = (
        select(OptOutRulingRow)
        .where(OptOutRulingRow.run_id.in_(run_ids))
        .order_by(OptOutRulingRow.run_id, OptOutRulingRow.ruling_id.desc())
        .distinct(OptOutRulingRow.run_id)
    )
    return {
        row.run_id: OptOutStatus(verdict=row.verdict, customers_in_time=row.customers_in_time)
        for row in await session.scalars(query)
    }


async def _class_counts(
    session: AsyncSession, plan_ids: Sequence[int]
) -> dict[int | None, dict[SubscriptionClass, int]]:
    query = (
        select(PlanLineRow.plan_id, PlanLineRow.klass, ConversionRow.state, func.count())
        .outerjoin(ConversionRow, ConversionRow.conversion_id == PlanLineRow.conversion_id)
        .where(PlanLineRow.plan_id.in_(plan_ids))
        .group_by(PlanLineRow.plan_id, PlanLineRow.klass, ConversionRow.state)
    )
    counted: dict[int | None, Counter[SubscriptionClass]] = {}
    for plan_id, klass, state, number in await session.execute(query):
        counted.setdefault(plan_id, Counter())[effective_class(klass, state)] += number
    return {plan_id: _in_class_order(counter) for plan_id, counter in counted.items()}


async def _lines(
    session: AsyncSession, plan_ids: Sequence[int]
) -> dict[int | None, list[SubscriptionStatus]]:
    query = (
        select(PlanLineRow, ConversionRow, CustomerRow.name)
        .join(PlanRow, PlanRow.plan_id == PlanLineRow.plan_id)
        .outerjoin(ConversionRow, ConversionRow.conversion_id == PlanLineRow.conversion_id)
        .outerjoin(
            CustomerRow,
            and_(
                CustomerRow.campaign == PlanRow.campaign,
                CustomerRow.partner == PlanRow.partner,
                CustomerRow.customer_id == PlanLineRow.customer_id,
            ),
        )
        .where(PlanLineRow.plan_id.in_(plan_ids))
        .order_by(PlanLineRow.plan_id, PlanLineRow.position)
    )
    rows = (await session.execute(query)).tuples().all()
    cases = await open_cases_about(session, [line.subscription_id for line, *_ in rows])
    found: dict[int | None, list[SubscriptionStatus]] = {}
    for line, conversion, customer_name in rows:
        case = cases.get(line.subscription_id)
        found.setdefault(line.plan_id, []).append(
            _subscription_status(line, conversion, customer_name, undo_case=case.case_id if case else None)
        )
    return found


def _subscription_status(
    line: PlanLineRow, conversion: ConversionRow | None, customer_name: str | None, *, undo_case: int | None
) -> SubscriptionStatus:
    klass, reason, owner, remedy = line.klass, line.reason, line.owner, line.remedy
    nce_subscription = line.nce_subscription_id
    if conversion is not None:
        klass = effective_class(line.klass, conversion.state)
        nce_subscription = conversion.nce_subscription_id or nce_subscription
        if conversion.state is not ConversionState.PLANNED:
            reason = conversion.reason or reason
        if class_of(conversion.state) is not None:
            needs_somebody = klass in (SubscriptionClass.FAILED, SubscriptionClass.HELD)
            owner, remedy = (Owner.OPERATOR if needs_somebody else Owner.NOBODY), ""
    return SubscriptionStatus.model_validate(
        {
            "subscription": line.subscription_id,
            "customer": line.customer_id,
            "customer_name": customer_name,
            "offer_id": line.offer_id,
            "offer_name": line.offer_name,
            "seats": line.legacy_seats,
            "term_end_at": line.term_end_at,
            "class": klass,
            "reason": reason,
            "owner": owner,
            "remedy": remedy,
            "warning": line.warning,
            "route": line.route,
            "nce_subscription": nce_subscription,
            "conversion_state": None if conversion is None else conversion.state,
            "window_opens_at": line.window_opens_at,
            "last_safe_start_at": line.last_safe_start_at,
            "travels_with": line.travels_with,
            "undo_case": undo_case,
        }
    )


def _partner_status(
    row: PartnerRow,
    run: RunRow | None,
    *,
    checks: dict[Check, CheckStatus],
    opt_out: OptOutStatus,
    totals: dict[SubscriptionClass, int],
    subscriptions: list[SubscriptionStatus],
    open_undo_cases: int,
) -> PartnerStatus:
    return PartnerStatus(
        partner=row.partner,
        name=row.name,
        tenant_id=row.tenant_id,
        mpn_id=row.mpn_id,
        country=row.country,
        province=row.province,
        run_id=run.run_id if run else None,
        mode=run.mode if run else None,
        outcome=run.outcome if run else None,
        sentence=run.sentence if run else "",
        opened_at=run.opened_at if run else None,
        closed_at=run.closed_at if run else None,
        checks=checks,
        opt_out=opt_out,
        totals=totals,
        subscriptions=subscriptions,
        open_undo_cases=open_undo_cases,
    )


def _totals(partners: Sequence[PartnerStatus], counts: Iterable[Mapping[SubscriptionClass, int]]) -> Totals:
    classes: Counter[SubscriptionClass] = Counter()
    for counted in counts:
        classes.update(counted)
    outcomes: Counter[str] = Counter()
    for partner in partners:
        if partner.outcome is not None:
            outcomes[partner.outcome.value] += 1
        else:
            outcomes["not_started" if partner.run_id is None else "running"] += 1
    return Totals(
        partners=len(partners),
        subscriptions=_in_class_order(classes),
        outcomes=dict(sorted(outcomes.items())),
    )


def _in_class_order(counted: Mapping[SubscriptionClass, int]) -> dict[SubscriptionClass, int]:
    return {klass: counted[klass] for klass in SubscriptionClass if counted.get(klass)}
