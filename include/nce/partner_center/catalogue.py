"""The catalogue, in general and as one customer may buy from it."""

from __future__ import annotations

from include.nce.partner_center.models.catalogue import Availability, Product, Sku
from include.nce.partner_center.models.reading import Collection
from include.nce.partner_center.transport import Call, Transport


class Catalogue:
    """For a whole market, named by `country` (an ISO code of two letters), or for one customer, whose own
    market counts (get-a-list-of-skus-for-a-product-by-customer, 08/23/2023)."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def products(
        self, *, country: str | None = None, segment: str | None = None, customer_id: str | None = None
    ) -> Collection[Product]:
        """Online services (get-a-list-of-products, 08/23/2023); segments commercial, education, government,
        nonprofit."""
        query = {**_market(country, customer_id), "targetView": "OnlineServices"}
        if segment is not None:
            query["targetSegment"] = segment
        call = Call(
            "list products",
            "GET",
            f"{_root(customer_id)}/products",
            query=query,
            customer_id=customer_id,
        )
        return (await self._transport.send(call)).many(Product)

    async def skus(
        self, product_id: str, *, country: str | None = None, customer_id: str | None = None
    ) -> Collection[Sku]:
        """get-a-list-of-skus-for-a-product (08/23/2023)."""
        call = Call(
            "list SKUs",
            "GET",
            f"{_root(customer_id)}/products/{product_id}/skus",
            query=_market(country, customer_id),
            customer_id=customer_id,
        )
        return (await self._transport.send(call)).many(Sku)

    async def availabilities(
        self, product_id: str, sku_id: str, *, country: str | None = None, customer_id: str | None = None
    ) -> Collection[Availability]:
        """What can be bought right now; ids are short-lived
        (get-a-list-of-availabilities-for-a-sku, 08/23/2023)."""
        call = Call(
            "list availabilities",
            "GET",
            f"{_root(customer_id)}/products/{product_id}/skus/{sku_id}/availabilities",
            query=_market(country, customer_id),
            customer_id=customer_id,
        )
        return (await self._transport.send(call)).many(Availability)


def _market(country: str | None, customer_id: str | None) -> dict[str, str]:
    if country is None and customer_id is None:
        raise ValueError("the catalogue is read for a country or for a customer")
    return {} if country is None else {"country": country}


def _root(customer_id: str | None) -> str:
    return f"/v1/customers/{customer_id}" if customer_id is not None else "/v1"
