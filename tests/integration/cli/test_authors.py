"""A person's word goes on record under a name, whichever command says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.cli.conftest import Desk
from tests.integration.cli.test_campaigns import written
from tests.integration.ledger.scene import guid

WORDS = [
    ("opt-out", "add", "rossi"),
    ("opt-out", "withdraw", "rossi"),
    ("opt-out", "import", "FILE"),
    ("campaign", "import", "CAMPAIGN"),
    ("campaign", "move-date", "cut_over", "2022-07-12T00:00:00Z"),
    ("campaign", "stop", "--reason", "why"),
    ("campaign", "release", "--reason", "why"),
    ("decide", "convert", guid("one"), "--reason", "why"),
    ("decide", "withdraw", guid("one"), "--reason", "why"),
    ("undo", "keep", "1", "--reason", "why"),
    ("undo", "start", "--partner", "rossi", "--reason", "why"),
]


@pytest.mark.parametrize("words", WORDS, ids=lambda words: "-".join(words[:2]))
@pytest.mark.parametrize("name", ["", " ", "\u200b"])
def test_a_name_that_is_empty_is_refused_in_the_same_words(
    desk: Desk, tmp_path: Path, words: tuple[str, ...], name: str
) -> None:
    (tmp_path / "opt-outs.csv").write_text("partner;received\nrossi;2022-06-19\n")
    files = {"FILE": str(tmp_path / "opt-outs.csv"), "CAMPAIGN": written(tmp_path, title="Another")}
    done = desk.nce(*(files.get(word, word) for word in words), "--by", name)
    assert (done.exit_code, done.stderr) == (
        2, "name: it is empty; what a person says goes on record under a name.\n",
    )  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        ("campaign", "import", "CAMPAIGN"),
        ("campaign", "move-date", "cut_over", "2022-07-12T00:00:00Z"),
        ("campaign", "stop"),
        ("campaign", "release"),
        ("decide", "convert", guid("one")),
        ("undo", "keep", "1"),
    ],
    ids=lambda words: "-".join(words[:2]),
)
def test_a_reason_that_is_empty_is_refused_in_the_same_words(
    desk: Desk, tmp_path: Path, words: tuple[str, ...]
) -> None:
    files = {"CAMPAIGN": written(tmp_path, title="Another")}
    done = desk.nce(*(files.get(word, word) for word in words), "--reason", " ")
    assert (done.exit_code, done.stderr) == (2, "reason: it is empty; say why, it stays on record.\n")
