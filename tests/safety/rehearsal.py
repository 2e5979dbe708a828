"""One campaign in this process: the real steps, client and ledger against the real simulator, no Airflow.

The simulator is served on a socket in the same event loop, so that what people do in its portal, and what a
test looks at, never mixes with a call. Each worker has a client, a session and a ledger of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import uvicorn

from include.nce.intake.campaign_file import read_campaign
from include.nce.intake.roster import load_roster
from include.nce.ledger.ledger import PostgresLedger
from include.nce.partner_center.auth import TokenKind, TokenSource
from include.nce.partner_center.client import PartnerCenterClient
from include.nce.partner_center.connection import PartnerCenterConnection
from include.nce.partner_center.gateway import PartnerCenterGateway
from include.nce.partner_center.transport import Transport
from include.nce.steps.buy_nce import buy_nce
from include.nce.steps.cancel_legacy import Cancelled, cancel_legacy
from include.nce.steps.close_run import Closed, close_run
from include.nce.steps.confirm_nce import confirm_nce
from include.nce.steps.honour_opt_out import honour_opt_out
from include.nce.steps.open_run import open_run
from include.nce.steps.plan_conversions import Planned, plan_conversions
from simulator.app import create_app
from simulator.records import StoryRecord
from simulator.schema import Fault, Scenario
from simulator.server import SeverableProtocol, listen
from simulator.simulation import Simulation
from tests.safety.crowd import CAMPAIGN, FOUNDING


@dataclass
class Worker:
    """What one process works with. A test may wrap `ledger` and `partner_center`."""

    partner_center: Any
    ledger: Any


class _Clock:
    """The campaign clock, read without a call."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    async def now(self) -> datetime:
        return self._simulation.catch_up()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Signals belong to pytest."""
        yield


@dataclass
class Rehearsal:
    """A served simulation with its workers; use `rehearsal()`."""

    simulation: Simulation
    address: str
    database: str
    _stack: AsyncExitStack
    _tokens: TokenSource | None = None

    @property
    def clock(self) -> _Clock:
        return _Clock(self.simulation)

    @property
    def story(self) -> Scenario:
        return self.simulation.world.scenario

    async def worker(self, *, sleep: Callable[[float], Awaitable[None]]) -> Worker:
        """One more process; `sleep` is how its client waits before it asks again."""
        ledger = await self._stack.enter_async_context(PostgresLedger.open(self.database, pool_size=3))
        connection = self._connection()
        self._tokens = self._tokens or TokenSource(connection)
        transport = Transport(connection, self._tokens, sleep=sleep)
        client = PartnerCenterClient(connection, transport=transport)
        await self._stack.enter_async_context(client)
        return Worker(PartnerCenterGateway(client), ledger)

    async def sign_in(self) -> None:
        """All workers have both tokens. msal remembers a refusal for a minute of real time."""
        assert self._tokens is not None, "there is no worker yet"
        for kind in TokenKind:
            await self._tokens.token(kind)

    def _connection(self) -> PartnerCenterConnection:
        application = self.story.provider.applications[0]
        return PartnerCenterConnection(
            tenant_id=self.story.provider.tenant_id,
            client_id=application.client_id,
            client_secret=application.client_secret,
            refresh_token=application.refresh_token,
            address=self.address,
            authority=self.address,
            rehearsal=True,
        )

    async def enrol(self, worker: Worker, roster: Sequence[Mapping[str, Any]]) -> None:
        """The founding campaign is on record, and these partners take part.

        Without its brake: what is tried here is that nothing is lost while everything fails.
        """
        document = read_campaign(FOUNDING).model_copy(update={"brake": None})
        await worker.ledger.import_campaign(document, author="anna", reason="founding")
        await worker.ledger.enrol(CAMPAIGN, load_roster(json.dumps(list(roster)), name="roster"))

    # What happens at Microsoft

    def advance(self, hours: float) -> None:
        """Campaign time passes, never beyond the story's end."""
        clock = self.simulation.clock
        moment = min(clock.now + timedelta(hours=hours), clock.plan.ends_at)
        clock.advance_to(self.simulation.world, moment)

    def fail(self, *faults: Mapping[str, Any]) -> None:
        """Queue faults."""
        self.simulation.queue_faults([Fault.model_validate(dict(fault)) for fault in faults])

    def calm(self) -> int:
        """No more faults; how many have happened since the last time."""
        world = self.simulation.world
        happened = sum(record.used for record in world.faults)
        for record in list(world.faults):
            self.simulation.faults.release(world, record)
            world.faults.remove(record.id)
        return happened

    def portal(self, **event: Any) -> bool:
        """A person does something in Partner Center's own pages, now; False when that is refused."""
        world = self.simulation.world
        number = len(world.story) + 1
        at = self.simulation.catch_up()
        record = StoryRecord.model_validate({"id": f"e{number}", "event": {"at": at, **event}})
        world.story.add(record)
        world.settle(at)
        return world.story[record.id].outcome == "done"

    @property
    def subscriptions(self) -> dict[str, Any]:
        """Every subscription that Partner Center holds."""
        self.simulation.catch_up()
        return {row.id.lower(): row for row in self.simulation.world.subscriptions}

    def requests(self) -> list[dict[str, Any]]:
        """Every call since the story began, in order."""
        return list(self.simulation.log.page(None, 0, 100_000)["requests"])


