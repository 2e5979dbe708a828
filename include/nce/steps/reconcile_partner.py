"""`reconcile_partner`: is at Partner Center what the ledger says? What differs is told, with an owner.

Finishing is left to the steps that finish: a line that is behind goes to `confirm_nce` and `cancel_legacy`
with the batch it belongs to, so there is no second way to a suspension. Nothing is ever bought, reactivated
or cancelled here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from include.nce.domain.campaign import Campaign
from include.nce.domain.command import CommandKind
from include.nce.domain.comparison import FindingChanges, KnownHoldings
from include.nce.domain.conversion import Conversion, ConversionState, Overtaken
from include.nce.domain.errors import Busy, FailureClass, PartnerCenterFault
from include.nce.domain.lineage import counterparts, is_same_product, is_unplaced, successor_of
from include.nce.domain.partner import Partner
from include.nce.domain.reconciliation import Discrepancy, KnownLine, Pair, Repair, compare
from include.nce.domain.subscription import Status, Subscription
from include.nce.steps.cancel_legacy import cancel_legacy
from include.nce.steps.confirm_nce import confirm_nce
from include.nce.steps.ports import Clock, PartnerCenter, ReconcileLedger
from include.nce.steps.sending import LockLost

_WHY_LENGTH = 300


@dataclass(frozen=True)
class Reconciled:
    """What came of one partner: lines compared of all there are, what changed on record, what was repaired.

    `unread` says what could not be compared. `out_of_reach`: not one of its customers could be read, and
    nothing says that it is theirs.
    """

    lines: int
    compared: int
    changes: FindingChanges
    repaired: tuple[str, ...] = ()
    unread: str = ""
    out_of_reach: bool = False


@dataclass(frozen=True)
class _Behind:
    """A line to repair, with the conversion its bundle was sent under and what it was moved to, if known."""

    known: Conversion
    base: Conversion
    repair: Repair
    successor_id: str | None


@dataclass
class _Look:
    """What a look at some of a partner's lines brought."""

    discrepancies: list[Discrepancy] = field(default_factory=list)
    behind: list[_Behind] = field(default_factory=list)
    compared: set[str] = field(default_factory=set)
    unread: list[str] = field(default_factory=list)
    customers_read: int = 0
    faults: list[FailureClass] = field(default_factory=list)

    @property
    def why_unread(self) -> str:
        more = f" And {len(self.unread) - 1} more." if len(self.unread) > 1 else ""
        return self.unread[0][:_WHY_LENGTH] + more if self.unread else ""

    @property
    def out_of_reach(self) -> bool:
        read_nobody = bool(self.faults) and not self.customers_read
        return read_nobody and all(fault.is_everybodys for fault in self.faults)


async def reconcile_partner(
    run_id: str,
    campaign: str,
    partner: Partner,
    *,
    repair: bool,
    partner_center: PartnerCenter,
    ledger: ReconcileLedger,
    clock: Clock,
) -> Reconciled:
    """Compares what the ledger says of these partners with what Partner Center holds, one after another.

    Each customer's subscriptions are read once. What differs becomes a finding with an owner and a sentence,
    and stays open until it is gone. With *repair*, what is safe is put right: an unknown outcome is looked
    up, what our own active New Commerce covers is finished past the same gate as always, and what somebody
    else moved is marked so. Nothing is bought, reactivated or cancelled. A partner that cannot be read is
    told as not compared, keeps its findings, and does not stop the others. Red: the ledger could not be
    reached, Partner Center was out of reach for several partners in a row, or one partner's data broke the
    comparison; the log names it. Clear it.
    """
    policy = await ledger.campaign(campaign)
    known = await ledger.known_holdings(campaign, partner.partner)
    look = await _look(known, policy, await clock.now(), partner_center)
    _leave_what_moved(look, known, await ledger.known_holdings(campaign, partner.partner))
    lines = len(known.subscriptions)
    changes = await ledger.record_comparison(
        run_id, campaign, partner.partner, look.discrepancies,
        compared=look.compared, lines=lines, unread=look.why_unread, at=await clock.now(),
    )  # fmt: skip
    repaired: dict[str, str] = {}
    if repair and look.behind:
        repaired = await _repair(look.behind, partner_center=partner_center, ledger=ledger, clock=clock)
    if repaired:
        customers = {one.known.customer_id for one in look.behind if one.known.legacy_id in repaired}
        known = await ledger.known_holdings(campaign, partner.partner)
        again = await _look(known, policy, await clock.now(), partner_center, customers)
        _leave_what_moved(again, known, await ledger.known_holdings(campaign, partner.partner))
        later = await ledger.record_comparison(
            run_id, campaign, partner.partner,
            [d for d in look.discrepancies if d.legacy_id not in again.compared] + again.discrepancies,
            compared=look.compared | again.compared, lines=lines, unread=look.why_unread,
            at=await clock.now(),
        )  # fmt: skip
        changes = FindingChanges(
            changes.opened + later.opened,
            changes.returned + later.returned,
            changes.resolved + later.resolved,
        )
    return Reconciled(
        lines=lines,
        compared=len(look.compared),
        changes=changes,
        repaired=tuple(repaired.values()),
        unread=look.why_unread,
        out_of_reach=look.out_of_reach,
    )


