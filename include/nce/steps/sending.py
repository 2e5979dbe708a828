"""The one place from which a conversion's writes leave for Partner Center.

Purchase, suspension and undo go the same way. The lock is looked at and the intention is committed. Once the
client is signed in, has its share of the call budget and is connected, the last word begins: one short
transaction of the ledger reads what was said until this moment, and notes that the command leaves. Then the
lock and the age of that look are checked, and the bytes leave. What is on record when they do binds them.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from include.nce.domain.command import Answered, Command, CommandKind, CommandOutcome
from include.nce.domain.conversion import Conversion, ConversionState
from include.nce.domain.errors import Busy, FailureClass, PartnerCenterFault
from include.nce.steps.ports import Clock, Ledger, SingleWriter

LOOK_GOOD_FOR_SECONDS = 2.0
"""How old the last word may be when the bytes leave; one that is older is taken again."""
LOOKS = 3
"""How often the last word is taken before the send is left to a later try."""

_CONFLICT = 409


class LockLost(Exception):
    """The single-writer lock is gone: another process may be sending, so this one must not."""


@dataclass(frozen=True)
class Intent:
    """What is to be written: the members of a bundle as they were seen, the base first, and the payload.

    `moves_to` is the state in which the members are once it has left; None: they stay where they are.
    """

    members: Sequence[Conversion]
    kind: CommandKind
    payload: Mapping[str, Any]
    moves_to: ConversionState | None = None

    @property
    def base(self) -> Conversion:
        return self.members[0]


class Departure:
    """The right to let one recorded command leave. Only `send` gives one, and no write can be made without.

    The client calls `leave` for each attempt, when nothing but the bytes is left to do.
    """

    def __init__(self, request_id: str, leave: Callable[[], Awaitable[None]]) -> None:
        self.request_id = request_id
        self._leave = leave
        self.left = False
        """Whether an attempt was let go."""

    async def leave(self) -> None:
        """Return when the bytes may leave now; raises what keeps them here."""
        await self._leave()
        self.left = True


@dataclass(frozen=True)
class Outcome:
    """What became of one try. `outcome` None: nothing left in this try, and `fault` says why."""

    command: Command
    outcome: CommandOutcome | None
    members: Sequence[Conversion]
    """As they are on record now, in the order of the intent."""
    fault: PartnerCenterFault | None = None


Call = Callable[[Departure, Sequence[Conversion]], Awaitable[Answered]]
"""Writes with the departure, and moves the members, as they are once it has left, by the answer: a process
that dies in between leaves a question, and no loss."""
LastWord = Callable[[Ledger], Awaitable[None]]
"""Reads what was said until now from the ledger that it is handed, and raises what forbids the send."""


async def send(
    intent: Intent,
    call: Call,
    *,
    last_word: LastWord,
    writer: SingleWriter,
    ledger: Ledger,
    clock: Clock,
    arrived_before: Callable[[Command], Awaitable[bool]] | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Intention, last word, one send, answer.

    What was intended and never left is closed and replaced when the payload is another one by now. A refusal
    of a second try says nothing of the first: `arrived_before` looks it up. Raises `LockLost`, `Busy` and
    `Overtaken` when another process is at it, and whatever `last_word` raises.
    """
    await _refuse_without_lock(writer, intent.base)
    command = await _intend(intent, ledger, clock)
    members = list(intent.members)

    async def leave() -> None:
        for _ in range(LOOKS):
            # The ledger that is handed out here is one transaction, in which nobody else says anything.
            async with ledger.last_word(intent.base.campaign, intent.base.partner) as standing:
                looked_at = monotonic()
                await last_word(standing)
                now_at = await clock.now()
                await standing.note_sending(command.command_id, at=now_at)
                if intent.moves_to is not None:
                    members[:] = [
                        await standing.advance(member, intent.moves_to, at=now_at) for member in members
                    ]
            await _refuse_without_lock(writer, intent.base)
            if monotonic() - looked_at <= LOOK_GOOD_FOR_SECONDS:
                return
        raise Busy("The ledger is too slow for a send that heeds what was said: it is tried again.")

    departure = Departure(command.request_id, leave)
    try:
        answered = await call(departure, members)
    except PartnerCenterFault as fault:
        if not departure.left:
            return Outcome(command, None, members, fault)
        lost = _may_have_arrived(command, fault) or (
            command.sent and arrived_before is not None and await arrived_before(command)
        )
        outcome = CommandOutcome.LOST if lost else CommandOutcome.REFUSED
        await ledger.note_answer(
            command.command_id, at=await clock.now(), outcome=outcome, status=fault.status, code=fault.code,
            correlation_id=fault.correlation_id, body=fault.body,
        )  # fmt: skip
        return Outcome(command, outcome, members, fault)
    await ledger.note_answer(
        command.command_id, at=await clock.now(), outcome=CommandOutcome.ACCEPTED, status=answered.status,
        code=None, correlation_id=answered.correlation_id, body=answered.body,
    )  # fmt: skip
    return Outcome(command, CommandOutcome.ACCEPTED, members)


async def note_sight(
    command: Command, outcome: CommandOutcome, body: Mapping[str, Any], *, ledger: Ledger, clock: Clock
) -> None:
    """Answer a command by what was seen, where no answer of Partner Center's came."""
    await ledger.note_answer(
        command.command_id, at=await clock.now(), outcome=outcome, status=None, code=None,
        correlation_id=None, body=body,
    )  # fmt: skip


async def _intend(intent: Intent, ledger: Ledger, clock: Clock) -> Command:
    command = await ledger.intend(intent.base, intent.kind, intent.payload, at=await clock.now())
    if command.sent or command.payload == intent.payload:
        return command
    # Left behind by a crash and never sent; what is sent now is another one.
    await note_sight(command, CommandOutcome.NOT_FOUND, {"never_sent": True}, ledger=ledger, clock=clock)
    return await ledger.intend(intent.base, intent.kind, intent.payload, at=await clock.now())


async def _refuse_without_lock(writer: SingleWriter, base: Conversion) -> None:
    """Asked before the intention, so that an orphan leaves none behind, and right before the bytes leave."""
    if not await writer.still_held():
        raise LockLost(f"the lock of subscription {base.legacy_id} is gone; nothing was sent")


def _may_have_arrived(command: Command, fault: PartnerCenterFault) -> bool:
    """Now, or the time before. A conflict says that it is being worked on, and only we know of it."""
    if fault.leaves_effect_unknown or fault.status == _CONFLICT:
        return True
    return command.sent and fault.failure_class in (FailureClass.WAIT, FailureClass.RECONCILE)
