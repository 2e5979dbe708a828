"""Stops a process of the product at an exact point, so that a test can kill it there.

Python imports a module of this name by itself; it is on the path of one test's installation only, and the
product knows nothing of it. `CRASH_PROBE` names a folder:

* `seen/PARTNER.jsonl`: each begin and end of a followed step, each commit that wrote, each request.
* `points/PARTNER.json`: where to stop, written by the test.
* `reached/PARTNER.json`: "I am here", with process ids; only the first process to come there writes it.
* `go/PARTNER`: the test lets go whoever was stopped and was not killed.

A commit is held here, before or after it, by listeners on the ledger's engine. A request is held by the
simulator: right before it leaves, a fault of kind `hold` is queued for exactly its MS-RequestId.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.abc
import importlib.machinery
import json
import os
import re
import sys
import urllib.request
from collections import Counter
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

FOLLOWED = ("buy_nce", "confirm_nce", "cancel_legacy")
WRITES = re.compile(r"\s*(?:INSERT INTO|UPDATE|DELETE FROM)\s+\"?(\w+)", re.IGNORECASE)
GUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
LOOK_SECONDS = 0.05


@dataclass
class Step:
    """One execution of a step in this process."""

    partner: str
    name: str
    count: Counter = field(default_factory=Counter)
    locked: bool = False


CURRENT: ContextVar[Step | None] = ContextVar("CURRENT", default=None)


class Probe:
    def __init__(self, folder: Path, simulator: str) -> None:
        self.folder = folder
        self.simulator = simulator

    def say(self, step: Step, **words: object) -> None:
        line = {"step": step.name, "pid": os.getpid(), "ppid": os.getppid(), **words}
        with (self.folder / "seen" / f"{step.partner}.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def stops(self, step: Step, **point: object) -> bool:
        """Whether this is where the test wants this partner's first process to stop."""
        try:
            wanted = json.loads((self.folder / "points" / f"{step.partner}.json").read_text())
        except FileNotFoundError:
            return False
        return wanted == {"step": step.name, **point} and not self._reached(step).exists()

    def arrive(self, step: Step, **words: object) -> bool:
        """Say "I am here"; False when another process has been here before."""
        target = self._reached(step)
        draft = target.with_name(f"{step.partner}.{os.getpid()}.draft")
        draft.write_text(json.dumps({"pid": os.getpid(), "ppid": os.getppid(), **words}))
        try:
            os.link(draft, target)
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        return True

    def _reached(self, step: Step) -> Path:
        return self.folder / "reached" / f"{step.partner}.json"

    async def wait(self, step: Step) -> None:
        while not (self.folder / "go" / step.partner).exists():  # noqa: ASYNC110 - another process says so
            await asyncio.sleep(LOOK_SECONDS)

    def hold_request(self, request_id: str, *, after: bool) -> str:
        fault = {"operation": "*", "kind": "hold", "after": after, "match": {"request": request_id}}
        call = urllib.request.Request(  # noqa: S310 - the simulator's address, which the test gave
            f"{self.simulator}/__sim__/faults",
            data=json.dumps(fault).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(call, timeout=10) as answer:
            return str(json.load(answer)[0]["id"])


def follow_step(name: str, probe: Probe):
    def touch(module) -> None:
        inner = getattr(module, name)

        @functools.wraps(inner)
        async def step(run_id: str, *args, **kwargs):
            current = Step(run_id.rpartition("__")[2], name)
            token = CURRENT.set(current)
            probe.say(current, kind="begin")
            try:
                return await inner(run_id, *args, **kwargs)
            finally:
                probe.say(current, kind="end")
                CURRENT.reset(token)

        setattr(module, name, step)

    return touch


def follow_locks(module) -> None:
    inner = module.hold

    @contextlib.asynccontextmanager
    async def hold(url, keys):
        async with inner(url, keys) as writer:
            step = CURRENT.get()
            if step is None:
                yield writer
                return
            step.locked = True
            try:
                yield writer
            finally:
                step.locked = False

    module.hold = hold


def follow_commits(probe: Probe):
    from sqlalchemy import event
    from sqlalchemy.util import await_only

    def pause(when: str, step: Step, what: str, number: int) -> None:
        point = {"kind": "commit", "what": what, "number": number, "when": when}
        if probe.stops(step, **point) and probe.arrive(step, **point):
            await_only(probe.wait(step))

    def executing(connection, cursor, statement, parameters, context, executemany) -> None:
        found = WRITES.match(statement)
        if found and CURRENT.get() is not None:
            connection.info.setdefault("probe_tables", {})[found[1]] = None

    def committing(connection) -> None:
        step, tables = CURRENT.get(), connection.info.pop("probe_tables", None)
        if step is None or not tables:
            return
        what = ", ".join(tables)
        step.count["commit", what] += 1
        number = step.count["commit", what]
        probe.say(step, kind="commit", what=what, number=number, locked=step.locked)
        pause("before", step, what, number)
        connection.info["probe_committed"] = (step, what, number)

    def returned(dbapi_connection, record, state) -> None:
        record.info.pop("probe_tables", None)
        done = record.info.pop("probe_committed", None)
        if done is not None:
            pause("after", *done)

    def touch(module) -> None:
        inner = module.make_engine

        @functools.wraps(inner)
        def make_engine(*args, **kwargs):
            engine = inner(*args, **kwargs)
            event.listen(engine.sync_engine, "before_cursor_execute", executing)
            event.listen(engine.sync_engine, "commit", committing)
            event.listen(engine.sync_engine.pool, "reset", returned)
            return engine

        module.make_engine = make_engine

    return touch


def follow_requests(probe: Probe):
    def touch(module) -> None:
        import aiohttp

        inner = aiohttp.ClientSession._request

        @functools.wraps(inner)
        async def request(session, method, url, **kwargs):
            step = CURRENT.get()
            request_id = (kwargs.get("headers") or {}).get("MS-RequestId")
            if step is None or not request_id:
                return await inner(session, method, url, **kwargs)
            path = GUID.sub("{id}", str(url).partition("/v1/")[2].partition("?")[0])
            what = f"{method} {path}"
            step.count["request", what] += 1
            number = step.count["request", what]
            probe.say(
                step, kind="request", what=what, number=number, locked=step.locked, request_id=request_id
            )
            for when in ("before", "after"):
                point = {"kind": "request", "what": what, "number": number, "when": when}
                if probe.stops(step, **point):
                    fault = probe.hold_request(request_id, after=when == "after")
                    probe.arrive(step, **point, fault=fault)
            return await inner(session, method, url, **kwargs)

        aiohttp.ClientSession._request = request

    return touch


class _AfterImport(importlib.abc.MetaPathFinder):
    """Touches a module right after Python has imported it."""

    def __init__(self, touches) -> None:
        self._touches = touches

    def find_spec(self, name, path, target=None):
        make = self._touches.pop(name, None)
        if make is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        execute = spec.loader.exec_module

        def exec_module(module) -> None:
            execute(module)
            make()(module)

        spec.loader.exec_module = exec_module
        return spec


def install() -> None:
    probe = Probe(Path(os.environ["CRASH_PROBE"]), os.environ["CRASH_PROBE_SIMULATOR"])
    touches = {f"include.nce.steps.{name}": functools.partial(follow_step, name, probe) for name in FOLLOWED}
    touches["include.nce.ledger.locks"] = lambda: follow_locks
    touches["include.nce.ledger.transactions"] = lambda: follow_commits(probe)
    touches["include.nce.partner_center.transport"] = lambda: follow_requests(probe)
    sys.meta_path.insert(0, _AfterImport(touches))


if "CRASH_PROBE" in os.environ:
    install()
