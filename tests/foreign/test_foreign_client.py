"""A client of other people, written for the real API, talks to the simulator and notices no difference.

It keeps its own addresses, https://api.partnercenter.microsoft.com and https://login.microsoftonline.com; the
carrier brings the calls to loopback. It runs in a process of its own, unchanged.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.foreign.carrier import HOSTS, carrying
from tests.simulator.bench import CLIENT, PROVIDER, SECRET, legacy, scenario
from tests.simulator.test_served import served

ROOT = Path(__file__).parents[2]
CUSTOMER = "4d3cf487-70f4-4e1e-9ff1-b2bfce8d9f04"
ITEM = "CFQ7TTC0LFLS:0002:CFQ7TTC0KDLJ"


def story() -> dict[str, Any]:
    """Five customers; one of them has a subscription, and one product can be bought."""
    found = scenario(legacy())
    found["products"][-1]["skus"] = [{"sku": "0002", "availability": "CFQ7TTC0KDLJ"}]
    (alfa,) = found["partners"][0]["customers"]
    alfa["tenant_id"] = CUSTOMER
    others = ("beta", "delta", "eta", "gamma")
    found["partners"][0]["customers"] += [{"key": name, "name": name.title()} for name in others]
    return found


def test_a_client_for_the_real_api_lists_buys_and_changes_seats(tmp_path: Path) -> None:
    file = tmp_path / "story.json"
    file.write_text(json.dumps(story()))
    with served("--scenario", str(file)) as (_, address), carrying(address) as carrier:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.foreign.session", PROVIDER, CLIENT, SECRET, CUSTOMER, ITEM],
            cwd=ROOT,
            env={**os.environ, **carrier.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            if first:
                httpx.post(f"{address}/__sim__/clock/advance", json={"seconds": 3600}).raise_for_status()
            rest, errors = process.communicate("\n", timeout=60)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == 0, errors
        asked = httpx.get(f"{address}/__sim__/requests/summary").raise_for_status().json()
    assert len(json.loads(first)["ordered"]) == 12
    assert json.loads(rest) == {
        "pages": [["Alfa", "Beta"], ["Delta", "Eta"], ["Gamma"]],
        "before": [["Business Premium", 12, "active"]],
        "order": ["completed", True],
        "changed": [5, "active"],
        "read_again": [5, "2022-08-10T00:00:00+00:00"],
    }
    assert asked["get_token"] == {"200": 1}
    assert asked["get_customers"] == {"200": 3}
    assert asked["update_subscription"] == {"200": 1}


@pytest.fixture
def nowhere() -> str:
    """An address where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_the_carrier_takes_nobody_elsewhere(nowhere: str) -> None:
    with (
        carrying(nowhere) as carrier,
        httpx.Client(proxy=carrier.proxy) as http,
        pytest.raises(httpx.ProxyError, match="403"),
    ):
        http.get("https://example.com/")


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("told", [True, False])
def test_only_who_was_told_trusts_the_carrier(nowhere: str, host: str, told: bool) -> None:
    with carrying(nowhere) as carrier:
        trusted = str(carrier.authority) if told else None
        with (
            httpx.Client(proxy=carrier.proxy, verify=ssl.create_default_context(cafile=trusted)) as http,
            pytest.raises(httpx.TransportError) as caught,
        ):
            http.get(f"https://{host}/v1/customers")
    assert ("CERTIFICATE_VERIFY_FAILED" in str(caught.value)) is not told
