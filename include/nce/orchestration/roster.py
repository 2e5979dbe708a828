"""The roster wherever it lies: a path in the project, or anything Airflow's object storage can open.

Whoever may start a campaign may name a roster in the form, and must not read with it what Airflow's machine
can read or reach: the form's word is taken for places that were set up for rosters only. The campaign's own
roster is the word of whoever imported it, which takes access to the ledger itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from include.nce.domain.errors import InputRefused
from include.nce.domain.partner import Partner
from include.nce.intake.roster import load_roster

PROJECT = Path(__file__).resolve().parents[3]
PLACES_VARIABLE = "NCE_ROSTER_PLACES"
"""Folders and URLs of folders, divided by commas, in which the form may name rosters besides the project."""
_ENDINGS = (".csv", ".json")


def read_roster(of_campaign: str, named: str | None = None) -> list[Partner]:
    """The partners in the campaign's list, or in the one that the form names instead. `InputRefused` names
    each fault with its line and field."""
    from airflow.sdk import ObjectStoragePath

    location = named or of_campaign
    if not location:
        raise InputRefused(
            ["No roster: name one in the trigger form, or as 'roster' in the campaign file, and import it."]
        )
    if named and named != of_campaign:
        location = allowed_location(named)
    elif "://" not in location and not Path(location).is_absolute():
        location = str(PROJECT / location)
    try:
        content = ObjectStoragePath(location).read_bytes()
    except (OSError, ValueError, ImportError) as error:
        raise InputRefused(
            [f"Roster {location}: cannot be read ({error}). Correct the path or URL."]
        ) from None
    return load_roster(content, name=location)


def allowed_location(named: str, environ: Mapping[str, str] = os.environ) -> str:
    """Where a roster lies that somebody named; refused unless it is a CSV or JSON list in one of the places.

    Nothing is opened or looked up before that is settled, so that the refusal tells nothing about what
    exists.
    """
    places = [place.strip() for place in environ.get(PLACES_VARIABLE, "").split(",") if place.strip()]
    found = _allowed_url(named, places) if "://" in named else _allowed_path(named, places)
    if found is None or "::" in named or "\0" in named or not found.lower().endswith(_ENDINGS):
        raise InputRefused(
            [f"Roster {named}: it is no CSV or JSON list in a place that rosters are read from; name one in "
             f"the project's folder, or have {PLACES_VARIABLE} name its folder."]
        )  # fmt: skip
    return found


def _allowed_url(named: str, places: list[str]) -> str | None:
    parts = urlsplit(named)
    # A path is written as a path, so that its rules hold for it.
    strange = parts.scheme == "file" or "@" in parts.netloc or parts.query or parts.fragment
    if strange or ".." in unquote(parts.path).split("/") or "%" in parts.path or "\\" in named:
        return None
    folders = [place.rstrip("/") + "/" for place in places if "://" in place]
    return named if any(named.startswith(folder) for folder in folders) else None


def _allowed_path(named: str, places: list[str]) -> str | None:
    """The real path, past all links. Hidden files and folders hold settings, secrets and logs."""
    if "\0" in named:
        return None
    real = (PROJECT / named).resolve()
    for folder in (PROJECT, *(Path(place).resolve() for place in places if "://" not in place)):
        if real.is_relative_to(folder):
            hidden = any(part.startswith(".") for part in real.relative_to(folder).parts)
            return None if hidden else str(real)
    return None
