"""`undo_conversions`: the only place that reactivates legacy and cancels New Commerce, past the undo gate.

Each write goes by `sending`, and a look follows whether it is really so. What was sent and not answered is
looked up first, and sent again only with the same request id. Nothing here suspends legacy.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from include.nce.domain.command import Answered, CommandKind, CommandOutcome
from include.nce.domain.conversion import Conversion, ConversionState, Overtaken
from include.nce.domain.errors import Busy, FailureClass, InputRefused, PartnerCenterFault
from include.nce.domain.lineage import has_ended, is_active, is_over
from include.nce.domain.undo import (
    CaseState,
    UndoLine,
    UndoPair,
    UndoRuling,
    UndoWord,
    hash_of,
    next_undo_step,
)
from include.nce.domain.undo_case import UndoMember, UndoPlan
from include.nce.steps.plan_undo import approved_pairs, cases_of, read_pairs
from include.nce.steps.ports import Clock, Ledger, PartnerCenter, SingleWriter
from include.nce.steps.sending import Departure, Intent, note_sight, send

Pause = Callable[[float], Awaitable[None]]

PASSES = 5
"""How often bundles that only need a little time are taken up before the task ends without them."""
SHORTEST_PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 60.0
SUSPENSION_SHOWS_WITHIN = timedelta(hours=1)
"""For so long after our suspension of legacy "legacy is active" is not believed. Ours: Microsoft says only
that such a change may take effect after its answer."""


@dataclass(frozen=True)
class Undone:
    """Bundles taken back, and a sentence for each that needs a little more time or a person's decision."""

    undone: int
    pending: tuple[str, ...]
    stopped: tuple[str, ...]


@dataclass
class _Desk:
    """What one execution works with."""

    partner_center: PartnerCenter
    ledger: Ledger
    clock: Clock
    who: str
    wait_seconds: float = 0.0
    accepted: set[tuple[UndoWord, str | None]] = field(default_factory=set)
    """Taken by Partner Center in this execution and not seen yet: looked at again, not sent again."""
    unreachable: dict[int, str] = field(default_factory=dict)


