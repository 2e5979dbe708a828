"""New-commerce migrations: who may migrate, what a migration does over time, and what is told of it.

Sources: validate-subscription-for-migration, create-migration, migrate-subscriptions-to-new-commerce
(10/13/2023), get-migration-events (09/22/2023), error-codes (06/15/2023). Where these are silent, FIDELITY.md
says what was chosen.
"""

from __future__ import annotations

import calendar
import secrets
import uuid
from datetime import datetime, timedelta, timezone
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from simulator.behaviour.subscriptions import create_nce, full_term_end, nce_end
from simulator.errors import Refusal
from simulator.records import (
    MigrationEvent,
    MigrationLine,
    MigrationRecord,
    ScheduleRecord,
    SubscriptionRecord,
)
from simulator.schema import MigrationPlan, add_term
from simulator.wire import OptionalWireMoment
from simulator.world import World, world_item

# eligibility code: (description, the HTTP code that create answers for it)
ELIGIBILITY: dict[int, tuple[str, int]] = {
    0: ("Subscription status is not active.", 900215),
    1: ("Subscription is already being processed.", 900216),
    2: ("Subscription is too close to its term end.", 900217),
    3: ("Subscription has promotions.", 900218),
    4: ("Subscription has add-ons.", 900219),
    5: ("New commerce product is unavailable for this subscription.", 900220),
    6: ("The combination of term duration and billing cycle is not supported.", 900222),
    7: ("Subscription has been active for less than one month.", 900226),
    8: ("The trade status is not allowed.", 900221),
    9: ("The partner id on record is invalid.", 900247),
    10: ("Migrations within the last 24 hours of the term are allowed for a full term only.", 900217),
    11: ("The custom term end date is invalid.", 900291),
    12: ("The custom term end date must align with an existing subscription or calendar month.", 900292),
}

# What part of the whole time has passed when each step comes, after the page's example (18 s, 2 min, 4 min).
STEPS = (("created", 0.075), ("provisioned", 0.5), ("completed", 1.0))
EVENT_NAMES = {
    "started": "MigrationStarted",
    "created": "NewCommerceSubscriptionCreated",
    "provisioned": "NewCommerceSubscriptionProvisioned",
    "completed": "MigrationCompleted",
    "failed": "MigrationFailed",
}
MONTHS = {"P1M": 1, "P1Y": 12, "P3Y": 36}


