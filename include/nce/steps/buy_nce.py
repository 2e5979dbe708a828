"""`buy_nce`: the only place that sends something which costs money.

Every purchase goes by `sending`: an intention on record, one send, an answer on record. What was sent and not
answered is looked up before anything else happens to it, and sent again only with the same request id.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from include.nce.domain.campaign import Campaign
from include.nce.domain.command import Answered, Command, CommandKind, CommandOutcome
from include.nce.domain.conversion import (
    Conversion,
    ConversionRequest,
    ConversionState,
    Migration,
    MigrationState,
    Overtaken,
    Phase,
    Route,
)
from include.nce.domain.errors import Busy, FailureClass, PartnerCenterFault
from include.nce.domain.lineage import is_over, successor_of
from include.nce.domain.purchase import Purchase, PurchaseLine
from include.nce.domain.run import Run
from include.nce.domain.subscription import CatalogueTarget
from include.nce.steps.brake import MayNotBuy, NotYourTurn
from include.nce.steps.desk import Desk
from include.nce.steps.last_look import ForbiddenSince, Look, Stop, last_look, seats_to_buy
from include.nce.steps.ports import Clock, Ledger, PartnerCenter, SingleWriter
from include.nce.steps.sending import Call, Departure, Intent, LastWord, Outcome, note_sight, send

Pause = Callable[[float], Awaitable[None]]

PASSES = 4
"""How often lines that only need a little time are taken up before the batch goes on without them."""
LONGEST_PAUSE_SECONDS = 60.0
SHORTEST_PAUSE_SECONDS = 2.0


@dataclass(frozen=True)
class BatchReport:
    """How many lines of the batch are in which state, and a sentence for each that is not on its way.

    `halted`: why the rest of the batch is not bought now, when the campaign is stopped or the partner's wave
    has not begun; those lines are as they were.
    """

    states: dict[str, int]
    unresolved: tuple[str, ...] = ()
    halted: str = ""


async def buy_nce(
    run_id: str,
    plan_id: int,
    batch_no: int,
    *,
    partner_center: PartnerCenter,
    ledger: Ledger,
    clock: Clock,
    pause: Pause,
    last_try: bool = True,
) -> BatchReport:
    """Buys the New Commerce subscription for each line of the batch, most urgent first.

    Right before each purchase the opt-outs, the dates, the approval of the plan and the subscription itself
    are looked at once more. A line that is not as it was planned any more, in seats, dates, terms, product or
    Microsoft's validation, is not bought and waits for a new plan: start the partner again. One that would
    not be planned any more, by today's campaign, checks and decisions, is held. What is already bought is
    left alone, so clearing this task is safe. A line that cannot be bought is written down with its reason
    and does not stop the others; the batch turns red for it at `cancel_legacy`, after the others are
    finished. Purple: the campaign is stopped (the log says by whom and why). What the batch has bought is
    finished meanwhile, and the rest is bought once the campaign is released. Red here only when the ledger
    cannot be reached, or our own sign-in is refused: the log says which; clear it then. Yellow: another
    process, such as an orphan of an earlier try, is converting one of them; Airflow tries again by itself.
    """
    run = await ledger.run(run_id)
    desk = Desk(run, partner_center, ledger, clock)
    waiting = _bundles(await ledger.batch(run_id, plan_id, batch_no))
    for attempt in range(PASSES):
        if attempt:
            await pause(min(max(desk.wait_seconds, SHORTEST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS))
        desk.wait_seconds = 0.0
        desk.holdings.clear()
        desk.busy.clear()
        desk.turn = ""
        waiting = [bundle for bundle in waiting if await _settle(bundle, desk)]
        if not waiting:
            break
    if desk.provider_fault is not None:
        raise desk.provider_fault
    if desk.busy and not last_try:
        raise Busy(f"Somebody else is converting {', '.join(desk.busy)} right now; it is tried again.")
    settled = await report(run_id, plan_id, batch_no, ledger=ledger)
    return replace(settled, halted=desk.halted or (desk.turn if waiting else ""))


async def report(run_id: str, plan_id: int, batch_no: int, *, ledger: Ledger) -> BatchReport:
    """The batch as it stands in the ledger."""
    run = await ledger.run(run_id)
    states: dict[str, int] = {}
    unresolved = []
    for line in await ledger.batch(run_id, plan_id, batch_no):
        states[line.state.value] = states.get(line.state.value, 0) + 1
        if not (line.state.waits_for_microsoft or line.state.phase is Phase.DONE):
            unresolved.append(f"{line.legacy_id} is {line.state.value}: {why_unfinished(line, run)}")
    return BatchReport(states, tuple(unresolved))


def why_unfinished(line: Conversion, run: Run) -> str:
    """What an operator of `run` reads about a line of its batch that is not on its way."""
    if not run.owns(line.campaign, line.partner):
        return (
            f"it was planned since for partner {line.partner} in campaign {line.campaign}, whose run decides "
            f"about it; look there: nce explain {line.legacy_id}"
        )
    return line.reason or "no reason is noted; start the partner again"


def _bundles(lines: Sequence[Conversion]) -> list[list[Conversion]]:
    """Each base with its add-ons, in the order of the plan."""
    grouped: dict[str, list[Conversion]] = {}
    for line in lines:
        grouped.setdefault(line.base_id, []).append(line)
    for base_id, members in grouped.items():
        members.sort(key=lambda member: member.legacy_id != base_id)
    return list(grouped.values())


async def _settle(bundle: list[Conversion], desk: Desk) -> bool:
    """Take one bundle as far as it goes now. True when a little more time may take it further."""
    keys = [member.legacy_id for member in bundle]
    keys += [f"seats:{m.expected_product_and_sku}" for m in bundle if m.expected_product_and_sku]
    try:
        async with desk.ledger.single_writer(bundle[0].customer_id, *keys) as writer:
            current = [await desk.ledger.conversion(member.conversion_id) for member in bundle]
            desk.seen = {member.conversion_id: member for member in current}
            return await _settle_alone(current, desk, writer)
    except (Busy, Overtaken):
        desk.busy.append(bundle[0].legacy_id)
        return True
    except NotYourTurn as turn:
        desk.turn = str(turn)
        return True


async def _settle_alone(whole: list[Conversion], desk: Desk, writer: SingleWriter) -> bool:
    # What is bought is left alone, also when it is only a part of the bundle.
    bundle = [member for member in whole if member.state.is_unsent or member.state.is_in_doubt]
    base = bundle[0] if bundle else whole[0]
    migrates = base.route is Route.MIGRATE
    command = await desk.ledger.open_command(base.conversion_id, CommandKind.purchase(base.route))
    sent = command if command is not None and command.sent else None
    if not bundle:
        if sent is not None:
            await _note_forgotten(base, sent, desk)
        return False
    if sent is None and not base.state.is_in_doubt and not all(map(desk.is_ours, bundle)):
        return False  # planned since by another campaign or partner, whose rules and approvals are not ours
    try:
        # Also without an open command: who noted the answer may have died before the state followed.
        if migrates and (sent is not None or base.state.is_in_doubt) and await _find(bundle, sent, desk):
            return False
        # An order that exists is nobody's decision any more: asking for its answer again buys nothing.
        if sent is not None and not migrates and await _is_ordered(base, sent, desk):
            return await _purchase(bundle, sent, desk, writer, _anything_goes)
        await desk.refuse_unless_it_may_buy()
        look = await Look.begin(desk, bundle)
        stop = await last_look(bundle, whole, desk, look.campaign, resending=sent is not None)
        if stop is not None:
            return await _leave_unbought(bundle, stop, sent, desk)
        return await (_migrate if migrates else _purchase)(bundle, sent, desk, writer, look.still_holds)
    except ForbiddenSince as since:
        return await _leave_unbought(bundle, since.stop, sent, desk)
    except MayNotBuy as halted:
        desk.halted = str(halted)
        if sent is not None:
            why = f"sent before, unanswered, not sent again: {halted}"
            await desk.move(bundle, ConversionState.UNKNOWN, why)
        return False
    except PartnerCenterFault as fault:
        return await _read_failed(bundle, fault, desk, unknown=sent is not None)


async def _anything_goes(_: Ledger) -> None:
    """For what buys nothing."""


async def _leave_unbought(bundle: Sequence[Conversion], stop: Stop, sent: Command | None, desk: Desk) -> bool:
    state, reason = stop
    if sent is not None:
        state, reason = ConversionState.UNKNOWN, f"sent before, unanswered, not sent again: {reason}"
    await desk.move(bundle, state, reason)
    return False


async def _migrate(
    bundle: Sequence[Conversion], sent: Command | None, desk: Desk, writer: SingleWriter, last_word: LastWord
) -> bool:
    """What was sent and not answered is sent again word for word; else what the customer holds now."""
    base = bundle[0]
    payload = await _migration_payload(bundle, desk) if sent is None else dict(sent.payload)

    def asked(line: Mapping[str, Any], *others: Mapping[str, Any]) -> ConversionRequest:
        return ConversionRequest(
            legacy_id=line["legacy"],
            customer_id=base.customer_id,
            term=line["term"],
            billing=line["billing"],
            seats=line["seats"],
            add_ons=tuple(asked(other) for other in others),
            reference=payload["reference"] if line is payload["lines"][0] else None,
        )

    request = asked(*payload["lines"])

    async def create(departure: Departure, members: Sequence[Conversion]) -> Answered:
        migration, answered = await desk.partner_center.create_migration(request, departure=departure)
        desk.saw(members)
        await _accept_migration(bundle, migration, desk)
        return answered

    return await _send(bundle, payload, create, desk, writer, last_word)


async def _migration_payload(bundle: Sequence[Conversion], desk: Desk) -> dict[str, Any]:
    """The base first, then its add-ons; term and billing only where they differ from legacy's."""
    holdings = {s.subscription_id: s for s in await desk.fresh(bundle[0].customer_id)}
    lines = []
    for line in bundle:
        legacy = holdings[line.legacy_id]
        lines.append(
            {
                "legacy": line.legacy_id,
                "seats": seats_to_buy(line, legacy),
                "term": line.term if line.term != legacy.term else None,
                "billing": line.billing if line.billing != legacy.billing else None,
            }
        )
    return {"reference": bundle[0].reference, "lines": lines}


