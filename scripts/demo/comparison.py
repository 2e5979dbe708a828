"""Compare how the campaign ended with what its story expects.

Three accounts have to agree: the story's, the ledger's and the world's. A subscription that the ledger
calls converted but that has no successor in Partner Center is a difference, and so is one that was bought
twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from include.nce.ledger.reports import CampaignStatus, PartnerStatus, SubscriptionStatus
from scripts.demo.story import Expectation

BOUGHT_BY_US = ("migration", "order")
MAY_BE_BOUGHT = ("converted", "undone", "failed")
"""Classes in which a purchase of ours may exist in Partner Center."""


@dataclass(frozen=True)
class Holding:
    """One subscription as Partner Center knows it."""

    id: str
    status: str
    seats: int
    migrated_from: str | None
    created_by: str
    suspended_by: str | None

    @classmethod
    def read_all(cls, state: Mapping[str, Any]) -> dict[str, Holding]:
        """All subscriptions of the simulator's state, by lower-case id."""
        holdings = [
            cls(
                id=str(each["id"]).lower(),
                status=str(each["status"]),
                seats=int(each["seats"]),
                migrated_from=str(each["migrated_from"]).lower() if each.get("migrated_from") else None,
                created_by=str(each["created_by"]),
                suspended_by=each.get("suspended_by"),
            )
            for each in state["subscriptions"]
        ]
        return {holding.id: holding for holding in holdings}


def differences(
    expectations: Sequence[Expectation], status: CampaignStatus, holdings: Mapping[str, Holding]
) -> list[str]:
    """One sentence for each point in which the accounts differ; empty when they agree."""
    partners = {row.partner: row for row in status.partners}
    lines = {line.subscription.lower(): line for row in status.partners for line in row.subscriptions}
    successors = _successors(lines, holdings)
    found = [
        f"{legacy}: bought {len(bought)} times in Partner Center."
        for legacy, bought in successors.items()
        if len(bought) > 1
    ]
    for expected in expectations:
        if expected.subscription is None:
            row = partners.get(expected.partner)
            found += _in_the_ledger(expected, stands(row) if row else None, row.sentence if row else "")
            continue
        line = lines.get(expected.subscription)
        found += _in_the_ledger(expected, line.klass.value if line else None, line.reason if line else "")
        found += _in_the_world(expected, holdings, successors.get(expected.subscription, []))
    return found


def stands(row: PartnerStatus) -> str:
    """The outcome of the partner's run, or why there is none yet."""
    if row.outcome is not None:
        return row.outcome.value
    return "running" if row.run_id else "not_started"


def _in_the_ledger(expected: Expectation, outcome: str | None, reason: str) -> Iterator[str]:
    if outcome is None:
        yield f"{expected}: expected {expected.outcome}, but the ledger does not know it."
    elif outcome != expected.outcome:
        yield f"{expected}: expected {expected.outcome}, is {outcome} ({reason or 'no reason given'})."
    elif expected.reason and expected.reason.casefold() not in reason.casefold():
        yield f"{expected}: expected the reason '{expected.reason}', is '{reason}'."


def _in_the_world(
    expected: Expectation, holdings: Mapping[str, Holding], bought: Sequence[Holding]
) -> Iterator[str]:
    legacy = holdings.get(str(expected.subscription))
    if legacy is None:
        yield f"{expected}: Partner Center does not know it."
    elif expected.outcome == "converted":
        yield from _covers(expected, legacy, bought)
    elif expected.outcome == "undone":
        yield from _is_back(expected, legacy, bought)
    elif expected.outcome not in MAY_BE_BOUGHT:
        if bought:
            yield f"{expected}: expected {expected.outcome}, but {bought[0].id} was bought for it."
        if legacy.suspended_by == "caller":
            yield f"{expected}: expected {expected.outcome}, but we suspended it."


def _covers(expected: Expectation, legacy: Holding, bought: Sequence[Holding]) -> Iterator[str]:
    if not bought:
        yield f"{expected}: expected converted, but Partner Center has no successor that we bought."
    for each in bought:
        if each.status != "active":
            yield f"{expected}: its successor {each.id} is {each.status} in Partner Center."
        if each.seats < legacy.seats:
            yield f"{expected}: its successor has {each.seats} seats, it had {legacy.seats}."
    if legacy.status == "active":
        yield f"{expected}: it was converted but is still active, and billed, in Partner Center."


def _is_back(expected: Expectation, legacy: Holding, bought: Sequence[Holding]) -> Iterator[str]:
    if legacy.status != "active":
        yield f"{expected}: it was undone, but is {legacy.status} in Partner Center."
    for each in bought:
        if each.status == "active":
            yield f"{expected}: it was undone, but its successor {each.id} is active, and billed."


def _successors(
    lines: Mapping[str, SubscriptionStatus], holdings: Mapping[str, Holding]
) -> dict[str, list[Holding]]:
    """What we bought, by the legacy subscription it was bought for.

    Partner Center tells it for a migration; for an order only the ledger knows.
    """
    recorded = {line.nce_subscription.lower(): name for name, line in lines.items() if line.nce_subscription}
    found: dict[str, list[Holding]] = {}
    for holding in holdings.values():
        legacy = holding.migrated_from or recorded.get(holding.id)
        if legacy in holdings and holding.created_by in BOUGHT_BY_US:
            found.setdefault(str(legacy), []).append(holding)
    return found
