"""`python -m scripts.reference`: write the reference pages that are made from the code; `--check` compares.

`docs/reference/cli.md` comes from the commands themselves, `docs/reference/status-json.md` from the models
behind `nce status --json`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from include.nce.cli.status_document import StatusDocument

CHECKOUT = Path(__file__).resolve().parents[1]
REFERENCE = CHECKOUT / "docs" / "reference"
MADE = "<!-- Made by `python -m scripts.reference`; change the code, not this page. -->\n\n"


def pages() -> dict[str, str]:
    """File name -> text of each page."""
    return {"cli.md": MADE + command_line(), "status-json.md": MADE + status_json()}


def stale() -> list[str]:
    """The names of the committed pages that are not what the code says."""
    return [
        name
        for name, text in pages().items()
        if not (REFERENCE / name).exists() or (REFERENCE / name).read_text(encoding="utf-8") != text
    ]


def command_line() -> str:
    """Every command with its arguments and options, as typer describes it."""
    done = subprocess.run(
        [sys.executable, "-m", "typer", "include.nce.cli.app", "utils", "docs", "--name", "nce"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip() + "\n"


def status_json() -> str:
    """Every field of the status document: its type and what it means."""
    schema = StatusDocument.model_json_schema(by_alias=True, mode="serialization")
    definitions: dict[str, Any] = schema["$defs"]
    records = [name for name, definition in definitions.items() if "properties" in definition]
    words = [name for name in definitions if name not in records]
    parts = [
        "# `nce status --json`",
        "One JSON document on standard output. Instants are ISO 8601 in UTC, to the second; what is absent "
        "is `null`, and no field is ever left out. Ids are lower case. Fields may be added; `schema` rises "
        "when one changes its meaning or goes away.",
        "\n".join(_record("The document", schema, definitions)),
        *("\n".join(_record(name, definitions[name], definitions)) for name in sorted(records)),
        "## Words",
        *(f'<a id="{name.lower()}"></a>**{name}**: {_words(definitions[name])}' for name in sorted(words)),
    ]
    return "\n\n".join(parts) + "\n"


def _record(name: str, definition: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {name}"
    yield ""
    if definition.get("description"):
        yield " ".join(str(definition["description"]).split())
        yield ""
    yield "| field | type | meaning |"
    yield "|---|---|---|"
    for field, described in definition["properties"].items():
        # A field whose meaning is that of its type has it from there.
        whole = definitions.get(str(described.get("$ref", "")).rsplit("/", 1)[-1], {})
        meaning = described.get("description") or whole.get("description", "")
        yield f"| `{field}` | {_kind(described)} | {' '.join(meaning.split())} |"


def _kind(described: Mapping[str, Any]) -> str:
    """A type of JSON schema in words, with links to the record or the list of words it names."""
    if "$ref" in described:
        name = str(described["$ref"]).rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in described:
        return " or ".join(_kind(each) for each in described["anyOf"])
    if "const" in described:
        return f"`{described['const']}`"
    if described.get("type") == "array":
        return f"list of {_kind(described['items'])}"
    if described.get("type") == "object":
        key = f"{_kind(described['propertyNames'])} -> " if "propertyNames" in described else "text -> "
        return f"object: {key}{_kind(described['additionalProperties'])}"
    if described.get("format") == "date-time":
        return "instant"
    return {"string": "text", "integer": "number", "null": "null"}[str(described["type"])]


def _words(definition: Mapping[str, Any]) -> str:
    told = " ".join(str(definition.get("description", "")).split())
    return ", ".join(f"`{word}`" for word in definition["enum"]) + (f". {told}" if told else ".")


def main() -> int:
    """Write the pages, or with `--check` say which are stale."""
    if sys.argv[1:] == ["--check"]:
        outdated = stale()
        for name in outdated:
            print(f"docs/reference/{name} is not what the code says; run: python -m scripts.reference")
        return 1 if outdated else 0
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
