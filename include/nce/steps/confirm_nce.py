"""The wait between buying and cancelling: is NCE active, and does it cover legacy?

One look at everything of a batch that is under way. It only reads Partner Center and notes what it sees, so
it may run twice or in two places.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from include.nce.domain.campaign import Campaign
from include.nce.domain.command import CommandKind, CommandOutcome
from include.nce.domain.conversion import (
    Conversion,
    ConversionState,
    Migration,
    MigrationState,
    Overtaken,
    Phase,
    Route,
    why_not_covered,
)
from include.nce.domain.lineage import counterparts, is_active, is_out_of_patience
from include.nce.steps.ports import Clock, Ledger, PartnerCenter


@dataclass(frozen=True)
class Coverage:
    """How the batch stands: lines under way, lines whose legacy side may go, and when one last moved."""

    pending: int
    covered: int
    covered_purchases: int
    last_progress_at: datetime | None

    def worth_cancelling(self, now_at: datetime, quiet_minutes: int) -> bool:
        """True when nothing is pending, or bought lines have waited long enough for the slow ones."""
        if self.pending == 0:
            return True
        if self.covered_purchases == 0 or self.last_progress_at is None:
            return False
        return now_at - self.last_progress_at >= timedelta(minutes=quiet_minutes)


async def confirm_nce(
    run_id: str,
    plan_id: int,
    batch_no: int,
    *,
    partner_center: PartnerCenter,
    ledger: Ledger,
    clock: Clock,
) -> Coverage:
    """Waits until the New Commerce subscriptions of the batch are active, without using a worker.

    Microsoft takes minutes to hours, at the longest 72 hours. A failed migration whose legacy side is
    suspended is left alone that long: Microsoft finishes or reverts it by itself. Never red: what did not
    become active is told by `cancel_legacy`.
    """
    run = await ledger.run(run_id)
    campaign = await ledger.campaign(run.campaign)
    now_at = await clock.now()
    lines = await ledger.batch(run_id, plan_id, batch_no)
    # A lost answer is looked for along with the rest, but nothing waits for it.
    watched = [line for line in lines if _is_watched(line) or line.state is ConversionState.UNKNOWN]
    migrations = await _migrations_of(watched, partner_center)
    for line in watched:
        if line.route is Route.MIGRATE:
            await _follow_migration(
                line, migrations.get(line.legacy_id), campaign, now_at, partner_center, ledger
            )
    for customer_id in sorted({line.customer_id for line in watched}):
        await _verify_customer(
            run_id, plan_id, batch_no, customer_id, campaign, now_at, partner_center, ledger
        )
    return await _coverage(run_id, plan_id, batch_no, ledger)


def _is_watched(line: Conversion) -> bool:
    return line.state.phase is Phase.AT_MICROSOFT


async def _coverage(run_id: str, plan_id: int, batch_no: int, ledger: Ledger) -> Coverage:
    lines = await ledger.batch(run_id, plan_id, batch_no)
    covered = [line for line in lines if line.state is ConversionState.COVERED]
    return Coverage(
        pending=sum(_is_watched(line) for line in lines),
        covered=len(covered),
        covered_purchases=sum(line.route is Route.PURCHASE for line in covered),
        last_progress_at=max((line.state_since_at for line in lines if line.state_since_at), default=None),
    )


async def _migrations_of(lines: Sequence[Conversion], partner_center: PartnerCenter) -> dict[str, Migration]:
    """One query for each batch reference instead of one for each subscription."""
    found: dict[str, Migration] = {}
    asked: set[str] = set()
    # Bases first: the answer about one tells of its add-ons too.
    for line in sorted(lines, key=lambda line: line.legacy_id != line.base_id):
        reference = line.reference
        known_already = line.legacy_id in found or reference in asked
        if line.route is not Route.MIGRATE or reference is None or known_already:
            continue
        asked.add(reference)
        async for migration in partner_center.migrations(reference=reference):
            for part in migration.flattened():
                known = found.get(part.legacy_id)
                # A repeated attempt leaves the failed one behind: the latest counts.
                if known is None or _started(migration) >= _started(known):
                    found[part.legacy_id] = _with_base(part, migration)
    return found


def _started(migration: Migration) -> float:
    return migration.started_at.timestamp() if migration.started_at else 0.0


def _with_base(part: Migration, base: Migration) -> Migration:
    """An add-on's part carries no id, state or times of its own: the base's are meant."""
    if part is base:
        return base
    return Migration(
        migration_id=base.migration_id,
        legacy_id=part.legacy_id,
        customer_id=base.customer_id,
        state=base.state,
        started_at=base.started_at,
        completed_at=base.completed_at,
        catalogue_item=part.catalogue_item,
        nce_subscription_id=part.nce_subscription_id,
        nce_order_id=part.nce_order_id or base.nce_order_id,
        seats=part.seats,
        reference=base.reference,
    )


async def _follow_migration(
    line: Conversion,
    migration: Migration | None,
    campaign: Campaign,
    now_at: datetime,
    partner_center: PartnerCenter,
    ledger: Ledger,
) -> None:
    async def say(state: ConversionState, reason: str, **facts: Any) -> None:
        await _say(ledger, line, state, reason, at=now_at, **facts)

    if migration is not None and line.state is ConversionState.UNKNOWN:
        await _note_found(line, migration, now_at, ledger)
    if migration is None or migration.state is MigrationState.PROCESSING:
        if line.state is ConversionState.UNKNOWN and migration is not None:
            await say(
                ConversionState.ACCEPTED, "found: Microsoft is migrating it",
                migration_id=migration.migration_id,
            )  # fmt: skip
        elif line.state is not ConversionState.UNKNOWN and is_out_of_patience(line, campaign, now_at):
            await say(
                ConversionState.STRANDED,
                f"Microsoft has been migrating it for {campaign.safety.completion_hours} hours, longer than "
                "it ever takes: an operator opens a ticket.",
            )
        return
    if migration.state is MigrationState.COMPLETED:
        nameless = migration.nce_subscription_id is None and line.nce_subscription_id is None
        if (
            nameless
            and line.state is not ConversionState.UNKNOWN
            and is_out_of_patience(line, campaign, now_at)
        ):
            await say(
                ConversionState.STRANDED,
                "Microsoft says it is migrated and names no NCE subscription: an operator opens a ticket.",
                migration_id=migration.migration_id,
            )
            return
        await say(
            ConversionState.ACCEPTED, "migrated, NCE is being verified",
            migration_id=migration.migration_id, nce_subscription_id=migration.nce_subscription_id,
            order_id=migration.nce_order_id,
        )  # fmt: skip
        return
    if line.migration_id not in (None, migration.migration_id):
        return  # an earlier try's; the one under way is not listed yet
    legacy = await partner_center.subscription(line.customer_id, line.legacy_id)
    if is_active(legacy):
        await say(
            ConversionState.FAILED,
            "Microsoft's migration failed and legacy is active as before: start the partner again to retry.",
        )
        return
    began_at = migration.started_at or line.state_since_at or now_at
    patience_ends_at = began_at + timedelta(hours=campaign.safety.completion_hours)
    if now_at < patience_ends_at:
        await say(
            ConversionState.HANDS_OFF,
            f"Microsoft finishes or reverts it by {patience_ends_at:%Y-%m-%d %H:%M} UTC: hands off.",
            migration_id=migration.migration_id,
        )
        return
    await say(
        ConversionState.STRANDED,
        f"Microsoft's migration failed, legacy is suspended, and {campaign.safety.completion_hours} hours "
        "are over: an operator opens a ticket.",
    )


async def _say(ledger: Ledger, line: Conversion, state: ConversionState, reason: str, **facts: Any) -> None:
    """This look holds no lock: what somebody else has moved on since then is theirs to tell."""
    with suppress(Overtaken):
        await ledger.advance(line, state, reason, **facts)


async def _note_found(line: Conversion, migration: Migration, now_at: datetime, ledger: Ledger) -> None:
    """The lost answer's command has its answer: it arrived."""
    command = await ledger.open_command(line.conversion_id, CommandKind.CREATE_MIGRATION)
    if command is not None:
        await ledger.note_answer(
            command.command_id, at=now_at, outcome=CommandOutcome.FOUND, status=None, code=None,
            correlation_id=None, body={"migration": migration.migration_id, "state": migration.state.value},
        )  # fmt: skip


