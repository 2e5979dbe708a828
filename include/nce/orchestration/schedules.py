"""What the machine's clock starts. Read once a process, so that a DAG file looks the same at each parse."""

from __future__ import annotations

import os

RECONCILE_VARIABLE = "NCE_RECONCILE_SCHEDULE"
RECONCILE = os.environ.get(RECONCILE_VARIABLE, "30 3 * * *") or None
"""Cron in UTC, when little is converted. Empty: only by hand. So in a rehearsal, whose month passes in
minutes of the machine's day: a run of ours in the middle of it would be part of no story."""
