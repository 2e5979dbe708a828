"""There is one way to a purchase and one way to a suspension: this searches the code for another.

Rules 1 and 2 are decided in one place each. A call from anywhere else, however well meant, would be a way
past them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

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
PATCHES = {"suspend": {"partner_center/gateway.py"}}
"""What changes a subscription's state at Microsoft -> the only place that calls the client for it."""


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


@pytest.mark.parametrize("patch", PATCHES)
def test_only_the_gateway_calls_the_client_for_a_change_of_state(patch: str) -> None:
    assert _callers(patch, "subscriptions") == PATCHES[patch]


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


def test_a_suspension_is_sent_only_after_the_gate_has_said_so() -> None:
    """`_suspend` is called once, in the one branch that is left when the gate said nothing else."""
    tree = ast.parse((CHECKOUT / "include/nce/steps/cancel_legacy.py").read_text())
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)}
    callers = {
        name
        for name, function in functions.items()
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_suspend"
    }
    assert callers == {"_finish"}
    (decision,) = [
        node for node in functions["_finish"].body if isinstance(node, ast.If) and _asks_word(node.test)
    ]
    words = []
    branch: ast.stmt = decision
    while isinstance(branch, ast.If):
        assert _asks_word(branch.test), ast.unparse(branch.test)
        words.append(ast.unparse(branch.test).rpartition(".")[2])
        assert "_suspend" not in "".join(ast.unparse(statement) for statement in branch.body)
        branch = branch.orelse[0]
    assert words == ["WAIT", "REFUSE", "ALREADY_DONE"]
    assert "_suspend(" in ast.unparse(branch)
    rulings = [name for name, _ in _names(functions["_finish"]) if name == "cancel_gate"]
    assert rulings == ["cancel_gate"]


def _asks_word(test: ast.expr) -> bool:
    return ast.unparse(test).startswith("ruling.word is GateWord.")


def _names(function: ast.AsyncFunctionDef) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id, node
