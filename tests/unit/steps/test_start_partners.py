"""Which run a further start of a partner gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from include.nce.domain.question import Question, QuestionKind
from include.nce.steps.start_partners import order_starts
from tests.support.examples import CAMPAIGN, partner
from tests.support.one_partner import RUN, OnePartner

DAY = f"{RUN}__2022-07-11"


async def ordered(world: OnePartner, known: Mapping[str, str], **changes: Any) -> tuple[str, bool]:
    """The run that is started, and whether it begins anew; `known` is what Airflow has."""
    wanted: dict[str, Any] = {"mode": "apply", "again": True, "asks": False, **changes}
    starts = await order_starts(
        "start", CAMPAIGN, [partner()], **wanted,
        state_of=known.get, ledger=world.records, clock=world.clock,
    )  # fmt: skip
    assert await world.records.starts("start") == starts
    [order] = starts.orders
    return order["trigger_run_id"], order["reset_dag_run"]


async def opened(world: OnePartner, run_id: str) -> None:
    await world.records.open_run(run_id, CAMPAIGN, "rossi-informatica", "apply", at=world.clock.now_at)


@pytest.mark.parametrize("known", [{}, {RUN: "open"}, {RUN: "ended"}])
async def test_a_start_that_leaves_existing_runs_alone_names_the_partners_first_run(
    world: OnePartner, known: Mapping[str, str]
) -> None:
    assert await ordered(world, known, again=False) == (RUN, False)


async def test_a_partner_that_has_no_run_gets_its_first_one(world: OnePartner) -> None:
    assert await ordered(world, {}) == (RUN, False)


async def test_a_run_that_has_ended_is_left_as_it_is_and_the_partner_gets_one_of_its_own(
    world: OnePartner,
) -> None:
    await world.begin()
    assert await ordered(world, {RUN: "ended"}) == (DAY, False)


async def test_the_second_further_start_of_a_day_has_a_number(world: OnePartner) -> None:
    await world.begin()
    await opened(world, DAY)
    known = {RUN: "ended", DAY: "ended"}
    assert await ordered(world, known) == (f"{DAY}-2", False)
    assert await ordered(world, {**known, f"{DAY}-2": "ended"}) == (f"{DAY}-3", False)


async def test_a_run_that_airflow_has_lost_is_never_begun_under_its_old_name(world: OnePartner) -> None:
    await world.begin()
    assert await ordered(world, {}) == (DAY, False)


async def test_a_run_that_failed_before_it_was_on_record_has_its_name_all_the_same(world: OnePartner) -> None:
    assert await ordered(world, {RUN: "ended"}) == (DAY, False)


async def test_a_run_that_is_at_work_begins_anew_in_its_place(world: OnePartner) -> None:
    await world.begin()
    await opened(world, DAY)
    assert await ordered(world, {RUN: "ended", DAY: "open"}) == (DAY, True)


async def test_a_run_that_waits_for_a_persons_answer_is_not_begun_anew_but_followed_by_another(
    world: OnePartner,
) -> None:
    """Airflow would show its first question again, whatever the new plan is."""
    await world.begin()
    question = Question(
        QuestionKind.APPROVE_PLAN, RUN, CAMPAIGN, "rossi-informatica", "f" * 64, "Buy?", "text"
    )
    await world.records.record_question(question, at=world.clock.now_at)
    assert await ordered(world, {RUN: "open"}) == (DAY, False)


async def test_a_run_of_mode_plan_is_begun_anew(world: OnePartner) -> None:
    assert await ordered(world, {f"{RUN}__plan": "ended"}, mode="plan") == (f"{RUN}__plan", True)
