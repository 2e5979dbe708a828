"""How every command runs, and how every failure ends: in sentences and an exit code, never in a traceback."""

from __future__ import annotations

import asyncio
import functools
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, ParamSpec

from typer.core import TyperGroup
from typer.exceptions import TyperException

from include.nce.domain.errors import InputRefused

UNAVAILABLE = 1
REFUSED = 2
INTERRUPTED = 130
TRACEBACK_VARIABLE = "NCE_TRACEBACK"

P = ParamSpec("P")


class Unavailable(Exception):
    """The ledger, Airflow or a run did not do its part; the message is one sentence for an operator."""


class Entry(TyperGroup):
    """The root of the commands: catches whatever a command raises."""

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        kwargs["standalone_mode"] = False
        sys.exit(_exit_code(lambda: super(Entry, self).main(*args, **kwargs)))


def as_command(work: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A coroutine function as a command of typer's, with its signature."""

    @functools.wraps(work)
    def command(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(work(*args, **kwargs))

    return command


def _exit_code(run: Callable[[], Any]) -> int:
    try:
        code = run() or 0
        sys.stdout.flush()
    except InputRefused as refused:
        return _fail(refused.faults, REFUSED)
    except Unavailable as unavailable:
        return _fail([str(unavailable)], UNAVAILABLE)
    except TyperException as misused:
        # `nce` alone has printed its help, and has nothing to add.
        message = misused.format_message()
        context = getattr(misused, "ctx", None)
        hint = f" Help: {context.command_path} --help" if context is not None else ""
        ended = message if message.endswith((".", "?")) else f"{message}."
        return _fail([f"{ended}{hint}"] if message else [], misused.exit_code)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # `nce status | head`: who reads has seen enough. Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as fault:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        return _fail(
            [
                f"nce failed with {type(fault).__name__}, a fault of its own: set {TRACEBACK_VARIABLE}=1, "
                "run it again, and hand what it prints to engineering."
            ],
            UNAVAILABLE,
        )
    return int(code)


def _fail(sentences: list[str], code: int) -> int:
    for sentence in sentences:
        sys.stderr.write(f"{sentence}\n")
    return code
