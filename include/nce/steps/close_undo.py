"""`close_undo`: the last task of an undo. Its colour is the run's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from include.nce.domain.undo import CaseState
from include.nce.steps.plan_undo import cases_of
from include.nce.steps.ports import Ledger

_WORST_LAST = (
    CaseState.UNDONE,
    CaseState.CLOSED,
    CaseState.OPEN,
    CaseState.TOO_LATE,
    CaseState.PERSON_DECIDES,
    CaseState.UNDOING,
    CaseState.DOUBLE_COVERED,
)


@dataclass(frozen=True)
class ClosedUndo:
    """The worst word that is true of the run, whether somebody has to act, and both in a sentence."""

    outcome: str
    needs_somebody: bool
    sentence: str


async def close_undo(run_id: str, failed_tasks: Sequence[str], *, ledger: Ledger) -> ClosedUndo:
    """Says how the undo ended, worst first; its colour is the run's.

    Green: everything that was approved is undone, or a person did not approve. Red: something is still under
    way, too late, refused by Partner Center, or covered twice. The run's note and the log name each case, who
    acts and how; `nce undo list` shows them too.
    """
    plan = await ledger.undo_plan(run_id)
    if plan is None:
        why = f"Failed: {', '.join(failed_tasks) or 'plan_undo'}; the last line of its log says why."
        return ClosedUndo("failed", True, why)
    answer = await ledger.undo_answer(plan.plan_id)
    cases = [await ledger.undo_case(case_id) for case_id in cases_of(plan)]
    cases.sort(key=lambda case: _WORST_LAST.index(case.state), reverse=True)
    rejected = answer is not None and not answer.approved
    counts: dict[str, int] = {}
    for case in cases:
        counts[case.state.value] = counts.get(case.state.value, 0) + 1
    parts = []
    if failed_tasks:
        parts.append(f"Failed: {', '.join(failed_tasks)}; look at the log of the first one, then clear it.")
    if answer is not None:
        parts.append(f"{answer.who} {'approved' if answer.approved else 'did not approve'} it.")
    elif not failed_tasks:
        parts.append("Nobody approved it: nothing was sent.")
    parts.append(f"Cases: {', '.join(f'{n} {word}' for word, n in counts.items())}.")
    parts += [
        f"Case {case.case_id}, subscription {case.base_id}: {case.sentence}"
        for case in cases
        if case.state is not CaseState.UNDONE
    ][:_CASES_NAMED]
    if rejected:
        return ClosedUndo("rejected", bool(failed_tasks), " ".join(parts))
    unfinished = [case for case in cases if not case.state.is_closed]
    outcome = "failed" if failed_tasks and not unfinished else cases[0].state.value
    return ClosedUndo(outcome, bool(unfinished or failed_tasks), " ".join(parts))


_CASES_NAMED = 3
"""A run's note is short; `nce undo list` shows them all."""
