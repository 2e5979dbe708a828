"""Lineage of subscriptions: which New Commerce subscription replaces which legacy one, what a status means.

The one place that says who the successor of a legacy subscription is, which New Commerce subscription nobody
can place, and for how long either side is waited for. What follows from that is decided elsewhere.

`suspended` means the opposite on the two sides: a suspended legacy subscription is not billed any more, a
suspended New Commerce one is. A status nobody knows is neither ended nor served.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from include.nce.domain.campaign import Campaign
from include.nce.domain.conversion import Conversion, Route
from include.nce.domain.subscription import Status, Subscription, SubscriptionKind

OVER = frozenset({Status.EXPIRED, Status.DELETED})
"""It has ended for good, on either side: nobody is served by it, nobody billed for it."""
LEGACY_ENDED = OVER | {Status.SUSPENDED}
"""A legacy subscription is no longer billed."""
SERVES = frozenset({Status.ACTIVE, Status.PENDING})
"""The customer has it, or is about to."""


def is_over(held: Subscription) -> bool:
    """It has ended for good."""
    return held.status in OVER


def has_ended(legacy: Subscription) -> bool:
    """A legacy subscription that is no longer billed: suspended, or over."""
    return legacy.status in LEGACY_ENDED


def serves(held: Subscription | None) -> bool:
    return held is not None and held.status in SERVES


def is_active(held: Subscription | None) -> bool:
    return held is not None and held.status is Status.ACTIVE


def is_successor(nce: Subscription, legacy_id: str) -> bool:
    """It says that it was migrated from this legacy subscription, and has not ended."""
    return nce.migrated_from_id == legacy_id and not is_over(nce)


def successor_of(
    legacy_id: str, holdings: Iterable[Subscription], *, known_id: str | None = None
) -> Subscription | None:
    """The New Commerce subscription that replaced a legacy one, whoever moved it.

    One that was cancelled or has expired is none. Of several the one that our ledger knows (`known_id`)
    counts, else the oldest; the order in which Partner Center lists them never matters.
    """

    def rank(nce: Subscription) -> tuple[bool, bool, float, str]:
        created_at = nce.created_at.timestamp() if nce.created_at is not None else 0.0
        return nce.subscription_id != known_id, nce.created_at is None, created_at, nce.subscription_id

    return min((s for s in holdings if is_successor(s, legacy_id)), key=rank, default=None)


def is_same_product(nce: Subscription, product_and_sku: str | None) -> bool:
    return product_and_sku is not None and nce.product_and_sku == product_and_sku


def is_unplaced(nce: Subscription, placed: Collection[str | None]) -> bool:
    """A New Commerce subscription of which neither Microsoft nor our ledger says what it replaces.

    `placed`: the ids of New Commerce subscriptions and of orders that the ledger knows. A suspended one is
    billed, and counts.
    """
    return (
        nce.kind is SubscriptionKind.NCE
        and not is_over(nce)
        and nce.migrated_from_id is None
        and nce.subscription_id not in placed
        and (nce.order_id is None or nce.order_id not in placed)
    )


def counterpart(line: Conversion, held: Mapping[str, Subscription]) -> Subscription | None:
    """The New Commerce subscription of a conversion: by id, by where it was migrated from, or by the order it
    was bought with. By its id it is found also when it has ended."""
    if line.nce_subscription_id is not None and line.nce_subscription_id in held:
        return held[line.nce_subscription_id]
    successor = successor_of(line.legacy_id, held.values())
    if successor is not None:
        return successor
    if line.route is Route.PURCHASE and line.order_id is not None:
        of_its_order = [
            nce
            for nce in held.values()
            if nce.order_id == line.order_id and is_same_product(nce, line.expected_product_and_sku)
        ]
        seats = _bought_seats(line, held)
        return min(of_its_order, key=lambda nce: (nce.seats != seats, nce.subscription_id), default=None)
    return None


def counterparts(
    lines: Sequence[Conversion], held: Mapping[str, Subscription]
) -> dict[str, Subscription | None]:
    """Legacy id -> its New Commerce subscription, each to one line: two of an order may be of one product.

    The line that is certain chooses first; the other is not listed yet then, or its seats were changed.
    """

    def uncertain(line: Conversion) -> tuple[bool, bool, str]:
        nce = counterpart(line, held)
        other_seats = nce is None or nce.seats != _bought_seats(line, held)
        return line.nce_subscription_id is None, other_seats, line.legacy_id

    found: dict[str, Subscription | None] = {}
    free = dict(held)
    for line in sorted(lines, key=uncertain):
        nce = found[line.legacy_id] = counterpart(line, free)
        if nce is not None:
            del free[nce.subscription_id]
    return found


def _bought_seats(line: Conversion, held: Mapping[str, Subscription]) -> int | None:
    """The edited seats, or as many as legacy has; None when legacy is not listed."""
    legacy = held.get(line.legacy_id)
    return line.seats if line.seats is not None or legacy is None else legacy.seats


def is_out_of_patience(line: Conversion, campaign: Campaign, now_at: datetime) -> bool:
    """Longer in its state than Microsoft takes for a migration, or than the campaign gives a purchase."""
    migrates = line.route is Route.MIGRATE
    hours = campaign.safety.completion_hours if migrates else campaign.cadence.purchase_patience_hours
    return _in_its_state_for(line, hours, now_at)


def is_billed_twice_too_long(line: Conversion, campaign: Campaign, now_at: datetime) -> bool:
    """NCE is active, and legacy has not ended for longer than the campaign allows: a person looks."""
    return _in_its_state_for(line, campaign.cadence.purchase_patience_hours, now_at)


def _in_its_state_for(line: Conversion, hours: float, now_at: datetime) -> bool:
    return line.state_since_at is not None and now_at - line.state_since_at >= timedelta(hours=hours)
