"""Undo cases: what is to be taken back, what a run planned of it, and what a person said to that."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from include.nce.domain.conversion import Conversion
from include.nce.domain.undo import CaseState, UndoCause, UndoLine


@dataclass(frozen=True)
class UndoMember:
    """A conversion of a bundle that is to be undone, with what its plan knew of legacy."""

    conversion: Conversion
    offer_name: str
    seats_before: int | None


@dataclass(frozen=True)
class UndoCase:
    """One bundle that is to be taken back, or of which a person decides whether it is.

    `until_at` is when the first of its windows closes, as far as it is known. `scope` is what was asked for:
    a subscription, a customer, or the whole partner.
    """

    case_id: int
    campaign: str
    partner: str
    customer_id: str
    base_id: str
    cause: UndoCause
    scope: str
    reason: str
    opened_by: str
    opened_at: datetime
    state: CaseState
    sentence: str
    until_at: datetime | None = None
    opt_out_received_at: datetime | None = None


@dataclass(frozen=True)
class UndoPlan:
    """What a run would undo, and the fingerprint an approval is bound to."""

    plan_id: int
    run_id: str
    campaign: str
    partner: str
    hash: str
    lines: tuple[UndoLine, ...]


@dataclass(frozen=True)
class UndoAnswer:
    """What a person said to an undo plan."""

    hash: str
    approved: bool
    who: str
    at: datetime
