"""`python -m include.nce.cli`."""

from __future__ import annotations

from include.nce.cli.app import app

app(prog_name="nce")
