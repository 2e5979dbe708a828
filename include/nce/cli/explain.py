"""`nce explain`: everything on record about a partner or a subscription, in time order, in sentences."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from pydantic import Field

from include.nce.cli.display import Document, Instant, Part, in_utc, print_json, print_table, say
from include.nce.cli.entry import as_command
from include.nce.cli.surroundings import CampaignOption, JsonOption, campaign_named, open_ledger


class ExplanationEntry(Part):
    """One thing on record."""

    at: Instant = Field(description="The campaign's clock; entries are in this order.")
    recorded_at: Instant | None = Field(description="The machine's clock; null for a withdrawal.")
    kind: str = Field(description="What kind of record it is, such as run, check, opt_out, plan, command.")
    partner: str | None = Field(description="Whom it is about; null: the campaign.")
    subscription: str | None = Field(description="The legacy subscription it is about, if one.")
    sentence: str = Field(description="What happened.")
    facts: dict[str, Any] = Field(description="What the sentence leaves out; keys depend on `kind`.")


class Explanation(Document):
    """Everything on record about a partner or one subscription."""

    campaign: str = Field(description="Its name.")
    subject: str = Field(description="The partner or subscription asked for.")
    entries: list[ExplanationEntry] = Field(description="In time order.")


@as_command
async def explain(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="PARTNER|SUBSCRIPTION", help="A partner's short id, or a legacy subscription's id."
        ),
    ],
    campaign: CampaignOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell everything on record, in time order.

    About a partner or one subscription: what was found, asked, decided and by whom, what was intended,
    sent and answered, with request ids.
    """
    async with open_ledger() as ledger:
        name = await campaign_named(ledger, campaign)
        entries = await ledger.explain(name, subject)
    if as_json:
        found = [ExplanationEntry.model_validate(entry.model_dump()) for entry in entries]
        print_json(Explanation(campaign=name, subject=subject, entries=found))
        return
    if not entries:
        say(f"Nothing is on record about {subject} in {name}.")
        return
    print_table(
        ("CAMPAIGN'S CLOCK (UTC)", "ABOUT", "WHAT HAPPENED"),
        [
            (in_utc(entry.at), entry.subscription or entry.partner or name, entry.sentence)
            for entry in entries
        ],
    )
