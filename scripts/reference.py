"""`python -m scripts.reference`: write the reference pages that are made from the code; `--check` compares.

`docs/reference/cli.md` comes from the commands themselves, `status-json.md` from the models behind `--json`,
`dags.md` from the DAGs as Airflow loads them, `input-files.md` from the models that read what people write,
and the diagram of states in `docs/architecture.md` from the table of moves.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from include.nce.cli import surroundings
from include.nce.cli.campaigns import CampaignDocument, CampaignVersions
from include.nce.cli.explain import Explanation
from include.nce.cli.findings import FindingList
from include.nce.cli.opt_outs import OptOutList
from include.nce.cli.plan_document import PlanDocument
from include.nce.cli.status_document import StatusDocument
from include.nce.cli.undo import UndoList
from include.nce.cli.waves import WavesDocument
from include.nce.ledger.evidence import EvidencePack
from scripts.dag_reference import dag_page
from scripts.input_reference import input_page
from scripts.state_diagram import drawn_into

CHECKOUT = Path(__file__).resolve().parents[1]
DOCS = CHECKOUT / "docs"
ARCHITECTURE = DOCS / "architecture.md"
DOCUMENTS: dict[str, type[BaseModel]] = {
    "nce status --json": StatusDocument,
    "nce plan --json": PlanDocument,
    "nce explain --json": Explanation,
    "nce evidence": EvidencePack,
    "nce findings --json": FindingList,
    "nce opt-out list --json": OptOutList,
    "nce undo list --json": UndoList,
    "nce campaign show --json": CampaignDocument,
    "nce campaign show --versions --json": CampaignVersions,
    "nce campaign waves --json": WavesDocument,
}
"""Command -> the document it prints."""
MADE = "<!-- Made by `python -m scripts.reference`; change the code, not this page. -->\n\n"


def pages() -> dict[str, str]:
    """Path below `docs` -> text of each page."""
    return {
        "architecture.md": drawn_into(ARCHITECTURE.read_text(encoding="utf-8")),
        "reference/cli.md": MADE + command_line(),
        "reference/dags.md": MADE + dag_page(),
        "reference/input-files.md": MADE + input_page(),
        "reference/status-json.md": MADE + json_documents(),
    }


def stale() -> list[str]:
    """The names of the committed pages that are not what the code says."""
    return [
        name
        for name, text in pages().items()
        if not (DOCS / name).exists() or (DOCS / name).read_text(encoding="utf-8") != text
    ]


def command_line() -> str:
    """Every command with its arguments and options, as typer describes it; the environment's variables."""
    done = subprocess.run(
        [sys.executable, "-m", "typer", "include.nce.cli.app", "utils", "docs", "--name", "nce"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    table = "\n".join(line for line in str(surroundings.__doc__).splitlines() if line.startswith("|"))
    return f"{done.stdout.strip()}\n\n## Environment\n\n{table}\n"


def json_documents() -> str:
    """Every field of every document: its type and what it means."""
    _, schema = models_json_schema([(model, "serialization") for model in DOCUMENTS.values()], by_alias=True)
    definitions: dict[str, Any] = schema["$defs"]
    documents = {model.__name__: f"`{command}`" for command, model in DOCUMENTS.items()}
    records = sorted(
        name for name in definitions.keys() - documents.keys() if "properties" in definitions[name]
    )
    words = sorted(name for name, definition in definitions.items() if "enum" in definition)
    parts = [
        "# JSON on standard output",
        "With `--json` a command prints one document; `nce evidence` writes one to a file. Instants are ISO "
        "8601 in UTC, to the second; what is absent is `null`, and no field is ever left out. Ids are lower "
        "case. Fields may be added; `schema` rises when one changes its meaning or goes away.",
        *("\n".join(_record(title, definitions[name], definitions)) for name, title in documents.items()),
        *("\n".join(_record(name, definitions[name], definitions)) for name in records),
        "## Words",
        *(f'<a id="{name.lower()}"></a>**{name}**: {_words(definitions[name])}' for name in words),
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
    if described.get("type") == "object" and described["additionalProperties"] is True:
        return "object"
    if described.get("type") == "object":
        key = f"{_kind(described['propertyNames'])} -> " if "propertyNames" in described else "text -> "
        return f"object: {key}{_kind(described['additionalProperties'])}"
    if described.get("format") == "date-time":
        return "instant"
    return {
        "string": "text",
        "integer": "number",
        "number": "number",
        "boolean": "true or false",
        "null": "null",
    }[str(described["type"])]


def _words(definition: Mapping[str, Any]) -> str:
    told = " ".join(str(definition.get("description", "")).split())
    return ", ".join(f"`{word}`" for word in definition["enum"]) + (f". {told}" if told else ".")


def main() -> int:
    """Write the pages, or with `--check` say which are stale."""
    if sys.argv[1:] == ["--check"]:
        outdated = stale()
        for name in outdated:
            print(f"docs/{name} is not what the code says; run: python -m scripts.reference")
        return 1 if outdated else 0
    (DOCS / "reference").mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
