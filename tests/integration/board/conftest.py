"""The board where Airflow mounts it: real auth manager, real tokens, real ledger; a campaign clock of
ours."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from include.nce.board.asgi import LazyBoard
from include.nce.ledger.ledger import PostgresLedger
from tests.integration.ledger.conftest import set_scene
from tests.integration.ledger.scene import CAMPAIGN
from tests.support.fake_clock import FakeClock

ORIGIN = "http://airflow.example"
NOW = datetime(2022, 6, 20, 9, 30, tzinfo=timezone.utc)
ROLES = {"vera": "viewer", "otto": "op", "ada": "admin"}
COOKIE = "_token"


@pytest.fixture(scope="session")
def auth_manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Airflow's simple auth manager with one person a role, on a metadata database of its own."""
    folder: Path = tmp_path_factory.mktemp("airflow-auth")
    passwords = folder / "passwords.json"
    passwords.write_text(json.dumps(dict.fromkeys(ROLES, "not-asked-for")))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{who}:{role}" for who, role in ROLES.items()),
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            "API__SECRET_KEY": "board-tests-secret-key",
            "API_AUTH__JWT_SECRET": "board-tests-jwt-secret-of-more-than-64-bytes-" + "x" * 40,
        }.items():
            patch.setenv(f"AIRFLOW__{name}", value)
        from airflow import settings
        from airflow.api_fastapi.app import init_auth_manager
        from airflow.models import import_all_models
        from airflow.models.base import Base

        # The auth manager looks up which team a DAG belongs to, and which tokens were revoked.
        import_all_models()
        Base.metadata.create_all(settings.get_engine())
        yield init_auth_manager()


@dataclass
class Board:
    """The mounted board, and what a person's browser or program holds."""

    ledger: PostgresLedger
    clock: FakeClock
    app: FastAPI
    auth_manager: Any
    opened: list[str] = field(default_factory=list)

    def token(self, who: str) -> str:
        from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

        return str(
            self.auth_manager.generate_jwt(SimpleAuthManagerUser(username=who, role=ROLES.get(who, who)))
        )

    def browser(self, who: str | None) -> httpx.AsyncClient:
        """Holds the cookie that Airflow's login set, and says where it comes from as browsers do."""
        cookies = {} if who is None else {COOKIE: self.token(who)}
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app), base_url=ORIGIN, cookies=cookies,
            headers={"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"},
        )  # fmt: skip

    def program(self, who: str | None) -> httpx.AsyncClient:
        headers = {} if who is None else {"Authorization": f"Bearer {self.token(who)}"}
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=ORIGIN, headers=headers)


@dataclass(frozen=True)
class TestDesk:
    __test__ = False

    ledger: PostgresLedger
    clock: FakeClock
    rehearsal: bool = False


def mounted(board: FastAPI) -> FastAPI:
    """As Airflow mounts a plugin's application, behind the middleware that reads its cookie."""
    from airflow.api_fastapi.auth.middlewares.refresh_token import JWTRefreshMiddleware

    lazy = LazyBoard("never:asked")
    lazy._app = board
    airflow = FastAPI()
    airflow.mount("/nce", lazy)
    airflow.add_middleware(JWTRefreshMiddleware)
    return airflow


@pytest.fixture
async def board(ledger_database: str, auth_manager: Any) -> AsyncIterator[Board]:
    from include.nce.board.app import create_app

    clock = FakeClock(NOW)
    async with PostgresLedger.open(ledger_database, pool_size=2) as ledger:
        await set_scene(ledger)

        @asynccontextmanager
        async def desk() -> AsyncIterator[TestDesk]:
            yield TestDesk(ledger, clock)

        yield Board(ledger, clock, mounted(create_app(desk)), auth_manager)


PARTNER_PAGE = f"/nce/campaigns/{CAMPAIGN}/partners/rossi"
OPT_OUT_FORM = f"{PARTNER_PAGE}/opt-outs"
WITHDRAWAL_FORM = f"{PARTNER_PAGE}/withdrawals"
DATE_FORM = f"/nce/campaigns/{CAMPAIGN}/dates"
API = f"/nce/api/campaigns/{CAMPAIGN}"


async def form_token(browser: httpx.AsyncClient, page: str = PARTNER_PAGE) -> str:
    """The token in the form that the page shows."""
    text = (await browser.get(page)).text
    return text.split('name="token" value="')[1].split('"')[0]
