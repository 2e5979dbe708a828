"""The last word before a send, on the real ledger: who speaks first is heard, and the brake is exact."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import make_url

from include.nce.domain.approval import Approval, ApprovalWord
from include.nce.domain.command import CommandKind
from include.nce.domain.conversion import Conversion, ConversionState
from include.nce.domain.decision import DecisionKind
from include.nce.domain.errors import Busy, FailureClass, PartnerCenterFault
from include.nce.domain.opt_out import OptOut
from include.nce.ledger.ledger import PostgresLedger
from include.nce.ledger.transactions import HOLD_STILL_SECONDS
from include.nce.steps.brake import NotYourTurn, brake, refuse_unless_admitted
from include.nce.steps.sending import Departure, Intent, send
from tests.integration.ledger.scene import (
    AT,
    CAMPAIGN,
    CUSTOMER,
    LATER,
    RUN,
    campaign,
    due,
    guid,
    partner,
    subscription,
)

S = ConversionState
PATIENCE = HOLD_STILL_SECONDS + 10


@pytest.fixture
async def other(ledger_database: str) -> AsyncIterator[PostgresLedger]:
    """Another process."""
    async with PostgresLedger.open(ledger_database) as ledger:
        yield ledger


async def a_line(ledger: PostgresLedger, name: str = "one", run_id: str = RUN) -> Conversion:
    await ledger.record_verdicts(run_id, [due(name)], [[guid(name)]], at=AT)
    (line,) = [c for c in await ledger.conversions(run_id) if c.legacy_id == guid(name)]
    return line


async def opt_out(ledger: PostgresLedger) -> Any:
    return await ledger.record_opt_out(CAMPAIGN, OptOut("rossi", AT, "anna"))


async def opt_outs(ledger: PostgresLedger) -> Any:
    return await ledger.record_opt_outs(CAMPAIGN, [OptOut("rossi", AT, "anna")])


async def withdrawal(ledger: PostgresLedger) -> Any:
    return await ledger.withdraw_opt_out(CAMPAIGN, "rossi", withdrawn_at=LATER, withdrawn_by="anna")


async def decision(ledger: PostgresLedger) -> Any:
    return await ledger.record_decision(
        CAMPAIGN, "rossi", guid("one"), DecisionKind.CONFIRM_CONVERSION, decided_by="anna", reason="x", at=AT
    )


async def rejection(ledger: PostgresLedger) -> Any:
    said = Approval("0" * 64, ApprovalWord.REJECTED, "olga", AT)
    return await ledger.record_approval(CAMPAIGN, "rossi", said)


async def stop(ledger: PostgresLedger) -> Any:
    return await ledger.stop_campaign(CAMPAIGN, by="anna", reason="x", at=AT)


async def moved_date(ledger: PostgresLedger) -> Any:
    return await ledger.move_moment(CAMPAIGN, "closes", date(2023, 3, 31), "anna", "more time")


async def new_version(ledger: PostgresLedger) -> Any:
    return await ledger.import_campaign(campaign(title="Corrected"), "anna", "x")


WORDS = [opt_out, opt_outs, withdrawal, decision, rejection, stop, moved_date, new_version]


@pytest.mark.parametrize("word", WORDS, ids=lambda word: word.__name__)
async def test_what_a_person_says_waits_for_a_last_word_that_has_begun(postgres_ledger, other, word) -> None:
    line = await a_line(postgres_ledger)
    await postgres_ledger.record_survey(RUN, [due("one").subscription], [], at=AT)
    await opt_out(postgres_ledger) if word is withdrawal else None
    async with postgres_ledger.last_word(CAMPAIGN, "rossi") as standing:
        speaking = asyncio.create_task(word(other))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(speaking), 0.3)
        await standing.advance(line, S.SENT, at=AT)
    await asyncio.wait_for(speaking, PATIENCE)
    # Who spoke finds what has left.
    assert (await other.conversion(line.conversion_id)).state is S.SENT


async def test_sends_of_two_partners_do_not_wait_for_each_other(postgres_ledger, other) -> None:
    async with postgres_ledger.last_word(CAMPAIGN, "rossi"), other.last_word(CAMPAIGN, "verdi"):
        pass


async def test_two_sends_of_one_partner_take_turns_and_the_second_gives_up_in_time(
    postgres_ledger, other
) -> None:
    async with postgres_ledger.last_word(CAMPAIGN, "rossi"):
        with pytest.raises(Busy, match="nothing was sent"):
            async with other.last_word(CAMPAIGN, "rossi"):
                pass


async def test_a_last_word_sees_what_was_committed_after_it_began_to_wait(postgres_ledger, other) -> None:
    """It waits for the lock in its first statement, and each later one sees what is committed by then."""
    reading = asyncio.Event()

    async def reads() -> bool:
        reading.set()
        async with other.last_word(CAMPAIGN, "rossi") as standing:
            return bool(await standing.opt_outs(CAMPAIGN, "rossi"))

    async with postgres_ledger.last_word(CAMPAIGN, "rossi") as first:
        looking = asyncio.create_task(reads())
        await reading.wait()
        await first.record_opt_out(CAMPAIGN, OptOut("rossi", AT, "anna"))
    assert await asyncio.wait_for(looking, PATIENCE)


@pytest.mark.parametrize("table", ["command_events", "conversions", "opt_outs", "campaign_events"])
async def test_a_table_that_is_locked_keeps_the_send_here(
    postgres_ledger, ledger_owner_database, ledger_database, table
) -> None:
    """As while an index is made, or a column is added: nothing waits for longer than a moment."""
    line = await a_line(postgres_ledger)
    command = await postgres_ledger.intend(line, CommandKind.CREATE_MIGRATION, {}, at=AT)
    owner = ledger_owner_database.replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(owner) as connection:
        connection.execute(f"LOCK {table} IN ACCESS EXCLUSIVE MODE")  # type: ignore[call-overload]

        async def sends() -> None:
            async with postgres_ledger.last_word(CAMPAIGN, "rossi") as standing:
                await standing.brake_record(CAMPAIGN)
                await standing.opt_outs(CAMPAIGN, "rossi")
                await standing.note_sending(command.command_id, at=AT)
                await standing.advance(line, S.SENT, at=AT)

        with pytest.raises(Busy):
            await sends()
    assert (await postgres_ledger.conversion(line.conversion_id)).state is S.PLANNED
    assert (await postgres_ledger.open_command(line.conversion_id, CommandKind.CREATE_MIGRATION)) == command


async def test_what_a_last_word_that_says_no_wrote_is_undone(postgres_ledger) -> None:
    line = await a_line(postgres_ledger)

    async def is_forbidden() -> None:
        async with postgres_ledger.last_word(CAMPAIGN, "rossi") as standing:
            await standing.advance(line, S.SENT, at=AT)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await is_forbidden()
    assert await postgres_ledger.conversion(line.conversion_id) == line


class Refusal(PartnerCenterFault):
    failure_class = FailureClass.PERSON_DECIDES


WORKERS = 14
BRAKED = campaign(brake={"failed_at_least": 3, "failed_percent": 50})


class Clock:
    def __init__(self, ahead: timedelta = timedelta()) -> None:
        self.ahead = ahead

    async def now(self) -> datetime:
        return LATER + self.ahead


async def test_at_any_number_of_workers_no_more_is_sent_than_one_after_another(
    postgres_ledger, ledger_database
) -> None:
    """Fourteen purchases side by side, all refused: three leave, and the campaign stops."""
    await postgres_ledger.import_campaign(BRAKED, "anna", "braked")
    names = [f"p{number}" for number in range(WORKERS)]
    await postgres_ledger.enrol(CAMPAIGN, [partner(name) for name in names])
    for name in names:
        await postgres_ledger.open_run(name, CAMPAIGN, name, "apply", at=AT)
        await a_line(postgres_ledger, name, run_id=name)
    left: list[str] = []
    waiting: list[str] = []
    all_in = asyncio.Event()

    async def works(name: str) -> None:
        async with PostgresLedger.open(ledger_database, pool_size=2) as ledger:
            (line,) = await ledger.conversions(name)

            async def last_word(standing: Any) -> None:
                await refuse_unless_admitted(BRAKED, name, [line], ledger=standing, now_at=LATER)

            async def call(departure: Departure, members: Any) -> Any:
                await departure.leave()
                left.append(name)
                if len(left) + len(waiting) == WORKERS:
                    all_in.set()
                await all_in.wait()
                raise Refusal("no", status=400, code=900218)

            try:
                async with ledger.single_writer(CUSTOMER, line.legacy_id) as writer:
                    sent = await send(
                        Intent([line], CommandKind.CREATE_MIGRATION, {}, moves_to=S.SENT),
                        call, last_word=last_word, writer=writer, ledger=ledger, clock=Clock(),
                    )  # fmt: skip
            except NotYourTurn:
                waiting.append(name)
                if len(left) + len(waiting) == WORKERS:
                    all_in.set()
                return
            await ledger.advance(sent.members[0], S.REFUSED, "no", at=LATER)

    await asyncio.wait_for(asyncio.gather(*map(works, names)), 60)
    assert (len(left), len(waiting)) == (3, WORKERS - 3)
    assert (await brake(BRAKED, ledger=postgres_ledger, now_at=LATER)).stopped


async def test_what_got_no_answer_for_long_is_unknown_and_holds_nobody_up(
    postgres_ledger, ledger_owner_database
) -> None:
    line = await a_line(postgres_ledger)
    command = await postgres_ledger.intend(line, CommandKind.CREATE_MIGRATION, {}, at=AT)
    await postgres_ledger.note_sending(command.command_id, at=AT)
    await postgres_ledger.advance(line, S.SENT, at=AT)
    assert await postgres_ledger.in_flight(CAMPAIGN) == 1
    assert await postgres_ledger.in_flight(CAMPAIGN, besides=[line.conversion_id]) == 0
    owner = ledger_owner_database.replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(owner) as connection:
        connection.execute("ALTER TABLE command_events DISABLE TRIGGER USER")
        connection.execute("UPDATE command_events SET recorded_at = recorded_at - interval '6 minutes'")
        connection.execute("ALTER TABLE command_events ENABLE TRIGGER USER")
    assert await postgres_ledger.in_flight(CAMPAIGN) == 0


@pytest.mark.parametrize("role", ["repeatable read", "serializable"])
async def test_isolation_is_the_products_whatever_the_role_has(
    ledger_database, ledger_owner_database, postgres_ledger, role
) -> None:
    owner = ledger_owner_database.replace("postgresql+psycopg://", "postgresql://")
    name = make_url(ledger_database).database
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = '{role}'")  # type: ignore[call-overload]
        connection.execute(f"ALTER DATABASE {name} SET timezone = 'Europe/Rome'")  # type: ignore[call-overload]
    far = datetime(9999, 12, 31, 23, 59, 59, tzinfo=AT.tzinfo)
    async with (
        PostgresLedger.open(ledger_database) as ledger,
        PostgresLedger.open(ledger_database) as other,
    ):
        async with ledger.last_word(CAMPAIGN, "rossi") as standing:
            assert await standing.admitted(CAMPAIGN, "verdi") is False
            await other.go_ahead(CAMPAIGN, "verdi", "urgent", at=AT)
            assert await standing.admitted(CAMPAIGN, "verdi")
        await ledger.record_survey(RUN, [subscription("far", term_end_at=far)], [], at=AT)
        assert await ledger.first_seen_term_ends(CAMPAIGN, "rossi") == {guid("far"): far}
