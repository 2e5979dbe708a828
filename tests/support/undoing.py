"""An undo as `nce_undo` runs it, on the stage of `one_partner`: plan, a person's answer, take back, close."""

from __future__ import annotations

from typing import Any

from include.nce.steps.close_undo import ClosedUndo, close_undo
from include.nce.steps.plan_undo import UndoPlanned, UndoWish, answer_undo, plan_undo
from include.nce.steps.undo_conversion import Undone, undo_conversions
from tests.support.examples import CAMPAIGN
from tests.support.one_partner import OnePartner

UNDO_RUN = f"{CAMPAIGN}__undo__rossi-informatica"


async def plan(world: OnePartner, **scope: Any) -> UndoPlanned:
    wish = UndoWish(CAMPAIGN, "rossi-informatica", "the partner wants it back", "bruno", **scope)
    return await plan_undo(
        UNDO_RUN, wish, partner_center=world.partner_center, ledger=world.ledger, clock=world.clock
    )


async def answer(world: OnePartner, *, approved: bool = True, who: str = "carla") -> None:
    standing = await world.records.undo_plan(UNDO_RUN)
    assert standing is not None
    await answer_undo(
        UNDO_RUN, standing.hash, approved=approved, who=who, ledger=world.ledger, clock=world.clock
    )


async def take_back(world: OnePartner) -> Undone:
    return await undo_conversions(
        UNDO_RUN,
        partner_center=world.partner_center,
        ledger=world.ledger,
        clock=world.clock,
        pause=world.clock.pause,
    )


async def undo(world: OnePartner, **scope: Any) -> Undone:
    """All of it, approved."""
    await plan(world, **scope)
    await answer(world)
    return await take_back(world)


async def close(world: OnePartner, *failed: str) -> ClosedUndo:
    return await close_undo(UNDO_RUN, list(failed), ledger=world.ledger)


def assert_rules(world: OnePartner) -> None:
    """The rules of an undo that hold at every moment, whatever happened."""
    microsoft = world.microsoft
    assert microsoft.uncovered == [], "NCE was cancelled while legacy was not active"
    known = {command.request_id for command in world.records.commands.values()}
    for operation in ("reactivate", "cancel_nce", "suspend"):
        for sent in microsoft.sent_of(operation):
            assert sent.request_id in known, f"{sent} was sent without an intention on record"
    for made in microsoft.bought.values():
        assert len(made) <= 1
