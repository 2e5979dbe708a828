"""Processes that share a sign-in, against a service that replaces the refresh token at each use.

The simulator is told to refuse a replaced token at once, which is harder than Microsoft: the chain ends
wherever one replacement is lost or two processes use the same token.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import asdict

import pytest
from cryptography.fernet import Fernet

from include.nce.ledger.ledger import PostgresLedger
from include.nce.partner_center.auth import TokenKind, TokenSource
from include.nce.partner_center.errors import CredentialsRefused
from tests.integration.credentials.conftest import PROJECT, SignInService

KEY = Fernet.generate_key().decode()
PROCESSES, TIMES = 3, 12

Start = Callable[..., SignInService]


@pytest.fixture
def strict(sign_in_service: Start) -> SignInService:
    return sign_in_service(rotate_refresh_tokens=True, rotated_tokens_stay_valid=False)


def source(ledger: PostgresLedger, service: SignInService) -> TokenSource:
    """As each task makes it."""
    connection = service.connection()
    store = ledger.credentials(
        connection.tenant_id, connection.client_id, connection.fingerprint, fernet_keys=KEY
    )
    return TokenSource(connection, store=store)


async def test_processes_that_refresh_at_once_lose_no_rotated_token(
    strict: SignInService, ledger_database: str
) -> None:
    fields = {name: value for name, value in asdict(strict.connection()).items() if name != "limits"}
    arguments = [ledger_database, KEY, json.dumps(fields), str(TIMES)]
    program = "tests.integration.credentials.signing_in"
    signing_in = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", program, *arguments, cwd=PROJECT, stderr=asyncio.subprocess.PIPE
        )
        for _ in range(PROCESSES)
    ]
    said = [(await process.communicate())[1].decode() for process in signing_in]
    assert [process.returncode for process in signing_in] == [0] * PROCESSES, "\n".join(said)
    assert strict.statuses("get_token_v2") == {"200": PROCESSES * TIMES}
    async with PostgresLedger.open(ledger_database) as ledger:
        assert await source(ledger, strict).sign_in(TokenKind.APP_AND_USER)


async def test_a_hundred_tasks_ask_for_each_kind_of_token_once(
    strict: SignInService, ledger_database: str
) -> None:
    async with PostgresLedger.open(ledger_database) as ledger:
        for _ in range(100):
            tokens = source(ledger, strict)
            await tokens.token(TokenKind.APP)
            await tokens.token(TokenKind.APP_AND_USER)
    assert strict.statuses("get_token_v2") == {"200": 2}


async def test_without_the_store_the_second_task_is_refused(strict: SignInService) -> None:
    """The proof that the service refuses what was replaced, on which the other tests rest."""
    await TokenSource(strict.connection()).token(TokenKind.APP_AND_USER)
    with pytest.raises(CredentialsRefused, match="the refresh token has expired"):
        await TokenSource(strict.connection()).token(TokenKind.APP_AND_USER)
