"""What the partner's customers hold, and the plans made of it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from enum import Enum
from itertools import chain
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from include.nce.domain.approval import PlannedLine, PlanOnRecord, plan_hash, planned_lines
from include.nce.domain.classification import SubscriptionClass, Verdict, effective_class
from include.nce.domain.conversion import Conversion, ConversionState, Route
from include.nce.domain.errors import InputRefused
from include.nce.domain.plan import tally
from include.nce.domain.subscription import Customer, Subscription
from include.nce.ledger.commands import sent_without_answer
from include.nce.ledger.conversions import conversion_of, history_of, to_be_converted_again
from include.nce.ledger.policy import find_partner, latest_number
from include.nce.ledger.tables import (
    ConversionRow,
    CustomerRow,
    PlanLineRow,
    PlanRow,
    RunRow,
    SubscriptionHistoryRow,
    SubscriptionRow,
)
from include.nce.ledger.transactions import Transactions, find_run, in_turn

_SURVEYED = (
    "customer_id",
    "offer_id",
    "offer_name",
    "kind",
    "status",
    "seats",
    "term_end_at",
    "created_at",
    "auto_renew",
    "is_trial",
    "term",
    "billing",
    "parent_id",
    "partner_mpn_id",
    "migrated_from_id",
    "cancellable_until_at",
    "order_id",
)
_COMPARED = (*_SURVEYED, "suspension_reasons")


class Plans(Transactions):
    """Surveys and plans."""

    async def record_survey(
        self,
        run_id: str,
        subscriptions: Sequence[Subscription],
        customers: Sequence[Customer],
        *,
        at: datetime,
    ) -> None:
        """Keep the latest facts of each subscription and customer, and the term end first seen of it.

        What is new or has changed is added to the subscription's history. Two surveys of a partner take
        turns.
        """
        async with self._transaction() as session:
            run = await find_run(session, run_id)
            scope = {"campaign": run.campaign, "partner": run.partner}
            await in_turn(session, "survey", run.campaign, run.partner)
            if customers:
                await _upsert_customers(
                    session, [{**scope, **_customer_facts(c), "surveyed_at": at} for c in customers]
                )
            if subscriptions:
                await _add_to_history(session, run, subscriptions, at)
                await _upsert_subscriptions(
                    session,
                    [
                        {**scope, **_facts(s), "run_id": run_id, "first_seen_term_end_at": s.term_end_at,
                         "first_seen_at": at, "surveyed_at": at}
                        for s in subscriptions
                    ],
                )  # fmt: skip

    async def first_seen_term_ends(self, campaign: str, partner: str) -> Mapping[str, datetime]:
        """Subscription id -> the term end it had when it was first seen with one."""
        query = select(SubscriptionRow.subscription_id, SubscriptionRow.first_seen_term_end_at).where(
            SubscriptionRow.campaign == campaign,
            SubscriptionRow.partner == partner,
            SubscriptionRow.first_seen_term_end_at.is_not(None),
        )
        async with self._transaction() as session:
            return {legacy_id: moment for legacy_id, moment in await session.execute(query) if moment}

    async def record_verdicts(
        self,
        run_id: str,
        verdicts: Sequence[Verdict],
        batches: Sequence[Sequence[str]],
        *,
        at: datetime,
        follows: PlanOnRecord | None = None,
    ) -> int:
        """Write the partner's next plan with its lines and batches, open a conversion for each batch line.

        `batches` name base subscriptions; their add-ons follow them into the batch with a conversion of
        their own. Batches count from 0. A conversion on record that may be retried goes back to `planned`
        with the plan's terms and a new reference; one that is under way or finished stays as it is. The
        plan's hash is that of what it buys, or that of the plan it `follows`. Returns the plan's id.
        """
        # Microsoft's pages may repeat an item when something changes between two of them.
        verdicts = list({v.subscription.subscription_id: v for v in verdicts}.values())
        lines = planned_lines(verdicts)
        async with self._transaction() as session:
            run = await find_run(session, run_id)
            # The partner's row is what two plans at once take turns on.
            await find_partner(session, run.campaign, run.partner, lock=True)
            last = select(func.max(PlanRow.number)).where(
                PlanRow.campaign == run.campaign, PlanRow.partner == run.partner
            )
            plan = PlanRow(
                run_id=run_id,
                campaign=run.campaign,
                partner=run.partner,
                number=(await session.scalar(last) or 0) + 1,
                campaign_version=await latest_number(session, run.campaign),
                tally=tally(verdicts),
                hash=follows.hash if follows is not None else plan_hash(lines.values()),
                follows_plan_id=follows.plan_id if follows is not None else None,
                created_at=at,
            )
            session.add(plan)
            await session.flush()
            placed = _placed(verdicts, batches)
            # One for each batch, so that one query of migrations answers for all its lines; never an earlier
            # plan's, or the failed migration of an earlier try would pass for this one's.
            references = [str(uuid.uuid4()) for _ in batches]
            conversions = await _under_way(session, verdicts)
            conversions |= await _open_conversions(
                session,
                [
                    {
                        **_terms(v, run),
                        "reference": references[placed[v.subscription.subscription_id]],
                        "plan_id": plan.plan_id,
                    }
                    for v in verdicts
                    if v.subscription.subscription_id in placed
                ],
                reason=f"Planned in plan {plan.number}.",
                at=at,
            )
            if verdicts:
                await session.execute(
                    insert(PlanLineRow),
                    [
                        _line(plan.plan_id, position, v, placed, conversions, lines)
                        for position, v in enumerate(_in_order(verdicts, batches))
                    ],
                )
            return plan.plan_id

    async def plan(self, plan_id: int) -> PlanOnRecord:
        """The plan with the lines its hash stands for."""
        async with self._transaction() as session:
            return await plan_on_record(session, await session.get_one(PlanRow, plan_id))

    async def plan_with_hash(self, campaign: str, partner: str, beginning: str) -> PlanOnRecord:
        """The partner's latest plan whose hash begins so; raises InputRefused when none or several do."""
        query = (
            select(PlanRow)
            .where(
                PlanRow.campaign == campaign,
                PlanRow.partner == partner,
                PlanRow.hash.startswith(beginning.lower(), autoescape=True),
            )
            .distinct(PlanRow.hash)
            .order_by(PlanRow.hash, PlanRow.number.desc())
            .limit(2)
        )
        async with self._transaction() as session:
            await find_partner(session, campaign, partner)
            found = (await session.scalars(query)).all()
            if len(found) != 1:
                what = "is not one of" if not found else "is the beginning of several of"
                raise InputRefused(
                    [f"Plan '{beginning}' {what} the plans of {partner} in {campaign}; `nce plan {partner}` "
                     "makes one and prints its hash."]
                )  # fmt: skip
            return await plan_on_record(session, found[0])

    async def latest_plan_id(self, run_id: str) -> int:
        """The id of the run's latest plan; raises InputRefused when it has none yet."""
        async with self._transaction() as session:
            plan_id = await session.scalar(latest_plan(run_id))
        if plan_id is None:
            raise InputRefused([f"Run '{run_id}' has no plan yet: clear plan_conversions."])
        return plan_id

    async def conversions(self, run_id: str) -> Sequence[Conversion]:
        """The conversions in the run's latest plan, in its order; none when it has no plan."""
        query = (
            select(ConversionRow)
            .join(PlanLineRow, PlanLineRow.conversion_id == ConversionRow.conversion_id)
            .where(PlanLineRow.plan_id == latest_plan(run_id).scalar_subquery())
            .order_by(PlanLineRow.position)
        )
        async with self._transaction() as session:
            return [conversion_of(row) for row in await session.scalars(query)]

    async def batch(self, run_id: str, plan_id: int, batch_no: int) -> Sequence[Conversion]:
        """The conversions of one batch in the plan's order, each base followed by its add-ons."""
        query = (
            select(ConversionRow)
            .join(PlanLineRow, PlanLineRow.conversion_id == ConversionRow.conversion_id)
            .join(PlanRow, PlanRow.plan_id == PlanLineRow.plan_id)
            .where(PlanRow.run_id == run_id, PlanLineRow.plan_id == plan_id, PlanLineRow.batch_no == batch_no)
            .order_by(PlanLineRow.position)
        )
        async with self._transaction() as session:
            return [conversion_of(row) for row in await session.scalars(query)]

    async def effective_classes(self, run_id: str) -> Mapping[str, SubscriptionClass]:
        """Subscription id -> its class in the run's latest plan, or what its conversion came to."""
        query = (
            select(PlanLineRow.subscription_id, PlanLineRow.klass, ConversionRow.state)
            .outerjoin(ConversionRow, ConversionRow.conversion_id == PlanLineRow.conversion_id)
            .where(PlanLineRow.plan_id == latest_plan(run_id).scalar_subquery())
            .order_by(PlanLineRow.position)
        )
        async with self._transaction() as session:
            rows = (await session.execute(query)).all()
        return {legacy_id: effective_class(klass, state) for legacy_id, klass, state in rows}


