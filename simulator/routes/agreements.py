"""Agreements: is the MPA signed, which agreements are there, who accepted the MCA."""

from __future__ import annotations

import uuid
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from simulator.errors import AGREEMENT_HELP, ExtendedRefusal, Refusal
from simulator.exchange import Answer, Call, Operations
from simulator.records import Agreement, PartnerRecord
from simulator.wire import WireMoment, collection, present
from simulator.world import CLOUD_AGREEMENT_TEMPLATE, MCA_TEMPLATE

operations = Operations()

MCA, CLOUD = "MicrosoftCustomerAgreement", "MicrosoftCloudAgreement"
TEMPLATES = {
    MCA: (MCA_TEMPLATE, "https://aka.ms/customeragreement"),
    CLOUD: (CLOUD_AGREEMENT_TEMPLATE, "https://aka.ms/cloudagreement"),
}
ENROL_HELP = "https://partner.microsoft.com/resources/detail/migrate-pmc-pc-mpa-guide-pptx"


@operations.add(
    "GET",
    "/v1/compliance/csp/agreementstatus",
    auth="user",
    page="verify-indirect-reseller-mpa-status (06/29/2022)",
    query=("mpnId", "tenantId"),
)
def get_agreement_status(call: Call) -> Answer:
    """Whether a reseller signed the Microsoft Partner Agreement: true, or a refusal with the reason."""
    mpn_id, tenant_id = call.query("mpnId"), call.query("tenantId")
    if mpn_id and tenant_id:
        raise Refusal(2000, "Both MPN Id and Tenant Id should not be passed.", source="ComplianceController")
    if not mpn_id and not tenant_id:
        raise _neither()
    if mpn_id:
        if not mpn_id.isdecimal():
            raise Refusal(2000, "MPN Id must be numeric.", source="PartnerApiServiceControllers")
        return _status(call, call.world.partner_with_mpn(mpn_id), mpn_id, unknown=2200, unsigned=2203)
    try:
        tenant = str(uuid.UUID(tenant_id))
    except ValueError:
        raise Refusal(2000, "Tenant Id must be a GUID.", source="PartnerApiServiceControllers") from None
    partner = next((row for row in call.world.partners if row.profile.tenant_id == tenant), None)
    return _status(call, partner, tenant, unknown=2205, unsigned=2206)


def _neither() -> Refusal:
    refusal = Refusal(2001, source="ComplianceController")
    refusal.body["description"] = "Both MPN Id and Tenant Id cannot be empty."
    return refusal


def _status(call: Call, partner: PartnerRecord | None, asked: str, *, unknown: int, unsigned: int) -> Answer:
    if partner is None:
        raise Refusal(unknown, asked, data=[ENROL_HELP])
    profile = partner.profile
    cannot_tell = profile.mpa_unknown
    if cannot_tell and (profile.mpa_unknown_until is None or call.now < profile.mpa_unknown_until):
        if cannot_tell is True or 500 <= cannot_tell <= 599:
            status = 503 if cannot_tell is True else cannot_tell
            raise Refusal(800003, source="PartnerApiServiceControllers", status=status)
        raise Refusal(cannot_tell, asked, data=[AGREEMENT_HELP])
    if profile.mpa_signed_at is None or profile.mpa_signed_at > call.now:
        raise Refusal(unsigned, asked, data=[AGREEMENT_HELP])
    return Answer({"isAgreementSigned": True})


@operations.add(
    "GET",
    "/v1/agreements",
    auth="user",
    page="get-customer-agreement-metadata (07/28/2023)",
    query=("agreementType",),
)
def get_agreement_metadata(call: Call) -> Answer:
    """The templates of agreements; without a type those of the old cloud agreement."""
    wanted = call.query("agreementType") or CLOUD
    if wanted != "*" and wanted not in TEMPLATES:
        raise Refusal(800002, f"The agreement type {wanted} is not known.")
    return Answer(
        collection(
            [
                {"templateId": template, "agreementType": kind, "agreementLink": link, "versionRank": 0}
                for kind, (template, link) in TEMPLATES.items()
                if wanted in ("*", kind)
            ]
        )
    )


