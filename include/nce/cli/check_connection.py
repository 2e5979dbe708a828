"""`nce check-connection`: does the connection to Partner Center work?

It stands in for Airflow's test button, which stays off: with it, an operator who may edit a connection can
have its secrets sent to a host of their own. This command asks only where the stored connection leads.
"""

from __future__ import annotations

import os

from include.nce.cli.display import say
from include.nce.cli.entry import Unavailable, as_command


@as_command
async def check_connection() -> None:
    """Sign in anew and ask Partner Center one harmless question with each kind of token.

    Reads the connection `partner_center` as Airflow has it, so it runs in Airflow's environment: on a machine
    of the installation, or with `scripts/nce` beside the rehearsal. Says in one sentence what works, what
    does not, and who acts. Nothing is changed at Microsoft, and no secret is shown.
    """
    # Airflow prints its log where this command prints its sentence.
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "CRITICAL"
    # Imported here: Airflow takes seconds, and no other command needs it.
    from include.nce.orchestration.connection_check import check_connection as checked

    found = await checked()
    if not found.works:
        raise Unavailable(found.sentence)
    say(found.sentence)
