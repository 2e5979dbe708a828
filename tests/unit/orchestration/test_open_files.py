"""A process gets the open files that so many waits need, or says why it cannot."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from include.nce.domain.errors import InputRefused
from include.nce.orchestration.open_files import make_room
soft, hard, waits = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
try:
    make_room(waits)
except InputRefused as refused:
    print(refused)
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def limits(soft: int, hard: int, waits: int) -> list[str]:
    """What a process with these limits says, and which it has afterwards."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(soft), str(hard), str(waits)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("soft", "hard", "waits", "after"),
    [(1024, 4096, 2000, "3000 4096"), (4096, 4096, 2000, "4096 4096"), (1024, 3000, 2000, "3000 3000")],
)
def test_the_soft_limit_is_raised_to_what_the_waits_need(
    soft: int, hard: int, waits: int, after: str
) -> None:
    assert limits(soft, hard, waits) == [after]


def test_a_hard_limit_that_is_too_low_is_told_with_what_to_do() -> None:
    sentence, after = limits(1024, 2048, 2000)
    assert sentence.startswith("2000 waits need 3000 open files, and this machine allows a process 2048")
    assert "administrator raises it" in sentence
    assert "[triggerer] capacity" in sentence
    assert after == "1024 2048"
