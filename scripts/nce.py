"""`scripts/nce`: the project's command line in the environment of this checkout's rehearsal.

Responsible for telling `include.nce.cli` where the stack of this checkout keeps its ledger, its Airflow and
its clock. An environment that names another ledger is left as it is, whole: half of one installation beside
half of another would record a decision in one and start a run in the other.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from scripts.stack.errors import StackError
from scripts.stack.installation import Installation
from scripts.stack.postgres import EmbeddedPostgres

LEDGER_VARIABLE = "AIRFLOW_CONN_NCE_LEDGER"
AIRFLOW_USER = "operator"
IN_AIRFLOW = "check-connection"
"""The one command that reads Airflow's connections itself."""


def surroundings(
    installation: Installation, environment: Mapping[str, str] = os.environ, *, command: str = ""
) -> dict[str, str]:
    """The variables to add for `installation`'s stack; none when it was never set up or is not meant."""
    ledger = ledger_address(installation)
    named = environment.get(LEDGER_VARIABLE)
    if ledger is None or (named and _place(named) != _place(ledger)):
        return {}
    ours = {
        LEDGER_VARIABLE: ledger,
        "NCE_AIRFLOW_URL": installation.airflow_url,
        "NCE_AIRFLOW_USER": AIRFLOW_USER,
        "NCE_AIRFLOW_PASSWORD": installation.secrets.passwords[AIRFLOW_USER],
        "NCE_SIMULATOR_URL": installation.simulator_url,
    }
    missing = {name: value for name, value in ours.items() if not environment.get(name)}
    if command != IN_AIRFLOW:
        return missing
    # Imported here, because it costs time that the other commands do not need.
    from scripts.stack.stack import Stack

    return Stack(installation).environment() | missing


def ledger_address(installation: Installation) -> str | None:
    """Where the stack keeps its ledger; None when there is no stack."""
    if not (installation.local / "secrets.json").exists():
        return None
    database, roles = f"{installation.database_prefix}_ledger", installation.ledger_roles
    login = None if roles is None else (roles.application, roles.application_password)
    if installation.database_server:
        # Imported here, because it costs time that the embedded server does not need.
        from scripts.stack.databases import server_url

        server = server_url(installation.database_server).set(database=database)
        if login is not None:
            server = server.set(username=login[0], password=login[1])
        return server.render_as_string(hide_password=False)
    if not (installation.local / "postgres" / "server.json").exists():
        return None
    return EmbeddedPostgres(installation.local / "postgres").url(database, login=login)


def _place(address: str) -> str:
    """Without the scheme, of which there are three spellings."""
    return address.partition("://")[2]


def main() -> None:
    """Run the command line; ends the process."""
    try:
        command = "".join(sys.argv[1:2])
        os.environ.update(surroundings(Installation.from_environment(), command=command))
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
    from include.nce.cli.app import app

    app(prog_name="nce")


if __name__ == "__main__":
    main()
