"""What a customer holds, in our own words, and whether it is legacy or New Commerce.

The wire form belongs to the client; what becomes of a subscription to `classification`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from pydantic import BaseModel, ConfigDict, Field

from include.nce.domain.errors import InputRefused

_GUID = re.compile(r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")


def lower_guid(value: str) -> str:
    """Microsoft writes GUIDs in both cases; we compare and store them in lower case."""
    return value.strip().lower()


def refuse_no_id(word: str, value: str) -> None:
    """Raises `InputRefused` for what is not a GUID; `word` says what it was typed in as."""
    if not is_guid(value):
        raise InputRefused([f"{word}: '{value}' is no id; it looks like 8-4-4-4-12 hexadecimal digits."])


def is_guid(value: str) -> bool:
    return bool(_GUID.match(value.strip()))


class Segment(str, Enum):
    """Whom an offer is made for. A legacy subscription does not carry it: the campaign's offer table does."""

    COMMERCIAL = "commercial"
    EDUCATION = "education"
    GOVERNMENT = "government"
    NONPROFIT = "nonprofit"


class SubscriptionKind(str, Enum):
    LEGACY = "legacy"
    NCE = "nce"
    AZURE = "azure"
    SOFTWARE = "software"


def kind_of(offer_id: str, product_type: str | None) -> SubscriptionKind:
    """Decided by the shape of the offer id; legacy subscriptions often carry no product type at all."""
    if is_guid(offer_id):
        return SubscriptionKind.LEGACY
    if ":" in offer_id:
        nce = (product_type or "").lower() == "onlineservicesnce"
        return SubscriptionKind.NCE if nce else SubscriptionKind.SOFTWARE
    return SubscriptionKind.AZURE


class CatalogueTarget(BaseModel):
    """The NCE item a legacy offer is bought as."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    product: str = Field(pattern=r"^[A-Z0-9]{12}$")
    """The 12 characters of the product in Partner Center's catalogue."""
    sku: str = Field(pattern=r"^[A-Z0-9]{4}$")
    """The 4 characters of the SKU."""
    term: str = Field(default="P1Y", pattern=r"^P(1M|1Y|3Y)$")
    """The term to buy, unless legacy's own or an override says otherwise."""
    billing: str = Field(default="monthly", pattern=r"^(monthly|annual|triennial)$")
    """The billing cycle to buy, unless legacy's own or an override says otherwise."""

    @property
    def product_and_sku(self) -> str:
        return f"{self.product}:{self.sku}"


class Status(str, Enum):
    """States a subscription can be in. A text Microsoft adds tomorrow reads as `OTHER`, never as an error."""

    ACTIVE = "active"
    PENDING = "pending"
    SUSPENDED = "suspended"
    EXPIRED = "expired"
    DELETED = "deleted"
    OTHER = "other"


@dataclass(frozen=True)
class Subscription:
    """One subscription of one customer. Ids are lower case, moments are UTC."""

    subscription_id: str
    customer_id: str
    offer_id: str
    offer_name: str
    kind: SubscriptionKind
    status: Status
    seats: int
    term_end_at: datetime | None = None
    created_at: datetime | None = None
    auto_renew: bool = False
    is_trial: bool = False
    term: str | None = None
    billing: str | None = None
    parent_id: str | None = None
    partner_mpn_id: str | None = None
    migrated_from_id: str | None = None
    cancellable_until_at: datetime | None = None
    order_id: str | None = None
    suspension_reasons: tuple[str, ...] = field(default_factory=tuple)

    @property
    def is_legacy(self) -> bool:
        return self.kind is SubscriptionKind.LEGACY

    @property
    def product_and_sku(self) -> str | None:
        """`product:sku` of an NCE subscription, whose offer id is `product:sku:availability`."""
        if self.kind is not SubscriptionKind.NCE:
            return None
        return ":".join(self.offer_id.upper().split(":")[:2])


@dataclass(frozen=True)
class Customer:
    """An end customer: its tenant and its name. Nothing else about it is needed here."""

    customer_id: str
    name: str
    country: str | None = None
