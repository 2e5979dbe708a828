"""`nce campaign stop`, `release` and `waves`."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest

from include.nce.domain.conversion import ConversionState
from include.nce.domain.waves import Wave
from include.nce.ledger.ledger import PostgresLedger
from tests.integration.cli.conftest import Desk
from tests.integration.ledger.scene import AT, CAMPAIGN, RUN, campaign, due, guid, subscription
from tests.support.scene import bring

CUT_OVER = datetime(2022, 7, 11, tzinfo=timezone.utc)


def shown(desk: Desk) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(desk.nce("campaign", "waves", "--json").stdout)
    return found


def in_waves(desk: Desk, **waves: Any) -> None:
    async def set_scene(ledger: PostgresLedger) -> None:
        policy = {"pilot": ["rossi"], "then": [1], **waves}
        await ledger.import_campaign(campaign(waves=policy), "anna", "waves")
        await ledger.begin_wave(CAMPAIGN, Wave(1, ("rossi",)), at=CUT_OVER)
        await ledger.open_run(RUN, CAMPAIGN, "rossi", "apply", at=AT)
        names = ["done", "bad", "on its way", "next"]
        await ledger.record_verdicts(RUN, [due(n) for n in names], [[guid(n) for n in names]], at=AT)
        states = (
            ConversionState.CONVERTED,
            ConversionState.REFUSED,
            ConversionState.ACCEPTED,
            ConversionState.WAITING,
        )
        for conversion, state in zip(await ledger.conversions(RUN), states, strict=True):
            await bring(ledger, conversion.conversion_id, state, at=CUT_OVER)

    desk.ledger(set_scene)
    desk.moves_to(CUT_OVER)


def test_a_stop_and_a_release_go_on_record_with_name_and_reason(desk: Desk) -> None:
    stopped = desk.nce("campaign", "stop", "--reason", "prices look wrong", "--by", "anna")
    assert stopped.stdout.startswith(
        "The campaign was stopped by anna on 2022-06-20 08:00 UTC: prices look wrong. Nothing new is bought"
    )
    stop = shown(desk)["brake"]["stop"]
    released = desk.nce(
        "campaign", "release", "--stop", str(stop), "--reason", "they are right", "--by", "bruno"
    )
    assert released.stdout.splitlines() == [
        f"Ended: stop {stop} by anna: prices look wrong",
        f"{CAMPAIGN} is released by bruno: they are right",
        "Waiting runs go on within half a minute; nobody has to clear anything.",
    ]
    brake = shown(desk)["brake"]
    assert (brake["stopped"], brake["by"], brake["reason"], brake["at"]) == (
        False, "bruno", "they are right", "2022-06-20T08:00:00Z",
    )  # fmt: skip


def test_a_release_that_names_an_earlier_stop_ends_nothing(desk: Desk) -> None:
    desk.nce("campaign", "stop", "--reason", "first", "--by", "anna")
    seen = shown(desk)["brake"]["stop"]
    desk.nce("campaign", "release", "--reason", "out", "--by", "bruno")
    desk.nce("campaign", "stop", "--reason", "second", "--by", "anna")
    late = desk.nce("campaign", "release", "--stop", str(seen), "--reason", "out")
    assert (late.exit_code, f"Stop {seen} is not the one that counts any more" in late.stderr) == (2, True)
    assert shown(desk)["brake"]["stopped"] is True


def test_a_second_stop_says_who_was_first(desk: Desk) -> None:
    desk.nce("campaign", "stop", "--reason", "first", "--by", "anna")
    again = desk.nce("campaign", "stop", "--reason", "second", "--by", "bruno")
    assert again.stdout.startswith(f"{CAMPAIGN} is stopped already.\nThe campaign was stopped by anna")


@pytest.mark.parametrize("word", ["stop", "release"])
def test_a_reason_is_needed(desk: Desk, word: str) -> None:
    assert "--reason" in desk.nce("campaign", word).stderr
    assert desk.nce("campaign", word, "--reason", " ").exit_code == 2


def test_what_is_not_stopped_is_not_released(desk: Desk) -> None:
    done = desk.nce("campaign", "release", "--reason", "why not")
    assert (done.exit_code, done.stderr) == (
        2, f"Campaign {CAMPAIGN} is not stopped: there is nothing to release.\n",
    )  # fmt: skip


def test_waves_are_shown_with_their_partners_and_progress(desk: Desk) -> None:
    in_waves(desk)
    found = shown(desk)
    assert found["waves"] == [
        {"number": 1, "begun_at": "2022-07-11T00:00:00Z", "partners": ["rossi"], "converted": 1, "failed": 1,
         "under_way": 1, "waiting": 1},
        {"number": 2, "begun_at": None, "partners": ["verdi"], "converted": 0, "failed": 0, "under_way": 0,
         "waiting": 0},
        {"number": 3, "begun_at": None, "partners": ["canarias"], "converted": 0, "failed": 0,
         "under_way": 0, "waiting": 0},
    ]  # fmt: skip
    assert found["next_waits_for"] == "The pilot has 1 conversion under way."
    assert (found["brake"]["tried"], found["brake"]["failed"], found["brake"]["failed_at"]) == (
        3,
        1,
        ["rossi"],
    )
    assert found["brake"]["thresholds"]["failed_at_least"] == 3


def test_the_table_says_the_same_in_words(desk: Desk) -> None:
    in_waves(desk)
    lines = desk.nce("campaign", "waves").stdout.splitlines()
    assert lines[:3] == [
        f"{CAMPAIGN} buys.",
        "Conversions tried: 3, of which 1 stand as failed (at rossi). Subscriptions without cover: 0, billed "
        "on both sides: 0.",
        "It stops by itself at 5 % and 3 failed, 1 without cover, or 1 on both sides.",
    ]
    assert lines[4].split() == ["1", "(pilot)", "2022-07-11", "00:00", "1", "1", "1", "1", "1", "rossi"]
    assert lines[5].split() == ["2", "to", "come", "1", "0", "0", "0", "0", "verdi"]
    assert lines[-1] == "The next wave waits. The pilot has 1 conversion under way."


def test_who_went_ahead_is_named_with_the_reason(desk: Desk) -> None:
    in_waves(desk)
    desk.ledger(lambda ledger: ledger.go_ahead(CAMPAIGN, "canarias", "It ends soon.", at=CUT_OVER))
    assert shown(desk)["ahead"] == [{"partner": "canarias", "reason": "It ends soon."}]
    assert "canarias went ahead of its wave. It ends soon." in desk.nce("campaign", "waves").stdout
    assert [wave["partners"] for wave in shown(desk)["waves"]] == [["rossi"], ["verdi"]]


def test_while_it_is_stopped_it_says_who_cannot_wait(desk: Desk) -> None:
    async def set_scene(ledger: PostgresLedger) -> None:
        await ledger.open_run(RUN, CAMPAIGN, "rossi", "apply", at=AT)
        ends_at = datetime(2022, 7, 15, 8, tzinfo=timezone.utc)
        await ledger.record_survey(RUN, [subscription("soon", term_end_at=ends_at)], [], at=AT)

    desk.ledger(set_scene)
    desk.moves_to(CUT_OVER)
    assert shown(desk)["urgent"] == []
    desk.nce("campaign", "stop", "--reason", "fire", "--by", "anna")
    assert shown(desk)["urgent"] == [{"partner": "rossi", "term_end_at": "2022-07-15T08:00:00Z"}]
    said = "Urgent: rossi, a subscription ends on 2022-07-15 08:00 UTC."
    assert said in desk.nce("campaign", "waves").stdout


def test_a_campaign_without_waves_and_brake_says_so(desk: Desk) -> None:
    assert desk.nce("campaign", "waves").stdout.splitlines() == [
        f"{CAMPAIGN} buys.",
        "Conversions tried: 0, of which 0 stand as failed. Subscriptions without cover: 0, billed on both "
        "sides: 0.",
        "It has no brake: it stops only by hand, with nce campaign stop.",
        "No waves: every partner may buy from the cut-over on.",
    ]
    assert (shown(desk)["waves"], shown(desk)["brake"]["thresholds"]) == ([], None)


def test_a_release_says_what_it_accepts(desk: Desk) -> None:
    async def set_scene(ledger: PostgresLedger) -> None:
        await ledger.open_run(RUN, CAMPAIGN, "rossi", "apply", at=AT)
        await ledger.record_verdicts(RUN, [due("one")], [[guid("one")]], at=AT)
        [one] = await ledger.conversions(RUN)
        await bring(ledger, one.conversion_id, ConversionState.STRANDED, at=AT, nce_subscription_id="x")

    desk.ledger(set_scene)
    desk.nce("campaign", "stop", "--reason", "look", "--by", "anna")
    done = desk.nce("campaign", "release", "--reason", "seen", "--by", "anna")
    assert "Accepted as they stand: 0 without cover, 1 billed on both sides. They still need somebody." in (
        done.stdout
    )
    assert "billed on both sides: 1 (1 accepted at the release)." in desk.nce("campaign", "waves").stdout


def test_a_stopped_campaign_is_said_by_status(desk: Desk) -> None:
    desk.nce("campaign", "stop", "--reason", "fire", "--by", "anna")
    assert "The campaign was stopped by anna" in desk.nce("status").stdout
    assert json.loads(desk.nce("status", "--json").stdout)["stopped"].startswith("The campaign was stopped")
