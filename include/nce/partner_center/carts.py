"""Carts: fill one, and turn it into orders."""

from __future__ import annotations

from include.nce.partner_center.models.carts import Cart, CartCheckoutResult, CartRequest
from include.nce.partner_center.transport import Call, Leave, Transport, Written


class Carts:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create(self, customer_id: str, request: CartRequest, *, request_id: str) -> Written[Cart]:
        """A new cart, which buys nothing yet and lives seven days. A line that cannot be bought carries an
        `error` in a success answer (create-a-cart, 12/09/2022)."""
        call = Call(
            "create cart",
            "POST",
            f"/v1/customers/{customer_id}/carts",
            body=request.body(),
            writes=True,
            request_id=request_id,
            customer_id=customer_id,
        )
        return (await self._transport.send(call)).written(Cart)

    async def replace(
        self, customer_id: str, cart_id: str, request: CartRequest, *, request_id: str
    ) -> Written[Cart]:
        """Put these lines in place of the cart's (update-a-cart, 12/09/2022)."""
        call = Call(
            "update cart",
            "PUT",
            f"/v1/customers/{customer_id}/carts/{cart_id}",
            body={"id": cart_id, **request.body()},
            writes=True,
            request_id=request_id,
            customer_id=customer_id,
        )
        return (await self._transport.send(call)).written(Cart)

    async def get(self, customer_id: str, cart_id: str) -> Cart:
        """`Ordered` once it was checked out; `NotFound` with 800008 when it ran out (cart-resources,
        08/23/2023)."""
        call = Call(
            "read cart", "GET", f"/v1/customers/{customer_id}/carts/{cart_id}", customer_id=customer_id
        )
        return (await self._transport.send(call)).one(Cart)

    async def check_out(
        self, customer_id: str, cart_id: str, *, request_id: str, leave: Leave | None = None
    ) -> Written[CartCheckoutResult]:
        """Buy what is in the cart. Costs money; sent once. Microsoft documents that checking out the same
        cart again gives the same orders, so an unknown outcome may be asked again **for this cart only**
        (checkout-a-cart, 12/10/2022). Read `orders` and `order_errors`: a success can carry both."""
        call = Call(
            "check out cart",
            "POST",
            f"/v1/customers/{customer_id}/carts/{cart_id}/checkout",
            writes=True,
            request_id=request_id,
            leave=leave,
            customer_id=customer_id,
        )
        return (await self._transport.send(call)).written(CartCheckoutResult)
