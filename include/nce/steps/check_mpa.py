"""`check_mpa`: has the partner signed the Microsoft Partner Agreement?"""

from __future__ import annotations

from include.nce.domain.partner import Partner
from include.nce.domain.readiness import Finding, judge_mpa
from include.nce.steps.ports import PartnerCenter


async def check_mpa(partner: Partner, partner_center: PartnerCenter) -> Finding:
    """Asks Partner Center whether the partner has signed the Microsoft Partner Agreement.

    Purple: not signed yet, it is asked again by itself. Green: signed. Red: still missing at the cut-over;
    the partner's Global Admin signs it in Partner Center, then clear this task. An answer that cannot be had
    (a fault at Microsoft or in our own credentials) is never held against the partner.
    """
    return judge_mpa(await partner_center.mpa_status(partner.tenant_id))
