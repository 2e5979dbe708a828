"""The roster wherever it lies: a path in the project, or anything Airflow's object storage can open."""

from __future__ import annotations

from pathlib import Path

from include.nce.domain.errors import InputRefused
from include.nce.domain.partner import Partner
from include.nce.intake.roster import load_roster

PROJECT = Path(__file__).resolve().parents[3]


def read_roster(location: str) -> list[Partner]:
    """The partners in a CSV or JSON list. `InputRefused` names each fault with its line and field."""
    from airflow.sdk import ObjectStoragePath

    if not location:
        raise InputRefused(
            ["No roster: name one in the trigger form, or as 'roster' in the campaign file, and import it."]
        )
    if "://" not in location and not Path(location).is_absolute():
        location = str(PROJECT / location)
    try:
        content = ObjectStoragePath(location).read_bytes()
    except (OSError, ValueError, ImportError) as error:
        raise InputRefused(
            [f"Roster {location}: cannot be read ({error}). Correct the path or URL."]
        ) from None
    return load_roster(content, name=location)
