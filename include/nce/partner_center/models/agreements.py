"""Agreements: the partner's MPA, agreement templates, and the customer's MCA in both ways of acceptance."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

from pydantic import Field

from include.nce.partner_center.models.links import Contact
from include.nce.partner_center.models.reading import (
    Guid,
    Moment,
    RequestModel,
    SentMoment,
    WireModel,
)

MICROSOFT_CUSTOMER_AGREEMENT = "MicrosoftCustomerAgreement"
"""Always named in a query: without it Partner Center answers about the older Cloud Agreement
(get-confirmation-of-customer-agreement, 07/28/2023)."""


class MpaSignature(str, Enum):
    """Three answers. Only `NOT_SIGNED` is an explicit negative about the signature
    (verify-indirect-reseller-mpa-status, 06/29/2022)."""

    SIGNED = "signed"
    NOT_SIGNED = "not_signed"
    CANNOT_TELL = "cannot_tell"


class AgreementStatus(WireModel):
    """`{"isAgreementSigned": true}` (verify-indirect-reseller-mpa-status, 06/29/2022)."""

    is_agreement_signed: bool


class AgreementMetadata(WireModel):
    """A template that can be confirmed (get-customer-agreement-metadata, 07/28/2023).

    `template_id` changes when Microsoft publishes a new text: read it, never keep it in code.
    """

    template_id: Guid
    agreement_type: str
    agreement_link: str | None = None
    version_rank: int | None = None


class Agreement(WireModel):
    """A partner's confirmation that a customer accepted (get-confirmation-of-customer-agreement,
    07/28/2023)."""

    template_id: Guid | None = None
    agreement_type: str | None = Field(default=None, alias="type")
    date_agreed: Moment = None
    primary_contact: Contact | None = None
    agreement_link: str | None = None
    user_id: Guid | None = None


class DirectSignStatus(WireModel):
    """Did the customer sign itself (get-direct-sign-status-of-customer-agreement, 07/28/2023)?"""

    is_signed: bool


class ContactForAgreement(RequestModel):
    """The person at the customer who accepted; the phone number is optional
    (confirm-customer-consent-customer-agreement, 07/28/2023)."""

    first_name: str
    last_name: str
    email: str
    phone_number: str | None = None


class AgreementConfirmation(RequestModel):
    """Body that attests an acceptance (confirm-customer-consent-customer-agreement, 07/28/2023).

    `date_agreed` may not lie in the future.
    """

    primary_contact: ContactForAgreement
    date_agreed: SentMoment
    template_id: str
    agreement_type: str = Field(default=MICROSOFT_CUSTOMER_AGREEMENT, alias="type")

    @classmethod
    def of(
        cls, contact: ContactForAgreement, *, agreed_at: datetime, template_id: str
    ) -> AgreementConfirmation:
        return cls(primary_contact=contact, date_agreed=agreed_at, template_id=template_id)
