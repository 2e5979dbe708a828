"""The published API, called with all that its schema allows: no call is a fault of the simulator.

Schemathesis makes the calls, the same in every run. Each operation is called in a fresh world, mostly about
what is there, else about whatever the schema allows.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from simulator.app import create_app
from simulator.simulation import Simulation
from tests.simulator.bench import AUDIENCE, CLIENT, PROVIDER, REFRESH, SECRET, legacy, scenario

STORY = json.dumps(
    scenario(
        legacy(),
        {"key": "nce", "nce": {"product": "CFQ7TTC0LDPB", "sku": "0001"}, "ends_at": "2022-12-31T00:00:00Z"},
        throttling="off",
    )
)
SIMULATION = Simulation(STORY, mode="manual")
SCHEMA = schemathesis.openapi.from_asgi("/openapi.json", create_app(SIMULATION))
FEW = settings(
    max_examples=5,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(autouse=True)
def _fresh_world() -> None:
    SIMULATION.reset()


def bearer() -> dict[str, str]:
    """A user's token, as the token desk issues it."""
    form = {
        "client_id": CLIENT,
        "client_secret": SECRET,
        "grant_type": "refresh_token",
        "refresh_token": REFRESH,
        "resource": AUDIENCE,
    }
    issued = SIMULATION.tokens.issue(SIMULATION.world, PROVIDER, form, v2=False, issuer="https://sts.example")
    return {"Authorization": f"Bearer {issued['access_token']}"}


def known_ids() -> dict[str, str]:
    """What exists in a fresh world, by the name of the path parameter."""
    story = SIMULATION.world.scenario
    return {
        "tenant": PROVIDER,
        "customer_id": story.find_customer("alfa") or "",
        "subscription_id": story.find_subscriptions("nce")[0],
        "product_id": "CFQ7TTC0LDPB",
        "sku_id": "0001",
    }


@SCHEMA.parametrize()
@FEW
def test_nothing_the_schema_allows_is_a_fault(case: Any) -> None:
    known = known_ids()
    case.path_parameters = {
        name: known[name] if name in known and len(str(value)) % 4 else value
        for name, value in case.path_parameters.items()
    }
    case.call_and_validate(headers=bearer(), checks=CHECKS)
