"""The JSON of `nce status --json`: the ledger's report, the campaign's time, and the table's words."""

from __future__ import annotations

from pydantic import Field

from include.nce.ledger.reports import CampaignStatus, Moment, PartnerStatus, Totals


class StatusPartner(PartnerStatus):
    """One partner with its run, or without one when none was opened yet.

    The run is the latest that is no dry run (mode `plan`), or the latest dry run when there is no other.
    """

    stage: str = Field(
        description="The outcome; without one `running`, or `not_started` when there is no run."
    )
    reason: str = Field(
        description="The run's closing sentence; for an open run, what is missing and who acts."
    )


class StatusDocument(CampaignStatus):
    """Where a campaign stands, or one partner of it."""

    now: Moment | None = Field(
        description="The campaign's time; null when nobody tells it: the simulator of a rehearsal is down."
    )
    stopped: str = Field(
        description="Who stopped the campaign and why, and what ends it; empty while it may buy."
    )
    partners: list[StatusPartner] = Field(  # type: ignore[assignment]  # a narrower item, and the model is frozen
        description="In the order of their ids; those that --outcome, --after and --limit leave."
    )
    totals: Totals = Field(description="Over the whole campaign, or the one partner.")


def partner_in_status(partner: PartnerStatus, *, stage: str, reason: str) -> StatusPartner:
    """The ledger's words, checked when they were read, with two of ours."""
    fields = {name: getattr(partner, name) for name in PartnerStatus.model_fields}
    return StatusPartner.model_construct(**fields, stage=stage, reason=reason)