async def plan_on_record(session: AsyncSession, plan: PlanRow) -> PlanOnRecord:
    rows = await session.scalars(
        select(PlanLineRow).where(
            PlanLineRow.plan_id == (plan.follows_plan_id or plan.plan_id),
            PlanLineRow.fingerprint.is_not(None),
        )
    )
    lines = {row.subscription_id: _planned_line(row) for row in rows}
    return PlanOnRecord(plan.follows_plan_id or plan.plan_id, plan.number, plan.hash, plan.created_at, lines)


def _planned_line(row: PlanLineRow) -> PlannedLine:
    return PlannedLine(
        legacy_id=row.subscription_id,
        customer_id=row.customer_id,
        base_id=row.travels_with or row.subscription_id,
        offer_id=row.offer_id.lower(),
        route=row.route or Route.MIGRATE,
        legacy_seats=row.legacy_seats,
        legacy_term=row.legacy_term,
        legacy_billing=row.legacy_billing,
        term_end_at=row.term_end_at,
        term=row.term,
        billing=row.billing,
        seats=row.seats,
        product_and_sku=row.product_and_sku,
    )


def latest_plan(run_id: str) -> Select[tuple[int]]:
    return select(PlanRow.plan_id).where(PlanRow.run_id == run_id).order_by(PlanRow.number.desc()).limit(1)


