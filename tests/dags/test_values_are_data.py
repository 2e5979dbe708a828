"""What people and partners write is a value to Airflow: Jinja in it is never carried out."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import DagRunTriggerException

from include.nce.domain.partner import Partner
from include.nce.orchestration import composition
from include.nce.steps import start_partners
from include.nce.steps.enrol_partners import start_order
from tests.dags.conftest import PROJECT

JINJA = "{{ 7 * 7 }}{% raw %}{{ macros }}"


@pytest.fixture(scope="module")
def dags() -> dict[str, Any]:
    return dict(DagBag(dag_folder=str(PROJECT / "dags")).dags)


def test_a_partners_name_reaches_the_note_of_its_run_as_it_is(
    dags: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    partner = Partner.model_construct(
        partner="rossi", name=JINJA, country="IT", province=JINJA, tenant_id="t", mpn_id=None, zone=None,
        language="it",
    )  # fmt: skip
    order = {**start_order(partner, "csp-commercial-2022", "apply"), "reset_dag_run": False}
    start = dags["nce_campaign"].get_task("start_partners")
    pulled = SimpleNamespace(map_index=0, xcom_pull=lambda **_: [0], get_relevant_upstream_map_indexes=None)
    run = SimpleNamespace(conf={"campaign": "csp-commercial-2022"})
    context: Any = {"ti": pulled, "task": start, "dag": dags["nce_campaign"], "dag_run": run, "params": {}}
    start.render_template_fields(context)
    context["run_id"] = "start"

    async def on_record(*asked: Any, **world: Any) -> Any:
        return order

    monkeypatch.setattr(composition, "product", partial(nullcontext, SimpleNamespace(ledger=None)))
    monkeypatch.setattr(start_partners, "start_of", on_record)
    with pytest.raises(DagRunTriggerException) as told:
        context["task"].execute(context)
    assert told.value.note == f"{JINJA} (IT, {JINJA}), apply"
    assert told.value.conf == order["conf"]
    assert told.value.dag_run_id == "csp-commercial-2022__rossi"


def test_templates_stand_in_the_code_only(dags: dict[str, Any]) -> None:
    """No operator of ours templates a field that holds what a form, a roster or Partner Center said."""
    ours = {}
    for dag in dags.values():
        for task in dag.tasks:
            if type(task).__module__.startswith("include.") or "include." in str(
                getattr(task, "operator_class", "")
            ):
                ours[task.task_id] = set(task.template_fields)
    allowed = {"run_id", "batch_no", "batch", "page", "number"}
    assert ours
    assert {name: fields - allowed for name, fields in ours.items() if fields - allowed} == {}
