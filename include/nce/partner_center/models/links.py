"""Links, attributes and addresses: the parts that most resources carry."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from include.nce.partner_center.models.reading import Text, WireModel


class Link(WireModel):
    """Where a related resource is: `uri` is relative to `/v1`, sometimes with that prefix, sometimes without
    (customer-resources, 07/28/2023)."""

    uri: str | None = None
    method: str = "GET"
    headers: tuple[dict[str, Any], ...] = ()


Links = Annotated[dict[str, Link], Field(default_factory=dict)]
Details = Annotated[dict[str, Any], Field(default_factory=dict)]
"""An object whose fields Microsoft leaves open."""


class Attributes(WireModel):
    """`etag` is carried by legacy subscriptions, orders and billing profiles; NCE examples have none
    (subscription-resources, 06/26/2023)."""

    object_type: str | None = None
    etag: str | None = None


class Address(WireModel):
    """A postal address (customer-resources, 07/28/2023)."""

    country: str | None = None
    region: str | None = None
    city: str | None = None
    state: str | None = None
    address_line1: str | None = None
    address_line2: str | None = None
    postal_code: Text | None = None
    first_name: str | None = None
    last_name: str | None = None
    phone_number: Text | None = None


class Contact(WireModel):
    """A person (get-confirmation-of-customer-agreement, 07/28/2023)."""

    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone_number: Text | None = None
