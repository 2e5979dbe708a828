"""The opt-out: a partner's (or one customer's) word that the provider must not convert.

An opt-out counts by the instant it was received, not by when somebody typed it in. In time is never
converted; late never stops the clock by itself, but always stops the next purchase for a person's decision.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum


@dataclass(frozen=True)
class OptOut:
    """One form that came in. `customer_id` None means the whole partner."""

    partner: str
    received_at: datetime
    recorded_by: str
    customer_id: str | None = None
    withdrawn_at: datetime | None = None
    note: str = ""

    def stands(self) -> bool:
        return self.withdrawn_at is None


class OptOutVerdict(str, Enum):
    NONE = "none"
    IN_TIME = "in_time"
    LATE = "late"


@dataclass(frozen=True)
class OptOutRuling:
    """What the opt-outs on record mean, for the partner and for single customers."""

    partner: OptOutVerdict
    customers_in_time: frozenset[str]
    customers_late: frozenset[str]
    deadline_at: datetime

    def for_customer(self, customer_id: str) -> OptOutVerdict:
        if self.partner is OptOutVerdict.IN_TIME or customer_id in self.customers_in_time:
            return OptOutVerdict.IN_TIME
        if self.partner is OptOutVerdict.LATE or customer_id in self.customers_late:
            return OptOutVerdict.LATE
        return OptOutVerdict.NONE


def rule_on(opt_outs: Iterable[OptOut], deadline_at: datetime) -> OptOutRuling:
    """Judge all opt-outs of one partner; withdrawn ones no longer speak.

    `deadline_at` is the first instant that is too late (the deadline's day is inclusive).
    """
    partner = OptOutVerdict.NONE
    in_time: set[str] = set()
    late: set[str] = set()
    for opt_out in opt_outs:
        if not opt_out.stands():
            continue
        timely = opt_out.received_at < deadline_at
        if opt_out.customer_id is None:
            if timely:
                partner = OptOutVerdict.IN_TIME
            elif partner is OptOutVerdict.NONE:
                partner = OptOutVerdict.LATE
        else:
            (in_time if timely else late).add(opt_out.customer_id)
    return OptOutRuling(partner, frozenset(in_time), frozenset(late - in_time), deadline_at)


@dataclass(frozen=True)
class Withdrawal:
    """What taking an opt-out back ends, what came in later and stands, and what was ended before."""

    ends: tuple[OptOut, ...]
    stays: tuple[OptOut, ...]
    ended_before: tuple[OptOut, ...]


def withdrawal(opt_outs: Iterable[OptOut], customer_id: str | None, at: datetime) -> Withdrawal:
    """Judge the forms of one partner: its word of `at` ends what it, or this one customer of it, said until
    then."""
    theirs = [opt_out for opt_out in opt_outs if opt_out.customer_id == customer_id]
    standing = [opt_out for opt_out in theirs if opt_out.stands()]
    return Withdrawal(
        ends=tuple(opt_out for opt_out in standing if opt_out.received_at <= at),
        stays=tuple(opt_out for opt_out in standing if opt_out.received_at > at),
        ended_before=tuple(opt_out for opt_out in theirs if not opt_out.stands()),
    )
