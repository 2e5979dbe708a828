"""`nce decide`: what only a person may decide about one subscription, on record with name and reason."""

from __future__ import annotations

from typing import Annotated

import typer

from include.nce.cli.display import remark, say
from include.nce.cli.entry import as_command
from include.nce.cli.surroundings import (
    ByOption,
    CampaignClock,
    CampaignOption,
    author,
    campaign_named,
    open_ledger,
)
from include.nce.domain.decision import DecisionKind
from include.nce.steps.people.decide import NewDecision, decide

decide_app = typer.Typer(name="decide", no_args_is_help=True, help="A person's decisions about what is held.")

SubscriptionArgument = Annotated[
    str,
    typer.Argument(metavar="SUBSCRIPTION", help="Id of the legacy subscription; see nce status --partner."),
]
ReasonOption = Annotated[str, typer.Option(metavar="TEXT", help="Why; it stays on record.")]
PartnerOption = Annotated[
    str | None, typer.Option(metavar="PARTNER", help="Whose it is, where two partners hold the same one.")
]


@decide_app.command("convert")
@as_command
async def convert(
    subscription: SubscriptionArgument,
    reason: ReasonOption,
    by: ByOption = None,
    partner: PartnerOption = None,
    campaign: CampaignOption = None,
) -> None:
    """Decide to convert what is held.

    For a subscription whose auto-renew is off: on purpose or not, nobody said. The decision takes
    effect in the partner's next plan: start it with `nce backfill PARTNER`. All else still has to hold:
    the checks, the opt-out, Microsoft's validation.
    """
    await _decide(subscription, DecisionKind.CONFIRM_CONVERSION, reason, by, partner, campaign)


@decide_app.command("withdraw")
@as_command
async def withdraw(
    subscription: SubscriptionArgument,
    reason: ReasonOption,
    by: ByOption = None,
    partner: PartnerOption = None,
    campaign: CampaignOption = None,
) -> None:
    """Take such a decision back.

    What is bought meanwhile stays bought.
    """
    await _decide(subscription, DecisionKind.WITHDRAW_CONFIRMATION, reason, by, partner, campaign)


async def _decide(
    subscription: str,
    kind: DecisionKind,
    reason: str,
    by: str | None,
    partner: str | None,
    campaign: str | None,
) -> None:
    wish = NewDecision(kind, subscription, reason, partner)
    who = author(by)
    async with open_ledger() as ledger:
        name = await campaign_named(ledger, campaign)
        done = await decide(name, wish, by=who, ledger=ledger, clock=CampaignClock())
    what = done.kind.value.replace("_", " ")
    say(f"Recorded for {done.subscription_id} of {done.partner}: {what}, decided by {done.by}.")
    remark(f"It takes effect in the partner's next plan; start it with: nce backfill {done.partner}.")
