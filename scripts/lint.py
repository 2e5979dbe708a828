"""``python -m scripts.lint``: every check of the source that needs no run; all are run, whichever fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
CHECKS = (
    ("ruff", "format", "--check", "--quiet", "."),
    ("ruff", "check", "--quiet", "."),
    ("mypy", "--no-error-summary"),
    ("lint-imports",),
)


def main() -> int:
    """Run all checks; 0 when all pass."""
    programs = Path(sys.executable).parent
    failed = []
    for program, *arguments in CHECKS:
        done = subprocess.run([str(programs / program), *arguments], cwd=CHECKOUT, check=False)
        if done.returncode != 0:
            failed.append(" ".join([program, *arguments]))
    print("\n".join(f"failed: {command}" for command in failed) or "All checks pass.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
