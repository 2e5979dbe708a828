"""What an undo relies on, asked of the real ledger and of the fake alike."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from include.nce.domain.classification import SubscriptionClass
from include.nce.domain.conversion import Conversion, ConversionState
from include.nce.domain.decision import DecisionKind
from include.nce.domain.errors import InputRefused
from include.nce.domain.undo import CaseState, UndoCause, UndoLine, UndoWord, hash_of
from include.nce.domain.undo_case import UndoCase
from include.nce.steps.ports import Ledger
from tests.integration.ledger.scene import AT, CAMPAIGN, CUSTOMER, LATER, RUN, due, guid, subscription
from tests.integration.ledger.test_contract import ledger, planned
from tests.support.scene import bring

__all__ = ["ledger"]  # the fixture: fake and real

S = ConversionState
UNTIL = LATER + timedelta(hours=168)


async def conversions(ledger: Ledger) -> dict[str, Conversion]:
    return {each.legacy_id: each for each in await ledger.conversions(RUN)}


async def converted(ledger: Ledger, state: ConversionState = S.CONVERTED) -> dict[str, Conversion]:
    """A base with an add-on, and another subscription, all in `state`."""
    await ledger.record_survey(RUN, [subscription(name) for name in ("one", "extra", "two")], [], at=AT)
    await planned(ledger, due("one"), due("extra", travels_with="one"), due("two"))
    for number, line in enumerate((await conversions(ledger)).values()):
        await bring(ledger, line.conversion_id, state, "NCE is active", at=LATER,
            nce_subscription_id=guid(f"nce of {line.legacy_id}"),
            undoable_until_at=UNTIL + timedelta(hours=number),
        )  # fmt: skip
    return await conversions(ledger)


async def opened(ledger: Ledger, base: str = "one", **changes: Any) -> tuple[UndoCase, bool]:
    facts: dict[str, Any] = {
        "customer_id": CUSTOMER,
        "base_id": guid(base),
        "cause": UndoCause.OPERATOR,
        "scope": "subscription",
        "reason": "they want it back",
        "opened_by": "anna",
        "at": LATER,
    }
    return await ledger.open_undo_case(CAMPAIGN, "rossi", **{**facts, **changes})


async def test_what_is_bought_comes_in_whole_bundles(ledger):
    await converted(ledger)
    everything = await ledger.bought(CAMPAIGN, "rossi")
    bundle = await ledger.bought(CAMPAIGN, "rossi", subscription_id=guid("extra").upper())
    by_nce = await ledger.bought(
        CAMPAIGN, "rossi", subscription_id=guid(f"nce of {guid('one')}"), customer_id=CUSTOMER
    )

    assert len(everything) == 3
    assert [m.conversion.legacy_id for m in bundle] == [guid("one"), guid("extra")]
    assert [m.conversion.legacy_id for m in by_nce] == [guid("one"), guid("extra")]
    assert {(m.offer_name, m.seats_before) for m in bundle} == {("Business Basic", 5)}
    assert await ledger.bought(CAMPAIGN, "rossi", customer_id=guid("nobody")) == []
    assert await ledger.bought(CAMPAIGN, "verdi") == []


@pytest.mark.parametrize("state", sorted(set(S) - {S.LATER}))
async def test_only_what_is_bought_or_may_be_is_listed(ledger, state):
    await converted(ledger, state)
    found = await ledger.bought(CAMPAIGN, "rossi")

    bought = {"sent", "unknown", "accepted", "hands_off", "covered", "converted", "stranded", "undoing"}
    assert bool(found) == (state.value in bought)


async def test_a_bundle_has_one_open_case_and_it_knows_its_first_window(ledger):
    await converted(ledger)
    case, new = await opened(ledger)
    again, new_again = await opened(ledger, reason="another", opened_by="bruno")

    assert (new, new_again, again) == (True, False, case)
    assert (case.state, case.until_at, case.opened_by) == (CaseState.OPEN, UNTIL, "anna")
    assert [m.conversion.legacy_id for m in await ledger.undo_members(case.case_id)] == [
        guid("one"), guid("extra")
    ]  # fmt: skip
    assert await ledger.undo_case(case.case_id) == case


async def test_a_case_that_is_opened_after_its_window_is_too_late(ledger):
    await converted(ledger)
    case, _ = await opened(ledger, at=UNTIL + timedelta(seconds=1))
    assert case.state is CaseState.TOO_LATE


async def test_a_case_of_nothing_is_refused(ledger):
    await planned(ledger, due("one"))
    with pytest.raises(InputRefused, match="nothing is bought"):
        await opened(ledger)
    with pytest.raises(InputRefused, match="no undo case 7"):
        await ledger.undo_case(7)


async def test_open_cases_are_listed_page_by_page(ledger):
    await converted(ledger)
    one, _ = await opened(ledger)
    two, _ = await opened(ledger, "two")

    assert await ledger.undo_cases(CAMPAIGN) == [one, two]
    assert await ledger.undo_cases(CAMPAIGN, "rossi", limit=1) == [one]
    assert await ledger.undo_cases(CAMPAIGN, after=one.case_id) == [two]
    assert await ledger.undo_cases(CAMPAIGN, "verdi") == []


async def test_a_closed_case_stays_closed_and_makes_room_for_another(ledger):
    await converted(ledger)
    case, _ = await opened(ledger)
    closed = await ledger.move_undo_case(case.case_id, CaseState.CLOSED, "NCE stays", by="dora", at=LATER)
    assert (
        await ledger.move_undo_case(case.case_id, CaseState.CLOSED, "NCE stays", by="x", at=LATER) == closed
    )
    with pytest.raises(InputRefused, match="is closed"):
        await ledger.move_undo_case(case.case_id, CaseState.UNDOING, "again", by="x", at=LATER)

    assert await ledger.undo_cases(CAMPAIGN) == []
    assert await ledger.undo_cases(CAMPAIGN, closed=True) == [closed]
    other, new = await opened(ledger)
    assert (new, other.case_id != case.case_id) == (True, True)


async def test_what_an_opt_out_called_for_once_it_does_not_call_for_again(ledger):
    await converted(ledger)
    word = {"cause": UndoCause.OPT_OUT, "opt_out_received_at": AT}
    case, _ = await opened(ledger, **word)
    await ledger.move_undo_case(case.case_id, CaseState.CLOSED, "NCE stays", by="dora", at=LATER)
    same, new = await opened(ledger, **word)
    assert (same.case_id, new) == (case.case_id, False)

    _, new = await opened(ledger, **{**word, "opt_out_received_at": AT + timedelta(hours=1)})
    assert new


async def test_a_moved_case_keeps_its_window_unless_it_learns_another(ledger):
    await converted(ledger)
    case, _ = await opened(ledger)
    moved = await ledger.move_undo_case(case.case_id, CaseState.UNDOING, "under way", by="carla", at=LATER)
    assert (moved.state, moved.sentence, moved.until_at) == (CaseState.UNDOING, "under way", UNTIL)
    earlier = UNTIL - timedelta(hours=5)
    moved = await ledger.move_undo_case(
        case.case_id, CaseState.UNDOING, "under way", by="carla", at=LATER, until_at=earlier
    )
    assert moved.until_at == earlier


def line(**changes: Any) -> UndoLine:
    facts: dict[str, Any] = {
        "case_id": 1,
        "conversion_id": 1,
        "customer_id": CUSTOMER,
        "legacy_id": guid("one"),
        "base_id": guid("one"),
        "nce_id": guid("nce"),
        "offer_name": "Business Basic",
        "route": "migrate",
        "legacy_seats": 5,
        "nce_seats": 5,
        "legacy_ends_at": AT,
        "window_until_at": UNTIL,
        "word": UndoWord.REACTIVATE,
        "why": "legacy comes first",
    }
    return UndoLine(**{**facts, **changes})


async def test_a_plan_is_read_back_as_it_was_written_with_its_fingerprint(ledger):
    assert await ledger.undo_plan("undo") is None
    lines = (line(), line(legacy_id=guid("two"), nce_id=None, window_until_at=None))
    plan = await ledger.record_undo_plan("undo", CAMPAIGN, "rossi", lines, at=AT)

    assert (plan.lines, plan.hash) == (lines, hash_of(lines))
    assert await ledger.undo_plan("undo") == plan
    later = await ledger.record_undo_plan("undo", CAMPAIGN, "rossi", lines[:1], at=AT)
    assert await ledger.undo_plan("undo") == later


async def test_the_latest_word_about_a_plan_counts(ledger):
    plan = await ledger.record_undo_plan("undo", CAMPAIGN, "rossi", [line()], at=AT)
    assert await ledger.undo_answer(plan.plan_id) is None
    await ledger.answer_undo_plan(plan.plan_id, plan.hash, approved=False, who="carla", at=AT)
    await ledger.answer_undo_plan(plan.plan_id, "another", approved=True, who="dora", at=LATER)
    answer = await ledger.undo_answer(plan.plan_id)

    assert (answer.hash, answer.approved, answer.who, answer.at) == ("another", True, "dora", LATER)


@pytest.mark.parametrize(
    ("state", "klass"), [(S.UNDOING, SubscriptionClass.HELD), (S.UNDONE, SubscriptionClass.UNDONE)]
)
async def test_what_is_taken_back_is_known_to_later_plans(ledger, state, klass):
    await converted(ledger, state)
    done = await ledger.standing_conversions(CAMPAIGN, "rossi")

    assert {each.state for each in done.values()} == {state}
    assert set((await ledger.effective_classes(RUN)).values()) == {klass}


async def test_a_converted_line_of_a_later_plan_follows_its_undo(ledger):
    lines = await converted(ledger)
    await ledger.record_verdicts(RUN, [due("one", klass=SubscriptionClass.CONVERTED)], [], at=LATER)
    await bring(ledger, lines[guid("one")].conversion_id, S.UNDONE, "undone", at=LATER)

    assert await ledger.effective_classes(RUN) == {guid("one"): SubscriptionClass.UNDONE}


async def decide(ledger: Ledger, kind: DecisionKind, at: datetime) -> None:
    await ledger.record_decision(
        CAMPAIGN, "rossi", guid("one"), kind, decided_by="anna", reason="they want it", at=at
    )


async def test_what_was_undone_starts_afresh_only_after_a_later_decision(ledger):
    lines = await converted(ledger)
    number = lines[guid("one")].conversion_id
    ahead = LATER + timedelta(days=1)
    await decide(ledger, DecisionKind.CONFIRM_CONVERSION, ahead)  # by a clock that is ahead
    for line in lines.values():
        await bring(ledger, line, S.UNDONE, at=LATER)
    await planned(ledger, due("one"))
    assert (await ledger.conversion(number)).state is S.UNDONE

    await decide(ledger, DecisionKind.CONFIRM_CONVERSION, LATER + timedelta(minutes=1))
    assert guid("one") not in await ledger.standing_conversions(CAMPAIGN, "rossi")
    assert guid("two") in await ledger.standing_conversions(CAMPAIGN, "rossi")
    await planned(ledger, due("one"))
    again = await ledger.conversion(number)
    assert (again.state, again.nce_subscription_id, again.undoable_until_at) == (S.PLANNED, None, None)


async def test_a_decision_that_was_taken_back_converts_nothing_again(ledger):
    lines = await converted(ledger, S.UNDONE)
    await decide(ledger, DecisionKind.CONFIRM_CONVERSION, LATER + timedelta(minutes=1))
    await decide(ledger, DecisionKind.WITHDRAW_CONFIRMATION, LATER + timedelta(minutes=2))
    await planned(ledger, due("one"))

    assert (await ledger.conversion(lines[guid("one")].conversion_id)).state is S.UNDONE


async def test_whose_it_is_is_one_question(postgres_ledger):
    await converted(postgres_ledger)
    for name in (guid("one"), guid("extra"), guid(f"nce of {guid('one')}").upper()):
        assert await postgres_ledger.buyers_of(CAMPAIGN, subscription_id=name) == ["rossi"]
    assert await postgres_ledger.buyers_of(CAMPAIGN, customer_id=CUSTOMER) == ["rossi"]
    assert await postgres_ledger.buyers_of(CAMPAIGN) == ["rossi"]
    assert await postgres_ledger.buyers_of(CAMPAIGN, customer_id=guid("nobody")) == []
    assert await postgres_ledger.buyers_of(CAMPAIGN, subscription_id=guid("nobody")) == []
