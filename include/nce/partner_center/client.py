"""Partner Center in one object: a connection, a token source, and the resources.

    async with PartnerCenterClient(PartnerCenterConnection.from_airflow(connection)) as partner_center:
        links = await partner_center.relationships.indirect_resellers()

Responsible for composing and for closing what it opened. What the answers mean for a conversion is said by
`gateway`.
"""

from __future__ import annotations

from types import TracebackType

from include.nce.partner_center.agreements import Agreements
from include.nce.partner_center.audit import AuditRecords
from include.nce.partner_center.auth import TokenSource
from include.nce.partner_center.carts import Carts
from include.nce.partner_center.catalogue import Catalogue
from include.nce.partner_center.connection import PartnerCenterConnection
from include.nce.partner_center.customers import Customers
from include.nce.partner_center.migrations import Migrations
from include.nce.partner_center.orders import Orders
from include.nce.partner_center.profiles import Profiles
from include.nce.partner_center.promotions import Promotions
from include.nce.partner_center.relationships import Relationships
from include.nce.partner_center.subscriptions import Subscriptions
from include.nce.partner_center.transport import Budget, Transport


class PartnerCenterClient:
    """Used inside `async with`, by one event loop. `tokens` may be shared with other clients of that loop."""

    def __init__(
        self,
        connection: PartnerCenterConnection,
        *,
        tokens: TokenSource | None = None,
        budget: Budget | None = None,
        transport: Transport | None = None,
    ) -> None:
        self._transport = transport or Transport(connection, tokens or TokenSource(connection), budget=budget)
        self.agreements = Agreements(self._transport)
        self.audit = AuditRecords(self._transport)
        self.carts = Carts(self._transport)
        self.catalogue = Catalogue(self._transport)
        self.customers = Customers(self._transport)
        self.migrations = Migrations(self._transport)
        self.orders = Orders(self._transport)
        self.profiles = Profiles(self._transport)
        self.promotions = Promotions(self._transport)
        self.relationships = Relationships(self._transport)
        self.subscriptions = Subscriptions(self._transport)

    async def __aenter__(self) -> PartnerCenterClient:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.__aexit__(kind, error, trace)
