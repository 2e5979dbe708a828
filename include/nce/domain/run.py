"""One partner's run in a campaign, as the ledger knows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from include.nce.domain.partner import Partner


@dataclass(frozen=True)
class Run:
    """`mode` is `apply`, or `plan` for a run that only looks. `opened_at` is the campaign's clock."""

    run_id: str
    campaign: str
    partner: Partner
    mode: str
    opened_at: datetime

    def owns(self, campaign: str, partner: str) -> bool:
        """Whether what was planned for this partner in this campaign is this run's business."""
        return (campaign, partner) == (self.campaign, self.partner.partner)


@dataclass(frozen=True)
class BatchReference:
    """What the steps of a batch are started with."""

    run_id: str
    plan_id: int
    batch_no: int
