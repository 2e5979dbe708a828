"""What surrounds a command: the ledger, the campaign's clock, the campaign meant, and who is typing.

Responsible for finding them in the environment and for saying in one sentence what is missing. Where a
checkout's own rehearsal keeps its addresses is known to `scripts/nce`, which puts them there.

| variable | what it names |
|---|---|
| `AIRFLOW_CONN_NCE_LEDGER` | the ledger; else Airflow is asked for its connection, which takes seconds |
| `NCE_AIRFLOW_URL` | Airflow's address |
| `NCE_AIRFLOW_USER`, `NCE_AIRFLOW_PASSWORD` | an account there that may trigger DAGs: role Op |
| `NCE_SIMULATOR_URL` | only in a rehearsal: the simulator, whose clock is then the campaign's |
| `NCE_CAMPAIGN` | the campaign that is meant when none is named |
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated

import typer

from include.nce.cli.entry import Unavailable
from include.nce.domain.author import Author
from include.nce.domain.errors import InputRefused

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from include.nce.ledger.ledger import PostgresLedger

SIMULATOR_VARIABLE = "NCE_SIMULATOR_URL"
CAMPAIGN_VARIABLE = "NCE_CAMPAIGN"
_AIRFLOW_VARIABLES = ("AIRFLOW_HOME", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN")
_AIRFLOW_SECONDS = 60

CampaignOption = Annotated[
    str | None,
    typer.Option(
        "--campaign",
        "-c",
        metavar="NAME",
        envvar=CAMPAIGN_VARIABLE,
        help="The campaign; left out: the only one on record.",
    ),
]
ByOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Who says so; left out: the account you are logged in as.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of a table.")]


def author(by: str | None) -> Author:
    """Who goes on record: the name given, or the account that runs this command. Raises `InputRefused` for a
    name that is empty."""
    if by is not None:
        return Author(by)
    try:
        return Author(getpass.getuser())
    except (KeyError, OSError):
        return Author(f"uid {os.getuid()}")


@contextlib.asynccontextmanager
async def open_ledger() -> AsyncIterator[PostgresLedger]:
    """The ledger; whatever its database does not do becomes `Unavailable`."""
    # Imported here, so that `--help` and faulty input do not pay for SQLAlchemy.
    from sqlalchemy.exc import DBAPIError

    from include.nce.ledger.ledger import PostgresLedger

    url = _ledger_url()
    try:
        async with contextlib.AsyncExitStack() as stack:
            try:
                ledger = await stack.enter_async_context(PostgresLedger.open(url, pool_size=1))
            except InputRefused as refused:
                raise Unavailable(" ".join(refused.faults)) from None
            await _refuse_other_clock(ledger)
            yield ledger
    except (DBAPIError, OSError) as fault:
        said = str(getattr(fault, "orig", None) or fault).strip().splitlines()
        raise Unavailable(
            f"The ledger at {url.host}:{url.port or 5432} does not answer as it should "
            f"({said[0] if said else type(fault).__name__}); see that PostgreSQL runs and that "
            "AIRFLOW_CONN_NCE_LEDGER names it."
        ) from fault


async def _refuse_other_clock(ledger: PostgresLedger) -> None:
    """What is written in a real campaign is never dated by a simulator."""
    if not os.environ.get(SIMULATOR_VARIABLE):
        return
    account = await ledger.account()
    if account is not None and not account.rehearsal:
        raise Unavailable(
            f"{SIMULATOR_VARIABLE} is set, but the ledger belongs to {account}; unset it, or name a "
            "rehearsal's ledger in AIRFLOW_CONN_NCE_LEDGER."
        )


def _ledger_url() -> URL:
    from include.nce.ledger.connection import ledger_url

    asks_airflow = any(os.environ.get(name) for name in _AIRFLOW_VARIABLES)
    try:
        return ledger_url(_airflow_connection if asks_airflow else None, environ=os.environ)
    except InputRefused as refused:
        raise Unavailable(" ".join(refused.faults)) from None


def _airflow_connection(connection_id: str) -> SimpleNamespace:
    """The connection as Airflow's own command prints it: from its database or its secrets backends."""
    command = [sys.executable, "-m", "airflow", "connections", "get", connection_id, "--output", "json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_AIRFLOW_SECONDS, check=False)  # noqa: S603
        fields = json.loads(done.stdout)[0] if done.returncode == 0 else None
    except (subprocess.TimeoutExpired, ValueError, LookupError):
        fields = None
    if not isinstance(fields, dict):
        raise Unavailable(
            f"Airflow does not tell its connection {connection_id}; try `airflow connections get` with it, "
            "or set AIRFLOW_CONN_NCE_LEDGER."
        )
    names = ("conn_type", "host", "port", "login", "password", "schema")
    return SimpleNamespace(
        **{name: fields.get(name) for name in names}, extra=json.dumps(fields.get("extra_dejson") or {})
    )


async def campaign_now() -> datetime:
    """The campaign's time (UTC): the machine's, or in a rehearsal the simulator's."""
    address = os.environ.get(SIMULATOR_VARIABLE)
    if not address:
        return datetime.now(timezone.utc)
    from include.nce.orchestration.clock import RehearsalClock

    try:
        return await RehearsalClock(address).now()
    except (OSError, ValueError, KeyError) as fault:
        raise Unavailable(
            f"The simulator at {address} does not tell the campaign's time "
            f"({fault or type(fault).__name__}); start it with `make demo`, or unset {SIMULATOR_VARIABLE}."
        ) from None


class CampaignClock:
    """The campaign's time, for what asks a clock."""

    async def now(self) -> datetime:
        return await campaign_now()


async def campaign_named(ledger: PostgresLedger, name: str | None) -> str:
    """The campaign meant: the one named, or the only one on record."""
    if name is not None:
        return name
    names = await ledger.campaigns()
    if len(names) == 1:
        return names[0]
    if not names:
        raise InputRefused(["No campaign is on record yet; import one: nce campaign import FILE."])
    raise InputRefused([f"Several campaigns are on record; name one with --campaign: {', '.join(names)}."])
