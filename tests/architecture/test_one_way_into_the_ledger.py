"""What a person does reaches the ledger through an act in `steps.people`: entries only read it.

Which calls write is read off the ledger itself, so that a part that moves or is added is seen. What an entry
calls on a ledger is read off its code, whatever the parts in between are called.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PRODUCT = Path(__file__).resolve().parents[2] / "include" / "nce"
LEDGER = sorted((PRODUCT / "ledger").rglob("*.py"))
ENTRIES = [
    file for part in ("cli", "board", "orchestration") for file in sorted((PRODUCT / part).rglob("*.py"))
]
ACTS = [file for file in sorted((PRODUCT / "steps" / "people").rglob("*.py")) if file.name != "__init__.py"]
STARTED_BY_AIRFLOW = {"start_runs.py", "start_undo.py"}
"""Acts whose first word on record is that of the run they start."""

OF_THE_SESSION = {"add", "add_all", "delete", "merge"}
STATEMENTS = {"insert", "update", "delete", "in_turn", "setattr"}
"""What a method that writes calls: by itself, or in a function that it calls."""
NOT_A_PERSONS = {
    "orchestration/composition.py": {"claim"},
    "orchestration/reconcile_operators.py": {"record_comparison"},
    "orchestration/triggers.py": {"record_finding"},
}
"""What the machine notes by itself: whose ledger it is, a partner that could not be compared, a check's
answer."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions() -> dict[str, list[Function]]:
    """Each function and method of the ledger by its name."""
    found: dict[str, list[Function]] = {}
    for file in LEDGER:
        if "migrations" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, Function):
                found.setdefault(node.name, []).append(node)
    return found


def writes_itself(function: Function) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            owner, _, name = called.rpartition(".")
            if (name in STATEMENTS and not owner) or (name in OF_THE_SESSION and owner.endswith("session")):
                return True
            if any(word.arg == "lock" and ast.unparse(word.value) == "True" for word in node.keywords):
                return True
        if isinstance(node, ast.Attribute) and node.attr == "with_for_update":
            return True
    return False


def calls_of(function: Function) -> set[str]:
    """Functions of its module and methods of its own that it calls."""
    called = {ast.unparse(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)}
    return {name.removeprefix("self.") for name in called if "." not in name.removeprefix("self.")}


def writing() -> frozenset[str]:
    """The names of the ledger's public methods that change what is on record."""
    every = functions()
    found = {name for name, them in every.items() if any(writes_itself(one) for one in them)}
    while True:
        more = {
            name
            for name, them in every.items()
            if name not in found and any(calls_of(one) & found for one in them)
        }
        if not more:
            return frozenset(name for name in found if not name.startswith("_"))
        found |= more


WRITING = writing()


def is_a_ledger(value: ast.expr | None, known: set[str]) -> bool:
    """A ledger that is opened or handed on, or a part of one; not what one of its methods answered."""
    text = "" if value is None else ast.unparse(value)
    if isinstance(value, ast.Attribute | ast.Name):
        return bool(known & set(text.split(".")))
    return "open_ledger(" in text or "PostgresLedger.open(" in text


def asked_of_a_ledger(source: str) -> Iterator[str]:
    """What is called on a ledger, on a part of one, or on a name that was given to either:
    `world.ledger.plans.record()` is `record`."""
    tree = ast.parse(source)
    ledgers = {"ledger"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr) and is_a_ledger(node.value, ledgers):
            named = node.targets if isinstance(node, ast.Assign) else [node.target]
            ledgers |= {target.id for target in named if isinstance(target, ast.Name)}
        if isinstance(node, ast.withitem) and is_a_ledger(node.context_expr, ledgers):
            ledgers |= {node.optional_vars.id} if isinstance(node.optional_vars, ast.Name) else set()
        if isinstance(node, ast.arg) and node.annotation and "Ledger" in ast.unparse(node.annotation):
            ledgers.add(node.arg)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            *owners, name = ast.unparse(node).split(".")
            if ledgers & set(owners):
                yield name


@pytest.mark.parametrize(
    ("source", "asked"),
    [
        ("await world.ledger.record(x)", {"record"}),
        ("await desk.ledger.opt_outs.record(x)", {"opt_outs", "record"}),
        ("records = world.ledger.opt_outs\nawait records.record(x)", {"opt_outs", "record"}),
        ("async def f():\n async with open_ledger() as it:\n  await it.record(x)", {"record"}),
        ("async def f(it: PostgresLedger):\n await it.record(x)", {"record"}),
        ("found = await ledger.read(x)\nfound.record(x)", {"read"}),
        ("await record(x, ledger=world.ledger)", set()),
    ],
)
def test_what_is_asked_of_a_ledger_is_seen(source: str, asked: set[str]) -> None:
    assert set(asked_of_a_ledger(source)) - {"ledger"} == asked


@pytest.mark.parametrize("file", ENTRIES, ids=lambda file: file.relative_to(PRODUCT).as_posix())
def test_an_entry_writes_nothing_past_the_acts(file: Path) -> None:
    allowed = NOT_A_PERSONS.get(file.relative_to(PRODUCT).as_posix(), set())
    asked = set(asked_of_a_ledger(file.read_text(encoding="utf-8")))
    assert (asked & WRITING) - allowed == set()


@pytest.mark.parametrize("file", ACTS, ids=lambda file: file.name)
def test_an_act_writes_under_the_name_of_an_author(file: Path) -> None:
    acts = [
        node
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.AsyncFunctionDef) and WRITING & set(asked_of_a_ledger(ast.unparse(node)))
    ]
    assert acts or file.name in STARTED_BY_AIRFLOW, f"{file.name} puts nothing on record"
    for act in acts:
        given = {each.arg: ast.unparse(each.annotation or each) for each in act.args.kwonlyargs}
        assert given.get("by") == "Author", act.name
