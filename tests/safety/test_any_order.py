"""Anything in any order: faults, retries, clears, double runs, dying and standing processes, lost locks,
opt-outs, moved dates, and people at work in Partner Center's portal.

After each event the rules are looked at in the simulator's state and in its log of requests, and the ledger
has to explain every difference. In the end the weather is calm, and what nobody has touched is converted.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import Counter
from collections.abc import Awaitable
from contextlib import AsyncExitStack, suppress
from datetime import datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy.engine import make_url

from include.nce.domain.conversion import ConversionState
from include.nce.domain.decision import DecisionKind
from include.nce.domain.errors import PartnerCenterFault
from include.nce.domain.opt_out import OptOut
from include.nce.domain.readiness import Answer
from include.nce.steps.sending import LockLost
from scripts import tally
from scripts.stack import databases
from tests.safety.crowd import CAMPAIGN
from tests.safety.household import (
    BY_ID,
    BY_NAME,
    CONVERTIBLE,
    CUSTOMERS,
    PARTNER,
    THINGS,
    Thing,
    customer_id,
    roster,
    scenario,
)
from tests.safety.interposed import Interposed
from tests.safety.rehearsal import PartnerRun, Worker, rehearsal
from tests.support.crash import Crash

READS = ["get_subscriptions", "get_subscription", "query_migrations", "get_cart", "validate_migration"]
WRITES = ["create_migration", "create_cart", "checkout_cart", "update_subscription"]
KINDS: list[dict[str, Any]] = [
    {"kind": "status", "status": 503},
    {"kind": "status", "status": 500, "after": True},
    {"kind": "throttle", "retry_after": 1},
    {"kind": "lost_answer", "seconds": 0},
    {"kind": "reset_before"},
    {"kind": "reset_after"},
    {"kind": "malformed"},
    {"kind": "status", "status": 408, "code": 900225, "after": True},
    {"kind": "status", "status": 409, "code": 800064},
    {"kind": "status", "status": 400, "code": 2002},
    {"kind": "status", "status": 401},
]
TASKS = ["clear", "start_again", "confirm", "cancel"]
CALLS = st.one_of(st.integers(1, 12), st.integers(8, 40))
FAULTS = st.builds(
    lambda operation, kind, count, skip: {
        **KINDS[kind],
        "operation": operation,
        "count": count,
        "skip": skip,
    },
    st.sampled_from([*READS, *WRITES, *WRITES]),
    st.integers(0, len(KINDS) - 1),
    st.integers(1, 6),
    st.integers(0, 1),
)
DESK = [
    "in time",
    "late",
    "withdrawn",
    "withdrawn",
    "withdrawn",
    "later",
    "back",
    "back",
    "convert",
    "convert",
]
DESK += ["do not convert"]
CUT_OVER = datetime(2022, 7, 11, tzinfo=timezone.utc)
LONGEST_HOURS = 5 * 24
"""Together, so that nothing comes within a day of its term end before the weather is calm."""
HELD_BACK = ConversionState.HELD, ConversionState.BY_OTHERS, ConversionState.REFUSED

_happened: Counter[str] = Counter()
_numbers = itertools.count(1)


async def no_pause(seconds: float) -> None:
    await asyncio.sleep(0)


class AnyOrder(RuleBasedStateMachine):
    """One partner's campaign. `server` is a PostgreSQL, `template` a migrated database on it."""

    server = ""
    template = ""
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        self.hours = 0.0
        self.opted_out: dict[str | None, datetime] = {}
        self.withdrawals = 0
        self.decided = {"now": False, "planned": False}
        self.cut_over_moved = False
        self.touched: set[str] = set()
        self.before: dict[str, Any] = {}
        self.forbidden: set[str] = set()

    def _do(self, work: Awaitable[Any]) -> Any:
        return self.loop.run_until_complete(work)

    @initialize(
        first=st.sampled_from(["", "two", "dies", "orphan", "lost", "weather"]),
        number=st.integers(3, 60),
        after=st.booleans(),
        faults=st.lists(FAULTS, min_size=2, max_size=6),
    )
    def begin(self, first: str, number: int, after: bool, faults: list[dict[str, Any]]) -> None:
        """There is one purchase to be made of everything: in most campaigns trouble meets it at once."""
        self._do(self._begin())
        if first == "two":
            self.two_at_once("clear", "clear")
        elif first == "dies":
            self.dies("clear", number, after)
        elif first in ("orphan", "lost"):
            self.stands_still_while_another_works("clear", number, after, "clear", first == "lost")
        elif first == "weather":
            self.work_in_bad_weather("clear", faults)

    async def _begin(self) -> None:
        name = f"{self.template}_{next(_numbers)}"
        server = make_url(self.server)
        with databases.connect(server) as connection:
            databases.create(connection, name, template=self.template)
        self.database = server.set(database=name)
        url = self.database.render_as_string(hide_password=False)
        self.world = await self.stack.enter_async_context(rehearsal(scenario(), url))
        self.one = await self.world.worker(sleep=no_pause)
        self.other = await self.world.worker(sleep=no_pause)
        await self.world.enrol(self.one, roster())
        self.run_of = PartnerRun(self.world, PARTNER, no_pause)
        await self.run_of.open(self.one)
        await self.run_of.plan(self.one)
        self._remember()

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                self._do(self._calm_end())
        finally:
            self._do(self.stack.aclose())
            self.loop.close()
            if hasattr(self, "database"):
                with databases.connect(make_url(self.server)) as connection:
                    databases.drop(connection, str(self.database.database))

    # What the product does

    async def _task(self, name: str, worker: Worker) -> None:
        """A task of the DAG; one that goes red is seen by the operator, who goes on."""
        with suppress(PartnerCenterFault, LockLost):
            if name == "start_again":
                await self._plan(worker)
            if name in ("clear", "start_again"):
                await self.run_of.buy(worker)
            elif name == "confirm":
                await self.run_of.confirm(worker)
            else:
                await self.run_of.cancel(worker)

    async def _plan(self, worker: Worker) -> None:
        """A decision speaks in the partner's next plan; until there is one, the last plan's does."""
        await self.run_of.plan(worker)
        self.decided["planned"] = self.decided["now"]

    @rule(task=st.sampled_from(TASKS))
    def work(self, task: str) -> None:
        self._remember()
        self._do(self._task(task, self.one))

    @rule(one=st.sampled_from(TASKS), other=st.sampled_from(TASKS))
    def two_at_once(self, one: str, other: str) -> None:
        self._remember()

        async def both() -> None:
            await asyncio.gather(self._task(one, self.one), self._task(other, self.other))

        self._do(both())
        _happened["two runs at once"] += 1

    @rule(task=st.sampled_from(TASKS), faults=st.lists(FAULTS, min_size=1, max_size=4))
    def work_in_bad_weather(self, task: str, faults: list[dict[str, Any]]) -> None:
        self._remember()
        self.world.fail(*faults)
        self._do(self._task(task, self.one))

    @rule(task=st.sampled_from(TASKS), number=CALLS, after=st.booleans())
    def dies(self, task: str, number: int, after: bool) -> None:
        self._remember()

        async def die() -> None:
            raise Crash(f"at call {number}")

        dying = Interposed(number, die, after=after)

        async def run() -> None:
            with suppress(Crash):
                await self._task(task, dying.tied(self.one))

        self._do(run())
        _happened["a process that dies at a call"] += dying.happened

    @rule(
        task=st.sampled_from(TASKS), number=CALLS, after=st.booleans(), other=st.sampled_from(TASKS),
        lost=st.booleans(),
    )  # fmt: skip
    def stands_still_while_another_works(
        self, task: str, number: int, after: bool, other: str, lost: bool
    ) -> None:
        """An orphan: it goes on when the next attempt is done, with its lock or without."""
        self._remember()

        async def meanwhile() -> None:
            if lost:
                ended = self._end_locks()
                _happened["a single writer that loses its lock"] += ended
            await self._task(other, self.other)

        standing = Interposed(number, meanwhile, after=after)
        self._do(self._task(task, standing.tied(self.one)))
        _happened["an orphan beside the next attempt"] += standing.happened

    def _end_locks(self) -> int:
        """End every session that holds a single writer's lock; how many there were."""
        rows = self._ask(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
            " where datname = current_database() and application_name = 'nce single writer'"
        )
        return len(rows)

    # What happens at Microsoft

    @rule(hours=st.sampled_from([0.2, 1, 3, 9, 26]))
    def time_passes(self, hours: float) -> None:
        if self.hours + hours <= LONGEST_HOURS:
            self.hours += hours
            self.world.advance(hours)

    # What people do

    @rule(what=st.sampled_from(DESK), customer=st.sampled_from([None, *CUSTOMERS]))
    def the_desk_is_told(self, what: str, customer: str | None) -> None:
        """Most of what is told is taken back again, so that there is something left to buy."""
        if what in ("in time", "late"):
            self._opt_out(customer, in_time=what == "in time")
        elif what == "withdrawn":
            self._withdraw()
        elif what in ("convert", "do not convert"):
            self._decide(convert=what == "convert")
        else:
            self._move_the_cut_over(later=what == "later")

    def _opt_out(self, customer: str | None, *, in_time: bool) -> None:
        day = datetime(2022, 6, 20, tzinfo=timezone.utc) + timedelta(days=0 if in_time else 14)
        received_at = day + timedelta(minutes=self.withdrawals)
        whose = None if customer is None else customer_id(customer)
        form = OptOut(PARTNER, received_at, "anna", whose)
        self._do(self.one.ledger.record_opt_out(CAMPAIGN, form))
        stands = [each for each in self._do(self.one.ledger.opt_outs(CAMPAIGN, PARTNER)) if each.stands()]
        self.opted_out = {each.customer_id: each.received_at for each in stands}
        _happened["an opt-out in time" if in_time else "a late opt-out"] += 1

    def _withdraw(self) -> None:
        for whose in list(self.opted_out):
            self._do(
                self.one.ledger.withdraw_opt_out(
                    CAMPAIGN, PARTNER, customer_id=whose, withdrawn_at=self.world.simulation.catch_up(),
                    withdrawn_by="anna",
                )
            )  # fmt: skip
            _happened["an opt-out withdrawn"] += 1
        self.opted_out.clear()
        self.withdrawals += 1  # a form that was withdrawn does not stand again: whoever opts out says so anew

    def _move_the_cut_over(self, *, later: bool) -> None:
        moment = datetime(2022, 8, 15, tzinfo=timezone.utc) if later else CUT_OVER
        self._do(self.one.ledger.move_moment(CAMPAIGN, "cut_over", moment, "anna", "Microsoft says so"))
        self.cut_over_moved = later
        _happened["a moved date"] += 1

    def _decide(self, *, convert: bool) -> None:
        off = BY_NAME["off"].legacy_id
        kind = DecisionKind.CONFIRM_CONVERSION if convert else DecisionKind.WITHDRAW_CONFIRMATION
        self._do(
            self.one.ledger.record_decision(
                CAMPAIGN, PARTNER, off, kind, decided_by="anna", reason="asked",
                at=self.world.simulation.catch_up(),
            )
        )  # fmt: skip
        self.decided["now"] = convert
        self.decided["planned"] |= convert

    @rule(
        what=st.sampled_from(["buy", "migrate", "suspend", "reactivate", "cancel", "seats", "seats"]),
        thing=st.sampled_from(CONVERTIBLE),
        seats=st.integers(1, 30),
    )
    def somebody_works_in_the_portal(self, what: str, thing: Thing, seats: int) -> None:
        if what == "buy":
            self._portal(
                "bought by hand", thing, kind="buy_in_portal", partner=PARTNER, customer=thing.customer,
                key=f"hand-{next(_numbers)}", sku=thing.successor, seats=10,
            )  # fmt: skip
        elif what == "migrate":
            self._portal("migrated by hand", thing, kind="migrate_in_portal", subscription=thing.legacy_id)
        elif what == "cancel":
            self._cancel_the_new_one(thing)
        elif what == "seats":
            if self.world.subscriptions[thing.legacy_id].status == "active":
                self._portal(
                    "seats changed", thing, kind="change_seats", subscription=thing.legacy_id, seats=seats
                )
        else:
            self._portal(f"legacy: {what}", thing, kind=what, subscription=thing.legacy_id)

    def _cancel_the_new_one(self, thing: Thing) -> None:
        now_at = self.world.simulation.catch_up()
        row = next((row for row in self._successors(thing) if row.status == "active"), None)
        if row is not None and row.cancellable_until and now_at < row.cancellable_until:
            # A story's event names what its scenario knows; this one came into being since.
            row.status, row.ended_at = "deleted", now_at
            row.version += 1
            self.touched.add(thing.legacy_id)
            _happened["portal: NCE cancelled"] += 1

    def _portal(self, what: str, thing: Thing, **event: Any) -> None:
        if self.world.portal(**event):
            self.touched.add(thing.legacy_id)
            _happened[f"portal: {what}"] += 1

    # What is true after each of these

    def _successors(self, thing: Thing) -> list[Any]:
        """Every NCE subscription that the customer holds, or held, in place of this one."""
        return [
            row
            for row in self.world.subscriptions.values()
            if row.line == "nce" and row.customer.lower() == thing.customer_id
            and row.offer_id.rpartition(":")[0] == thing.successor
        ]  # fmt: skip

    def _ours(self, thing: Thing) -> list[str]:
        """What we bought for it: migrations that did not fail, and orders."""
        world = self.world.simulation.world
        migrations = [
            migration.id
            for migration in world.migrations
            if migration.by == "caller" and migration.status != "Failed"
            and thing.legacy_id in {line.legacy.lower() for line in migration.lines}
        ]  # fmt: skip
        orders = [row.id for row in self._successors(thing) if row.created_by == "order"]
        return migrations + orders

    def _by_others(self, thing: Thing) -> bool:
        """Whether somebody else's successor is there, or on its way."""
        alive = [
            row for row in self._successors(thing)
            if row.created_by == "portal" and row.status in ("active", "pending")
        ]  # fmt: skip
        under_way = [
            migration
            for migration in self.world.simulation.world.migrations
            if migration.by == "portal" and migration.status != "Failed"
            and thing.legacy_id in {line.legacy.lower() for line in migration.lines}
        ]  # fmt: skip
        return bool(alive or under_way)

    def _remember(self) -> None:
        """How it stands before a task runs, and what that task may not buy."""
        self.before = {
            thing.legacy_id: (self._ours(thing), self.world.subscriptions[thing.legacy_id].suspended_by)
            for thing in THINGS
        }
        self.forbidden = {
            thing.legacy_id
            for thing in THINGS
            if thing.route == "none"
            or self.cut_over_moved
            or None in self.opted_out
            or thing.customer_id in self.opted_out
            or self._by_others(thing)
            or not (thing.auto_renew or self.decided["planned"])
        }

    @invariant()
    def rule_1_nothing_is_bought_twice(self) -> None:
        for thing in THINGS if hasattr(self, "world") else ():
            assert len(self._ours(thing)) <= 1, f"{thing.name} was bought {len(self._ours(thing))} times"

    @invariant()
    def rules_1_3_and_4_what_may_not_be_bought_is_not(self) -> None:
        for legacy_id in self.forbidden:
            had, _ = self.before[legacy_id]
            fresh = set(self._ours(BY_ID[legacy_id])) - set(had)
            assert not fresh, f"{BY_ID[legacy_id].name} was bought although it may not be"

    @invariant()
    def rule_2_legacy_is_ended_only_where_it_is_covered(self) -> None:
        for legacy_id, (_, suspended_by) in self.before.items():
            row = self.world.subscriptions[legacy_id]
            if row.suspended_by == "caller" and suspended_by != "caller":
                for member in self._bundle(BY_ID[legacy_id]):
                    assert self._is_covered(member), f"{legacy_id} was ended, {member.name} is not covered"

    def _bundle(self, thing: Thing) -> list[Thing]:
        base = thing.parent or thing.name
        whole = [each for each in THINGS if base in (each.name, each.parent)]
        return [
            each
            for each in whole
            if self.world.subscriptions[each.legacy_id].status in ("active", "suspended")
        ]

    def _is_covered(self, thing: Thing) -> bool:
        seats = self.world.subscriptions[thing.legacy_id].seats
        return any(row.status == "active" and row.seats >= seats for row in self._successors(thing))

    @invariant()
    def rule_4_what_is_not_ours_to_touch_is_untouched(self) -> None:
        if not hasattr(self, "world"):
            return
        row = self.world.subscriptions[BY_NAME["school"].legacy_id]
        assert (row.status, row.suspended_by, row.migration) == ("active", None, None)

    @invariant()
    def rule_5_everything_sent_was_intended_on_record(self) -> None:
        if not hasattr(self, "world"):
            return
        sent = [
            each for each in self.world.requests()
            if each["operation"] in ("create_migration", "checkout_cart", "update_subscription")
        ]  # fmt: skip
        if sent:
            rows = self._ask(
                "select request_id from commands join command_events using (command_id)"
                " where event = 'sending'"
            )
            known = {str(row[0]) for row in rows}
            strangers = {each["request_id"] for each in sent} - known
            assert not strangers, f"sent without an intention on record: {strangers}"

    @invariant()
    def rule_6_unknown_is_never_the_partners_fault(self) -> None:
        if hasattr(self, "world"):
            findings = self._do(self.one.ledger.findings(self.run_of.run_id))
            assert Answer.MISSING not in {finding.answer for finding in findings}

    @invariant()
    def rule_7_and_the_ledger_explains_every_difference(self) -> None:
        if not hasattr(self, "world"):
            return
        lines = self._conversions()
        for thing in THINGS:
            state, reason = lines.get(thing.legacy_id, (ConversionState.PLANNED, ""))
            if state.needs_somebody:
                assert reason, f"{thing.name} is {state.value} without a reason"
            if self._ours(thing) and state.is_unsent:
                raise AssertionError(f"{thing.name} was bought, and the ledger says {state.value}: {reason}")
            if state is ConversionState.CONVERTED and thing.legacy_id not in self.touched:
                assert self._is_covered(thing)
                assert self.world.subscriptions[thing.legacy_id].status != "active"

    def _conversions(self) -> dict[str, tuple[ConversionState, str]]:
        """The ledger's state and reason of each conversion."""
        rows = self._ask("select legacy_id, state, reason from conversions")
        return {str(legacy_id): (ConversionState(state), reason) for legacy_id, state, reason in rows}

    def _ask(self, query: str) -> list[Any]:
        dsn = self.database.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(dsn, autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    async def _calm_end(self) -> None:
        """No more faults, nothing in the way; the operator starts the partner again until nothing moves."""
        _happened["answers that were faults"] += self.world.calm()
        if self.cut_over_moved:
            await self.one.ledger.move_moment(CAMPAIGN, "cut_over", CUT_OVER, "anna", "back again")
            self.cut_over_moved = False
        for _ in range(3):
            await self.run_of.confirm(self.one)
            await self._plan(self.one)
            self._remember()
            await self.run_of.buy(self.one)
            for hours in (0.3, 2.5, 1):
                self.world.advance(hours)
                await self.run_of.confirm(self.one)
                await self.run_of.cancel(self.one)
        await self.run_of.close(self.one)
        lines = self._conversions()
        for thing in CONVERTIBLE:
            if thing.legacy_id in self.touched or thing.legacy_id in self.forbidden:
                continue
            if any(member.legacy_id in self.touched | self.forbidden for member in self._bundle(thing)):
                continue
            state, reason = lines[thing.legacy_id]
            assert state is ConversionState.CONVERTED, (thing.name, state, reason)
            assert len(self._ours(thing)) == 1
            assert self._is_covered(thing)
            assert self.world.subscriptions[thing.legacy_id].status == "suspended"
        _happened["campaigns played"] += 1


@pytest.mark.timeout(3600)
def test_whatever_happens_in_whatever_order_the_rules_hold(
    postgres_server: str,
    _migrated_template: str,  # noqa: PT019 - its value is used
    full: bool,
) -> None:
    class Here(AnyOrder):
        server, template = postgres_server, _migrated_template

    _happened.clear()
    profile: dict[str, Any] = {"max_examples": 8, "stateful_step_count": 14}
    if full:
        profile = {"max_examples": 250, "stateful_step_count": 25}
    elif os.environ.get("NCE_SAFETY") == "mutants":  # whoever looks for a mutant wants no shortest example
        profile = {"max_examples": 60, "stateful_step_count": 20, "phases": [Phase.generate]}
    run_state_machine_as_test(
        Here,
        settings=settings(deadline=None, suppress_health_check=list(HealthCheck), print_blob=True, **profile),
    )
    for what, times in sorted(_happened.items()):
        tally.note("any order of anything", what, times, 0)
    assert _happened["campaigns played"] >= profile["max_examples"] * 0.5
    assert _happened["answers that were faults"] > 0
