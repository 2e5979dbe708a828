"""The simulator as a process: its command line, cut connections on a real socket, a kill, and msal."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msal
import pytest

from tests.simulator.bench import CLIENT, PROVIDER, REFRESH, SECRET, legacy, scenario

ROOT = Path(__file__).parents[2]
SCOPE = "https://api.partnercenter.microsoft.com/.default"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "simulator", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def story(tmp_path: Path) -> Path:
    """A scenario file."""
    path = tmp_path / "story.json"
    path.write_text(json.dumps(scenario(legacy(), legacy("other"))))
    return path


@contextmanager
def served(*words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A simulator process and its address."""
    command = [sys.executable, "-m", "simulator", "serve", "--port", "0", "--clock", "manual", *words]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stderr
    try:
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found, process.stderr.read()
        yield process, found.group()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


class Carrier:
    """What msal sends to https://host goes to http://host."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def get(self, url: str, *, params: Any = None, headers: Any = None, **_: Any) -> httpx.Response:
        return self._http.get(url.replace("https://", "http://", 1), params=params, headers=headers)

    def post(self, url: str, *, params: Any = None, headers: Any = None, data: Any = None, **_: Any) -> Any:
        url = url.replace("https://", "http://", 1)
        return self._http.post(url, params=params, headers=headers, data=data)

    def close(self) -> None:
        self._http.close()


def application(http: httpx.Client, address: str) -> Any:
    return msal.ConfidentialClientApplication(
        CLIENT,
        client_credential=SECRET,
        authority=f"{address.replace('http://', 'https://')}/{PROVIDER}",
        instance_discovery=False,
        http_client=Carrier(http),
    )


def migrate(http: httpx.Client, headers: dict[str, str], customer: str, subscription: str) -> httpx.Response:
    path = f"/v1/customers/{customer}/migrations/newcommerce"
    return http.post(path, json={"currentSubscriptionId": subscription}, headers=headers)


def ids(http: httpx.Client) -> tuple[str, dict[str, str]]:
    """The customer, and the subscriptions by key."""
    rows = http.get("/__sim__/state").json()["subscriptions"]
    return rows[0]["customer"], {row["key"]: row["id"] for row in rows}


def signed_in(http: httpx.Client, address: str) -> dict[str, str]:
    """The header of a user that msal signed in; an application signs in too."""
    app = application(http, address)
    by_app = app.acquire_token_for_client([SCOPE])
    by_user = app.acquire_token_by_refresh_token(REFRESH, [SCOPE])
    assert "access_token" in by_app, by_app
    assert "access_token" in by_user, by_user
    return {"Authorization": f"Bearer {by_user['access_token']}"}


def test_a_served_simulator_signs_in_msal_cuts_connections_and_survives_a_kill(
    story: Path, tmp_path: Path
) -> None:
    words = ["--scenario", str(story), "--state", str(tmp_path / "state.db")]
    with served(*words) as (process, address), httpx.Client(base_url=address, trust_env=False) as http:
        headers = signed_in(http, address)
        customer, keys = ids(http)
        fault = {"operation": "create_migration", "kind": "reset_after"}
        assert http.post("/__sim__/faults", json=fault).status_code == 200
        with pytest.raises(httpx.TransportError):
            migrate(http, headers, customer, keys["premium"])
        assert migrate(http, headers, customer, keys["other"]).status_code == 201
        process.send_signal(signal.SIGKILL)
        process.wait()
    with served(*words) as (_, address), httpx.Client(base_url=address, trust_env=False) as http:
        query = {"CustomerTenantId": customer}
        assert len(http.get("/v1/migrations/newcommerce", params=query, headers=headers).json()) == 2


def test_it_ends_cleanly_when_asked_to(story: Path) -> None:
    with served("--scenario", str(story)) as (process, _):
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) in (0, -signal.SIGTERM)
        assert "Traceback" not in process.stderr.read()  # type: ignore[union-attr]


def test_a_port_in_use_is_one_sentence(story: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = run("serve", "--scenario", str(story), "--port", port)
    assert ended.returncode == 1
    sentence = "in use by another program; stop that one or choose another one with --port.\n"
    assert ended.stderr == f"Port {port} on 127.0.0.1 is {sentence}"


def _not_loopback(story: Path) -> list[str]:
    return ["serve", "--scenario", str(story), "--host", "0.0.0.0"]  # noqa: S104


def _no_file(story: Path) -> list[str]:
    return ["check", str(story.parent / "none.yaml")]


def _no_operation(story: Path) -> list[str]:
    story.write_text(json.dumps(scenario(faults=[{"operation": "explode", "kind": "slow"}])))
    return ["check", str(story)]


def _no_place(story: Path) -> list[str]:
    return ["serve", "--scenario", str(story), "--port", "0", "--state", str(story.parent)]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (_not_loopback, "0.0.0.0 can be reached from other machines; use 127.0.0.1 or say --allow-remote."),
        (_no_file, "none.yaml: the scenario cannot be read: No such file or directory."),
        (_no_operation, "faults[0]: explode is no operation; GET /openapi.json names them."),
        (_no_place, "the state cannot be kept there: unable to open database file."),
    ],
)
def test_what_cannot_be_served_is_one_sentence(
    story: Path, words: Callable[[Path], list[str]], sentence: str
) -> None:
    ended = run(*words(story))
    assert (ended.returncode, ended.stderr.count(os.linesep)) == (1, 1)
    assert ended.stderr.strip().endswith(sentence)


def test_a_good_scenario_is_summed_up(story: Path) -> None:
    ended = run("check", str(story))
    assert ended.stdout.endswith("good; 1 partners, 1 customers, 2 subscriptions.\n")
