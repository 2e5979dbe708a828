"""``python -m scripts.stack up|down|reset|status|run``: the stack from the command line.

Exit code 0 when it is as asked, 1 with one sentence on standard error when it is not.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from scripts.stack.errors import StackError
from scripts.stack.installation import Installation
from scripts.stack.stack import HEALTHY, Stack

cli = typer.Typer(
    add_completion=False, no_args_is_help=True, help="The stack of a rehearsal on this machine."
)


@cli.command()
def up(
    scenario: Annotated[Path | None, typer.Option(help="The story; left out: the one in progress.")] = None,
) -> None:
    """Bring everything up; what runs is kept, what is half dead is repaired."""
    stack = Stack(Installation.from_environment())
    stack.up(scenario)
    print(f"Airflow answers at {stack.installation.airflow_url}")


@cli.command()
def down() -> None:
    """Stop everything and keep the data."""
    Stack(Installation.from_environment()).down()
    print("Everything is stopped; `make demo` goes on where it stood.")


@cli.command()
def reset() -> None:
    """Stop everything and delete the data."""
    Stack(Installation.from_environment()).reset()
    print("Everything is stopped and deleted; `make demo` starts from the beginning.")


@cli.command()
def status() -> None:
    """Say what runs, and who may log in; exit code 1 when only a part of it runs."""
    stack = Stack(Installation.from_environment())
    states = stack.status()
    if not any(state.pid for state in states):
        print("Nothing of the rehearsal runs; `make demo` starts it, or goes on where it stood.")
        return
    for state in states:
        process = f"process {state.pid}" if state.pid else "-"
        log = os.path.relpath(state.log)
        print(f"{state.name:<14}{state.health:<22}{process:<16}{state.address:<24}{log}")
    if any(state.health != HEALTHY for state in states):
        raise StackError("Not everything is well; `make demo` repairs it and goes on.")
    print(*stack.installation.logins, sep="\n")


@cli.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(context: typer.Context) -> None:
    """Run a command in the stack's environment: ``run airflow dags list``."""
    if not context.args:
        raise StackError(
            "Say which command to run, for example: python -m scripts.stack run airflow dags list."
        )
    environment = Stack(Installation.from_environment()).environment()
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
    os.execvpe(context.args[0], context.args, environment)


if __name__ == "__main__":
    try:
        cli()
    except StackError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