async def _look(
    known: KnownHoldings,
    policy: Campaign,
    now_at: datetime,
    partner_center: PartnerCenter,
    customers: Collection[str] | None = None,
) -> _Look:
    """Compare all lines, or those of some customers; a customer that cannot be read is not compared."""
    look = _Look()
    of_customer: dict[str, list[KnownLine]] = {}
    for subscription in known.subscriptions:
        if customers is None or subscription.customer_id in customers:
            of_customer.setdefault(subscription.customer_id, []).append(subscription)
    for customer_id, lines in of_customer.items():
        try:
            held = await partner_center.subscriptions_of(customer_id)
        except PartnerCenterFault as fault:
            look.faults.append(fault.failure_class)
            look.unread.append(f"Customer {customer_id} was not compared: {fault.sentence}")
            continue
        look.customers_read += 1
        _compare_customer(look, lines, held, known.placed, policy, now_at)
    return look


def _leave_what_moved(look: _Look, before: KnownHoldings, after: KnownHoldings) -> None:
    """A bundle that a run or an undo moved while its partner was read is not compared: what the ledger said
    of it was older than what Partner Center showed."""

    def standing(holdings: KnownHoldings) -> dict[str, object]:
        return {
            each.legacy_id: each.conversion and (each.conversion.state, each.conversion.state_since_at)
            for each in holdings.subscriptions
        }

    lines = before.subscriptions
    then, now = standing(before), standing(after)
    bases = {line.base_id for line in lines if then[line.legacy_id] != now.get(line.legacy_id)}
    moved = {line.legacy_id for line in lines if line.base_id in bases}
    look.unread.extend(
        f"Subscription {legacy_id} was not compared: somebody is working on it."
        for legacy_id in sorted(moved & look.compared)
    )
    look.discrepancies = [one for one in look.discrepancies if one.legacy_id not in moved]
    look.behind = [one for one in look.behind if one.known.legacy_id not in moved]
    look.compared -= moved


def _compare_customer(
    look: _Look,
    lines: Sequence[KnownLine],
    held: Sequence[Subscription],
    placed: frozenset[str],
    policy: Campaign,
    now_at: datetime,
) -> None:
    by_id = {s.subscription_id: s for s in held}
    known = {each.legacy_id: each for each in lines}
    doubtful = any(s.status is Status.OTHER and s.subscription_id not in known for s in held)
    loose = [s for s in held if is_unplaced(s, placed)]
    nce_of = {
        **{legacy_id: successor_of(legacy_id, by_id.values()) for legacy_id in known},
        **counterparts([each.conversion for each in lines if each.conversion], by_id),
    }
    bundles: dict[str, list[Pair]] = {}
    for each in lines:
        pair = _pair(each, by_id, nce_of[each.legacy_id], loose, policy, doubtful=doubtful)
        bundles.setdefault(each.base_id, []).append(pair)
    for bundle in bundles.values():
        result = compare(bundle, policy, now_at)
        look.discrepancies.extend(result.discrepancies)
        look.unread.extend(f"Subscription {one} was not compared: {why}." for one, why in result.unclear)
        look.compared.update({pair.line.legacy_id for pair in bundle} - {one for one, _ in result.unclear})
        look.behind.extend(_behind(known, by_id, result.repairs))


