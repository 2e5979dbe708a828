"""A triggerer gets the open files that its waits need, in the process that holds them, however it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]
PROGRAM = """
import os, resource, sys
from airflow.jobs.job import Job

for line in sys.stdin.read().splitlines():
    hard, *command = line.split()
    sys.stdout.flush()
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, int(hard)))
        sys.argv = ["airflow", *command]
        Job(heartrate=1)
        print(*resource.getrlimit(resource.RLIMIT_NOFILE))
        sys.exit()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print("ended with", code)
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What Airflow's processes say and have as limits once they began: `hard limit, command` -> lines."""
    begun = {
        "9000 triggerer": [],
        "9000 triggerer --skip-serve-logs --capacity 500": [],
        "9000 scheduler": [],
        "2900 triggerer": [],
        "2900 triggerer --capacity 500": [],
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input="\n".join(begun),
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
            "AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow")),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
            "AIRFLOW__TRIGGERER__CAPACITY": "2000",
            "PYTHONPATH": str(PROJECT),
        },
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line]
    for command in begun:
        while True:
            line = lines.pop(0)
            if line.startswith("ended with"):
                begun[command].append(line)
                break
            begun[command].append(line)
    return begun


def test_a_triggerer_raises_its_limit_to_its_capacity(told: dict[str, list[str]]) -> None:
    assert told["9000 triggerer"][-2:] == ["3000 9000", "ended with 0"]


def test_a_capacity_on_the_command_line_counts(told: dict[str, list[str]]) -> None:
    assert told["9000 triggerer --skip-serve-logs --capacity 500"][-2:] == ["1500 9000", "ended with 0"]
    assert told["2900 triggerer --capacity 500"][-2:] == ["1500 2900", "ended with 0"]


def test_other_processes_keep_theirs(told: dict[str, list[str]]) -> None:
    assert told["9000 scheduler"][-2:] == ["1024 9000", "ended with 0"]


def test_a_hard_limit_that_is_too_low_ends_it_with_one_sentence(told: dict[str, list[str]]) -> None:
    *before, sentence, end = told["2900 triggerer"]
    assert sentence.startswith("2000 waits need 3000 open files, and this machine allows a process 2900")
    assert end == "ended with 1"
    assert "Traceback" not in "".join(before)
