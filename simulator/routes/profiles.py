"""Profiles: partners by their MPN id, and the provider's own."""

from __future__ import annotations

from typing import Any

from simulator.errors import Refusal
from simulator.exchange import Answer, Call, Operations
from simulator.wire import link

operations = Operations()


@operations.add(
    "GET",
    "/v1/profiles/mpn",
    auth="user",
    page="get-partner-by-mpn-id (06/29/2022)",
    query=("mpnId",),
)
def get_mpn_profile(call: Call) -> Answer:
    """Proves that an id exists, not whose reseller it is; without an id the provider's own profile."""
    mpn_id, provider = call.query("mpnId"), call.world.scenario.provider
    name: str | None = provider.name
    if mpn_id and mpn_id != provider.mpn_id:
        partner = call.world.partner_with_mpn(mpn_id)
        name = partner.profile.name if partner else None
    if name is None:
        raise Refusal(3000, mpn_id)
    uri = f"/profiles/mpn?mpnId={mpn_id}" if mpn_id else "/profiles/mpn"
    return Answer(
        {
            "partnerName": name,
            "mpnId": mpn_id or provider.mpn_id,
            "profileType": "MpnProfile",
            "links": {"self": link(uri)},
            "attributes": {"objectType": "MpnProfile"},
        }
    )


def _address(call: Call) -> dict[str, Any]:
    return {
        "country": call.world.scenario.provider.country,
        "city": "Milano",
        "state": "MI",
        "addressLine1": "Via Esempio 1",
        "addressLine2": "",
        "postalCode": "20100",
    }


@operations.add(
    "GET",
    "/v1/profiles/legalbusiness",
    auth="either",
    page="get-legal-business-profile (6/16/2022)",
    query=("vettingVersion",),
)
def get_legal_business_profile(call: Call) -> Answer:
    """The provider's legal profile."""
    if (call.query("vettingVersion") or "Current").lower() not in ("current", "lastfinalized"):
        raise Refusal(800002, "vettingVersion must be Current or LastFinalized.")
    provider, person = call.world.scenario.provider, {"firstName": "Ada", "lastName": "Agent"}
    return Answer(
        {
            "companyName": provider.name,
            "address": _address(call) | person | {"phoneNumber": "0200000000"},
            "primaryContact": person | {"email": f"agent@{provider.domain}", "phoneNumber": "0200000000"},
            "companyApproverAddress": _address(call),
            "companyApproverEmail": f"agent@{provider.domain}",
            "vettingStatus": "authorized",
            "vettingSubStatus": "none",
            "profileType": "LegalBusinessProfile",
            "links": {"self": link("/profiles/legalbusiness")},
            "attributes": {"objectType": "LegalBusinessProfile"},
        }
    )


@operations.add(
    "GET", "/v1/profiles/organization", auth="user", page="get-an-organization-profile (06/16/2022)"
)
def get_organization_profile(call: Call) -> Answer:
    """The provider's organisation."""
    provider = call.world.scenario.provider
    return Answer(
        {
            "id": provider.tenant_id,
            "companyName": provider.name,
            "defaultAddress": _address(call) | {"firstName": "Ada", "lastName": "Agent", "phoneNumber": ""},
            "tenantId": provider.tenant_id,
            "domain": provider.domain,
            "email": f"agent@{provider.domain}",
            "language": provider.country.lower(),
            "culture": f"{provider.country.lower()}-{provider.country}",
            "profileType": "OrganizationProfile",
            "links": {"self": link("/profiles/organization")},
            "attributes": {"etag": f"{provider.tenant_id}:1", "objectType": "OrganizationProfile"},
        }
    )
