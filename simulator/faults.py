"""Faults on demand: queued per operation, hit in order, and accounted for.

Responsible for choosing the fault of a call and for holding calls. Leaves carrying it out to `exchange`.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from typing import Any

from simulator.behaviour import migrations, purchases
from simulator.records import FaultRecord
from simulator.schema import Fault
from simulator.world import World


class FaultDesk:
    """Chooses faults for calls. What is counted lives in the world; who waits lives here."""

    def __init__(self) -> None:
        self._held: dict[str, list[asyncio.Event]] = defaultdict(list)

    def choose(self, world: World, operation: str, ids: set[str]) -> FaultRecord | None:
        """The first queued fault that this call runs into; each match before it counts the call as due."""
        for record in world.faults:
            fault = record.fault
            if not _matches(world, fault, operation, ids):
                continue
            if fault.count is not None and record.used >= fault.count:
                continue
            if record.released:
                continue
            record.due += 1
            if record.due <= fault.skip or not _falls(fault, record.due):
                continue
            record.used += 1
            return record
        return None

    async def hold(self, record: FaultRecord) -> None:
        """Waits until the fault is released."""
        if record.released:
            return
        event = asyncio.Event()
        self._held[record.id].append(event)
        try:
            await event.wait()
        finally:
            self._held[record.id].remove(event)

    def release(self, world: World, record: FaultRecord) -> int:
        """Lets go every call that the fault holds and everything it made stuck; returns how many."""
        record.released = True
        waiting = self._held[record.id]
        for event in waiting:
            event.set()
        stuck_migrations = [row for row in world.migrations if row.stuck == record.id]
        for migration in stuck_migrations:
            migrations.release(world, migration)
        stuck_orders = [row for row in world.orders if row.stuck == record.id]
        for order in stuck_orders:
            purchases.release(world, order)
        return len(waiting) + len(stuck_migrations) + len(stuck_orders)

    def let_go(self) -> None:
        """Wakes every call that is held, without releasing the faults: the process ends."""
        for waiting in self._held.values():
            for event in waiting:
                event.set()

    def release_all(self, world: World) -> None:
        """Lets go everything."""
        for record in world.faults:
            self.release(world, record)

    def account(self, world: World) -> list[dict[str, Any]]:
        """Each fault with how often it was due and used."""
        return [
            {
                "id": record.id,
                **record.fault.model_dump(mode="json", exclude_none=True),
                "due": record.due,
                "used": record.used,
                "remaining": None
                if record.fault.count is None
                else 0
                if record.released
                else record.fault.count - record.used,
                "held": len(self._held[record.id]),
                "released": record.released,
            }
            for record in world.faults
        ]


def _falls(fault: Fault, draw: int) -> bool:
    """By chance, and the same in every run."""
    chance = random.Random(f"{fault.seed}/{draw}")  # noqa: S311 - a draw that can be repeated, not a secret
    return fault.probability is None or chance.random() < fault.probability


def _matches(world: World, fault: Fault, operation: str, ids: set[str]) -> bool:
    if fault.operation not in ("*", operation):
        return False
    if fault.from_at is not None and world.now < fault.from_at:
        return False
    if fault.until_at is not None and world.now >= fault.until_at:
        return False
    match = fault.match
    if match.request is not None and match.request not in ids:
        return False
    if (
        match.customer is not None
        and (world.scenario.find_customer(match.customer) or match.customer) not in ids
    ):
        return False
    if match.subscription is not None:
        wanted = {*world.scenario.find_subscriptions(match.subscription), match.subscription.lower()}
        return not wanted.isdisjoint(ids)
    return True
