"""The pictures: which DAGs there are, what they consist of, and which arrows lead where."""

from __future__ import annotations

from typing import Any

CHECKS = ["check_customer_mca", "check_indirect_provider_link", "check_mpa", "check_mpn_id"]

PARTNER_MIGRATION = {
    "open_run": [*CHECKS, "wait_for_opt_out_deadline"],
    "check_mpa": ["plan_conversions"],
    "check_indirect_provider_link": ["plan_conversions"],
    "check_mpn_id": ["plan_conversions"],
    "check_customer_mca": ["plan_conversions"],
    "wait_for_opt_out_deadline": ["honour_opt_out"],
    "honour_opt_out": ["wait_for_cut_over"],
    "wait_for_cut_over": ["wait_for_wave"],
    "wait_for_wave": ["plan_conversions"],
    "plan_conversions": ["approve_plan", "convert.buy_nce", "convert.cancel_legacy"],
    "approve_plan": ["convert.buy_nce"],
    "convert.buy_nce": ["convert.wait_for_nce"],
    "convert.wait_for_nce": ["convert.cancel_legacy"],
    "convert.cancel_legacy": ["close_run"],
    "close_run": [],
}
CAMPAIGN = {
    "check_campaign": ["enrol_partners"],
    "enrol_partners": ["confirm_rerun", "start_partners"],
    "confirm_rerun": ["start_partners"],
    "start_partners": [],
}
UNDO = {
    "plan_undo": ["approve_undo"],
    "approve_undo": ["undo_conversions"],
    "undo_conversions": ["close_undo"],
    "close_undo": [],
}
WAITS = {*CHECKS, "wait_for_opt_out_deadline", "wait_for_cut_over", "wait_for_wave", "convert.wait_for_nce"}
ASKS = {"approve_plan"}


def tasks(dags: dict[str, Any], dag_id: str) -> dict[str, Any]:
    found: dict[str, Any] = dags[dag_id]["tasks"]
    return found


def test_there_are_exactly_these_dags(dags: dict[str, Any]) -> None:
    assert set(dags) == {"nce_partner_migration", "nce_campaign", "nce_undo", "nce_reconcile"}


def test_the_arrows_of_a_partners_migration(dags: dict[str, Any]) -> None:
    found = tasks(dags, "nce_partner_migration")
    assert {name: task["downstream"] for name, task in found.items()} == PARTNER_MIGRATION


def test_the_arrows_of_a_campaign(dags: dict[str, Any]) -> None:
    found = tasks(dags, "nce_campaign")
    assert {name: task["downstream"] for name, task in found.items()} == CAMPAIGN


def test_the_arrows_of_an_undo(dags: dict[str, Any]) -> None:
    found = tasks(dags, "nce_undo")
    assert {name: task["downstream"] for name, task in found.items()} == UNDO


def test_an_undo_is_sent_by_a_worker_and_closed_by_a_teardown_that_colours_the_run(
    dags: dict[str, Any],
) -> None:
    found = tasks(dags, "nce_undo")
    assert {name for name, task in found.items() if task["in_triggerer"]} == set()
    assert {name for name, task in found.items() if task["teardown"]} == {"close_undo"}
    assert found["close_undo"]["colours_the_run"]


def test_between_the_plan_of_an_undo_and_its_sending_stands_the_approval(dags: dict[str, Any]) -> None:
    found = tasks(dags, "nce_undo")
    assert found["approve_undo"]["mapped"] == "ApproveUndo"
    assert [name for name, task in found.items() if "undo_conversions" in task["downstream"]] == [
        "approve_undo"
    ]


def test_a_missing_check_never_keeps_the_opt_out_from_being_looked_at(dags: dict[str, Any]) -> None:
    found = tasks(dags, "nce_partner_migration")
    for check in CHECKS:
        assert "honour_opt_out" not in found[check]["downstream"]
    assert found["plan_conversions"]["trigger_rule"] == "all_done_min_one_success"


def test_every_wait_lives_in_the_triggerer_without_retries_or_timeout(dags: dict[str, Any]) -> None:
    found = tasks(dags, "nce_partner_migration")
    assert {name for name, task in found.items() if task["in_triggerer"]} == WAITS | ASKS
    for name in WAITS:
        assert found[name]["retries"] == 0
        assert found[name]["timeout"] == "None"


def test_nothing_that_spends_money_lives_in_the_triggerer(dags: dict[str, Any]) -> None:
    found = tasks(dags, "nce_partner_migration")
    for name in ("convert.buy_nce", "convert.cancel_legacy", "plan_conversions", "honour_opt_out"):
        assert not found[name]["in_triggerer"]
        assert found[name]["retries"] == 3


def test_the_last_task_is_a_teardown_that_colours_the_run(dags: dict[str, Any]) -> None:
    close_run = tasks(dags, "nce_partner_migration")["close_run"]
    assert close_run["teardown"]
    assert close_run["colours_the_run"]


def test_every_task_tells_operators_what_it_does(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        assert dag["doc"]
        for name, task in dag["tasks"].items():
            assert task["doc"], name
            assert len(task["doc"]) > 60, name


def test_waiting_runs_never_keep_a_partner_out(dags: dict[str, Any]) -> None:
    assert dags["nce_partner_migration"]["max_active_runs"] >= 10_000


def test_the_trigger_form_explains_and_checks_each_field(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        for name, schema in dag["params"].items():
            assert schema.get("title"), name
            assert len(schema.get("description", "")) > 30, name
    mode = dags["nce_partner_migration"]["params"]["mode"]
    assert mode["enum"] == ["plan", "apply"]
