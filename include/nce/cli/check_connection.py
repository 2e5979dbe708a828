"""`nce check-connection`: does the connection to Partner Center work?

Airflow's own test button stays off: with it, an operator who may edit a connection can have its secrets sent
to any host. This command asks the same, on a terminal of the installation.
"""

from __future__ import annotations

import asyncio

from include.nce.cli.display import say
from include.nce.cli.entry import Unavailable, as_command


@as_command
async def check_connection() -> None:
    """Sign in anew and ask Partner Center one harmless question with each kind of token.

    Reads the connection `partner_center` as Airflow has it, so it runs in Airflow's environment: on a machine
    of the installation, or with `scripts/nce` beside the rehearsal. Says in one sentence what works, what
    does not, and who acts. Nothing is changed, and no secret is shown.
    """
    # Imported here: Airflow takes seconds, and no other command needs it.
    from include.nce.orchestration.partner_center_hook import PartnerCenterHook

    works, sentence = await asyncio.to_thread(PartnerCenterHook().test_connection)
    if not works:
        raise Unavailable(sentence)
    say(sentence)