def _customer_facts(customer: Customer) -> dict[str, Any]:
    return {"customer_id": customer.customer_id, "name": customer.name, "country": customer.country}


def subscription_of(row: SubscriptionRow) -> Subscription:
    """As the latest survey read it."""
    return Subscription(
        subscription_id=row.subscription_id,
        customer_id=row.customer_id,
        suspension_reasons=tuple(row.suspension_reasons),
        **{name: getattr(row, name) for name in _AS_SURVEYED},
    )


_AS_SURVEYED = (
    "offer_id",
    "offer_name",
    "kind",
    "status",
    "seats",
    "term_end_at",
    "created_at",
    "auto_renew",
    "is_trial",
    "term",
    "billing",
    "parent_id",
    "partner_mpn_id",
    "migrated_from_id",
    "cancellable_until_at",
    "order_id",
)


def _facts(subscription: Subscription) -> dict[str, Any]:
    return {
        "subscription_id": subscription.subscription_id,
        "suspension_reasons": list(subscription.suspension_reasons),
        **{name: getattr(subscription, name) for name in _SURVEYED},
    }


async def _add_to_history(
    session: AsyncSession, run: RunRow, subscriptions: Sequence[Subscription], at: datetime
) -> None:
    """An entry for each subscription that is not as it was read last."""
    standing = await session.execute(
        select(
            SubscriptionRow.subscription_id, *(getattr(SubscriptionRow, name) for name in _COMPARED)
        ).where(SubscriptionRow.campaign == run.campaign, SubscriptionRow.partner == run.partner)
    )
    known = {name: tuple(facts) for name, *facts in standing}
    changed = {}
    for subscription in subscriptions:
        facts = _facts(subscription)
        if known.get(subscription.subscription_id) != tuple(facts[name] for name in _COMPARED):
            changed[subscription.subscription_id] = facts
    if changed:
        await session.execute(
            insert(SubscriptionHistoryRow),
            [
                {
                    "campaign": run.campaign,
                    "partner": run.partner,
                    "subscription_id": subscription_id,
                    "run_id": run.run_id,
                    "facts": {name: _plain(value) for name, value in facts.items()},
                    "at": at,
                }
                for subscription_id, facts in changed.items()
            ],
        )


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return f"{value.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
    return value.value if isinstance(value, Enum) else value


