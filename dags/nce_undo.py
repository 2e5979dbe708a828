"""
### Take conversions back, within Microsoft's 168 hours

One run is one wish: a subscription with its bundle, a customer, or everything of a partner. Legacy is
reactivated first, and New Commerce is cancelled only when legacy is seen active, so that nobody is uncovered
in between.

| colour | means |
|---|---|
| `approve_undo` waits for input | a person approves it, under *Required Actions*. The hours run on |
| green | undone, or not approved |
| pink | not approved: nothing was sent |
| red | too late, refused, covered twice, or not confirmed yet; the run's note says who acts |

**Start** it with *Trigger* and a conf such as
`{"campaign": "csp-commercial-2022", "partner": "conti-it", "everything": true, "reason": "opt-out"}`, or
in the terminal with `nce undo start`. What can still be undone, and how long: `nce undo list`.
**Again** after a red one: clear `undo_conversions`; it looks first, and sends nothing twice.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from include.nce.orchestration.params import UNDO_FORM
from include.nce.orchestration.questions import ApproveUndo
from include.nce.orchestration.texts import TEXTS
from include.nce.orchestration.undo_operators import CloseUndo, PlanUndo, UndoConversions

with DAG(
    "nce_undo",
    doc_md=__doc__,
    schedule=None,
    params=UNDO_FORM,
    max_active_runs=1_000,
    default_args={"owner": "migration desk", "retries": 3, "retry_delay": timedelta(minutes=1)},
    tags=["nce", "undo"],
) as dag:
    plan_undo = PlanUndo(task_id="plan_undo", doc_md=TEXTS["plan_undo"])
    approve_undo = ApproveUndo(task_id="approve_undo", doc_md=TEXTS["approve_undo"])
    undo_conversions = UndoConversions(task_id="undo_conversions", doc_md=TEXTS["undo_conversions"])
    close_undo = CloseUndo(task_id="close_undo", doc_md=TEXTS["close_undo"]).as_teardown(
        on_failure_fail_dagrun=True
    )

    plan_undo >> approve_undo >> undo_conversions >> close_undo
