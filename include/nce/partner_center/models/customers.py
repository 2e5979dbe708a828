"""Customers, their company profile and their qualifications."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Annotated, ClassVar

from include.nce.partner_center.models.links import Address, Attributes, Links
from include.nce.partner_center.models.reading import Guid, Moment, RequestModel, Text, WireModel, known_text


class RelationshipToPartner(str, Enum):
    """What we are to the customer (customer-resources, 07/28/2023)."""

    UNKNOWN = "unknown"
    RESELLER = "reseller"
    ADVISOR = "advisor"
    SYNDICATION = "syndication"
    MICROSOFT_SUPPORT = "microsoft_support"
    NONE = "none"


class CompanyProfile(WireModel):
    """get-a-customer-s-company-profile (07/28/2023); address and email only with delegated rights."""

    tenant_id: Guid | None = None
    domain: str | None = None
    company_name: str | None = None
    address: Address | None = None
    email: str | None = None
    organization_registration_number: Text | None = None
    links: Links
    attributes: Attributes | None = None


class BillingProfile(WireModel):
    """Whom the customer names for its bills (customer-resources, 07/28/2023)."""

    id: Guid | None = None
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    culture: str | None = None
    language: str | None = None
    company_name: str | None = None
    default_address: Address | None = None
    links: Links
    attributes: Attributes | None = None


class Customer(WireModel):
    """customer-resources (07/28/2023). `id` is the customer's tenant; lists carry only the first few
    fields."""

    id: Guid
    commerce_id: Guid | None = None
    company_profile: CompanyProfile | None = None
    billing_profile: BillingProfile | None = None
    relationship_to_partner: (
        Annotated[RelationshipToPartner | str, known_text(RelationshipToPartner)] | None
    ) = None
    allow_delegated_access: bool | None = None
    custom_domains: tuple[str, ...] = ()
    associated_partner_id: Text | None = None
    links: Links
    attributes: Attributes | None = None


class CustomerFilter(RequestModel):
    """The `filter` of a customer query, JSON within the URL (get-a-customer-by-name, 07/28/2023).

    Fields `CompanyName`, `Domain`, `IndirectReseller`, `IndirectCloudSolutionProvider`; the only operator is
    `starts_with`. Written with a capital first letter, as every example does.
    """

    model_config = RequestModel.model_config | {"alias_generator": lambda name: name.capitalize()}

    field: str
    value: str
    operator: str = "starts_with"


class QualificationKind(str, Enum):
    """What a customer may be qualified as (get-customer-qualification-asynchronous, 07/28/2023)."""

    NONE = "None"
    EDUCATION = "Education"
    NONPROFIT = "Nonprofit"
    GOVERNMENT_COMMUNITY_CLOUD = "GovernmentCommunityCloud"
    STATE_OWNED_ENTITY = "StateOwnedEntity"


class QualificationVetting(str, Enum):
    """How far Microsoft's look at it has come (get-customer-qualification-asynchronous, 07/28/2023)."""

    APPROVED = "Approved"
    IN_REVIEW = "InReview"
    DENIED = "Denied"


class Qualification(WireModel):
    """One of a customer's qualifications (get-customer-qualification-asynchronous, 07/28/2023).

    A qualification without vetting, such as StateOwnedEntity, has no `vetting_status`. The date is written
    `vettingCreateDate` and `vettingCreatedDate`.
    """

    also_called: ClassVar[Mapping[str, tuple[str, ...]]] = {"vetting_created_date": ("vettingCreateDate",)}

    qualification: Annotated[QualificationKind | str, known_text(QualificationKind)]
    vetting_status: Annotated[QualificationVetting | str, known_text(QualificationVetting)] | None = None
    vetting_reason: str | None = None
    vetting_created_date: Moment = None


class QualificationRequest(RequestModel):
    """update-customer-qualification-asynchronous (06/28/2022): `None` and `Nonprofit` cannot be asked for."""

    qualification: str
    education_segment: str | None = None
    website: str | None = None
    validation_code: str | None = None
