"""`confirm_rerun`: before runs that exist are run again, a person sees what that would do."""

from __future__ import annotations

from include.nce.domain.errors import InputRefused
from include.nce.domain.question import PersonsAnswer, Question, QuestionKind, Standing
from include.nce.domain.starts import StartList
from include.nce.steps.people.start_runs import preview_start
from include.nce.steps.ports import Clock, Ledger

RUNS_SHOWN = 40


async def confirm_rerun(run_id: str, *, ledger: Ledger, clock: Clock) -> Standing:
    """Before partners are started again: shows what that would do, and waits until a person approves it.

    It counts purchases, cancellations and partners, as in `3 purchases, 0 cancellations, 1 partner`, names
    the runs that would start, and waits under *Required Actions*. Rejected: nothing is started (pink). Goes
    on at once when nothing is run again, in mode plan, and when the form's field *Ask before running again*
    is off. What is started is what was confirmed, as the ledger has it.
    """
    starts = await starts_of(run_id, ledger)
    if not starts.runs_again:
        return Standing("Nothing is run again: no question.")
    would_do = await preview_start(starts.campaign, starts.partners, ledger=ledger, clock=clock)
    if not starts.must_be_confirmed or await is_confirmed(starts, ledger):
        return Standing(f"Run again: {would_do}")
    listed = [f"* `{run}`" for run in starts.run_ids[:RUNS_SHOWN]]
    if len(starts.run_ids) > RUNS_SHOWN:
        listed.append(f"* and {len(starts.run_ids) - RUNS_SHOWN} more")
    return Standing(
        f"Run again: {would_do}",
        Question(
            QuestionKind.CONFIRM_RERUN,
            run_id,
            starts.campaign,
            "",
            about=starts.hash,
            subject="Start these partners again?",
            body="\n\n".join([f"This would do: {would_do}", "\n".join(listed), f"Runs: `{starts.hash[:8]}`"]),
        ),
    )


async def follow_rerun_answer(
    question: Question, answer: PersonsAnswer, *, ledger: Ledger, clock: Clock
) -> str:
    """Nothing but the answer itself: what is started asks for it."""
    return f"{answer.who} {'approved' if answer.approved else 'rejected'} the runs {question.short_hash}"


async def starts_of(run_id: str, ledger: Ledger) -> StartList:
    """What the run of `nce_campaign` starts. Raises InputRefused while it has not said so."""
    starts = await ledger.starts(run_id)
    if starts is None:
        raise InputRefused([f"Run '{run_id}' has put nothing to start on record: clear enrol_partners."])
    return starts


async def is_confirmed(starts: StartList, ledger: Ledger) -> bool:
    """Whether a person approved exactly this list."""
    asked = await ledger.question(starts.run_id, QuestionKind.CONFIRM_RERUN)
    return (
        asked is not None
        and asked.question.about == starts.hash
        and asked.answer is not None
        and asked.answer.approved
    )
