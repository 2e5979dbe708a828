"""What is compared with Partner Center and what was found: asked of the real ledger and of the fake alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from include.nce.domain.brake import CoverageSignals
from include.nce.domain.classification import SubscriptionClass
from include.nce.domain.command import CommandKind, CommandOutcome
from include.nce.domain.comparison import FindingChanges
from include.nce.domain.conversion import ConversionState
from include.nce.domain.errors import InputRefused
from include.nce.domain.readiness import Owner
from include.nce.domain.reconciliation import CoverageGap, Discrepancy, FindingKind, Severity
from include.nce.domain.run import BatchReference
from include.nce.domain.subscription import Status, SubscriptionKind
from include.nce.ledger.ledger import PostgresLedger
from include.nce.steps.ports import ReconcileLedger
from tests.integration.ledger.scene import (
    AT,
    CAMPAIGN,
    CUSTOMER,
    LATER,
    RUN,
    due,
    guid,
    partner,
    subscription,
)
from tests.integration.ledger.test_contract import ledger as ledger
from tests.support.fake_ledger import FakeLedger
from tests.support.scene import bring, intend

K, G, S = FindingKind, CoverageGap, ConversionState


def found(
    name: str = "one", kind: FindingKind = K.STUCK, gap: CoverageGap = G.NONE, **changes: Any
) -> Discrepancy:
    facts: dict[str, Any] = {
        "legacy_id": guid(name),
        "customer_id": CUSTOMER,
        "kind": kind,
        "severity": Severity.SERIOUS if gap is G.NONE else Severity.CRITICAL,
        "what": f"{name} is wrong.",
        "owner": Owner.OPERATOR,
        "remedy": "Somebody looks.",
        "gap": gap,
    }
    return Discrepancy(**{**facts, **changes})


async def record(
    store: ReconcileLedger, *discrepancies: Discrepancy, partner: str = "rossi", **changes: Any
) -> FindingChanges:
    facts: dict[str, Any] = {"compared": [guid("one"), guid("two")], "lines": 2, "unread": "", "at": AT}
    run_id = changes.pop("run_id", "run-1")
    return await store.record_comparison(run_id, CAMPAIGN, partner, discrepancies, **{**facts, **changes})


async def one_conversion(store: ReconcileLedger) -> int:
    await store.record_survey(RUN, [subscription("one")], [], at=AT)
    await store.record_verdicts(RUN, [due("one")], [[guid("one")]], at=AT)
    return (await store.conversions(RUN))[0].conversion_id


class TestWhatIsCompared:
    async def test_what_was_surveyed_is_known_with_what_the_plan_says(self, ledger):
        seen = [
            subscription("one", seats=7),
            subscription("add-on", parent_id=guid("one"), status=Status.SUSPENDED),
            subscription("trial", is_trial=True),
            subscription("nce", kind=SubscriptionKind.NCE, offer_id="P:S:A"),
        ]
        await ledger.record_survey(RUN, seen, [], at=AT)
        held = due("one", klass=SubscriptionClass.HELD, reason="MPA is missing.")
        await ledger.record_verdicts(RUN, [held], [], at=AT)
        known = {k.legacy_id: k for k in (await ledger.known_holdings(CAMPAIGN, "rossi")).subscriptions}

        assert known.keys() == {guid("one"), guid("add-on")}
        one, add_on = known[guid("one")], known[guid("add-on")]
        assert (one.klass, one.planned_seats, one.last_status, one.offer_name) == (
            SubscriptionClass.HELD, 5, Status.ACTIVE, "Business Basic",
        )  # fmt: skip
        assert (add_on.klass, add_on.planned_seats, add_on.base_id, add_on.last_status) == (
            None, None, guid("one"), Status.SUSPENDED,
        )  # fmt: skip
        assert known[guid("one")].conversion is None
        assert (one.term_end_at, one.offer_id) == (
            subscription("one").term_end_at,
            subscription("one").offer_id,
        )

    async def test_a_conversion_is_known_with_how_far_it_is(self, ledger):
        number = await one_conversion(ledger)
        await bring(
            ledger,
            number,
            S.COVERED,
            "active",
            at=LATER,
            migration_id="m1",
            nce_subscription_id="n1",
            order_id="o1",
        )
        known = await ledger.known_holdings(CAMPAIGN, "rossi")
        (line,) = known.subscriptions
        assert line.conversion == await ledger.conversion(number)
        conversion = line.conversion
        assert conversion is not None
        assert (conversion.state, conversion.state_since_at, conversion.at_microsoft, conversion.reason) == (
            S.COVERED, LATER, True, "active",
        )  # fmt: skip
        assert line.unanswered_at is None
        assert known.placed == {"n1", "o1"}

    async def test_its_class_is_what_the_conversion_came_to(self, ledger):
        await bring(ledger, await one_conversion(ledger), S.REFUSED, "no", at=AT)
        (known,) = (await ledger.known_holdings(CAMPAIGN, "rossi")).subscriptions
        assert known.klass is SubscriptionClass.FAILED

    async def test_a_plan_without_it_lets_the_plans_class_stand(self, ledger):
        await bring(ledger, await one_conversion(ledger), S.REFUSED, "no", at=AT)
        held = due("one", klass=SubscriptionClass.HELD)
        await ledger.record_verdicts(RUN, [held], [], at=LATER)
        (known,) = (await ledger.known_holdings(CAMPAIGN, "rossi")).subscriptions
        assert known.klass is SubscriptionClass.HELD

    async def test_a_whole_bundle_is_in_doubt_when_its_base_was_sent_and_not_answered(self, ledger):
        await ledger.record_verdicts(
            RUN, [due("one"), due("add-on", travels_with="one")], [[guid("one")]], at=AT
        )
        base, _ = await ledger.conversions(RUN)
        command = await intend(ledger, base.conversion_id, CommandKind.CREATE_MIGRATION, {}, at=AT)

        async def sent_at() -> set[Any]:
            known = (await ledger.known_holdings(CAMPAIGN, "rossi")).subscriptions
            return {k.unanswered_at for k in known if k.conversion}

        assert await sent_at() == {None}
        await ledger.note_sending(command.command_id, at=LATER)
        assert await sent_at() == {LATER}
        await ledger.note_answer(
            command.command_id,
            at=LATER,
            outcome=CommandOutcome.LOST,
            status=None,
            code=None,
            correlation_id=None,
            body=None,
        )
        assert await sent_at() == {LATER}
        await ledger.note_answer(
            command.command_id,
            at=LATER,
            outcome=CommandOutcome.FOUND,
            status=None,
            code=None,
            correlation_id=None,
            body=None,
        )
        assert await sent_at() == {None}

    async def test_a_suspension_without_an_answer_is_no_purchase_in_doubt(self, ledger):
        command = await intend(ledger, await one_conversion(ledger), CommandKind.SUSPEND_LEGACY, {}, at=AT)
        await ledger.note_sending(command.command_id, at=AT)
        (known,) = (await ledger.known_holdings(CAMPAIGN, "rossi")).subscriptions
        assert known.unanswered_at is None

    async def test_what_another_partner_converted_is_compared_there_and_has_its_place_here(self, ledger):
        number = await one_conversion(ledger)
        await bring(ledger, number, S.CONVERTED, at=AT, nce_subscription_id="n1")
        await ledger.open_run("verdis", CAMPAIGN, "verdi", "apply", at=AT)
        await ledger.record_survey("verdis", [subscription("one"), subscription("two")], [], at=AT)
        known = await ledger.known_holdings(CAMPAIGN, "verdi")
        assert [k.legacy_id for k in known.subscriptions] == [guid("two")]
        assert known.placed == {"n1"}

    async def test_of_a_partner_that_never_ran_nothing_is_known(self, ledger):
        known = await ledger.known_holdings(CAMPAIGN, "verdi")
        assert (list(known.subscriptions), known.placed) == ([], frozenset())

    async def test_the_latest_batch_of_each_conversion_is_found_once(self, ledger):
        verdicts = [due("a"), due("b"), due("c")]
        first = await ledger.record_verdicts(RUN, verdicts, [[guid("a"), guid("b")], [guid("c")]], at=AT)
        second = await ledger.record_verdicts(RUN, verdicts[:1], [[guid("a")]], at=AT)
        await ledger.record_verdicts(RUN, verdicts[:1], [], at=AT)
        ids = {c.legacy_id: c.conversion_id for c in await ledger.batch(RUN, first, 0)}
        ids |= {c.legacy_id: c.conversion_id for c in await ledger.batch(RUN, first, 1)}
        assert list(await ledger.batches_of(set(ids.values()))) == [
            BatchReference(RUN, first, 0), BatchReference(RUN, first, 1), BatchReference(RUN, second, 0),
        ]  # fmt: skip
        assert list(await ledger.batches_of({ids[guid("a")]})) == [BatchReference(RUN, second, 0)]
        assert list(await ledger.batches_of(set())) == []

    async def test_partners_come_in_pages_behind_the_last_one(self, ledger):
        await ledger.enrol(CAMPAIGN, [partner("bianchi")])
        pages = [
            [p.partner for p in await ledger.partners(CAMPAIGN, after=after, limit=2)]
            for after in ("", "rossi", "verdi")
        ]
        assert pages == [["bianchi", "rossi"], ["verdi"], []]

    async def test_campaigns_are_listed(self, ledger):
        assert list(await ledger.campaigns()) == [CAMPAIGN]


class TestFindings:
    async def test_a_finding_is_told_once_however_often_it_is_seen(self, ledger):
        one = found()
        assert await record(ledger, one) == FindingChanges(opened=(one.sentence,))
        assert await record(ledger, one, at=LATER) == FindingChanges()

    async def test_what_is_not_found_again_is_resolved(self, ledger):
        await record(ledger, found())
        assert await record(ledger, at=LATER) == FindingChanges(resolved=(found().sentence,))
        assert await record(ledger, at=LATER) == FindingChanges()

    async def test_what_was_not_compared_stays_open(self, ledger):
        await record(ledger, found(gap=G.ZERO))
        assert await record(ledger, compared=[guid("two")], unread="not read") == FindingChanges()
        assert (await ledger.coverage_signals(CAMPAIGN)).zero == 1

    async def test_what_comes_back_is_told_as_such(self, ledger):
        for discrepancies in ([found()], []):
            await record(ledger, *discrepancies)
        assert await record(ledger, found()) == FindingChanges(returned=(found().sentence,))

    async def test_two_kinds_and_two_subscriptions_are_findings_of_their_own(self, ledger):
        three = [found(), found(kind=K.SEATS_SHORT), found("two")]
        await record(ledger, *three)
        assert await record(ledger, three[0]) == FindingChanges(
            resolved=(three[1].sentence, three[2].sentence)
        )

    async def test_partners_do_not_touch_each_others_findings(self, ledger):
        await record(ledger, found(gap=G.ZERO))
        await record(ledger, partner="verdi")
        assert (await ledger.coverage_signals(CAMPAIGN)).zero == 1

    async def test_coverage_signals_count_open_gaps_by_partner(self, ledger):
        assert await ledger.coverage_signals(CAMPAIGN) == CoverageSignals()
        await record(ledger, found(gap=G.ZERO), found("two", gap=G.DOUBLE), found("two", K.SEATS_SHORT))
        await record(ledger, found("three", gap=G.ZERO), partner="verdi")
        assert await ledger.coverage_signals(CAMPAIGN) == CoverageSignals(
            2, 1, {"rossi": (1, 1), "verdi": (1, 0)}
        )
        await record(ledger, found("two", gap=G.DOUBLE), at=LATER)
        assert await ledger.coverage_signals(CAMPAIGN) == CoverageSignals(
            1, 1, {"rossi": (0, 1), "verdi": (1, 0)}
        )
        assert await ledger.coverage_signals("another") == CoverageSignals()

    async def test_a_gap_that_closes_while_the_finding_stands_is_no_signal_any_more(self, ledger):
        await record(ledger, found(gap=G.DOUBLE))
        await record(ledger, found(gap=G.NONE))
        assert await ledger.coverage_signals(CAMPAIGN) == CoverageSignals()

    async def test_a_run_is_told_in_numbers(self, ledger):
        await record(ledger, found(gap=G.ZERO), found("two"), run_id="yesterday")
        await record(ledger, found("two"), found("two", K.SEATS_SHORT))
        await record(ledger, partner="verdi", compared=[], lines=3, unread="Partner Center is busy.")
        tally = await ledger.reconcile_tally("run-1", CAMPAIGN)

        assert (tally.partners, tally.compared, tally.partly, tally.unread, tally.not_reached) == (
            2,
            1,
            0,
            1,
            0,
        )
        assert list(tally.why_unread) == [("verdi", "Partner Center is busy.")]
        assert dict(tally.open) == {K.STUCK: 1, K.SEATS_SHORT: 1}
        assert (tally.opened, tally.returned, tally.resolved) == (1, 0, 1)
        assert tally.signals == CoverageSignals()

    async def test_a_tally_of_some_partners_speaks_of_them_only(self, ledger):
        await record(ledger, found(gap=G.ZERO))
        await record(ledger, found("three"), partner="verdi", compared=[guid("three")], unread="x")
        tally = await ledger.reconcile_tally("run-1", CAMPAIGN, ["verdi"])
        assert (tally.partners, tally.partly, dict(tally.open)) == (1, 1, {K.STUCK: 1})
        assert tally.signals == CoverageSignals()

    async def test_a_partner_compared_by_an_earlier_run_was_not_reached_by_this_one(self, ledger):
        await record(ledger, run_id="yesterday")
        assert (await ledger.reconcile_tally("run-1", CAMPAIGN)).not_reached == 2

    async def test_a_partner_with_nothing_to_compare_was_compared(self, ledger):
        await record(ledger, compared=[], lines=0)
        assert (await ledger.reconcile_tally("run-1", CAMPAIGN)).compared == 1


class TestOnPostgres:
    """What only the real ledger has: history, pages, indexes."""

    async def history(self, ledger: PostgresLedger) -> list[tuple[str, str, str]]:
        async with ledger._transaction() as session:
            rows = await session.execute(
                text("SELECT run_id, event, sentence FROM finding_history ORDER BY history_id")
            )
            return [tuple(row) for row in rows]

    async def test_the_life_of_a_finding_is_one_row_with_its_history(self, postgres_ledger):
        changed = replace(found(), what="one is worse.")
        for run_id, discrepancies in enumerate([[found()], [found()], [changed], [], [changed]]):
            await record(postgres_ledger, *discrepancies, run_id=str(run_id), at=AT if run_id < 4 else LATER)
        assert await self.history(postgres_ledger) == [
            ("0", "opened", found().sentence),
            ("2", "changed", changed.sentence),
            ("3", "resolved", changed.sentence),
            ("4", "returned", changed.sentence),
        ]
        (status,) = (await postgres_ledger.standing_findings(CAMPAIGN)).findings
        assert (status.times, status.first_seen_at, status.since_at, status.last_seen_at) == (
            2,
            AT,
            LATER,
            LATER,
        )

    async def test_findings_are_read_in_pages_the_worst_first(self, postgres_ledger):
        notices = [found(f"n{i}", severity=Severity.NOTICE) for i in range(3)]
        serious = [found(f"s{i}") for i in range(2)]
        critical = [found("c", gap=G.ZERO)]
        await record(postgres_ledger, *notices, *serious, *critical)
        pages, after = [], None
        while True:
            page = await postgres_ledger.standing_findings(CAMPAIGN, after=after, limit=2)
            pages.append([f.subscription for f in page.findings])
            after = page.after
            if after is None:
                break
        assert pages == [
            [guid("c"), guid("s0")], [guid("s1"), guid("n0")], [guid("n1"), guid("n2")],
        ]  # fmt: skip

    async def test_resolved_findings_are_shown_when_asked_for(self, postgres_ledger):
        await record(postgres_ledger, found())
        await record(postgres_ledger, at=LATER)
        assert (await postgres_ledger.standing_findings(CAMPAIGN)).findings == []
        (shown,) = (await postgres_ledger.standing_findings(CAMPAIGN, "rossi", with_resolved=True)).findings
        assert shown.resolved_at == LATER

    async def test_one_partners_findings(self, postgres_ledger):
        await record(postgres_ledger, found())
        await record(postgres_ledger, found("three"), partner="verdi")
        page = await postgres_ledger.standing_findings(CAMPAIGN, "verdi")
        assert [f.subscription for f in page.findings] == [guid("three")]

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [({"partner": "verde"}, "did you mean 'verdi'"), ({"after": 99}, "Finding 99 is not on record")],
    )
    async def test_what_nobody_knows_is_refused(self, postgres_ledger, arguments, says):
        with pytest.raises(InputRefused, match=says):
            await postgres_ledger.standing_findings(CAMPAIGN, **arguments)

    async def test_a_comparison_that_read_nothing_keeps_when_it_last_did(self, postgres_ledger):
        await record(postgres_ledger)
        await record(postgres_ledger, compared=[], unread="busy", at=LATER, run_id="run-2")
        async with postgres_ledger._transaction() as session:
            row = (
                await session.execute(
                    text("SELECT run_id, lines, lines_unread, compared_at, tried_at FROM comparisons")
                )
            ).one()
        assert tuple(row) == ("run-2", 2, 2, AT, LATER)

    @pytest.mark.parametrize(
        ("query", "index"),
        [
            ("SELECT * FROM findings WHERE campaign = 'c' AND resolved_at IS NULL"
             " ORDER BY rank, finding_id LIMIT 50", "ix_findings_open"),
            ("SELECT * FROM findings WHERE campaign = 'c' ORDER BY rank, finding_id LIMIT 50",
             "ix_findings_campaign_rank_finding_id"),
            ("SELECT * FROM findings WHERE campaign = 'c' AND partner = 'p' ORDER BY subscription_id",
             "uq_findings_campaign_partner_subscription_id_kind"),
            ("SELECT partner, gap, count(*) FROM findings WHERE campaign = 'c' AND resolved_at IS NULL"
             " AND gap <> 'none' GROUP BY partner, gap", "ix_findings_gaps"),
            ("SELECT * FROM finding_history WHERE finding_id = 1",
             "ix_finding_history_finding_id_history_id"),
            ("SELECT event, count(*) FROM finding_history WHERE run_id = 'r' GROUP BY event",
             "ix_finding_history_run_id_event"),
            ("SELECT * FROM comparisons WHERE campaign = 'c' AND run_id = 'r'",
             "ix_comparisons_campaign_run_id"),
        ],
    )  # fmt: skip
    async def test_every_question_has_its_index(self, postgres_ledger, query, index):
        async with postgres_ledger._transaction() as session:
            await session.execute(text("SET LOCAL enable_seqscan = off"))
            await session.execute(text("SET LOCAL enable_sort = off"))
            plan = (await session.scalars(text(f"EXPLAIN {query}"))).all()
        assert index in "\n".join(plan)


def _keeps_the_promise(fake: FakeLedger, real: PostgresLedger) -> list[ReconcileLedger]:
    return [fake, real]
