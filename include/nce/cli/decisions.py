"""`nce decide`: what only a person may decide about one subscription, on record with name and reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from include.nce.cli.display import remark, say
from include.nce.cli.entry import as_command
from include.nce.cli.surroundings import (
    ByOption,
    CampaignOption,
    author,
    campaign_named,
    campaign_now,
    open_ledger,
)
from include.nce.domain.errors import InputRefused
from include.nce.domain.subscription import is_guid, lower_guid

if TYPE_CHECKING:
    from include.nce.ledger.ledger import PostgresLedger
    from include.nce.ledger.tables import DecisionKind

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
    from include.nce.ledger.tables import DecisionKind

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
    from include.nce.ledger.tables import DecisionKind

    await _decide(subscription, DecisionKind.WITHDRAW_CONFIRMATION, reason, by, partner, campaign)


async def _decide(
    subscription: str,
    kind: DecisionKind,
    reason: str,
    by: str | None,
    partner: str | None,
    campaign: str | None,
) -> None:
    if not is_guid(subscription):
        raise InputRefused(
            [f"subscription: '{subscription}' is no id; it looks like 8-4-4-4-12 hexadecimal digits."]
        )
    if not reason.strip():
        raise InputRefused(["reason: it is empty; say why, it stays on record."])
    legacy_id = lower_guid(subscription)
    async with open_ledger() as ledger:
        name = await campaign_named(ledger, campaign)
        whose = partner or await _holder(ledger, name, legacy_id)
        who = author(by)
        await ledger.record_decision(
            name, whose, legacy_id, kind, decided_by=who, reason=reason.strip(), at=await campaign_now()
        )
    say(f"Recorded for {legacy_id} of {whose}: {kind.value.replace('_', ' ')}, decided by {who}.")
    remark(f"It takes effect in the partner's next plan; start it with: nce backfill {whose}.")


async def _holder(ledger: PostgresLedger, campaign: str, legacy_id: str) -> str:
    """The one partner that holds it; refused when nobody was seen with it, or more than one."""
    holders = await ledger.holders(campaign, legacy_id)
    if not holders:
        raise InputRefused(
            [f"Subscription {legacy_id} was seen at no partner of {campaign}; check the id, or start it."]
        )
    if len(holders) > 1:
        whose = " and ".join(holders)
        raise InputRefused([f"Subscription {legacy_id} was seen at {whose}; name one with --partner."])
    return holders[0]
