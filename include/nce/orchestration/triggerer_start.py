"""What a triggerer makes sure of before it takes its first wait, however it is started.

Airflow calls this listener in each of its processes as it begins. The triggerer's first process holds the
logs of all waits open; the one in which the waits run is started by it, and could not raise its limit.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from airflow.listeners import hookimpl

from include.nce.domain.errors import InputRefused
from include.nce.orchestration.open_files import make_room


@hookimpl
def on_starting(component: object) -> None:
    """Give a triggerer the open files that its waits need, or end it with a sentence.

    The component does not know yet what it is, so the command says it.
    """
    if sys.argv[1:2] != ["triggerer"]:
        return
    try:
        make_room(_waits_at_once(sys.argv[2:]))
    except InputRefused as refused:
        # Airflow goes on after any other exception.
        sys.exit(" ".join(refused.faults))


def _waits_at_once(arguments: Sequence[str]) -> int:
    """The capacity on the command line, else the configured one."""
    from airflow.configuration import conf

    command = ArgumentParser(add_help=False, allow_abbrev=False)
    command.add_argument("--capacity", type=int, default=conf.getint("triggerer", "capacity"))
    capacity: int = command.parse_known_args(arguments)[0].capacity
    return capacity
