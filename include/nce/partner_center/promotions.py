"""Promotions: which there are, and whether a customer may have one."""

from __future__ import annotations

from collections.abc import Sequence

from include.nce.partner_center.models.promotions import (
    Promotion,
    PromotionEligibilities,
    PromotionEligibilityItem,
    PromotionEligibilityRequest,
)
from include.nce.partner_center.models.reading import Collection
from include.nce.partner_center.transport import Call, Transport


class Promotions:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def available(self, *, country: str, segment: str) -> Collection[Promotion]:
        """get-promotions (08/23/2023)."""
        call = Call(
            "list promotions",
            "GET",
            "/v1/productpromotions",
            query={"country": country, "segment": segment},
        )
        return (await self._transport.send(call)).many(Promotion)

    async def eligibilities(
        self, customer_id: str, items: Sequence[PromotionEligibilityItem]
    ) -> Collection[PromotionEligibilities]:
        """Which promotions these lines would get; changes nothing (verify-promotion-eligibility,
        11/17/2022)."""
        call = Call(
            "verify promotion eligibility",
            "POST",
            f"/v1/customers/{customer_id}/promotionEligibilities",
            body=PromotionEligibilityRequest(items=list(items)).body(),
            customer_id=customer_id,
        )
        return (await self._transport.send(call)).many(PromotionEligibilities)
