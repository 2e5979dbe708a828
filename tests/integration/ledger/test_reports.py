"""The shapes that people's tools read: status and explanation."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import event

from include.nce.domain.classification import SubscriptionClass, Verdict
from include.nce.domain.command import CommandKind, CommandOutcome
from include.nce.domain.conversion import ConversionState
from include.nce.domain.decision import DecisionKind
from include.nce.domain.errors import InputRefused
from include.nce.domain.opt_out import OptOut, rule_on
from include.nce.domain.readiness import Owner
from include.nce.domain.subscription import Customer
from include.nce.ledger.ledger import PostgresLedger
from tests.integration.ledger.scene import (
    AT,
    CAMPAIGN,
    CUSTOMER,
    LATER,
    RUN,
    due,
    guid,
    missing,
    partner,
    subscription,
)
from tests.support.scene import bring, intend


async def planned(ledger: PostgresLedger, *verdicts: Verdict, run_id: str = RUN) -> dict[str, int]:
    """Plan the verdicts, the due ones in one batch; legacy id -> conversion id."""
    batch = [v.subscription.subscription_id for v in verdicts if v.klass is SubscriptionClass.DUE]
    await ledger.record_verdicts(run_id, verdicts, [batch] if batch else [], at=AT)
    return {c.legacy_id: c.conversion_id for c in await ledger.conversions(run_id)}


def held(name: str) -> Verdict:
    return Verdict(
        subscription(name), SubscriptionClass.HELD, "MPA is missing.", Owner.PARTNER, "The partner signs it."
    )


async def test_the_status_has_the_promised_shape(postgres_ledger):
    await postgres_ledger.record_finding(RUN, missing(), at=AT)
    ruling = rule_on([OptOut("rossi", AT, "anna", CUSTOMER)], LATER)
    await postgres_ledger.record_opt_out_ruling(RUN, ruling, at=AT)
    await postgres_ledger.record_survey(RUN, [], [Customer(CUSTOMER, "Alfa S.r.l.")], at=AT)
    await planned(postgres_ledger, held("one"))
    await postgres_ledger.close_run(RUN, "blocked", "MPA is missing.", at=LATER)
    status = await postgres_ledger.status(CAMPAIGN, with_subscriptions=True)
    assert json.loads(status.model_dump_json(by_alias=True)) == {
        "schema": 1,
        "campaign": CAMPAIGN,
        "version": 1,
        "partners": [
            {
                "partner": "rossi",
                "name": "Rossi S.r.l.",
                "tenant_id": guid("tenant rossi"),
                "mpn_id": None,
                "country": "IT",
                "province": None,
                "run_id": RUN,
                "mode": "apply",
                "outcome": "blocked",
                "sentence": "MPA is missing.",
                "opened_at": "2022-06-01T08:00:00Z",
                "closed_at": "2022-06-01T14:00:00Z",
                "checks": {
                    "check_mpa": {
                        "answer": "missing",
                        "reason": "The Microsoft Partner Agreement is not signed.",
                        "owner": "nobody",
                        "remedy": "",
                        "code": 2203,
                        "asked_at": "2022-06-01T08:00:00Z",
                    }
                },
                "opt_out": {"verdict": "none", "customers_in_time": [CUSTOMER]},
                "totals": {"held": 1},
                "subscriptions": [
                    {
                        "subscription": guid("one"),
                        "customer": CUSTOMER,
                        "customer_name": "Alfa S.r.l.",
                        "offer_id": subscription("one").offer_id,
                        "offer_name": "Business Basic",
                        "seats": 5,
                        "term_end_at": "2022-07-20T08:00:00Z",
                        "class": "held",
                        "reason": "MPA is missing.",
                        "owner": "partner",
                        "remedy": "The partner signs it.",
                        "warning": "",
                        "route": None,
                        "nce_subscription": None,
                        "conversion_state": None,
                        "window_opens_at": None,
                        "last_safe_start_at": None,
                        "travels_with": None,
                        "undo_case": None,
                    }
                ],
                "open_undo_cases": 0,
            },
            {
                "partner": "verdi",
                "name": "Verdi S.r.l.",
                "tenant_id": guid("tenant verdi"),
                "mpn_id": None,
                "country": "IT",
                "province": None,
                "run_id": None,
                "mode": None,
                "outcome": None,
                "sentence": "",
                "opened_at": None,
                "closed_at": None,
                "checks": {},
                "opt_out": {"verdict": None, "customers_in_time": []},
                "totals": {},
                "subscriptions": [],
                "open_undo_cases": 0,
            },
        ],
        "totals": {
            "partners": 2,
            "subscriptions": {"held": 1},
            "outcomes": {"blocked": 1, "not_started": 1},
        },
    }


async def test_a_status_of_one_partner_counts_only_that_one(postgres_ledger):
    await planned(postgres_ledger, due("one"))
    status = await postgres_ledger.status(CAMPAIGN, "rossi")
    assert ([p.partner for p in status.partners], status.totals.outcomes) == (["rossi"], {"running": 1})
    assert status.partners[0].totals == status.totals.subscriptions == {SubscriptionClass.DUE: 1}
    assert status.partners[0].subscriptions == []


async def test_the_class_of_a_subscription_is_what_its_conversion_came_to(postgres_ledger):
    ids = await planned(postgres_ledger, due("a"), due("b"), due("c"))
    await bring(
        postgres_ledger, ids[guid("a")], ConversionState.CONVERTED, "done", at=LATER, nce_subscription_id="n1"
    )
    await bring(postgres_ledger, ids[guid("b")], ConversionState.REFUSED, "code 5", at=LATER)
    await bring(postgres_ledger, ids[guid("c")], ConversionState.ACCEPTED, "migrating", at=LATER)
    (rossi,) = (await postgres_ledger.status(CAMPAIGN, "rossi", with_subscriptions=True)).partners
    assert [
        (s.klass.value, s.reason, s.owner.value, s.nce_subscription, s.conversion_state.value)
        for s in rossi.subscriptions
    ] == [
        ("converted", "done", "nobody", "n1", "converted"),
        ("failed", "code 5", "operator", None, "refused"),
        ("due", "migrating", "nobody", None, "accepted"),
    ]
    assert {klass.value: n for klass, n in rossi.totals.items()} == {"due": 1, "converted": 1, "failed": 1}


async def test_a_dry_run_does_not_take_the_place_of_the_real_run(postgres_ledger):
    await planned(postgres_ledger, held("one"))
    await postgres_ledger.open_run("dry", CAMPAIGN, "rossi", "plan", at=LATER)
    await postgres_ledger.record_verdicts("dry", [due("one")], [], at=LATER)
    (rossi,) = (await postgres_ledger.status(CAMPAIGN, "rossi")).partners
    assert (rossi.run_id, set(rossi.totals)) == (RUN, {SubscriptionClass.HELD})


async def test_a_dry_runs_plan_is_shown_while_the_real_run_has_none(postgres_ledger):
    await postgres_ledger.open_run("dry", CAMPAIGN, "rossi", "plan", at=LATER)
    await postgres_ledger.record_verdicts("dry", [due("one")], [], at=LATER)
    (rossi,) = (await postgres_ledger.status(CAMPAIGN, "rossi")).partners
    assert (rossi.run_id, set(rossi.totals)) == (RUN, {SubscriptionClass.DUE})


async def test_a_status_asks_as_often_for_many_partners_as_for_two(postgres_ledger):
    asked = []
    engine = postgres_ledger._engine.sync_engine
    event.listen(engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    await postgres_ledger.status(CAMPAIGN, with_subscriptions=True)
    few = len(asked)
    await postgres_ledger.enrol(CAMPAIGN, [partner(f"p{n}") for n in range(8)])
    for n in range(8):
        await postgres_ledger.open_run(f"run{n}", CAMPAIGN, f"p{n}", "apply", at=AT)
        await planned(postgres_ledger, due(f"a{n}"), due(f"b{n}"), run_id=f"run{n}")
    asked.clear()
    status = await postgres_ledger.status(CAMPAIGN, with_subscriptions=True)
    assert sum(len(p.subscriptions) for p in status.partners) == 16
    assert len(asked) == few


async def test_an_unknown_partner_is_refused_with_the_one_that_was_meant(postgres_ledger):
    with pytest.raises(InputRefused, match=r"did you mean 'rossi'\?"):
        await postgres_ledger.status(CAMPAIGN, "rosi")


async def tell_a_story(ledger: PostgresLedger) -> str:
    """Something of every kind about `one`, a minute apart; the request id of its command."""
    minutes = iter(AT + timedelta(minutes=n) for n in range(1, 60))
    await ledger.record_finding(RUN, missing(), at=next(minutes))
    form = OptOut("rossi", next(minutes), "anna", CUSTOMER)
    await ledger.record_opt_out(CAMPAIGN, form)
    await ledger.withdraw_opt_out(
        CAMPAIGN, "rossi", customer_id=CUSTOMER, withdrawn_at=next(minutes), withdrawn_by="bruno"
    )
    await ledger.record_opt_out_ruling(RUN, rule_on([], LATER), at=next(minutes))
    await ledger.record_survey(RUN, [subscription("one"), subscription("two")], [], at=next(minutes))
    await ledger.record_decision(
        CAMPAIGN, "rossi", guid("one"), DecisionKind.CONFIRM_CONVERSION, decided_by="anna",
        reason="the customer asked", at=next(minutes),
    )  # fmt: skip
    await ledger.record_verdicts(
        RUN, [due("one"), due("two")], [[guid("one"), guid("two")]], at=next(minutes)
    )
    number = (await ledger.conversions(RUN))[0].conversion_id
    command = await intend(ledger, number, CommandKind.CREATE_MIGRATION, {"seats": 5}, at=next(minutes))
    await ledger.note_sending(command.command_id, at=next(minutes))
    await ledger.note_answer(
        command.command_id, at=next(minutes), outcome=CommandOutcome.REFUSED, status=400, code=2001,
        correlation_id="corr",
        body={"code": 2001},
    )  # fmt: skip
    await bring(ledger, number, ConversionState.REFUSED, "code 2001", at=next(minutes))
    await ledger.close_run(RUN, "failed", "1 failed.", at=next(minutes))
    return command.request_id


async def test_a_subscriptions_explanation_tells_everything_in_order(postgres_ledger):
    request_id = await tell_a_story(postgres_ledger)
    entries = await postgres_ledger.explain(CAMPAIGN, f" {guid('one').upper()} ")
    short_hash = (await postgres_ledger.plan(1)).short_hash
    campaign_version = [e for e in entries if e.kind == "campaign"]
    assert [e.sentence for e in campaign_version] == ["anna made version 1 of the campaign: first import"]
    assert [e.sentence for e in entries if e.kind != "campaign"] == [
        f"Run {RUN} was opened in mode apply.",
        "check_mpa: missing. The Microsoft Partner Agreement is not signed.",
        f"An opt-out of customer {CUSTOMER} came in, entered by anna.",
        f"The opt-out of customer {CUSTOMER} was withdrawn, entered by bruno.",
        f"Run {RUN} ruled on the opt-outs: partner none, single customers 0 in time, 0 late.",
        "anna decided to convert it: the customer asked",
        f"Plan 1 ({short_hash}): due. Convertible now.",
        "Conversion planned: Planned in plan 1.",
        f"Command 1 (create_migration) is intended with request id {request_id}.",
        "Command 1 (create_migration) is being sent.",
        "Command 1 (create_migration) was refused (HTTP 400, code 2001).",
        "Conversion refused: code 2001",
        f"Run {RUN} was closed as failed: 1 failed.",
    ]


async def test_an_explanation_keeps_the_answer_as_it_came(postgres_ledger):
    await tell_a_story(postgres_ledger)
    entries = await postgres_ledger.explain(CAMPAIGN, guid("one"))
    (refused,) = [e for e in entries if "was refused" in e.sentence]
    answer = {name: refused.facts[name] for name in ("status", "code", "correlation_id", "body")}
    assert answer == {"status": 400, "code": 2001, "correlation_id": "corr", "body": {"code": 2001}}


async def test_a_partners_explanation_tells_of_its_plans_and_all_its_conversions(postgres_ledger):
    await tell_a_story(postgres_ledger)
    entries = await postgres_ledger.explain(CAMPAIGN, "rossi")
    short_hash = (await postgres_ledger.plan(1)).short_hash
    assert [e.sentence for e in entries if e.kind == "plan"] == [
        f"Plan 1 ({short_hash}) by campaign version 1: 2 due."
    ]
    assert {e.subscription for e in entries if e.kind == "conversion"} == {guid("one"), guid("two")}


async def test_an_explanation_tells_nothing_of_others(postgres_ledger):
    await tell_a_story(postgres_ledger)
    entries = await postgres_ledger.explain(CAMPAIGN, "verdi")
    assert {e.kind for e in entries} == {"campaign"}


@pytest.mark.parametrize("subject", ["rosi", guid("nobody's")])
async def test_an_explanation_of_what_nobody_knows_is_refused(postgres_ledger, subject):
    with pytest.raises(InputRefused, match=subject):
        await postgres_ledger.explain(CAMPAIGN, subject)
