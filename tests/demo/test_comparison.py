"""Story, ledger and world have to agree."""

from __future__ import annotations

from typing import Any

import pytest

from include.nce.ledger.reports import CampaignStatus
from scripts.demo.comparison import Holding, differences
from scripts.demo.story import Expectation
from tests.support.status import campaign_status, partner_row

LEGACY, OTHER, NCE, SECOND = "aaaa", "bbbb", "cccc", "dddd"


def _status(outcome: str | None = "converted", sentence: str = "", **lines: dict[str, Any]) -> CampaignStatus:
    return campaign_status(partner_row("rossi", outcome, sentence=sentence, lines=lines))


def _holdings(*holdings: Holding) -> dict[str, Holding]:
    return {holding.id: holding for holding in holdings}


def _legacy(name: str = LEGACY, status: str = "suspended", suspended_by: str | None = "microsoft") -> Holding:
    return Holding(name, status, 10, None, "seed", suspended_by)


def _nce(
    name: str = NCE,
    *,
    of: str | None = LEGACY,
    status: str = "active",
    seats: int = 10,
    created_by: str = "migration",
) -> Holding:
    return Holding(name, status, seats, of, created_by, None)


def _expect(
    outcome: str = "converted", reason: str | None = None, name: str | None = LEGACY
) -> list[Expectation]:
    return [Expectation("rossi", name, outcome, reason)]


def test_a_conversion_on_which_all_agree_is_no_difference() -> None:
    assert differences(_expect(), _status(aaaa={}), _holdings(_legacy(), _nce())) == []


def test_a_purchase_that_only_the_ledger_can_attribute_is_found() -> None:
    status = _status(aaaa={"nce_subscription": NCE.upper()})
    bought = _nce(of=None, created_by="order")
    assert differences(_expect(), status, _holdings(_legacy(suspended_by="caller"), bought)) == []


def test_what_the_ledger_calls_converted_needs_a_successor_in_partner_center() -> None:
    [sentence] = differences(_expect(), _status(aaaa={}), _holdings(_legacy()))
    assert "has no successor" in sentence


def test_a_successor_that_somebody_else_made_is_none_of_ours() -> None:
    world = _holdings(_legacy(), _nce(created_by="portal"))
    [sentence] = differences(_expect(), _status(aaaa={}), world)
    assert "has no successor that we bought" in sentence


def test_what_was_bought_twice_is_a_difference_whoever_expects_what() -> None:
    world = _holdings(_legacy(), _nce(), _nce(SECOND))
    assert differences([], _status(aaaa={}), world) == ["aaaa: bought 2 times in Partner Center."]


@pytest.mark.parametrize(
    ("successor", "says"),
    [(_nce(status="pending"), "is pending"), (_nce(seats=9), "has 9 seats, it had 10")],
)
def test_a_successor_that_does_not_cover_is_a_difference(successor: Holding, says: str) -> None:
    [sentence] = differences(_expect(), _status(aaaa={}), _holdings(_legacy(), successor))
    assert says in sentence


def test_a_converted_subscription_that_is_still_billed_is_a_difference() -> None:
    world = _holdings(_legacy(status="active", suspended_by=None), _nce())
    [sentence] = differences(_expect(), _status(aaaa={}), world)
    assert "still active, and billed" in sentence


@pytest.mark.parametrize(
    ("legacy", "successor", "says"),
    [
        ("active", "deleted", []),
        ("suspended", "deleted", ["it was undone, but is suspended"]),
        ("active", "active", ["it was undone, but its successor cccc is active"]),
    ],
)
def test_what_was_undone_is_legacy_again_on_both_accounts(
    legacy: str, successor: str, says: list[str]
) -> None:
    world = _holdings(_legacy(status=legacy), _nce(status=successor))
    found = differences(_expect("undone"), _status(aaaa={"class": "undone"}), world)
    assert [any(words in sentence for sentence in found) for words in says] == [True] * len(found)


def test_a_subscription_that_was_to_be_left_alone_and_was_not_bought_is_no_difference() -> None:
    status = _status(aaaa={"class": "opted_out", "reason": "Form of 25 June"})
    world = _holdings(_legacy(status="active", suspended_by=None))
    assert differences(_expect("opted_out", "form"), status, world) == []


def test_a_purchase_for_a_subscription_that_was_to_be_left_alone_is_a_difference() -> None:
    status = _status(aaaa={"class": "opted_out"})
    [sentence] = differences(_expect("opted_out"), status, _holdings(_legacy(), _nce()))
    assert "cccc was bought for it" in sentence


def test_a_suspension_of_a_subscription_that_was_to_be_left_alone_is_a_difference() -> None:
    status = _status(aaaa={"class": "exempt"})
    [sentence] = differences(_expect("exempt"), status, _holdings(_legacy(suspended_by="caller")))
    assert "we suspended it" in sentence


def test_a_different_class_is_told_with_the_ledgers_reason() -> None:
    status = _status(aaaa={"class": "held", "reason": "no MCA"})
    found = differences(_expect(), status, _holdings(_legacy(), _nce()))
    assert found == ["rossi, subscription aaaa: expected converted, is held (no MCA)."]


def test_a_different_reason_is_a_difference() -> None:
    status = _status(aaaa={"class": "held", "reason": "MPN id unknown"})
    world = _holdings(_legacy(status="active", suspended_by=None))
    [sentence] = differences(_expect("held", "mca"), status, world)
    assert sentence == "rossi, subscription aaaa: expected the reason 'mca', is 'MPN id unknown'."


def test_a_subscription_that_the_ledger_does_not_know_is_a_difference() -> None:
    [sentence] = differences(_expect(name=OTHER), _status(aaaa={}), _holdings(_legacy(OTHER), _nce(of=OTHER)))
    assert sentence == "rossi, subscription bbbb: expected converted, but the ledger does not know it."


def test_a_partners_outcome_is_compared_too() -> None:
    [sentence] = differences(_expect("blocked", name=None), _status(), {})
    assert sentence == "rossi: expected blocked, is converted (no reason given)."


def test_a_partner_whose_run_is_open_counts_as_running() -> None:
    assert differences(_expect("running", name=None), _status(None), {}) == []


def test_the_simulators_own_names_are_read() -> None:
    state = {
        "subscriptions": [
            {
                "id": "CCCC",
                "status": "active",
                "seats": 3,
                "migrated_from": "AAAA",
                "created_by": "migration",
                "suspended_by": None,
            }
        ]
    }
    assert Holding.read_all(state) == {"cccc": Holding("cccc", "active", 3, "aaaa", "migration", None)}
