"""What comparing ten thousand partners costs: `python -m benchmarks.reconcile` (needs NCE_DATABASE_URL).

A ledger of ten thousand partners with three customers and ten converted subscriptions each, and a Partner
Center that answers at once: what is left is ours. Counts requests, statements and memory. The last figures
stand in benchmarks/reconcile.md.
"""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import event, make_url, text

from include.nce.domain.subscription import Status, Subscription, SubscriptionKind
from include.nce.ledger.ledger import PostgresLedger
from include.nce.ledger.migrate import upgrade
from include.nce.steps.list_partners import list_partners, partners_of
from include.nce.steps.reconcile_partner import reconcile_partner
from scripts.stack import databases
from tests.integration.ledger.scene import CAMPAIGN, OFFER, campaign

PARTNERS = int(os.environ.get("NCE_BENCHMARK_PARTNERS", "10000"))
CUSTOMERS, LINES = 3, 10
NOW = datetime(2022, 7, 15, 12, tzinfo=timezone.utc)
FILL = f"""
    INSERT INTO partners (campaign, partner, name, tenant_id, country, language, enrolled_at)
    SELECT '{CAMPAIGN}', 'p' || lpad(p::text, 6, '0'), 'P', 'tenant-' || p, 'IT', 'it', now()
    FROM generate_series(1, {PARTNERS}) p;
    INSERT INTO runs (run_id, campaign, partner, mode, opening, opened_at)
    SELECT 'r' || partner, campaign, partner, 'apply', 1, now() FROM partners;
    INSERT INTO subscriptions (campaign, partner, subscription_id, run_id, customer_id, offer_id, offer_name,
        kind, status, seats, auto_renew, is_trial, suspension_reasons, first_seen_at, surveyed_at)
    SELECT campaign, partner, 'legacy-' || partner || '-' || n, 'r' || partner,
        'customer-' || partner || '-' || (n % {CUSTOMERS}), '{OFFER}', 'Business Basic', 'legacy', 'active',
        10, true, false, '{{}}', now(), now()
    FROM partners, generate_series(1, {LINES}) n;
    INSERT INTO conversions (campaign, partner, customer_id, legacy_id, base_id, route, state, offer_id,
        migration_id, nce_subscription_id, state_since_at, created_at)
    SELECT campaign, partner, customer_id, subscription_id, subscription_id, 'migrate', 'converted', offer_id,
        'm', 'nce-' || subscription_id, now(), now()
    FROM subscriptions;
    INSERT INTO plans (run_id, campaign, partner, number, campaign_version, tally, created_at)
    SELECT 'r' || partner, campaign, partner, 1, 1, '{{}}', now() FROM partners;
    INSERT INTO plan_lines (plan_id, subscription_id, customer_id, offer_id, offer_name, legacy_seats, class,
        reason, owner, remedy, warning, route, position, batch_no, conversion_id)
    SELECT plan_id, legacy_id, customer_id, offer_id, 'Business Basic', 10, 'due', '', 'nobody', '', '',
        'migrate', 1, 0, conversion_id
    FROM conversions JOIN plans USING (campaign, partner);
    ANALYZE;
"""  # noqa: S608 - names of our own


class AnsweringAtOnce:
    """Partner Center as it should be after a conversion; a hundredth of legacy is active again."""

    def __init__(self) -> None:
        self.requests = 0

    async def subscriptions_of(self, customer_id: str) -> Sequence[Subscription]:
        self.requests += 1
        _, partner, which = customer_id.split("-")
        held = []
        for number in range(1, LINES + 1):
            if number % CUSTOMERS == int(which):
                legacy_id = f"legacy-{partner}-{number}"
                again = number == LINES and partner.endswith("0")
                held += [
                    _held(customer_id, legacy_id, OFFER, SubscriptionKind.LEGACY, again),
                    _held(customer_id, f"nce-{legacy_id}", "P:S:A", SubscriptionKind.NCE, True),
                ]
        return held


def _held(customer: str, key: str, offer: str, kind: SubscriptionKind, active: bool) -> Subscription:
    status = Status.ACTIVE if active else Status.SUSPENDED
    return Subscription(key, customer, offer, "Business Basic", kind, status, 10)


class StandingStill:
    async def now(self) -> datetime:
        return NOW


async def measure(url: str) -> None:
    partner_center: Any = AnsweringAtOnce()
    clock = StandingStill()
    async with PostgresLedger.open(url, pool_size=2) as ledger:
        await ledger.import_campaign(campaign(), "benchmark", "benchmark")
        async with ledger._engine.begin() as connection:
            for statement in FILL.split(";\n"):
                if statement.strip():
                    await connection.execute(text(statement))
        statements = 0

        def count(*_: Any) -> None:
            nonlocal statements
            statements += 1

        event.listen(ledger._engine.sync_engine, "before_cursor_execute", count)
        for turn in ("first", "second"):
            requests, before, began = partner_center.requests, statements, time.perf_counter()
            pages = await list_partners(CAMPAIGN, (), ledger=ledger, clock=clock)
            sizes = []
            for page in pages:
                async for partner in partners_of(page, ledger=ledger):
                    await reconcile_partner(
                        turn, CAMPAIGN, partner, repair=True,
                        partner_center=partner_center, ledger=ledger, clock=clock,
                    )  # fmt: skip
                sizes.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
            seconds = time.perf_counter() - began
            signals = await ledger.coverage_signals(CAMPAIGN)
            print(
                f"{turn}: {PARTNERS} partners in {len(pages)} pages, {seconds:.0f} s, "
                f"{1000 * seconds / PARTNERS:.1f} ms a partner, "
                f"{partner_center.requests - requests} requests, "
                f"{(statements - before) / PARTNERS:.1f} statements a partner, memory after the first page "
                f"{sizes[0]:.0f} MB, after the last {sizes[-1]:.0f} MB, covered twice: {signals.double}"
            )


def main() -> None:
    server = make_url(os.environ["NCE_DATABASE_URL"]).set(drivername="postgresql+psycopg")
    name = f"nce_benchmark_{os.getpid()}"
    with databases.connect(server) as connection:
        databases.create(connection, name)
        try:
            url = server.set(database=name).render_as_string(hide_password=False)
            upgrade(url)
            asyncio.run(measure(url))
        finally:
            databases.drop(connection, name)


if __name__ == "__main__":
    main()
