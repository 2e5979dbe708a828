"""Reading a scenario: YAML or JSON text becomes a complete story, or one sentence per fault with file, line
and field.

Responsible for places in the text, for defaults, ids derived from short keys, and references between the
parts. Leaves the form of each part to `scenario`.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from simulator.schema import (
    FAR_FUTURE,
    AcceptMca,
    BuyInPortal,
    ChangePartner,
    Customer,
    Defaults,
    Offer,
    Partner,
    Scenario,
    Subscription,
    SubscriptionEvent,
    add_term,
    derived_id,
)

Place = tuple[str | int, ...]
Fault = tuple[Place, str]
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
AZURE_BEGINS_AT = datetime(2016, 5, 10, tzinfo=timezone.utc)
DEFAULT_TAKES = timedelta(hours=2)


class ScenarioError(Exception):
    """A scenario that cannot be used; `sentences` holds one sentence per fault."""

    def __init__(self, sentences: list[str]) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = sentences


def load_scenario(path: Path) -> Scenario:
    """Reads a scenario file. Raises `ScenarioError` with one sentence per fault."""
    return parse_scenario(read_text(path), str(path))


def read_text(path: Path) -> str:
    """The text of a scenario file; raises `ScenarioError`."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "it is not UTF-8 text"
        raise ScenarioError([f"{path}: the scenario cannot be read: {reason}."]) from None


def parse_scenario(text: str, source: str = "scenario") -> Scenario:
    """Reads a scenario from YAML or JSON text; `source` is how sentences call it."""
    try:
        loader = LOADER(text)
        try:
            root = loader.get_single_node()
            data = loader.construct_document(root) if root is not None else None
        finally:
            loader.dispose()
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        where = f"{source}:{mark.line + 1}" if mark else source
        raise ScenarioError(
            [f"{where}: this is not YAML: {getattr(fault, 'problem', None) or 'unreadable'}."]
        ) from None
    if not isinstance(data, Mapping):
        raise ScenarioError(
            [f"{source}:1: a scenario is a mapping that starts with name, clock and provider."]
        )
    repeated = [f"{source}:{line}: {place} is written twice." for place, line in _repeated_keys(root, "")]
    if repeated:
        raise ScenarioError(repeated)
    try:
        scenario = Scenario.model_validate(data)
    except ValidationError as fault:
        raise ScenarioError([_sentence(source, root, *error) for error in _faults(fault)]) from None
    if faults := complete(scenario):
        raise ScenarioError([_sentence(source, root, *fault) for fault in faults])
    return scenario


def _faults(fault: ValidationError) -> Iterator[tuple[Place, str]]:
    for error in fault.errors():
        if error["type"] == "extra_forbidden":
            yield error["loc"], "this field is not known"
        else:
            yield error["loc"], re.sub(r"^Value error, ", "", error["msg"])


def _sentence(source: str, root: yaml.Node | None, place: Place, message: str) -> str:
    line, words = (root.start_mark.line + 1) if root else 1, ""
    node = root
    for step in place:
        child: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            pairs = [(key, value) for key, value in node.value if key.value == step]
            if pairs:
                line, child = pairs[0][0].start_mark.line + 1, pairs[0][1]
            elif step != place[-1]:
                continue  # the tag of a union: no place in the text
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            child = node.value[step]
            line = child.start_mark.line + 1
        elif node is not None:
            continue
        words += f"[{step}]" if isinstance(step, int) else f".{step}" if words else str(step)
        node = child
    return f"{source}:{line}: {words or 'the scenario'}: {message.rstrip('.')}."


def _repeated_keys(node: yaml.Node | None, place: str) -> Iterator[tuple[str, int]]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            here = f"{place}.{key.value}".lstrip(".")
            if key.value in seen and key.value != "<<":
                yield here, key.start_mark.line + 1
            seen.add(key.value)
            yield from _repeated_keys(value, here)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _repeated_keys(value, f"{place}[{index}]")


