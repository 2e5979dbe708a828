"""What stays on record: every opening, every change of mind, every answer, in UTC."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta, timezone

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import StatementError

from include.nce.domain.command import CommandKind, CommandOutcome
from include.nce.domain.conversion import ConversionState
from include.nce.domain.errors import InputRefused
from include.nce.domain.opt_out import OptOut, rule_on
from include.nce.ledger.ledger import PostgresLedger
from include.nce.ledger.tables import (
    CheckHistoryRow,
    CheckRow,
    CommandEventRow,
    ConversionHistoryRow,
    OptOutRulingRow,
    RunHistoryRow,
    SubscriptionRow,
)
from tests.integration.ledger.scene import (
    AT,
    CAMPAIGN,
    CUSTOMER,
    LATER,
    RUN,
    campaign,
    due,
    guid,
    missing,
    partner,
    subscription,
)
from tests.support.scene import bring, intend


async def rows(ledger: PostgresLedger, row: type) -> list:
    async with ledger._transaction() as session:
        return list(await session.scalars(select(row).order_by(*row.__table__.primary_key)))


async def test_a_run_opened_again_keeps_how_it_ended_before(postgres_ledger):
    await postgres_ledger.close_run(RUN, "blocked", "MPA is missing.", at=AT)
    await postgres_ledger.open_run(RUN, CAMPAIGN, "rossi", "apply", at=LATER)
    await postgres_ledger.close_run(RUN, "converted", "Done.", at=LATER)
    history = [(h.opening, h.event.value, h.sentence) for h in await rows(postgres_ledger, RunHistoryRow)]
    assert history == [
        (1, "opened", ""), (1, "closed", "MPA is missing."), (2, "reopened", ""), (2, "closed", "Done."),
    ]  # fmt: skip


async def test_an_opening_and_a_closing_twice_are_one_each(postgres_ledger):
    for _ in range(2):
        await postgres_ledger.open_run(RUN, CAMPAIGN, "rossi", "apply", at=AT)
    for _ in range(2):
        await postgres_ledger.close_run(RUN, "blocked", "MPA is missing.", at=AT)
    assert len(await rows(postgres_ledger, RunHistoryRow)) == 2


async def test_the_same_finding_again_only_tells_when_it_was_asked(postgres_ledger):
    for at in (AT, LATER):
        await postgres_ledger.record_finding(RUN, missing(), at=at)
    (check,) = await rows(postgres_ledger, CheckRow)
    assert (check.since_at, check.asked_at) == (AT, LATER)
    assert len(await rows(postgres_ledger, CheckHistoryRow)) == 1


async def test_a_finding_with_another_reason_is_history(postgres_ledger):
    await postgres_ledger.record_finding(RUN, missing(), at=AT)
    await postgres_ledger.record_finding(RUN, missing("Not a reseller."), at=LATER)
    (check,) = await rows(postgres_ledger, CheckRow)
    assert check.since_at == LATER
    assert [h.at for h in await rows(postgres_ledger, CheckHistoryRow)] == [AT, LATER]


async def test_the_same_ruling_again_adds_nothing(postgres_ledger):
    for _ in range(2):
        await postgres_ledger.record_opt_out_ruling(RUN, rule_on([], LATER), at=AT)
    assert len(await rows(postgres_ledger, OptOutRulingRow)) == 1


async def test_a_step_that_runs_twice_leaves_one_trace(postgres_ledger):
    await postgres_ledger.record_verdicts(RUN, [due("a")], [[guid("a")]], at=AT)
    (conversion,) = await postgres_ledger.conversions(RUN)
    for at in (AT, LATER):
        await bring(
            postgres_ledger,
            conversion.conversion_id,
            ConversionState.ACCEPTED,
            "migrating",
            at=at,
            migration_id="m1",
        )
    history = await rows(postgres_ledger, ConversionHistoryRow)
    assert [(h.state.value, h.facts.get("migration_id")) for h in history] == [
        ("planned", None), ("accepted", "m1"),
    ]  # fmt: skip


async def test_a_survey_keeps_the_latest_facts_of_each_subscription(postgres_ledger):
    first = subscription("one")
    await postgres_ledger.record_survey(RUN, [first, subscription("two")], [], at=AT)
    await postgres_ledger.record_survey(RUN, [replace(first, seats=9)], [], at=LATER)
    seen = {row.subscription_id: row for row in await rows(postgres_ledger, SubscriptionRow)}
    assert {name: (row.seats, row.first_seen_at, row.surveyed_at) for name, row in seen.items()} == {
        guid("one"): (9, AT, LATER),
        guid("two"): (5, AT, AT),
    }


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (None, None),
        ({"id": 1, "items": ["a", None, True]}, {"id": 1, "items": ["a", None, True]}),
        ("<html>\x00</html>", "<html>\ufffd</html>"),
        ({"half": "\ud83d"}, {"half": "?"}),
        (b"\xff\xfe", "\ufffd\ufffd"),
        ([float("nan"), 1.5], ["nan", 1.5]),
        ({"at": datetime(2022, 7, 1, tzinfo=timezone.utc)}, {"at": "2022-07-01 00:00:00+00:00"}),
    ],
)
async def test_any_answer_is_kept_also_one_nobody_can_read(postgres_ledger, body, kept):
    await postgres_ledger.record_verdicts(RUN, [due("a")], [[guid("a")]], at=AT)
    (conversion,) = await postgres_ledger.conversions(RUN)
    command = await intend(postgres_ledger, conversion.conversion_id, CommandKind.CREATE_MIGRATION, {}, at=AT)
    await postgres_ledger.note_answer(
        command.command_id,
        at=AT,
        outcome=CommandOutcome.REFUSED,
        status=500,
        code=None,
        correlation_id="c",
        body=body,
    )
    (event,) = await rows(postgres_ledger, CommandEventRow)
    assert event.body == kept


async def test_moments_come_back_in_utc_whatever_the_servers_zone_is(postgres_ledger, ledger_database):
    async with postgres_ledger._transaction() as session:
        await session.execute(text("SET LOCAL timezone = 'Asia/Tokyo'"))
        moment = await session.scalar(select(RunHistoryRow.at))
    assert (moment, moment.utcoffset()) == (AT, timedelta(0))


async def test_a_moment_without_zone_is_a_mistake(postgres_ledger):
    with pytest.raises(StatementError, match="has no time zone"):
        await postgres_ledger.close_run(RUN, "blocked", "x", at=AT.replace(tzinfo=None))


async def test_the_machines_time_stands_beside_the_campaigns(postgres_ledger):
    (opened,) = await rows(postgres_ledger, RunHistoryRow)
    assert abs(opened.recorded_at - datetime.now(timezone.utc)) < timedelta(minutes=5)
    assert opened.at == AT


async def test_every_version_keeps_who_made_it_and_why(postgres_ledger):
    moved_on = date(2022, 8, 1)
    await postgres_ledger.move_moment(CAMPAIGN, "cut_over", moved_on, "bruno", "ten days more", at=LATER)
    versions = await postgres_ledger.campaign_versions(CAMPAIGN)
    assert [(v.version, v.author, v.reason) for v in versions] == [
        (1, "anna", "first import"), (2, "bruno", "ten days more"),
    ]  # fmt: skip
    assert versions[0].document == campaign()
    assert versions[1].created_at == LATER


async def test_a_move_to_where_the_moment_stands_makes_no_version(postgres_ledger):
    assert await postgres_ledger.move_moment(CAMPAIGN, "closes", date(2022, 12, 31), "bruno", "again") == 1


@pytest.mark.parametrize(
    ("moment", "value", "sentence"),
    [
        ("cutover", date(2022, 8, 1), "Moment 'cutover' does not exist; a campaign has opens,"),
        ("cut_over", date(2022, 6, 1), "cut_over cannot move to 2022-06-01: "),
        ("cut_over", datetime(2022, 8, 1), "cut_over cannot move to 2022-08-01T00:00:00: "),  # noqa: DTZ001
    ],
)
async def test_a_move_that_makes_no_sense_is_one_sentence(postgres_ledger, moment, value, sentence):
    with pytest.raises(InputRefused) as refused:
        await postgres_ledger.move_moment(CAMPAIGN, moment, value, "bruno", "x")
    (fault,) = refused.value.faults
    assert fault.startswith(sentence)
    assert await postgres_ledger.latest_version(CAMPAIGN) == 1


async def test_a_misspelt_campaign_is_answered_with_the_one_that_was_meant(postgres_ledger):
    with pytest.raises(InputRefused, match=r"did you mean 'csp-commercial-2022'\?"):
        await postgres_ledger.campaign("csp-comercial-2022")


async def test_a_misspelt_partner_is_answered_with_the_one_that_was_meant(postgres_ledger):
    with pytest.raises(InputRefused, match=r"did you mean 'rossi'\?"):
        await postgres_ledger.partner(CAMPAIGN, "rosi")


async def test_an_enrolment_tells_what_it_changed(postgres_ledger):
    enrolled = await postgres_ledger.enrol(
        CAMPAIGN, [partner("rossi"), partner("verdi", mpn_id="123"), partner("neri")]
    )
    assert (enrolled.new, enrolled.changed, enrolled.unchanged) == (1, 1, 1)
    assert (await postgres_ledger.partner(CAMPAIGN, "verdi")).mpn_id == "123"


async def test_a_roster_with_a_partner_twice_is_refused(postgres_ledger):
    with pytest.raises(InputRefused, match="'neri' is in the roster 2 times"):
        await postgres_ledger.enrol(CAMPAIGN, [partner("neri"), partner("neri")])


async def test_partners_come_in_pages(postgres_ledger):
    await postgres_ledger.enrol(CAMPAIGN, [partner("neri")])
    first = await postgres_ledger.partners(CAMPAIGN, limit=2)
    rest = await postgres_ledger.partners(CAMPAIGN, after=first[-1].partner, limit=2)
    assert [p.partner for p in (*first, *rest)] == ["neri", "rossi", "verdi"]


async def test_a_dry_run_does_not_hide_how_the_real_run_ended(postgres_ledger):
    await postgres_ledger.close_run(RUN, "failed", "x", at=AT)
    await postgres_ledger.open_run(f"{RUN}__plan", CAMPAIGN, "rossi", "plan", at=LATER)
    await postgres_ledger.close_run(f"{RUN}__plan", "planned", "x", at=LATER)
    for outcome in ("failed", "planned"):
        assert [p.partner for p in await postgres_ledger.partners(CAMPAIGN, outcomes=[outcome])] == ["rossi"]


async def test_an_outcome_that_does_not_exist_finds_nobody_and_says_so(postgres_ledger):
    with pytest.raises(InputRefused, match="'succeeded' does not exist; there are blocked,"):
        await postgres_ledger.partners(CAMPAIGN, outcomes=["succeeded"])


async def test_opt_outs_come_in_pages_with_who_withdrew_them(postgres_ledger):
    for customer in (None, CUSTOMER, guid("other")):
        await postgres_ledger.record_opt_out(CAMPAIGN, OptOut("rossi", AT, "anna", customer))
    await postgres_ledger.withdraw_opt_out(CAMPAIGN, "rossi", withdrawn_at=LATER, withdrawn_by="bruno")
    first = await postgres_ledger.list_opt_outs(CAMPAIGN, limit=2)
    rest = await postgres_ledger.list_opt_outs(CAMPAIGN, "rossi", after=first[-1].opt_out_id)
    assert [(o.opt_out.customer_id, o.withdrawn_by) for o in (*first, *rest)] == [
        (None, "bruno"), (CUSTOMER, None), (guid("other"), None),
    ]  # fmt: skip


async def test_a_form_imported_again_as_withdrawn_is_withdrawn(postgres_ledger):
    form = OptOut("rossi", AT, "anna")
    await postgres_ledger.record_opt_out(CAMPAIGN, form)
    assert not await postgres_ledger.record_opt_out(CAMPAIGN, replace(form, withdrawn_at=LATER))
    assert [o.stands() for o in await postgres_ledger.opt_outs(CAMPAIGN, "rossi")] == [False]


async def test_a_ledger_shows_no_password(ledger_database):
    async with PostgresLedger.open(ledger_database) as ledger:
        secret = ledger._engine.url.password
        assert secret is None or secret not in repr(ledger)
