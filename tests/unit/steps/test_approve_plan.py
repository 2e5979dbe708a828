"""Who is asked about a plan, what about, and what an answer does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from include.nce.domain.conversion import Conversion, ConversionState
from include.nce.domain.errors import InputRefused
from include.nce.domain.question import PersonsAnswer, Question, QuestionKind, Standing
from include.nce.steps.approve_plan import LINES_SHOWN, approve_plan, follow_plan_answer
from include.nce.steps.ask_a_person import put_question, take_answer
from tests.support.examples import CAMPAIGN, IDENTITY, at, campaign, legacy, legacy_id
from tests.support.one_partner import RUN, OnePartner
from tests.support.scene import bring

_GIVEN_AT = (at("2022-07-10 08:00") + timedelta(minutes=minute) for minute in range(1_000))
ASK = campaign(approvals={"always": True})


async def standing(world: OnePartner) -> Standing:
    return await approve_plan(RUN, ledger=world.records, clock=world.clock)


async def ask(world: OnePartner) -> Question:
    asked = (await standing(world)).question
    assert asked is not None
    await put_question(asked, ledger=world.records, clock=world.clock)
    return asked


def said(*, approved: bool, comment: str = "", who: str = "olga", about: str = "") -> PersonsAnswer:
    return PersonsAnswer(approved, who, next(_GIVEN_AT), about, comment)


async def take(world: OnePartner, answer: PersonsAnswer) -> str:
    return await take_answer(QuestionKind.APPROVE_PLAN, RUN, answer, ledger=world.records, clock=world.clock)


async def answer(world: OnePartner, *, approved: bool, comment: str = "") -> str:
    await ask(world)
    return await take(world, said(approved=approved, comment=comment))


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

    assert found.question is not None
    assert (found.question.about, found.question.subject) == (
        planned.hash,
        "Rossi Informatica S.r.l.: buy 3 subscriptions?",
    )
    assert "3 subscriptions with 32 seats" in found.question.body
    assert "2 by Microsoft's migration, 1 by purchase" in found.question.body
    assert (
        "the campaign has every plan approved; 1 with another term, billing cycle or seat count"
        in found.question.body
    )
    assert "10 → **12**" in found.question.body
    assert "Decide by **2022-07-15 20:00 UTC**" in found.question.body


async def test_what_is_past_its_last_safe_start_is_decided_at_once(world: OnePartner) -> None:
    await world.begin(legacy(1, term_end_at=at("2022-07-13 08:00")), document=ASK)
    await world.plan()

    body = (await ask(world)).body
    assert "**Decide at once**" in body
    assert "only until 2022-07-12 08:00 UTC" in body


async def test_a_long_plan_shows_its_first_lines_and_says_how_to_see_all(world: OnePartner) -> None:
    await world.begin(*(legacy(number) for number in range(1, LINES_SHOWN + 4)), document=ASK)
    await world.plan()

    assert "And 3 more: `nce plan rossi-informatica`" in (await ask(world)).body


async def test_an_approved_plan_goes_on_and_names_who_approved_it(world: OnePartner) -> None:
    await world.begin(legacy(1), document=ASK)
    planned = await world.plan()
    told = await answer(world, approved=True, comment=" looks right ")

    assert told == f"olga approved plan {planned.hash[:8]}: looks right"
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
    assert asked.question is not None
    await follow_plan_answer(asked.question, said(approved=False), ledger=world.records, clock=world.clock)

    assert world.state() is ConversionState.SENT


async def test_an_answer_to_a_plan_that_was_made_anew_is_refused_and_speaks_of_no_later_one(
    world: OnePartner,
) -> None:
    await world.begin(legacy(1), document=ASK)
    first = await world.plan()
    await ask(world)
    world.microsoft.change(legacy_id(1), seats=25)
    second = await world.plan()
    with pytest.raises(InputRefused, match=f"about {first.hash[:8]}, and by now {second.hash[:8]}"):
        await take(world, said(approved=False))

    assert world.state() is ConversionState.PLANNED
    assert not (await standing(world)).may_go_on
    assert world.records.approvals == []


async def test_after_a_rejection_the_next_plan_is_asked_about_again(world: OnePartner) -> None:
    await world.begin(legacy(1), document=ASK)
    await world.plan()
    await answer(world, approved=False)
    await world.plan()

    found = await standing(world)
    assert found.question is not None
    assert "olga rejected it before" in found.question.body


async def test_an_answer_that_is_taken_twice_is_one(world: OnePartner) -> None:
    await world.begin(legacy(1), document=ASK)
    await world.plan()
    await ask(world)
    once = said(approved=True)
    await take(world, once)
    assert await take(world, once) == "olga's answer was taken before"

    assert len(world.records.approvals) == 1


async def test_an_answer_whose_task_died_before_it_was_on_record_is_taken_again(world: OnePartner) -> None:
    """The approval is on record, the answer is not yet: taken again, both are, once."""
    await world.begin(legacy(1), document=ASK)
    await world.plan()
    asked = await ask(world)
    given = said(approved=True)
    await follow_plan_answer(asked, given, ledger=world.records, clock=world.clock)
    await take(world, given)

    assert len(world.records.approvals) == 1
    on_record = await world.records.question(RUN, QuestionKind.APPROVE_PLAN)
    assert on_record is not None
    assert on_record.answer == given


async def test_a_question_is_on_record_as_it_was_shown_and_once(world: OnePartner) -> None:
    await world.begin(legacy(1), document=ASK)
    planned = await world.plan()
    first, again = await ask(world), await ask(world)

    assert [asked.question for asked in world.records.asked] == [first] == [again]
    assert (first.about, first.run_id, first.partner) == (planned.hash, RUN, "rossi-informatica")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"who": " "}, "goes on record under a name"),
        ({"about": "0" * 64}, "about 00000000, and the standing question is about"),
    ],
)
async def test_an_answer_without_a_name_or_to_another_question_is_refused_and_on_record(
    world: OnePartner, answer: dict[str, str], why: str
) -> None:
    await world.begin(legacy(1), document=ASK)
    await world.plan()
    await ask(world)
    with pytest.raises(InputRefused, match=why):
        await take(world, said(approved=True, **answer))

    assert world.records.approvals == []
    assert [why in sentence for sentence in world.records.refused] == [True]


async def test_a_second_answer_to_one_question_is_refused(world: OnePartner) -> None:
    await world.begin(legacy(1), document=ASK)
    await world.plan()
    await ask(world)
    await take(world, said(approved=False))
    with pytest.raises(InputRefused, match="bruno's answer does not count: olga has answered before"):
        await take(world, said(approved=True, who="bruno"))


async def test_what_never_was_asked_has_no_answer(world: OnePartner) -> None:
    await world.begin(legacy(1), document=ASK)
    await world.plan()
    with pytest.raises(InputRefused, match="has asked nothing"):
        await take(world, said(approved=True))


async def test_the_question_of_a_run_stands_no_more_once_a_later_run_has_its_partner(
    world: OnePartner,
) -> None:
    await world.begin(legacy(1), document=ASK)
    await world.plan()
    await ask(world)
    later = f"{RUN}__2022-07-11"
    await world.records.open_run(later, CAMPAIGN, "rossi-informatica", "apply", at=world.clock.now_at)
    with pytest.raises(InputRefused, match=f"run {later} was started for this partner since"):
        await take(world, said(approved=True))

    assert world.records.approvals == []
    await ask(world)
    await take(world, said(approved=True))
    assert len(world.records.approvals) == 1