async def _upsert_customers(session: AsyncSession, rows: list[dict[str, Any]]) -> None:
    statement = insert(CustomerRow)
    rows.sort(key=lambda row: row["customer_id"])
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["campaign", "partner", "customer_id"],
            set_={name: statement.excluded[name] for name in ("name", "country", "surveyed_at")},
        ),
        rows,
    )


async def _upsert_subscriptions(session: AsyncSession, rows: list[dict[str, Any]]) -> None:
    statement = insert(SubscriptionRow)
    renewed = (*_COMPARED, "run_id", "surveyed_at")
    # In one order, so that two surveys of a partner wait for each other instead of locking each other out.
    rows.sort(key=lambda row: row["subscription_id"])
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["campaign", "partner", "subscription_id"],
            set_={
                **{name: statement.excluded[name] for name in renewed},
                "first_seen_term_end_at": func.coalesce(
                    SubscriptionRow.first_seen_term_end_at, statement.excluded.first_seen_term_end_at
                ),
            },
        ),
        rows,
    )


def _placed(verdicts: Sequence[Verdict], batches: Sequence[Sequence[str]]) -> dict[str, int]:
    """Subscription id -> number of its batch: bases as named, add-ons with the base they travel with."""
    batch_of = {base_id: number for number, batch in enumerate(batches) for base_id in batch}
    placed: dict[str, int] = {}
    for verdict in verdicts:
        subscription_id = verdict.subscription.subscription_id
        if subscription_id in batch_of:
            placed[subscription_id] = batch_of[subscription_id]
        elif verdict.klass is SubscriptionClass.DUE and verdict.travels_with in batch_of:
            placed[subscription_id] = batch_of[verdict.travels_with]
    strangers = batch_of.keys() - placed.keys()
    if strangers:
        raise ValueError(f"batches name subscriptions without a verdict: {', '.join(sorted(strangers))}")
    return placed


def _in_order(verdicts: Sequence[Verdict], batches: Sequence[Sequence[str]]) -> list[Verdict]:
    """Batch lines first, in the batches' order, each base followed by its add-ons; then the rest."""
    rank = {base_id: number for number, base_id in enumerate(chain.from_iterable(batches))}
    return sorted(
        verdicts,
        key=lambda v: (
            rank.get(v.travels_with or v.subscription.subscription_id, len(rank)),
            v.travels_with is not None,
        ),
    )


def _terms(verdict: Verdict, run: RunRow) -> dict[str, Any]:
    """What a conversion is about and on which terms, by the plan."""
    subscription = verdict.subscription
    return {
        "campaign": run.campaign,
        "partner": run.partner,
        "customer_id": subscription.customer_id,
        "legacy_id": subscription.subscription_id,
        "base_id": verdict.travels_with or subscription.subscription_id,
        "route": verdict.route or Route.MIGRATE,
        "seats": verdict.seats,
        "term": verdict.term,
        "billing": verdict.billing,
        "offer_id": subscription.offer_id,
        "expected_product_and_sku": verdict.expected_product_and_sku,
    }


async def _under_way(session: AsyncSession, verdicts: Sequence[Verdict]) -> dict[str, int]:
    """Legacy id -> conversion id of lines whose conversion was begun or finished by an earlier plan.

    They belong to this plan as well, even in one without batches: what becomes of them later, such as an
    undo, shows in it.
    """
    begun = (SubscriptionClass.DUE, SubscriptionClass.CONVERTED)
    due = [v.subscription for v in verdicts if v.klass in begun]
    if not due:
        return {}
    query = select(ConversionRow.legacy_id, ConversionRow.conversion_id).where(
        ConversionRow.customer_id.in_({s.customer_id for s in due}),
        ConversionRow.legacy_id.in_([s.subscription_id for s in due]),
        ConversionRow.state.not_in(ConversionState.where(lambda state: state.starts_afresh)),
    )
    return {row.legacy_id: row.conversion_id for row in await session.execute(query)}


