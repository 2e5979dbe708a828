"""Who is asked about a plan, what about, and what an answer does."""

from __future__ import annotations

from collections.abc import Sequence

from include.nce.domain.conversion import Conversion, ConversionState
from include.nce.steps.approve_plan import LINES_SHOWN, Standing, approve_plan, record_answer
from tests.support.examples import IDENTITY, at, campaign, legacy, legacy_id
from tests.support.one_partner import RUN, OnePartner
from tests.support.scene import bring

ASK = campaign(approvals={"always": True})


async def standing(world: OnePartner) -> Standing:
    return await approve_plan(RUN, ledger=world.records, clock=world.clock)


async def answer(world: OnePartner, *, approved: bool, comment: str = "") -> str:
    asked = await standing(world)
    return await record_answer(
        RUN, asked.plan_hash, approved=approved, decided_by="olga", comment=comment,
        ledger=world.records, clock=world.clock,
    )  # fmt: skip


async def test_by_a_policy_that_asks_for_nothing_nobody_is_asked(world: OnePartner) -> None:
    await world.begin(legacy(1))
    planned = await world.plan()

    found = await standing(world)
    assert found.may_go_on
    assert f"Nobody has to approve plan {planned.hash[:8]}" in found.sentence


async def test_a_plan_that_buys_nothing_needs_nobody(world: OnePartner) -> None:
    await world.begin(legacy(1, term_end_at=at("2023-03-01 08:00")), document=ASK)
    await world.plan()

    assert (await standing(world)).may_go_on


async def test_a_dry_run_asks_nobody(world: OnePartner) -> None:
    await world.begin(legacy(1), mode="plan", document=ASK)
    await world.plan()

    assert (await standing(world)).may_go_on


async def test_the_question_says_what_is_bought_on_which_terms_and_until_when(world: OnePartner) -> None:
    wanted = campaign(
        approvals={"always": True},
        overrides=[{"subscription": legacy_id(2), "seats": 12, "reason": "the customer asked"}],
    )
    await world.begin(legacy(1), legacy(2), legacy(3, offer_id=IDENTITY), document=wanted)
    planned = await world.plan()
    found = await standing(world)

    assert not found.may_go_on
    assert (found.plan_hash, found.subject) == (
        planned.hash,
        "Rossi Informatica S.r.l.: buy 3 subscriptions?",
    )
    assert "3 subscriptions with 32 seats" in found.body
    assert "2 by Microsoft's migration, 1 by purchase" in found.body
    assert (
        "the campaign has every plan approved; 1 with another term, billing cycle or seat count" in found.body
    )
    assert "10 → **12**" in found.body
    assert "Decide by **2022-07-15 20:00 UTC**" in found.body


async def test_what_is_past_its_last_safe_start_is_decided_at_once(world: OnePartner) -> None:
    await world.begin(legacy(1, term_end_at=at("2022-07-13 08:00")), document=ASK)
    await world.plan()

    body = (await standing(world)).body
    assert "**Decide at once**" in body
    assert "only until 2022-07-12 08:00 UTC" in body


async def test_a_long_plan_shows_its_first_lines_and_says_how_to_see_all(world: OnePartner) -> None:
    await world.begin(*(legacy(number) for number in range(1, LINES_SHOWN + 4)), document=ASK)
    await world.plan()

    assert "And 3 more: `nce plan rossi-informatica`" in (await standing(world)).body


async def test_an_approved_plan_goes_on_and_names_who_approved_it(world: OnePartner) -> None:
    await world.begin(legacy(1), document=ASK)
    planned = await world.plan()
    said = await answer(world, approved=True, comment=" looks right ")

    assert said == f"olga approved plan {planned.hash[:8]}: looks right"
    found = await standing(world)
    assert (found.may_go_on, "olga approved" in found.sentence) == (True, True)


async def test_the_same_plan_made_anew_is_approved_already(world: OnePartner) -> None:
    await world.begin(legacy(1), document=ASK)
    await world.plan()
    await answer(world, approved=True)
    await world.plan()

    assert (await standing(world)).may_go_on


async def test_a_rejection_holds_everything_the_plan_would_have_bought(world: OnePartner) -> None:
    await world.begin(legacy(1), legacy(2), document=ASK)
    await world.plan()
    await answer(world, approved=False, comment="not this week")
    await world.buy()

    assert [world.state(number) for number in (1, 2)] == [ConversionState.HELD] * 2
    assert "olga rejected plan" in world.conversion(1).reason
    assert world.microsoft.sent == []


async def test_a_rejection_does_not_write_over_what_another_run_has_sent(world: OnePartner) -> None:
    await world.begin(legacy(1), document=ASK)
    await world.plan()
    conversions = world.records.conversions

    async def while_another_run_buys(run_id: str) -> Sequence[Conversion]:
        """Two runs asked about the same plan, and another person has approved it."""
        found = await conversions(run_id)
        for line in found:
            await bring(world.records, line.conversion_id, ConversionState.SENT, at=world.clock.now_at)
        return found

    asked = await standing(world)
    world.records.conversions = while_another_run_buys  # type: ignore[method-assign]
    await record_answer(
        RUN, asked.plan_hash, approved=False, decided_by="olga", ledger=world.records, clock=world.clock
    )

    assert world.state() is ConversionState.SENT


async def test_a_rejection_speaks_of_no_later_plan(world: OnePartner) -> None:
    await world.begin(legacy(1), document=ASK)
    first = await world.plan()
    world.microsoft.change(legacy_id(1), seats=25)
    await world.plan()
    await record_answer(
        RUN, first.hash, approved=False, decided_by="olga", ledger=world.records, clock=world.clock
    )

    assert world.state() is ConversionState.PLANNED
    assert not (await standing(world)).may_go_on


async def test_after_a_rejection_the_next_plan_is_asked_about_again(world: OnePartner) -> None:
    await world.begin(legacy(1), document=ASK)
    await world.plan()
    await answer(world, approved=False)
    await world.plan()

    found = await standing(world)
    assert not found.may_go_on
    assert "olga rejected it before" in found.body


async def test_an_answer_that_is_recorded_twice_is_one(world: OnePartner) -> None:
    await world.begin(legacy(1), document=ASK)
    planned = await world.plan()
    for _ in range(2):
        await record_answer(
            RUN, planned.hash, approved=True, decided_by="olga", ledger=world.records, clock=world.clock
        )

    assert len(world.records.approvals) == 1
