"""Customers: lists, single ones, and their qualifications."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from include.nce.partner_center.auth import TokenKind
from include.nce.partner_center.models.customers import (
    CompanyProfile,
    Customer,
    CustomerFilter,
    Qualification,
    QualificationRequest,
)
from include.nce.partner_center.models.reading import Collection
from include.nce.partner_center.paging import by_seeking
from include.nce.partner_center.transport import Call, Transport, Written

PAGE_SIZE = 500
"""As Microsoft's bulk migration tool asks for."""


class Customers:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def pages(self) -> AsyncIterator[Collection[Customer]]:
        """All customers of the provider (get-a-list-of-customers, 07/28/2023)."""
        call = Call("list customers", "GET", "/v1/customers", query={"size": PAGE_SIZE})
        return by_seeking(self._transport, call, Customer)

    def pages_of_reseller(self, reseller_tenant_id: str) -> AsyncIterator[Collection[Customer]]:
        """The customers of one reseller, by its tenant, not its PartnerID
        (get-customers-of-an-indirect-reseller, 07/28/2023)."""
        return self._search(CustomerFilter(field="IndirectReseller", value=reseller_tenant_id))

    def pages_by_domain(self, starts_with: str) -> AsyncIterator[Collection[Customer]]:
        """get-a-customer-by-name (07/28/2023)."""
        return self._search(CustomerFilter(field="Domain", value=starts_with))

    def _search(self, wanted: CustomerFilter) -> AsyncIterator[Collection[Customer]]:
        call = Call(
            "search customers",
            "GET",
            "/v1/customers",
            token=TokenKind.APP_AND_USER,
            # The page asks for size=0 together with a filter.
            query={"size": 0, "filter": json.dumps(wanted.body(), separators=(",", ":"))},
        )
        return by_seeking(self._transport, call, Customer)

    async def get(self, customer_id: str) -> Customer:
        """get-a-customer-by-id (7/31/2023); raises `NotFound`, or `PersonDecides` without a relationship."""
        call = Call("read customer", "GET", f"/v1/customers/{customer_id}", customer_id=customer_id)
        return (await self._transport.send(call)).one(Customer)

    async def company_profile(self, customer_id: str) -> CompanyProfile:
        """get-a-customer-s-company-profile (07/28/2023)."""
        call = Call(
            "read company profile",
            "GET",
            f"/v1/customers/{customer_id}/profiles/company",
            token=TokenKind.APP_AND_USER,
            customer_id=customer_id,
        )
        return (await self._transport.send(call)).one(CompanyProfile)

    async def qualifications(self, customer_id: str) -> Collection[Qualification]:
        """A customer can have several (get-customer-qualification-asynchronous, 07/28/2023)."""
        call = Call(
            "read qualifications",
            "GET",
            f"/v1/customers/{customer_id}/qualifications",
            customer_id=customer_id,
        )
        return (await self._transport.send(call)).many(Qualification)

    async def request_qualification(
        self, customer_id: str, qualification: QualificationRequest, *, request_id: str
    ) -> Written[Qualification]:
        """Vetting goes on after the answer (update-customer-qualification-asynchronous, 06/28/2022)."""
        call = Call(
            "request qualification",
            "POST",
            f"/v1/customers/{customer_id}/qualifications",
            token=TokenKind.APP_AND_USER,
            body=qualification.body(),
            writes=True,
            request_id=request_id,
            customer_id=customer_id,
        )
        return (await self._transport.send(call)).written(Qualification)

    async def qualification_v1(self, customer_id: str) -> str:
        """The older call: one bare word such as `education` (get-customer-qualification-synchronous,
        12/07/2020); its retirement was announced for February 2021."""
        call = Call(
            "read qualification (v1)",
            "GET",
            f"/v1/customers/{customer_id}/qualification",
            customer_id=customer_id,
        )
        answer = await self._transport.send(call)
        if not isinstance(answer.payload, str):
            raise answer.unreadable("it is no text")
        return answer.payload

    async def set_qualification_v1(
        self, customer_id: str, qualification: str, *, request_id: str, validation_code: str | None = None
    ) -> Written[str]:
        """The older call; a validation code is needed for the government cloud only
        (update-customer-qualification-synchronous, 12/07/2020)."""
        call = Call(
            "set qualification (v1)",
            "PUT",
            f"/v1/customers/{customer_id}/qualification",
            token=TokenKind.APP_AND_USER,
            query={"code": validation_code} if validation_code else {},
            body=qualification,
            writes=True,
            request_id=request_id,
            customer_id=customer_id,
        )
        answer = await self._transport.send(call)
        return Written(answer.payload if isinstance(answer.payload, str) else qualification, answer)
