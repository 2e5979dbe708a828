"""Windows, last safe starts, bundles, and Microsoft's word about a bundle."""

from __future__ import annotations

import pytest

from include.nce.domain.campaign import Safety
from include.nce.domain.conversion import (
    MOVES,
    ConversionState,
    Eligibility,
    ImpossibleMove,
    Migration,
    MigrationState,
    Phase,
    Refusal,
    bundles,
    last_safe_start_at,
    may_become,
    refused_from,
    window_opens_at,
)
from tests.support.examples import CUSTOMER, add_on, at, campaign, conversion, legacy, legacy_id, nce

TERM_END = at("2022-08-01 08:00")


@pytest.mark.parametrize(
    ("safety", "last_start", "refused"),
    [
        (Safety(), "2022-07-27 20:00", "2022-07-31 08:00"),
        (Safety(margin_hours=0), "2022-07-28 08:00", "2022-07-31 08:00"),
        (Safety(refusal_hours=48, completion_hours=96), "2022-07-25 20:00", "2022-07-30 08:00"),
    ],
)  # fmt: skip
def test_the_last_safe_start_leaves_microsoft_its_time(safety: Safety, last_start: str, refused: str) -> None:
    assert last_safe_start_at(TERM_END, safety) == at(last_start)
    assert refused_from(TERM_END, safety) == at(refused)


@pytest.mark.parametrize(
    ("window", "opens"),
    [
        ({"kind": "before_expiry"}, "2022-07-18 08:00"),
        ({"kind": "before_expiry", "lead_days": 5}, "2022-07-27 08:00"),
        # Nothing starts before the cut-over, however long the lead.
        ({"kind": "before_expiry", "lead_days": 60}, "2022-07-11 00:00"),
        ({"kind": "at_cutover"}, "2022-07-11 00:00"),
    ],
)
def test_when_the_conversion_window_opens(window: dict[str, object], opens: str) -> None:
    assert window_opens_at(TERM_END, campaign(window=window)) == at(opens)


def test_the_window_follows_a_moved_cut_over() -> None:
    moved = campaign().with_moment("cut_over", at("2022-07-25 00:00"), source="Microsoft")

    assert window_opens_at(TERM_END, moved) == at("2022-07-25 00:00")


def test_a_bundle_is_a_base_with_its_legacy_add_ons() -> None:
    found = bundles([add_on(3, base=1), legacy(1), add_on(2, base=1), legacy(4), nce(9)])

    assert {base: [a.subscription_id for a in add_ons] for base, add_ons in found.items()} == {
        legacy_id(1): [legacy_id(3), legacy_id(2)],
        legacy_id(4): [],
    }


def test_an_add_on_of_an_add_on_belongs_to_the_base_of_both() -> None:
    found = bundles([legacy(1), add_on(2, base=1), add_on(3, base=2)])

    assert {a.subscription_id for a in found[legacy_id(1)]} == {legacy_id(2), legacy_id(3)}
    assert set(found) == {legacy_id(1)}


def test_an_orphan_is_a_bundle_of_its_own() -> None:
    assert bundles([add_on(2, base=99)]) == {legacy_id(2): []}


def test_a_bundle_is_eligible_only_as_a_whole() -> None:
    no = Eligibility(legacy_id(2), eligible=False, refusals=(Refusal(3, "promotion"),))
    whole = Eligibility(legacy_id(1), eligible=True, add_ons=(no,))

    assert not whole.all_eligible
    assert [r.code for r in whole.all_refusals()] == [3]
    assert Eligibility(legacy_id(1), eligible=True).all_eligible
    assert not Eligibility(legacy_id(1), eligible=False).all_eligible


def test_a_migration_is_read_with_its_add_ons() -> None:
    part = Migration(None, legacy_id(2), CUSTOMER, MigrationState.PROCESSING)
    whole = Migration("m-1", legacy_id(1), CUSTOMER, MigrationState.PROCESSING, add_ons=(part,))

    assert [m.legacy_id for m in whole.flattened()] == [legacy_id(1), legacy_id(2)]


STATES = [state for state in ConversionState if state.phase is not Phase.FOREIGN]


@pytest.mark.parametrize("state", STATES)
def test_what_may_exist_at_microsoft_is_never_started_afresh(state: ConversionState) -> None:
    assert not (state.starts_afresh and state.is_under_way)
    if state.is_under_way:
        afresh = {following for following in STATES if following.is_unsent and may_become(state, following)}
        reverted_or_never_left = {ConversionState.FAILED} if not state.is_in_doubt else afresh
        assert afresh <= reverted_or_never_left


@pytest.mark.parametrize("state", STATES)
def test_what_is_being_taken_back_is_neither_carried_on_nor_started_afresh(state: ConversionState) -> None:
    if state.phase is Phase.TAKEN_BACK:
        assert not state.is_under_way
        assert not state.starts_afresh


def test_what_is_bought_is_not_sent_again() -> None:
    for move in MOVES:
        if move.to is ConversionState.SENT:
            assert all(source.is_unsent or source.is_in_doubt for source in move.sources)


@pytest.mark.parametrize("state", STATES)
def test_every_state_is_reached_and_every_state_but_the_last_ones_is_left(state: ConversionState) -> None:
    assert any(move.to is state for move in MOVES) or state is ConversionState.PLANNED
    assert any(state in move.sources for move in MOVES)


@pytest.mark.parametrize("state", STATES)
def test_what_a_later_version_wrote_is_left_alone(state: ConversionState) -> None:
    later = ConversionState.LATER
    assert not may_become(later, state)
    assert not may_become(state, later)
    asked = (
        "is_unsent",
        "is_in_doubt",
        "is_pending",
        "is_under_way",
        "starts_afresh",
        "can_be_undone",
        "is_bought",
        "was_tried",
        "counts_as_failed",
        "waits_for_microsoft",
        "needs_somebody",
    )
    assert not any(getattr(later, name) for name in asked)


def test_a_move_that_the_table_does_not_know_is_refused_with_both_states() -> None:
    with pytest.raises(ImpossibleMove, match="is converted and cannot become planned"):
        conversion(1, ConversionState.CONVERTED).refuse_move(ConversionState.PLANNED)
    conversion(1, ConversionState.CONVERTED).refuse_move(ConversionState.CONVERTED)