@contextlib.asynccontextmanager
async def rehearsal(scenario: Mapping[str, Any], database: str) -> AsyncIterator[Rehearsal]:
    """Serve the scenario on a free port; its clock is moved by hand."""
    simulation = Simulation(json.dumps(scenario), mode="manual")
    listener = listen("127.0.0.1", 0)
    config = uvicorn.Config(
        create_app(simulation), http=SeverableProtocol, log_config=None, access_log=False, lifespan="off",
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        async with AsyncExitStack() as stack:
            port = listener.getsockname()[1]
            yield Rehearsal(simulation, f"http://127.0.0.1:{port}", database, stack)
    finally:
        simulation.faults.let_go()
        server.should_exit = True
        await serving
        listener.close()


@dataclass
class PartnerRun:
    """One partner's run, its tasks as the DAG calls them. Tasks may run twice, and at once elsewhere."""

    world: Rehearsal
    partner: str
    pause: Callable[[float], Awaitable[None]]
    planned: Planned | None = None

    @property
    def run_id(self) -> str:
        return f"{CAMPAIGN}__{self.partner}"

    def _tools(self, worker: Worker) -> dict[str, Any]:
        return {
            "partner_center": worker.partner_center, "ledger": worker.ledger, "clock": self.world.clock,
        }  # fmt: skip

    async def open(self, worker: Worker) -> None:
        tools = self._tools(worker)
        await open_run(self.run_id, CAMPAIGN, self.partner, "apply", **tools)
        await honour_opt_out(self.run_id, **tools)

    async def plan(self, worker: Worker) -> None:
        self.planned = await plan_conversions(self.run_id, **self._tools(worker))

    def _batches(self) -> list[tuple[str, int, int]]:
        planned = self.planned
        if planned is None:
            return []
        return [(self.run_id, planned.plan_id, number) for number in range(planned.batches)]

    async def buy(self, worker: Worker) -> None:
        for batch in self._batches():
            await buy_nce(*batch, **self._tools(worker), pause=self.pause)

    async def confirm(self, worker: Worker) -> None:
        for batch in self._batches():
            await confirm_nce(*batch, **self._tools(worker))

    async def cancel(self, worker: Worker) -> list[Cancelled]:
        return [await cancel_legacy(*batch, **self._tools(worker)) for batch in self._batches()]

    async def close(self, worker: Worker) -> Closed:
        return await close_run(self.run_id, [], ledger=worker.ledger, clock=self.world.clock)
