"""The reference pages are what the code says."""

from __future__ import annotations

from scripts import reference


def test_the_committed_reference_pages_are_current() -> None:
    assert reference.stale() == [], "run: python -m scripts.reference"


def test_a_changed_page_is_noticed(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(reference, "DOCS", tmp_path)
    (tmp_path / "reference").mkdir()
    for name, text in reference.pages().items():
        (tmp_path / name).write_text(text)
    (tmp_path / "reference/cli.md").write_text("old")
    assert reference.stale() == ["reference/cli.md"]


def test_every_field_of_every_document_has_a_meaning() -> None:
    rows = [line.split("|") for line in reference.json_documents().splitlines() if line.startswith("| `")]
    assert [cells[1].strip() for cells in rows if not cells[3].strip()] == []
