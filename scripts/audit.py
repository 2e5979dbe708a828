"""`python -m scripts.audit`: no locked package has a known vulnerability that nobody has looked at.

Responsible for asking pip-audit about both lock files and for judging what it says. Known and not excused
fails; a service that does not answer is told and fails nothing, since that is no news about a package.
Exceptions stand in `pyproject.toml`, each with its reason and the day on which it ends:

    [[tool.nce.audit.exceptions]]
    id = "PYSEC-2026-1"
    reason = "The function is not called; fixed in the next Airflow."
    until = 2026-12-31
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.txt", "requirements-dev.txt")
SECONDS = 600

Ask = Callable[[Sequence[Path]], "Mapping[str, Any] | None"]


@dataclass(frozen=True)
class Exemption:
    """A vulnerability that somebody looked at: why it does no harm here, and until when that is believed."""

    id: str
    reason: str
    until: date


@dataclass(frozen=True)
class Found:
    """What is wrong, a sentence each, and what could not be asked."""

    faults: tuple[str, ...]
    unanswered: str = ""
    packages: int = 0


def exemptions(pyproject: Path) -> list[Exemption]:
    """Those of the project. Raises ValueError for one without reason or day."""
    table = (
        tomllib.loads(pyproject.read_text(encoding="utf-8")).get("tool", {}).get("nce", {}).get("audit", {})
    )
    found = []
    for entry in table.get("exceptions", []):
        known = Exemption(entry.get("id", ""), entry.get("reason", "").strip(), entry.get("until"))
        if not known.id or not known.reason or not isinstance(known.until, date):
            raise ValueError(f"pyproject.toml: exception {entry} needs an id, a reason and a day `until`.")
        found.append(known)
    return found


def audit(locks: Sequence[Path], known: Sequence[Exemption], today: date, ask: Ask) -> Found:
    """Judge every package of the locks; asks about one first, so that a silent service is asked only once."""
    faults = [
        f"The exception for {each.id} ended on {each.until}: look again, then correct or remove it in "
        "pyproject.toml."
        for each in known
        if each.until < today
    ]
    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder) / "first.txt"
        first.write_text(_first_line(locks[0]))
        if not _answered(ask([first])):
            return Found(tuple(faults), "the vulnerability service does not answer")
    said = ask(locks)
    if said is None:
        return Found(tuple(faults), "the vulnerability service stopped answering")
    excused = {each.id for each in known if each.until >= today}
    skipped = []
    for package in said["dependencies"]:
        if "skip_reason" in package:
            skipped.append(str(package["name"]))
        for flaw in package.get("vulns", ()):
            if excused.isdisjoint({flaw["id"], *flaw.get("aliases", ())}):
                fixed = ", ".join(flaw.get("fix_versions", ())) or "no version yet"
                faults.append(f"{package['name']} {package['version']}: {flaw['id']}, fixed in {fixed}.")
    unanswered = f"nothing is known about {', '.join(sorted(set(skipped)))}" if skipped else ""
    return Found(tuple(faults), unanswered, len({package["name"] for package in said["dependencies"]}))


def pip_audit(locks: Sequence[Path]) -> Mapping[str, Any] | None:
    """What pip-audit says about lock files, as it prints it; None when it got no answer."""
    named = [word for lock in locks for word in ("--requirement", str(lock))]
    command = [
        sys.executable, "-m", "pip_audit", *named, "--disable-pip", "--no-deps", "--format", "json",
        "--progress-spinner", "off", "--vulnerability-service", "pypi", "--timeout", "30",
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        document: dict[str, Any] = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return None
    return document


def _answered(said: Mapping[str, Any] | None) -> bool:
    return said is not None and any("vulns" in package for package in said["dependencies"])


def _first_line(lock: Path) -> str:
    lines = lock.read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if "==" in line and not line.startswith((" ", "#"))) + "\n"


def main(ask: Ask = pip_audit, checkout: Path = CHECKOUT) -> int:
    """Say what was found; 1 when something has to be done."""
    today = datetime.now(timezone.utc).date()
    try:
        known = exemptions(checkout / "pyproject.toml")
    except ValueError as wrong:
        print(wrong, file=sys.stderr)
        return 1
    found = audit([checkout / name for name in LOCKS], known, today, ask)
    for fault in found.faults:
        print(fault, file=sys.stderr)
    if found.unanswered:
        print(f"NOT AUDITED: {found.unanswered}. Run `make audit` where it can be reached.")
    if not found.faults and not found.unanswered:
        print(f"{found.packages} packages are locked; no known vulnerability without a dated exception.")
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
