"""The commands of `nce`, put together."""

from __future__ import annotations

import typer

from include.nce.cli.apply import apply
from include.nce.cli.approvals import approval_app
from include.nce.cli.budget import budget
from include.nce.cli.campaigns import campaign_app
from include.nce.cli.check_connection import check_connection
from include.nce.cli.decisions import decide_app
from include.nce.cli.entry import Entry
from include.nce.cli.evidence import evidence
from include.nce.cli.explain import explain
from include.nce.cli.findings import findings
from include.nce.cli.opt_outs import opt_out_app
from include.nce.cli.plans import plan
from include.nce.cli.reconcile import reconcile
from include.nce.cli.runs import backfill, start
from include.nce.cli.status import status
from include.nce.cli.undo import undo_app
from include.nce.cli.waves import release, show_waves, stop

app = typer.Typer(
    name="nce",
    cls=Entry,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Move resellers' customers from legacy CSP subscriptions to New Commerce: see where it stands, "
    "start it, and record what people decide.",
    epilog="Exit codes: 0 done; 1 the ledger, Airflow or a run did not do its part; 2 what was typed cannot "
    "be used.",
)

campaign_app.command("stop")(stop)
campaign_app.command("release")(release)
campaign_app.command("waves")(show_waves)

app.command()(status)
app.command()(start)
app.command()(backfill)
app.command()(plan)
app.command()(apply)
app.command()(explain)
app.command()(evidence)
app.command()(findings)
app.command()(reconcile)
app.command()(budget)
app.command("check-connection")(check_connection)
app.add_typer(opt_out_app)
app.add_typer(campaign_app)
app.add_typer(decide_app)
app.add_typer(approval_app)
app.add_typer(undo_app)
