"""The provider's desk: what its people type during the campaign, through the project's own command line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scripts.demo.story import Entry
from scripts.stack.errors import NotAnswering
from scripts.stack.private import write_private

COMMAND_SECONDS = 120


@dataclass
class Desk:
    """Runs the command line in `environment` and remembers in `notes` which entries were made."""

    campaign: str
    checkout: Path
    environment: Mapping[str, str]
    notes: Path
    _made: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.notes.exists():
            self._made = set(json.loads(self.notes.read_text()))

    def is_made(self, entry: Entry) -> bool:
        """Whether this entry was made, in this call or an earlier one."""
        return entry.key in self._made

    def make(self, entry: Entry) -> None:
        """Enter it. An entry made twice changes nothing, so one that was not noted in time does no harm."""
        self._run(*entry.words, "--campaign", self.campaign)
        self._made.add(entry.key)
        write_private(self.notes, json.dumps(sorted(self._made)))

    def approve(self, run_id: str) -> None:
        """Approve the plan that a run asks about, as somebody at the desk would after looking at it."""
        self._run("approval", "give", run_id, "--yes", "--comment", "looked at during the rehearsal")

    def import_campaign(self, file: Path, roster: str | None = None) -> None:
        """Import the campaign file, with `roster` in place of its own; the same content twice is one version.

        The campaign itself names it, so that whoever starts a partner again later finds that partner too.
        """
        if roster is not None:
            policy = re.sub(r"(?m)^roster:.*\n", "", (self.checkout / file).read_text(encoding="utf-8"))
            file = self.notes.with_name(file.name)
            write_private(file, f"{policy}\nroster: {json.dumps(roster)}\n")
        self._run("campaign", "import", str(file), "--by", "rehearsal")

    def _run(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "scripts.nce", *arguments]
        try:
            done = subprocess.run(
                command,
                cwd=self.checkout,
                env=dict(self.environment),
                capture_output=True,
                text=True,
                timeout=COMMAND_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise NotAnswering(
                f"`nce {' '.join(arguments)}` is not done after {COMMAND_SECONDS} s."
            ) from error
        if done.returncode != 0:
            lines = (done.stderr.strip() or done.stdout.strip() or "it gave no reason").splitlines()
            raise NotAnswering(f"`nce {' '.join(arguments)}` failed: {lines[-1]}")
        return done.stdout
