"""Making .venv: which Python, when anew, and what is said when it cannot be."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from scripts import virtual_environment
from scripts.virtual_environment import CannotInstall, is_fresh, refresh, stamp

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with two lock files and an environment without pip."""
    (tmp_path / "requirements.txt").write_text("one==1\n")
    (tmp_path / "requirements-dev.txt").write_text("one==1\ntwo==2\n")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "three"\nversion = "1"\n')
    venv.create(tmp_path / ".venv", with_pip=False, symlinks=True)
    return tmp_path


def _installed(checkout: Path, lock: str) -> None:
    (checkout / ".venv" / f"{lock}.stamp").write_text(stamp(checkout, lock))


def _find_python(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run scripts/venv where only a Python that is too old can be found."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("sh", "dirname"):
        found = next(
            Path(folder) / name for folder in os.defpath.split(":") if (Path(folder) / name).exists()
        )
        (programs / name).symlink_to(found)
    old = programs / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    return subprocess.run(
        ["sh", str(CHECKOUT / "scripts" / "venv"), "requirements.txt"],
        env={"PATH": str(programs), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_machine_without_a_python_that_fits_is_told_in_one_sentence(tmp_path: Path) -> None:
    done = _find_python(tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("No Python 3.11, 3.12 or 3.13 was found; install one")


def test_a_python_that_is_named_and_does_not_fit_is_refused_by_name(tmp_path: Path) -> None:
    done = _find_python(tmp_path, PYTHON="/opt/my python/bin/python")
    assert done.returncode == 1
    assert done.stderr.startswith("PYTHON names /opt/my python/bin/python, which is not Python 3.11")


def test_an_environment_made_from_this_lock_is_kept(checkout: Path) -> None:
    _installed(checkout, "requirements.txt")
    assert is_fresh(checkout, "requirements.txt")


def test_a_changed_lock_makes_it_stale(checkout: Path) -> None:
    _installed(checkout, "requirements.txt")
    (checkout / "requirements.txt").write_text("one==1.1\n")
    assert not is_fresh(checkout, "requirements.txt")


def test_another_description_of_the_project_makes_it_stale(checkout: Path) -> None:
    _installed(checkout, "requirements.txt")
    (checkout / "pyproject.toml").write_text('[project]\nname = "three"\nversion = "2"\n')
    assert not is_fresh(checkout, "requirements.txt")


def test_an_environment_for_the_tests_serves_the_demo(checkout: Path) -> None:
    _installed(checkout, "requirements-dev.txt")
    assert is_fresh(checkout, "requirements.txt")


def test_an_environment_for_the_demo_does_not_serve_the_tests(checkout: Path) -> None:
    _installed(checkout, "requirements.txt")
    assert not is_fresh(checkout, "requirements-dev.txt")


def test_a_moved_checkout_needs_a_new_environment(checkout: Path) -> None:
    _installed(checkout, "requirements.txt")
    moved = checkout.rename(checkout.with_name("elsewhere"))
    assert not is_fresh(moved, "requirements.txt")


def test_an_environment_whose_interpreter_is_gone_is_stale(checkout: Path) -> None:
    _installed(checkout, "requirements.txt")
    python = checkout / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python3")
    assert not is_fresh(checkout, "requirements.txt")


def test_a_package_that_cannot_be_installed_is_one_sentence_and_leaves_no_stamp(checkout: Path) -> None:
    (checkout / "requirements.txt").write_text("gone @ file:///nowhere/gone-1-py3-none-any.whl\n")
    with pytest.raises(CannotInstall, match=r"pip could not install requirements\.txt .*gone.*pip\.log"):
        refresh(checkout, "requirements.txt")
    assert not is_fresh(checkout, "requirements.txt")


def test_a_project_that_cannot_be_installed_is_one_sentence_and_leaves_no_stamp(checkout: Path) -> None:
    (checkout / "requirements.txt").write_text("")
    (checkout / "pyproject.toml").write_text("[build-system]\nrequires = []\nbuild-backend = 'gone'\n")
    with pytest.raises(CannotInstall, match=r"pip could not install the project itself .*pip\.log"):
        refresh(checkout, "requirements.txt")
    assert not is_fresh(checkout, "requirements.txt")


def test_a_python_without_its_venv_package_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(virtual_environment.sys, "executable", "/bin/false")
    with pytest.raises(CannotInstall, match="apt install python3-venv"):
        refresh(tmp_path, "requirements.txt")


def test_every_make_target_lists_itself_and_calls_what_exists() -> None:
    makefile = (CHECKOUT / "Makefile").read_text()
    phony = next(line for line in makefile.splitlines() if line.startswith(".PHONY:")).split()[1:]
    outside_make = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")
    }
    listed = subprocess.run(
        ["make"], cwd=CHECKOUT, env=outside_make, capture_output=True, text=True, check=True
    ).stdout
    assert [line.split("\t")[0] for line in listed.splitlines()] == phony
    for line in makefile.splitlines():
        if line.startswith("\t@scripts/"):
            program = CHECKOUT / line.removeprefix("\t@").split()[0]
            assert os.access(program, os.X_OK), f"{program} cannot be run"
        if line.startswith("\t@.venv/bin/python -m "):
            module = line.split()[2].replace(".", "/")
            found = [CHECKOUT / f"{module}.py", CHECKOUT / module / "__main__.py"]
            assert any(path.exists() for path in found), f"{module} does not exist"


def test_ci_runs_what_a_newcomer_runs_and_audits_the_locks() -> None:
    commands = [
        line
        for line in (CHECKOUT / ".ci" / "run").read_text().splitlines()
        if line and not line.startswith(("#", "set ", "cd "))
    ]
    assert commands == ["make test", "make audit"]


def test_the_versions_the_sentences_name_are_those_the_project_declares() -> None:
    declared = (CHECKOUT / "pyproject.toml").read_text()
    assert 'requires-python = ">=3.11,<3.14"' in declared
    assert "(3, 11) <= sys.version_info[:2] <= (3, 13)" in (CHECKOUT / "scripts" / "venv").read_text()
    assert 'promised="3.11 3.12 3.13"' in (CHECKOUT / "scripts" / "test-pythons").read_text()
    assert (3, 11) <= sys.version_info[:2] <= (3, 13)
