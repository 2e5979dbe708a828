"""The provider's rate limits, shared by every process and machine that calls in its name.

Responsible for which limit a call counts on, how long it may wait, and what is said when it may not be sent.
Leaves counting to a store (`Slots`; the ledger is one) and waiting after Microsoft's 429 to `transport`.

A call asks the store for a moment, sleeps until it has come and then claims it, so that nobody sleeps with a
database connection in hand and nobody asks twice in vain. A moment that nobody claims is free again. When the
store does not answer, nothing is sent: `BudgetUnknown` is a fault that time cures, and the ledger, without
which nothing may be bought, lives in the same database.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from include.nce.partner_center.errors import Throttled, Unreachable
from include.nce.partner_center.limits import Limit, Limits, bolder_than_documented
from include.nce.partner_center.migrations import CREATE, VALIDATE
from include.nce.partner_center.transport import LONGEST_WAIT_SECONDS, Call

LONGEST_WAIT_OF_A_WRITE_SECONDS = 10.0
"""Whoever writes has just proved to be the only writer; the proof must not grow old before the call goes."""

log = logging.getLogger(__name__)


class Slot(Protocol):
    """`wait_seconds` until `moment_ms`; without a moment that is too long, and nothing was booked."""

    @property
    def wait_seconds(self) -> float: ...

    @property
    def moment_ms(self) -> int | None: ...


class Slots(Protocol):
    """Who may call when. Every method raises ConnectionError when the store does not do its part."""

    async def book_call(
        self,
        provider_id: str,
        limit_name: str,
        tenant_id: str,
        *,
        calls: int | None,
        window_seconds: float | None,
        longest_wait_seconds: float,
        held_ms: int | None = None,
    ) -> Slot:
        """The next moment for a call, or the one that is held. A call may leave when `wait_seconds` is 0."""

    async def pause_calls(
        self, provider_id: str, limit_name: str, tenant_id: str, *, seconds: float | None
    ) -> float:
        """Nobody calls for `seconds` at least, and for growing times while it goes on; the seconds it now
        takes."""


class BudgetSpent(Throttled):
    """Not sent: by our own count Microsoft would refuse it."""

    @property
    def leaves_effect_unknown(self) -> bool:
        return False


class BudgetUnknown(Unreachable):
    """Not sent: nobody can say whether Microsoft would refuse it."""

    @property
    def leaves_effect_unknown(self) -> bool:
        return False


class SharedBudget:
    """`include.nce.partner_center.transport.Budget` on a store that all processes share."""

    def __init__(
        self,
        slots: Slots,
        provider_id: str,
        limits: Limits,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._slots = slots
        self._provider_id = provider_id.lower()
        self._limits = limits
        self._sleep = sleep
        for warning in bolder_than_documented(limits):
            log.warning("%s", warning)

    async def take(self, call: Call) -> None:
        """Returns when the call may be sent; raises `BudgetSpent` when that is too far off, `BudgetUnknown`
        when the store does not answer."""
        limit, tenant_id = self._counted_on(call)
        rate = self._limits.get(limit)
        patience_seconds = LONGEST_WAIT_OF_A_WRITE_SECONDS if call.writes else LONGEST_WAIT_SECONDS
        held_ms: int | None = None
        while True:
            try:
                slot = await self._slots.book_call(
                    self._provider_id,
                    limit.value,
                    tenant_id,
                    calls=rate.calls if rate else None,
                    window_seconds=rate.seconds if rate else None,
                    longest_wait_seconds=patience_seconds,
                    held_ms=held_ms,
                )
            except ConnectionError as fault:
                raise BudgetUnknown(
                    f"'{call.operation}' was not sent: the ledger, which keeps the shared call budget, does "
                    f"not answer ({fault}); {BudgetUnknown.remedy}.",
                    operation=call.operation,
                ) from fault
            if slot.wait_seconds <= 0:
                return
            if slot.moment_ms is None:
                raise BudgetSpent(
                    f"'{call.operation}' was not sent: the shared call budget '{limit.value}' has room again "
                    f"in {slot.wait_seconds:.0f} s; {BudgetSpent.remedy}.",
                    operation=call.operation,
                    retry_after_seconds=slot.wait_seconds,
                )
            held_ms = slot.moment_ms
            patience_seconds = max(0.0, patience_seconds - slot.wait_seconds)
            log.debug(
                "'%s' waits %.1f s for '%s' (%s)",
                call.operation,
                slot.wait_seconds,
                limit.value,
                call.trace,
            )
            await self._sleep(slot.wait_seconds)

    async def throttled(self, call: Call, retry_after_seconds: float | None) -> None:
        """Makes everybody wait who would call what Microsoft just refused."""
        limit, tenant_id = self._counted_on(call)
        try:
            seconds = await self._slots.pause_calls(
                self._provider_id, limit.value, tenant_id, seconds=retry_after_seconds
            )
        except ConnectionError as fault:
            log.warning(
                "Microsoft throttles '%s', and the ledger does not answer (%s): "
                "others do not know of this 429 (%s).",
                call.operation,
                fault,
                call.trace,
            )
            return
        log.warning(
            "Microsoft throttles '%s' (limit '%s'): everybody waits %.0f s (%s).",
            call.operation,
            limit.value,
            seconds,
            call.trace,
        )

    def _counted_on(self, call: Call) -> tuple[Limit, str]:
        """The limit, and the tenant for whom it is counted."""
        if call.operation == CREATE:
            return Limit.CREATE_MIGRATION, self._provider_id
        if call.operation == VALIDATE and call.customer_id:
            return Limit.VALIDATE_MIGRATION, call.customer_id.lower()
        if call.customer_id:
            # Also where Microsoft names no limit: what is spared there is little, and a 429 costs more.
            return Limit.RESOURCES, call.customer_id.lower()
        if call.path.startswith("/v1/customers"):
            return Limit.RESOURCES, self._provider_id
        return Limit.UNPUBLISHED, self._provider_id
