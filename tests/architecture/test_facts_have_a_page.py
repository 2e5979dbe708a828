"""A model of a resource of Microsoft's, and a call to it, name the page they come from, and its date."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

CLIENT = Path(__file__).parents[2] / "include/nce/partner_center"
DATE = re.compile(r"\d{1,2}/\d{1,2}/\d{4}|(March 2024|June 2025)")
SHARED = {"reading.py": "how every resource is read, and no resource itself"}
RESOURCES = (
    *("agreements.py", "audit.py", "carts.py", "catalogue.py", "customers.py", "migrations.py"),
    *("orders.py", "profiles.py", "promotions.py", "relationships.py", "subscriptions.py"),
)


Named = ast.ClassDef | ast.AsyncFunctionDef | ast.FunctionDef


def public(body: list[ast.stmt]) -> Iterator[Named]:
    return (node for node in body if isinstance(node, Named) and not node.name.startswith("_"))


def parsed(path: Path) -> list[ast.stmt]:
    return ast.parse(path.read_text(encoding="utf-8")).body


def without_a_page(nodes: Iterator[Named]) -> list[str]:
    return [node.name for node in nodes if not DATE.search(ast.get_docstring(node) or "")]


MODELS = sorted(path.name for path in (CLIENT / "models").glob("*.py") if path.name not in SHARED)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_names_its_page_and_date(name: str) -> None:
    body = parsed(CLIENT / "models" / name)
    assert without_a_page(node for node in public(body) if isinstance(node, ast.ClassDef)) == []


@pytest.mark.parametrize("name", RESOURCES)
def test_every_call_names_its_page_and_date(name: str) -> None:
    body = parsed(CLIENT / name)
    calls = (
        call
        for resource in public(body)
        if isinstance(resource, ast.ClassDef)
        and any(isinstance(node, ast.AsyncFunctionDef) for node in resource.body)
        for call in public(resource.body)
    )
    assert without_a_page(calls) == []
