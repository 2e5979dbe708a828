"""
### Move one partner's customers from legacy to New Commerce

One run is one partner in one campaign; its run id says which: `csp-commercial-2022__rossi-informatica`.

| colour | means |
|---|---|
| purple | waiting: for a check, a date, the partner's wave, or the release of a stopped campaign |
| green | in order, bought, finished |
| waiting for input | a person has to approve the plan: *Required actions* |
| pink | does not matter any more: the partner opted out |
| red | somebody has to act; the task's last log line and the run's note say who, how and by when |

**Start** it from `nce_campaign`, or here with *Trigger* and a conf such as
`{"partner": "rossi-informatica", "campaign": "csp-commercial-2022", "mode": "plan"}`.
**Again** after a red one: clear the task that is named, or start the partner again. What is finished stays
finished, and nothing is bought twice.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, task_group

from include.nce.orchestration.operators import (
    BuyNce,
    CancelLegacy,
    CloseRun,
    HonourOptOut,
    MomentGate,
    NceActive,
    OpenRun,
    PlanConversions,
    ReadinessCheck,
    WaveGate,
)
from include.nce.orchestration.params import APPROVAL_FORM, MIGRATION_FORM
from include.nce.orchestration.questions import ApprovePlan
from include.nce.orchestration.texts import TEXTS

with DAG(
    "nce_partner_migration",
    doc_md=__doc__,
    schedule=None,
    params=MIGRATION_FORM,
    max_active_runs=20_000,
    default_args={"owner": "migration desk", "retries": 3, "retry_delay": timedelta(minutes=1)},
    tags=["nce", "partner"],
) as dag:
    open_run = OpenRun(task_id="open_run", doc_md=TEXTS["open_run"])

    checks = [
        ReadinessCheck(task_id=check, check=check, doc_md=TEXTS[check])
        for check in ("check_mpa", "check_indirect_provider_link", "check_mpn_id", "check_customer_mca")
    ]
    opt_out_deadline = MomentGate(
        task_id="wait_for_opt_out_deadline",
        moment="opt_out_deadline",
        doc_md=TEXTS["wait_for_opt_out_deadline"],
    )
    honour_opt_out = HonourOptOut(task_id="honour_opt_out", doc_md=TEXTS["honour_opt_out"])
    cut_over = MomentGate(task_id="wait_for_cut_over", moment="cut_over", doc_md=TEXTS["wait_for_cut_over"])
    wave = WaveGate(task_id="wait_for_wave", doc_md=TEXTS["wait_for_wave"])
    plan = PlanConversions(
        task_id="plan_conversions",
        doc_md=TEXTS["plan_conversions"],
        trigger_rule="all_done_min_one_success",
    )

    approve_plan = ApprovePlan(task_id="approve_plan", params=APPROVAL_FORM, doc_md=TEXTS["approve_plan"])

    @task_group(group_id="convert")
    def convert(batch):
        (
            BuyNce(task_id="buy_nce", batch=batch, doc_md=TEXTS["buy_nce"])
            >> NceActive(task_id="wait_for_nce", doc_md=TEXTS["wait_for_nce"])
            >> CancelLegacy(task_id="cancel_legacy", batch=batch, doc_md=TEXTS["cancel_legacy"])
        )

    close_run = CloseRun(task_id="close_run", doc_md=TEXTS["close_run"]).as_teardown(
        on_failure_fail_dagrun=True
    )

    open_run >> [*checks, opt_out_deadline]
    opt_out_deadline >> honour_opt_out >> cut_over >> wave
    [*checks, wave] >> plan
    plan >> approve_plan >> convert.expand(batch=plan.output) >> close_run
