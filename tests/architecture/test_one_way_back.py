"""There is one way to take something back, past the undo gate, and it never leads to a suspension."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PRODUCT = Path(__file__).resolve().parents[2] / "include" / "nce"
FILES = sorted(PRODUCT.rglob("*.py"))


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
    ],
)
def test_only_one_place_may_ask_for_it(owner: str, name: str, caller: str) -> None:
    callers = {str(path.relative_to(PRODUCT)) for path in FILES if (owner, name) in calls(path)}
    assert callers == {caller}


@pytest.mark.parametrize("path", [path for path in FILES if "undo" in path.name], ids=lambda path: path.name)
def test_an_undo_has_no_way_to_a_suspension(path: Path) -> None:
    assert "suspend" not in {name for _, name in calls(path)}
