"""What can be put on record: every answer and every name, whatever Microsoft or a file holds.

An answer that cannot be recorded after its send would be a purchase that nobody knows of. So what a database
or its JSON cannot hold is replaced here, in the one place that everything recorded goes through.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

DEEPEST = 100
"""Levels of nesting that are kept; no documented answer has ten."""
LONGEST_CHARACTERS = 1_000_000
WIDEST = 2**31 - 1
"""The largest number of a column that counts or names a code."""
TOO_DEEP = "[not kept: nested too deeply]"


def read_json(text: str) -> Any:
    """The document. Raises `ValueError` for what is not JSON, or is nested too deeply to be kept."""
    try:
        document = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if _is_too_deep(document):
        raise ValueError("it is nested too deeply")
    return document


def recordable_text(text: str) -> str:
    """`text` without what PostgreSQL cannot hold (NUL, half a surrogate), and not without end."""
    return text[:LONGEST_CHARACTERS].replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def recordable_number(number: int | None) -> int | None:
    """None for a number that no column of the ledger holds; the raw answer beside it still says it."""
    return number if number is not None and -WIDEST <= number <= WIDEST else None


def recordable(value: Any, *, depth: int = 0) -> Any:
    """`value` in the terms of JSON, losing nothing that it can hold."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return recordable_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes):
        return recordable_text(value.decode("utf-8", "replace"))
    if depth >= DEEPEST:
        return TOO_DEEP
    if isinstance(value, Mapping):
        return {recordable_text(str(key)): recordable(item, depth=depth + 1) for key, item in value.items()}
    if isinstance(value, Sequence | set | frozenset):
        return [recordable(item, depth=depth + 1) for item in value]
    return recordable_text(str(value))


def _is_too_deep(document: Any) -> bool:
    """Level by level: a walk that calls itself would end like the parser."""
    level = [document]
    for _ in range(DEEPEST + 1):
        level = [
            item
            for one in level
            if isinstance(one, dict | list)
            for item in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return True
