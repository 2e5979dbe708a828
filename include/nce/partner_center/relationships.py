"""Relationships: the provider's resellers, a customer's resellers, invitations, partner-of-record checks."""

from __future__ import annotations

from collections.abc import Sequence

from include.nce.partner_center.auth import TokenKind
from include.nce.partner_center.models.reading import Collection
from include.nce.partner_center.models.relationships import (
    Relationship,
    RelationshipRequest,
    ResellerValidation,
    ResellerValidationRequest,
    ResellerValidations,
)
from include.nce.partner_center.transport import Call, Transport


class Relationships:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def indirect_resellers(self) -> Collection[Relationship]:
        """All resellers linked to us; no paging is documented
        (retrieve-a-list-of-indirect-resellers, 6/17/2022)."""
        call = Call(
            "list indirect resellers",
            "GET",
            "/v1/relationships",
            token=TokenKind.APP_AND_USER,
            query={"relationship_type": "IsIndirectCloudSolutionProviderOf"},
        )
        return (await self._transport.send(call)).many(Relationship)

    async def resellers_of_customer(self, customer_id: str) -> Collection[Relationship]:
        """Without `state` and `location` (get-indirect-resellers-of-a-customer, 07/28/2023)."""
        call = Call(
            "list resellers of customer",
            "GET",
            f"/v1/customers/{customer_id}/relationships",
            token=TokenKind.APP_AND_USER,
            customer_id=customer_id,
        )
        return (await self._transport.send(call)).many(Relationship)

    async def customer_invitation(self) -> RelationshipRequest:
        """The link a customer opens to accept us; asking for it changes nothing
        (request-reseller-relationship, 06/15/2022)."""
        call = Call(
            "read customer invitation",
            "GET",
            "/v1/customers/relationshiprequests",
            token=TokenKind.APP_AND_USER,
        )
        return (await self._transport.send(call)).one(RelationshipRequest)

    async def validate_partners_of_record(self, mpn_ids: Sequence[str]) -> tuple[ResellerValidation, ...]:
        """May these PartnerIDs be partner of record? Raises `NotFound` where the call does not exist yet
        (validate-reseller-partner-of-record, June 2025)."""
        call = Call(
            "validate partners of record",
            "POST",
            "/v1/partners/validateresellers",
            body=ResellerValidationRequest(partner_ids=list(mpn_ids)).body(),
        )
        return (await self._transport.send(call)).one(ResellerValidations).validation_results
