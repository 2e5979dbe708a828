"""Which failure of a step is worth another try, and when: one table for every task that runs on a worker.

Responsible for turning what helps (`FailureClass`) into Airflow's decision. Leaves to the steps what may be
done again: each looks first, so that a second try never sends what a first one has sent. Airflow asks it in
the task's own process, and only for exceptions: `AirflowFailException`, with which a step says that its
result is red, ends the task without asking, and so does a trigger's event.

It may fail a task earlier than its `retries`, never try more often. What it raises Airflow logs and ignores;
so it raises nothing, and a test asks it about every class and every documented code.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import RetryDecision, RetryPolicy

from include.nce.domain.errors import FailureClass, InputRefused, PartnerCenterFault

if TYPE_CHECKING:
    from airflow.sdk import Context

SOON_SECONDS = 10.0
"""Long enough for Partner Center to show what arrived, short enough for nobody to wait for it."""
SHORTEST_SECONDS, LONGEST_SECONDS = 1.0, 86_400.0
"""What Partner Center may ask for; a day is the longest wait that Microsoft documents (900278)."""

_WHO = {
    FailureClass.PARTNER_ACTS: "Who acts: partner.",
    FailureClass.PROVIDER_ACTS: "Who acts: provider.",
    FailureClass.PERSON_DECIDES: "Who acts: operator.",
    FailureClass.BROKEN: "Who acts: engineering.",
}


class RetryWhatTimeHelps(RetryPolicy):
    """Another try where time or a second look helps, red at once where somebody has to act.

    | what happened | decision |
    |---|---|
    | wait | again, when Partner Center says so; without a word of it after the task's own delay |
    | look first, reconcile | again soon: the step looks before it does anything |
    | partner acts, provider acts, person decides, broken | red at once |
    | input refused, or a step that was left out | red at once |
    | somebody else has the lock, the lock was lost, no answer to a check | again after the task's own delay |
    | the ledger, the network or the clock out of reach | again after the task's own delay |
    | anything else: a fault of this program | as the task's `retries` say |
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Context | None = None,
    ) -> RetryDecision:
        if isinstance(exception, PartnerCenterFault):
            return _about(exception)
        if isinstance(exception, (InputRefused, *_left_out())):
            return RetryDecision.fail(f"{exception} Trying again does not help.")
        if isinstance(exception, _passing()):
            return RetryDecision.retry(reason=_first_line(exception))
        return RetryDecision.default()


def _about(fault: PartnerCenterFault) -> RetryDecision:
    helps = fault.failure_class
    if helps is FailureClass.WAIT:
        seconds = fault.retry_after_seconds
        if seconds is None:
            return RetryDecision.retry(reason=fault.sentence)
        delay = min(max(seconds, SHORTEST_SECONDS), LONGEST_SECONDS)
        return RetryDecision.retry(
            timedelta(seconds=delay), f"{fault.sentence} Partner Center asks for {delay:g} seconds."
        )
    if helps in (FailureClass.LOOK_FIRST, FailureClass.RECONCILE):
        return RetryDecision.retry(timedelta(seconds=SOON_SECONDS), fault.sentence)
    return RetryDecision.fail(with_who_acts(fault))


def with_who_acts(error: InputRefused | PartnerCenterFault) -> str:
    """The error's sentence, and who acts where that is somebody else than whoever entered something."""
    who = _WHO.get(error.failure_class) if isinstance(error, PartnerCenterFault) else None
    return f"{error} {who}" if who else str(error)


# Imported when a task has failed: the files of the DAGs are read every few seconds.


def _left_out() -> tuple[type[BaseException], ...]:
    from include.nce.steps.plan_conversions import NotDecided

    return (NotDecided,)


def _passing() -> tuple[type[BaseException], ...]:
    import asyncio

    from include.nce.domain.errors import Busy
    from include.nce.orchestration.patience import OUT_OF_REACH
    from include.nce.steps.plan_conversions import CannotTell
    from include.nce.steps.sending import LockLost

    return (Busy, LockLost, CannotTell, asyncio.TimeoutError, *OUT_OF_REACH)


def _first_line(exception: BaseException) -> str:
    """Of an error of the database only what happened: the rest quotes the statement and its values."""
    said = str(getattr(exception, "orig", None) or exception).strip().splitlines()
    return said[0] if said else type(exception).__name__
