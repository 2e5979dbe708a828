"""What payloads of one resource look like: which fields they have, of which JSON type, with which texts.

Responsible for gathering a shape and for naming its parts (`lineItems[].pricing.price`). Whether two shapes
may differ is said by the tests.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from tests.contract.folder import camel_case, plain

Place = tuple[str, str]
"""A resource and a field of it."""


class Shape:
    """Everything that was seen of any number of payloads."""

    def __init__(self) -> None:
        self.types: dict[Place, set[str]] = defaultdict(set)
        self.texts: dict[Place, set[str]] = defaultdict(set)

    def add(self, subject: str, payload: Any) -> None:
        """Takes in one payload: a resource, a list of them, or a wrapped list."""
        payload = camel_case(payload)
        for items in ("items", "transition"):
            if isinstance(payload, dict) and isinstance(payload.get(items), list):
                self._walk(f"{subject} (list)", "", {**payload, items: []})
                payload = payload[items]
        for item in payload if isinstance(payload, list) else [payload]:
            if subject == "CartCheckoutResult" and isinstance(item.get("orders"), list):
                self.add("Order", item["orders"])
                item = {**item, "orders": []}
            self._walk(kind_of(subject, item), "", item)

    def _walk(self, subject: str, place: str, value: Any) -> None:
        if value is None:
            return
        self.types[subject, place].add(type_of(value))
        if isinstance(value, str):
            self.texts[subject, place].add(value.strip())  # a page writes "Started "
        elif isinstance(value, dict):
            for name, part in value.items():
                self._walk(subject, f"{place}.{name}".lstrip("."), part)
        elif isinstance(value, list):
            for part in value:
                self._walk(subject, f"{place}[]", part)

    def missing_from(self, other: Shape) -> set[Place]:
        """Fields seen here and not there; never the parts of a missing field."""
        absent = {place for place in self.types if place not in other.types}
        return {
            (subject, place)
            for subject, place in absent
            if not place or (subject, parent_of(place)) not in absent
        }

    def of(self, subject: str) -> Shape:
        """The part that belongs to one resource."""
        part = Shape()
        for mine, own in ((self.types, part.types), (self.texts, part.texts)):
            own.update({place: seen for place, seen in mine.items() if place[0].split(" ")[0] == subject})
        return part

    def disagreements(self, other: Shape) -> Iterator[str]:
        """Fields of both that have another type, or a text of both that is spelt otherwise."""
        for place in sorted(self.types.keys() & other.types.keys()):
            name = " ".join(place)
            if self.types[place] - other.types[place]:
                yield f"{name}: {sorted(self.types[place])} here, {sorted(other.types[place])} there"
            spellings: dict[str, set[str]] = defaultdict(set)
            for text in other.texts.get(place, ()):
                spellings[plain(text)].add(text)
            for text in sorted(self.texts.get(place, ())):
                if text not in spellings.get(plain(text), {text}):
                    yield f"{name}: {text!r} here, {sorted(spellings[plain(text)])} there"


def type_of(value: Any) -> str:
    """The JSON type of a value."""
    if isinstance(value, bool):
        return "truth value"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "text"
    return "list" if isinstance(value, list) else "object"


def parent_of(place: str) -> str:
    """The field that a field belongs to."""
    return place[:-2] if place.endswith("[]") else place.rpartition(".")[0]


def kind_of(subject: str, item: Any) -> str:
    """The resource, and for a subscription which kind of it: they have different fields."""
    if subject != "Subscription" or not isinstance(item, dict):
        return subject
    offer = str(item.get("offerId") or "")
    if ":" in offer:
        return "Subscription (new commerce)"
    azure = item.get("billingType") == "usage" or offer.startswith("MS-AZR")
    return "Subscription (Azure)" if azure else "Subscription (legacy)"


def form_of(payload: Any) -> str:
    """What a payload is as a whole."""
    if isinstance(payload, dict):
        return "wrapped list" if isinstance(payload.get("items"), list) else "object"
    return "bare list" if isinstance(payload, list) else "bare text"