async def _accept_migration(bundle: Sequence[Conversion], migration: Migration, desk: Desk) -> None:
    parts = {part.legacy_id: part for part in migration.flattened()}
    # The base comes last: as long as it is not accepted, its add-ons are looked at again.
    for member in reversed(bundle):
        part = parts.get(member.legacy_id)
        with suppress(Overtaken):  # whoever has moved it knows of the same migration, and more
            await desk.move(
                [member],
                ConversionState.ACCEPTED,
                "Microsoft is migrating it",
                migration_id=migration.migration_id,
                nce_subscription_id=part.nce_subscription_id if part else None,
                order_id=part.nce_order_id if part else None,
            )


async def _is_ordered(base: Conversion, sent: Command, desk: Desk) -> bool:
    cart = await desk.partner_center.cart(base.customer_id, str(sent.payload["cart"]))
    return cart is not None and cart.ordered


async def _was_ordered_before(base: Conversion, command: Command, desk: Desk) -> bool:
    """A refusal of the second checkout says nothing of the first, which may have ordered the cart."""
    if command.kind is not CommandKind.CHECK_OUT:
        return False
    try:
        return await _is_ordered(base, command, desk)
    except PartnerCenterFault:
        return True  # as far as anybody knows


async def _purchase(
    bundle: Sequence[Conversion], sent: Command | None, desk: Desk, writer: SingleWriter, last_word: LastWord
) -> bool:
    """A cart costs nothing and expires by itself, so until a checkout was sent it is simply made anew."""
    base = bundle[0]
    if sent is None:
        made = await _fill_cart(bundle, desk)
        if made is None:
            return False
        cart_id, lines = made
    else:
        cart_id = str(sent.payload["cart"])
        lines = [
            PurchaseLine(line["legacy"], CatalogueTarget.model_validate(line["item"]), line["seats"])
            for line in sent.payload["lines"]
        ]
        if await desk.partner_center.cart(base.customer_id, cart_id) is None:
            await desk.move(
                bundle, ConversionState.STRANDED,
                f"cart {cart_id} was sent to checkout and is gone: a person looks for its order",
            )  # fmt: skip
            return False

    async def check_out(departure: Departure, members: Sequence[Conversion]) -> Answered:
        purchase, answered = await desk.partner_center.check_out(
            base.customer_id, cart_id, lines, departure=departure
        )
        desk.saw(members)
        await _accept_purchase(bundle, purchase, desk)
        return answered

    payload = {
        "cart": cart_id,
        "lines": [{"legacy": line.legacy_id, "seats": line.seats, "item": line.target.model_dump()}
                  for line in lines],
    }  # fmt: skip
    return await _send(bundle, payload, check_out, desk, writer, last_word)


