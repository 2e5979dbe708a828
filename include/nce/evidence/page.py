"""The readable form of an evidence pack: one HTML page that needs nothing else and prints well.

Responsible for how it looks. It is made from the JSON alone, case by case, so that the same file always gives
the same page. What stands in it came from customers, partners and Microsoft: everything is escaped, nothing
is fetched, no script runs, and what would turn text around or hide it is shown as a replacement character.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timezone
from functools import cache, partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from include.nce.evidence.words import LANGUAGES, word

AUTHORITY = ("campaign", "opt_out", "opt_out_ruling", "plan", "approval")
"""Kinds of the general record that say by what right something was done."""
FIELDS = (
    "status",
    "seats",
    "offer_name",
    "offer_id",
    "term",
    "billing",
    "term_end_at",
    "auto_renew",
    "suspension_reasons",
    "cancellable_until_at",
    "migrated_from_id",
    "partner_mpn_id",
    "order_id",
)
CONVERSION_FIELDS = (
    "route",
    "product_and_sku",
    "term",
    "billing",
    "seats",
    "for_partner",
    "reference",
    "migration_id",
    "cart_id",
    "order_id",
    "nce_subscription",
)
_LANGUAGE = re.compile(r'<html lang="([a-z]{2})">')

Cases = Callable[[], Iterable[Mapping[str, Any]]]


def page(head: Mapping[str, Any], cases: Cases, digest: str, language: str) -> Iterator[str]:
    """The page in pieces; `head` and `cases` as they stand in the JSON, `cases` may be called twice."""
    zone = head["partners"][0]["zone"] if head["partners"] else "UTC"
    return (
        _environment()
        .get_template("evidence.html.jinja")
        .generate(
            head=head,
            cases=cases,
            digest=digest,
            language=language,
            zone=zone,
            authority=[entry for entry in head["record"] if entry["kind"] in AUTHORITY],
            course=[entry for entry in head["record"] if entry["kind"] not in AUTHORITY],
            fields=FIELDS,
            conversion_fields=CONVERSION_FIELDS,
            word=partial(word, language=language),
            commands_of=commands_of,
            value=partial(_value, language=language),
            moment=_moment,
            class_of=partial(_class_of, language=language),
            columns_of=partial(_columns_of, language=language),
        )
    )


def language_written(path: Path) -> str | None:
    """The language of a page that is there; None when the file is no such page."""
    with path.open(encoding="utf-8", errors="replace") as file:
        found = _LANGUAGE.search(file.read(2_000))
    return found.group(1) if found and found.group(1) in LANGUAGES else None


def commands_of(case: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The commands of a case, each with the entries about it in time order."""
    commands: dict[int, dict[str, Any]] = {}
    for entry in case["record"]:
        if entry["kind"] != "command":
            continue
        facts = entry["facts"]
        command = commands.setdefault(
            facts["command_id"],
            {
                "command_id": facts["command_id"],
                "command": facts["command"],
                "request_id": facts["request_id"],
                "payload": None,
                "entries": [],
            },
        )
        if facts["event"] == "intended":
            command["payload"] = facts["payload"]
        command["entries"].append(entry)
    return list(commands.values())


def _columns_of(case: Mapping[str, Any], *, language: str) -> list[dict[str, Any]]:
    """The subscription before and after, and what replaced it; one column for what never changed."""
    side, nce = word("legacy" if case["kind"] == "legacy" else "subscription", language), case["nce"]
    before, after = word("before", language).lower(), word("after", language).lower()
    if nce is None and case["legacy"]["sights"] < 2:
        return [_column(side, "first_seen", case["legacy"], "before")]
    columns = [
        _column(f"{side}, {before}", "first_seen", case["legacy"], "before"),
        _column(f"{side}, {after}", "last_seen", case["legacy"], "after"),
    ]
    if nce is not None:
        columns.append(_column(f"{word('nce', language)}, {after}", "last_seen", nce, "after"))
    return columns


def _column(title: str, seen: str, change: Mapping[str, Any], which: str) -> dict[str, Any]:
    sight = change[which]
    return {
        "title": title,
        "subscription": change["subscription"],
        "facts": sight["facts"] if sight else {},
        "seen": seen if sight else "never_seen",
        "seen_at": sight["at"] if sight else None,
    }


def _class_of(case: Mapping[str, Any], *, language: str) -> str:
    """What the latest plan says of a subscription that never got a conversion."""
    mine = case["legacy"]["subscription"]
    planned = [e for e in case["record"] if e["kind"] == "plan" and e["subscription"] == mine]
    return word(f"class.{planned[-1]['facts']['class']}" if planned else "not_planned", language)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters["pretty"] = _pretty
    return environment


def _shown(value: Any) -> Any:
    """Text without what a reader would not see or would be misled by, such as a turned direction."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "".join(c if c.isprintable() or c.isspace() else "\ufffd" for c in value)


def _pretty(body: Any) -> str:
    if isinstance(body, str):
        return body
    return json.dumps(body, indent=2, ensure_ascii=False, sort_keys=True)


def _value(name: str, value: Any, zone: str, *, language: str) -> str:
    """One field of a subscription, for people."""
    if value is None or value == [] or value == "":
        return "\u2013"
    if isinstance(value, bool):
        return word("yes" if value else "no", language)
    if name == "status":
        return word(f"status.{value}", language)
    if name.endswith("_at"):
        utc, local = _moment(str(value), zone)
        return f"{utc}\n{local}"
    return ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)


def _moment(text: str, zone: str) -> tuple[str, str]:
    """`2022-07-11 00:00:05 UTC` and `2022-07-11 02:00:05 Europe/Rome (+02:00)`."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(timezone.utc)
    there = moment.astimezone(ZoneInfo(zone))
    offset = there.isoformat()[-6:]
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC", f"{there:%Y-%m-%d %H:%M:%S} {zone} ({offset})"