class MigrationRequest(BaseModel):
    """The request part of a NewCommerceMigration; read-only fields are taken no notice of."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)
    subscription: uuid.UUID = Field(alias="currentSubscriptionId")
    term: str | None = Field(default=None, alias="termDuration")
    billing: str | None = Field(default=None, alias="billingCycle")
    full_term: bool | None = Field(default=None, alias="purchaseFullTerm")
    seats: int | None = Field(default=None, alias="quantity")
    custom_ends_at: OptionalWireMoment = Field(default=None, alias="customTermEndDate")
    external_reference: str | None = Field(default=None, alias="externalReferenceId")
    addons: list[MigrationRequest] | None = Field(default=None, alias="addOnMigrations")


class Verdict(BaseModel):
    """Whether one subscription may migrate, and what it would become."""

    subscription: str
    errors: list[int]
    line: MigrationLine | None
    addons: list[Verdict] = []

    @property
    def eligible(self) -> bool:
        """Whether nothing speaks against this subscription itself."""
        return not self.errors


def find_legacy(world: World, customer: str, subscription: uuid.UUID) -> SubscriptionRecord:
    """The subscription of this customer, or a refusal."""
    row = world.subscriptions.get(str(subscription))
    if row is None or row.customer != customer:
        raise Refusal(20003, str(subscription).upper())
    return row


def judge(world: World, customer: str, request: MigrationRequest) -> Verdict:
    """The verdict on a base and every add-on that travels with it; the server finds the add-ons itself."""
    base = find_legacy(world, customer, request.subscription)
    asked = {str(addon.subscription): addon for addon in request.addons or []}
    verdict = _judge_one(world, base, request)
    for addon in world.addons_of(base):
        if addon.status == "active" or addon.id in asked:
            wish = asked.get(addon.id) or MigrationRequest(
                subscription=uuid.UUID(addon.id), full_term=request.full_term
            )
            verdict.addons.append(_judge_one(world, addon, wish, as_addon=True))
    return verdict


def _judge_one(
    world: World, row: SubscriptionRecord, request: MigrationRequest, *, as_addon: bool = False
) -> Verdict:
    offer = world.offers.get(row.offer_id.upper())
    plan = row.plan or MigrationPlan()
    if row.migration is not None and world.migrations[row.migration].status != "Completed":
        return Verdict(subscription=row.id, errors=[1], line=None)
    errors: list[int] = []
    if row.status != "active":
        errors.append(0)
    target = offer.nce if offer is not None and offer.migration_path and not row.trial else None
    line = _line(world, row, request, target) if target else None
    if row.ends_at - world.now < timedelta(hours=24) and not request.full_term:
        errors.append(10)
    if row.promotion:
        errors.append(3)
    if line is None:
        errors.append(5)
    elif not _sold(world, line):
        errors.append(6)
    young = timedelta(days=30) if as_addon else add_term(row.created_at, "P1M") - row.created_at
    if world.scenario.rules.first_month_refused and world.now < row.created_at + young:
        errors.append(7)
    if not world.valid_partner_of_record(row.partner_id):
        errors.append(9)
    if line is not None and line.custom_ends_at is not None:
        errors += _custom_end_faults(world, row.customer, line, line.custom_ends_at)
    errors += [code for code in plan.eligibility_errors if code not in errors]
    return Verdict(subscription=row.id, errors=errors, line=line)


def _line(world: World, row: SubscriptionRecord, request: MigrationRequest, target: str) -> MigrationLine:
    term = (request.term or row.term).upper()
    full_term = bool(request.full_term) or MONTHS.get(term, 0) > MONTHS.get(row.term, 0)
    if request.custom_ends_at is not None:
        ends_at = nce_end(request.custom_ends_at)
    elif full_term and term in MONTHS:
        ends_at = full_term_end(world.now, term)
    else:
        ends_at = nce_end(_next_boundary(row.ends_at, term, world.now))
    return MigrationLine(
        legacy=row.id,
        item=world_item(world, target),
        seats=request.seats if request.seats is not None else row.seats,
        term=term,
        billing=(request.billing or row.billing).lower(),
        full_term=bool(request.full_term),
        ends_at=ends_at,
        custom_ends_at=request.custom_ends_at,
    )


def _next_boundary(end: datetime, term: str, now: datetime) -> datetime:
    """The first end of a term that lies ahead, counted back from the legacy end.

    An annual subscription that ends on 10 February and becomes monthly on 17 November ends on 10 December.
    """
    times = 0
    while term in MONTHS and add_term(end, term, times - 1) > now:
        times -= 1
    return add_term(end, term, times) if term in MONTHS else end


def _sold(world: World, line: MigrationLine) -> bool:
    sku = world.skus.get(line.item.rpartition(":")[0])
    return sku is None or any(
        option.term == line.term and option.billing == line.billing for option in sku.terms
    )


def _custom_end_faults(world: World, customer: str, line: MigrationLine, ends_at: datetime) -> list[int]:
    day = ends_at.date()
    last_of_month = day.day == calendar.monthrange(day.year, day.month)[1]
    first_term_end = add_term(world.now, line.term) if line.term in MONTHS else world.now
    if not world.now < ends_at <= first_term_end or (
        line.term == "P1M" and day.day >= 28 and not last_of_month
    ):
        return [11]
    aligned = any(
        row.line == "nce" and row.status == "active" and not row.trial and row.ends_at.date() == day
        for row in world.subscriptions_of(customer)
    )
    return [] if aligned or last_of_month else [12]


def create(
    world: World,
    customer: str,
    request: MigrationRequest,
    *,
    by: Literal["caller", "portal", "microsoft", "schedule"] = "caller",
    stuck: str | None = None,
) -> MigrationRecord:
    """Starts a migration, or raises `Refusal` with the code of the first thing that speaks against it."""
    base = find_legacy(world, customer, request.subscription)
    asked = [str(addon.subscription) for addon in request.addons or []]
    if len(set(asked)) < len(asked):
        raise Refusal(900248)
    if not set(asked) <= {addon.id for addon in world.addons_of(base) if addon.status == "active"}:
        raise Refusal(900262)
    verdict = judge(world, customer, request)
    lines: list[MigrationLine] = []
    for part in (verdict, *verdict.addons):
        if part.errors or part.line is None:
            raise Refusal(ELIGIBILITY.get(part.errors[0], ("", 900221))[1])
        lines.append(part.line)
    if by in ("caller", "schedule"):
        _check_standing(world, base)
    overflow = _check_seats(world, customer, lines)
    plan = base.plan or MigrationPlan()
    migration = MigrationRecord(
        id=str(uuid.uuid4()),
        customer=customer,
        partner=base.partner,
        status="Processing",
        started_at=world.now,
        external_reference=request.external_reference,
        lines=lines,
        steps=_steps(world, base, plan, fails=overflow),
        by=by,
        stuck=stuck,
        suspends_legacy=plan.suspends_legacy,
    )
    _tell(migration, world.now, "started")
    world.migrations.add(migration)
    for line in lines:
        row = world.subscriptions[line.legacy]
        row.migration = migration.id
        if plan.suspends_legacy:
            row.status, row.suspended_by, row.suspended_at = "suspended", "microsoft", world.now
        row.version += 1
    return migration


def _check_standing(world: World, base: SubscriptionRecord) -> None:
    rules = world.scenario.rules
    if rules.migration_needs_mpa and not world.mpa_in_force(base.partner_id):
        raise Refusal(900123)
    if rules.migration_needs_mca and not world.customers[base.customer].has_mca(world.now):
        raise Refusal(13605)


def _check_seats(world: World, customer: str, lines: list[MigrationLine]) -> bool:
    """Refuses seats out of range; true = only migrations in work make it too many, so this one will fail."""
    overflow = False
    for line in lines:
        sku = world.skus.get(line.item.rpartition(":")[0])
        if sku is not None and not sku.min <= line.seats <= sku.max:
            raise Refusal(2002)
        product, cap = line.item.split(":")[0], world.seat_cap(line.item)
        if cap is None:
            continue
        own = sum(other.seats for other in lines if other.item.startswith(product + ":"))
        owned = world.owned_seats(customer, product)
        if owned + own > cap:
            raise Refusal(2002, f"A customer may have {cap} seats of the product.")
        overflow = overflow or owned + own + world.seats_in_flight(customer, product) > cap
    return overflow


def _steps(
    world: World, base: SubscriptionRecord, plan: MigrationPlan, *, fails: bool
) -> list[tuple[datetime, str]]:
    takes = plan.takes or timedelta(hours=2)
    start = world.now
    attempts = sum(1 for other in world.migrations if other.lines[0].legacy == base.id)
    outcome = "failed" if fails else plan.outcome
    if outcome == "failed" and not fails and plan.fails_times is not None and attempts >= plan.fails_times:
        outcome = "completed"
    if outcome == "completed":
        return [(start + takes * part, name) for name, part in STEPS]
    if outcome == "failed":
        return [(start + takes, "failed"), (start + takes, "reverted")]
    settles = start + max(plan.settles_after, takes)
    if outcome == "failed_reverts":
        return [(start + takes, "failed"), (settles, "reverted")]
    return [(start + takes, "failed"), *((settles, name) for name, _ in STEPS)]


def on_moment(world: World, migration: MigrationRecord) -> None:
    """The next step of a migration comes."""
    (_, step), *rest = migration.steps
    migration.steps = rest
    if step == "created":
        _create_subscriptions(world, migration, rest)
    elif step == "completed":
        migration.status, migration.completed_at = "Completed", world.now
        for line in migration.lines:
            row = world.subscriptions[line.legacy]
            row.migrated_to = line.nce
    elif step == "failed":
        migration.status = "Failed"
    elif step == "reverted":
        for line in migration.lines:
            row = world.subscriptions[line.legacy]
            row.migration = None
            if row.suspended_by == "microsoft" and row.status == "suspended":
                row.status, row.suspended_by, row.suspended_at = "active", None, None
                row.version += 1
    if step in EVENT_NAMES:
        _tell(migration, world.now, step)


def _create_subscriptions(world: World, migration: MigrationRecord, rest: list[tuple[datetime, str]]) -> None:
    order = secrets.token_hex(6)
    active_at = next((at for at, name in rest if name == "provisioned"), world.now)
    lines: list[MigrationLine] = []
    for line in migration.lines:
        legacy = world.subscriptions[line.legacy]
        nce = create_nce(
            world,
            key=str(uuid.uuid4()),
            customer=migration.customer,
            partner=migration.partner,
            item=line.item,
            seats=line.seats,
            term=line.term,
            billing=line.billing,
            ends_at=line.ends_at,
            partner_id=legacy.partner_id,
            order_id=order,
            created_by="portal" if migration.by == "portal" else "migration",
            active_at=active_at,
            auto_renew=legacy.auto_renew,
            friendly_name=legacy.friendly_name,
            migrated_from=legacy.id,
        )
        lines.append(line.model_copy(update={"nce": nce.id, "order": order}))
    migration.lines = lines


def _tell(migration: MigrationRecord, at: datetime, step: str) -> None:
    migration.events = [
        *migration.events,
        MigrationEvent(id=str(uuid.uuid4()), name=EVENT_NAMES[step], at=at),
    ]


def release(world: World, migration: MigrationRecord) -> None:
    """A stuck migration moves again: its steps come as late as they still have to."""
    delay = world.now - migration.started_at
    migration.steps = [(at + delay, name) for at, name in migration.steps]
    migration.stuck = None


def on_schedule(world: World, schedule: ScheduleRecord) -> None:
    """The day of a planned migration has come."""
    schedule.modified_at = world.now
    try:
        request = MigrationRequest.model_validate(schedule.request)
        migration = create(world, schedule.customer, request, by="schedule")
    except Refusal as refusal:
        schedule.status = "Failed"
        schedule.error_code, schedule.error_description = refusal.code, refusal.body["description"]
    else:
        schedule.status, schedule.migration = "Completed", migration.id


def month_ends(now: datetime, term: str) -> list[datetime]:
    """The ends of calendar months inside one term from now."""
    last = add_term(now, term)
    ends: list[datetime] = []
    day = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0, tzinfo=timezone.utc)
    while True:
        day = add_term(day, "P1M")
        end = day - timedelta(days=1)
        if end > last:
            return ends
        if end > now:
            ends.append(end)