async def _fill_cart(bundle: Sequence[Conversion], desk: Desk) -> tuple[str, Sequence[PurchaseLine]] | None:
    """A new cart, noted with the base. None when there is nothing to check out; the lines say why."""
    base = bundle[0]
    campaign = await desk.ledger.campaign(desk.run.campaign)
    holdings = {s.subscription_id: s for s in await desk.fresh(base.customer_id)}
    lines = []
    for member in bundle:
        target = _target(member, campaign)
        if target is None:
            why = f"no purchase mapping for offer {member.offer_id}"
            await desk.move(bundle, ConversionState.REFUSED, why)
            return None
        lines.append(PurchaseLine(member.legacy_id, target, seats_to_buy(member, holdings[member.legacy_id])))
    cart, _ = await desk.partner_center.create_cart(
        base.customer_id, lines, partner_mpn_id=desk.run.partner.mpn_id, request_id=str(uuid.uuid4())
    )
    if cart.faults:
        why = "; ".join(f"{fault.description} (code {fault.code})" for fault in cart.faults)
        await desk.move(bundle, ConversionState.REFUSED, f"Partner Center refuses the cart: {why}")
        return None
    await desk.move(bundle, ConversionState.PLANNED, "cart made", cart_id=cart.cart_id)
    return cart.cart_id, lines


