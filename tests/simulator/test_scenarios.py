"""Reading scenarios: what is right is completed, what is wrong is said in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simulator.scenario import ScenarioError, load_scenario, parse_scenario
from tests.simulator.bench import PREMIUM, legacy, scenario

SCENARIOS = sorted((Path(__file__).parents[2] / "simulator/scenarios").glob("*.yaml"))


def read(story: dict[str, Any]) -> Any:
    return parse_scenario(json.dumps(story, indent=1), "story.json")


def sentence(text: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(text, "story.yaml")
    return caught.value.sentences[0]


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_every_scenario_of_the_project_is_good(path: Path) -> None:
    assert load_scenario(path).partners


def test_ids_are_the_same_in_every_run() -> None:
    first, second = (read(scenario(legacy())).model_dump() for _ in range(2))
    assert first == second


def test_defaults_make_a_subscription_complete() -> None:
    (_, _, row) = next(
        read(scenario({"key": "a", "offer": PREMIUM, "ends_at": "2022-07-15T08:00:00Z"})).walk()
    )
    assert (row.term, row.billing, row.auto_renew, row.seats, row.partner_id) == (
        "P1Y",
        "monthly",
        True,
        10,
        "4847383",
    )
    assert row.created_at.isoformat() == "2021-07-15T08:00:00+00:00"


def test_the_same_key_under_two_partners_is_one_tenant() -> None:
    story = scenario(legacy())
    shared = {"key": "alfa", "name": "Alfa", "subscriptions": [legacy("other")]}
    story["partners"].append({"id": "bianchi", "name": "Bianchi", "mpn_id": "2", "customers": [shared]})
    rossi, bianchi = read(story).partners
    assert rossi.customers[0].tenant_id == bianchi.customers[0].tenant_id


def test_an_mca_of_null_is_not_the_default() -> None:
    story = scenario(legacy())
    story["partners"][0]["customers"][0]["mca"] = None
    assert read(story).partners[0].customers[0].mca is None


GOOD = """\
name: s
clock: {starts_at: 2022-06-01, ends_at: 2022-08-01}
provider:
  tenant_id: 3b33e682-00c3-41ee-9dd2-a548adf56438
  applications: [{client_id: 5d1f2c0e-8a57-4b53-9a45-0f2d0b1f3c11, client_secret: a, refresh_token: b}]
offers:
  - {offer_id: 031C9E47-4802-4248-838E-778FB1D2CC05, name: Premium}
partners:
  - id: rossi
    name: Rossi
    mpn_id: 1
    customers:
      - key: alfa
        name: Alfa
        subscriptions:
          - {key: a, offer: 031C9E47-4802-4248-838E-778FB1D2CC05, seats: 2, ends_at: 2022-07-15T08:00:00Z}
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "    mpn_id: 1",
            "    mpn_id: 1\n    mpn: 1",
            "story.yaml:12: partners[0].mpn: this field is not known.",
        ),
        (
            "seats: 2",
            "seats: 0",
            "story.yaml:16: partners[0].customers[0].subscriptions[0].seats: Input should",
        ),
        ("T08:00:00Z", "T08:00:00", "2022-07-15T08:00:00 has no time zone; write 2022-07-15T08:00:00Z."),
        (
            "offer: 031C",
            "offer: 131C",
            "offer 131C9E47-4802-4248-838E-778FB1D2CC05 is not in the list of offers.",
        ),
        ("name: s\n", "name: s\nname: t\n", "story.yaml:2: name is written twice."),
        (
            "ends_at: 2022-08-01",
            "ends_at: 2022-05-01",
            "story.yaml:2: clock: ends_at must lie after starts_at.",
        ),
        (", ends_at: 2022-07-15T08:00:00Z", "", "subscriptions[0]: ends_at is missing."),
        ("seats: 2", "parent: b", "subscriptions[0].parent: b is no subscription of this customer."),
        ("name: s\n", "name: [\n", ": this is not YAML: "),
        (GOOD, "- a", "story.yaml:1: a scenario is a mapping that starts with name, clock and provider."),
    ],
)
def test_a_fault_is_named_with_file_line_and_field(old: str, new: str, expected: str) -> None:
    parse_scenario(GOOD, "story.yaml")
    assert old in GOOD
    assert expected in sentence(GOOD.replace(old, new))


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            {"kind": "change_seats", "subscription": "zz", "seats": 1},
            "zz is no subscription of this scenario.",
        ),
        ({"kind": "accept_mca", "customer": "zz"}, "zz is no customer of this scenario."),
        ({"kind": "change_partner", "partner": "zz"}, "zz is no partner of this scenario."),
        ({"kind": "explode"}, "does not match any of the expected tags"),
    ],
)
def test_an_event_that_names_nothing_is_refused(event: dict[str, Any], expected: str) -> None:
    story = scenario(legacy(), events=[{"at": "2022-07-12T00:00:00Z", **event}])
    with pytest.raises(ScenarioError, match=expected):
        read(story)


def test_an_undo_names_one_subscription_and_gets_its_id() -> None:
    undo = {"at": "2022-07-12T00:00:00Z", "subscription": "premium", "reason": "cancelled", "by": "anna"}
    story = read(scenario(legacy(), undos=[undo]))
    assert [each.subscription for each in story.undos] == story.find_subscriptions("premium")
    with pytest.raises(ScenarioError, match=r"undos.*nothing is no subscription of this scenario"):
        read(scenario(legacy(), undos=[{**undo, "subscription": "nothing"}]))


def test_a_key_that_two_customers_use_must_be_written_in_full() -> None:
    event = {"at": "2022-07-12T00:00:00Z", "kind": "change_seats", "subscription": "premium", "seats": 1}
    story = scenario(legacy(), events=[event])
    story["partners"][0]["customers"].append({"key": "beta", "name": "Beta", "subscriptions": [legacy()]})
    with pytest.raises(ScenarioError, match="stands for several subscriptions; write customer/key"):
        read(story)
    event["subscription"] = "beta/premium"
    assert read(story).events[0].subscription == "beta/premium"


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="the scenario cannot be read: No such file or directory"):
        load_scenario(tmp_path / "none.yaml")
