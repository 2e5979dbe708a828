"""`cancel_legacy`: the only place that suspends a legacy subscription, and only past the cancel gate."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from include.nce.domain.campaign import Campaign
from include.nce.domain.cancellation import ENDED, CoveredPair, GateWord, cancel_gate
from include.nce.domain.conversion import ConversionState, Route
from include.nce.domain.errors import FailureClass, PartnerCenterFault
from include.nce.domain.subscription import Subscription
from include.nce.steps.buy_nce import refuse_without_lock, why_unfinished
from include.nce.steps.confirm_nce import counterpart, counterparts
from include.nce.steps.ports import (
    Busy,
    Clock,
    Conversion,
    Ledger,
    Overtaken,
    PartnerCenter,
    Run,
    SingleWriter,
)

SUSPEND = "suspend_legacy"

_MAY_BE_FINISHED = frozenset({ConversionState.COVERED, ConversionState.STRANDED})
_STILL_UNDER_WAY = frozenset({ConversionState.ACCEPTED, ConversionState.HANDS_OFF, ConversionState.COVERED})
_FINE = frozenset({ConversionState.CONVERTED, ConversionState.BY_OTHERS, ConversionState.HELD})


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
        if line.state in _MAY_BE_FINISHED:
            bundle = [other for other in lines if other.base_id == line.base_id]
            try:
                async with ledger.single_writer(line.customer_id, line.legacy_id) as writer:
                    await _finish(run_id, line, bundle, campaign, writer, partner_center, ledger, clock)
            except (Busy, Overtaken):
                continue
            except PartnerCenterFault as fault:
                now = await ledger.conversion(line.conversion_id)
                with suppress(Overtaken):
                    await ledger.advance(
                        line.conversion_id, now.state, f"legacy not looked at: {fault.sentence}",
                        at=await clock.now(), seen=now.state,
                    )  # fmt: skip
    return _tally(run, await ledger.batch(run_id, plan_id, batch_no))


def _tally(run: Run, lines: Sequence[Conversion]) -> Cancelled:
    return Cancelled(
        finished=sum(line.state in _FINE for line in lines),
        pending=sum(line.state in _STILL_UNDER_WAY for line in lines),
        unresolved=tuple(
            f"Subscription {line.legacy_id} is {line.state.value}: {why_unfinished(line, run)}"
            for line in lines
            if line.state not in _FINE | _STILL_UNDER_WAY
        ),
    )


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
    bought_by_us = current.migration_id is not None or current.order_id is not None
    if current.state not in _MAY_BE_FINISHED or not bought_by_us:
        return  # what stranded before anything was known to be bought keeps its reason
    held = {s.subscription_id: s for s in await partner_center.subscriptions_of(line.customer_id)}
    await _note_both_sides(run_id, current, held, ledger, clock)
    ruling = cancel_gate(
        _pairs(members, held),
        legacy_id=line.legacy_id,
        bought_by_us=bought_by_us,
        suspended_by_microsoft=line.route is Route.MIGRATE,
    )
    now_at = await clock.now()
    if ruling.word is GateWord.WAIT:
        # Covered itself, it only waits for its bundle.
        own = ruling.uncovered_id == line.legacy_id
        state = ConversionState.ACCEPTED if own else current.state
        await ledger.advance(line.conversion_id, state, ruling.reason, at=now_at, seen=current.state)
    elif ruling.word is GateWord.REFUSE:
        await ledger.advance(
            line.conversion_id, ConversionState.STRANDED, f"bought, legacy not suspended: {ruling.reason}",
            at=now_at, seen=current.state,
        )  # fmt: skip
    elif ruling.word is GateWord.ALREADY_DONE:
        await _note_found(current, held.get(current.legacy_id), ledger, now_at)
        await ledger.advance(
            line.conversion_id, ConversionState.CONVERTED, f"NCE is active, {ruling.reason}", at=now_at,
            seen=current.state,
        )  # fmt: skip
    else:
        await _suspend(run_id, current, ruling.reason, campaign, writer, partner_center, ledger, clock)


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
            on_its_way=member.state in _STILL_UNDER_WAY,
        )
        for member in members
        if member.legacy_id in held
    ]
    successors = {s.migrated_from_id: s for s in held.values()}
    ids = {member.legacy_id for member in members}
    bases = {member.base_id for member in members}
    others = [
        CoveredPair(s, successors.get(s.subscription_id), None)
        for s in held.values()
        if s.is_legacy and s.subscription_id not in ids and s.status not in ENDED
        and (s.subscription_id in bases or s.parent_id in bases | ids)
    ]  # fmt: skip
    return planned + others


async def _suspend(
    run_id: str,
    line: Conversion,
    why: str,
    campaign: Campaign,
    writer: SingleWriter,
    partner_center: PartnerCenter,
    ledger: Ledger,
    clock: Clock,
) -> None:
    """Intention, one send, answer, and a look whether it is really suspended."""
    payload = {"legacy": line.legacy_id, "nce": line.nce_subscription_id, "why": why}
    await refuse_without_lock(writer, line.legacy_id)
    command = await ledger.intend(line.conversion_id, SUSPEND, payload, at=await clock.now(), seen=line.state)
    await ledger.note_sending(command.command_id, at=await clock.now())
    await refuse_without_lock(writer, line.legacy_id)
    verdict, status, code, correlation_id = "lost", None, None, None
    body: object = None
    final = False
    try:
        answered = await partner_center.suspend(
            line.customer_id, line.legacy_id, request_id=command.request_id
        )
        verdict, status = "accepted", answered.status
        correlation_id, body = answered.correlation_id, answered.body
        sentence = ""
    except PartnerCenterFault as fault:
        verdict = "lost" if fault.leaves_effect_unknown else "refused"
        status, code, correlation_id, body = fault.status, fault.code, fault.correlation_id, fault.body
        sentence = fault.sentence
        final = verdict == "refused" and fault.failure_class is not FailureClass.WAIT
    await ledger.note_answer(
        command.command_id, at=await clock.now(), verdict=verdict, status=status, code=code,
        correlation_id=correlation_id, body=body,
    )  # fmt: skip
    after = await partner_center.subscription(line.customer_id, line.legacy_id)
    if after is not None:
        await ledger.record_survey(run_id, [after], [], at=await clock.now())
    if after is not None and after.status in ENDED:
        if verdict == "lost":
            await ledger.note_answer(
                command.command_id, at=await clock.now(), verdict="found", status=None, code=None,
                correlation_id=None, body={"status": after.status.value},
            )  # fmt: skip
        await ledger.advance(
            line.conversion_id, ConversionState.CONVERTED, "NCE is active, legacy is suspended",
            at=await clock.now(), seen=line.state,
        )  # fmt: skip
    elif final or _out_of_patience(line, campaign, await clock.now()):
        await ledger.advance(
            line.conversion_id, ConversionState.STRANDED, f"bought, legacy not suspended: {sentence}".strip(),
            at=await clock.now(), seen=line.state,
        )  # fmt: skip
    else:
        await ledger.advance(
            line.conversion_id, ConversionState.COVERED, f"suspension not confirmed yet. {sentence}".strip(),
            at=await clock.now(), seen=line.state,
        )  # fmt: skip


async def _note_found(
    line: Conversion, legacy: Subscription | None, ledger: Ledger, now_at: datetime
) -> None:
    """A suspension that was sent by somebody who died before the answer has its answer: it arrived."""
    command = await ledger.open_command(line.conversion_id, SUSPEND)
    if command is not None and command.sent and legacy is not None:
        await ledger.note_answer(
            command.command_id, at=now_at, verdict="found", status=None, code=None, correlation_id=None,
            body={"status": legacy.status.value},
        )  # fmt: skip


def _out_of_patience(line: Conversion, campaign: Campaign, now_at: datetime) -> bool:
    """A suspension that is tried again and again for hours means billing twice: somebody has to look."""
    if line.state_since_at is None:
        return False
    return now_at - line.state_since_at >= timedelta(hours=campaign.cadence.purchase_patience_hours)
