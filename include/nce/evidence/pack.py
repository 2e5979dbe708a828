"""An evidence pack on disk: written case by case, with a digest that says whether a copy is whole.

Responsible for the file's form and for checking one. What is in it is read by `include.nce.ledger.evidence`.

The file is JSON with one case, and one entry of the general record, on a line; `digest` comes last. White
space and the order of keys do not matter to the digest: it is taken over the canonical form, which is written
down at `EvidencePack`.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from pydantic import ValidationError

from include.nce.domain.errors import InputRefused
from include.nce.ledger.evidence import Case, EvidenceHead, EvidencePack

ALGORITHM = "sha256"


@dataclass(frozen=True)
class Written:
    """What was written: how many cases, and the digest."""

    cases: int
    digest: str


def canonical(value: Any) -> str:
    """The one way to write a JSON value down: keys sorted, no white space, nothing escaped needlessly."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


async def write_pack(head: EvidenceHead, cases: AsyncIterator[Case], out: TextIO) -> Written:
    """Write the pack while it is read: one case is held at a time."""
    document = head.model_dump(mode="json", by_alias=True)
    # `cases` stands before all but `campaign` and `campaign_version` where keys are sorted.
    before = [name for name in sorted(document) if name < "cases"]
    after = [name for name in sorted(document) if name > "cases"]
    digest, number = hashlib.sha256(), 0

    def add(text: str) -> None:
        digest.update(text.encode("utf-8"))

    add("{" + "".join(f"{canonical(name)}:{canonical(document[name])}," for name in before) + '"cases":[')
    out.write("{\n" + "".join(f"{canonical(name)}: {_lines(document[name])},\n" for name in before))
    out.write('"cases": [')
    async for case in cases:
        text = canonical(case.model_dump(mode="json", by_alias=True))
        add(("," if number else "") + text)
        out.write(("," if number else "") + "\n" + text)
        number += 1
    add("]" + "".join(f",{canonical(name)}:{canonical(document[name])}" for name in after) + "}")
    out.write("\n],\n" + "".join(f"{canonical(name)}: {_lines(document[name])},\n" for name in after))
    value = digest.hexdigest()
    out.write(f'"digest": {canonical({"algorithm": ALGORITHM, "value": value})}\n}}\n')
    return Written(number, value)


def read_pack(path: Path) -> EvidencePack:
    """A pack whose digest is right. Raises InputRefused with what is wrong with it."""
    document = _document(path)
    claimed = document.pop("digest", None)
    value = hashlib.sha256(canonical(document).encode("utf-8", "surrogatepass")).hexdigest()
    if not isinstance(claimed, dict) or document.get("document") != "nce-evidence":
        raise InputRefused([f"{path}: this is no evidence pack; name a file that nce evidence wrote."])
    if claimed != {"algorithm": ALGORITHM, "value": value}:
        raise InputRefused(
            [
                f"{path}: something in it was changed after it was made: its content gives {value}, "
                f"it claims {claimed.get('value')}."
            ]
        )
    try:
        return EvidencePack.model_validate({**document, "digest": claimed})
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise InputRefused(
            [f"{path}: its digest is right, and '{where}' is not what this version of nce writes."]
        ) from None


@contextmanager
def private_file(path: Path) -> Iterator[TextIO]:
    """A file that only its owner reads, there under its name once it is whole, and not at all after an error.

    Raises InputRefused when it cannot be written there.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise InputRefused([f"{path} cannot be written ({error.strerror}); name another place."]) from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            yield file
        Path(name).replace(path)
    except OSError as error:
        raise InputRefused([f"{path} cannot be written ({error.strerror}); name another place."]) from None
    finally:
        Path(name).unlink(missing_ok=True)


def _lines(value: Any) -> str:
    """A list of records one a line, everything else as it is."""
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(canonical(item) for item in value) + "\n]"
    return canonical(value)


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes(), object_pairs_hook=_without_twins)
    except OSError as error:
        raise InputRefused([f"{path} cannot be read ({error.strerror}); name another file."]) from None
    except ValueError as error:
        raise InputRefused([f"{path}: this is no JSON that nce evidence wrote ({error})."]) from None
    if not isinstance(document, dict):
        raise InputRefused([f"{path}: this is no evidence pack; name a file that nce evidence wrote."])
    return document


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two members of one name a reader may see either: such a file says two things."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has two members of the same name")
    return found
