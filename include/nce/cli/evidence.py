"""`nce evidence`: all that is on record about a partner or a subscription, to be handed to somebody else."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from include.nce.cli.display import in_utc, say
from include.nce.cli.entry import Unavailable, as_command
from include.nce.cli.surroundings import ByOption, CampaignOption, author, campaign_named, open_ledger
from include.nce.domain.errors import InputRefused
from include.nce.evidence.words import LANGUAGES, language_of

if TYPE_CHECKING:
    from include.nce.evidence.pack import Written
    from include.nce.ledger.evidence import EvidenceHead


class Form(str, Enum):
    JSON = "json"
    HTML = "html"


class Language(str, Enum):
    ENGLISH = "en"
    ITALIAN = "it"


@as_command
async def evidence(
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="SUBSCRIPTION|PARTNER",
            help="A legacy subscription's id, or a partner's short id.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(metavar="FILE|FOLDER", help="A file, or a folder for files named after the subject."),
    ] = Path(),
    form: Annotated[
        Form | None,
        typer.Option("--format", help="Only this form; left out: what FILE ends with, in a folder both."),
    ] = None,
    language: Annotated[
        Language | None, typer.Option(help="Of the readable form; left out: the partner's.")
    ] = None,
    verify: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Check a file that was made before, .json or .html, instead."),
    ] = None,
    by: ByOption = None,
    campaign: CampaignOption = None,
) -> None:
    """Export everything on record, for an auditor or a partner's lawyer.

    Who did what, when, on what authority, with what answer: plans, decisions, opt-outs, checks, commands
    with request and correlation ids, answers as they came, each subscription before and after. JSON for
    programs, HTML for people, which any browser prints to paper or PDF. Both carry a digest: `--verify` says
    whether a copy is whole, and needs no ledger.
    """
    if verify is not None:
        _verify(verify)
        return
    if subject is None:
        raise InputRefused(["Name a subscription or a partner, or a file with --verify."])
    async with open_ledger() as ledger:
        name = await campaign_named(ledger, campaign)
        async with ledger.evidence(name, subject, made_by=author(by).name) as found:
            paths = _places(out, form, found.head.subject)
            language_name = language.value if language else _language(found.head)
            with ExitStack() as stack:
                # Imported here: `--help` and faulty input do not pay for the template engine.
                from include.nce.evidence.pack import private_file, write_pack

                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="nce-evidence-"))
                pack = Path(folder) / "pack.json"
                with private_file(pack) as file:
                    written = await write_pack(found.head, found.cases(), file)
                head = found.head.model_dump(mode="json", by_alias=True)
                for kind, path in paths.items():
                    with private_file(path) as file:
                        pieces = (
                            _lines(pack) if kind is Form.JSON else _page(head, pack, written, language_name)
                        )
                        for piece in pieces:
                            file.write(piece)
    for path in paths.values():
        say(f"{path}: {written.cases} subscriptions, SHA-256 {written.digest}")


def _places(out: Path, form: Form | None, subject: str) -> dict[Form, Path]:
    """What to write where. Raises InputRefused when the name of a file does not say its form."""
    if out.is_dir():
        stem = "evidence-" + re.sub(r"[^a-z0-9-]", "_", subject)
        return {kind: out / f"{stem}.{kind.value}" for kind in ([form] if form else Form)}
    ending = out.suffix.lower().removeprefix(".")
    if form is not None:
        return {form: out}
    if ending not in {kind.value for kind in Form}:
        raise InputRefused(
            [f"{out} is no folder and ends with neither .json nor .html; name one of these or give --format."]
        )
    return {Form(ending): out}


def _language(head: EvidenceHead) -> str:
    return language_of(head.partners[0].language) if head.partners else LANGUAGES[0]


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        yield from file


def _page(head: Mapping[str, Any], pack: Path, written: Written, language: str) -> Iterator[str]:
    from include.nce.evidence.page import page

    return page(head, lambda: _cases_of(pack), written.digest, language)


def _cases_of(path: Path) -> Iterator[dict[str, Any]]:
    """The cases of a pack that was written here a moment ago: one a line."""
    inside = False
    for line in _lines(path):
        if line.startswith('"cases": ['):
            inside = True
        elif inside and line.startswith("]"):
            return
        elif inside:
            yield json.loads(line.rstrip().removesuffix(","))


def _verify(path: Path) -> None:
    from include.nce.evidence.pack import read_pack
    from include.nce.evidence.page import language_written, page

    beside = path.with_suffix(".json") if path.suffix.lower() in (".html", ".htm") else None
    try:
        pack = read_pack(beside or path)
        if beside is not None:
            language = language_written(path)
            document = pack.model_dump(mode="json", by_alias=True)
            cases: list[dict[str, Any]] = document["cases"]
            expected = page(document, lambda: cases, pack.digest.value, language or LANGUAGES[0])
            if language is None or not _same(path, expected):
                raise Unavailable(
                    f"{path}: the page does not say what {beside} says, or another version of nce made it."
                )
    except OSError as error:
        raise InputRefused([f"{path} cannot be read ({error.strerror}); name another file."]) from None
    say(
        f"{path} is as it was made: {len(pack.cases)} subscriptions of {pack.subject} in {pack.campaign}, "
        f"made {in_utc(pack.made_at)} UTC by {pack.made_by}, SHA-256 {pack.digest.value}"
    )


def _same(path: Path, pieces: Iterable[str]) -> bool:
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        return all(file.read(len(piece)) == piece for piece in pieces) and not file.read(1)
