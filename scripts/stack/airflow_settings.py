"""How Airflow runs on this machine: every setting that differs from its default, in one place.

Responsible for the environment of Airflow's four processes and of everything that is run beside them.
Leaves starting them to `scripts.stack.services`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from sqlalchemy.engine import URL

from scripts.stack.installation import ROLES, Installation

ROSTER_PLACES_VARIABLE = "NCE_ROSTER_PLACES"
"""Of the project's own settings the one that Airflow's tasks read."""
TASKS_AT_ONCE = 4
"""Worker processes of the LocalExecutor: two per core of the smallest machine this is meant for."""
WAITS_AT_ONCE = 5000
"""Triggers of the one triggerer."""
LARGEST_ROSTER = 10_000
"""So many partners one campaign may have."""
QUEUED_SECONDS = 6 * 60 * 60
"""So long a task may wait for a place on a worker."""


def settings(installation: Installation, metadata: URL) -> dict[tuple[str, str], str]:
    """Airflow's settings by section and name; `metadata` is the metadata database."""
    checkout, secrets = installation.checkout, installation.secrets
    return {
        ("core", "dags_folder"): str(checkout / "dags"),
        ("core", "plugins_folder"): str(checkout / "plugins"),
        ("core", "executor"): "LocalExecutor",
        ("core", "parallelism"): str(TASKS_AT_ONCE),
        ("core", "max_active_tasks_per_dag"): "1000",
        # One start maps a task over its partners.
        ("core", "max_map_length"): str(LARGEST_ROSTER),
        ("core", "load_examples"): "False",
        # A rehearsal has nobody who unpauses; a DAG that a person pauses stays paused.
        ("core", "dags_are_paused_at_creation"): "False",
        ("core", "fernet_key"): secrets.fernet_key,
        # A fully qualified name asks the name server, which may be slow or absent.
        ("core", "hostname_callable"): "socket.gethostname",
        ("core", "execution_api_server_url"): f"{installation.airflow_url}/execution/",
        ("core", "simple_auth_manager_users"): ",".join(f"{user}:{role}" for user, role in ROLES.items()),
        ("core", "simple_auth_manager_passwords_file"): str(installation.airflow_home / "passwords.json"),
        ("database", "sql_alchemy_conn"): metadata.render_as_string(hide_password=False),
        ("api", "host"): "127.0.0.1",
        ("api", "port"): str(installation.airflow_port),
        ("api", "base_url"): installation.airflow_url,
        ("api", "workers"): "1",
        ("api", "secret_key"): secrets.api_secret,
        ("api_auth", "jwt_secret"): secrets.jwt_secret,
        # Every waiting run is looked at in turn; the default of 20 makes a due one wait for its turn.
        ("scheduler", "max_dagruns_per_loop_to_schedule"): "200",
        ("scheduler", "max_dagruns_to_create_per_loop"): "100",
        ("scheduler", "max_tis_per_query"): "64",
        ("scheduler", "scheduler_idle_sleep_time"): "0.5",
        # A task's token lives as long: one that waited longer in the queue would fail without a word.
        ("scheduler", "task_queued_timeout"): str(QUEUED_SECONDS),
        # After a killed scheduler, what it had in hand is picked up within a minute.
        ("scheduler", "orphaned_tasks_check_interval"): "60",
        # One waiting partner takes up to four triggers.
        ("triggerer", "capacity"): str(WAITS_AT_ONCE),
        ("triggerer", "max_trigger_to_select_per_loop"): "500",
        # While the API server is started again, a task waits about a minute; Airflow draws the pauses.
        ("workers", "execution_api_retries"): "8",
        ("dag_processor", "refresh_interval"): "30",
        ("dag_processor", "parsing_processes"): "1",
        # A value that changes at each parse would make a new DAG version each time.
        ("dag_processor", "dag_version_inflation_check_level"): "error",
        ("logging", "colored_console_log"): "False",
        ("logging", "base_log_folder"): str(installation.airflow_home / "logs"),
    }


def environment(
    installation: Installation, metadata: URL, inherited: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Environment of every Airflow process; a user's own settings do not leak into it.

    What only concerns the caller, such as how long a rehearsal may take, must not restart anything either.
    """
    foreign = ("AIRFLOW_", "_AIRFLOW_", "NCE_")
    kept = {
        name: value
        for name, value in inherited.items()
        if not name.startswith(foreign) or name == ROSTER_PLACES_VARIABLE
    }
    ours = {
        f"AIRFLOW__{section.upper()}__{name.upper()}": value
        for (section, name), value in settings(installation, metadata).items()
    }
    return {
        **kept,
        **ours,
        "AIRFLOW_HOME": str(installation.airflow_home),
        # A rehearsal's month passes in minutes: what the machine's clock starts daily is started by hand.
        "NCE_RECONCILE_SCHEDULE": "",
        "PYTHONPATH": str(installation.checkout),
        "PYTHONUNBUFFERED": "1",
        "TZ": "UTC",
    }
