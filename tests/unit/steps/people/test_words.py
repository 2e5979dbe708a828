"""What a person says in one sentence: stop, release, a moved date, a campaign file, a decision, a kept case.

Each goes on record under a name and with a reason, and none without.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, datetime, timezone
from typing import Any

import pytest

from include.nce.domain.author import Author
from include.nce.domain.decision import DecisionKind
from include.nce.domain.errors import InputRefused
from include.nce.steps.people.decide import NewDecision, decide
from include.nce.steps.people.import_campaign import import_campaign
from include.nce.steps.people.keep_nce import keep_nce
from include.nce.steps.people.move_date import NewDate, move_date
from include.nce.steps.people.stop_campaign import release_campaign, stop_campaign
from tests.support.examples import CAMPAIGN, campaign, legacy, legacy_id
from tests.support.one_partner import OnePartner

ANNA, BRUNO = Author("anna"), Author("bruno")
LATER = datetime(2022, 7, 12, tzinfo=timezone.utc)

ACTS: dict[str, Callable[..., Awaitable[Any]]] = {
    "stop": lambda reason, **how: stop_campaign(CAMPAIGN, reason, **how),
    "release": lambda reason, **how: release_campaign(CAMPAIGN, reason, **how),
    "move": lambda reason, **how: move_date(CAMPAIGN, NewDate("cut_over", LATER, reason), **how),
    "import": lambda reason, **how: import_campaign(campaign(), reason, **how),
    "decide": lambda reason, **how: decide(
        CAMPAIGN, NewDecision(DecisionKind.CONFIRM_CONVERSION, legacy_id(1), reason), **how
    ),
    "keep": lambda reason, **how: keep_nce(1, reason, **how),
}


@pytest.mark.parametrize("act", ACTS)
async def test_without_a_reason_nothing_goes_on_record(world: OnePartner, act: str) -> None:
    await world.begin(legacy())
    before = list(world.records.events)
    with pytest.raises(InputRefused, match="reason: it is empty"):
        await ACTS[act](" ", by=ANNA, ledger=world.records, clock=world.clock)
    assert world.records.events == before


async def test_a_stop_and_its_release_carry_their_authors(world: OnePartner) -> None:
    await world.begin(legacy())
    how = {"ledger": world.records, "clock": world.clock}
    stopped = await stop_campaign(CAMPAIGN, "prices look wrong", by=ANNA, **how)
    again = await stop_campaign(CAMPAIGN, "me too", by=BRUNO, **how)
    released = await release_campaign(CAMPAIGN, "they are right", by=BRUNO, **how)

    assert (stopped.already, stopped.record.by, stopped.record.reason) == (False, "anna", "prices look wrong")
    assert (again.already, again.record) == (True, stopped.record)
    assert (released.stopped, released.by) == (False, "bruno")


async def test_a_moved_date_shows_what_was_and_what_is(world: OnePartner) -> None:
    await world.begin(legacy())
    wish = NewDate("cut_over", LATER, "notice 2")
    done = await move_date(CAMPAIGN, wish, by=ANNA, ledger=world.records, clock=world.clock)
    again = await move_date(CAMPAIGN, wish, by=ANNA, ledger=world.records, clock=world.clock)

    assert (done.moved, done.version, done.after.cut_over_at()) == (True, 2, LATER)
    assert (again.moved, again.version) == (False, 2)


async def test_a_day_where_the_campaign_has_an_instant_is_not_guessed_at(world: OnePartner) -> None:
    await world.begin(legacy())
    wish = NewDate("cut_over", date(2022, 7, 12), "notice 2")
    with pytest.raises(InputRefused, match="could mean its start or its end"):
        await move_date(CAMPAIGN, wish, by=ANNA, ledger=world.records, clock=world.clock)


async def test_an_import_says_whether_anything_changed(world: OnePartner) -> None:
    how = {"by": ANNA, "ledger": world.records, "clock": world.clock}
    first = await import_campaign(campaign(), "the notice", **how)
    again = await import_campaign(campaign(), "the notice", **how)
    assert (first.changed, first.before, first.version) == (True, None, 1)
    assert (again.changed, again.version) == (False, 1)


async def test_a_decision_finds_the_one_partner_that_holds_it(world: OnePartner) -> None:
    await world.begin(legacy(auto_renew=False))
    await world.plan()
    wish = NewDecision(DecisionKind.CONFIRM_CONVERSION, legacy_id(1).upper(), "they asked")
    done = await decide(CAMPAIGN, wish, by=ANNA, ledger=world.records, clock=world.clock)

    assert (done.partner, done.subscription_id) == ("rossi-informatica", legacy_id(1))
    assert await world.records.confirmed_conversions(CAMPAIGN, done.partner) == {legacy_id(1)}


async def test_a_decision_about_what_no_partner_holds_is_refused(world: OnePartner) -> None:
    await world.begin(legacy())
    wish = NewDecision(DecisionKind.CONFIRM_CONVERSION, legacy_id(9), "they asked")
    with pytest.raises(InputRefused, match="was seen at no partner"):
        await decide(CAMPAIGN, wish, by=ANNA, ledger=world.records, clock=world.clock)
