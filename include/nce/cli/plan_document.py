"""The JSON of `nce plan --json`: the plan as the ledger keeps it, and the batches it would be worked in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from include.nce.ledger.plan_reports import Plan, PlanLine


class PlannedLine(PlanLine):
    """A line with its batch."""

    batch: int | None = Field(description="Counted from 1; null when nothing is done about it now.")


class PlanDocument(Plan):
    """What would become of each subscription of a partner."""

    schema_: Literal[1] = Field(default=1, alias="schema", description="Number of this shape.")
    lines: list[PlannedLine] = Field(  # type: ignore[assignment]  # a narrower line, and the model is frozen
        description="In the order in which they would be worked."
    )


def plan_document(plan: Plan, batch_of: Mapping[str, int]) -> PlanDocument:
    """The plan with the batch of each line."""
    lines = [
        {**line.model_dump(by_alias=True), "batch": batch_of.get(line.subscription)} for line in plan.lines
    ]
    return PlanDocument.model_validate({**plan.model_dump(by_alias=True), "lines": lines})
