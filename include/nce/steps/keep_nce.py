"""`nce undo keep`: a person decides that New Commerce stays, and an undo case is closed.

What is covered twice goes back to `covered`: the partner's next run finishes it, which means that legacy is
suspended only by `cancel_legacy` and only past the cancel gate. Nothing is sent here.
"""

from __future__ import annotations

from datetime import datetime

from include.nce.domain.conversion import Conversion, ConversionState, Overtaken
from include.nce.domain.errors import Busy, InputRefused
from include.nce.domain.undo import CaseState
from include.nce.domain.undo_case import UndoCase
from include.nce.steps.ports import Ledger


async def keep_nce(
    case_id: int, *, reason: str, by: str, ledger: Ledger, now_at: datetime
) -> tuple[UndoCase, list[Conversion]]:
    """Close the case, and hand back what is to be finished by the partner's next run.

    Raises InputRefused for a closed case, and while its undo is at work.
    """
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
                case_id, CaseState.CLOSED, f"{by} decided that NCE stays: {reason}", by=by, at=now_at
            )
    except (Busy, Overtaken):
        raise InputRefused([f"Undo case {case_id} is being worked on right now; try again later."]) from None
    return closed, finished_by_next_run