@operations.add(
    "GET",
    "/v1/customers/{customer_id}/agreements",
    auth="user",
    page="get-confirmation-of-customer-agreement (07/28/2023)",
    query=("agreementType",),
)
def get_customer_agreements(call: Call) -> Answer:
    """The partner's confirmations; without a type those of the old cloud agreement."""
    wanted = call.query("agreementType") or CLOUD
    kinds = TEMPLATES if wanted == "*" else (wanted,)
    confirmed = [item for kind in kinds for item in call.customer().confirmed(call.now, kind)]
    return Answer(_without_attributes([_rendered(item) for item in confirmed]))


def _without_attributes(items: list[Any]) -> dict[str, Any]:
    return {"totalCount": len(items), "items": items}


def _rendered(agreement: Agreement) -> dict[str, Any]:
    return {
        "primaryContact": present(
            firstName=agreement.first_name,
            lastName=agreement.last_name,
            email=agreement.email,
            phoneNumber=agreement.phone_number,
        ),
        "templateId": agreement.template_id,
        "dateAgreed": agreement.agreed_at.strftime("%Y-%m-%dT%H:%M:%S"),
        "type": agreement.type,
        "agreementLink": TEMPLATES[agreement.type][1],
    }


class PrimaryContact(BaseModel):
    """The person at the customer who accepted."""

    model_config = ConfigDict(extra="ignore")
    first_name: str = Field(alias="firstName", min_length=1)
    last_name: str = Field(alias="lastName", min_length=1)
    email: str = Field(min_length=3)
    phone_number: str | None = Field(default=None, alias="phoneNumber")


class AgreementRequest(BaseModel):
    """The partner's confirmation that a customer accepted an agreement."""

    model_config = ConfigDict(extra="ignore")
    contact: PrimaryContact = Field(alias="primaryContact")
    template_id: str = Field(alias="templateId")
    agreed_at: WireMoment = Field(alias="dateAgreed")
    type: str


@operations.add(
    "POST",
    "/v1/customers/{customer_id}/agreements",
    auth="user",
    page="confirm-customer-consent-customer-agreement (07/28/2023)",
    body=AgreementRequest,
    answers=201,
)
def confirm_customer_agreement(call: Call) -> Answer:
    """Records the partner's confirmation."""
    customer, wanted = call.customer(), call.model(AgreementRequest)
    if wanted.type not in TEMPLATES or TEMPLATES[wanted.type][0] != wanted.template_id.lower():
        raise Refusal(800002, "Template and type of the agreement do not belong together.")
    if wanted.agreed_at > call.now:
        raise Refusal(800002, "dateAgreed lies in the future.")
    agreement = Agreement(
        template_id=wanted.template_id.lower(),
        type=wanted.type,
        first_name=wanted.contact.first_name,
        last_name=wanted.contact.last_name,
        email=wanted.contact.email,
        phone_number=wanted.contact.phone_number,
        agreed_at=wanted.agreed_at,
    )

    def person(item: Agreement) -> tuple[str, str, str, str]:
        return item.type, item.first_name, item.last_name, item.email.lower()

    if person(agreement) in {person(item) for item in customer.agreements}:
        raise ExtendedRefusal
    customer.agreements = [*customer.agreements, agreement]
    return Answer(_rendered(agreement), 201)


@operations.add(
    "GET",
    "/v1/customers/{customer_id}/directSignedMicrosoftCustomerAgreementStatus",
    auth="user",
    page="get-direct-sign-status-of-customer-agreement (07/28/2023)",
)
def get_direct_signed_status(call: Call) -> Answer:
    """Whether the customer accepted the Microsoft Customer Agreement by itself."""
    return Answer({"isSigned": call.customer().signed(call.now)})
