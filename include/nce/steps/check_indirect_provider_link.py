"""`check_indirect_provider_link`: is the partner linked to us as its indirect provider?"""

from __future__ import annotations

from include.nce.domain.campaign import Campaign
from include.nce.domain.partner import Partner
from include.nce.domain.readiness import Finding, judge_link
from include.nce.steps.ports import PartnerCenter


async def check_indirect_provider_link(
    partner: Partner, campaign: Campaign, partner_center: PartnerCenter
) -> Finding:
    """Looks for the partner in our list of indirect resellers.

    Purple: not there or not active yet, it is asked again by itself. Green: linked. Red: still missing at the
    cut-over; the partner's Global Admin accepts our invitation (guide per country in the log), then clear
    this task.
    """
    guide = campaign.guides.get(partner.country, "")
    return judge_link(partner, await partner_center.resellers(), guide=guide)
