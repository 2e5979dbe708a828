"""The plan of one partner: what would be bought and cancelled, in which order and in which batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone

from include.nce.domain.classification import AT_RISK, SubscriptionClass, Verdict
from include.nce.domain.outcome import RunOutcome, worst

_FAR_FUTURE = datetime.max.replace(tzinfo=timezone.utc)


def batches(verdicts: Sequence[Verdict], batch_size: int) -> list[list[str]]:
    """The due base subscriptions, most urgent first, in batches that never mix routes or exceed the size.

    A bundle counts with its add-ons, and one customer's lines stay together where they fit.
    """
    due = [v for v in verdicts if v.klass is SubscriptionClass.DUE and v.travels_with is None]
    due.sort(key=lambda v: (v.route or "", v.last_safe_start_at or _FAR_FUTURE, v.subscription.customer_id))
    result: list[list[str]] = []
    room = 0
    route = None
    for verdict in due:
        weight = 1 + len(verdict.bundle)
        if not result or verdict.route is not route or weight > room:
            result.append([])
            room, route = batch_size, verdict.route
        result[-1].append(verdict.subscription.subscription_id)
        room -= weight
    return result


def tally(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """How many subscriptions are in each class, in the order of the classes."""
    counted = Counter(v.klass for v in verdicts)
    return {klass.value: counted[klass] for klass in SubscriptionClass if counted[klass]}


def outcome_of(classes: Sequence[SubscriptionClass], *, blocked: bool, opted_out: bool) -> RunOutcome:
    """The worst thing that is true of a partner whose run is over."""
    found = []
    if opted_out:
        found.append(RunOutcome.OPTED_OUT)
    if blocked:
        found.append(RunOutcome.BLOCKED)
    for klass in classes:
        if klass is SubscriptionClass.CONVERTED:
            found.append(RunOutcome.CONVERTED)
        elif klass is SubscriptionClass.SCHEDULED:
            found.append(RunOutcome.SCHEDULED)
        elif klass is SubscriptionClass.DUE:
            found.append(RunOutcome.UNRESOLVED)
        elif klass is SubscriptionClass.FAILED:
            found.append(RunOutcome.FAILED)
        elif klass in AT_RISK and not (opted_out and klass is SubscriptionClass.OPTED_OUT):
            found.append(RunOutcome.PARTLY_HELD)
    return worst(found)
