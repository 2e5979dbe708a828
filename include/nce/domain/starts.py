"""Which runs a start of the campaign starts: on record before anything follows from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from include.nce.domain.campaign import run_id


@dataclass(frozen=True)
class StartList:
    """What one run of `nce_campaign` starts, in its order.

    An order says what Airflow is told: `trigger_run_id`, `conf`, `note`, `reset_dag_run`. `again`: runs that
    exist are run again. `asks`: the form wants a person asked before that.
    """

    run_id: str
    campaign: str
    mode: str
    again: bool
    asks: bool
    orders: Sequence[Mapping[str, Any]]

    @property
    def hash(self) -> str:
        """SHA-256 over the orders; whoever confirms, confirms exactly these."""
        facts = [self.campaign, self.mode, self.again, [dict(order) for order in self.orders]]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    @property
    def runs_again(self) -> bool:
        """Whether what it starts could buy for partners whose runs exist."""
        return self.again and self.mode == "apply"

    @property
    def must_be_confirmed(self) -> bool:
        return self.runs_again and self.asks

    @property
    def partners(self) -> list[str]:
        return [str(order["conf"]["partner"]) for order in self.orders]

    @property
    def run_ids(self) -> list[str]:
        return [str(order["trigger_run_id"]) for order in self.orders]


def further_run_ids(campaign: str, partner: str, on: date) -> Iterator[str]:
    """Run ids for further starts of a partner on a day, in their order; never the id of its first run."""
    beginning = f"{run_id(campaign, partner)}__{on.isoformat()}"
    yield beginning
    number = 2
    while True:
        yield f"{beginning}-{number}"
        number += 1