def _target(member: Conversion, campaign: Campaign) -> CatalogueTarget | None:
    offer = campaign.offer(member.offer_id)
    if offer is None or offer.purchase is None:
        return None
    changes = {"term": member.term, "billing": member.billing}
    return offer.purchase.model_copy(update={k: v for k, v in changes.items() if v is not None})


async def _accept_purchase(bundle: Sequence[Conversion], purchase: Purchase, desk: Desk) -> None:
    """A success can carry errors: each line is accepted or refused on its own, the base last.

    A line with neither an order nor an error may have been ordered all the same: never bought again unasked.
    """
    refused = {fault.legacy_id: fault for fault in purchase.faults}
    for member in reversed(bundle):
        order_id = purchase.order_ids.get(member.legacy_id)
        if order_id is None:
            fault = refused.get(member.legacy_id) or refused.get(None)
            if fault is not None:
                why = f"Partner Center refuses: {fault.description} (code {fault.code})"
                await desk.move([member], ConversionState.REFUSED, why)
                continue
            await desk.move(
                [member], ConversionState.STRANDED,
                f"cart {purchase.cart_id} was checked out, and neither an order nor an error came back for "
                "it: a person looks for its order",
            )  # fmt: skip
            continue
        with suppress(Overtaken):  # whoever has moved it had the same cart checked out
            await desk.move(
                [member],
                ConversionState.ACCEPTED,
                "ordered, waiting until it is active",
                order_id=order_id,
                nce_subscription_id=purchase.subscription_ids.get(member.legacy_id),
            )


async def _send(
    bundle: Sequence[Conversion],
    payload: dict[str, Any],
    call: Call,
    desk: Desk,
    writer: SingleWriter,
    last_word: LastWord,
) -> bool:
    """True when a little more time may help."""
    base = bundle[0]
    members = [desk.seen[member.conversion_id] for member in bundle]
    outcome = await send(
        Intent(members, CommandKind.purchase(base.route), payload, moves_to=ConversionState.SENT),
        call,
        last_word=last_word,
        writer=writer,
        ledger=desk.ledger,
        clock=desk.clock,
        arrived_before=lambda command: _was_ordered_before(base, command, desk),
    )
    if outcome.fault is None:
        return False
    desk.saw(outcome.members)
    if outcome.outcome is None:
        return await _read_failed(bundle, outcome.fault, desk, unknown=outcome.command.sent)
    return await _write_failed(bundle, outcome, outcome.fault, desk)


async def _write_failed(
    bundle: Sequence[Conversion], outcome: Outcome, fault: PartnerCenterFault, desk: Desk
) -> bool:
    if outcome.outcome is CommandOutcome.LOST:
        what = (
            "no usable answer" if fault.leaves_effect_unknown else "sent before, and this says nothing of it"
        )
        await desk.move(bundle, ConversionState.UNKNOWN, f"{what}: {fault.sentence}")
        desk.wait_seconds = max(desk.wait_seconds, fault.retry_after_seconds or 0.0)
        return True
    if fault.failure_class is FailureClass.WAIT:
        return await _wait(bundle, fault, desk)
    if fault.failure_class is FailureClass.RECONCILE:
        desk.holdings.clear()
        holdings = await desk.fresh(bundle[0].customer_id)
        successor = successor_of(bundle[0].legacy_id, holdings)
        if successor is not None:
            await desk.move(
                bundle,
                ConversionState.BY_OTHERS,
                f"somebody else moved it to NCE subscription {successor.subscription_id}",
            )
            return False
    await desk.move(bundle, ConversionState.REFUSED, fault.sentence)
    return False


