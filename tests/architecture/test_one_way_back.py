"""There is one way to take something back, past the undo gate, and it never leads to a suspension."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PRODUCT = Path(__file__).resolve().parents[2] / "include" / "nce"
FILES = sorted(PRODUCT.rglob("*.py"))
STEP = PRODUCT / "steps" / "undo_conversion.py"
RULE = PRODUCT / "domain" / "undo.py"


def calls(path: Path) -> Iterator[tuple[str, str]]:
    """Owner and name of each method that is called: `desk.partner_center.suspend()` is `partner_center`,
    `suspend`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            of = node.func.value
            owner = of.attr if isinstance(of, ast.Attribute) else of.id if isinstance(of, ast.Name) else ""
            yield owner, node.func.attr


@pytest.mark.parametrize(
    ("owner", "name", "caller"),
    [
        ("partner_center", "reactivate", "steps/undo_conversion.py"),
        ("partner_center", "cancel_nce", "steps/undo_conversion.py"),
        ("subscriptions", "reactivate", "partner_center/gateway.py"),
        ("subscriptions", "cancel", "partner_center/gateway.py"),
    ],
)
def test_only_one_place_may_ask_for_it(owner: str, name: str, caller: str) -> None:
    callers = {str(path.relative_to(PRODUCT)) for path in FILES if (owner, name) in calls(path)}
    assert callers == {caller}


@pytest.mark.parametrize("path", [path for path in FILES if "undo" in path.name], ids=lambda path: path.name)
def test_an_undo_has_no_way_to_a_suspension(path: Path) -> None:
    assert "suspend" not in {name for _, name in calls(path)}


def functions_with(path: Path, text: str) -> set[str]:
    """The functions in which this expression stands."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        function.name
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.expr) and ast.unparse(node) == text
    }


def test_only_the_undo_gate_says_that_nce_may_be_cancelled() -> None:
    makers = {
        function.name
        for function in ast.walk(ast.parse(RULE.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and any(ast.unparse(arg) == "UndoWord.CANCEL" for arg in node.args)
    }
    assert makers == {"undo_gate"}
    assert functions_with(STEP, "UndoRuling(UndoWord.CANCEL)") == set()


def test_nce_is_cancelled_only_where_the_ruling_says_so() -> None:
    tree = ast.parse(STEP.read_text(encoding="utf-8"))
    sends = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and "cancel_nce(" in ast.unparse(node)
    ]
    [innermost] = [
        node for node in sends if not any(node is not other and other in ast.walk(node) for other in sends)
    ]
    assert ast.unparse(innermost.test) == "ruling.word is UndoWord.CANCEL"
    assert "cancel_nce(" not in "".join(ast.unparse(each) for each in innermost.orelse)
    assert functions_with(STEP, "desk.partner_center.cancel_nce") == {"_send"}
