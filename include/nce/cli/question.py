"""The question before something is started again: what it would do, and whether it may."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from include.nce.cli.display import say
from include.nce.cli.entry import Unavailable
from include.nce.domain.errors import InputRefused

YesOption = Annotated[
    bool, typer.Option("--yes", "-y", help="Agree beforehand; needed where there is no terminal to ask on.")
]


def ask(would_do: str, *, yes: bool) -> None:
    """Show what would be done, and return once a person has agreed.

    Raises InputRefused where nobody can be asked, Unavailable when the answer is anything but yes.
    """
    say(f"This would do: {would_do}")
    if yes:
        return
    if not _has_terminal():
        raise InputRefused(["There is no terminal to ask on, and nothing was started: agree with --yes."])
    sys.stderr.write("Go on? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Unavailable("Nothing was started.")


def _has_terminal() -> bool:
    return sys.stdin.isatty()
