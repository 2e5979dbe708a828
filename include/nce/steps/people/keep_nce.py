"""`nce undo keep`: a person decides that New Commerce stays, and an undo case is closed.

What is covered twice goes back to `covered`: the partner's next run finishes it, which means that legacy is
suspended only by `cancel_legacy` and only past the cancel gate. Nothing is sent here.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from include.nce.domain.author import Author, given_reason
from include.nce.domain.conversion import Conversion, ConversionState, Overtaken
from include.nce.domain.errors import Busy, InputRefused
from include.nce.domain.undo import CaseState
from include.nce.domain.undo_case import UndoCase
from include.nce.steps.ports import Clock, SingleWriter, UndoRecords


@dataclass(frozen=True)
class Kept:
    """The closed case, and what is to be finished by the partner's next run."""

    case: UndoCase
    finished_by_next_run: tuple[Conversion, ...]


class CasesAndConversions(UndoRecords, Protocol):
    """The part of the ledger that moves a case together with its conversions."""

    async def advance(
        self, seen: Conversion, state: ConversionState, reason: str = "", *, at: datetime, **facts: Any
    ) -> Conversion: ...

    def single_writer(self, tenant_id: str, *keys: str) -> AbstractAsyncContextManager[SingleWriter]: ...


async def keep_nce(
    case_id: int, reason: str, *, by: Author, ledger: CasesAndConversions, clock: Clock
) -> Kept:
    """Close the case.

    Raises InputRefused without a reason, for a closed case, and while its undo is at work.
    """
    reason = given_reason(reason)
    now_at = await clock.now()
    case = await ledger.undo_case(case_id)
    if case.state.is_closed:
        raise InputRefused([f"Undo case {case_id} is closed already: {case.sentence}"])
    members = await ledger.undo_members(case_id)
    keys = [member.conversion.legacy_id for member in members]
    try:
        async with ledger.single_writer(case.customer_id, *keys):
            finished_by_next_run = []
            for line in [member.conversion for member in await ledger.undo_members(case_id)]:
                if line.state is ConversionState.UNDOING:
                    finished_by_next_run.append(
                        await ledger.advance(
                            line,
                            ConversionState.COVERED,
                            f"{by} decided that NCE stays: {reason}",
                            at=now_at,
                        )
                    )
            closed = await ledger.move_undo_case(
                case_id, CaseState.CLOSED, f"{by} decided that NCE stays: {reason}", by=by.name, at=now_at
            )
    except (Busy, Overtaken):
        raise InputRefused([f"Undo case {case_id} is being worked on right now; try again later."]) from None
    return Kept(closed, tuple(finished_by_next_run))
