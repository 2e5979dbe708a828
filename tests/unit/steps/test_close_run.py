"""How a run ends: the worst thing that is true, in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from include.nce.domain.approval import ApprovalWord
from include.nce.domain.outcome import RunOutcome
from include.nce.domain.readiness import Answer, Check, Finding, MpaState, MpaStatus, Owner, cannot_tell
from include.nce.steps.close_run import Closed, close_run
from include.nce.steps.honour_opt_out import honour_opt_out
from tests.support.examples import (
    CUSTOMER,
    OTHER_CUSTOMER,
    PARTNER_TENANT,
    SCHOOL,
    all_in_order,
    at,
    legacy,
    legacy_id,
)
from tests.support.fake_partner_center import refusal
from tests.support.one_partner import RUN, OnePartner

O = RunOutcome  # noqa: E741 - reads better in the tables


async def closed(world: OnePartner, failed: Sequence[str] = ()) -> Closed:
    result = await close_run(RUN, failed, ledger=world.records, clock=world.clock)
    assert world.records.closed[RUN] == (result.outcome.value, result.sentence)
    return result


async def test_everything_converted(world: OnePartner) -> None:
    await world.convert(legacy(1), legacy(2))
    result = await closed(world)

    assert result.outcome is O.CONVERTED
    assert result.sentence == "Subscriptions: 2 converted."


async def test_what_waits_for_its_window_is_scheduled(world: OnePartner) -> None:
    await world.convert(legacy(1), legacy(2, term_end_at=at("2023-03-01 08:00")))

    assert (await closed(world)).outcome is O.SCHEDULED


async def test_a_rejected_plan_is_held_and_the_run_says_who_rejected_it(world: OnePartner) -> None:
    await world.begin(legacy(1))
    await world.plan()
    await world.approve(word=ApprovalWord.REJECTED)
    await world.buy()
    result = await closed(world)

    assert result.outcome is O.PARTLY_HELD
    assert result.sentence.startswith("olga rejected plan ")


async def test_a_partner_without_subscriptions_has_nothing_to_do(world: OnePartner) -> None:
    await world.convert()
    result = await closed(world)

    assert (result.outcome, result.sentence) == (O.NOTHING_TO_DO, "No subscriptions.")


async def test_a_run_that_never_came_to_a_plan_says_so(world: OnePartner) -> None:
    await world.begin(legacy())

    assert (await closed(world)).sentence == "No subscriptions."


async def test_exempt_subscriptions_ask_nobody_for_anything(world: OnePartner) -> None:
    await world.convert(legacy(offer_id=SCHOOL))

    assert (await closed(world)).outcome is O.NOTHING_TO_DO


async def test_held_for_a_person_is_not_red(world: OnePartner) -> None:
    await world.convert(legacy(1), legacy(2, auto_renew=False))
    result = await closed(world)

    assert result.outcome is O.PARTLY_HELD
    assert not result.outcome.needs_somebody
    told, where = result.sentence.split(". Why, and who acts on each: ")
    assert (told, where) == ("Subscriptions: 1 held, 1 converted", "nce status --partner rossi-informatica.")


async def test_a_missing_prerequisite_blocks_and_says_who_acts(world: OnePartner) -> None:
    await world.begin(legacy())
    world.microsoft.mpa[PARTNER_TENANT] = MpaStatus(MpaState.NOT_SIGNED, 2203)
    await world.plan()
    result = await closed(world, ["check_mpa"])

    assert result.outcome is O.BLOCKED
    assert result.sentence.startswith("The Microsoft Partner Agreement is not signed (code 2203).")
    assert "Who acts: partner." in result.sentence
    assert "Failed:" not in result.sentence


async def test_an_answer_that_never_came_blocks_without_blaming_the_partner(world: OnePartner) -> None:
    await world.begin(legacy())
    await world.records.record_finding(RUN, cannot_tell(Check.MPN_ID, "HTTP 503."), at=world.clock.now_at)
    result = await closed(world)

    assert result.outcome is O.BLOCKED
    assert "Who acts: provider." in result.sentence


async def test_some_customers_without_agreement_do_not_block_the_partner(world: OnePartner) -> None:
    world.microsoft.accepted.remove(OTHER_CUSTOMER)
    await world.convert(legacy(1), legacy(2, customer_id=OTHER_CUSTOMER))
    result = await closed(world)

    assert result.outcome is O.PARTLY_HELD
    assert result.sentence.startswith("1 of 2 customers have not accepted the Microsoft Customer Agreement")
    assert "Who acts: partner." in result.sentence


@pytest.mark.parametrize("blocked", [False, True])
async def test_an_opt_out_in_time_is_the_end_of_it(world: OnePartner, blocked: bool) -> None:
    await world.begin(legacy())
    if blocked:
        finding = Finding(Check.MPA, Answer.MISSING, "Not signed.", Owner.PARTNER)
        await world.records.record_finding(RUN, finding, at=world.clock.now_at)
    await world.opt_out(at("2022-06-01 00:00"))
    await honour_opt_out(RUN, partner_center=world.microsoft, ledger=world.records, clock=world.clock)
    result = await closed(world, ["check_mpa"] if blocked else [])

    assert result.outcome is O.OPTED_OUT
    assert result.sentence == "Subscriptions: 1 opted_out."


async def test_a_customers_opt_out_leaves_a_subscription_at_risk(world: OnePartner) -> None:
    await world.begin(legacy(1), legacy(2, customer_id=OTHER_CUSTOMER))
    await world.opt_out(at("2022-06-01 00:00"), CUSTOMER)
    await world.plan()
    await world.buy()
    await world.finish()

    assert (await closed(world)).outcome is O.PARTLY_HELD


async def test_what_was_refused_is_a_failure(world: OnePartner) -> None:
    await world.begin(legacy())
    await world.plan()
    world.microsoft.fail("create_migration", refusal)
    await world.buy()
    result = await closed(world, ["cancel_legacy"])

    assert result.outcome is O.FAILED
    assert result.sentence == (
        f"Subscription {legacy_id(1)} is refused: not eligible. Subscriptions: 1 failed."
    )


async def test_a_long_list_of_unresolved_subscriptions_is_cut_short(world: OnePartner) -> None:
    await world.begin(*(legacy(n) for n in range(1, 6)))
    await world.plan()
    world.microsoft.fail("create_migration", refusal, times=5)
    await world.buy()
    result = await closed(world, ["cancel_legacy"])

    assert result.sentence.count(" is refused: not eligible.") == 3
    assert "And 2 more like these. Subscriptions: 5 failed." in result.sentence


async def test_what_is_due_and_not_finished_is_unresolved(world: OnePartner) -> None:
    await world.begin(legacy())
    await world.plan()
    await world.buy()
    result = await closed(world, ["cancel_legacy"])

    assert result.outcome is O.UNRESOLVED
    assert "Failed: cancel_legacy" in result.sentence


async def test_a_failed_task_is_never_green(world: OnePartner) -> None:
    await world.convert(legacy(offer_id=SCHOOL))

    assert (await closed(world, ["plan_conversions"])).outcome is O.FAILED


@pytest.mark.parametrize("findings", [[], all_in_order()])
async def test_a_check_that_failed_without_an_answer_is_never_green(
    world: OnePartner, findings: list[Finding]
) -> None:
    await world.begin(legacy(offer_id=SCHOOL))
    for finding in findings:
        await world.records.record_finding(RUN, finding, at=world.clock.now_at)
    result = await closed(world, ["check_mpa"])

    assert result.outcome is O.FAILED
    assert "Failed: check_mpa" in result.sentence


async def test_a_plan_is_planned_whatever_it_found(world: OnePartner) -> None:
    await world.begin(legacy(1), legacy(2, auto_renew=False), mode="plan")
    await world.plan()
    result = await closed(world)

    assert result.outcome is O.PLANNED
    assert result.sentence.startswith("Subscriptions: 1 held, 1 due. ")


async def test_a_plan_of_a_blocked_partner_says_so(world: OnePartner) -> None:
    await world.begin(legacy(), mode="plan")
    world.microsoft.mpa[PARTNER_TENANT] = MpaStatus(MpaState.NOT_SIGNED, 2203)
    await world.plan()

    assert (await closed(world, ["check_mpa"])).outcome is O.BLOCKED


async def test_a_plan_that_failed_is_red(world: OnePartner) -> None:
    await world.begin(legacy(), mode="plan")

    assert (await closed(world, ["plan_conversions"])).outcome is O.FAILED


async def test_somebody_elses_migration_is_no_failure(world: OnePartner) -> None:
    await world.begin(legacy())
    await world.plan()
    world.microsoft.somebody_migrates(legacy_id(1))
    world.clock.advance(hours=3)
    await world.buy()
    result = await closed(world)

    assert (result.outcome, result.sentence) == (O.NOTHING_TO_DO, "Subscriptions: 1 already_migrated.")
