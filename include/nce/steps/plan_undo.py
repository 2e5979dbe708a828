"""`plan_undo`: what would be taken back, line by line, with the hours that are left. Nothing is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from include.nce.domain.errors import InputRefused
from include.nce.domain.lineage import counterparts
from include.nce.domain.question import PersonsAnswer, Question, QuestionKind, Standing
from include.nce.domain.subscription import Subscription
from include.nce.domain.undo import (
    CaseState,
    UndoCause,
    UndoLine,
    UndoPair,
    UndoRuling,
    UndoWord,
    hours_left,
    next_undo_step,
    window_of,
)
from include.nce.domain.undo_case import UndoAnswer, UndoCase, UndoMember, UndoPlan
from include.nce.steps.ports import Clock, Ledger, PartnerCenter


@dataclass(frozen=True)
class UndoWish:
    """What somebody wants taken back: one subscription, one customer, or (neither) the whole partner."""

    campaign: str
    partner: str
    reason: str
    by: str
    subscription_id: str | None = None
    customer_id: str | None = None

    @property
    def scope(self) -> str:
        if self.subscription_id is not None:
            return "subscription"
        return "partner" if self.customer_id is None else "customer"


@dataclass(frozen=True)
class UndoPlanned:
    """The plan on record, and when it was made: the hours left count from there."""

    plan: UndoPlan
    now_at: datetime

    @property
    def possible(self) -> Sequence[UndoLine]:
        return [line for line in self.plan.lines if line.can_be_undone]


async def plan_undo(
    run_id: str, wish: UndoWish, *, partner_center: PartnerCenter, ledger: Ledger, clock: Clock
) -> UndoPlanned:
    """Looks up what would be undone, and writes down each line with the hours that Microsoft leaves for it.

    Each bundle gets an undo case, or keeps the one it has; both sides are read from Partner Center. Nothing
    is sent. Red when nothing of ours is bought there, or nothing of it can be undone any more: the log names
    each line with its reason, and its case waits for a person's decision (`nce undo list`).
    """
    members = await ledger.bought(
        wish.campaign, wish.partner, customer_id=wish.customer_id, subscription_id=wish.subscription_id
    )
    if not members:
        about = wish.subscription_id or wish.customer_id or "its customers"
        raise InputRefused(
            [f"Partner {wish.partner}, {about}: nothing is bought or still to be undone; see nce status."]
        )
    now_at = await clock.now()
    holdings: dict[str, Mapping[str, Subscription]] = {}
    lines: list[UndoLine] = []
    for customer_id, base_id in dict.fromkeys(
        (m.conversion.customer_id, m.conversion.base_id) for m in members
    ):
        case, _ = await ledger.open_undo_case(
            wish.campaign,
            wish.partner,
            customer_id=customer_id,
            base_id=base_id,
            cause=UndoCause.OPERATOR,
            scope=wish.scope,
            reason=wish.reason,
            opened_by=wish.by,
            at=now_at,
        )
        if customer_id not in holdings:
            held = await partner_center.subscriptions_of(customer_id)
            holdings[customer_id] = {s.subscription_id: s for s in held}
        bundle = await ledger.undo_members(case.case_id)
        pairs = await read_pairs(bundle, holdings[customer_id], partner_center)
        ruling = _rule(bundle, pairs, now_at)
        await _note(case, pairs, ruling, wish.by, now_at, ledger)
        lines += [_line(case, m, pair, ruling) for m, pair in zip(bundle, pairs, strict=True)]
    plan = await ledger.record_undo_plan(run_id, wish.campaign, wish.partner, lines, at=now_at)
    return UndoPlanned(plan, now_at)


async def approve_undo(run_id: str, *, ledger: Ledger, clock: Clock) -> Standing:
    """A person approves what is listed here, or leaves everything as it is. Always asked.

    The question names each subscription, what happens to it, and the hours that are left. Approved: legacy is
    reactivated and then NCE is cancelled, line by line. Rejected: what follows is skipped (pink), nothing is
    sent, and cases that an opt-out opened stay open. The answer is bound to exactly these lines. While nobody
    answers the hours run: look at *Required Actions*.
    """
    plan = await _plan_of(run_id, ledger)
    said = await ledger.undo_answer(plan.plan_id)
    if said is not None and said.approved and said.hash == plan.hash:
        return Standing(f"{said.who} approved these lines on {said.at:%Y-%m-%d %H:%M} UTC.")
    reasons = [(await ledger.undo_case(case_id)).reason for case_id in cases_of(plan)]
    subject, body = question(
        UndoPlanned(plan, await clock.now()), "; ".join(dict.fromkeys(filter(None, reasons)))
    )
    return Standing(
        f"A person has to approve the undo of {len(plan.lines)} lines.",
        Question(
            QuestionKind.APPROVE_UNDO,
            run_id,
            plan.campaign,
            plan.partner,
            about=plan.hash,
            subject=subject,
            body=body,
        ),
    )


async def follow_undo_answer(
    question: Question, answer: PersonsAnswer, *, ledger: Ledger, clock: Clock
) -> str:
    """Bind the answer to the lines that were asked about; cases of a rejected wish are closed."""
    await answer_undo(
        question.run_id, question.about, approved=answer.approved, who=answer.who, ledger=ledger, clock=clock
    )
    return f"{answer.who} {'approved' if answer.approved else 'rejected'} lines {question.about[:12]}"


async def _plan_of(run_id: str, ledger: Ledger) -> UndoPlan:
    plan = await ledger.undo_plan(run_id)
    if plan is None:
        raise InputRefused([f"Run '{run_id}' has no undo plan yet: clear plan_undo."])
    return plan


async def answer_undo(
    run_id: str, hash_: str, *, approved: bool, who: str, ledger: Ledger, clock: Clock
) -> UndoAnswer:
    """Put the answer to the run's latest plan on record, with the hash of the lines it is about."""
    plan = await _plan_of(run_id, ledger)
    now_at = await clock.now()
    await ledger.answer_undo_plan(plan.plan_id, hash_, approved=approved, who=who, at=now_at)
    for case_id in cases_of(plan):
        case = await ledger.undo_case(case_id)
        if approved or case.state is not CaseState.OPEN:
            continue
        closes = case.cause is UndoCause.OPERATOR
        await ledger.move_undo_case(
            case_id,
            CaseState.CLOSED if closes else CaseState.OPEN,
            f"{who} did not approve the undo" + (": NCE stays." if closes else "; the opt-out still stands."),
            by=who,
            at=now_at,
        )
    return UndoAnswer(hash_, approved, who, now_at)


