"""`nce budget`: how much of Microsoft's rate limits is used, and how long those wait who wait."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import Field

from include.nce.cli.display import Document, Instant, Part, in_utc, print_json, print_table, say
from include.nce.cli.entry import as_command
from include.nce.cli.surroundings import JsonOption, open_ledger

if TYPE_CHECKING:
    from include.nce.ledger.call_budgets import CallBudgetStatus

WATCH_SECONDS = 2.0
_CLEARED_SCREEN = "\x1b[H\x1b[2J"


class BudgetLine(Part):
    """One limit for one tenant."""

    limit: str
    tenant: str = Field(description="For whom Microsoft counts: the provider, or one customer.")
    calls: int | None = Field(description="Allowed in a window; null: Microsoft publishes no number.")
    window_seconds: float | None
    used: int = Field(description="Calls that left within the window.")
    left: int | None = Field(description="Calls that may leave now.")
    waiting: int = Field(description="Calls that wait for their moment.")
    drained_in_seconds: float = Field(description="Until the last of them leaves.")
    paused_seconds: float = Field(description="What is left of the wait that Microsoft's last 429 asked for.")
    throttled_at: Instant | None = Field(description="Microsoft's last 429.")


class BudgetDocument(Document):
    """What `nce budget --json` prints."""

    now: Instant = Field(description="The database's time, by which calls are counted.")
    budgets: list[BudgetLine]


@as_command
async def budget(
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help=f"Again every {WATCH_SECONDS:g} seconds, until Ctrl-C.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what is used of Microsoft's rate limits.

    All processes and machines share one budget for each limit: what left within the window, what may
    leave now, how many calls wait for their moment and until when. A tenant that nobody asked about
    for a day is not shown. The limits are set in the connection `partner_center`, extra field `limits`.
    """
    async with open_ledger() as ledger:
        while True:
            now, budgets = await ledger.call_budgets()
            if as_json:
                print_json(BudgetDocument(now=now, budgets=[_line(found) for found in budgets]))
            else:
                if watch and sys.stdout.isatty():
                    sys.stdout.write(_CLEARED_SCREEN)
                _show(budgets)
            if not watch:
                return
            sys.stdout.flush()
            await asyncio.sleep(WATCH_SECONDS)


def _line(found: CallBudgetStatus) -> BudgetLine:
    return BudgetLine(
        limit=found.limit,
        tenant=found.tenant_id,
        calls=found.calls,
        window_seconds=found.window_seconds,
        used=found.used,
        left=found.left,
        waiting=found.waiting,
        drained_in_seconds=round(found.drained_in_seconds, 1),
        paused_seconds=round(found.paused_seconds, 1),
        throttled_at=found.throttled_at,
    )


def _show(budgets: list[CallBudgetStatus]) -> None:
    if not budgets:
        say("No call was counted in the last day.")
        return
    print_table(
        ("LIMIT", "TENANT", "CALLS", "USED", "LEFT", "WAITING", "DRAINED IN", "PAUSED FOR", "LAST 429 (UTC)"),
        [
            (
                found.limit,
                found.tenant_id,
                "-" if found.calls is None else f"{found.calls} in {found.window_seconds:g} s",
                str(found.used),
                "-" if found.left is None else str(found.left),
                str(found.waiting),
                _seconds(found.drained_in_seconds),
                _seconds(found.paused_seconds),
                in_utc(found.throttled_at),
            )
            for found in budgets
        ],
    )


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds else "-"
