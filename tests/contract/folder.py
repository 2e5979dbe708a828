"""The folder of documented payloads: ours, or the one that `NCE_CONTRACT_EXAMPLES` names.

Responsible for reading `index.json` and finding the operation an entry speaks of. What an example has to
fulfil is said by the tests; none of them knows an example by its file name.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from simulator.exchange import Operation
from simulator.routes import OPERATIONS

OWN = Path(__file__).parent / "examples"
FOLDER = Path(os.environ.get("NCE_CONTRACT_EXAMPLES") or OWN)


@dataclass(frozen=True)
class Example:
    """One file and what the index says about it. `resource` ends in `.collection` when it is a list."""

    file: Path
    resource: str
    kind: str
    method: str
    path: str
    status: int | None

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def subject(self) -> str:
        return self.resource.removesuffix(".collection")

    @property
    def payload(self) -> Any:
        return json.loads(self.file.read_text(encoding="utf-8"))

    @property
    def operation(self) -> Operation | None:
        """The simulator's operation with this method and path; a placeholder fits any segment."""
        wanted = urlsplit(self.path).path.strip("/").split("/")
        for operation in OPERATIONS:
            own = operation.path.strip("/").split("/")
            if operation.method == self.method and len(own) == len(wanted) and all(map(_fits, own, wanted)):
                return operation
        return None


def _fits(own: str, wanted: str) -> bool:
    return own.startswith("{") == wanted.startswith("{") and (own.startswith("{") or own == wanted)


def read_examples(folder: Path) -> list[Example]:
    """Every entry of a folder's index, by file name."""
    try:
        index: dict[str, dict[str, Any]] = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise pytest.UsageError(
            f"NCE_CONTRACT_EXAMPLES names {folder}, whose index.json cannot be read ({fault})."
        ) from None
    return [
        Example(
            folder / name,
            entry["resource"],
            entry["kind"],
            entry["method"],
            entry["path"],
            entry.get("status"),
        )
        for name, entry in sorted(index.items())
    ]


EXAMPLES = read_examples(FOLDER)
REQUESTS = [example for example in EXAMPLES if example.kind == "request"]
RESPONSES = [example for example in EXAMPLES if example.kind == "response"]


def named(examples: list[Example]) -> list[Any]:
    """Parameters of a test, each with the name of its file."""
    return [pytest.param(example, id=example.name) for example in examples]


def camel_case(value: Any) -> Any:
    """A payload with every name in camelCase: pages write both cases."""
    if isinstance(value, dict):
        return {name[:1].lower() + name[1:]: camel_case(part) for name, part in value.items()}
    return [camel_case(part) for part in value] if isinstance(value, list) else value


def plain(text: str) -> str:
    """A text without what makes no difference between two spellings of one word."""
    return re.sub(r"[\s_-]", "", text).lower()
