"""The pages for people: every link leads somewhere, every command exists, every example is accepted."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import typer.main

from include.nce.cli.app import app
from include.nce.intake.campaign_file import load_campaign
from include.nce.intake.opt_out_list import load_opt_outs
from include.nce.intake.roster import load_roster

CHECKOUT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md"), *(CHECKOUT / "simulator").glob("*.md")]
)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


def name(page: Path) -> str:
    return str(page.relative_to(CHECKOUT))


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in _BLOCK.findall(page.read_text()) if kind == language]


def commands(page: Path) -> Iterator[str]:
    """Each line of the shell blocks and each piece of code in the text."""
    for block in blocks(page, "sh"):
        yield from block.replace("\\\n", " ").splitlines()
    yield from _INLINE.findall(_BLOCK.sub("", page.read_text()))


def anchors(page: Path) -> set[str]:
    """The anchors GitHub makes of a page's headings, and those that are written."""
    text = _BLOCK.sub("", page.read_text())
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    made = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return made | set(re.findall(r'<a id="([^"]+)"', text))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for link in _LINK.findall(_BLOCK.sub("", page.read_text())):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def nce_commands() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        if page.parent.name == "reference":
            continue
        for line in commands(page):
            if line.startswith(("scripts/nce ", "nce ")):
                yield name(page), line


@pytest.mark.parametrize(("page", "line"), sorted(set(nce_commands())))
def test_every_command_of_nce_is_one_that_it_takes(page: str, line: str) -> None:
    words = shlex.split(line.removesuffix(" ..."))[1:]
    command: Any = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    if words:  # not only its name
        command.make_context(f"{page}: {line}", words)


def test_every_target_of_make_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    used = {
        found.group(1)
        for page in PAGES
        for line in commands(page)
        if (found := re.match(r"(?:[A-Z_]+=\S+ )?make ([a-z-]+)", line))
    }
    assert used
    assert used - targets == set()


def test_every_module_that_is_run_exists() -> None:
    used = {
        module
        for page in PAGES
        for line in commands(page)
        for module in re.findall(r"python -m ((?:scripts|include|simulator)[\w.]*)", line)
    }
    assert used
    places = {module: CHECKOUT / Path(*module.split(".")) for module in used}
    assert [m for m, p in places.items() if not (p.with_suffix(".py").exists() or p.is_dir())] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_page_speaks_of_the_machine_it_was_written_on(page: Path) -> None:
    assert re.findall(r"(?:/tmp|/home|/root|/work|/Users)/\S*", page.read_text()) == []


CAMPAIGN_PAGE = CHECKOUT / "docs" / "campaign-file.md"


def test_the_campaign_that_the_guide_shows_is_accepted() -> None:
    [example] = blocks(CAMPAIGN_PAGE, "yaml")
    assert load_campaign(example, name="example").campaign == "csp-commercial-2022"


def test_the_rosters_that_the_guide_shows_are_accepted() -> None:
    as_csv, [as_json] = blocks(CAMPAIGN_PAGE, "text")[0], blocks(CAMPAIGN_PAGE, "json")
    assert [p.partner for p in load_roster(as_csv, name="example")] == ["rossi-informatica", "nordlicht-it"]
    assert [p.partner for p in load_roster(as_json, name="example")] == ["rossi-informatica"]


def test_the_opt_out_list_that_the_guide_shows_is_accepted() -> None:
    example = blocks(CAMPAIGN_PAGE, "text")[1].encode()
    forms = load_opt_outs(
        example,
        name="example",
        zone="Europe/Rome",
        known_partners={"conti-it", "sol-sistemas"},
        now_at=datetime(2022, 7, 2, tzinfo=timezone.utc),
    )
    assert [(form.partner, form.received_at.hour) for form in forms] == [
        ("conti-it", 15),
        ("sol-sistemas", 22),
    ]
