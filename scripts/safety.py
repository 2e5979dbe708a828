"""``python -m scripts.safety``: the whole proof that money is safe, with a table of what was tried.

Runs the safety tests in full and the mutation check, each as a program of its own, and adds up what they
noted. Exit code 0 when every part passed and nothing was violated. `--only PART` runs one part.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.table import Table

from scripts import tally
from scripts.stack.installation import CHECKOUT


@dataclass(frozen=True)
class Part:
    """One program, and what it shows."""

    name: str
    shows: str
    command: tuple[str, ...]


def _pytest(*tests: str) -> tuple[str, ...]:
    return ("-m", "pytest", "-q", "--no-header", "--show-capture=no", *tests)


PARTS = (
    Part(
        "steps",
        "the rules step by step, a crash or two at any call, the locks and the ledger's word",
        _pytest(
            "tests/unit/steps/test_buy_nce.py",
            "tests/unit/steps/test_cancel_legacy.py",
            "tests/unit/steps/test_crash_at_every_call.py",
            "tests/unit/steps/test_crash_twice.py",
            "tests/unit/steps/test_any_order_of_trouble.py",
            "tests/integration/ledger/test_two_at_once.py",
            "tests/integration/ledger/test_contract.py",
        ),
    ),
    Part("storm", "a campaign of 50 partners in a storm", _pytest("tests/safety/test_storm.py")),
    Part("any-order", "anything in any order", _pytest("tests/safety/test_any_order.py")),
    Part(
        "crash-points",
        "every crash point in a real Airflow",
        _pytest("tests/safety/test_crash_points.py", "-p", "no:randomly"),
    ),
    Part("mutants", "the tests notice when a guard is missing", ("-m", "scripts.mutation_check")),
)


def main(arguments: list[str]) -> int:
    """Run the parts; 0 when all is well."""
    console = Console()
    chosen = [part for part in PARTS if not arguments or part.name in arguments[1:]]
    if (arguments and arguments[0] != "--only") or not chosen:
        console.print(f"Usage: python -m scripts.safety [--only {'|'.join(part.name for part in PARTS)}]")
        return 2
    results: list[tuple[Part, bool, float]] = []
    with tempfile.TemporaryDirectory(prefix="nce-safety-") as folder:
        notes = Path(folder) / "tally.jsonl"
        for part in chosen:
            console.print(f"[bold]{part.name}[/]: {part.shows}")
            began = time.monotonic()
            done = subprocess.run(
                [sys.executable, *part.command],
                cwd=CHECKOUT,
                env={**os.environ, "NCE_SAFETY": "full", tally.VARIABLE: str(notes)},
                check=False,
            )
            results.append((part, done.returncode == 0, time.monotonic() - began))
        tried = added_up(tally.read(notes))
    console.print(_tried_table(tried))
    console.print(_parts_table(results))
    violations = sum(each.violations for each in tried)
    console.print(f"{sum(each.times for each in tried)} faults happened, violations = {violations}.")
    return 0 if violations == 0 and all(passed for _, passed, _ in results) else 1


def added_up(tried: list[tally.Tried]) -> list[tally.Tried]:
    """One line a fault, in the order in which they were first noted."""
    sums: dict[tuple[str, str], tally.Tried] = {}
    for each in tried:
        key = each.part, each.fault
        sums[key] = sums[key] + each if key in sums else each
    return list(sums.values())


def _tried_table(tried: list[tally.Tried]) -> Table:
    table = Table(title="What was tried")
    table.add_column("fault")
    table.add_column("how often", justify="right")
    table.add_column("violations", justify="right")
    for part, lines in groupby(tried, key=lambda each: each.part):
        table.add_section()
        table.add_row(f"[bold]{part}[/]", "", "")
        for line in lines:
            table.add_row(line.fault, str(line.times), str(line.violations))
    return table


def _parts_table(results: list[tuple[Part, bool, float]]) -> Table:
    table = Table(title="Parts")
    table.add_column("part")
    table.add_column("what it shows")
    table.add_column("result")
    table.add_column("minutes", justify="right")
    for part, passed, seconds in results:
        table.add_row(
            part.name, part.shows, "passed" if passed else "[bold red]failed[/]", f"{seconds / 60:.1f}"
        )
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