async def _verify_customer(
    run_id: str,
    plan_id: int,
    batch_no: int,
    customer_id: str,
    campaign: Campaign,
    now_at: datetime,
    partner_center: PartnerCenter,
    ledger: Ledger,
) -> None:
    """Bought is not yet active: only what Partner Center lists as active and large enough counts as
    covered."""
    lines = [
        line
        for line in await ledger.batch(run_id, plan_id, batch_no)
        if line.customer_id == customer_id and line.state is ConversionState.ACCEPTED
        and (line.route is Route.PURCHASE or line.nce_subscription_id is not None)
    ]  # fmt: skip
    if not lines:
        return
    held = {s.subscription_id: s for s in await partner_center.subscriptions_of(customer_id)}
    found = counterparts(await ledger.batch(run_id, plan_id, batch_no), held)
    for line in lines:
        nce = found[line.legacy_id]
        legacy = held.get(line.legacy_id)
        active = is_active(nce)
        why: str | None = "legacy is not listed any more"
        if legacy is not None:
            why = why_not_covered(
                legacy, nce, expected_product_and_sku=line.expected_product_and_sku, active=active
            )
        if why is None and nce is not None:
            await _say(
                ledger, line, ConversionState.COVERED, "NCE is active and covers it", at=now_at,
                nce_subscription_id=nce.subscription_id, undoable_until_at=nce.cancellable_until_at,
            )  # fmt: skip
        elif active:
            await _say(
                ledger, line, ConversionState.STRANDED, f"bought, but {why}: a person looks", at=now_at
            )
        elif is_out_of_patience(line, campaign, now_at):
            await _say(
                ledger, line, ConversionState.STRANDED,
                f"bought, but {why}, and it has taken too long: an operator looks",
                at=now_at,
            )  # fmt: skip
