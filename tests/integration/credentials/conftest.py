"""A simulator in a process of its own, with a sign-in service as a test wants it, and its requests."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.fernet import Fernet

from include.nce.orchestration import composition
from include.nce.partner_center.connection import PartnerCenterConnection
from tests.simulator.bench import CLIENT, PROVIDER, REFRESH, SECRET, legacy, scenario

PROJECT = Path(__file__).resolve().parents[3]
PROVIDER_FIELDS = {"rotate_refresh_tokens", "rotated_tokens_stay_valid", "token_lifetime_s"}


@dataclass(frozen=True)
class SignInService:
    address: str

    def connection(self, **changes: Any) -> PartnerCenterConnection:
        whole = {
            "tenant_id": PROVIDER,
            "client_id": CLIENT,
            "client_secret": SECRET,
            "refresh_token": REFRESH,
            "address": self.address,
            "authority": self.address,
            "rehearsal": True,
        }
        return PartnerCenterConnection(**{**whole, **changes})

    def statuses(self, operation: str) -> dict[str, int]:
        """Answers by HTTP status."""
        page = httpx.get(f"{self.address}/__sim__/requests", trust_env=False).raise_for_status().json()
        counted: dict[str, int] = {}
        for call in page["requests"]:
            if call["operation"] == operation:
                counted[str(call["status"])] = counted.get(str(call["status"]), 0) + 1
        return counted


@contextmanager
def _served(path: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "simulator", "serve", "--scenario", str(path), "--port", "0"]
    process = subprocess.Popen(
        [*command, "--clock", "manual"],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stderr
    try:
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found, process.stderr.read()
        yield found.group()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


@pytest.fixture
def sign_in_service(tmp_path: Path) -> Iterator[Callable[..., SignInService]]:
    """Starts a simulator; the arguments are fields of its provider or of the application."""
    with ExitStack() as running:

        def start(**changes: Any) -> SignInService:
            story = copy.deepcopy(scenario(legacy()))
            for name, value in changes.items():
                provider = story["provider"]
                (provider if name in PROVIDER_FIELDS else provider["applications"][0])[name] = value
            path = tmp_path / "story.json"
            path.write_text(json.dumps(story))
            return SignInService(running.enter_context(_served(path)))

        yield start


@pytest.fixture
def airflow_connections(
    sign_in_service: Callable[..., SignInService], ledger_database: str, monkeypatch: pytest.MonkeyPatch
) -> SignInService:
    """Airflow with both connections and a Fernet key, before a service that rotates strictly."""
    service = sign_in_service(rotate_refresh_tokens=True, rotated_tokens_stay_valid=False)
    entered = {
        "conn_type": "partner_center",
        "host": service.address,
        "login": CLIENT,
        "password": SECRET,
        "extra": {
            "tenant_id": PROVIDER,
            "refresh_token": REFRESH,
            "authority": service.address,
            "rehearsal": True,
        },
    }
    monkeypatch.setenv("AIRFLOW_CONN_PARTNER_CENTER", json.dumps(entered))
    monkeypatch.setenv("AIRFLOW_CONN_NCE_LEDGER", ledger_database.replace("postgresql+psycopg", "postgres"))
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", Fernet.generate_key().decode())
    monkeypatch.setattr(composition, "_masked", set())
    return service
