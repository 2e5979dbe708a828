"""Subscriptions: reading them, and changing one by sending the whole resource back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from include.nce.partner_center.auth import TokenKind
from include.nce.partner_center.models.reading import Collection
from include.nce.partner_center.models.subscriptions import (
    CustomTermEndDate,
    Subscription,
    SubscriptionProvisioningStatus,
    SubscriptionStatus,
)
from include.nce.partner_center.transport import Answer, Call, Leave, Transport


@dataclass(frozen=True)
class Change:
    """What a PATCH brought: done at once, or accepted (HTTP 202) and to be looked up at `location` or by
    reading the subscription again. `subscription` is what the answer showed, if it did."""

    done: bool
    answer: Answer
    subscription: Subscription | None = None
    location: str | None = None


class Subscriptions:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def of_customer(self, customer_id: str) -> Collection[Subscription]:
        """All of a customer's subscriptions, add-ons in the same flat list; no paging is documented
        (get-all-of-a-customer-s-subscriptions, 06/13/2022)."""
        return await self._list(customer_id, {})

    async def of_partner_of_record(self, customer_id: str, mpn_id: str) -> Collection[Subscription]:
        """Only those with this reseller as partner of record (get-all-subscriptions-by-partner,
        06/13/2022)."""
        return await self._list(customer_id, {"mpn_id": mpn_id})

    async def of_order(self, customer_id: str, order_id: str) -> Collection[Subscription]:
        """Those an order made; while it is provisioned the list may be short
        (get-a-list-of-subscriptions-by-order, 06/28/2022)."""
        return await self._list(customer_id, {"order_id": order_id})

    async def _list(self, customer_id: str, query: Mapping[str, str]) -> Collection[Subscription]:
        call = Call(
            "list subscriptions",
            "GET",
            f"/v1/customers/{customer_id}/subscriptions",
            query=query,
            customer_id=customer_id,
        )
        return (await self._transport.send(call)).many(Subscription)

    async def get(self, customer_id: str, subscription_id: str) -> Subscription:
        """get-a-subscription-by-id (05/09/2023); raises `NotFound`."""
        call = Call("read subscription", "GET", _path(customer_id, subscription_id), customer_id=customer_id)
        return (await self._transport.send(call)).one(Subscription)

    async def add_ons(self, customer_id: str, subscription_id: str) -> Collection[Subscription]:
        """get-a-list-of-add-ons-for-a-subscription (06/28/2022)."""
        call = Call(
            "list add-ons",
            "GET",
            f"{_path(customer_id, subscription_id)}/addons",
            customer_id=customer_id,
        )
        return (await self._transport.send(call)).many(Subscription)

    async def provisioning_status(
        self, customer_id: str, subscription_id: str
    ) -> SubscriptionProvisioningStatus:
        """get-subscription-provisioning-status (11/29/2022)."""
        call = Call(
            "read subscription provisioning",
            "GET",
            f"{_path(customer_id, subscription_id)}/provisioningstatus",
            token=TokenKind.APP_AND_USER,
            customer_id=customer_id,
        )
        return (await self._transport.send(call)).one(SubscriptionProvisioningStatus)

    async def custom_term_end_dates(self, customer_id: str, *, term: str) -> Collection[CustomTermEndDate]:
        """Dates on which a term such as `P1M` may end (custom-term-end-dates, 07/18/2023)."""
        call = Call(
            "list custom term end dates",
            "GET",
            f"/v1/customers/{customer_id}/subscriptions/customTermEndDates",
            query={"term_duration": term},
            customer_id=customer_id,
        )
        return (await self._transport.send(call)).many(CustomTermEndDate)

    async def suspend(
        self, customer_id: str, subscription: Subscription, *, request_id: str, leave: Leave | None = None
    ) -> Change:
        """Legacy: access ends and billing stops, and can be taken back until the term end. NCE: billing
        goes on (suspend-a-subscription, 06/13/2022)."""
        return await self._set_status(
            "suspend subscription", customer_id, subscription, SubscriptionStatus.SUSPENDED, request_id, leave
        )

    async def reactivate(
        self, customer_id: str, subscription: Subscription, *, request_id: str, leave: Leave | None = None
    ) -> Change:
        """Only before the term end (reactivate-a-suspended-a-subscription, 06/13/2022)."""
        return await self._set_status(
            "reactivate subscription", customer_id, subscription, SubscriptionStatus.ACTIVE, request_id, leave
        )

    async def cancel(
        self, customer_id: str, subscription: Subscription, *, request_id: str, leave: Leave | None = None
    ) -> Change:
        """Ends an NCE subscription for good, only while `cancellation_allowed_until_date` lies ahead; later
        it is `ChangeRefused` with 900117 (cancel-an-azure-marketplace-subscription, 06/30/2022)."""
        return await self._set_status(
            "cancel subscription", customer_id, subscription, SubscriptionStatus.DELETED, request_id, leave
        )

    async def _set_status(
        self,
        operation: str,
        customer_id: str,
        subscription: Subscription,
        status: SubscriptionStatus,
        request_id: str,
        leave: Leave | None,
    ) -> Change:
        return await self.change(
            customer_id, subscription, {"status": status.value}, request_id=request_id, operation=operation,
            leave=leave,
        )  # fmt: skip

    async def change(
        self,
        customer_id: str,
        subscription: Subscription,
        changes: Mapping[str, Any],
        *,
        request_id: str,
        operation: str = "change subscription",
        leave: Leave | None = None,
    ) -> Change:
        """Send the subscription back with `changes` (documented wire names) put into it.

        The whole resource as it was read goes back: a missing `autoRenewEnabled` would switch renewal off,
        and missing next-term instructions would be deleted (update-a-subscription-by-id, 06/13/2022). With an
        ETag it is refused as `StaleVersion` if somebody else changed it meanwhile; NCE has none.
        """
        call = Call(
            operation,
            "PATCH",
            _path(customer_id, subscription.id),
            body=_changed(subscription.raw, changes),
            headers={"If-Match": _quoted(subscription.etag)} if subscription.etag else {},
            writes=True,
            request_id=request_id,
            leave=leave,
            customer_id=customer_id,
        )
        answer = await self._transport.send(call)
        shown = answer.one(Subscription) if isinstance(answer.payload, dict) else None
        return Change(answer.status != 202, answer, shown, answer.headers.get("location") or None)


def _path(customer_id: str, subscription_id: str) -> str:
    return f"/v1/customers/{customer_id}/subscriptions/{subscription_id}"


def _changed(resource: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Under the key the resource itself uses: Partner Center writes `status` and `Status`."""
    keys = {key.lower(): key for key in resource}
    return {**resource, **{keys.get(name.lower(), name): value for name, value in changes.items()}}


def _quoted(etag: str) -> str:
    return etag if etag.startswith('"') else f'"{etag}"'
