"""``python -m scripts.demo``: what ``make demo`` runs.

Exit code 0 when the story ended as it expects, 1 when it did not or could not be played, 130 after Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from scripts.demo.rehearsal import Rehearsal
from scripts.stack.errors import StackError
from scripts.stack.installation import Installation
from scripts.stack.stack import Stack

DEFAULT_MINUTES = 15.0


def demo(
    scenario: Annotated[str, typer.Option(envvar="SCENARIO", help="Another story.")] = "",
    roster: Annotated[str, typer.Option(envvar="ROSTER", help="Its partners: a path or URL.")] = "",
) -> None:
    """Rehearse a campaign from its first day to its last, or go on where an earlier call stood."""
    console = Console()
    stack = Stack(
        Installation.from_environment(), say=lambda line: console.print(line, markup=False, highlight=False)
    )
    rehearsal = Rehearsal(
        stack,
        console,
        _minutes(os.environ.get("NCE_DEMO_MINUTES") or str(DEFAULT_MINUTES)),
        Path(scenario).expanduser() if scenario else None,
        _absolute(roster) if roster else None,
    )
    as_expected = rehearsal.run()
    print(*stack.installation.logins, sep="\n")
    print("`make down` stops everything, `make reset` deletes it.")
    raise typer.Exit(0 if as_expected else 1)


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes < 24 * 60:
        raise StackError(
            f"NCE_DEMO_MINUTES is {text!r}; set it to the minutes a rehearsal may take, for example 15."
        )
    return minutes


def _absolute(roster: str) -> str:
    """A URL as it is, a path as every process of the stack can open it."""
    if "://" in roster:
        return roster
    path = Path(roster).expanduser().resolve()
    if not path.is_file():
        raise StackError(f"The roster {path} is no file; name a CSV or JSON list of partners.")
    return str(path)


if __name__ == "__main__":
    try:
        typer.run(demo)
    except StackError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print(
            "\nThe campaign clock stands still, all else runs on. `make demo` goes on, `make down` stops it."
        )
        sys.exit(130)
