"""`nce findings`: what differs between the ledger and Partner Center, the worst first, page by page."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import Field

from include.nce.cli.display import Document, Instant, Part, in_utc, print_json, print_table, say
from include.nce.cli.entry import as_command
from include.nce.cli.surroundings import CampaignOption, JsonOption, campaign_named, open_ledger
from include.nce.domain.readiness import Owner
from include.nce.domain.reconciliation import CoverageGap, FindingKind, Severity

PAGE = 50


class FindingEntry(Part):
    """One difference between the ledger and Partner Center."""

    finding: int = Field(description="Its number.")
    partner: str = Field(description="Short id.")
    customer: str = Field(description="Tenant id of the end customer.")
    subscription: str = Field(description="Id of the legacy subscription it is about.")
    kind: FindingKind = Field(description="What is wrong.")
    severity: Severity = Field(description="How soon somebody has to act.")
    gap: CoverageGap = Field(description="What it means for the customer's coverage.")
    owner: Owner = Field(description="Who acts.")
    sentence: str = Field(description="What is so, who acts, how and by when.")
    act_by_at: Instant | None = Field(description="After this, what would help is no longer possible.")
    nce_subscription: str | None = Field(description="Id of the NCE subscription beside it.")
    times: int = Field(description="How often it has appeared; 2 and more: it came back.")
    first_seen_at: Instant = Field(description="When it was first seen.")
    since_at: Instant = Field(description="When it last appeared.")
    last_seen_at: Instant = Field(description="When it was last seen.")
    resolved_at: Instant | None = Field(description="When it was found to be gone; null while it is open.")


class FindingList(Document):
    """One page of findings, the worst first."""

    campaign: str = Field(description="Its name.")
    findings: list[FindingEntry] = Field(description="The findings of this page.")
    after: int | None = Field(description="The next page: `--after` with this number; null: the last one.")


@as_command
async def findings(
    partner: Annotated[
        str | None, typer.Option(metavar="PARTNER", help="Only this partner, by its short id.")
    ] = None,
    with_resolved: Annotated[
        bool, typer.Option("--all", help="Also those that are gone.", show_default=False)
    ] = False,
    after: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Begin behind this finding: the next page.")
    ] = None,
    limit: Annotated[int, typer.Option(metavar="NUMBER", min=1, max=1000, help="How many a page.")] = PAGE,
    campaign: CampaignOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what differs between the ledger and Partner Center.

    Open findings of `nce_reconcile`, the worst first, each with who acts, how and by when. Critical:
    today, a customer is without service or pays twice. Serious: somebody acts. Notice: somebody looks
    when there is time.
    """
    async with open_ledger() as ledger:
        name = await campaign_named(ledger, campaign)
        page = await ledger.standing_findings(
            name, partner, with_resolved=with_resolved, after=after, limit=limit
        )
    if as_json:
        entries = [FindingEntry.model_validate(found.model_dump()) for found in page.findings]
        print_json(FindingList(campaign=name, findings=entries, after=page.after))
        return
    if not page.findings:
        say("No findings." if after is None else "No more findings.")
        return
    print_table(
        ("NUMBER", "SEVERITY", "PARTNER", "KIND", "SINCE (UTC)", "WHAT, WHO ACTS, HOW"),
        [
            (
                str(found.finding),
                found.severity.value,
                found.partner,
                found.kind.value,
                in_utc(found.since_at),
                _told(found.sentence, found.times, in_utc(found.resolved_at) if found.resolved_at else None),
            )
            for found in page.findings
        ],
    )
    if page.after is not None:
        say(f"There are more: add --after {page.after}.")


def _told(sentence: str, times: int, gone: str | None) -> str:
    back = f"(for the {times}. time) " if times > 1 else ""
    return f"{back}{sentence}" if gone is None else f"(gone {gone}) {back}{sentence}"