def cases_of(plan: UndoPlan) -> list[int]:
    """The numbers of the plan's cases, each once, in its order."""
    return list(dict.fromkeys(line.case_id for line in plan.lines))


async def read_pairs(
    bundle: Sequence[UndoMember], held: Mapping[str, Subscription], partner_center: PartnerCenter
) -> list[UndoPair]:
    """Both sides of a bundle. What the customer's list does not show is asked for by its id, before it counts
    as gone."""

    async def found(customer_id: str, subscription_id: str | None) -> Subscription | None:
        if subscription_id is None or subscription_id in held:
            return held.get(subscription_id or "")
        return await partner_center.subscription(customer_id, subscription_id)

    bought = counterparts([member.conversion for member in bundle], held)
    pairs = []
    for member in bundle:
        line = member.conversion
        nce = bought[line.legacy_id] or await found(line.customer_id, line.nce_subscription_id)
        pairs.append(
            UndoPair(
                legacy_id=line.legacy_id,
                legacy=await found(line.customer_id, line.legacy_id),
                nce_id=line.nce_subscription_id or (nce.subscription_id if nce else None),
                nce=nce,
                expected_product_and_sku=line.expected_product_and_sku,
                seats_before=member.seats_before,
            )
        )
    return pairs


def approved_pairs(pairs: Sequence[UndoPair], lines: Sequence[UndoLine]) -> list[UndoPair]:
    """With what a person approved of each."""
    seats = {line.legacy_id: line.nce_seats for line in lines}
    return [replace(pair, nce_seats_approved=seats.get(pair.legacy_id)) for pair in pairs]


def _rule(bundle: Sequence[UndoMember], pairs: Sequence[UndoPair], now_at: datetime) -> UndoRuling:
    moving = next((m.conversion for m in bundle if m.conversion.state.is_pending), None)
    if moving is not None:
        return UndoRuling(
            UndoWord.WAIT,
            f"its conversion is still {moving.state.value}: it is undone once that is over",
            moving.legacy_id,
        )
    return next_undo_step(pairs, now_at=now_at)


