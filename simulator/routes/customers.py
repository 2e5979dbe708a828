"""Customers: the list with its paging and filters, one customer, company profile, qualifications."""

from __future__ import annotations

import base64
import uuid
from typing import Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from simulator.errors import Refusal
from simulator.exchange import Answer, Call, Operations
from simulator.records import CustomerRecord
from simulator.routes.relationships import parse_filter
from simulator.schema import Qualification
from simulator.wire import collection, link, present, stamp

operations = Operations()


def _company(customer: CustomerRecord, *, address: bool) -> dict[str, Any]:
    profile = customer.profile
    body: dict[str, Any] = {
        "tenantId": customer.id,
        "domain": profile.domain,
        "companyName": profile.name,
    }
    if address:
        body |= {"address": _address(customer), "email": f"contact@{profile.domain}"}
    return body | {
        "links": {"self": link(f"/customers/{customer.id}/profiles/company")},
        "attributes": {"objectType": "CustomerCompanyProfile"},
    }


def _address(customer: CustomerRecord) -> dict[str, Any]:
    return {
        "country": customer.profile.country,
        "city": "Roma",
        "addressLine1": "Via Prova 2",
        "postalCode": "00100",
        "phoneNumber": "0600000000",
    }


def _item(customer: CustomerRecord) -> dict[str, Any]:
    return {
        "id": customer.id,
        "companyProfile": _company(customer, address=False),
        "relationshipToPartner": "reseller",
        "links": {"self": link(f"/customers/{customer.id}")},
        "attributes": {"objectType": "Customer"},
    }


@operations.add(
    "GET",
    "/v1/customers",
    auth="either",
    page="get-a-list-of-customers (07/28/2023)",
    query=("size", "filter", "seekOperation"),
)
def get_customers(call: Call) -> Answer:
    """The provider's customers, page by page; by reseller only with a user token."""
    found = _filtered(call)
    size = _size(call)
    start = _start(call, found)
    page, rest = found[start : start + size], found[start + size :]
    query = f"size={call.query('size') or 0}"
    if text := call.query("filter"):
        query += f"&filter={quote(text, safe='')}"
    body = collection([_item(row) for row in page], f"/customers?{query}")
    headers: dict[str, str] = {}
    if rest:
        token = base64.urlsafe_b64encode(f"after:{page[-1].id}".encode()).decode()
        body["continuationToken"] = token
        body["links"]["next"] = {
            "uri": f"/customers?{query}&seekOperation=Next",
            "method": "GET",
            "headers": [{"key": "MS-ContinuationToken", "value": token}],
        }
        headers["MS-ContinuationToken"] = token
    return Answer(body, headers=headers)


def _filtered(call: Call) -> list[CustomerRecord]:
    customers = sorted(call.world.customers, key=lambda row: (row.profile.name.lower(), row.id))
    wanted = parse_filter(call)
    if wanted is None:
        return customers
    field, value = wanted.field.lower(), wanted.value.lower()
    if field == "indirectreseller":
        if call.caller is None or call.caller.kind == "app":
            raise Refusal(900329)
        # Inferred: a customer's reseller is a record of its own and shows also while the link is missing.
        slugs = {row.id for row in call.world.partners if (row.profile.tenant_id or "").startswith(value)}
        return [row for row in customers if slugs & set(row.partners)]
    if field == "indirectcloudsolutionprovider":
        return customers if call.world.scenario.provider.tenant_id.startswith(value) else []
    if field == "companyname":
        return [row for row in customers if row.profile.name.lower().startswith(value)]
    if field == "domain":
        return [row for row in customers if (row.profile.domain or "").lower().startswith(value)]
    raise Refusal(800002, f"The filter does not know the field {wanted.field}.")


def _size(call: Call) -> int:
    most = call.world.scenario.rules.customers_page_size
    text = call.query("size") or "0"
    if not text.isdecimal():
        raise Refusal(800002, "size must be a number.")
    return min(int(text) or most, most)


def _start(call: Call, found: list[CustomerRecord]) -> int:
    token = call.headers.get("MS-ContinuationToken")
    if not token:
        return 0
    if (call.query("seekOperation") or "next").lower() != "next":
        raise Refusal(800002, "seekOperation must be next.")
    try:
        last = base64.urlsafe_b64decode(token).decode().removeprefix("after:")
        return [row.id for row in found].index(last) + 1
    except ValueError:
        raise Refusal(2000, "The continuation token is not valid any more.") from None


