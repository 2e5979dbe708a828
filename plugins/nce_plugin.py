"""What this project adds to Airflow itself. Kept to names: plugins load in every Airflow process."""

from airflow.plugins_manager import AirflowPlugin

from include.nce.board.asgi import LazyBoard
from include.nce.orchestration import run_note, triggerer_start

BOARD = {"app": LazyBoard("include.nce.orchestration.composition:desk"), "name": "nce", "url_prefix": "/nce"}


class NcePlugin(AirflowPlugin):
    name = "nce"
    listeners = [run_note, triggerer_start]  # noqa: RUF012 - declared so by Airflow
    fastapi_apps = [BOARD]  # noqa: RUF012
    external_views = [{"name": "Migration", "href": "/nce/", "destination": "nav"}]  # noqa: RUF012
