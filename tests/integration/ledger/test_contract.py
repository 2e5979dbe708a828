"""What the steps rely on, asked of the real ledger and of the fake alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta

import pytest

from include.nce.domain.approval import Approval, ApprovalWord, planned_lines
from include.nce.domain.classification import SubscriptionClass, Verdict
from include.nce.domain.command import AnsweredAlready, CommandKind, CommandOutcome
from include.nce.domain.conversion import ConversionState, ImpossibleMove, Overtaken
from include.nce.domain.decision import DecisionKind
from include.nce.domain.errors import Busy, InputRefused
from include.nce.domain.opt_out import OptOut, OptOutVerdict, rule_on
from include.nce.domain.readiness import Answer, Check, Finding
from include.nce.domain.subscription import Customer
from include.nce.ledger.runs import WatchFacts
from include.nce.steps.ports import Ledger
from tests.integration.ledger.conftest import set_scene
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
from tests.support.fake_ledger import FakeLedger
from tests.support.scene import bring, intend


@pytest.fixture(params=["fake", "postgres"])
async def ledger(request: pytest.FixtureRequest) -> AsyncIterator[Ledger]:
    if request.param == "postgres":
        # Opened here and not by `getfixturevalue`, which cannot run an asynchronous fixture from within one.
        from include.nce.ledger.ledger import PostgresLedger

        async with PostgresLedger.open(request.getfixturevalue("ledger_database")) as real:
            await set_scene(real)
            yield real
    else:
        fake = FakeLedger()
        await set_scene(fake)
        yield fake


async def planned(ledger: Ledger, *verdicts: Verdict, run_id: str = RUN) -> int:
    bases = [v.subscription.subscription_id for v in verdicts if v.travels_with is None]
    return await ledger.record_verdicts(run_id, verdicts, [bases] if bases else [], at=AT)


async def one_conversion(ledger: Ledger) -> int:
    await planned(ledger, due("one"))
    return (await ledger.conversions(RUN))[0].conversion_id


async def test_the_latest_campaign_is_read_back_as_it_was_imported(ledger):
    assert await ledger.campaign(CAMPAIGN) == campaign()


async def test_an_import_of_the_same_campaign_makes_no_version(ledger):
    assert await ledger.import_campaign(campaign(), "bruno", "again") == 1


async def test_a_moved_moment_is_the_latest_version_at_once(ledger):
    assert await ledger.move_moment(CAMPAIGN, "cut_over", date(2022, 8, 1), "anna", "Microsoft moved it") == 2
    assert (await ledger.campaign(CAMPAIGN)).moments.cut_over.on == date(2022, 8, 1)


async def test_an_unknown_campaign_is_refused(ledger):
    with pytest.raises(InputRefused, match="csp-comercial-2022"):
        await ledger.campaign("csp-comercial-2022")


async def test_an_opened_run_knows_its_partner(ledger):
    run = await ledger.run(RUN)
    assert (run.partner.name, run.mode, run.opened_at) == ("Rossi S.r.l.", "apply", AT)


async def test_a_run_of_a_partner_that_is_not_enrolled_is_refused(ledger):
    with pytest.raises(InputRefused, match="rosi"):
        await ledger.open_run("x", CAMPAIGN, "rosi", "apply", at=AT)


async def test_a_run_id_of_another_partner_is_refused(ledger):
    with pytest.raises(InputRefused, match="rossi"):
        await ledger.open_run(RUN, CAMPAIGN, "verdi", "apply", at=AT)


async def test_opening_an_open_run_keeps_its_moment(ledger):
    assert (await ledger.open_run(RUN, CAMPAIGN, "rossi", "apply", at=LATER)).opened_at == AT


async def test_opening_a_closed_run_opens_it_again(ledger):
    await ledger.close_run(RUN, "blocked", "MPA is missing.", at=AT)
    assert (await ledger.open_run(RUN, CAMPAIGN, "rossi", "apply", at=LATER)).opened_at == LATER


async def test_partners_are_found_by_how_their_run_ended(ledger):
    await ledger.close_run(RUN, "blocked", "MPA is missing.", at=AT)
    assert await ledger.partners(CAMPAIGN, outcomes=["blocked", "failed"]) == [partner("rossi")]


async def test_a_run_that_is_open_again_ended_in_no_way(ledger):
    await ledger.close_run(RUN, "blocked", "MPA is missing.", at=AT)
    await ledger.open_run(RUN, CAMPAIGN, "rossi", "apply", at=LATER)
    assert await ledger.partners(CAMPAIGN, outcomes=["blocked"]) == []


async def test_partners_are_listed_by_name(ledger):
    assert await ledger.partners(CAMPAIGN) == [partner("rossi"), partner("verdi")]
    assert await ledger.partners(CAMPAIGN, ["verdi"]) == [partner("verdi")]


async def test_a_partner_asked_for_by_a_misspelt_name_is_refused(ledger):
    with pytest.raises(InputRefused, match="verde"):
        await ledger.partners(CAMPAIGN, ["verdi", "verde"])


async def test_an_outcome_that_does_not_exist_is_no_way_to_close(ledger):
    with pytest.raises(ValueError, match="fine"):
        await ledger.close_run(RUN, "fine", "", at=AT)


async def test_the_latest_finding_of_each_check_counts(ledger):
    mca = Finding(Check.CUSTOMER_MCA, Answer.MISSING, "1 of 2.", missing_customers=(CUSTOMER,), customers=2)
    signed = Finding(Check.MPA, Answer.SATISFIED, "The agreement is signed.")
    for finding in (mca, missing(), signed):
        await ledger.record_finding(RUN, finding, at=AT)
    assert list(await ledger.findings(RUN)) == [signed, mca]


async def test_an_opt_out_entered_twice_is_on_record_once(ledger):
    form = OptOut("rossi", AT, "anna", customer_id=CUSTOMER.upper())
    assert [await ledger.record_opt_out(CAMPAIGN, form) for _ in range(2)] == [True, False]
    assert await ledger.opt_outs(CAMPAIGN, "rossi") == [replace(form, customer_id=CUSTOMER)]


async def test_an_opt_out_under_a_misspelt_partner_is_refused(ledger):
    with pytest.raises(InputRefused, match="rosso"):
        await ledger.record_opt_out(CAMPAIGN, OptOut("rosso", AT, "anna"))


async def test_a_withdrawn_opt_out_stays_on_record_and_speaks_no_more(ledger):
    await ledger.record_opt_out(CAMPAIGN, OptOut("rossi", AT, "anna"))
    withdrawals = [
        await ledger.withdraw_opt_out(CAMPAIGN, "rossi", withdrawn_at=LATER, withdrawn_by="bruno")
        for _ in range(2)
    ]
    (form,) = await ledger.opt_outs(CAMPAIGN, "rossi")
    assert [(len(said.ends), len(said.ended_before)) for said in withdrawals] == [(1, 0), (0, 1)]
    assert (form.withdrawn_at, form.stands()) == (LATER, False)


async def test_a_withdrawal_ends_what_was_received_until_then_and_nothing_later(ledger):
    first, later = OptOut("rossi", AT, "anna"), OptOut("rossi", AT + timedelta(days=14), "anna")
    for form in (later, first, OptOut("rossi", AT, "anna", CUSTOMER)):
        await ledger.record_opt_out(CAMPAIGN, form)
    back_at = AT + timedelta(days=9)
    said = await ledger.withdraw_opt_out(CAMPAIGN, "rossi", withdrawn_at=back_at, withdrawn_by="bruno")
    assert (said.ends, said.stays) == ((first,), (later,))
    standing = [form for form in await ledger.opt_outs(CAMPAIGN, "rossi") if form.stands()]
    assert sorted(form.customer_id or "" for form in standing) == ["", CUSTOMER]


async def test_a_list_of_opt_outs_is_kept_whole_and_says_how_many_were_new(ledger):
    forms = [OptOut("verdi", AT, "anna"), OptOut("rossi", AT, "anna", CUSTOMER), OptOut("rossi", AT, "anna")]
    assert [await ledger.record_opt_outs(CAMPAIGN, listed) for listed in (forms[:2], forms)] == [2, 1]
    assert len(await ledger.opt_outs(CAMPAIGN, "rossi")) == 2


async def test_a_form_that_was_withdrawn_is_not_said_to_be_on_record_when_it_is_filed_again(ledger):
    form = OptOut("rossi", AT, "anna", customer_id=CUSTOMER)
    await ledger.record_opt_out(CAMPAIGN, form)
    await ledger.withdraw_opt_out(
        CAMPAIGN, "rossi", customer_id=CUSTOMER, withdrawn_at=LATER, withdrawn_by="bruno"
    )
    with pytest.raises(InputRefused, match="does not stand"):
        await ledger.record_opt_out(CAMPAIGN, form)
    assert await ledger.record_opt_out(CAMPAIGN, replace(form, received_at=LATER))


async def test_a_withdrawal_of_what_never_came_in_ends_nothing(ledger):
    said = await ledger.withdraw_opt_out(CAMPAIGN, "verdi", withdrawn_at=LATER, withdrawn_by="bruno")
    assert (said.ends, said.stays, said.ended_before) == ((), (), ())
    with pytest.raises(InputRefused, match="rosso"):
        await ledger.withdraw_opt_out(CAMPAIGN, "rosso", withdrawn_at=LATER, withdrawn_by="bruno")


async def test_the_latest_ruling_of_a_run_is_read_back(ledger):
    deadline = AT + timedelta(days=29)
    assert await ledger.opt_out_ruling(RUN) is None
    await ledger.record_opt_out_ruling(RUN, rule_on([], deadline), at=AT)
    ruling = rule_on([OptOut("rossi", AT, "anna", CUSTOMER), OptOut("rossi", deadline, "anna")], deadline)
    await ledger.record_opt_out_ruling(RUN, ruling, at=LATER)
    assert await ledger.opt_out_ruling(RUN) == ruling
    assert ruling.partner is OptOutVerdict.LATE


async def test_a_watch_tells_what_waiting_runs_need_to_know(ledger):
    await ledger.open_run("verdis", CAMPAIGN, "verdi", "apply", at=AT)
    form = OptOut("rossi", AT, "anna")
    await ledger.record_opt_out(CAMPAIGN, form)
    await ledger.record_opt_out(CAMPAIGN, OptOut("verdi", AT, "anna", CUSTOMER))
    await ledger.record_opt_out_ruling(RUN, rule_on([form], LATER), at=AT)
    assert await ledger.watch(CAMPAIGN, [RUN, "verdis", "unknown"]) == {
        RUN: WatchFacts(opted_out=True, opt_out_received_at=AT),
        "verdis": WatchFacts(opted_out=False, opt_out_received_at=None),
    }
    await ledger.withdraw_opt_out(CAMPAIGN, "rossi", withdrawn_at=LATER, withdrawn_by="bruno")
    assert await ledger.watch(CAMPAIGN, [RUN]) == {RUN: WatchFacts(opted_out=True, opt_out_received_at=None)}


async def test_a_ruling_of_an_earlier_opening_is_kept_and_decides_nothing_now(ledger):
    ruling = rule_on([OptOut("rossi", AT, "anna")], LATER)
    await ledger.record_opt_out_ruling(RUN, ruling, at=AT)
    await ledger.close_run(RUN, "opted_out", "x", at=AT)
    await ledger.open_run(RUN, CAMPAIGN, "rossi", "apply", at=LATER)
    assert not (await ledger.watch(CAMPAIGN, [RUN]))[RUN].opted_out
    assert await ledger.opt_out_ruling(RUN) == ruling


async def test_a_term_end_seen_first_is_kept_when_it_moves(ledger):
    first = subscription("one")
    renewed = replace(first, term_end_at=first.term_end_at + timedelta(days=365))
    endless = subscription("two", term_end_at=None)
    for seen in (first, renewed):
        await ledger.record_survey(RUN, [seen, endless], [Customer(CUSTOMER, "Bianchi")], at=AT)
    assert await ledger.first_seen_term_ends(CAMPAIGN, "rossi") == {guid("one"): first.term_end_at}


async def test_a_batch_lists_each_base_before_its_add_ons_in_the_order_of_the_batch(ledger):
    verdicts = [due("add-on", travels_with="b"), due("a"), due("b"), due("c")]
    plan_id = await ledger.record_verdicts(RUN, verdicts, [[guid("c")], [guid("b"), guid("a")]], at=AT)
    batches = [[c.legacy_id for c in await ledger.batch(RUN, plan_id, n)] for n in (0, 1, 2)]
    assert batches == [[guid("c")], [guid("b"), guid("add-on"), guid("a")], []]


async def test_an_add_on_has_a_conversion_of_its_own_that_names_its_base(ledger):
    await planned(ledger, due("b"), due("add-on", travels_with="b"))
    base, add_on = await ledger.conversions(RUN)
    assert (add_on.base_id, base.base_id, base.seats, base.term) == (guid("b"), guid("b"), 5, "P1Y")


async def test_the_lines_of_a_batch_share_a_reference_and_no_two_batches_do(ledger):
    await ledger.record_verdicts(
        RUN, [due("a"), due("b"), due("c")], [[guid("a"), guid("b")], [guid("c")]], at=AT
    )
    references = {c.legacy_id: c.reference for c in await ledger.conversions(RUN)}
    assert references[guid("a")] == references[guid("b")] != references[guid("c")]
    assert None not in references.values()


async def test_a_subscription_has_one_conversion_however_often_it_is_planned(ledger):
    first = await one_conversion(ledger)
    assert await one_conversion(ledger) == first


async def test_another_partners_plan_meets_the_same_conversion(ledger):
    first = await one_conversion(ledger)
    await ledger.open_run("verdis", CAMPAIGN, "verdi", "apply", at=AT)
    await planned(ledger, due("one"), run_id="verdis")
    assert [c.conversion_id for c in await ledger.conversions("verdis")] == [first]


async def test_a_conversion_under_way_keeps_state_and_terms_in_a_new_plan(ledger):
    number = await one_conversion(ledger)
    before = await bring(ledger, number, ConversionState.ACCEPTED, at=AT, migration_id="m1")
    await planned(ledger, due("one", seats=99, term="P3Y"))
    assert await ledger.conversion(number) == before


@pytest.mark.parametrize("state", [ConversionState.REFUSED, ConversionState.FAILED, ConversionState.HELD])
async def test_a_conversion_that_may_be_retried_starts_afresh_in_a_new_plan(ledger, state):
    number = await one_conversion(ledger)
    before = await bring(ledger, number, state, "no", at=AT, migration_id="m1", cart_id="c1")
    await planned(ledger, due("one", seats=7))
    after = await ledger.conversion(number)
    assert (after.state, after.seats, after.migration_id, after.cart_id) == (
        ConversionState.PLANNED, 7, None, None,
    )  # fmt: skip
    assert after.reference != before.reference


async def test_a_conversion_with_a_send_in_doubt_is_not_started_afresh(ledger):
    number = await one_conversion(ledger)
    command = await intend(ledger, number, CommandKind.CREATE_MIGRATION, {}, at=AT)
    await ledger.note_sending(command.command_id, at=AT)
    before = await bring(ledger, number, ConversionState.WAITING, "throttled", at=AT)
    await planned(ledger, due("one", seats=7))
    assert await ledger.conversion(number) == before


async def test_batches_that_name_an_unknown_subscription_are_a_mistake(ledger):
    with pytest.raises(ValueError, match=guid("x")):
        await ledger.record_verdicts(RUN, [due("one")], [[guid("x")]], at=AT)


async def test_a_verdict_that_comes_twice_is_one_line(ledger):
    await planned(ledger, due("one"), due("one"))
    assert [c.legacy_id for c in await ledger.conversions(RUN)] == [guid("one")]


async def test_the_latest_plan_of_a_run_is_found(ledger):
    with pytest.raises(InputRefused, match="no plan"):
        await ledger.latest_plan_id(RUN)
    await planned(ledger, due("one"))
    assert await planned(ledger, due("one")) == await ledger.latest_plan_id(RUN)


@pytest.mark.parametrize(
    ("state", "klass"),
    [
        (ConversionState.CONVERTED, SubscriptionClass.CONVERTED),
        (ConversionState.BY_OTHERS, SubscriptionClass.ALREADY_MIGRATED),
        (ConversionState.REFUSED, SubscriptionClass.FAILED),
        (ConversionState.FAILED, SubscriptionClass.FAILED),
        (ConversionState.STRANDED, SubscriptionClass.FAILED),
        (ConversionState.HELD, SubscriptionClass.HELD),
        (ConversionState.UNKNOWN, SubscriptionClass.DUE),
    ],
)
async def test_a_class_is_what_the_conversion_came_to(ledger, state, klass):
    number = await one_conversion(ledger)
    await bring(ledger, number, state, at=AT)
    assert await ledger.effective_classes(RUN) == {guid("one"): klass}


async def test_a_line_that_is_not_converted_now_keeps_the_plans_class(ledger):
    number = await one_conversion(ledger)
    await bring(ledger, number, ConversionState.REFUSED, at=AT)
    await planned(ledger, Verdict(subscription("one"), SubscriptionClass.HELD, "MPA is missing."))
    await ledger.record_verdicts(
        RUN, [Verdict(subscription("one"), SubscriptionClass.EXEMPT, "Education.")], [], at=AT
    )
    assert await ledger.effective_classes(RUN) == {guid("one"): SubscriptionClass.EXEMPT}


async def test_a_plan_without_batches_still_follows_what_is_under_way(ledger):
    number = await one_conversion(ledger)
    await bring(ledger, number, ConversionState.ACCEPTED, at=AT)
    await ledger.record_verdicts(RUN, [due("one")], [], at=AT)
    await bring(ledger, number, ConversionState.CONVERTED, at=LATER)
    assert await ledger.effective_classes(RUN) == {guid("one"): SubscriptionClass.CONVERTED}


async def test_done_tells_what_is_finished_and_what_is_under_way(ledger):
    await planned(ledger, due("a"), due("b"), due("c"), due("d"))
    ids = {c.legacy_id: c.conversion_id for c in await ledger.conversions(RUN)}
    await bring(ledger, ids[guid("a")], ConversionState.CONVERTED, "done", at=AT, nce_subscription_id="n1")
    await bring(ledger, ids[guid("b")], ConversionState.STRANDED, "bought", at=AT)
    await bring(ledger, ids[guid("c")], ConversionState.REFUSED, "no", at=AT)
    done = await ledger.standing_conversions(CAMPAIGN, "rossi")
    assert {legacy_id: (d.state, d.nce_subscription_id, d.base_id) for legacy_id, d in done.items()} == {
        guid("a"): (ConversionState.CONVERTED, "n1", guid("a")),
        guid("b"): (ConversionState.STRANDED, None, guid("b")),
    }


async def test_what_another_partner_converted_is_done_for_whoever_holds_it(ledger):
    await bring(ledger, await one_conversion(ledger), ConversionState.CONVERTED, at=AT)
    assert await ledger.standing_conversions(CAMPAIGN, "verdi") == {}
    await ledger.open_run("verdis", CAMPAIGN, "verdi", "apply", at=AT)
    await ledger.record_survey("verdis", [subscription("one")], [], at=AT)
    assert set(await ledger.standing_conversions(CAMPAIGN, "verdi")) == {guid("one")}


async def decide(ledger: Ledger, kind: DecisionKind) -> None:
    await ledger.record_decision(
        CAMPAIGN, "rossi", guid("one").upper(), kind, decided_by="anna", reason="the customer asked", at=AT
    )


async def test_a_confirmed_conversion_is_confirmed_until_it_is_withdrawn(ledger):
    await ledger.record_survey(RUN, [subscription("one")], [], at=AT)
    await decide(ledger, DecisionKind.CONFIRM_CONVERSION)
    assert await ledger.confirmed_conversions(CAMPAIGN, "rossi") == {guid("one")}
    await decide(ledger, DecisionKind.WITHDRAW_CONFIRMATION)
    assert await ledger.confirmed_conversions(CAMPAIGN, "rossi") == frozenset()


async def test_a_decision_about_a_subscription_nobody_has_seen_is_refused(ledger):
    with pytest.raises(InputRefused, match=f"(?i){guid('one')}"):
        await decide(ledger, DecisionKind.CONFIRM_CONVERSION)


async def test_a_state_keeps_the_moment_it_was_reached(ledger):
    number = await one_conversion(ledger)
    await bring(ledger, number, ConversionState.ACCEPTED, "migrating", at=AT)
    after = await bring(ledger, number, ConversionState.ACCEPTED, "still migrating", at=LATER)
    assert (after.state_since_at, after.reason) == (AT, "still migrating")


async def test_a_wait_ends_with_its_state(ledger):
    number = await one_conversion(ledger)
    waiting = await bring(ledger, number, ConversionState.WAITING, at=AT, not_before_at=LATER)
    assert waiting.not_before_at == LATER
    assert (await bring(ledger, number, ConversionState.SENT, at=AT)).not_before_at is None


async def test_a_fact_nobody_knows_is_a_mistake(ledger):
    with pytest.raises(TypeError, match="legacy_id"):
        await bring(ledger, await one_conversion(ledger), ConversionState.SENT, at=AT, legacy_id="x")


async def test_an_intention_without_an_answer_is_the_same_intention(ledger):
    number = await one_conversion(ledger)
    first = await intend(ledger, number, CommandKind.CREATE_MIGRATION, {"seats": 5}, at=AT)
    await ledger.note_sending(first.command_id, at=AT)
    second = await intend(ledger, number, CommandKind.CREATE_MIGRATION, {"seats": 6}, at=LATER)
    assert (second.request_id, second.payload, second.sent) == (first.request_id, {"seats": 5}, True)


async def test_who_was_overtaken_intends_nothing(ledger):
    number = await one_conversion(ledger)
    covered = await bring(ledger, number, ConversionState.COVERED, at=AT)
    converted = await ledger.advance(covered, ConversionState.CONVERTED, at=AT)
    with pytest.raises(Overtaken):
        await ledger.intend(covered, CommandKind.SUSPEND_LEGACY, {}, at=LATER)
    assert await ledger.open_command(number, CommandKind.SUSPEND_LEGACY) is None
    await ledger.intend(converted, CommandKind.SUSPEND_LEGACY, {}, at=LATER)


async def answer(ledger: Ledger, command_id: int, outcome: str) -> None:
    await ledger.note_answer(
        command_id, at=LATER, outcome=CommandOutcome(outcome), status=None, code=None, correlation_id=None,
        body=None,
    )  # fmt: skip


async def test_who_was_overtaken_changes_nothing(ledger):
    number = await one_conversion(ledger)
    seen = await ledger.conversion(number)
    before = await ledger.advance(seen, ConversionState.SENT, at=AT)
    with pytest.raises(Overtaken):
        await ledger.advance(seen, ConversionState.REFUSED, "an orphan's word", at=LATER)
    assert await ledger.conversion(number) == before


async def test_what_was_decided_by_a_plan_says_nothing_once_there_is_another(ledger):
    number = await one_conversion(ledger)
    before = await ledger.conversion(number)
    await planned(ledger, due("one"))
    anew = await ledger.conversion(number)
    assert (anew.state, anew.plan_id != before.plan_id) == (before.state, True)
    with pytest.raises(Overtaken):
        await ledger.advance(before, ConversionState.SENT, at=LATER)
    assert await ledger.conversion(number) == anew
    await ledger.advance(anew, ConversionState.SENT, at=LATER)


async def test_a_move_that_the_table_does_not_know_is_refused_and_leaves_no_trace(ledger):
    converted = await bring(ledger, await one_conversion(ledger), ConversionState.CONVERTED, at=AT)
    with pytest.raises(ImpossibleMove):
        await ledger.advance(converted, ConversionState.PLANNED, at=LATER)
    assert await ledger.conversion(converted.conversion_id) == converted


async def test_a_lost_answer_leaves_the_command_open(ledger):
    number = await one_conversion(ledger)
    command = await intend(ledger, number, CommandKind.CREATE_MIGRATION, {}, at=AT)
    await ledger.note_sending(command.command_id, at=AT)
    await answer(ledger, command.command_id, "lost")
    assert await ledger.open_command(number, CommandKind.CREATE_MIGRATION) == replace(command, sent=True)


@pytest.mark.parametrize("verdict", ["accepted", "refused", "found", "not_found"])
async def test_an_answer_closes_the_command(ledger, verdict):
    number = await one_conversion(ledger)
    command = await intend(ledger, number, CommandKind.CREATE_MIGRATION, {}, at=AT)
    await answer(ledger, command.command_id, verdict)
    assert await ledger.open_command(number, CommandKind.CREATE_MIGRATION) is None
    again = await intend(ledger, number, CommandKind.CREATE_MIGRATION, {}, at=LATER)
    assert again.request_id != command.request_id


async def test_an_answered_command_is_never_sent_again(ledger):
    command = await intend(ledger, await one_conversion(ledger), CommandKind.CREATE_MIGRATION, {}, at=AT)
    await answer(ledger, command.command_id, "accepted")
    await answer(ledger, command.command_id, "lost")
    with pytest.raises(AnsweredAlready, match="answered"):
        await ledger.note_sending(command.command_id, at=LATER)


async def test_the_last_sending_counts_until_it_is_refused(ledger):
    number = await one_conversion(ledger)
    assert await ledger.last_sent_at(number, CommandKind.SUSPEND_LEGACY) is None
    first = await intend(ledger, number, CommandKind.SUSPEND_LEGACY, {}, at=AT)
    assert await ledger.last_sent_at(number, CommandKind.SUSPEND_LEGACY) is None
    await ledger.note_sending(first.command_id, at=AT)
    await answer(ledger, first.command_id, "accepted")
    second = await intend(ledger, number, CommandKind.SUSPEND_LEGACY, {}, at=LATER)
    await ledger.note_sending(second.command_id, at=LATER)
    assert await ledger.last_sent_at(number, CommandKind.SUSPEND_LEGACY) == LATER
    await answer(ledger, second.command_id, "refused")
    assert await ledger.last_sent_at(number, CommandKind.SUSPEND_LEGACY) == AT
    assert await ledger.last_sent_at(number, CommandKind.REACTIVATE_LEGACY) is None


async def test_commands_of_two_kinds_do_not_mix(ledger):
    number = await one_conversion(ledger)
    await intend(ledger, number, CommandKind.CHECK_OUT, {}, at=AT)
    assert await ledger.open_command(number, CommandKind.CREATE_MIGRATION) is None


async def test_only_one_writes_for_a_subscription(ledger):
    async with ledger.single_writer(CUSTOMER, guid("a"), guid("b")) as writer:
        assert await writer.still_held()
        with pytest.raises(Busy):
            async with ledger.single_writer(CUSTOMER.upper(), guid("b").upper()):
                pass


async def test_a_writer_that_is_done_makes_room(ledger):
    async with ledger.single_writer(CUSTOMER, guid("a")):
        pass
    async with ledger.single_writer(CUSTOMER, guid("a")) as writer:
        assert await writer.still_held()


async def test_the_same_product_of_two_customers_has_two_writers(ledger):
    async with (
        ledger.single_writer(CUSTOMER, "seats:X"),
        ledger.single_writer(guid("other"), "seats:X") as two,
    ):
        assert await two.still_held()


def words(plan_hash: str, word: ApprovalWord = ApprovalWord.APPROVED, by: str = "olga") -> Approval:
    return Approval(plan_hash, word, by, AT, "looked at it")


async def test_a_plan_is_read_back_with_the_lines_its_hash_stands_for(ledger):
    verdicts = [
        due("one"),
        due("two", klass=SubscriptionClass.SCHEDULED),
        due("three", klass=SubscriptionClass.HELD),
    ]
    plan_id = await ledger.record_verdicts(RUN, verdicts, [[guid("one")]], at=AT)
    plan = await ledger.plan(plan_id)
    assert plan.lines == planned_lines(verdicts)
    assert (plan.is_genuine, plan.made_at, set(plan.lines)) == (True, AT, {guid("one"), guid("two")})


async def test_a_conversion_knows_the_plan_whose_terms_it_has(ledger):
    first = await planned(ledger, due("one"))
    conversion = (await ledger.conversions(RUN))[0]
    assert conversion.plan_id == first
    second = await planned(ledger, due("one"))
    await bring(ledger, conversion.conversion_id, ConversionState.ACCEPTED, at=AT)
    await planned(ledger, due("one"))
    assert (await ledger.conversion(conversion.conversion_id)).plan_id == second


async def test_a_drifted_conversion_starts_afresh_with_the_next_plan(ledger):
    number = await one_conversion(ledger)
    await bring(ledger, number, ConversionState.DRIFTED, "seats 10, now 12", at=AT)
    await planned(ledger, due("one"))
    assert (await ledger.conversion(number)).state is ConversionState.PLANNED


async def test_a_plan_that_follows_another_has_its_hash_and_lines(ledger):
    dry = await ledger.plan(await ledger.record_verdicts(RUN, [due("one"), due("two")], [], at=AT))
    follower = await ledger.record_verdicts(RUN, [due("one")], [[guid("one")]], at=LATER, follows=dry)
    plan = await ledger.plan(follower)
    assert (plan.hash, plan.lines, plan.made_at) == (dry.hash, dry.lines, LATER)
    again = await ledger.record_verdicts(RUN, [due("one")], [[guid("one")]], at=LATER, follows=plan)
    assert (await ledger.plan(again)).lines == dry.lines


async def test_a_plan_is_found_by_the_beginning_of_its_hash(ledger):
    plan = await ledger.plan(await planned(ledger, due("one")))
    await planned(ledger, due("two"))
    assert (await ledger.plan_with_hash(CAMPAIGN, "rossi", plan.hash[:8].upper())).hash == plan.hash


@pytest.mark.parametrize("beginning", ["", "0123456789", "%"])
async def test_what_is_not_the_beginning_of_one_hash_is_refused(ledger, beginning):
    await planned(ledger, due("one"))
    await planned(ledger, due("two"))
    with pytest.raises(InputRefused, match="rossi"):
        await ledger.plan_with_hash(CAMPAIGN, "rossi", beginning)


async def test_a_plan_of_another_partner_is_not_found(ledger):
    plan = await ledger.plan(await planned(ledger, due("one")))
    with pytest.raises(InputRefused, match="verdi"):
        await ledger.plan_with_hash(CAMPAIGN, "verdi", plan.hash)


async def test_the_latest_word_on_exactly_this_hash_counts(ledger):
    assert await ledger.approval(CAMPAIGN, "rossi", "one") is None
    for said in (words("one"), words("two"), words("one", ApprovalWord.REJECTED, "bruno")):
        await ledger.record_approval(CAMPAIGN, "rossi", said)
    assert await ledger.approval(CAMPAIGN, "rossi", "one") == words("one", ApprovalWord.REJECTED, "bruno")
    assert await ledger.approval(CAMPAIGN, "rossi", "two") == words("two")
    assert await ledger.approval(CAMPAIGN, "verdi", "two") is None


async def test_the_plan_that_was_approved_last_is_known(ledger):
    assert await ledger.approved_plan(CAMPAIGN, "rossi") is None
    first = await ledger.plan(await planned(ledger, due("one")))
    second = await ledger.plan(await planned(ledger, due("two")))
    for plan in (first, second):
        await ledger.record_approval(CAMPAIGN, "rossi", words(plan.hash))
    assert (await ledger.approved_plan(CAMPAIGN, "rossi")).lines == second.lines
    await ledger.record_approval(CAMPAIGN, "rossi", words(second.hash, ApprovalWord.REJECTED))
    assert (await ledger.approved_plan(CAMPAIGN, "rossi")).lines == first.lines


async def test_every_answer_can_be_put_on_record(ledger):
    """What is refused by the database after the send would be a purchase that nobody knows of."""
    number = await one_conversion(ledger)
    deep: object = "bottom"
    for _ in range(900):
        deep = [deep]
    for body in ({"name": "a\x00b \ud83d"}, {"deep": deep}, "[" * 900, "\x00" * 10, {"n": 2**80}):
        command = await intend(ledger, number, CommandKind.CREATE_MIGRATION, {"name": "a\x00"}, at=AT)
        await ledger.note_sending(command.command_id, at=AT)
        await ledger.note_answer(
            command.command_id, at=AT, outcome=CommandOutcome.REFUSED, status=400, code=2**40,
            correlation_id="c\x00", body=body,
        )  # fmt: skip
        assert await ledger.open_command(number, CommandKind.CREATE_MIGRATION) is None
    moved = await bring(ledger, number, ConversionState.REFUSED, "a\x00b", at=AT)
    assert (await ledger.advance(moved, ConversionState.REFUSED, "a\x00b", at=LATER)).state_since_at == AT


async def test_a_name_that_postgresql_cannot_hold_does_not_block_the_plan(ledger):
    strange = subscription("one", offer_name="Business\x00 Basic \ud83d")
    await ledger.record_survey(RUN, [strange], [Customer(CUSTOMER, "Cantina\x00")], at=AT)
    held = Verdict(strange, SubscriptionClass.HELD, "why\x00")
    await ledger.record_verdicts(RUN, [held], [], at=AT)
