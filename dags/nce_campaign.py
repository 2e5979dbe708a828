"""
### Start a campaign: one run for each partner

Reads the roster, enrols its partners, and starts `nce_partner_migration` once for each, with a run id people
can read. Nothing is bought here.

* **The whole campaign**: trigger with `{"campaign": "csp-commercial-2022"}`.
* **Some partners**: `{"campaign": "csp-commercial-2022", "partners": ["rossi-informatica"]}`.
* **Those that ended badly**: add `"outcomes": ["blocked"], "existing": "rerun"`.

A run that exists is skipped (pink), or started again with `"existing": "rerun"`; what is finished stays so.
Before runs are started again, `confirm_rerun` shows what that would buy and cancel, and waits for a person.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG

from include.nce.orchestration.operators import CheckCampaign, EnrolPartners
from include.nce.orchestration.params import CAMPAIGN_FORM
from include.nce.orchestration.questions import ConfirmRerun
from include.nce.orchestration.texts import TEXTS

with DAG(
    "nce_campaign",
    doc_md=__doc__,
    schedule=None,
    params=CAMPAIGN_FORM,
    default_args={"owner": "migration desk", "retries": 2, "retry_delay": timedelta(minutes=1)},
    tags=["nce", "campaign"],
) as dag:
    check_campaign = CheckCampaign(task_id="check_campaign", doc_md=TEXTS["check_campaign"])
    enrol_partners = EnrolPartners(task_id="enrol_partners", doc_md=TEXTS["enrol_partners"])
    confirm_rerun = ConfirmRerun(task_id="confirm_rerun", doc_md=TEXTS["confirm_rerun"])
    start_partners = TriggerDagRunOperator.partial(
        task_id="start_partners",
        trigger_dag_id="nce_partner_migration",
        skip_when_already_exists=True,
        map_index_template="{{ task.trigger_run_id }}",
        doc_md=TEXTS["start_partners"],
    ).expand_kwargs(enrol_partners.output)

    check_campaign >> enrol_partners >> confirm_rerun >> start_partners