def complete(scenario: Scenario) -> list[Fault]:
    """Fills in defaults and ids, resolves references; returns what is missing, doubled or dangling."""
    return [*_fill_in(scenario), *_doubles(scenario), *_dangling(scenario)]


def _fill_in(scenario: Scenario) -> Iterator[Fault]:
    defaults, offers = scenario.defaults, {offer.offer_id.upper(): offer for offer in scenario.offers}
    skus = _skus(scenario)
    for i, partner in enumerate(scenario.partners):
        partner.tenant_id = partner.tenant_id or derived_id("partner", partner.id)
        partner.location = partner.location or defaults.country or scenario.provider.country
        partner.relationship_mpn_id = partner.relationship_mpn_id or partner.mpn_id
        for j, customer in enumerate(partner.customers):
            _fill_in_customer(customer, partner, defaults)
            ids = _local_ids(customer)
            for k, subscription in enumerate(customer.subscriptions):
                place: Place = ("partners", i, "customers", j, "subscriptions", k)
                offer = offers.get((subscription.offer or "").upper())
                if subscription.offer and offer is None:
                    yield (*place, "offer"), f"offer {subscription.offer} is not in the list of offers"
                if (
                    subscription.nce
                    and (sku := f"{subscription.nce.product}:{subscription.nce.sku}") not in skus
                ):
                    yield (*place, "nce"), f"{sku} is not in the list of products"
                yield from _resolve(subscription, ids, place)
                _fill_in_subscription(subscription, partner, offer, defaults)
                if subscription.ends_at is None:
                    yield place, "ends_at is missing"


def _fill_in_customer(customer: Customer, partner: Partner, defaults: Defaults) -> None:
    customer.tenant_id = customer.tenant_id or derived_id("customer", customer.key or "")
    customer.domain = customer.domain or f"{customer.key or customer.tenant_id[:8]}.onmicrosoft.com"
    customer.country = customer.country or partner.location
    if "mca" not in customer.model_fields_set:
        customer.mca = defaults.mca
    for subscription in customer.subscriptions:
        subscription.id = subscription.id or derived_id(customer.tenant_id, subscription.key or "")


def _local_ids(customer: Customer) -> dict[str, str]:
    """The id that each key and each id stands for, among this customer's subscriptions."""
    ids: dict[str, str] = {}
    for subscription in customer.subscriptions:
        ids |= {name: subscription.id or "" for name in (subscription.id, subscription.key) if name}
    return ids


def _resolve(subscription: Subscription, ids: Mapping[str, str], place: Place) -> Iterator[Fault]:
    def local(name: str) -> str | None:
        return ids.get(name) or ids.get(name.lower())

    if subscription.parent is not None:
        parent = local(subscription.parent)
        if parent is None:
            yield (*place, "parent"), f"{subscription.parent} is no subscription of this customer"
        subscription.parent = parent
    if subscription.nce and (source := subscription.nce.migrated_from):
        try:
            subscription.nce.migrated_from = local(source) or str(uuid.UUID(source))
        except ValueError:
            sentence = f"{source} is neither a subscription of this customer nor a GUID"
            yield (*place, "nce", "migrated_from"), sentence


def _fill_in_subscription(
    subscription: Subscription, partner: Partner, offer: Offer | None, defaults: Defaults
) -> None:
    azure = offer is not None and offer.kind == "azure"
    filled: dict[str, Any] = {
        "term": defaults.term,
        "term_shown": True if subscription.nce else defaults.term_shown,
        "billing": defaults.billing,
        "auto_renew": False if azure else defaults.auto_renew,
        "seats": 1 if azure else defaults.seats,
        "partner_id": partner.mpn_id,
        "trial": offer is not None and offer.kind == "trial",
        "ends_at": FAR_FUTURE if azure else None,
    }
    for name, value in filled.items():
        if getattr(subscription, name) is None:
            setattr(subscription, name, value)
    if subscription.created_at is None and subscription.ends_at is not None:
        subscription.created_at = AZURE_BEGINS_AT if azure else _usual_creation(subscription)
    plan = subscription.migration or defaults.migration.model_copy(deep=True)
    plan.takes = plan.takes or defaults.migration.takes or DEFAULT_TAKES
    subscription.migration = plan


