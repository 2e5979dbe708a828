"""Orders: create, read, and how far their provisioning is."""

from __future__ import annotations

from include.nce.partner_center.auth import TokenKind
from include.nce.partner_center.models.orders import Order, OrderLineProvisioning, OrderRequest
from include.nce.partner_center.models.reading import Collection
from include.nce.partner_center.transport import Call, Transport, Written


class Orders:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create(self, customer_id: str, request: OrderRequest, *, request_id: str) -> Written[Order]:
        """Buy without a cart. Costs money; sent once, and unlike a checkout there is no id to ask with again
        (create-an-order-for-a-customer-of-an-indirect-reseller, 08/23/2023)."""
        call = Call(
            "create order",
            "POST",
            f"/v1/customers/{customer_id}/orders",
            token=TokenKind.APP_AND_USER,
            body=request.body(),
            writes=True,
            request_id=request_id,
            customer_id=customer_id,
        )
        return (await self._transport.send(call)).written(Order)

    async def of_customer(self, customer_id: str) -> Collection[Order]:
        """All orders, about 15 minutes late (get-all-of-a-customer-s-orders, 06/28/2022)."""
        call = Call("list orders", "GET", f"/v1/customers/{customer_id}/orders", customer_id=customer_id)
        return (await self._transport.send(call)).many(Order)

    async def get(self, customer_id: str, order_id: str) -> Order:
        """get-an-order-by-id (06/13/2022); raises `NotFound`."""
        call = Call(
            "read order", "GET", f"/v1/customers/{customer_id}/orders/{order_id}", customer_id=customer_id
        )
        return (await self._transport.send(call)).one(Order)

    async def provisioning_status(self, customer_id: str, order_id: str) -> Collection[OrderLineProvisioning]:
        """get-order-provisioning-status (01/03/2023)."""
        call = Call(
            "read order provisioning",
            "GET",
            f"/v1/customers/{customer_id}/orders/{order_id}/provisioningstatus",
            token=TokenKind.APP_AND_USER,
            customer_id=customer_id,
        )
        return (await self._transport.send(call)).many(OrderLineProvisioning)
