"""Departures and permits for tests of the client: what a gate and `sending` give in the product."""

from __future__ import annotations

from include.nce.domain import cancellation, undo
from include.nce.domain.cancellation import SuspensionPermit
from include.nce.domain.undo import CancellationPermit
from include.nce.steps.sending import Departure


def departure(request_id: str = "r1") -> Departure:
    """Lets every attempt go."""

    async def leave() -> None:
        return None

    return Departure(request_id, leave)


def may_suspend(customer_id: str, legacy_id: str) -> SuspensionPermit:
    return SuspensionPermit(customer_id, legacy_id, cancellation._GATE)


def may_cancel(customer_id: str, nce_id: str) -> CancellationPermit:
    return CancellationPermit(customer_id, nce_id, undo._GATE)