def _usual_creation(subscription: Subscription) -> datetime | None:
    """One term before the end; a monthly legacy subscription is old, so a year before it."""
    monthly_legacy = subscription.term == "P1M" and subscription.nce is None
    if subscription.ends_at is None or subscription.term is None:
        return None
    return add_term(subscription.ends_at, "P1Y" if monthly_legacy else subscription.term, -1)


def _doubles(scenario: Scenario) -> Iterator[Fault]:
    seen: set[tuple[str, str]] = set()
    for kind, name, place in _names(scenario):
        if (kind, name) in seen:
            yield place, f"{kind} {name} is there twice"
        seen.add((kind, name))


def _names(scenario: Scenario) -> Iterator[tuple[str, str, Place]]:
    """Everything that must be there only once."""
    for i, partner in enumerate(scenario.partners):
        yield "partner", partner.id, ("partners", i, "id")
        yield "mpn_id", partner.mpn_id, ("partners", i, "mpn_id")
        for j, customer in enumerate(partner.customers):
            place: Place = ("partners", i, "customers", j)
            yield f"a customer of {partner.id},", customer.tenant_id or "", place
            for k, subscription in enumerate(customer.subscriptions):
                yield "subscription id", subscription.id or "", (*place, "subscriptions", k)
    for i, offer in enumerate(scenario.offers):
        yield "offer", offer.offer_id, ("offers", i, "offer_id")
    for i, product in enumerate(scenario.products):
        yield "product", product.product, ("products", i, "product")


def _skus(scenario: Scenario) -> set[str]:
    return {f"{product.product}:{sku.sku}" for product in scenario.products for sku in product.skus}


def _dangling(scenario: Scenario) -> Iterator[Fault]:
    partners, skus = {partner.id for partner in scenario.partners}, _skus(scenario)
    for i, event in enumerate(scenario.events):
        if isinstance(event, SubscriptionEvent):
            yield from _not_one_subscription(scenario, event.subscription, ("events", i, "subscription"))
        if isinstance(event, BuyInPortal | AcceptMca) and scenario.find_customer(event.customer) is None:
            yield ("events", i, "customer"), f"{event.customer} is no customer of this scenario"
        if isinstance(event, BuyInPortal) and event.sku not in skus:
            yield ("events", i, "sku"), f"{event.sku} is not in the list of products"
        if isinstance(event, BuyInPortal | ChangePartner) and event.partner not in partners:
            yield ("events", i, "partner"), f"{event.partner} is no partner of this scenario"
    for i, opt_out in enumerate(scenario.opt_outs):
        if opt_out.partner not in partners:
            yield ("opt_outs", i, "partner"), f"{opt_out.partner} is no partner of this scenario"
        if opt_out.customer is not None:
            tenant = scenario.find_customer(opt_out.customer)
            if tenant is None:
                yield ("opt_outs", i, "customer"), f"{opt_out.customer} is no customer of this scenario"
            opt_out.customer = tenant
    for i, undo in enumerate(scenario.undos):
        yield from _not_one_subscription(scenario, undo.subscription, ("undos", i, "subscription"))
        undo.subscription = next(iter(scenario.find_subscriptions(undo.subscription)), undo.subscription)


def _not_one_subscription(scenario: Scenario, reference: str, place: Place) -> Iterator[Fault]:
    found = scenario.find_subscriptions(reference)
    if not found:
        yield place, f"{reference} is no subscription of this scenario"
    elif len(found) > 1:
        yield place, f"{reference} stands for several subscriptions; write customer/key"
