"""Who may buy, who comes next, and what the next wave waits for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from include.nce.domain.campaign import Waves
from include.nce.domain.waves import (
    Progress,
    Wave,
    WaveBoard,
    coming,
    is_urgent,
    next_wave,
    why_not_yet,
)
from tests.support.examples import at, campaign

CUT_OVER = at("2022-07-11 00:00")
FIVE = ("a", "b", "c", "d", "e")


def policy(**changes: Any) -> Waves:
    return Waves.model_validate({"pilot": ["aa", "bb"], "then": [1, 2], **changes})


def begun(*waves: tuple[str, ...]) -> tuple[Wave, ...]:
    return tuple(Wave(number, partners, CUT_OVER) for number, partners in enumerate(waves, start=1))


@pytest.mark.parametrize(
    ("pilot", "then", "board", "partners"),
    [
        # The pilot is named, in the file's order; later waves follow the order of enrolment.
        (["cc", "aa"], [2], WaveBoard(("aa", "bb", "cc", "dd")), ("cc", "aa")),
        (["cc"], [2], WaveBoard(("aa", "bb", "cc", "dd"), begun(("cc",))), ("aa", "bb")),
        # A pilot that is not enrolled, or opted out, is left out; without any nothing begins.
        (["cc", "xx"], [2], WaveBoard(("aa", "cc")), ("cc",)),
        (["xx"], [2], WaveBoard(("aa", "cc")), None),
        # Without a pilot the first size is the first wave's.
        ([], [1, 3], WaveBoard(FIVE), ("a",)),
        ([], [1, 3], WaveBoard(FIVE, begun(("a",))), ("b", "c", "d")),
        # The last size repeats until all have begun, and the last wave may be smaller.
        ([], [1, 2], WaveBoard(FIVE, begun(("a",), ("b", "c"))), ("d", "e")),
        ([], [2], WaveBoard(FIVE, begun(("a", "b"), ("c", "d"))), ("e",)),
        ([], [2], WaveBoard(FIVE, begun(FIVE)), None),
        # Who went ahead takes no place any more; a pilot that did is still the pilot.
        ([], [2], WaveBoard(FIVE, ahead={"a": "urgent", "c": "urgent"}), ("b", "d")),
        (["aa"], [2], WaveBoard(("aa", "bb"), ahead={"aa": "urgent"}), ("aa",)),
        # Who is enrolled later comes last; a pilot that is named later comes next.
        ([], [3], WaveBoard(("a", "b", "new"), begun(("a",))), ("b", "new")),
        (["aa", "dd"], [2], WaveBoard(("aa", "bb", "cc", "dd"), begun(("aa",))), ("dd", "bb")),
        # A wave that has begun keeps its partners whatever the file says now: a longer pilot, other sizes.
        (["aa"], [1], WaveBoard(("aa", "bb", "cc"), begun(("bb",))), ("aa",)),
    ],
)
def test_the_next_wave_consists_of(
    pilot: list[str], then: list[int], board: WaveBoard, partners: tuple[str, ...] | None
) -> None:
    wave = next_wave(policy(pilot=pilot, then=then), board)
    assert (wave.partners if wave else None) == partners


def test_all_coming_waves_are_foreseen_with_their_numbers() -> None:
    waves = coming(policy(), WaveBoard(("bb", "cc", "aa", "dd", "ee", "ff")))
    assert [(wave.number, wave.partners) for wave in waves] == [
        (1, ("aa", "bb")), (2, ("cc",)), (3, ("dd", "ee")), (4, ("ff",)),
    ]  # fmt: skip


@given(
    enrolled=st.lists(st.sampled_from([f"p{n}" for n in range(30)]), unique=True, max_size=30),
    sizes=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    ahead=st.sets(st.sampled_from([f"p{n}" for n in range(30)])),
)
def test_every_partner_is_in_exactly_one_wave_or_went_ahead(
    enrolled: list[str], sizes: list[int], ahead: set[str]
) -> None:
    board = WaveBoard(tuple(enrolled), ahead=dict.fromkeys(ahead & set(enrolled), "urgent"))
    named = [name for wave in coming(policy(pilot=[], then=sizes), board) for name in wave.partners]
    assert sorted([*named, *board.ahead]) == sorted(enrolled)


def board(**progress: Progress) -> WaveBoard:
    return WaveBoard(("aa", "bb", "cc", "dd"), begun(("aa", "bb")), progress=progress)


DONE = Progress(converted=2, last_change_at=CUT_OVER + timedelta(hours=3))


@pytest.mark.parametrize(
    ("standing", "hours", "reason"),
    [
        (WaveBoard(("aa", "bb")), -1, "before the cut-over, 2022-07-11 00:00 UTC"),
        (WaveBoard(("aa", "bb")), 0, None),
        (WaveBoard(("cc",)), 0, "aa, bb are not enrolled or opted out"),
        # Quiet: counted from the last change, or from the wave's begin when nothing has moved.
        (board(aa=DONE), 26, "quiet until 2022-07-12 03:00 UTC"),
        (board(aa=DONE), 27, None),
        (
            board(aa=DONE, bb=replace(DONE, last_change_at=CUT_OVER + timedelta(hours=9))),
            32,
            "2022-07-12 09:00",
        ),
        # A partner of no wave, or of another, keeps nobody from being quiet.
        (board(aa=DONE, cc=Progress(under_way=3)), 27, None),
        # As long as anything is under way the outcome is not known.
        (board(aa=replace(DONE, under_way=1)), 500, "The pilot has 1 conversion under way."),
        (board(aa=DONE, bb=Progress(under_way=2)), 500, "The pilot has 2 conversions under way."),
        # A pilot that converted nothing has proved nothing, however long it is quiet.
        (board(), 500, "converted nothing"),
        (board(aa=Progress(failed=3, last_change_at=CUT_OVER)), 500, "converted nothing"),
    ],
)
def test_the_wave_after_the_pilot_waits_for(standing: WaveBoard, hours: int, reason: str | None) -> None:
    found = why_not_yet(campaign(), policy(), standing, CUT_OVER + timedelta(hours=hours))
    assert found is None if reason is None else reason in str(found)


def test_a_later_wave_that_had_nothing_to_convert_holds_nobody() -> None:
    standing = WaveBoard(FIVE, begun(("a",)))
    wanted = policy(pilot=[], quiet_hours=2)
    assert why_not_yet(campaign(), wanted, standing, CUT_OVER + timedelta(hours=1)) == (
        "Wave 1 has to be quiet until 2022-07-11 02:00 UTC."
    )
    assert why_not_yet(campaign(), wanted, standing, CUT_OVER + timedelta(hours=2)) is None


@pytest.mark.parametrize(
    ("hours_left", "ahead"),
    [
        # The last safe start is 108 hours before the term end, and who is a day from it goes ahead.
        (133, False), (132.1, False), (132, True), (108, True), (50, True), (24.1, True),
        # In Microsoft's last hours a person decides.
        (24, False), (1, False), (-5, False),
    ],
)  # fmt: skip
def test_who_is_near_its_last_safe_start_goes_ahead(hours_left: float, ahead: bool) -> None:
    ends_at = CUT_OVER + timedelta(hours=hours_left)
    assert is_urgent(ends_at, campaign(), CUT_OVER) is ahead


def test_the_margin_before_the_last_safe_start_is_policy() -> None:
    ends_at = CUT_OVER + timedelta(hours=120)
    in_no_hurry = campaign(waves={"then": [1], "ahead_hours": 0})
    assert is_urgent(ends_at, campaign(), CUT_OVER)
    assert not is_urgent(ends_at, in_no_hurry, CUT_OVER)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"then": []}, "at least 1 item"),
        ({"then": [0]}, "greater than or equal to 1"),
        ({"pilot": ["aa", "bb", "aa"]}, "'pilot' names aa twice"),
        ({"pilot": ["Rossi S.r.l."]}, "should match pattern"),
        ({"quiet_hours": -1}, "greater than or equal to 0"),
        ({"quiet_days": 1}, "Extra inputs"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        policy(**changes)


def test_a_campaign_in_waves_always_has_a_brake() -> None:
    assert campaign().brake_in_force is None
    assert campaign(waves={"then": [1]}).brake_in_force is not None
    assert campaign(brake={"failed_at_least": 7}).brake_in_force.failed_at_least == 7  # type: ignore[union-attr]
