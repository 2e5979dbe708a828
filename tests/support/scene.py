"""Setting a scene: a conversion that is brought into a state by moves that the product could have made."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from include.nce.domain.brake import BrakeRecord
from include.nce.domain.command import Command, CommandKind
from include.nce.domain.conversion import MOVES, Conversion, ConversionState, may_become


def moves_to(state: ConversionState, wanted: ConversionState) -> list[ConversionState]:
    """The shortest way from one state to another, without the state it begins in."""
    ways = [[state]]
    seen = {state}
    while ways:
        way = ways.pop(0)
        if may_become(way[-1], wanted):
            return [*way[1:], wanted]
        for move in MOVES:
            if way[-1] in move.sources and move.to not in seen:
                seen.add(move.to)
                ways.append([*way, move.to])
    raise AssertionError(f"no way leads from {state.value} to {wanted.value}")


async def bring(
    ledger: Any,
    conversion: Conversion | int,
    state: ConversionState,
    reason: str = "",
    *,
    at: datetime,
    **facts: Any,
) -> Conversion:
    """The conversion, in this state and with these facts at last; it is as it stands on record now."""
    number = conversion if isinstance(conversion, int) else conversion.conversion_id
    now: Conversion = await ledger.conversion(number)
    *before, last = moves_to(now.state, state)
    for each in before:
        now = await ledger.advance(now, each, at=at)
    moved: Conversion = await ledger.advance(now, last, reason, at=at, **facts)
    return moved


async def intend(
    ledger: Any, conversion: Conversion | int, kind: CommandKind, payload: Mapping[str, Any], *, at: datetime
) -> Command:
    """An intention about the conversion as it stands on record now."""
    number = conversion if isinstance(conversion, int) else conversion.conversion_id
    command: Command = await ledger.intend(await ledger.conversion(number), kind, payload, at=at)
    return command


async def released(ledger: Any, campaign: str, *, by: str, reason: str, at: datetime) -> BrakeRecord:
    """The stop that counts is ended."""
    stop = (await ledger.brake_record(campaign)).event_id
    record: BrakeRecord = await ledger.release_campaign(campaign, stop=stop, by=by, reason=reason, at=at)
    return record
