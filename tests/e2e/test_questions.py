"""A plan that a person has to approve, in a real Airflow: clears, a plan that changed, and a lost answer.

Airflow 3.3.2 keeps one question for each task instance and shows the first one, whatever a later try asks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.demo.rehearsal import CAMPAIGN_FILE
from scripts.stack.installation import CHECKOUT
from tests.e2e import endings
from tests.e2e.stage import CAMPAIGN_DAG, Stage, until
from tests.e2e.story import CAMPAIGN, CONVERTED, LATE, LEGACY, ROSTER, SCENARIO

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

TODAY = "2022-07-12"
FIRST, FURTHER, LATE_RUN = (
    f"{CAMPAIGN}__{CONVERTED}",
    f"{CAMPAIGN}__{CONVERTED}__{TODAY}",
    f"{CAMPAIGN}__{LATE}",
)


class Asking:
    """The stage on a day after the cut-over, with a campaign that has every plan approved."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage = stage
        self._file = folder / "campaign.yaml"

    def policy(self, **changes: Any) -> None:
        """Import the campaign anew."""
        lines = (CHECKOUT / CAMPAIGN_FILE).read_text().splitlines()
        kept = [line for line in lines if not line.startswith(("roster:", "approvals:"))]
        added = {"roster": str(ROSTER), "approvals": {"always": True}, **changes}
        self._file.write_text("\n".join([*kept, yaml.safe_dump(added)]))
        self.stage.nce("campaign", "import", str(self._file), "--by", "anna")

    def shown(self, run_id: str) -> dict[str, Any]:
        """The question that Airflow shows for the run's task, whether it waits or not."""
        found = self.stage.airflow("GET", _question(run_id))
        assert found is not None
        return dict(found)

    def state(self, run_id: str) -> str | None:
        return self.stage.tasks(run_id).get("approve_plan")

    def waits(self, run_id: str) -> dict[str, Any]:
        """The question of a run, once it waits for the answer."""
        until(f"{run_id} asks", lambda: self.state(run_id) == "awaiting_input")
        return self.shown(run_id)

    def listed(self) -> dict[str, dict[str, Any]]:
        """What `nce approval list` says, by run."""
        told = json.loads(self.stage.nce("approval", "list", "--json"))["questions"]
        return {question["run_id"]: question for question in told}


@pytest.fixture(scope="module")
def asking(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Asking:
    asking = Asking(stage, tmp_path_factory.mktemp("campaign"))
    stage.up()
    asking.policy()
    stage.simulator("PUT", "clock", {"mode": "manual", "now": f"{TODAY}T08:00:00Z"})
    stage.nce("start", CONVERTED, LATE, "--yes", "--wait")
    return asking


def test_a_question_is_the_same_through_a_clear_and_never_speaks_for_another_plan(asking: Asking) -> None:
    stage, last = asking.stage, asking.stage.last_request()
    first = asking.waits(FIRST)
    asked = asking.listed()[FIRST]
    assert first["params"]["hash"]["value"] == asked["hash"]
    assert f"**Plan {asked['hash'][:8]}**" in first["body"]

    # Cleared with the plan unchanged: the same question waits again.
    stage.clear(FIRST)
    until("the task begins anew", lambda: asking.state(FIRST) != "awaiting_input")
    again = asking.waits(FIRST)
    assert (again["subject"], again["body"], again["params"]) == (
        first["subject"], first["body"], first["params"],
    )  # fmt: skip
    assert asking.listed()[FIRST]["fingerprint"] == asked["fingerprint"]

    # Cleared with another plan: Airflow goes on showing the first one, so nothing waits for an answer to it.
    override = {"subscription": LEGACY["rifugi/e3"], "seats": 60, "reason": "the customer asked"}
    asking.policy(overrides=[override])
    stage.clear(FIRST)
    assert stage.finished(FIRST) == "failed"
    assert asking.state(FIRST) == "failed"
    assert asking.shown(FIRST)["body"] == first["body"]
    assert FIRST not in asking.listed()
    assert f"nce backfill {CONVERTED}" in stage.log(FIRST, "approve_plan")
    assert _sent(stage, last) == []

    # Started again it is a run of its own, whose question is new.
    stage.nce("backfill", CONVERTED, "--yes", "--wait")
    second = asking.waits(FURTHER)
    standing = asking.listed()[FURTHER]
    assert standing["stands"]
    assert standing["hash"] == second["params"]["hash"]["value"] != asked["hash"]
    assert second["body"] != first["body"]
    stage.nce("approval", "give", CONVERTED, "--yes", "--comment", "as agreed")
    until("it buys", lambda: _sent(stage, last) != [])
    assert f" approved plan {standing['hash'][:8]}: as agreed" in stage.nce("explain", CONVERTED)
    assert stage.run(FIRST)["state"] == "failed"
    assert stage.tasks(stage_run(stage), CAMPAIGN_DAG)["start_partners[0]"] == "success"


def test_an_answer_that_airflow_took_and_forgot_to_hand_over_is_followed_once_the_task_begins_anew(
    asking: Asking,
) -> None:
    """Answered between a clear and the new try: Airflow keeps it in the row and resumes nothing."""
    stage = asking.stage
    asking.waits(LATE_RUN)
    asked = asking.listed()[LATE_RUN]
    stage.clear(LATE_RUN)
    form = {"comment": "seen", "hash": asked["hash"]}
    body = {"chosen_options": ["Approve"], "params_input": form}
    assert stage.airflow("PATCH", _question(LATE_RUN), body) is not None
    until("it is followed", lambda: asking.state(LATE_RUN) == "success")
    assert f"admin approved plan {asked['hash'][:8]}: seen" in stage.nce("explain", LATE)
    assert asking.shown(LATE_RUN)["response_received"]


def _sent(stage: Stage, since: int) -> list[Mapping[str, Any]]:
    """What was asked to change for the partner's customers; the other partner may buy meanwhile."""
    customers = {c.key for p in SCENARIO.partners if p.id == CONVERTED for c in p.customers}
    asked = endings.writes(stage.requests(since=since))
    return [each for each in asked if endings.customer_of(each) in customers]


def stage_run(stage: Stage) -> str:
    """The run of the backfill."""
    return next(run for run in stage.run_ids(CAMPAIGN_DAG) if "__backfill__" in run)


def _question(run_id: str) -> str:
    return f"dags/nce_partner_migration/dagRuns/{run_id}/taskInstances/approve_plan/-1/hitlDetails"
