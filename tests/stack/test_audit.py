"""The audit fails for a known vulnerability that nobody has looked at, and for nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from scripts import audit

PROJECT = '[project]\nname = "x"\n'
FLAW = {"id": "PYSEC-2026-1", "aliases": ["CVE-2026-4711"], "fix_versions": ["3.1.7"]}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    for name in audit.LOCKS:
        (tmp_path / name).write_text(
            "# made by uv\njinja2==3.1.6\n    # via x\nurllib3==2.6.0 ; python_version < '4'\n"
        )
    return tmp_path


class Service:
    """Knows what is told to it; notes how many packages it was asked about."""

    def __init__(self, *, jinja2: Sequence[Mapping[str, Any]] = (), urllib3: Any = (), answers: bool = True):
        self.flaws = {"jinja2": jinja2, "urllib3": urllib3}
        self.answers, self.asked = answers, 0

    def __call__(self, locks: Sequence[Path]) -> Mapping[str, Any] | None:
        packages = {
            line.split("==")[0]: line.split("==")[1].split()[0]
            for lock in locks
            for line in lock.read_text().splitlines()
            if "==" in line and not line.startswith(("#", " "))
        }
        self.asked += len(packages)
        if not self.answers:
            return {"dependencies": [{"name": name, "skip_reason": "not found"} for name in packages]}
        return {
            "dependencies": [
                {"name": name, "skip_reason": "not found"}
                if self.flaws[name] is None
                else {"name": name, "version": version, "vulns": list(self.flaws[name])}
                for name, version in packages.items()
            ]
        }


def excuse(checkout: Path, **changes: str) -> None:
    fields = {"id": '"PYSEC-2026-1"', "reason": '"Never called."', "until": "2999-01-01", **changes}
    lines = "\n".join(f"{name} = {value}" for name, value in fields.items() if value)
    (checkout / "pyproject.toml").write_text(f"{PROJECT}[[tool.nce.audit.exceptions]]\n{lines}\n")


def test_locks_without_known_flaws_pass(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(Service(), checkout) == 0
    assert capsys.readouterr().out.startswith("2 packages are locked; no known vulnerability")


def test_a_known_flaw_fails_and_is_named(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(Service(urllib3=[FLAW]), checkout) == 1
    assert "urllib3 2.6.0: PYSEC-2026-1, fixed in 3.1.7." in capsys.readouterr().err


@pytest.mark.parametrize("name", ['"PYSEC-2026-1"', '"CVE-2026-4711"'])
def test_a_dated_exception_excuses_it_by_any_of_its_names(checkout: Path, name: str) -> None:
    excuse(checkout, id=name)
    assert audit.main(Service(jinja2=[FLAW]), checkout) == 0


def test_an_exception_ends_on_its_day(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    excuse(checkout, until="2020-01-01")
    assert audit.main(Service(jinja2=[FLAW]), checkout) == 1
    said = capsys.readouterr().err
    assert "ended on 2020-01-01" in said
    assert "jinja2 3.1.6: PYSEC-2026-1" in said


@pytest.mark.parametrize("missing", ["id", "reason", "until"])
def test_an_exception_without_name_reason_or_day_is_none(checkout: Path, missing: str) -> None:
    excuse(checkout, **{missing: ""})
    assert audit.main(Service(), checkout) == 1


def test_a_silent_service_is_told_fails_nothing_and_is_asked_about_one_package(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service = Service(answers=False)
    assert audit.main(service, checkout) == 0
    assert service.asked == 1
    assert "NOT AUDITED: the vulnerability service does not answer" in capsys.readouterr().out


def test_a_program_that_gets_no_answer_at_all_is_told(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.main(lambda locks: None, checkout) == 0
    assert "NOT AUDITED" in capsys.readouterr().out


def test_what_is_not_known_of_a_package_is_told(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(Service(urllib3=None), checkout) == 0
    assert "NOT AUDITED: nothing is known about urllib3" in capsys.readouterr().out


def test_an_expired_exception_fails_without_a_service_too(checkout: Path) -> None:
    excuse(checkout, until="2020-01-01")
    assert audit.main(Service(answers=False), checkout) == 1
