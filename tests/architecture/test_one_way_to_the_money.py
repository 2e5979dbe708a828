"""There is one way to a purchase and one way to a suspension: this searches the code for another.

Rules 1 and 2 are decided in one place each. A call from anywhere else, however well meant, would be a way
past them.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from include.nce.domain.cancellation import SuspensionPermit
from include.nce.domain.undo import CancellationPermit
from include.nce.partner_center.gateway import PartnerCenterGateway
from include.nce.steps.sending import Departure
from tests.support.departing import may_suspend

CHECKOUT = Path(__file__).resolve().parents[2]
PRODUCT = [
    *(CHECKOUT / "include").rglob("*.py"),
    *(CHECKOUT / "dags").glob("*.py"),
    *(CHECKOUT / "plugins").glob("*.py"),
]

WRITES = {
    "create_migration": {"steps/buy_nce.py"},
    "create_cart": {"steps/buy_nce.py"},
    "check_out": {"steps/buy_nce.py"},
    "suspend": {"steps/cancel_legacy.py"},
}
"""A question of `ports.PartnerCenter` that changes something -> the only step that may ask it."""


def _name(path: Path) -> str:
    return path.relative_to(CHECKOUT / "include" / "nce").as_posix() if "nce" in path.parts else path.name


def _calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr, node


def _callers(attribute: str, owner: str | None = None) -> set[str]:
    found = set()
    for path in PRODUCT:
        for name, call in _calls(path):
            assert isinstance(call.func, ast.Attribute)
            of = call.func.value
            owned_by = of.attr if isinstance(of, ast.Attribute) else of.id if isinstance(of, ast.Name) else ""
            if name == attribute and owner in (None, owned_by):
                found.add(_name(path))
    return found


@pytest.mark.parametrize("write", WRITES)
def test_only_one_step_may_ask_for_a_change(write: str) -> None:
    assert _callers(write, "partner_center") == WRITES[write]


@pytest.mark.parametrize("change", ["suspend", "reactivate", "cancel"])
def test_only_the_gateway_reaches_the_client_for_a_change_of_state(change: str) -> None:
    reaching = {
        _name(path)
        for path in PRODUCT
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == change
        and isinstance(node.value, ast.Attribute) and node.value.attr == "subscriptions"
    }  # fmt: skip
    assert reaching == {"partner_center/gateway.py"}


def test_nothing_else_of_the_product_changes_a_subscription() -> None:
    """`change` sends any field back to Microsoft; seats and renewal are nobody's business here."""
    assert _callers("change") == {"partner_center/subscriptions.py"}


def test_every_write_on_the_wire_is_one_of_the_known() -> None:
    """A call that `writes=True` and is not listed here is a new way to spend or to end something."""
    writing = set()
    for path in PRODUCT:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.AsyncFunctionDef) and any(
                isinstance(inner, ast.keyword)
                and inner.arg == "writes"
                and isinstance(inner.value, ast.Constant)
                and inner.value.value is True
                for inner in ast.walk(node)
            ):
                writing.add(f"{_name(path)}: {node.name}")
    assert writing == KNOWN_WRITES


KNOWN_WRITES = {
    "partner_center/carts.py: check_out",
    "partner_center/carts.py: create",
    "partner_center/migrations.py: create",
    "partner_center/subscriptions.py: change",
    *(
        UNUSED := {
            "partner_center/agreements.py: confirm",
            "partner_center/carts.py: replace",
            "partner_center/customers.py: request_qualification",
            "partner_center/customers.py: set_qualification_v1",
            "partner_center/orders.py: create",
        }
    ),
}
"""The client has every call of the contract; those in `UNUSED` are nobody's in this product."""


def test_the_gateway_has_no_way_to_the_writes_that_nobody_uses() -> None:
    gateway = (CHECKOUT / "include/nce/partner_center/gateway.py").read_text()
    for write in UNUSED:
        resource, function = write.removeprefix("partner_center/").split(".py: ")
        assert f"_client.{resource}.{function}(" not in gateway


@pytest.mark.parametrize("permit", [SuspensionPermit, CancellationPermit])
def test_no_permit_is_made_outside_its_gate(permit: type[SuspensionPermit | CancellationPermit]) -> None:
    with pytest.raises(TypeError, match="gate permits"):
        permit("customer", "subscription")


def test_no_permit_is_made_out_of_another() -> None:
    with pytest.raises(TypeError, match="gate permits"):
        replace(may_suspend("customer", "one"), legacy_id="another")


@pytest.mark.parametrize(
    ("call", "right"),
    [
        ("create_migration", {"departure": Departure}),
        ("check_out", {"departure": Departure}),
        ("reactivate", {"departure": Departure}),
        ("suspend", {"departure": Departure, "permit": SuspensionPermit}),
        ("cancel_nce", {"departure": Departure, "permit": CancellationPermit}),
    ],
)
def test_no_write_is_made_without_its_rights(call: str, right: dict[str, type]) -> None:
    """`mypy` holds every caller to these types; only `sending` and the gates make them."""
    asked = inspect.signature(getattr(PartnerCenterGateway, call))
    assert {name: asked.parameters[name].annotation for name in right} == {
        name: kind.__name__ for name, kind in right.items()
    }
    assert all(asked.parameters[name].default is inspect.Parameter.empty for name in right)


def test_only_sending_lets_a_command_leave() -> None:
    makers = {
        _name(path)
        for path in PRODUCT
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Departure"
    }
    assert makers == {"steps/sending.py"}