async def _wait(bundle: Sequence[Conversion], fault: PartnerCenterFault, desk: Desk) -> bool:
    """Nothing was bought; the answer says how long to wait. True when this execution has that patience."""
    seconds = fault.retry_after_seconds if fault.retry_after_seconds is not None else SHORTEST_PAUSE_SECONDS
    not_before_at = await desk.clock.now() + timedelta(seconds=seconds)
    await desk.move(bundle, ConversionState.WAITING, fault.sentence, not_before_at=not_before_at)
    desk.wait_seconds = max(desk.wait_seconds, seconds)
    return seconds <= LONGEST_PAUSE_SECONDS


async def _read_failed(
    bundle: Sequence[Conversion], fault: PartnerCenterFault, desk: Desk, *, unknown: bool
) -> bool:
    """A look failed, or the client could not sign in, so nothing was sent now. What was unknown before stays
    unknown. What our own credentials lack says nothing of a line: the others are looked at, and the task says
    it."""
    if fault.failure_class is FailureClass.PROVIDER_ACTS:
        desk.provider_fault = fault
        return False
    if unknown:
        await desk.move(bundle, ConversionState.UNKNOWN, f"could not be looked up: {fault.sentence}")
        return fault.failure_class in (FailureClass.WAIT, FailureClass.LOOK_FIRST)
    if fault.failure_class is FailureClass.WAIT:
        return await _wait(bundle, fault, desk)
    if fault.failure_class is FailureClass.LOOK_FIRST:
        await desk.move(bundle, ConversionState.WAITING, fault.sentence)
        return True
    await desk.move(bundle, ConversionState.REFUSED, fault.sentence)
    return False


async def _note_forgotten(base: Conversion, command: Command, desk: Desk) -> None:
    """Whoever bought it died between the record of the purchase and that of its answer."""
    body = {"migration": base.migration_id, "order": base.order_id, "state": base.state.value}
    await note_sight(command, CommandOutcome.FOUND, body, ledger=desk.ledger, clock=desk.clock)


async def _find(bundle: Sequence[Conversion], command: Command | None, desk: Desk) -> bool:
    """Look whether the migration that was sent has arrived. True when that settles it, either way.

    The conversion moves before the command is answered: a crash in between leaves a question, not a loss.
    """
    base = bundle[0]
    ours: list[Migration] = []
    others: list[Migration] = []
    async for migration in desk.partner_center.migrations(
        customer_id=base.customer_id, legacy_id=base.legacy_id
    ):
        if migration.reference != base.reference:
            others.append(migration)
        elif migration.migration_id != base.migration_id:  # the one known already is of an earlier try
            ours.append(migration)
    if ours:
        latest = max(ours, key=lambda m: m.started_at.timestamp() if m.started_at else 0.0)
        await _accept_migration(bundle, latest, desk)
        if command is not None:
            await note_sight(
                command, CommandOutcome.FOUND, _sight(latest), ledger=desk.ledger, clock=desk.clock
            )
        return True
    others = [migration for migration in others if migration.state is not MigrationState.FAILED]
    if not others:
        return False
    gone = {s.subscription_id for s in await desk.fresh(base.customer_id) if is_over(s)}
    # One that was undone afterwards has no successor and stands in nobody's way.
    standing = next((m for m in others if m.nce_subscription_id not in gone), None)
    if standing is None:
        return False
    await desk.move(
        bundle, ConversionState.BY_OTHERS, f"somebody else's migration {standing.migration_id} has it"
    )
    if command is not None:
        await note_sight(
            command, CommandOutcome.REFUSED, _sight(standing), ledger=desk.ledger, clock=desk.clock
        )
    return True


def _sight(migration: Migration) -> dict[str, Any]:
    return {
        "migration": migration.migration_id,
        "state": migration.state.value,
        "reference": migration.reference,
    }
