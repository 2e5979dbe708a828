"""Who puts something on record, and why. Neither is ever empty, whichever way the person came."""

from __future__ import annotations

from dataclasses import dataclass

from include.nce.domain.errors import InputRefused

LONGEST_NAME = 200
LONGEST_REASON = 500


@dataclass(frozen=True)
class Author:
    """The name under which a person's word goes on record. Raises `InputRefused` for one that is empty."""

    name: str

    def __post_init__(self) -> None:
        name = _shown(self.name)
        if not name:
            raise InputRefused(["name: it is empty; what a person says goes on record under a name."])
        if len(name) > LONGEST_NAME:
            raise InputRefused([f"name: write at most {LONGEST_NAME} characters."])
        object.__setattr__(self, "name", name)

    def __str__(self) -> str:
        return self.name


def given_reason(text: str) -> str:
    """The reason as it goes on record. Raises `InputRefused` for an empty and for an endless one."""
    reason = _shown(text)
    if not reason:
        raise InputRefused(["reason: it is empty; say why, it stays on record."])
    if len(reason) > LONGEST_REASON:
        raise InputRefused([f"reason: write at most {LONGEST_REASON} characters."])
    return reason


def _shown(text: str) -> str:
    """On one line, without what no reader sees and no database keeps."""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()
