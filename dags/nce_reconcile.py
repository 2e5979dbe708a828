"""
### Compare the ledger with Partner Center, and tell what differs

Each day, for every enrolled partner of every open campaign: who is without service, who pays twice, what
somebody else moved, what is stuck or unknown, whose seats differ. What is found has an owner and a sentence,
and stays open until it is gone: `nce findings`. What is safe is put right; nothing is bought, reactivated or
cancelled here.

* **By hand**: trigger with `{"campaign": "csp-commercial-2022"}`, or `nce reconcile`.
* **Some partners**: `{"campaign": "csp-commercial-2022", "partners": ["rossi-informatica"]}`.
* **Only look**: add `"repair": false`.

Red: somebody has to act today; the run's note says at which partners. A partner that could not be read is
told as not compared. In a rehearsal only by hand: its month passes in minutes of the machine's day.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG

from include.nce.orchestration.params import RECONCILE_FORM
from include.nce.orchestration.reconcile_operators import CloseReconcile, ListPartners, ReconcilePartners
from include.nce.orchestration.schedules import RECONCILE
from include.nce.orchestration.texts import TEXTS

with DAG(
    "nce_reconcile",
    doc_md=__doc__,
    schedule=RECONCILE,
    start_date=datetime(2022, 5, 19, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    params=RECONCILE_FORM,
    default_args={
        "owner": "migration desk",
        "retries": 2,
        "retry_delay": timedelta(minutes=5),
        "weight_rule": "absolute",
    },
    tags=["nce", "reconcile"],
) as dag:
    list_partners = ListPartners(task_id="list_partners", doc_md=TEXTS["list_partners"])
    reconcile_partners = ReconcilePartners.partial(
        task_id="reconcile_partners",
        max_active_tis_per_dag=2,
        map_index_template="{{ task.page['campaign'] }}, up to {{ task.page['upto'] }}",
        doc_md=TEXTS["reconcile_partners"],
    ).expand(page=list_partners.output)
    close_reconcile = CloseReconcile(task_id="close_reconcile", doc_md=TEXTS["close_reconcile"]).as_teardown(
        on_failure_fail_dagrun=True
    )

    reconcile_partners >> close_reconcile
