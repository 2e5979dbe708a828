"""What must hold when two processes write at the same time, each with a ledger of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date

import psycopg
import pytest
from sqlalchemy import func, select, text

from include.nce.domain.command import CommandKind
from include.nce.domain.conversion import ConversionState
from include.nce.domain.errors import Busy
from include.nce.domain.opt_out import OptOut
from include.nce.ledger.ledger import PostgresLedger
from include.nce.ledger.tables import CampaignVersionRow, CommandRow, ConversionHistoryRow, ConversionRow
from tests.integration.ledger.scene import (
    AT,
    CAMPAIGN,
    CUSTOMER,
    RUN,
    campaign,
    due,
    guid,
    partner,
    subscription,
)
from tests.support.scene import intend


@pytest.fixture
async def other(ledger_database: str, postgres_ledger: PostgresLedger) -> AsyncIterator[PostgresLedger]:
    """A second process's ledger on the same database."""
    async with PostgresLedger.open(ledger_database) as ledger:
        yield ledger


async def count(ledger: PostgresLedger, row: type) -> int:
    async with ledger._transaction() as session:
        return await session.scalar(select(func.count()).select_from(row))


async def test_two_plans_at_once_make_one_conversion_each(postgres_ledger, other):
    await postgres_ledger.open_run("verdis", CAMPAIGN, "verdi", "apply", at=AT)
    verdicts = [due(name) for name in "abcdefgh"]
    bases = [v.subscription.subscription_id for v in verdicts]
    await asyncio.gather(
        postgres_ledger.record_verdicts(RUN, verdicts, [bases], at=AT),
        other.record_verdicts("verdis", verdicts[::-1], [bases[::-1]], at=AT),
        other.record_verdicts(RUN, verdicts, [bases], at=AT),
    )
    assert await count(postgres_ledger, ConversionRow) == len(verdicts)


async def test_the_database_itself_refuses_a_second_conversion(postgres_ledger, ledger_database):
    await postgres_ledger.record_verdicts(RUN, [due("a")], [[guid("a")]], at=AT)
    copied = """
        INSERT INTO conversions (campaign, partner, customer_id, legacy_id, base_id, route, state, offer_id,
                                 state_since_at, created_at)
        SELECT campaign, 'verdi', customer_id, legacy_id, base_id, route, state, offer_id, state_since_at,
               created_at FROM conversions
    """
    async with await psycopg.AsyncConnection.connect(ledger_database.replace("+psycopg", "")) as connection:
        with pytest.raises(psycopg.errors.UniqueViolation):
            await connection.execute(copied)


async def test_two_plans_of_a_partner_at_once_are_numbered_one_after_the_other(postgres_ledger, other):
    await asyncio.gather(
        *(ledger.record_verdicts(RUN, [due("a")], [], at=AT) for ledger in (postgres_ledger, other) * 3)
    )
    async with postgres_ledger._transaction() as session:
        numbers = (await session.scalars(text("SELECT number FROM plans ORDER BY number"))).all()
    assert numbers == [1, 2, 3, 4, 5, 6]


async def test_two_intentions_at_once_are_one_command(postgres_ledger, other):
    await postgres_ledger.record_verdicts(RUN, [due("a")], [[guid("a")]], at=AT)
    (conversion,) = await postgres_ledger.conversions(RUN)
    commands = await asyncio.gather(
        *(
            intend(ledger, conversion.conversion_id, CommandKind.CREATE_MIGRATION, {}, at=AT)
            for ledger in (postgres_ledger, other) * 3
        )
    )
    assert len({command.request_id for command in commands}) == 1
    assert await count(postgres_ledger, CommandRow) == 1


async def test_an_intention_is_on_record_before_anybody_could_send(postgres_ledger, other):
    await postgres_ledger.record_verdicts(RUN, [due("a")], [[guid("a")]], at=AT)
    (conversion,) = await postgres_ledger.conversions(RUN)
    command = await intend(
        postgres_ledger, conversion.conversion_id, CommandKind.CREATE_MIGRATION, {"seats": 5}, at=AT
    )
    assert await other.open_command(conversion.conversion_id, CommandKind.CREATE_MIGRATION) == command


async def test_the_same_step_twice_at_once_leaves_one_trace(postgres_ledger, other):
    await postgres_ledger.record_verdicts(RUN, [due("a")], [[guid("a")]], at=AT)
    (conversion,) = await postgres_ledger.conversions(RUN)
    before = await count(postgres_ledger, ConversionHistoryRow)
    await asyncio.gather(
        *(
            ledger.advance(conversion, ConversionState.ACCEPTED, "migrating", at=AT, migration_id="m")
            for ledger in (postgres_ledger, other) * 2
        )
    )
    assert await count(postgres_ledger, ConversionHistoryRow) == before + 1


