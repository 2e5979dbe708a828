"""Buying by the purchase route, in the domain's words: what is put into a cart, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from include.nce.domain.subscription import CatalogueTarget


@dataclass(frozen=True)
class PurchaseLine:
    """One line of a purchase: what to buy for which legacy subscription."""

    legacy_id: str
    target: CatalogueTarget
    seats: int


@dataclass(frozen=True)
class CartLineFault:
    """Why Partner Center would not take a cart line, or could not order it. `legacy_id` None: the whole
    cart."""

    legacy_id: str | None
    code: int | None
    description: str


@dataclass(frozen=True)
class Cart:
    cart_id: str
    faults: tuple[CartLineFault, ...] = ()
    ordered: bool = False


@dataclass(frozen=True)
class Purchase:
    """The answer to a checkout. `subscription_ids` maps legacy id to the NCE subscription, where known yet.

    `order_ids` maps legacy id to the order its line went into.
    """

    cart_id: str
    order_ids: Mapping[str, str]
    subscription_ids: Mapping[str, str]
    faults: tuple[CartLineFault, ...] = ()