async def _note(
    case: UndoCase,
    pairs: Sequence[UndoPair],
    ruling: UndoRuling,
    by: str,
    now_at: datetime,
    ledger: Ledger,
) -> None:
    """The case knows what Partner Center says; one that is under way keeps its state."""
    windows = [until for pair in pairs if (until := window_of(pair.nce)) is not None]
    until_at = min(windows, default=None)
    state, sentence = case.state, case.sentence
    if case.state in (CaseState.OPEN, CaseState.TOO_LATE, CaseState.PERSON_DECIDES):
        if ruling.word is UndoWord.TOO_LATE:
            state, sentence = CaseState.TOO_LATE, f"Too late to undo: {ruling.reason}. A person decides."
        elif ruling.word is UndoWord.REFUSE:
            state, sentence = CaseState.PERSON_DECIDES, f"Cannot be undone: {ruling.reason}."
        elif ruling.word is UndoWord.WAIT:
            state = CaseState.OPEN
            sentence = f"Cannot be undone yet: {ruling.reason}. Start the undo again then."
        else:
            state = CaseState.OPEN
            sentence = "Planned, nothing is sent yet: a person approves it."
    await ledger.move_undo_case(case.case_id, state, sentence, by=by, at=now_at, until_at=until_at)


def _line(case: UndoCase, member: UndoMember, pair: UndoPair, ruling: UndoRuling) -> UndoLine:
    line = member.conversion
    return UndoLine(
        case_id=case.case_id,
        conversion_id=line.conversion_id,
        customer_id=line.customer_id,
        legacy_id=line.legacy_id,
        base_id=line.base_id,
        nce_id=pair.nce_id,
        offer_name=member.offer_name,
        route=line.route.value,
        legacy_seats=pair.legacy.seats if pair.legacy else None,
        nce_seats=pair.nce.seats if pair.nce else None,
        legacy_ends_at=pair.legacy.term_end_at if pair.legacy else None,
        window_until_at=window_of(pair.nce),
        word=ruling.word,
        why=ruling.reason,
    )


def say_line(line: UndoLine, now_at: datetime) -> str:
    """One line of a plan as people read it: what, how long still, and why not."""
    name = f"{line.offer_name or 'subscription'} {line.legacy_id}"
    if not line.can_be_undone:
        return f"{name} (case {line.case_id}): stays as it is, {line.why}."
    left = hours_left(line.window_until_at, now_at)
    time = "" if left is None or line.window_until_at is None else (
        f" {left:.0f} hours left, until {line.window_until_at:%Y-%m-%d %H:%M} UTC."
    )  # fmt: skip
    ends = f" (it ends on {line.legacy_ends_at:%Y-%m-%d})" if line.legacy_ends_at else ""
    return (
        f"{name} (case {line.case_id}): legacy with {line.legacy_seats} seats is reactivated{ends}, then NCE "
        f"{line.nce_id} with {line.nce_seats} seats is cancelled.{time}"
    )


def question(planned: UndoPlanned, reason: str) -> tuple[str, str]:
    """Headline and text of what a person is asked, in Markdown."""
    plan, possible = planned.plan, planned.possible
    customers = len({line.customer_id for line in possible})
    subject = (
        f"Undo {len(possible)} subscription{'' if len(possible) == 1 else 's'} of {customers} "
        f"customer{'' if customers == 1 else 's'} of {plan.partner}?"
    )
    told = "\n".join(f"* {say_line(line, planned.now_at)}" for line in plan.lines)
    guessed = any(line.route == "migrate" for line in possible)
    caveat = (
        "\n\nThese were migrated by Microsoft, which does not document that legacy comes back: if Partner "
        "Center refuses, NCE stays as it is and nothing is cancelled."
        if guessed
        else ""
    )
    body = (
        f"Why: {reason}\n\n{told}\n\nLegacy comes first and is seen active before NCE is cancelled. A "
        f"cancelled NCE subscription cannot be brought back.{caveat}\n\nLines: `{plan.hash[:12]}`"
    )
    return subject, body