async def test_two_moves_at_once_both_count(postgres_ledger, other):
    versions = await asyncio.gather(
        postgres_ledger.move_moment(CAMPAIGN, "cut_over", date(2022, 8, 1), "anna", "Microsoft moved it"),
        other.move_moment(CAMPAIGN, "closes", date(2023, 3, 31), "bruno", "more time"),
    )
    moments = (await postgres_ledger.campaign(CAMPAIGN)).moments
    assert (sorted(versions), moments.cut_over.on, moments.closes.on) == (
        [2, 3], date(2022, 8, 1), date(2023, 3, 31),
    )  # fmt: skip


async def test_two_imports_of_the_same_file_at_once_make_one_version(postgres_ledger, other):
    changed = campaign(title="Corrected")
    await asyncio.gather(*(one.import_campaign(changed, "anna", "x") for one in (postgres_ledger, other) * 2))
    assert await count(postgres_ledger, CampaignVersionRow) == 2


async def test_two_entries_of_the_same_opt_out_at_once_are_one(postgres_ledger, other):
    form = OptOut("rossi", AT, "anna")
    new = await asyncio.gather(*(one.record_opt_out(CAMPAIGN, form) for one in (postgres_ledger, other) * 2))
    assert sorted(new) == [False, False, False, True]


async def test_two_lists_of_opt_outs_in_opposite_order_are_both_recorded(postgres_ledger, other):
    whose = [(name, guid(f"customer {n}")) for n in range(60) for name in ("rossi", "verdi")]
    forms = [OptOut(name, AT, "anna", customer) for name, customer in whose]
    new = await asyncio.gather(
        *(
            ledger.record_opt_outs(CAMPAIGN, listed)
            for ledger, listed in ((postgres_ledger, forms), (other, forms[::-1])) * 2
        )
    )
    assert sum(new) == len(forms)


async def test_two_surveys_at_once_do_not_lock_each_other_out(postgres_ledger, other):
    held = [subscription(f"s{n}") for n in range(60)]
    await asyncio.gather(
        *(
            ledger.record_survey(RUN, seen, [], at=AT)
            for ledger, seen in ((postgres_ledger, held), (other, held[::-1])) * 2
        )
    )
    assert len(await postgres_ledger.first_seen_term_ends(CAMPAIGN, "rossi")) == 60


async def test_two_enrolments_of_the_same_roster_at_once_enrol_it_once(postgres_ledger, other):
    roster = [partner(f"p{n:02}") for n in range(20)]
    enrolled = await asyncio.gather(*(one.enrol(CAMPAIGN, roster) for one in (postgres_ledger, other)))
    assert sorted(e.new for e in enrolled) == [0, 20]


async def test_the_single_writer_is_single_across_processes(postgres_ledger, other):
    async with postgres_ledger.single_writer(CUSTOMER, guid("a"), guid("b")):
        with pytest.raises(Busy):
            async with other.single_writer(CUSTOMER, guid("b"), guid("c")):
                pass
        async with other.single_writer(CUSTOMER, guid("c")) as free:
            assert await free.still_held()


async def test_who_could_not_have_all_locks_keeps_none(postgres_ledger, other):
    async with postgres_ledger.single_writer(CUSTOMER, guid("b")):
        with pytest.raises(Busy):
            async with other.single_writer(CUSTOMER, guid("a"), guid("b"), guid("c")):
                pass
        async with postgres_ledger.single_writer(CUSTOMER, guid("a"), guid("c")) as both:
            assert await both.still_held()


async def end_writers_session(ledger: PostgresLedger) -> None:
    async with ledger._transaction() as session:
        await session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'nce single writer' AND datname = current_database()"
            )
        )


async def test_a_writer_whose_session_was_killed_knows_and_others_may_write(postgres_ledger, other):
    async with postgres_ledger.single_writer(CUSTOMER, guid("a")) as writer:
        await end_writers_session(other)
        assert not await writer.still_held()
        assert not await writer.still_held()
        async with other.single_writer(CUSTOMER, guid("a")) as successor:
            assert await successor.still_held()


async def test_a_writer_that_lost_its_lock_within_a_live_session_knows(postgres_ledger):
    async with postgres_ledger.single_writer(CUSTOMER, guid("a"), guid("b")) as writer:
        # As a pooler would: the session goes on, its locks do not.
        await writer._connection.execute("SELECT pg_advisory_unlock_all()")
        assert not await writer.still_held()


async def test_a_cancelled_writer_gives_its_lock_back(postgres_ledger, other):
    entered = asyncio.Event()

    async def write() -> None:
        async with postgres_ledger.single_writer(CUSTOMER, guid("a")):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await entered.wait()
    task.cancel()
    await asyncio.wait([task])
    async with other.single_writer(CUSTOMER, guid("a")) as writer:
        assert await writer.still_held()


async def test_the_writers_lock_does_not_depend_on_the_pool(ledger_database):
    async with (
        PostgresLedger.open(ledger_database, pool_size=1) as ledger,
        ledger._transaction(),
        ledger.single_writer(CUSTOMER, guid("a")) as writer,
    ):
        assert await writer.still_held()


async def test_a_writer_of_nothing_is_a_mistake(postgres_ledger):
    with pytest.raises(ValueError, match="names what it writes"):
        postgres_ledger.single_writer(CUSTOMER)
