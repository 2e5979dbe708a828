"""`nce decide`: what is on record afterwards, and what is refused."""

from __future__ import annotations

import pytest

from include.nce.ledger.ledger import PostgresLedger
from tests.integration.cli.conftest import Desk
from tests.integration.ledger.scene import AT, CAMPAIGN, RUN, guid, subscription

HELD, SHARED = guid("held"), guid("shared")


@pytest.fixture
def surveyed_desk(desk: Desk) -> Desk:
    """rossi was seen with two subscriptions, verdi with one of them."""

    async def set_scene(ledger: PostgresLedger) -> None:
        await ledger.open_run(RUN, CAMPAIGN, "rossi", "apply", at=AT)
        await ledger.record_survey(RUN, [subscription("held"), subscription("shared")], [], at=AT)
        await ledger.open_run(f"{CAMPAIGN}__verdi", CAMPAIGN, "verdi", "apply", at=AT)
        await ledger.record_survey(f"{CAMPAIGN}__verdi", [subscription("shared")], [], at=AT)

    desk.ledger(set_scene)
    return desk


def confirmed(desk: Desk, partner: str = "rossi") -> frozenset[str]:
    return desk.ledger(lambda ledger: ledger.confirmed_conversions(CAMPAIGN, partner))


def test_a_decision_to_convert_is_on_record_for_the_next_plan(surveyed_desk: Desk) -> None:
    done = surveyed_desk.nce(
        "decide", "convert", HELD.upper(), "--by", "anna", "--reason", "they asked for it"
    )
    assert done.stdout == f"Recorded for {HELD} of rossi: confirm conversion, decided by anna.\n"
    assert "nce backfill rossi" in done.stderr
    assert confirmed(surveyed_desk) == {HELD}


def test_a_decision_can_be_taken_back(surveyed_desk: Desk) -> None:
    surveyed_desk.nce("decide", "convert", HELD, "--reason", "they asked for it")
    surveyed_desk.nce("decide", "withdraw", HELD, "--reason", "a misunderstanding")
    assert confirmed(surveyed_desk) == frozenset()


def test_where_two_partners_hold_it_one_has_to_be_named(surveyed_desk: Desk) -> None:
    unclear = surveyed_desk.nce("decide", "convert", SHARED, "--reason", "they asked")
    assert unclear.exit_code == 2
    assert "was seen at rossi and verdi; name one with --partner." in unclear.stderr
    surveyed_desk.nce("decide", "convert", SHARED, "--reason", "they asked", "--partner", "verdi")
    assert (confirmed(surveyed_desk), confirmed(surveyed_desk, "verdi")) == (frozenset(), {SHARED})


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([guid("stranger"), "--reason", "x"], "was seen at no partner of csp-commercial-2022"),
        (["held", "--reason", "x"], "subscription: 'held' is no id"),
        ([HELD, "--reason", " "], "reason: it is empty"),
        ([HELD], "Missing option '--reason'"),
        ([guid("stranger"), "--reason", "x", "--partner", "rossi"], "was never seen at partner rossi"),
    ],
)
def test_a_decision_that_cannot_be_kept_is_refused(
    surveyed_desk: Desk, words: list[str], sentence: str
) -> None:
    done = surveyed_desk.nce("decide", "convert", *words)
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert confirmed(surveyed_desk) == frozenset()