async def _open_conversions(
    session: AsyncSession, wanted: list[dict[str, Any]], *, reason: str, at: datetime
) -> dict[str, int]:
    """Legacy id -> conversion id; makes those that are missing, and starts afresh those that may be."""
    if not wanted:
        return {}
    # In one order, so that two plans about the same customers wait for each other.
    wanted.sort(key=lambda terms: (terms["customer_id"], terms["legacy_id"]))
    opened = set(
        await session.scalars(
            insert(ConversionRow).on_conflict_do_nothing().returning(ConversionRow.conversion_id),
            [
                {**terms, "state": ConversionState.PLANNED, "reason": reason, "state_since_at": at,
                 "created_at": at}
                for terms in wanted
            ],
        )
    )  # fmt: skip
    rows = (
        await session.scalars(
            select(ConversionRow)
            .where(
                ConversionRow.customer_id.in_({terms["customer_id"] for terms in wanted}),
                ConversionRow.legacy_id.in_([terms["legacy_id"] for terms in wanted]),
            )
            .order_by(ConversionRow.customer_id, ConversionRow.legacy_id)
            .with_for_update()
        )
    ).all()
    row_of = {(row.customer_id, row.legacy_id): row for row in rows}
    in_doubt = await sent_without_answer(session, [row.conversion_id for row in rows])
    again = await to_be_converted_again(session, rows)
    for terms in wanted:
        row = row_of[terms["customer_id"], terms["legacy_id"]]
        if row.conversion_id in opened:
            session.add(history_of(row, terms, at))
        elif (row.state.starts_afresh or row.legacy_id in again) and row.conversion_id not in in_doubt:
            _start_afresh(session, row, terms, reason, at)
    return {row.legacy_id: row.conversion_id for row in rows}


def _start_afresh(
    session: AsyncSession, row: ConversionRow, terms: Mapping[str, Any], reason: str, at: datetime
) -> None:
    """Back to `planned` on the plan's terms, without what an earlier try left: none of it is at Microsoft."""
    afresh = {**terms, **dict.fromkeys(_OF_ONE_TRY)}
    if row.state is not ConversionState.PLANNED:
        row.state, row.state_since_at = ConversionState.PLANNED, at
    changed = {name: value for name, value in afresh.items() if getattr(row, name) != value}
    for name, value in changed.items():
        setattr(row, name, value)
    if changed or row.reason != reason:
        row.reason = reason
        session.add(history_of(row, changed, at))


_OF_ONE_TRY = (
    "migration_id",
    "cart_id",
    "order_id",
    "nce_subscription_id",
    "not_before_at",
    "undoable_until_at",
)


def _line(
    plan_id: int,
    position: int,
    verdict: Verdict,
    placed: Mapping[str, int],
    conversions: Mapping[str, int],
    lines: Mapping[str, PlannedLine],
) -> dict[str, Any]:
    subscription = verdict.subscription
    subscription_id = subscription.subscription_id
    line = lines.get(subscription_id)
    return {
        "plan_id": plan_id,
        "subscription_id": subscription_id,
        "customer_id": subscription.customer_id,
        "offer_id": subscription.offer_id,
        "offer_name": subscription.offer_name,
        "legacy_seats": subscription.seats,
        "legacy_term": subscription.term,
        "legacy_billing": subscription.billing,
        "term_end_at": subscription.term_end_at,
        "klass": verdict.klass,
        "reason": verdict.reason,
        "owner": verdict.owner,
        "remedy": verdict.remedy,
        "warning": verdict.warning,
        "route": verdict.route,
        "term": verdict.term,
        "billing": verdict.billing,
        "seats": verdict.seats,
        "window_opens_at": verdict.window_opens_at,
        "last_safe_start_at": verdict.last_safe_start_at,
        "travels_with": verdict.travels_with,
        "nce_subscription_id": verdict.nce_subscription_id,
        "product_and_sku": verdict.expected_product_and_sku,
        "fingerprint": line.fingerprint if line is not None else None,
        "position": position,
        "batch_no": placed.get(subscription_id),
        "conversion_id": conversions.get(subscription_id),
    }
