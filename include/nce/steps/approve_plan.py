"""`approve_plan`: where policy wants it, a person decides between the plan and everything it buys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from include.nce.domain.approval import (
    Approval,
    ApprovalWord,
    PlannedLine,
    PlanOnRecord,
    reasons_to_ask,
)
from include.nce.domain.campaign import Campaign
from include.nce.domain.conversion import (
    Conversion,
    ConversionState,
    Overtaken,
    Route,
    last_safe_start_at,
    refused_from,
)
from include.nce.domain.question import PersonsAnswer, Question, QuestionKind, Standing
from include.nce.domain.run import Run
from include.nce.steps.ports import Clock, Ledger

LINES_SHOWN = 40


async def approve_plan(run_id: str, *, ledger: Ledger, clock: Clock) -> Standing:
    """Has a person approve the plan, where the campaign's policy says that somebody has to.

    Green at once: nobody has to, or this very plan was approved before. Waiting for input: look at the plan
    under *Required actions*, and approve or reject it; the answer is bound to the plan's hash and names who
    gave it. Rejected: nothing of the plan is bought, what follows is skipped, and its subscriptions are held.
    Clearing this task asks again only about a plan that is not approved.
    """
    run = await ledger.run(run_id)
    lines = await _planned(run, ledger)
    if run.mode != "apply" or not lines or lines[0].plan_id is None:
        return Standing("Nothing is bought by this plan: nobody has to approve it.")
    campaign = await ledger.campaign(run.campaign)
    plan = await ledger.plan(lines[0].plan_id)
    said = await ledger.approval(run.campaign, run.partner.partner, plan.hash)
    if said is not None and said.approved:
        return Standing(f"{said.decided_by} approved plan {plan.short_hash} on {_moment(said.at)}.")
    reasons = reasons_to_ask(list(plan.lines.values()), campaign.approvals)
    if said is None and not reasons:
        return Standing(f"Nobody has to approve plan {plan.short_hash} by the campaign's policy.")
    why = "; ".join([*reasons, *([f"{said.decided_by} rejected it before"] if said else [])])
    return Standing(
        f"A person has to approve plan {plan.short_hash}: {why}.",
        Question(
            QuestionKind.APPROVE_PLAN,
            run_id,
            run.campaign,
            run.partner.partner,
            about=plan.hash,
            subject=f"{run.partner.name}: buy {len(plan.lines)} subscriptions?",
            body=_question(run, plan, lines, campaign, why, await clock.now()),
        ),
    )


async def _planned(run: Run, ledger: Ledger) -> list[Conversion]:
    """What this run's plan may buy: not what another campaign or partner has planned since."""
    whose = (run.campaign, run.partner.partner)
    return [
        line
        for line in await ledger.conversions(run.run_id)
        if line.state is ConversionState.PLANNED and (line.campaign, line.partner) == whose
    ]


async def follow_plan_answer(
    question: Question, answer: PersonsAnswer, *, ledger: Ledger, clock: Clock
) -> str:
    """Record the word about the plan that was asked about; rejected, what it would have bought is held."""
    run_id, plan_hash = question.run_id, question.about
    now_at = await clock.now()
    word = ApprovalWord.APPROVED if answer.approved else ApprovalWord.REJECTED
    said = Approval(plan_hash, word, answer.who, now_at, answer.comment.strip())
    run = await ledger.run(run_id)
    await ledger.record_approval(run.campaign, run.partner.partner, said)
    if not answer.approved:
        lines = await _planned(run, ledger)
        hashes = {
            plan_id: (await ledger.plan(plan_id)).hash
            for plan_id in {line.plan_id for line in lines}
            if plan_id is not None
        }
        for line in lines:
            # What a later plan has is asked about anew; what another run had approved, it may be buying.
            if line.plan_id is not None and hashes[line.plan_id] == plan_hash:
                with suppress(Overtaken):
                    await ledger.advance(line, ConversionState.HELD, said.sentence, at=now_at)
    return said.sentence


def _question(
    run: Run, plan: PlanOnRecord, now: Sequence[Conversion], campaign: Campaign, why: str, now_at: datetime
) -> str:
    lines = sorted(plan.lines.values(), key=lambda line: (line.term_end_at is None, line.term_end_at))
    routes = Counter(line.route for line in lines)
    ends = [line.term_end_at for line in lines if line.term_end_at]
    parts = [
        f"**Plan {plan.short_hash}** of {run.partner.name} would buy **{len(lines)} subscriptions with "
        f"{sum(line.bought_seats for line in lines)} seats** and end as many in legacy: "
        f"{routes[Route.MIGRATE]} by Microsoft's migration, {routes[Route.PURCHASE]} by purchase and "
        f"suspension. {len(now)} of them now, the others when their window opens.",
        f"Somebody is asked because: {why}.",
    ]
    if ends:
        parts.append(_deadline(min(ends), campaign, now_at))
    parts.append(_table(lines[:LINES_SHOWN], campaign))
    if len(lines) > LINES_SHOWN:
        parts.append(f"And {len(lines) - LINES_SHOWN} more: `nce plan {run.partner.partner}` shows them all.")
    return "\n\n".join(parts)


def _deadline(first_end_at: datetime, campaign: Campaign, now_at: datetime) -> str:
    safe_until = last_safe_start_at(first_end_at, campaign.safety)
    if now_at <= safe_until:
        return f"Decide by **{_moment(safe_until)}**: the last safe start of the first of them."
    return (
        "**Decide at once**: the first of them is past its last safe start, and Microsoft converts it only "
        f"until {_moment(refused_from(first_end_at, campaign.safety))}."
    )


def _table(lines: Sequence[PlannedLine], campaign: Campaign) -> str:
    rows = [
        "| Offer | Customer | Seats | Term | Billing | Term end (UTC) | Route |",
        "|---|---|---|---|---|---|---|",
    ]
    for line in lines:
        offer = campaign.offer(line.offer_id)
        cells = (
            offer.name if offer else line.offer_id,
            line.customer_id,
            _change(str(line.legacy_seats), str(line.bought_seats)),
            _change(line.legacy_term, line.term),
            _change(line.legacy_billing, line.billing),
            _moment(line.term_end_at) if line.term_end_at else "-",
            line.route.value,
        )
        rows.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    return "\n".join(rows)


def _change(legacy: str | None, bought: str | None) -> str:
    if bought is None or bought == legacy:
        return legacy or "-"
    return f"{legacy or '-'} → **{bought}**"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
