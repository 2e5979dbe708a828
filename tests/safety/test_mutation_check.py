"""The mutation check knows the words of each guard, and what was tried is added up.

Running the check itself takes minutes and belongs to `make test-safety`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import safety, tally
from scripts.mutation_check import MUTANTS, Mutant
from scripts.stack.installation import CHECKOUT


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.guard)
def test_every_guard_stands_where_the_mutation_check_takes_it_away(mutant: Mutant) -> None:
    assert (CHECKOUT / mutant.file).read_text().count(mutant.old) == 1
    assert mutant.new != mutant.old
    assert all((CHECKOUT / test).is_file() for test in mutant.watched_by)


def test_every_part_of_the_proof_is_there() -> None:
    named = [word for part in safety.PARTS for word in part.command if word.startswith("tests/")]
    assert named
    assert all((CHECKOUT / test).is_file() for test in named)


def test_what_was_tried_in_several_waves_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tally.VARIABLE, str(tmp_path / "tally"))
    for times, violations in ((3, 0), (4, 1)):
        tally.note("crash points", "buy_nce: killed", times, violations)
    tally.note("a storm", "throttled", 5, 0)
    assert safety.added_up(tally.read(tmp_path / "tally")) == [
        tally.Tried("crash points", "buy_nce: killed", 7, 1),
        tally.Tried("a storm", "throttled", 5, 0),
    ]
