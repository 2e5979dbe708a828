"""What has to be true of Partner Center and the ledger when the story has ended, however it was played."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.e2e.stage import World
from tests.e2e.story import CUSTOMERS, LEGACY, NAMES, RENEWED, SUCCESSORS

ASKS_ONLY = {
    "get_token",
    "get_token_v2",
    "validate_migration",
    "validate_resellers",
    "verify_promotion_eligibility",
}
"""What is sent with POST and changes nothing."""
OF_A_RENEWAL = {"starts_at", "ends_at", "version", "etag"}
_CUSTOMER_NAMES = {tenant: key for key, tenant in CUSTOMERS.items()}


def writes(requests: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Requests that ask for a change, whatever the answer was."""
    return [each for each in requests if each["method"] != "GET" and each["operation"] not in ASKS_ONLY]


def accepted(requests: Iterable[Mapping[str, Any]], operation: str) -> Counter[str]:
    """How many different requests of an operation Partner Center acted on, by customer.

    The same request id sent again is the same request: it gets the first answer again.
    """
    found = {
        (customer_of(each), each["request_id"])
        for each in requests
        if each["operation"] == operation and each["status"] is not None and each["status"] < 300
    }
    return Counter(customer for customer, _ in found)


def customer_of(request: Mapping[str, Any]) -> str:
    """The key of the customer a request is about; empty when it is about none."""
    words = str(request["path"]).lower().split("/")
    return next((_CUSTOMER_NAMES[word] for word in words if word in _CUSTOMER_NAMES), "")


def bought(before: World, after: World) -> dict[str, list[Mapping[str, Any]]]:
    """NCE subscriptions that came into being, by the name of the legacy one they were bought for.

    Partner Center tells it for a migration; an order is told apart by customer and product.
    """
    ordered = {
        (name.split("/")[0], successor.product_and_sku): name
        for name, successor in SUCCESSORS.items()
        if successor.route == "purchase"
    }
    found: dict[str, list[Mapping[str, Any]]] = {}
    for fresh in (
        after.subscriptions[key] for key in after.subscriptions.keys() - before.subscriptions.keys()
    ):
        of = (_CUSTOMER_NAMES[fresh["customer"].lower()], _product_and_sku(fresh))
        legacy = NAMES.get(str(fresh["migrated_from"]).lower()) or ordered.get(of, f"nobody: {of}")
        found.setdefault(legacy, []).append(fresh)
    return found


def assert_bought_exactly(before: World, after: World) -> None:
    """Each legacy subscription of the list has its one successor, as the list says; there is no other."""
    found = {
        name: [(_product_and_sku(each), each["seats"], each["status"]) for each in fresh]
        for name, fresh in bought(before, after).items()
    }
    assert found == {
        name: [(successor.product_and_sku, successor.seats, "active")]
        for name, successor in SUCCESSORS.items()
    }
    linked = {name for name, fresh in bought(before, after).items() if fresh[0]["migrated_from"]}
    assert linked == {name for name, successor in SUCCESSORS.items() if successor.route == "migrate"}


def assert_suspended_exactly(after: World) -> None:
    """Microsoft suspended what was migrated, we what was bought; everything else is as active as before."""
    by = {"migrate": "microsoft", "purchase": "caller"}
    found = {
        name: after.subscriptions[key]["suspended_by"]
        for name, key in LEGACY.items()
        if after.subscriptions[key]["status"] != "active"
    }
    assert found == {name: by[successor.route] for name, successor in SUCCESSORS.items()}


def assert_nothing_else_touched(before: World, after: World) -> None:
    """What was not to be converted is, field by field, what it was; so are partners and customers."""
    changed = {
        name: {field for field in was if was[field] != after.subscriptions[key][field]}
        for name, key in LEGACY.items()
        if name not in SUCCESSORS and (was := before.subscriptions[key]) != after.subscriptions[key]
    }
    assert changed.pop(RENEWED) <= OF_A_RENEWAL
    assert changed == {}
    assert after.people == before.people


def nce_of(status: Mapping[str, Any]) -> dict[str, str]:
    """The successors that the ledger knows, by the name of the legacy subscription."""
    return {
        NAMES[line["subscription"]]: line["nce_subscription"].lower()
        for partner in status["partners"]
        for line in partner["subscriptions"]
        if line["nce_subscription"]
    }


def classes_of(status: Mapping[str, Any]) -> dict[str, str]:
    """The ledger's class of each subscription."""
    return {
        NAMES[line["subscription"]]: line["class"]
        for partner in status["partners"]
        for line in partner["subscriptions"]
    }


def ids(successors: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, str]:
    """Name of the legacy subscription -> id of its one successor."""
    return {name: fresh[0]["id"].lower() for name, fresh in successors.items()}


def _product_and_sku(subscription: Mapping[str, Any]) -> str:
    return ":".join(subscription["offer_id"].split(":")[:2])
