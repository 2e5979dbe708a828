"""Commands: the intention to write to Partner Center, what became of it, and the answer.

Recorded before anything is sent, so that a process that dies leaves a question and never a loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from include.nce.domain.conversion import Overtaken, Route


class CommandKind(str, Enum):
    """Everything that is ever written to Partner Center for a conversion and has an effect there."""

    CREATE_MIGRATION = "create_migration"
    CHECK_OUT = "check_out"
    SUSPEND_LEGACY = "suspend_legacy"
    REACTIVATE_LEGACY = "reactivate_legacy"
    CANCEL_NCE = "cancel_nce"

    @classmethod
    def purchase(cls, route: Route) -> CommandKind:
        """The kind that buys by this route."""
        return cls.CREATE_MIGRATION if route is Route.MIGRATE else cls.CHECK_OUT

    @property
    def buys(self) -> bool:
        return self in (CommandKind.CREATE_MIGRATION, CommandKind.CHECK_OUT)


class CommandOutcome(str, Enum):
    """What became of a command.

    `lost`: no usable answer came, so it may have arrived. `found`: it was looked up and had arrived.
    `not_found`: it never left.
    """

    ACCEPTED = "accepted"
    REFUSED = "refused"
    LOST = "lost"
    FOUND = "found"
    NOT_FOUND = "not_found"

    @property
    def answers(self) -> bool:
        """It closes the command. A lost answer does not: its outcome is unknown."""
        return self is not CommandOutcome.LOST


@dataclass(frozen=True)
class Command:
    """One recorded intention to write to Partner Center.

    `request_id` is made with the intention and stays for every resend while the outcome is unknown. `sent`
    is True once the note "about to send" is committed, `answered` once an answer is.
    """

    command_id: int
    kind: CommandKind
    legacy_id: str
    request_id: str
    payload: Mapping[str, Any]
    sent: bool
    answered: bool


@dataclass(frozen=True)
class Answered:
    """A write that was answered: the ids to find it again, and what came back."""

    request_id: str
    correlation_id: str | None
    status: int
    body: Any


class AnsweredAlready(Overtaken, ValueError):
    """Another process has settled what became of this command: it is never sent again."""
