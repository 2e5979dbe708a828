"""One heartbeat for all waits of a triggerer process.

Thousands of gates and watchers wait at the same time. They share one campaign read, one clock reading, one
question about decided opt-outs and one small connection pool: the pulse beats, and each beat wakes them all.
A moved date is seen at the next beat.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from include.nce.domain.campaign import Campaign
from include.nce.domain.errors import InputRefused
from include.nce.domain.partner import Partner
from include.nce.domain.run import Run
from include.nce.orchestration.composition import Product, product
from include.nce.orchestration.patience import OUT_OF_REACH, NotSetUp
from include.nce.steps.wait_for_wave import WaveLook, wait_for_wave

log = logging.getLogger(__name__)

BEAT_SECONDS = 20.0
"""How often a waiting process looks at dates and decisions: well within the minute a moved date may take."""
REHEARSAL_BEAT_SECONDS = 0.7
"""A rehearsal squeezes days into seconds."""
POOL_SIZE = 4
CALLS_AT_ONCE = 8


@dataclass(frozen=True)
class Beat:
    """What every wait of one run needs to know: the campaign as it is now, its time, and the opt-out of the
    whole partner (see `WatchFacts`). `number` counts the beats of the process."""

    now_at: datetime
    campaign: Campaign
    opted_out: bool
    opt_out_received_at: datetime | None = None
    number: int = 0

    def has_opted_out(self, partner: Partner) -> bool:
        """Ruled so, or about to be: an opt-out came in before the deadline, and the deadline is over.

        A check of a run that starts after the cut-over is looked at before its opt-outs are ruled on.
        """
        ends_at = self.campaign.opt_out_ends_at(partner.zone)
        received_at = self.opt_out_received_at
        return self.opted_out or (received_at is not None and received_at < ends_at <= self.now_at)


class Pulse:
    """The shared reader of one triggerer process. Use `pulse()`; do not make one yourself."""

    def __init__(self, world: Product) -> None:
        self.world = world
        self.calls = asyncio.Semaphore(CALLS_AT_ONCE)
        self._runs: Counter[tuple[str, str]] = Counter()
        self._campaigns: dict[str, tuple[int, Campaign]] = {}
        self._beats: dict[str, Beat] = {}
        self._turn = asyncio.Condition()
        self._hurry = asyncio.Event()
        self._number = 0
        self._looks: dict[str, tuple[int, WaveLook | None]] = {}
        self._looking = asyncio.Lock()

    async def waves(self, beat: Beat) -> WaveLook | None:
        """Who may buy at this beat: looked at by the first wait that asks, for all of the campaign.

        None while the ledger is out of reach: everybody waits on, and the next beat looks again.
        """
        name = beat.campaign.campaign
        async with self._looking:
            known = self._looks.get(name)
            if known is None or known[0] < beat.number:
                look = None
                try:
                    look = await wait_for_wave(beat.campaign, ledger=self.world.ledger, now_at=beat.now_at)
                except OUT_OF_REACH:
                    log.exception("The waves could not be looked at; waits go on and it is tried again.")
                self._looks[name] = known = (beat.number, look)
            return known[1]

    async def beats(self, run: Run) -> AsyncIterator[Beat]:
        """One beat after another for as long as the caller listens; the first comes at once."""
        key = (run.campaign, run.run_id)
        self._runs[key] += 1
        self._beats.pop(run.run_id, None)
        self._hurry.set()
        try:
            while True:
                async with self._turn:
                    while run.run_id not in self._beats:
                        await self._turn.wait()
                    beat = self._beats[run.run_id]
                yield beat
                async with self._turn:
                    while self._beats.get(run.run_id) is beat:
                        await self._turn.wait()
        finally:
            self._runs[key] -= 1
            if not self._runs[key]:
                del self._runs[key]
                self._beats.pop(run.run_id, None)

    async def keep_beating(self) -> None:
        pace = REHEARSAL_BEAT_SECONDS if self.world.rehearsal else BEAT_SECONDS
        while True:
            try:
                await self._beat()
            except Exception:
                # Ledger or clock out of reach: everybody simply waits on; the next beat tries again.
                log.exception("The campaign could not be read; waits go on and it is tried again.")
            self._hurry.clear()
            try:
                await asyncio.wait_for(self._hurry.wait(), pace)
            except TimeoutError:
                continue

    async def _beat(self) -> None:
        waiting: dict[str, list[str]] = {}
        for name, run_id in list(self._runs):
            waiting.setdefault(name, []).append(run_id)
        if not waiting:
            return
        now_at = await self.world.clock.now()
        self._number += 1
        fresh: dict[str, Beat] = {}
        for name, run_ids in waiting.items():
            campaign = await self._latest(name)
            facts = await self.world.ledger.watch(name, run_ids)
            for run_id in run_ids:
                known = facts.get(run_id)
                fresh[run_id] = Beat(
                    now_at,
                    campaign,
                    opted_out=known.opted_out if known else False,
                    opt_out_received_at=known.opt_out_received_at if known else None,
                    number=self._number,
                )
        async with self._turn:
            self._beats.update(fresh)
            self._turn.notify_all()

    async def _latest(self, name: str) -> Campaign:
        version = await self.world.ledger.latest_version(name)
        known = self._campaigns.get(name)
        if known is None or known[0] != version:
            self._campaigns[name] = known = (version, await self.world.ledger.campaign(name))
        return known[1]


@dataclass
class _Open:
    pulse: Pulse
    stack: AsyncExitStack
    heart: asyncio.Task[None]
    users: int = 0


_open: dict[asyncio.AbstractEventLoop, _Open] = {}
_opening: dict[asyncio.AbstractEventLoop, asyncio.Lock] = {}


@asynccontextmanager
async def pulse() -> AsyncIterator[Pulse]:
    """The pulse of this process, opened by its first user and closed by its last. Raises `NotSetUp`."""
    loop = asyncio.get_running_loop()
    lock = _opening.setdefault(loop, asyncio.Lock())
    async with lock:
        if loop not in _open:
            stack = AsyncExitStack()
            try:
                world = await stack.enter_async_context(product(pool_size=POOL_SIZE))
            except InputRefused as refused:
                raise NotSetUp(refused) from None
            new = Pulse(world)
            _open[loop] = _Open(new, stack, asyncio.create_task(new.keep_beating()))
        current = _open[loop]
        current.users += 1
    try:
        yield current.pulse
    finally:
        async with lock:
            current.users -= 1
            if not current.users:
                del _open[loop]
                current.heart.cancel()
                await current.stack.aclose()
