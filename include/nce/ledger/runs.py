"""Runs on record: opened, closed, opened again, and what their checks found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from include.nce.domain.errors import InputRefused
from include.nce.domain.opt_out import OptOutVerdict
from include.nce.domain.outcome import RunOutcome
from include.nce.domain.privacy import masked
from include.nce.domain.readiness import Check, Finding
from include.nce.domain.run import Run
from include.nce.ledger.policy import find_partner, partner_of
from include.nce.ledger.tables import (
    CheckHistoryRow,
    CheckRow,
    OptOutRow,
    OptOutRulingRow,
    RunEvent,
    RunHistoryRow,
    RunRow,
)
from include.nce.ledger.transactions import Transactions, find_run, in_turn


@dataclass(frozen=True)
class WatchFacts:
    """What a waiting run needs to know between two looks.

    `opted_out`: the opt-outs were ruled on since the run was last opened, and the whole partner opted out in
    time. `opt_out_received_at`: when the first one of the whole partner that stands came in.
    """

    opted_out: bool
    opt_out_received_at: datetime | None


class Runs(Transactions):
    """Runs and findings."""

    async def open_run(self, run_id: str, campaign: str, partner: str, mode: str, *, at: datetime) -> Run:
        """Open the run, or open it again when it was closed; one that is open stays as it is.

        What earlier openings found and did stays on record. Raises InputRefused when the partner is not
        enrolled, or the run id belongs to another campaign or partner.
        """
        async with self._transaction() as session:
            await in_turn(session, "run", run_id)
            enrolment = await find_partner(session, campaign, partner)
            run = await session.get(RunRow, run_id)
            if run is None:
                run = RunRow(run_id=run_id, campaign=campaign, partner=partner, mode=mode, opening=1,
                             opened_at=at, sentence="")  # fmt: skip
                session.add(run)
                # The history names the run, and no mapped relation tells the session which row comes first.
                await session.flush()
                session.add(_event(run, RunEvent.OPENED, at))
            elif (run.campaign, run.partner) != (campaign, partner):
                raise InputRefused(
                    [f"Run '{run_id}' belongs to partner {run.partner} of campaign {run.campaign}; "
                     f"give the run of {partner} in {campaign} an id of its own."]
                )  # fmt: skip
            elif run.closed_at is not None or run.mode != mode:
                run.mode, run.opening, run.opened_at = mode, run.opening + 1, at
                run.closed_at, run.outcome, run.sentence = None, None, ""
                session.add(_event(run, RunEvent.REOPENED, at))
            return Run(run_id, campaign, partner_of(enrolment), run.mode, run.opened_at)

    async def run(self, run_id: str) -> Run:
        """The run; raises InputRefused when it was never opened."""
        async with self._transaction() as session:
            run = await find_run(session, run_id)
            partner = await find_partner(session, run.campaign, run.partner)
            return Run(run_id, run.campaign, partner_of(partner), run.mode, run.opened_at)

    async def close_run(self, run_id: str, outcome: str, sentence: str, *, at: datetime) -> None:
        """Close the run with its outcome, a value of `RunOutcome`; the same again changes nothing."""
        ending, sentence = RunOutcome(outcome), masked(sentence)
        async with self._transaction() as session:
            run = await find_run(session, run_id, lock=True)
            if run.closed_at is not None and (run.outcome, run.sentence) == (ending, sentence):
                return
            run.closed_at, run.outcome, run.sentence = at, ending, sentence
            session.add(_event(run, RunEvent.CLOSED, at))

    async def record_finding(self, run_id: str, finding: Finding, *, at: datetime) -> None:
        """Keep the finding as the check's present state; history grows only when answer or reason changed."""
        async with self._transaction() as session:
            await in_turn(session, "check", run_id, finding.check.value)
            facts = {
                "answer": finding.answer,
                "reason": masked(finding.reason),
                "owner": finding.owner,
                "remedy": masked(finding.remedy),
                "code": finding.code,
                "missing_customers": list(finding.missing_customers),
                "customers": finding.customers,
            }
            standing = await session.get(CheckRow, (run_id, finding.check))
            if standing is None:
                await find_run(session, run_id)
                session.add(CheckRow(run_id=run_id, check=finding.check, since_at=at, asked_at=at, **facts))
            else:
                same = (standing.answer, standing.reason) == (facts["answer"], facts["reason"])
                for name, value in facts.items():
                    setattr(standing, name, value)
                standing.asked_at = at
                if same:
                    return
                standing.since_at = at
            session.add(CheckHistoryRow(run_id=run_id, check=finding.check, at=at, **facts))

    async def findings(self, run_id: str) -> Sequence[Finding]:
        """The present finding of each check that was asked, in the order of the checks."""
        async with self._transaction() as session:
            rows = (await session.scalars(select(CheckRow).where(CheckRow.run_id == run_id))).all()
        order = list(Check)
        return [finding_of(row) for row in sorted(rows, key=lambda row: order.index(row.check))]

    async def watch(self, campaign: str, run_ids: Sequence[str]) -> Mapping[str, WatchFacts]:
        """What the waiting runs of one process need to know, in one query; unknown run ids are left out."""
        ruling = (
            select(OptOutRulingRow.verdict)
            .where(OptOutRulingRow.run_id == RunRow.run_id, OptOutRulingRow.opening == RunRow.opening)
            .order_by(OptOutRulingRow.ruling_id.desc())
            .limit(1)
            .scalar_subquery()
        )
        received_at = (
            select(func.min(OptOutRow.received_at))
            .where(
                OptOutRow.campaign == RunRow.campaign,
                OptOutRow.partner == RunRow.partner,
                OptOutRow.customer_id.is_(None),
                OptOutRow.withdrawn_at.is_(None),
            )
            .scalar_subquery()
        )
        query = select(RunRow.run_id, ruling, received_at).where(
            RunRow.campaign == campaign, RunRow.run_id.in_(run_ids)
        )
        async with self._transaction() as session:
            rows = (await session.execute(query)).all()
        return {
            run_id: WatchFacts(verdict is OptOutVerdict.IN_TIME, received)
            for run_id, verdict, received in rows
        }


def finding_of(row: CheckRow | CheckHistoryRow) -> Finding:
    return Finding(
        check=row.check,
        answer=row.answer,
        reason=row.reason,
        owner=row.owner,
        remedy=row.remedy,
        code=row.code,
        missing_customers=tuple(row.missing_customers),
        customers=row.customers,
    )


def _event(run: RunRow, event: RunEvent, at: datetime) -> RunHistoryRow:
    return RunHistoryRow(
        run_id=run.run_id,
        opening=run.opening,
        event=event,
        mode=run.mode,
        outcome=run.outcome,
        sentence=run.sentence,
        at=at,
    )
