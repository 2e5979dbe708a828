"""Relationships: which resellers the provider is linked with, and which may be partner of record."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, Field

from simulator.errors import REFUSALS, Refusal
from simulator.exchange import Answer, Call, Operations
from simulator.records import PartnerRecord
from simulator.wire import collection

operations = Operations()

RELATIONSHIPS = {
    "isindirectcloudsolutionproviderof": "is_indirect_cloud_solution_provider_of",
    "isindirectresellerof": "is_indirect_reseller_of",
}


def _rendered(partner: PartnerRecord, *, full: bool = True) -> dict[str, Any]:
    profile = partner.profile
    body: dict[str, Any] = {
        "id": profile.tenant_id,
        "name": profile.name,
        "relationshipType": RELATIONSHIPS["isindirectcloudsolutionproviderof"],
        "mpnId": profile.relationship_mpn_id,
        "attributes": {"objectType": "PartnerRelationship"},
    }
    return body | {"state": profile.relationship_state, "location": profile.location} if full else body


def _linked(call: Call) -> list[PartnerRecord]:
    return [row for row in call.world.partners if row.holds(row.profile.linked_at, call.now)]


@operations.add(
    "GET",
    "/v1/relationships",
    auth="user",
    page="retrieve-a-list-of-indirect-resellers (6/17/2022)",
    query=("relationship_type", "filter"),
)
def get_relationships(call: Call) -> Answer:
    """The provider's resellers; it is nobody's reseller itself, so the other direction is empty."""
    kind = (call.query("relationship_type") or "").replace("_", "").lower()
    if kind not in RELATIONSHIPS:
        raise Refusal(
            800002, "relationship_type must be IsIndirectCloudSolutionProviderOf or IsIndirectResellerOf."
        )
    if kind == "isindirectresellerof":
        return Answer(collection([]))
    wanted = parse_filter(call)
    prefix = "" if wanted is None else wanted.value.lower()
    if wanted is not None and wanted.field.lower() != "name":
        raise Refusal(800002, "The filter knows the field Name only.")
    found = [row for row in _linked(call) if row.profile.name.lower().startswith(prefix)]
    return Answer(collection([_rendered(row) for row in found]))


@operations.add(
    "GET",
    "/v1/customers/{customer_id}/relationships",
    auth="user",
    page="get-indirect-resellers-of-a-customer (07/28/2023)",
)
def get_customer_relationships(call: Call) -> Answer:
    """The resellers that serve a customer."""
    customer = call.customer()
    return Answer(
        collection([_rendered(row, full=False) for row in _linked(call) if row.id in customer.partners])
    )


@operations.add(
    "GET",
    "/v1/customers/relationshiprequests",
    auth="user",
    page="request-reseller-relationship (06/15/2022)",
    query=("indirectCloudSolutionProviderId", "indirectResellerId", "dualRoleIndirectRelationship"),
)
def get_relationship_request(call: Call) -> Answer:
    """The invitation link to hand to a customer; nothing is created."""
    tenant = call.world.scenario.provider.tenant_id
    page = "https://admin.microsoft.com/Adminportal/Home"
    query = f"invType=ResellerRelationship&partnerId={tenant}&msppId=0&DAP=false"
    return Answer(
        {
            "url": f"{page}?{query}#/BillingAccounts/partner-invitation",
            "attributes": {"objectType": "RelationshipRequest"},
        }
    )


class PartnerIds(BaseModel):
    """Location ids to look at."""

    partner_ids: list[str] = Field(alias="partnerIds", min_length=1)


@operations.add(
    "POST",
    "/v1/partners/validateresellers",
    auth="either",
    page="validate-reseller-partner-of-record (June 2025)",
    body=PartnerIds,
)
def validate_resellers(call: Call) -> Answer:
    """Whether each id may be the partner of record."""
    results = []
    for mpn_id in call.model(PartnerIds).partner_ids:
        valid = call.world.valid_partner_of_record(mpn_id)
        result: dict[str, Any] = {"partnerId": mpn_id, "isValidPartnerIdOnRecord": valid}
        if not valid:
            partner = call.world.partner_with_mpn(mpn_id, location_only=True)
            linked = partner is not None and partner.holds(partner.profile.linked_at, call.now)
            code = 900414 if linked else 900400
            text = "The reseller is currently not authorised." if linked else REFUSALS[900400][1]
            result |= {"errorCode": code, "errorDescription": text}
        results.append(result)
    return Answer({"validationResults": results})


class FieldFilter(BaseModel):
    """The only filter of the API: one field that starts with a value."""

    field: str
    value: str
    operator: str = "starts_with"


def parse_filter(call: Call, operators: tuple[str, ...] = ("starts_with",)) -> FieldFilter | None:
    """The filter of the query, refused when it is not readable; None without one."""
    text = call.query("filter")
    if text is None:
        return None
    try:
        raw = json.loads(text)
        wanted = FieldFilter.model_validate({name.lower(): value for name, value in raw.items()})
    except (ValueError, AttributeError):
        raise Refusal(800002, "The filter is not readable.") from None
    if wanted.operator.lower() not in operators:
        raise Refusal(800002, f"The operator {wanted.operator} is not supported.")
    return wanted
