"""`cancel_legacy`: the only place that suspends a legacy subscription, and only past the cancel gate."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from include.nce.domain.campaign import Campaign
from include.nce.domain.cancellation import CoveredPair, GateWord, SuspensionPermit, cancel_gate
from include.nce.domain.command import Answered, CommandKind, CommandOutcome
from include.nce.domain.conversion import Conversion, ConversionState, Overtaken, Phase, Route
from include.nce.domain.errors import Busy, FailureClass, PartnerCenterFault
from include.nce.domain.lineage import (
    counterpart,
    counterparts,
    has_ended,
    is_billed_twice_too_long,
    successor_of,
)
from include.nce.domain.run import Run
from include.nce.domain.subscription import Subscription
from include.nce.steps.buy_nce import why_unfinished
from include.nce.steps.ports import Clock, Ledger, PartnerCenter, SingleWriter
from include.nce.steps.sending import Departure, Intent, note_sight, send


@dataclass(frozen=True)
class Cancelled:
    """Lines finished, lines under way at Microsoft, and a sentence for each that somebody has to look at."""

    finished: int
    pending: int
    unresolved: tuple[str, ...]


async def cancel_legacy(
    run_id: str,
    plan_id: int,
    batch_no: int,
    *,
    partner_center: PartnerCenter,
    ledger: Ledger,
    clock: Clock,
) -> Cancelled:
    """Ends the legacy side of every line whose New Commerce side is active, and of no other.

    After a migration Microsoft has suspended legacy itself and this only verifies it; after a purchase it is
    suspended here, once the customer's new subscriptions cover the whole bundle with enough seats. Red when a
    line of the batch is unresolved; the log names each with its reason, and all the others are finished by
    then. Clearing it is safe: what is finished stays finished.
    """
    run = await ledger.run(run_id)
    campaign = await ledger.campaign(run.campaign)
    lines = await ledger.batch(run_id, plan_id, batch_no)
    for line in lines:
        if line.state.phase is Phase.BOUGHT:
            bundle = [other for other in lines if other.base_id == line.base_id]
            try:
                async with ledger.single_writer(line.customer_id, line.legacy_id) as writer:
                    await _finish(run_id, line, bundle, campaign, writer, partner_center, ledger, clock)
            except (Busy, Overtaken):
                continue
            except PartnerCenterFault as fault:
                now = await ledger.conversion(line.conversion_id)
                with suppress(Overtaken):
                    why = f"legacy not looked at: {fault.sentence}"
                    await ledger.advance(now, now.state, why, at=await clock.now())
    return _tally(run, await ledger.batch(run_id, plan_id, batch_no))


def _tally(run: Run, lines: Sequence[Conversion]) -> Cancelled:
    return Cancelled(
        finished=sum(_is_finished(line) for line in lines),
        pending=sum(line.state.waits_for_microsoft for line in lines),
        unresolved=tuple(
            f"Subscription {line.legacy_id} is {line.state.value}: {why_unfinished(line, run)}"
            for line in lines
            if not (_is_finished(line) or line.state.waits_for_microsoft)
        ),
    )


def _is_finished(line: Conversion) -> bool:
    """What is held was decided, and is told by the run's outcome; it is nothing this batch could finish."""
    return line.state.phase is Phase.DONE or line.state is ConversionState.HELD


async def _finish(
    run_id: str,
    line: Conversion,
    bundle: Sequence[Conversion],
    campaign: Campaign,
    writer: SingleWriter,
    partner_center: PartnerCenter,
    ledger: Ledger,
    clock: Clock,
) -> None:
    members = [await ledger.conversion(member.conversion_id) for member in bundle]
    current = next(member for member in members if member.conversion_id == line.conversion_id)
    if current.state.phase is not Phase.BOUGHT or not current.at_microsoft:
        return  # what stranded before anything was known to be bought keeps its reason
    held = {s.subscription_id: s for s in await partner_center.subscriptions_of(line.customer_id)}
    await _note_both_sides(run_id, current, held, ledger, clock)
    ruling = cancel_gate(
        _pairs(members, held),
        legacy_id=line.legacy_id,
        bought_by_us=current.at_microsoft,
        suspended_by_microsoft=line.route is Route.MIGRATE,
    )
    now_at = await clock.now()
    if ruling.permit is not None:
        await _suspend(
            run_id, current, ruling.permit, ruling.reason, campaign, writer, partner_center, ledger, clock
        )
    elif ruling.word is GateWord.WAIT:
        # Covered itself, it only waits for its bundle.
        own = ruling.uncovered_id == line.legacy_id
        await ledger.advance(
            current, ConversionState.ACCEPTED if own else current.state, ruling.reason, at=now_at
        )
    elif ruling.word is GateWord.ALREADY_DONE:
        await _note_found(current, held.get(current.legacy_id), ledger, clock)
        await ledger.advance(current, ConversionState.CONVERTED, f"NCE is active, {ruling.reason}", at=now_at)
    else:
        await ledger.advance(
            current, ConversionState.STRANDED, f"bought, legacy not suspended: {ruling.reason}", at=now_at
        )


