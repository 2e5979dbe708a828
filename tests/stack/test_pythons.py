"""`scripts/test-pythons`: the tests run under each promised Python of the machine, and one fault fails it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "test-pythons"
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
OTHERS = [version for version in ("3.11", "3.12", "3.13") if version != HERE]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose tests say with what they are run, on a machine that has one of the Pythons."""
    checkout = tmp_path / "checkout"
    (checkout / "scripts").mkdir(parents=True)
    (checkout / "machine").mkdir()
    shutil.copy(SCRIPT, checkout / "scripts" / "test-pythons")
    (checkout / "machine" / f"python{HERE}").symlink_to(sys.executable)
    subprocess.run(["git", "init", "--quiet"], cwd=checkout, check=True)
    return checkout


def run(checkout: Path, tests: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    stub = checkout / "scripts" / "test"
    stub.write_text(f"#!/bin/sh\n{tests}\n")
    stub.chmod(0o755)
    environment = {
        "PATH": f"{checkout / 'machine'}:{os.defpath}",
        "HOME": str(checkout),
        "TMPDIR": str(checkout.parent),
    }
    return subprocess.run(
        ["/bin/sh", "scripts/test-pythons", *arguments],
        cwd=checkout, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_tests_run_in_a_copy_under_the_python_that_was_found(checkout: Path) -> None:
    done = run(checkout, 'echo "$PYTHON runs $* in $PWD"', "tests/unit")
    assert done.returncode == 0, done.stderr
    assert f"python{HERE} runs " in done.stdout
    assert "-m not e2e tests/unit in " in done.stdout
    assert f"in {checkout}\n" not in done.stdout
    last = done.stdout.splitlines()[-1]
    assert last.startswith("All tests pass under Python")
    assert HERE in last  # a Python of the system may be there too


def test_a_python_that_is_not_there_is_named(checkout: Path) -> None:
    missing = run(checkout, "true").stderr
    assert missing.startswith("Not on this machine:")
    assert HERE not in missing
    assert all(version in missing or shutil.which(f"python{version}", path=os.defpath) for version in OTHERS)


def test_one_fault_under_one_python_fails_it(checkout: Path) -> None:
    done = run(checkout, "exit 3")
    assert done.returncode != 0
    assert "All tests pass" not in done.stdout


def test_nothing_is_left_of_the_copies(checkout: Path) -> None:
    run(checkout, "true")
    assert [path.name for path in checkout.parent.iterdir()] == ["checkout"]
