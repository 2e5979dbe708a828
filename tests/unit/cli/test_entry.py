"""Help, misuse and interruption: what the terminal shows, and the exit code."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner, Result

from include.nce.cli import entry, surroundings
from include.nce.cli.app import app
from include.nce.cli.display import in_zone, plain
from include.nce.domain.campaign import Moment

COMMANDS = [
    [], ["status"], ["start"], ["backfill"], ["plan"], ["explain"],
    ["opt-out"], ["opt-out", "add"], ["opt-out", "withdraw"], ["opt-out", "import"], ["opt-out", "list"],
    ["campaign"], ["campaign", "import"], ["campaign", "show"], ["campaign", "move-date"],
    ["decide"], ["decide", "convert"], ["decide", "withdraw"],
]  # fmt: skip


def nce(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), prog_name="nce")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(words: list[str]) -> None:
    done = nce(*words, "--help")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "Usage: nce" in done.stdout


def test_nce_alone_shows_its_commands() -> None:
    assert "move-date" in nce("campaign").stdout
    assert "backfill" in nce().stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["statu"], "No such command 'statu'. Did you mean 'status', 'start'? Help: nce --help\n"),
        (
            ["status", "--limt", "3"],
            "No such option: --limt (Possible options: --limit). Help: nce status --help\n",
        ),
        (
            ["status", "--limit", "0"],
            "Invalid value for '--limit': Input should be greater than or equal to 1. "
            "Help: nce status --help\n",
        ),
        (["plan"], "Missing argument 'PARTNER'. Help: nce plan --help\n"),
    ],
)
def test_misuse_is_one_sentence_and_code_two(words: list[str], sentence: str) -> None:
    done = nce(*words)
    assert (done.exit_code, done.stderr) == (2, sentence)


def test_an_interrupted_command_ends_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(by: str | None) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(surroundings, "_ledger_url", lambda: interrupt(None))
    done = nce("status")
    assert (done.exit_code, done.output) == (entry.INTERRUPTED, "")


def test_moments_are_shown_in_their_zone_and_in_utc() -> None:
    midnight = Moment(on="2022-06-30", zone="Europe/Rome").instant()
    assert in_zone(midnight, "Europe/Rome") == "2022-07-01 00:00 Europe/Rome (2022-06-30 22:00 UTC)"
    assert in_zone(midnight, "UTC") == "2022-06-30 22:00 UTC"


def test_what_a_terminal_would_obey_is_replaced() -> None:
    assert plain("a\x1b[2J\nb\tc\u202e") == "a\ufffd[2J b c\ufffd"