async def undo_conversions(
    run_id: str, *, partner_center: PartnerCenter, ledger: Ledger, clock: Clock, pause: Pause
) -> Undone:
    """Takes back what was approved: reactivates legacy, looks that it is active, and only then cancels NCE.

    The base comes first and the whole bundle is undone. Refused without a recorded approval of exactly these
    lines. NCE is never cancelled while legacy is not active with enough seats and its term running, nor for
    an hour after our own suspension of legacy while it has not shown. Red when Partner Center refuses to
    bring legacy back (NCE stays, a person decides), when the window closed in between (the customer is
    covered twice, a person decides), when a case was closed meanwhile, or when something is not confirmed
    yet: then clear this task. Clearing it is safe at any time: it looks first.
    """
    plan = await ledger.undo_plan(run_id)
    if plan is None:
        raise InputRefused([f"Run '{run_id}' has no undo plan yet: clear plan_undo."])
    desk = _Desk(partner_center, ledger, clock, await _approver(plan, ledger))
    waiting = [
        case_id
        for case_id in cases_of(plan)
        if all(line.can_be_undone for line in plan.lines if line.case_id == case_id)
    ]
    for attempt in range(PASSES):
        if attempt:
            await pause(min(max(desk.wait_seconds, SHORTEST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS))
        desk.wait_seconds = 0.0
        waiting = [case_id for case_id in waiting if await _settle(case_id, plan, desk)]
        if not waiting:
            break
    return await _report(plan, desk)


async def _approver(plan: UndoPlan, ledger: Ledger) -> str:
    """Who approved exactly these lines; nobody's word about others counts."""
    answer = await ledger.undo_answer(plan.plan_id)
    if answer is None:
        raise InputRefused([f"Undo plan {plan.plan_id} was approved by nobody: nothing is sent."])
    if not answer.approved:
        raise InputRefused([f"{answer.who} did not approve undo plan {plan.plan_id}: nothing is sent."])
    if not answer.hash == plan.hash == hash_of(plan.lines):
        raise InputRefused(
            [f"{answer.who} approved other lines than those of undo plan {plan.plan_id}: start it again."]
        )
    return answer.who


async def _settle(case_id: int, plan: UndoPlan, desk: _Desk) -> bool:
    """Take one bundle as far back as it goes now. True when a little more time may take it further."""
    members = await desk.ledger.undo_members(case_id)
    keys = [member.conversion.legacy_id for member in members]
    lines = [line for line in plan.lines if line.case_id == case_id]
    desk.unreachable.pop(case_id, None)
    try:
        async with desk.ledger.single_writer(members[0].conversion.customer_id, *keys) as writer:
            return await _take_back(case_id, lines, desk, writer)
    except (Busy, Overtaken):
        desk.unreachable[case_id] = "somebody else is working on it"
        return True
    except PartnerCenterFault as fault:
        if fault.failure_class is FailureClass.PROVIDER_ACTS:
            raise
        desk.unreachable[case_id] = fault.sentence
        desk.wait_seconds = max(desk.wait_seconds, fault.retry_after_seconds or 0.0)
        return True


async def _take_back(case_id: int, lines: Sequence[UndoLine], desk: _Desk, writer: SingleWriter) -> bool:
    """Look, send one thing, look again, until nothing is left to send."""
    tried: set[tuple[UndoWord, str | None]] = set()
    refused = ""
    while True:
        case = await desk.ledger.undo_case(case_id)
        if case.state.is_closed:
            return False
        bundle = await desk.ledger.undo_members(case_id)
        pairs = approved_pairs(await _read(bundle, desk), lines)
        bundle = await _note_what_shows(bundle, pairs, case_id, desk)
        ruling = _drifted(bundle, pairs, lines) or next_undo_step(pairs, now_at=await desk.clock.now())
        if ruling.word in (UndoWord.CANCEL, UndoWord.DONE):
            ruling = await _suspension_under_way(bundle, desk) or ruling
        act = (ruling.word, ruling.legacy_id)
        if ruling.word is UndoWord.DONE:
            await _move(case_id, CaseState.UNDONE, f"Undone, approved by {desk.who}.", desk)
            return False
        # A refusal counts only while what it refused does not show all the same.
        if ruling.word in (UndoWord.REFUSE, UndoWord.TOO_LATE) or (refused and act in tried):
            await _stop(case_id, pairs, ruling, refused, desk)
            return False
        if ruling.word is UndoWord.WAIT or act in tried | desk.accepted:
            await _move(case_id, case.state, f"Not confirmed yet: {_waits_for(ruling)}.", desk)
            return True
        tried.add(act)
        begun = await _begin(case_id, bundle, desk)
        line = next(one for one in begun if one.legacy_id == ruling.legacy_id)
        pair = next(pair for pair in pairs if pair.legacy_id == ruling.legacy_id)
        refused = await _send(case_id, line, pair, ruling, desk, writer)


def _waits_for(ruling: UndoRuling) -> str:
    if ruling.word is UndoWord.REACTIVATE:
        return f"legacy {ruling.legacy_id} does not show as active"
    if ruling.word is UndoWord.CANCEL:
        return f"the NCE subscription that replaced {ruling.legacy_id} does not show as cancelled"
    return ruling.reason


async def _read(bundle: Sequence[UndoMember], desk: _Desk) -> list[UndoPair]:
    held = await desk.partner_center.subscriptions_of(bundle[0].conversion.customer_id)
    return await read_pairs(bundle, {s.subscription_id: s for s in held}, desk.partner_center)


def _drifted(
    bundle: Sequence[UndoMember], pairs: Sequence[UndoPair], lines: Sequence[UndoLine]
) -> UndoRuling | None:
    """What is there is not what was approved: other lines, another NCE subscription, or one that moves."""
    approved = {line.legacy_id: line.nce_id for line in lines}
    for member, pair in zip(bundle, pairs, strict=True):
        legacy_id = member.conversion.legacy_id
        if legacy_id not in approved or approved[legacy_id] != pair.nce_id:
            return UndoRuling(
                UndoWord.REFUSE, "it is not what was approved any more: start the undo again", legacy_id
            )
        if member.conversion.state.is_pending:
            return UndoRuling(
                UndoWord.REFUSE, f"its conversion is {member.conversion.state.value}", legacy_id
            )
    return None


async def _suspension_under_way(bundle: Sequence[UndoMember], desk: _Desk) -> UndoRuling | None:
    """Our own suspension may take effect after this look: without NCE the customer would have nothing."""
    now_at = await desk.clock.now()
    for member in bundle:
        line = member.conversion
        suspended_at = await desk.ledger.last_sent_at(line.conversion_id, CommandKind.SUSPEND_LEGACY)
        if suspended_at is None or now_at >= suspended_at + SUSPENSION_SHOWS_WITHIN:
            continue
        reactivated_at = await desk.ledger.last_sent_at(line.conversion_id, CommandKind.REACTIVATE_LEGACY)
        if reactivated_at is None or reactivated_at < suspended_at:
            return UndoRuling(
                UndoWord.WAIT,
                f"our suspension of legacy {line.legacy_id} was sent at {suspended_at:%Y-%m-%d %H:%M} UTC "
                f"and may still take effect, until {suspended_at + SUSPENSION_SHOWS_WITHIN:%H:%M} UTC",
                line.legacy_id,
            )
    return None


async def _begin(case_id: int, bundle: Sequence[UndoMember], desk: _Desk) -> list[Conversion]:
    """On record before the first send, so that no plan and no `cancel_legacy` touches it meanwhile."""
    reason = f"being undone, case {case_id}, approved by {desk.who}"
    if (await desk.ledger.undo_case(case_id)).state is not CaseState.UNDOING:
        await _move(case_id, CaseState.UNDOING, f"Approved by {desk.who}, under way.", desk)
    return [
        line
        if line.state in (ConversionState.UNDOING, ConversionState.UNDONE)
        else await _advance(line, ConversionState.UNDOING, reason, desk)
        for line in (member.conversion for member in bundle)
    ]


async def _note_what_shows(
    bundle: Sequence[UndoMember], pairs: Sequence[UndoPair], case_id: int, desk: _Desk
) -> Sequence[UndoMember]:
    """What was sent and not answered has arrived when it shows; what is taken back is noted as such. Returns
    the bundle with what was noted."""
    noted = []
    for member, pair in zip(bundle, pairs, strict=True):
        line = member.conversion
        legacy_active = is_active(pair.legacy)
        nce_gone = pair.nce_id is not None and (pair.nce is None or is_over(pair.nce))
        for shows, kind in (
            (legacy_active, CommandKind.REACTIVATE_LEGACY),
            (nce_gone, CommandKind.CANCEL_NCE),
        ):
            command = await desk.ledger.open_command(line.conversion_id, kind) if shows else None
            if command is not None:
                await note_sight(
                    command, CommandOutcome.FOUND if command.sent else CommandOutcome.NOT_FOUND,
                    {"shows": True, "sent": command.sent}, ledger=desk.ledger, clock=desk.clock,
                )  # fmt: skip
        if legacy_active and nce_gone and line.state is not ConversionState.UNDONE:
            line = await _advance(
                line, ConversionState.UNDONE,
                f"undone (case {case_id}, approved by {desk.who}): legacy is active, NCE is cancelled", desk,
            )  # fmt: skip
        noted.append(replace(member, conversion=line))
    return noted


async def _send(
    case_id: int, line: Conversion, pair: UndoPair, ruling: UndoRuling, desk: _Desk, writer: SingleWriter
) -> str:
    """Empty: look whether it is so; else why Partner Center refuses. Raises what says nothing of this
    subscription, once it is on record."""
    permit = ruling.permit

    async def take_back(departure: Departure, _: Sequence[Conversion]) -> Answered:
        if permit is not None:
            return await desk.partner_center.cancel_nce(permit, departure=departure)
        return await desk.partner_center.reactivate(line.customer_id, pair.legacy_id, departure=departure)

    async def still_wanted(standing: Ledger) -> None:
        if (await standing.undo_case(case_id)).state.is_closed:
            raise Overtaken(f"undo case {case_id} was closed meanwhile")

    sent = await send(
        Intent(
            [line],
            CommandKind.REACTIVATE_LEGACY if permit is None else CommandKind.CANCEL_NCE,
            {"legacy": line.legacy_id, "nce": pair.nce_id, "why": ruling.reason, "approved_by": desk.who},
        ),
        take_back, last_word=still_wanted, writer=writer, ledger=desk.ledger, clock=desk.clock,
    )  # fmt: skip
    fault = sent.fault
    if fault is None:
        desk.accepted.add((ruling.word, ruling.legacy_id))
        return ""
    if sent.outcome is CommandOutcome.LOST:
        return ""
    if sent.outcome is None or not fault.failure_class.is_refusal:
        raise fault
    return fault.sentence


async def _stop(
    case_id: int,
    pairs: Sequence[UndoPair],
    ruling: UndoRuling,
    refused: str,
    desk: _Desk,
) -> None:
    """Nothing more is sent. What is true of each line is written down, loudly where somebody pays twice."""
    why = refused or f"{ruling.reason}."
    doubled, uncovered = [], []
    for member, pair in zip(await desk.ledger.undo_members(case_id), pairs, strict=True):
        line = member.conversion
        legacy_ended = pair.legacy is None or has_ended(pair.legacy)
        nce_lives = pair.nce is not None and not is_over(pair.nce)
        if legacy_ended and not nce_lives:
            uncovered.append(line.legacy_id)
        if line.state is not ConversionState.UNDOING:
            continue
        if nce_lives and not legacy_ended:
            doubled.append(line.legacy_id)
            reason = f"COVERED TWICE, billed twice: legacy is active, NCE too. {why}"
            await _advance(line, ConversionState.UNDOING, reason, desk)
        elif nce_lives:
            await _advance(line, ConversionState.CONVERTED, f"not undone, NCE stays: {why}", desk)
    if doubled:
        state = CaseState.DOUBLE_COVERED
        sentence = (
            f"COVERED TWICE: {', '.join(doubled)} is active in legacy and in NCE, the customer pays both. "
            f"{why} A person decides today; to keep NCE and end legacy past the cancel gate: nce undo keep "
            f"{case_id}."
        )
    elif uncovered:
        state = CaseState.PERSON_DECIDES
        sentence = (
            f"NOT COVERED: of {', '.join(uncovered)} neither legacy nor NCE is active. {why} A person acts "
            "now."
        )
    else:
        late = ruling.word is UndoWord.TOO_LATE
        state = CaseState.TOO_LATE if late else CaseState.PERSON_DECIDES
        sentence = f"{'Too late to undo' if late else 'Not undone'}: NCE stays as it is. {why}"
    await _move(case_id, state, sentence, desk)


async def _advance(line: Conversion, state: ConversionState, reason: str, desk: _Desk) -> Conversion:
    """Raises `Overtaken` when somebody else has moved it since this look: an orphan writes over nothing."""
    return await desk.ledger.advance(line, state, reason, at=await desk.clock.now())


async def _move(case_id: int, state: CaseState, sentence: str, desk: _Desk) -> None:
    await desk.ledger.move_undo_case(case_id, state, sentence, by=desk.who, at=await desk.clock.now())


async def _report(plan: UndoPlan, desk: _Desk) -> Undone:
    undone, pending, stopped = 0, [], []
    for case_id in cases_of(plan):
        case = await desk.ledger.undo_case(case_id)
        told = f"Case {case_id}, subscription {case.base_id}: "
        words = {line.word for line in plan.lines if line.case_id == case_id}
        if case.state is CaseState.UNDONE:
            undone += 1
        elif case.state is CaseState.CLOSED:
            stopped.append(f"{told}closed, so nothing more was undone. {case.sentence}")
        elif case.state.needs_somebody:
            stopped.append(told + case.sentence)
        elif UndoWord.WAIT in words:
            stopped.append(f"{told}not part of what was approved. {case.sentence}")
        elif not case.state.is_closed:
            pending.append(told + (desk.unreachable.get(case_id) or case.sentence))
    return Undone(undone, tuple(pending), tuple(stopped))
