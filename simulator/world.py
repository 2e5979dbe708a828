"""The world behind the API: every record, the moments at which something happens by itself, and look-ups.

Responsible for seeding from a scenario, for letting due moments happen in their order, and for handing
changed records to the journal. Leaves what happens to `behaviour` (given as a table of functions per kind of
record).
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from simulator.journal import Journal, Row
from simulator.records import (
    RECORDS,
    Agreement,
    AnswerRecord,
    AuditRecord,
    CartRecord,
    CustomerRecord,
    FaultRecord,
    MigrationRecord,
    OrderRecord,
    PartnerRecord,
    Record,
    RefreshTokenRecord,
    ScheduleRecord,
    StoryRecord,
    SubscriptionRecord,
    Table,
    TransitionRecord,
)
from simulator.schema import (
    CatalogueProduct,
    CatalogueSku,
    Customer,
    Offer,
    Scenario,
    Subscription,
    add_term,
)

Happening = Callable[["World", Any], None]

MCA_TEMPLATE = "117a77b0-9360-443b-8795-c6dedc750cf9"
CLOUD_AGREEMENT_TEMPLATE = "998b88de-aa99-4388-a42c-1b3517d49490"
CANCELLATION_WINDOW = timedelta(hours=168)
ANSWERS_KEPT = 20_000


class World:
    """All state of one seeded scenario. `now` is the campaign moment of the call or happening at work."""

    def __init__(self, scenario: Scenario, happenings: Mapping[str, Happening]) -> None:
        self.scenario = scenario
        self.now = scenario.clock.starts_at
        self.partners = Table(PartnerRecord)
        self.customers = Table(CustomerRecord)
        self.subscriptions = Table(SubscriptionRecord)
        self.migrations = Table(MigrationRecord)
        self.schedules = Table(ScheduleRecord)
        self.transitions = Table(TransitionRecord)
        self.orders = Table(OrderRecord)
        self.carts = Table(CartRecord)
        self.story = Table(StoryRecord)
        self.faults = Table(FaultRecord)
        self.answers = Table(AnswerRecord)
        self.audit = Table(AuditRecord)
        self.refresh_tokens = Table(RefreshTokenRecord)
        self.offers: dict[str, Offer] = {offer.offer_id.upper(): offer for offer in scenario.offers}
        self.products: dict[str, CatalogueProduct] = {item.product: item for item in scenario.products}
        self.skus: dict[str, CatalogueSku] = {
            f"{product.product}:{sku.sku}": sku for product in scenario.products for sku in product.skus
        }
        self._tables: dict[str, Table[Any]] = {
            table.record.kind: table for table in vars(self).values() if isinstance(table, Table)
        }
        self._unsaved: dict[tuple[str, str], None] = {}
        self._happenings = happenings
        self._queue: list[tuple[datetime, int, str, str]] = []
        self._turns = itertools.count()
        self._in_flight: set[str] = set()
        self._of_customer: dict[str, list[str]] = defaultdict(list)

    def next_moment(self) -> datetime | None:
        """The next campaign moment at which something happens by itself."""
        self._reschedule()
        while self._queue and self._due_record() is None:
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else None

    def settle(self, now: datetime) -> None:
        """Lets everything happen that is due by `now`, in its order."""
        while (moment := self.next_moment()) is not None and moment <= now:
            record = self._due_record()
            heapq.heappop(self._queue)
            if record is not None:
                self.now = max(self.now, moment)
                self._happenings[record.kind](self, record)
        self.now = now

    def converting(self) -> bool:
        """Whether a migration or order of a caller is in flight."""
        return bool(self._in_flight)

    def _due_record(self) -> Record | None:
        moment, _, kind, key = self._queue[0]
        record: Record | None = self._tables[kind].get(key)
        return record if record is not None and record.next_at() == moment else None

    def _reschedule(self) -> None:
        for kind, table in self._tables.items():
            if not (table.changed or table.removed):
                continue
            for key in table.changed:
                record = table[key]
                self._queue_up(record)
                self._unsaved[kind, key] = None
            self._unsaved |= {(kind, key): None for key in table.removed}
            table.changed.clear()
            table.removed.clear()

    def _queue_up(self, record: Record) -> None:
        moment = record.next_at()
        if moment is not None:
            heapq.heappush(self._queue, (moment, next(self._turns), record.kind, record.id))
        if isinstance(record, MigrationRecord | OrderRecord):
            by_caller = (
                record.by in ("caller", "schedule")
                if isinstance(record, MigrationRecord)
                else record.created_by == "order"
            )
            if by_caller and record.status in ("Processing", "pending") and not record.stuck:
                self._in_flight.add(record.id)
            else:
                self._in_flight.discard(record.id)
        if isinstance(record, SubscriptionRecord):
            known = self._of_customer[record.customer]
            if record.id not in known:
                known.append(record.id)

    def unsaved(self) -> Iterator[Row]:
        """What changed since the last call, as journal rows."""
        self._reschedule()
        changed, self._unsaved = self._unsaved, {}
        for kind, key in changed:
            record = self._tables[kind].get(key)
            yield kind, key, None if record is None else record.model_dump_json()

    def load(self, journal: Journal) -> None:
        """Takes up the records that an earlier process saved."""
        for record in RECORDS:
            for _, body in journal.rows(record.kind):
                row = record.model_validate_json(body)
                self._tables[record.kind].load(row)
                self._queue_up(row)

    def subscriptions_of(self, customer: str) -> list[SubscriptionRecord]:
        """Every subscription of a customer tenant, in the order of their creation here."""
        self._reschedule()
        return [self.subscriptions[key] for key in self._of_customer.get(customer.lower(), [])]

    def addons_of(self, base: SubscriptionRecord) -> list[SubscriptionRecord]:
        """The add-ons whose base this is."""
        return [row for row in self.subscriptions_of(base.customer) if row.parent == base.id]

    def in_transition(self, row: SubscriptionRecord) -> bool:
        """Whether a transition from or to this subscription is in work."""
        return any(each.steps and row.id in (each.source, each.target) for each in self.transitions)

    def partner_with_mpn(self, mpn_id: str | None, *, location_only: bool = False) -> PartnerRecord | None:
        """The partner with this location id (or, unless `location_only`, global id), if the id is known."""
        for partner in self.partners:
            profile = partner.profile
            ids = {profile.mpn_id} if location_only else {profile.mpn_id, profile.pga_id}
            if mpn_id and mpn_id in ids and partner.holds(profile.mpn_known, self.now):
                return partner
        return None

    def valid_partner_of_record(self, mpn_id: str | None) -> bool:
        """Whether purchases may name this id: a known location id of a linked and valid reseller."""
        partner = self.partner_with_mpn(mpn_id, location_only=True)
        return (
            partner is not None
            and partner.holds(partner.profile.por_valid, self.now)
            and partner.holds(partner.profile.linked_at, self.now)
        )

    def mpa_in_force(self, mpn_id: str | None) -> bool:
        """Whether purchases for this reseller pass: signed, and Microsoft's systems had time to notice."""
        partner = self.partner_with_mpn(mpn_id)
        if partner is None or partner.profile.mpa_signed_at is None:
            return False
        return partner.profile.mpa_signed_at + partner.profile.mpa_lag <= self.now

    def owned_seats(self, customer: str, product: str) -> int:
        """New-commerce seats of a product that a customer tenant has now."""
        return sum(
            row.seats
            for row in self.subscriptions_of(customer)
            if row.line == "nce"
            and row.offer_id.startswith(product + ":")
            and row.status in ("active", "pending", "suspended")
        )

    def seats_in_flight(self, customer: str, product: str, *, but: str = "") -> int:
        """Seats of a product that migrations in work are going to add (except the migration `but`)."""
        return sum(
            line.seats
            for migration in self.migrations
            if migration.customer == customer and migration.status == "Processing" and migration.id != but
            for line in migration.lines
            if line.item.startswith(product + ":") and line.nce is None
        )

    def seat_cap(self, item: str) -> int | None:
        """The most seats of this item's product that one customer may have."""
        sku = self.skus.get(":".join(item.split(":")[:2]))
        if sku is not None and sku.seat_cap is not None:
            return sku.seat_cap
        caps = [offer.seat_cap for offer in self.offers.values() if offer.nce and item.startswith(offer.nce)]
        return min((cap for cap in caps if cap is not None), default=None)

    def record_action(
        self,
        operation: str,
        resource: str,
        customer: str,
        new_value: str,
        details: list[tuple[str, str | None]],
        application: str | None = None,
        user: str | None = None,
    ) -> None:
        """Adds an entry to the activity log."""
        self.audit.add(
            AuditRecord(
                id=f"{len(self.audit):08d}-{uuid.uuid4()}",
                customer=customer,
                at=self.now,
                operation=operation,
                resource=resource,
                application=application,
                user=user,
                new_value=new_value,
                details=details,
            )
        )

    def remember_answer(self, answer: AnswerRecord) -> None:
        """Keeps the answer of a write; the oldest go when there are too many."""
        self.answers.add(answer)
        if len(self.answers) > ANSWERS_KEPT:
            for old in sorted(self.answers, key=lambda row: row.at)[: ANSWERS_KEPT // 10]:
                self.answers.remove(old.id)


def token_digest(token: str) -> str:
    """How a secret is kept: comparable, not readable."""
    return hashlib.sha256(token.encode()).hexdigest()


def seed(world: World) -> None:
    """Fills an empty world from its scenario."""
    scenario = world.scenario
    for application in scenario.provider.applications:
        world.refresh_tokens.add(
            RefreshTokenRecord(id=token_digest(application.refresh_token), client_id=application.client_id)
        )
    for partner in scenario.partners:
        world.partners.add(PartnerRecord(id=partner.id, profile=partner.model_copy(update={"customers": []})))
        for customer in partner.customers:
            _seed_customer(world, partner.id, customer)
    for row in world.subscriptions:
        if row.migrated_from and (source := world.subscriptions.get(row.migrated_from)):
            source.migrated_to = row.id
    for index, event in enumerate(scenario.events):
        world.story.add(StoryRecord(id=f"e{index + 1}", event=event))
    for index, fault in enumerate(scenario.faults):
        world.faults.add(FaultRecord(id=f"f{index + 1}", fault=fault))


def _seed_customer(world: World, partner: str, customer: Customer) -> None:
    tenant = customer.tenant_id or ""
    record = world.customers.get(tenant)
    if record is None:
        profile = customer.model_copy(update={"subscriptions": []})
        record = world.customers.add(
            CustomerRecord(
                id=tenant, profile=profile, partners=[], qualifications=list(customer.qualifications)
            )
        )
        if customer.mca and customer.mca.by == "customer":
            record.signed_at = customer.mca.at
        elif customer.mca:
            record.agreements = [
                Agreement(
                    template_id=MCA_TEMPLATE,
                    type="MicrosoftCustomerAgreement",
                    first_name="Contact",
                    last_name=customer.name,
                    email=f"contact@{customer.domain}",
                    agreed_at=customer.mca.at,
                )
            ]
    record.partners = [*record.partners, partner]
    for subscription in customer.subscriptions:
        world.subscriptions.add(_seed_subscription(world, partner, tenant, subscription))


def _seed_subscription(world: World, partner: str, customer: str, plan: Subscription) -> SubscriptionRecord:
    term, ends_at, created_at = plan.term, plan.ends_at, plan.created_at
    if not (plan.id and term and plan.billing and plan.seats and ends_at and created_at):
        raise ValueError(f"the scenario is not complete: {plan.key or plan.id}")
    line: Literal["legacy", "azure", "software", "nce"]
    if plan.nce is not None:
        item = f"{plan.nce.product}:{plan.nce.sku}"
        product = world.products[plan.nce.product]
        line, offer_id = "nce", world_item(world, item, created_at)
        name, segment = world.skus[item].title or product.title, product.segment
    else:
        offer = world.offers[(plan.offer or "").upper()]
        line = offer.kind if offer.kind in ("azure", "software") else "legacy"
        offer_id, name, segment = offer.offer_id, offer.name, offer.segment
    starts_at = created_at if line == "azure" else max(created_at, add_term(ends_at, term, -1))
    if line == "nce":
        ends_at = ends_at.replace(hour=23, minute=59, second=59, microsecond=0)
    return SubscriptionRecord(
        id=plan.id,
        key=plan.key,
        customer=customer,
        partner=partner,
        line=line,
        offer_id=offer_id,
        name=name,
        friendly_name=plan.friendly_name or name,
        segment=segment,
        seats=plan.seats,
        term=term,
        term_shown=bool(plan.term_shown),
        billing=plan.billing,
        created_at=created_at,
        starts_at=starts_at,
        ends_at=ends_at,
        shown_ends_at=plan.shown_ends_at,
        auto_renew=bool(plan.auto_renew),
        status=plan.status,
        parent=plan.parent,
        partner_id=plan.partner_id or "",
        promotion=plan.promotion,
        trial=bool(plan.trial),
        order_id=uuid.uuid5(uuid.UUID(plan.id), "order").hex[:12]
        if line == "nce"
        else str(uuid.uuid5(uuid.UUID(plan.id), "order")),
        suspended_by="story" if plan.status == "suspended" else None,
        suspended_at=created_at if plan.status == "suspended" else None,
        migrated_from=plan.nce.migrated_from if plan.nce else None,
        cancellable_until=starts_at + CANCELLATION_WINDOW if line == "nce" else None,
        plan=plan.migration,
    )


def world_item(world: World, sku: str, at: datetime | None = None) -> str:
    """The catalogue item (product:sku:availability) of a SKU at a moment; availabilities change with time
    unless the scenario pins them."""
    known = world.skus.get(sku)
    if known is not None and known.availability is not None:
        return f"{sku}:{known.availability}"
    lifetime = world.scenario.rules.availability_lifetime
    window = int((at or world.now).timestamp() // lifetime.total_seconds())
    digits = int.from_bytes(hashlib.sha256(f"{sku}/{window}".encode()).digest()[:8], "big")
    letters = "0123456789BCDFGHJKLMNPQRSTVWXZ"
    tail = "".join(letters[digits // len(letters) ** place % len(letters)] for place in range(5))
    return f"{sku}:CFQ7TTC{tail}"
