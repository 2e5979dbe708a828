"""Relationships between the provider, its resellers and customers, and partner-of-record validation."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Annotated, ClassVar

from include.nce.partner_center.models.links import Attributes
from include.nce.partner_center.models.reading import Guid, RequestModel, Text, WireModel, known_text


class RelationshipState(str, Enum):
    """`Active` is the only state the pages show; any other text stays as it is and is not active
    (retrieve-a-list-of-indirect-resellers, 6/17/2022)."""

    ACTIVE = "Active"


class Relationship(WireModel):
    """One reseller of the provider (retrieve-a-list-of-indirect-resellers, 6/17/2022).

    `id` is the reseller's tenant. `mpn_id` is written `mpnId` in examples and `partnerId` in the field table;
    whether it is the global or the local PartnerID is not documented. The list of a customer's resellers
    (get-indirect-resellers-of-a-customer, 07/28/2023) shows neither `state` nor `location`.
    """

    also_called: ClassVar[Mapping[str, tuple[str, ...]]] = {"mpn_id": ("partnerId",)}

    id: Guid
    name: str | None = None
    relationship_type: str | None = None
    state: Annotated[RelationshipState | str, known_text(RelationshipState)] | None = None
    mpn_id: Text | None = None
    location: str | None = None
    attributes: Attributes | None = None


class RelationshipRequest(WireModel):
    """The invitation link to give to a customer (request-reseller-relationship, 06/15/2022)."""

    url: str
    attributes: Attributes | None = None


class ResellerValidationRequest(RequestModel):
    """The PartnerIDs that are asked about (validate-reseller-partner-of-record, June 2025)."""

    partner_ids: list[str]


class ResellerValidation(WireModel):
    """May this PartnerID be partner of record (validate-reseller-partner-of-record, June 2025)?

    900400: not linked to an active reseller tenant; 900414: the reseller is not authorised at present.
    """

    partner_id: Text
    is_valid_partner_id_on_record: bool
    error_code: int | None = None
    error_description: str | None = None


class ResellerValidations(WireModel):
    """One verdict a PartnerID (validate-reseller-partner-of-record, June 2025)."""

    validation_results: tuple[ResellerValidation, ...]
