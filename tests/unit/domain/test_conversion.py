"""Windows, last safe starts, bundles, and Microsoft's word about a bundle."""

from __future__ import annotations

import pytest

from include.nce.domain.campaign import Safety
from include.nce.domain.conversion import (
    PENDING_STATES,
    RETRIABLE_STATES,
    UNDER_WAY_STATES,
    ConversionState,
    Eligibility,
    Migration,
    MigrationState,
    Refusal,
    bundles,
    last_safe_start_at,
    refused_from,
    window_opens_at,
)
from tests.support.examples import CUSTOMER, add_on, at, campaign, legacy, legacy_id, nce

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


def test_what_may_exist_at_microsoft_is_never_started_afresh() -> None:
    assert not RETRIABLE_STATES & UNDER_WAY_STATES
    assert PENDING_STATES < UNDER_WAY_STATES
    final = {ConversionState.CONVERTED, ConversionState.BY_OTHERS, ConversionState.UNDONE}
    assert RETRIABLE_STATES | UNDER_WAY_STATES | {ConversionState.UNDOING} | final == set(ConversionState)


def test_what_is_being_taken_back_is_neither_carried_on_nor_started_afresh() -> None:
    taken_back = {ConversionState.UNDOING, ConversionState.UNDONE}
    assert not taken_back & (RETRIABLE_STATES | UNDER_WAY_STATES)
