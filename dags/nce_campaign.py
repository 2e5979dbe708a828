"""
### Start a campaign: one run for each partner

Reads the roster, enrols its partners, and starts `nce_partner_migration` once for each, with a run id people
can read. Nothing is bought here.

* **The whole campaign**: trigger with `{"campaign": "csp-commercial-2022"}`.
* **Some partners**: `{"campaign": "csp-commercial-2022", "partners": ["rossi-informatica"]}`.
* **Those that ended badly**: add `"outcomes": ["blocked"], "existing": "rerun"`.

A run that exists is skipped (pink). With `"existing": "rerun"` a partner whose run has ended gets a run of
its own, such as `csp-commercial-2022__rossi-informatica__2022-09-16`; what is finished stays so. Before that,
`confirm_rerun` shows what it would buy and cancel, and waits for a person.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from include.nce.orchestration.operators import CheckCampaign, EnrolPartners
from include.nce.orchestration.params import CAMPAIGN_FORM
from include.nce.orchestration.questions import ConfirmRerun
from include.nce.orchestration.starts import StartPartner
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
    start_partners = StartPartner.partial(
        task_id="start_partners",
        map_index_template="{{ task.trigger_run_id }}",
        doc_md=TEXTS["start_partners"],
    ).expand(number=enrol_partners.output)

    check_campaign >> enrol_partners >> confirm_rerun >> start_partners