@operations.add(
    "GET",
    "/v1/customers/{customer_id}",
    auth="either",
    page="get-a-customer-by-id (7/31/2023)",
    limit="resources",
)
def get_customer(call: Call) -> Answer:
    """One customer in full."""
    customer = call.customer()
    profile = customer.profile
    derived = uuid.UUID(customer.id)
    country = profile.country or ""
    return Answer(
        _item(customer)
        | {
            "commerceId": str(uuid.uuid5(derived, "commerce")),
            "companyProfile": _company(customer, address=True),
            "billingProfile": {
                "id": str(uuid.uuid5(derived, "billing")),
                "firstName": "Contact",
                "lastName": profile.name,
                "email": f"contact@{profile.domain}",
                "culture": f"{country.lower()}-{country}",
                "language": country.lower(),
                "companyName": profile.name,
                "defaultAddress": _address(customer) | {"firstName": "Contact", "lastName": profile.name},
                "links": {"self": link(f"/customers/{customer.id}/profiles/billing")},
                "attributes": {"etag": str(derived.int % 10**18), "objectType": "CustomerBillingProfile"},
            },
            "allowDelegatedAccess": True,
            "customDomains": [profile.domain],
        }
    )


@operations.add(
    "GET",
    "/v1/customers/{customer_id}/profiles/company",
    auth="user",
    page="get-a-customer-s-company-profile (07/28/2023)",
)
def get_company_profile(call: Call) -> Answer:
    """A customer's company."""
    return Answer(_company(call.customer(), address=True))


def _qualification(entry: Qualification) -> dict[str, Any]:
    created = stamp(entry.vetting_created_at) if entry.vetting_created_at else None
    # both spellings occur in the page's examples: a denied one has vettingCreatedDate
    name = "vettingCreatedDate" if entry.vetting_status == "Denied" else "vettingCreateDate"
    return present(
        qualification=entry.qualification,
        vettingStatus=entry.vetting_status,
        vettingReason=entry.vetting_reason,
        **{name: created},
    )


@operations.add(
    "GET",
    "/v1/customers/{customer_id}/qualifications",
    auth="either",
    page="get-customer-qualification-asynchronous (07/28/2023)",
)
def get_qualifications(call: Call) -> Answer:
    """A customer's qualifications, as a bare array."""
    return Answer([_qualification(entry) for entry in call.customer().qualifications])


class QualificationRequest(BaseModel):
    """A qualification to ask for."""

    model_config = ConfigDict(extra="ignore")
    qualification: Literal["Education", "GovernmentCommunityCloud", "StateOwnedEntity"]
    education_segment: Literal["K12", "HigherEducation"] | None = Field(
        default=None, alias="educationSegment"
    )
    website: str | None = None
    validation_code: str | None = Field(default=None, alias="validationCode")


@operations.add(
    "POST",
    "/v1/customers/{customer_id}/qualifications",
    auth="user",
    page="update-customer-qualification-asynchronous (06/28/2022)",
    body=QualificationRequest,
    answers=201,
)
def create_qualification(call: Call) -> Answer:
    """Asks for one: education is vetted, government needs its code, a state-owned entity is believed."""
    customer, wanted = call.customer(), call.model(QualificationRequest)
    if wanted.qualification == "Education" and wanted.education_segment is None:
        raise Refusal(800002, "educationSegment is missing.")
    if wanted.qualification == "GovernmentCommunityCloud" and not wanted.validation_code:
        raise Refusal(800002, "validationCode is missing.")
    status: dict[str, Literal["InReview", "Approved"] | None] = {
        "Education": "InReview",
        "GovernmentCommunityCloud": "Approved",
        "StateOwnedEntity": None,
    }
    vetting = status[wanted.qualification]
    entry = Qualification(
        qualification=wanted.qualification,
        vetting_status=vetting,
        vetting_created_at=call.now if vetting else None,
    )
    others = [old for old in customer.qualifications if old.qualification != wanted.qualification]
    customer.qualifications = [*others, entry]
    return Answer(_qualification(entry), 201)


OLD_NAMES = {
    "Education": "education",
    "Nonprofit": "nonprofit",
    "GovernmentCommunityCloud": "governmentCommunityCloud",
}


@operations.add(
    "GET",
    "/v1/customers/{customer_id}/qualification",
    auth="either",
    page="older documentation (12/07/2020)",
)
def get_qualification(call: Call) -> Answer:
    """The first version: one bare text."""
    held = [
        OLD_NAMES[entry.qualification]
        for entry in call.customer().qualifications
        if entry.qualification in OLD_NAMES and entry.vetting_status == "Approved"
    ]
    return Answer(held[0] if held else "none")


@operations.add(
    "PUT",
    "/v1/customers/{customer_id}/qualification",
    auth="user",
    page="older documentation (12/07/2020)",
    query=("code",),
)
def put_qualification(call: Call) -> Answer:
    """The first version: sets education, or a government cloud with its code."""
    customer, wanted = call.customer(), call.json()
    names = {old.lower(): new for new, old in OLD_NAMES.items() if new != "Nonprofit"}
    name = names.get(str(wanted).lower())
    if name is None or (name == "GovernmentCommunityCloud" and call.query("code") is None):
        raise Refusal(800002, "The qualification cannot be set.")
    entry = Qualification.model_validate({"qualification": name, "vetting_created_at": call.now})
    others = [old for old in customer.qualifications if old.qualification != name]
    customer.qualifications = [*others, entry]
    return Answer(OLD_NAMES[name])
