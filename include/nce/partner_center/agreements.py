"""Agreements: the reseller's MPA, templates, and the customer's MCA (asked and attested)."""

from __future__ import annotations

from dataclasses import dataclass

from include.nce.partner_center.auth import TokenKind
from include.nce.partner_center.errors import PartnerCenterError
from include.nce.partner_center.models.agreements import (
    MICROSOFT_CUSTOMER_AGREEMENT,
    Agreement,
    AgreementConfirmation,
    AgreementMetadata,
    AgreementStatus,
    DirectSignStatus,
    MpaSignature,
)
from include.nce.partner_center.models.reading import Collection
from include.nce.partner_center.transport import Call, Transport, Written

NOT_SIGNED_CODES = frozenset({2203, 2206})
ABOUT_THE_RESELLER_CODES = frozenset({2000, 2001, 2200, 2201, 2204, 2205})
"""2200 no such PartnerID, 2201 other CSP region, 2204 no indirect reseller, 2205 no such tenant; 2000 and
2001 say that the question was not well put (verify-indirect-reseller-mpa-status, 06/29/2022)."""


@dataclass(frozen=True)
class MpaAnswer:
    """`code` and `description` are Microsoft's, where it gave them."""

    signature: MpaSignature
    code: int | None = None
    description: str = ""


class Agreements:
    """All of them need a service account (App+User); none exists in 21Vianet."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def mpa_status(self, *, tenant_id: str | None = None, mpn_id: str | None = None) -> MpaAnswer:
        """Has this reseller signed the Microsoft Partner Agreement? Give the tenant or the PartnerID, not
        both.

        "Not signed" is documented as HTTP 400 with 2203 or 2206, `false` is shown nowhere: both are read.
        What Microsoft says about the reseller itself is "cannot tell" with its code; faults of the call are
        raised (verify-indirect-reseller-mpa-status, 06/29/2022).
        """
        if (tenant_id is None) == (mpn_id is None):
            raise ValueError("the MPA status is asked by tenant or by PartnerID")
        query = {"tenantId": tenant_id} if tenant_id is not None else {"mpnId": mpn_id or ""}
        call = Call(
            "read MPA status",
            "GET",
            "/v1/compliance/csp/agreementstatus",
            token=TokenKind.APP_AND_USER,
            query=query,
        )
        try:
            status = (await self._transport.send(call)).one(AgreementStatus)
        except PartnerCenterError as error:
            if error.code in NOT_SIGNED_CODES:
                return MpaAnswer(MpaSignature.NOT_SIGNED, error.code, error.description)
            if error.status == 400 and error.code in ABOUT_THE_RESELLER_CODES:
                return MpaAnswer(MpaSignature.CANNOT_TELL, error.code, error.description)
            raise
        return MpaAnswer(MpaSignature.SIGNED if status.is_agreement_signed else MpaSignature.NOT_SIGNED)

    async def templates(
        self, agreement_type: str = MICROSOFT_CUSTOMER_AGREEMENT
    ) -> Collection[AgreementMetadata]:
        """Templates that can be confirmed; `*` for all types (get-customer-agreement-metadata,
        07/28/2023)."""
        call = Call(
            "read agreement templates",
            "GET",
            "/v1/agreements",
            token=TokenKind.APP_AND_USER,
            query={"agreementType": agreement_type},
        )
        return (await self._transport.send(call)).many(AgreementMetadata)

    async def confirmations(self, customer_id: str) -> Collection[Agreement]:
        """The partner's confirmations that the customer accepted the MCA; empty when there are none
        (get-confirmation-of-customer-agreement, 07/28/2023)."""
        call = Call(
            "read MCA confirmations",
            "GET",
            f"/v1/customers/{customer_id}/agreements",
            token=TokenKind.APP_AND_USER,
            query={"agreementType": MICROSOFT_CUSTOMER_AGREEMENT},
            customer_id=customer_id,
        )
        return (await self._transport.send(call)).many(Agreement)

    async def directly_signed(self, customer_id: str) -> bool:
        """Did the customer sign the MCA itself (get-direct-sign-status-of-customer-agreement, 07/28/2023)?"""
        call = Call(
            "read MCA direct sign status",
            "GET",
            f"/v1/customers/{customer_id}/directSignedMicrosoftCustomerAgreementStatus",
            token=TokenKind.APP_AND_USER,
            customer_id=customer_id,
        )
        return (await self._transport.send(call)).one(DirectSignStatus).is_signed

    async def confirm(
        self, customer_id: str, confirmation: AgreementConfirmation, *, request_id: str
    ) -> Written[Agreement]:
        """Attest that the customer accepted; only the provider may. The customer's contact gets a mail.

        Raises `AlreadyExists` when the same contact is on record
        (confirm-customer-consent-customer-agreement, 07/28/2023).
        """
        call = Call(
            "confirm MCA",
            "POST",
            f"/v1/customers/{customer_id}/agreements",
            token=TokenKind.APP_AND_USER,
            body=confirmation.body(),
            writes=True,
            request_id=request_id,
            customer_id=customer_id,
        )
        return (await self._transport.send(call)).written(Agreement)
