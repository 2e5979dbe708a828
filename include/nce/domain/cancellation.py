"""The cancel gate: the one rule that decides whether a legacy subscription may be suspended.

There is no other way to a suspension: its ruling carries the permit for it. A failed purchase never leads to
one; a missing answer is a no.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import InitVar, dataclass
from enum import Enum

from include.nce.domain.conversion import why_not_covered
from include.nce.domain.lineage import has_ended, is_active
from include.nce.domain.subscription import Status, Subscription


@dataclass(frozen=True)
class CoveredPair:
    """One subscription of a bundle as read from Partner Center moments ago, with its NCE counterpart.

    `on_its_way`: what was bought or migrated for it is not settled yet, so waiting for it makes sense.
    """

    legacy: Subscription
    nce: Subscription | None
    expected_product_and_sku: str | None
    on_its_way: bool = False


class GateWord(str, Enum):
    SUSPEND = "suspend"
    ALREADY_DONE = "already_done"
    WAIT = "wait"
    REFUSE = "refuse"


_GATE = object()


@dataclass(frozen=True)
class SuspensionPermit:
    """The cancel gate's word that this legacy subscription may be suspended. Only the gate makes one, and the
    client suspends nothing without."""

    customer_id: str
    legacy_id: str
    made_by: InitVar[object] = None

    def __post_init__(self, made_by: object) -> None:
        if made_by is not _GATE:
            raise TypeError("only the cancel gate permits a suspension")


@dataclass(frozen=True)
class GateRuling:
    """The word, why, and which subscription of the bundle stands in the way. `permit`: where it may go."""

    word: GateWord
    reason: str
    uncovered_id: str | None = None
    permit: SuspensionPermit | None = None


def cancel_gate(
    bundle: Sequence[CoveredPair], *, legacy_id: str, bought_by_us: bool, suspended_by_microsoft: bool
) -> GateRuling:
    """May `legacy_id` be suspended now?

    `bundle` is the base with all its active add-ons: legacy is touched only when NCE covers every one of
    them. `bought_by_us` is the ledger's word that a purchase or migration of ours stands behind the NCE side.
    `suspended_by_microsoft` says that the route's own suspension is expected and need only be verified.
    """
    pair = next((item for item in bundle if item.legacy.subscription_id == legacy_id), None)
    if pair is None:
        return GateRuling(GateWord.REFUSE, f"subscription {legacy_id} is not part of what was read")
    if not pair.legacy.is_legacy:
        return GateRuling(GateWord.REFUSE, f"subscription {legacy_id} is no legacy subscription")
    if not bought_by_us:
        return GateRuling(GateWord.REFUSE, "no purchase of ours is on record for it")
    for item in bundle:
        active = is_active(item.nce)
        why = why_not_covered(
            item.legacy, item.nce, expected_product_and_sku=item.expected_product_and_sku, active=active
        )
        if why is None and item.legacy.status is Status.OTHER:
            why = "legacy is in the unknown state 'other', and its seats may not be what was read"
        if why is not None:
            unfinished = item.nce is None or item.nce.status is Status.PENDING
            word = GateWord.WAIT if unfinished and item.on_its_way else GateWord.REFUSE
            about = "" if item is pair else f"of its bundle, {item.legacy.subscription_id} is not covered: "
            return GateRuling(word, about + why, item.legacy.subscription_id)
    if pair.legacy.status is Status.ACTIVE:
        reason = "Microsoft did not suspend it, so we do" if suspended_by_microsoft else "NCE covers it"
        permit = SuspensionPermit(pair.legacy.customer_id, legacy_id, _GATE)
        return GateRuling(GateWord.SUSPEND, reason, permit=permit)
    if has_ended(pair.legacy):
        return GateRuling(GateWord.ALREADY_DONE, f"legacy is {pair.legacy.status.value}")
    return GateRuling(GateWord.REFUSE, f"legacy is in the unknown state '{pair.legacy.status.value}'")