def _behind(
    known: Mapping[str, KnownLine],
    held: Mapping[str, Subscription],
    repairs: Sequence[tuple[str, Repair]],
) -> Iterator[_Behind]:
    conversions = {legacy_id: each.conversion for legacy_id, each in known.items() if each.conversion}
    for legacy_id, repair in repairs:
        conversion = conversions[legacy_id]
        successor = successor_of(legacy_id, held.values())
        yield _Behind(
            conversion,
            conversions.get(conversion.base_id, conversion),
            repair,
            successor.subscription_id if successor is not None else None,
        )


def _pair(
    known: KnownLine,
    held: Mapping[str, Subscription],
    nce: Subscription | None,
    loose: Sequence[Subscription],
    policy: Campaign,
    *,
    doubtful: bool,
) -> Pair:
    line = known
    offer = policy.offer(line.offer_id)
    expected = line.expected_product_and_sku or (offer.product_and_sku if offer is not None else None)
    return Pair(
        line,
        held.get(line.legacy_id),
        nce,
        tuple(nce for nce in loose if is_same_product(nce, expected)),
        doubtful,
    )


async def _repair(
    behind: Sequence[_Behind],
    *,
    partner_center: PartnerCenter,
    ledger: ReconcileLedger,
    clock: Clock,
) -> dict[str, str]:
    """Legacy id -> a sentence, for each line whose state is another one afterwards."""
    for one in behind:
        if one.repair is not Repair.FINISH:
            await _mark(one, ledger, clock)
    unfinished = {one.known.conversion_id for one in behind if one.repair is Repair.FINISH}
    for batch in await ledger.batches_of(unfinished):
        reference = (batch.run_id, batch.plan_id, batch.batch_no)
        try:
            await confirm_nce(*reference, partner_center=partner_center, ledger=ledger, clock=clock)
            await cancel_legacy(*reference, partner_center=partner_center, ledger=ledger, clock=clock)
        except (PartnerCenterFault, LockLost):
            # Nothing was sent, and what stands as a finding goes on standing.
            continue
    repaired = {}
    for before in {one.known.conversion_id: one.known for one in behind}.values():
        after = await ledger.conversion(before.conversion_id)
        if after.state is not before.state:
            why = after.reason.rstrip(".") or "no reason noted"
            repaired[after.legacy_id] = (
                f"Subscription {after.legacy_id} was {before.state.value} and is {after.state.value}: {why}."
            )
    return repaired


async def _mark(one: _Behind, ledger: ReconcileLedger, clock: Clock) -> None:
    """Write down what is so, as the only writer, and only if it is still as it was compared."""
    kind = CommandKind.purchase(one.known.route)
    try:
        async with ledger.single_writer(one.known.customer_id, one.known.legacy_id, one.base.legacy_id):
            now = await ledger.conversion(one.known.conversion_id)
            command = await ledger.open_command(one.base.conversion_id, kind)
            sent = command is not None and command.sent
            if one.repair is Repair.NOTE_UNANSWERED and now.state is ConversionState.SENT and sent:
                await ledger.advance(
                    now, ConversionState.UNKNOWN,
                    "it was sent, and nobody waits for the answer any more", at=await clock.now(),
                )  # fmt: skip
            elif one.repair is Repair.MARK_BY_OTHERS and now.state.is_unsent and not sent:
                await ledger.advance(
                    now, ConversionState.BY_OTHERS,
                    f"somebody else moved it to NCE subscription {one.successor_id}", at=await clock.now(),
                )  # fmt: skip
    except (Busy, Overtaken):
        # Whoever has it is at it right now.
        return
