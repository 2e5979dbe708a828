"""`check_customer_mca`: has every customer accepted the Microsoft Customer Agreement?"""

from __future__ import annotations

from include.nce.domain.partner import Partner
from include.nce.domain.readiness import Finding, judge_customer_mca
from include.nce.steps.ports import PartnerCenter


async def check_customer_mca(partner: Partner, partner_center: PartnerCenter) -> Finding:
    """Asks for each customer whether it accepted the Microsoft Customer Agreement.

    Confirmed by the partner or signed directly both count. Purple: some are missing, they are asked again by
    themselves. Green: all accepted, or at the cut-over at least one did: the others' subscriptions are held.
    Red: at the cut-over no customer has accepted.
    """
    accepted = {}
    async for customer in partner_center.customers_of(partner.tenant_id):
        tenant = customer.customer_id
        accepted[tenant] = await partner_center.customer_agreement_accepted(tenant)
    return judge_customer_mca(accepted)