async def _note_both_sides(
    run_id: str, line: Conversion, held: dict[str, Subscription], ledger: Ledger, clock: Clock
) -> None:
    """What the ruling is made of goes on record before it is made."""
    seen = [side for side in (held.get(line.legacy_id), counterpart(line, held)) if side is not None]
    await ledger.record_survey(run_id, seen, [], at=await clock.now())


def _pairs(members: Sequence[Conversion], held: dict[str, Subscription]) -> list[CoveredPair]:
    """The whole bundle as the customer holds it now: also what of it is in legacy and not in this batch."""
    found = counterparts(members, held)
    planned = [
        CoveredPair(
            held[member.legacy_id],
            found[member.legacy_id],
            member.expected_product_and_sku,
            on_its_way=member.state.waits_for_microsoft,
        )
        for member in members
        if member.legacy_id in held
    ]
    ids = {member.legacy_id for member in members}
    bases = {member.base_id for member in members}
    others = [
        CoveredPair(s, successor_of(s.subscription_id, held.values()), None)
        for s in held.values()
        if s.is_legacy and s.subscription_id not in ids and not has_ended(s)
        and (s.subscription_id in bases or s.parent_id in bases | ids)
    ]  # fmt: skip
    return planned + others


async def _suspend(
    run_id: str,
    line: Conversion,
    permit: SuspensionPermit,
    why: str,
    campaign: Campaign,
    writer: SingleWriter,
    partner_center: PartnerCenter,
    ledger: Ledger,
    clock: Clock,
) -> None:
    """One send, and a look whether it is really suspended."""

    async def suspend(departure: Departure, _: Sequence[Conversion]) -> Answered:
        return await partner_center.suspend(permit, departure=departure)

    async def nothing_new(standing: Ledger) -> None:
        """What is bought is finished whatever has been said since: both sides are billed."""

    sent = await send(
        Intent(
            [line],
            CommandKind.SUSPEND_LEGACY,
            {"legacy": line.legacy_id, "nce": line.nce_subscription_id, "why": why},
        ),
        suspend, last_word=nothing_new, writer=writer, ledger=ledger, clock=clock,
    )  # fmt: skip
    fault = sent.fault
    if sent.outcome is None and fault is not None:
        raise fault
    after = await partner_center.subscription(line.customer_id, line.legacy_id)
    if after is not None:
        await ledger.record_survey(run_id, [after], [], at=await clock.now())
    sentence = "" if fault is None else fault.sentence
    refused = sent.outcome is CommandOutcome.REFUSED
    final = refused and fault is not None and fault.failure_class is not FailureClass.WAIT
    if after is not None and has_ended(after):
        if sent.outcome is CommandOutcome.LOST:
            await note_sight(
                sent.command, CommandOutcome.FOUND, {"status": after.status.value}, ledger=ledger, clock=clock
            )
        state, reason = ConversionState.CONVERTED, "NCE is active, legacy is suspended"
    elif final or is_billed_twice_too_long(line, campaign, await clock.now()):
        state, reason = ConversionState.STRANDED, f"bought, legacy not suspended: {sentence}".strip()
    else:
        state, reason = ConversionState.COVERED, f"suspension not confirmed yet. {sentence}".strip()
    await ledger.advance(line, state, reason, at=await clock.now())


async def _note_found(line: Conversion, legacy: Subscription | None, ledger: Ledger, clock: Clock) -> None:
    """A suspension that was sent by a process that died before the answer has its answer: it arrived."""
    command = await ledger.open_command(line.conversion_id, CommandKind.SUSPEND_LEGACY)
    if command is not None and command.sent and legacy is not None:
        await note_sight(
            command, CommandOutcome.FOUND, {"status": legacy.status.value}, ledger=ledger, clock=clock
        )
