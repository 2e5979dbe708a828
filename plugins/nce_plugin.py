"""What this project adds to Airflow itself. Kept to names: plugins load in every Airflow process."""

from airflow.plugins_manager import AirflowPlugin

from include.nce.orchestration import run_note


class NcePlugin(AirflowPlugin):
    name = "nce"
    listeners = [run_note]  # noqa: RUF012 - declared so by Airflow
