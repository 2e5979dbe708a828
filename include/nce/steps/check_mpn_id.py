"""`check_mpn_id`: do we know the partner's local PartnerID, and is it really this partner's?"""

from __future__ import annotations

from include.nce.domain.partner import Partner
from include.nce.domain.readiness import Finding, PartnerOfRecord, judge_mpn
from include.nce.steps.ports import PartnerCenter


async def check_mpn_id(partner: Partner, partner_center: PartnerCenter) -> Finding:
    """Checks the partner's local PartnerID (MPN location id).

    It must exist, be valid as partner of record, and belong to this reseller: the profile alone proves
    nothing, so it is compared with our list of resellers. Purple: missing or wrong, it is asked again by
    itself. Green: right. Red: still wrong at the cut-over; the partner tells us its local PartnerID, an
    operator corrects the roster and starts the partner again.
    """
    links = await partner_center.resellers()
    exists, valid = False, PartnerOfRecord.UNKNOWN
    if partner.mpn_id is not None:
        exists = await partner_center.mpn_profile_exists(partner.mpn_id)
        valid = await partner_center.partner_of_record(partner.mpn_id)
    return judge_mpn(partner, links, profile_exists=exists, partner_of_record=valid)
