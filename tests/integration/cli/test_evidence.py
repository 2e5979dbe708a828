"""`nce evidence`: files for somebody else, and whether a copy is whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from include.nce.ledger.ledger import PostgresLedger
from tests.integration.cli.conftest import Desk
from tests.integration.ledger.scene import AT, CAMPAIGN, LATER, RUN, due, guid


@pytest.fixture
def scene(desk: Desk) -> Desk:
    async def recorded(ledger: PostgresLedger) -> None:
        await ledger.open_run(RUN, CAMPAIGN, "rossi", "apply", at=AT)
        await ledger.record_survey(RUN, [due("base").subscription], [], at=AT)
        await ledger.record_verdicts(RUN, [due("base")], [[guid("base")]], at=LATER)

    desk.ledger(recorded)
    return desk


def export(desk: Desk, *words: str) -> list[Path]:
    done = desk.nce("evidence", *words)
    assert done.exit_code == 0, done.stderr
    return [Path(line.partition(": ")[0]) for line in done.stdout.splitlines()]


def test_a_folder_gets_both_forms_with_one_digest(scene: Desk, tmp_path: Path) -> None:
    done = scene.nce("evidence", "rossi", "--out", str(tmp_path), "--by", "Carla Neri")
    pack, page = tmp_path / "evidence-rossi.json", tmp_path / "evidence-rossi.html"
    document = json.loads(pack.read_text())
    digest = document["digest"]["value"]
    assert done.stdout == "".join(f"{path}: 1 subscriptions, SHA-256 {digest}\n" for path in (pack, page))
    assert digest in page.read_text()
    assert document["made_by"] == "Carla Neri"


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["--format", "html"], ["evidence-rossi.html"]),
        (["--format", "json"], ["evidence-rossi.json"]),
    ],
)
def test_only_the_form_that_was_asked_for(
    scene: Desk, tmp_path: Path, words: list[str], names: list[str]
) -> None:
    export(scene, "rossi", "--out", str(tmp_path), *words)
    assert [path.name for path in tmp_path.iterdir()] == names


def test_a_file_is_what_it_ends_with(scene: Desk, tmp_path: Path) -> None:
    export(scene, guid("base").upper(), "--out", str(tmp_path / "for-the-lawyer.html"))
    assert (tmp_path / "for-the-lawyer.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("partner", "language", "title"),
    [
        ("rossi", [], "Documentazione probatoria"),
        ("canarias", [], "Evidence"),
        ("rossi", ["--language", "en"], "Evidence"),
        ("canarias", ["--language", "it"], "Documentazione probatoria"),
    ],
)
def test_the_page_is_in_the_partners_language_or_the_one_that_was_asked_for(
    scene: Desk, tmp_path: Path, partner: str, language: list[str], title: str
) -> None:
    (page,) = export(scene, partner, "--out", str(tmp_path / "page.html"), *language)
    assert f"<h1>{title}</h1>" in page.read_text()


@pytest.mark.parametrize("language", ["en", "it"])
def test_both_forms_are_verified_without_a_ledger(scene: Desk, tmp_path: Path, language: str) -> None:
    paths = export(scene, "rossi", "--out", str(tmp_path), "--language", language)
    scene.url = "postgres://nobody@127.0.0.1:9/none"
    for path in paths:
        done = scene.nce("evidence", "--verify", str(path))
        assert done.exit_code == 0, done.stderr
        assert done.stdout.startswith(f"{path} is as it was made: 1 subscriptions of rossi in {CAMPAIGN}")


def test_a_page_that_says_something_else_is_found_out(scene: Desk, tmp_path: Path) -> None:
    export(scene, "rossi", "--out", str(tmp_path))
    page = tmp_path / "evidence-rossi.html"
    page.write_text(page.read_text().replace("Rossi S.r.l.", "Bianchi S.r.l.", 1))
    done = scene.nce("evidence", "--verify", str(page))
    assert done.exit_code == 1
    assert "does not say what" in done.stderr


def test_a_pack_that_says_something_else_is_found_out(scene: Desk, tmp_path: Path) -> None:
    export(scene, "rossi", "--out", str(tmp_path))
    pack = tmp_path / "evidence-rossi.json"
    pack.write_text(pack.read_text().replace("Rossi S.r.l.", "Bianchi S.r.l."))
    for name in ("evidence-rossi.json", "evidence-rossi.html"):
        done = scene.nce("evidence", "--verify", str(tmp_path / name))
        assert done.exit_code == 2
        assert "something in it was changed" in done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Name a subscription or a partner"),
        (["rosi"], "did you mean 'rossi'?"),
        (["rossi", "--out", "{folder}/evidence.pdf"], "ends with neither .json nor .html"),
        (["rossi", "--out", "{folder}/nowhere/pack.json"], "cannot be written (No such file or directory)"),
        (["--verify", "{folder}/nothing.json"], "cannot be read (No such file or directory)"),
        (["--verify", "{folder}/nothing.html"], "cannot be read (No such file or directory)"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_sentence(
    scene: Desk, tmp_path: Path, words: list[str], sentence: str
) -> None:
    done = scene.nce("evidence", *(word.format(folder=tmp_path) for word in words))
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
