"""A date of the campaign as somebody moves it: a day, or an instant with its offset."""

from __future__ import annotations

import re
from datetime import date, datetime, timezone

from include.nce.domain.errors import InputRefused

_WRITTEN = re.compile(r"^\d{4}-\d{2}-\d{2}(?P<time>T\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2})?)?$", re.ASCII)


def read_moved_date(text: str) -> date | datetime:
    """`2022-06-30` or `2022-07-11T00:00:00Z`; an instant comes back in UTC. Raises `InputRefused`."""
    fault = f"'{text}' is neither a day nor an instant; write 2022-06-30 or 2022-07-11T00:00:00Z."
    text = text.strip()
    found = _WRITTEN.match(text)
    try:
        if found is None:
            raise ValueError  # noqa: TRY301 - no form that is read
        if found["time"] is None:
            return date.fromisoformat(text)
        instant = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise InputRefused([fault]) from None
    if instant.tzinfo is None:
        raise InputRefused(
            [f"'{text}' names no instant without an offset; write {text}Z for UTC, or one such as +02:00."]
        )
    try:
        return instant.astimezone(timezone.utc)
    except OverflowError:
        raise InputRefused([fault]) from None
