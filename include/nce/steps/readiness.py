"""All four checks of one partner, asked now. The watchers ask them one by one; the plan asks them all
again."""

from __future__ import annotations

from collections.abc import Sequence

from include.nce.domain.campaign import Campaign
from include.nce.domain.errors import PartnerCenterFault
from include.nce.domain.partner import Partner
from include.nce.domain.readiness import Check, Finding, cannot_tell
from include.nce.steps.check_customer_mca import check_customer_mca
from include.nce.steps.check_indirect_provider_link import check_indirect_provider_link
from include.nce.steps.check_mpa import check_mpa
from include.nce.steps.check_mpn_id import check_mpn_id
from include.nce.steps.ports import PartnerCenter


async def ask(check: Check, partner: Partner, campaign: Campaign, partner_center: PartnerCenter) -> Finding:
    """One check's finding. A fault of any kind is "cannot tell": unknown is neither yes nor no."""
    try:
        if check is Check.MPA:
            return await check_mpa(partner, partner_center)
        if check is Check.INDIRECT_PROVIDER_LINK:
            return await check_indirect_provider_link(partner, campaign, partner_center)
        if check is Check.MPN_ID:
            return await check_mpn_id(partner, partner_center)
        return await check_customer_mca(partner, partner_center)
    except PartnerCenterFault as fault:
        return cannot_tell(check, fault.sentence, fault.code)


async def ask_all(partner: Partner, campaign: Campaign, partner_center: PartnerCenter) -> Sequence[Finding]:
    """Green checks go stale: everything is asked again before anything is bought."""
    return [await ask(check, partner, campaign, partner_center) for check in Check]
