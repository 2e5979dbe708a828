"""Partner profiles: PartnerID (MPN), legal business and organisation."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from include.nce.partner_center.models.links import Address, Attributes, Contact, Links
from include.nce.partner_center.models.reading import Guid, Text, WireModel, known_text


class MpnProfile(WireModel):
    """That a PartnerID exists, and whose it is (get-partner-by-mpn-id, 06/29/2022).

    It answers for anybody's valid id, global or local, so it proves existence and nothing else.
    """

    partner_name: str | None = None
    mpn_id: Text
    profile_type: str | None = None
    links: Links
    attributes: Attributes | None = None


class VettingStatus(str, Enum):
    """How far Microsoft's look at the company has come (get-legal-business-profile, 6/16/2022)."""

    NONE = "none"
    PENDING = "pending"
    AUTHORIZED = "authorized"
    REJECTED = "rejected"


class LegalBusinessProfile(WireModel):
    """The provider's own legal profile (get-legal-business-profile, 6/16/2022)."""

    company_name: str | None = None
    address: Address | None = None
    primary_contact: Contact | None = None
    company_approver_address: Address | None = None
    company_approver_email: str | None = None
    vetting_status: Annotated[VettingStatus | str, known_text(VettingStatus)] | None = None
    vetting_sub_status: str | None = None
    profile_type: str | None = None
    links: Links
    attributes: Attributes | None = None


class OrganizationProfile(WireModel):
    """The provider's own organisation (get-an-organization-profile, 06/16/2022)."""

    id: Guid
    company_name: str | None = None
    default_address: Address | None = None
    tenant_id: Guid | None = None
    domain: str | None = None
    email: str | None = None
    language: str | None = None
    culture: str | None = None
    profile_type: str | None = None
    links: Links
    attributes: Attributes | None = None
