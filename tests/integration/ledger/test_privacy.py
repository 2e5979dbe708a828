"""The ledger keeps evidence, and nobody's name, address, number or key: whoever writes, and wherever."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.pool import NullPool

from include.nce.domain.command import CommandKind, CommandOutcome
from include.nce.domain.conversion import ConversionState
from include.nce.domain.decision import DecisionKind
from include.nce.domain.opt_out import OptOut
from include.nce.domain.readiness import Answer, Check, Finding
from include.nce.ledger.tables import Evidence, FreeText, Table
from tests.integration.ledger.scene import AT, CAMPAIGN, LATER, RUN, due, guid, subscription
from tests.integration.ledger.test_reports import planned
from tests.support.scene import bring, intend

CANARIES = (
    "ludovica.canary@rifugi.example",
    "+39 055 123 4567",
    "eyJhbGci0.Y2FuYXJ5.c2ln",
    "Serafini-Canary",
)
SAID = f"Ask {CANARIES[0]} or {CANARIES[1]}, token {CANARIES[2]}."
ANSWER = {
    "id": "9a2e3b74",
    "status": "Failed",
    "primaryContact": {"firstName": CANARIES[3], "email": CANARIES[0]},
    "message": SAID,
}


def dump(url: str) -> str:
    """Every value of every table, as text."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        tables = inspect(connection).get_table_names()
        return "\n".join(
            str(row[0])
            for table in tables
            for row in connection.execute(text(f'SELECT t::text FROM "{table}" t'))
        )


async def test_nothing_personal_reaches_the_database(postgres_ledger, ledger_database):
    ledger = postgres_ledger
    await ledger.move_moment(CAMPAIGN, "closes", AT.replace(year=2023), "ada", SAID)
    await ledger.record_opt_out(CAMPAIGN, OptOut("rossi", AT, "otto", note=SAID))
    finding = Finding(Check.MPA, Answer.CANNOT_TELL, SAID, remedy=SAID)
    await ledger.record_finding(RUN, finding, at=AT)
    conversions = await planned(ledger, due("one", reason=SAID, remedy=SAID, warning=SAID))
    conversion = conversions[guid("one")]
    await ledger.record_survey(RUN, [subscription("one")], [], at=AT)
    await ledger.record_decision(
        CAMPAIGN, "rossi", guid("one"), DecisionKind.CONFIRM_CONVERSION, decided_by="otto", reason=SAID, at=AT
    )
    command = await intend(ledger, conversion, CommandKind.CREATE_MIGRATION, {"lines": []}, at=AT)
    for body in (ANSWER, str(ANSWER), f'{{"lastName": "{CANARIES[3]}", "email": "{CANARIES[0]}', None):
        await ledger.note_answer(
            command.command_id,
            at=AT,
            outcome=CommandOutcome.LOST,
            status=500,
            code=None,
            correlation_id=None,
            body=body,
        )
    told = await bring(ledger, conversion, ConversionState.REFUSED, SAID, at=AT)
    await ledger.close_run(RUN, "failed", SAID, at=AT)
    kept = dump(ledger_database)
    assert [canary for canary in CANARIES[:3] if canary in kept] == []
    assert kept.count(CANARIES[3]) == 1  # a name in the text of what is no JSON: see docs/security.md
    assert "9a2e3b74" in kept
    assert "[removed]" in told.reason


async def test_the_same_sentence_again_is_the_same_as_before(postgres_ledger):
    """What is kept differs from what was said, which must not look like news at each look."""
    finding = Finding(Check.MPA, Answer.CANNOT_TELL, SAID)
    conversion = (await planned(postgres_ledger, due("one")))[guid("one")]
    for at in (AT, LATER):
        await postgres_ledger.record_finding(RUN, finding, at=at)
        await postgres_ledger.close_run(RUN, "failed", SAID, at=at)
        await bring(postgres_ledger, conversion, ConversionState.REFUSED, SAID, at=at)
    entries = await postgres_ledger.explain(CAMPAIGN, "rossi")
    assert [e.kind for e in entries if e.kind == "check"] == ["check"]
    assert len([e for e in entries if "closed" in e.sentence]) == 1
    assert len([e for e in entries if "refused" in e.sentence]) == 1


def test_each_column_that_holds_a_sentence_is_of_the_type_that_cleans_it():
    sentences = {"reason", "remedy", "sentence", "note", "warning"}
    found = {
        f"{table.name}.{column.name}": type(column.type)
        for table in Table.metadata.tables.values()
        for column in table.columns
        if column.name in sentences or column.name == "body"
    }
    assert len(found) >= 15
    assert {name for name, kind in found.items() if kind not in (FreeText, Evidence)} == set()


def test_sql_is_never_put_together_from_what_somebody_wrote():
    """Statements are SQLAlchemy's, or texts with bound parameters and, at most, constants of the code."""
    folder = Path(__file__).resolve().parents[3] / "include" / "nce"
    found = []
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args and "migrations" not in path.parts:
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                parts = [p.value for p in ast.walk(node.args[0]) if isinstance(p, ast.FormattedValue)]
                constants = [p for p in parts if isinstance(p, ast.Name) and p.id.isupper()]
                made = isinstance(node.args[0], ast.BinOp) or len(constants) < len(parts)
                if name in ("text", "literal_column", "execute", "exec_driver_sql") and made:
                    found.append(f"{path.name}:{node.lineno}")
    assert found == []


@pytest.mark.parametrize("hostile", ["'; DROP TABLE runs; --", "%' OR '1'='1", "\\", "\0x"])
async def test_what_somebody_wrote_is_a_value_to_the_database(postgres_ledger, hostile):
    await postgres_ledger.record_opt_out(CAMPAIGN, OptOut("rossi", AT, "otto", note=hostile))
    (kept,) = await postgres_ledger.opt_outs(CAMPAIGN, "rossi")
    assert kept.note == hostile.replace("\0", "\ufffd")
