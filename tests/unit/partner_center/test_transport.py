"""One call over a real socket: what leaves, how often, and what an answer becomes."""

from __future__ import annotations

import base64
import logging
import socket
import uuid
from dataclasses import replace

import pytest

from include.nce.domain.errors import FailureClass
from include.nce.partner_center.auth import TokenKind, TokenSource
from include.nce.partner_center.client import PartnerCenterClient
from include.nce.partner_center.connection import PartnerCenterConnection
from include.nce.partner_center.errors import (
    Broken,
    CredentialsRefused,
    OutcomeUnknown,
    PartnerCenterError,
    PersonDecides,
    ServerFault,
    Throttled,
    Unreachable,
)
from include.nce.partner_center.transport import Call, Transport
from tests.support.partner_center_server import Drop, Hang, PartnerCenterServer, Reply
from tests.unit.partner_center.conftest import Naps

READ = Call("read customer", "GET", "/v1/customers/c1")
WRITE = Call("create migration", "POST", "/v1/migrate", body={"a": 1}, writes=True, request_id="intention-1")


@pytest.fixture
async def transport(client: PartnerCenterClient) -> Transport:
    return client._transport


async def refusal(transport: Transport, call: Call) -> PartnerCenterError:
    with pytest.raises(PartnerCenterError) as raised:
        await transport.send(call)
    return raised.value


async def test_no_secret_and_no_basic_auth_ever_leaves_as_a_header(
    server: PartnerCenterServer, transport: Transport
) -> None:
    server.on("GET", "/v1/customers/c1", Reply(200, {"id": "c1"}))
    server.on("POST", "/v1/migrate", Reply(201, {"id": "m1"}))
    await transport.send(READ)
    await transport.send(WRITE)

    known = {"host", "accept", "accept-encoding", "user-agent", "content-length", "content-type"}
    for asked in server.asked:
        ours = set(asked.headers) - known
        assert ours == {"authorization", "ms-requestid", "ms-correlationid"}
        assert asked.headers["authorization"] == "Bearer app-token-1"
        sent = " ".join(asked.headers.values())
        for secret in ("client-id", "client-secret", "first-refresh-token"):
            assert secret not in sent
            assert base64.b64encode(secret.encode()).decode()[:12] not in sent


async def test_a_write_answered_503_is_sent_once_and_its_outcome_is_unknown(
    server: PartnerCenterServer, transport: Transport
) -> None:
    body = {"code": 800003, "description": "busy", "data": [], "source": "PartnerFD"}
    server.on("POST", "/v1/migrate", Reply(503, body, {"Retry-After": "7"}))
    error = await refusal(transport, WRITE)

    assert len(server.asked) == 1
    assert isinstance(error, OutcomeUnknown)
    assert error.failure_class is FailureClass.LOOK_FIRST
    assert error.retry_after_seconds == 7
    assert error.body is not None
    assert "busy" in error.body


async def test_a_write_whose_answer_is_lost_is_sent_once(
    server: PartnerCenterServer, transport: Transport
) -> None:
    server.on("POST", "/v1/migrate", Drop())
    error = await refusal(transport, WRITE)

    assert len(server.asked) == 1
    assert isinstance(error, OutcomeUnknown)
    assert error.request_id == "intention-1"
    assert error.correlation_id == server.asked[0].headers["ms-correlationid"]


async def test_a_put_on_a_connection_that_breaks_is_not_repeated_by_the_http_library(
    server: PartnerCenterServer, transport: Transport
) -> None:
    server.on("GET", "/v1/customers/c1", Reply(200, {"id": "c1"}))
    server.on("PUT", "/v1/cart", Drop())
    await transport.send(READ)
    error = await refusal(transport, replace(WRITE, method="PUT", path="/v1/cart"))

    assert len(server.requests("PUT", "/v1/cart")) == 1
    assert isinstance(error, OutcomeUnknown)


async def test_a_write_that_gets_no_answer_in_time_is_of_unknown_outcome(
    server: PartnerCenterServer, connection: PartnerCenterConnection
) -> None:
    server.on("POST", "/v1/migrate", Hang())
    async with Transport(connection, TokenSource(connection), total_timeout_seconds=1.5) as transport:
        error = await refusal(transport, WRITE)

    assert len(server.asked) == 1
    assert isinstance(error, OutcomeUnknown)


async def test_a_write_that_finds_nobody_listening_was_not_sent(
    server: PartnerCenterServer, connection: PartnerCenterConnection
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        elsewhere = replace(connection, address=f"http://127.0.0.1:{unused.getsockname()[1]}")
        async with Transport(elsewhere, TokenSource(connection)) as transport:
            error = await refusal(transport, WRITE)

    assert isinstance(error, Unreachable)
    assert error.failure_class is FailureClass.WAIT


async def test_a_write_answered_with_something_unreadable_is_looked_up_before_anything_else(
    server: PartnerCenterServer, transport: Transport
) -> None:
    server.on("POST", "/v1/migrate", Reply(201, text="<html>created"))
    error = await refusal(transport, WRITE)

    assert isinstance(error, OutcomeUnknown)
    assert error.body == "<html>created"


async def test_a_read_that_fails_is_asked_again_with_the_same_request_id_and_new_correlation_ids(
    server: PartnerCenterServer, transport: Transport, naps: Naps
) -> None:
    server.on("GET", "/v1/customers/c1", Reply(500), Drop(), Reply(200, {"id": "c1"}))
    answer = await transport.send(READ)

    assert answer.payload == {"id": "c1"}
    assert naps.taken == [1.0, 2.0]
    assert len({asked.headers["ms-requestid"] for asked in server.asked}) == 1
    assert len({asked.headers["ms-correlationid"] for asked in server.asked}) == 3


async def test_a_read_gives_up_after_four_times(server: PartnerCenterServer, transport: Transport) -> None:
    server.on("GET", "/v1/customers/c1", Reply(502, text="bad gateway"))
    error = await refusal(transport, READ)

    assert len(server.asked) == 4
    assert isinstance(error, ServerFault)
    assert error.retriable


async def test_a_throttled_read_waits_as_long_as_microsoft_asks(
    server: PartnerCenterServer, transport: Transport, naps: Naps
) -> None:
    throttled = Reply(429, {"statusCode": 429, "message": "Try again in 57 seconds."}, {"Retry-After": "57"})
    server.on("GET", "/v1/customers/c1", throttled, Reply(200, {"id": "c1"}))
    await transport.send(READ)

    assert naps.taken == [57.0]


async def test_waits_grow_while_microsoft_goes_on_to_throttle(
    server: PartnerCenterServer, transport: Transport, naps: Naps
) -> None:
    at_once = Reply(429, {"statusCode": 429}, {"Retry-After": "0"})
    longer = Reply(429, {"statusCode": 429}, {"Retry-After": "9"})
    server.on("GET", "/v1/customers/c1", at_once, at_once, longer, Reply(200, {"id": "c1"}))
    await transport.send(READ)

    assert naps.taken == [1.0, 2.0, 9.0]


@pytest.mark.parametrize(("told", "waits"), [("9", [9.0, 18.0, 36.0]), ("57", [57.0, 60.0, 60.0])])
async def test_waits_grow_also_when_microsoft_says_the_same_again(
    server: PartnerCenterServer, transport: Transport, naps: Naps, told: str, waits: list[float]
) -> None:
    again = Reply(429, {"statusCode": 429}, {"Retry-After": told})
    server.on("GET", "/v1/customers/c1", again, again, again, Reply(200, {"id": "c1"}))
    await transport.send(READ)

    assert naps.taken == waits


async def test_a_throttled_read_that_would_wait_too_long_is_handed_up(
    server: PartnerCenterServer, transport: Transport, naps: Naps
) -> None:
    server.on("GET", "/v1/customers/c1", Reply(429, {"statusCode": 429}, {"Retry-After": "300"}))
    error = await refusal(transport, READ)

    assert isinstance(error, Throttled)
    assert error.retry_after_seconds == 300
    assert naps.taken == []


async def test_a_throttled_write_is_handed_up_at_once(
    server: PartnerCenterServer, transport: Transport
) -> None:
    server.on("POST", "/v1/migrate", Reply(429, {"statusCode": 429}, {"Retry-After": "57"}))
    error = await refusal(transport, WRITE)

    assert len(server.asked) == 1
    assert isinstance(error, Throttled)
    assert error.failure_class is FailureClass.WAIT


async def test_a_refused_token_is_renewed_once_and_the_write_keeps_its_request_id(
    server: PartnerCenterServer, transport: Transport
) -> None:
    server.on("POST", "/v1/migrate", Reply(401), Reply(201, {"id": "m1"}))
    answer = await transport.send(WRITE)

    assert answer.status == 201
    tokens = [asked.headers["authorization"] for asked in server.asked]
    assert tokens == ["Bearer app-token-1", "Bearer app-token-2"]
    assert {asked.headers["ms-requestid"] for asked in server.asked} == {"intention-1"}


async def test_a_token_refused_twice_is_the_operators_business(
    server: PartnerCenterServer, transport: Transport
) -> None:
    body = {"code": 900421, "description": "MFA required"}
    server.on("POST", "/v1/migrate", Reply(401, body))
    error = await refusal(transport, WRITE)

    assert len(server.asked) == 2
    assert isinstance(error, CredentialsRefused)
    assert error.failure_class is FailureClass.PROVIDER_ACTS
    assert "multi-factor" in str(error)


async def test_an_error_that_comes_with_http_200_is_still_an_error(
    server: PartnerCenterServer, transport: Transport
) -> None:
    server.on("GET", "/v1/customers/c1", Reply(200, {"code": 400072, "description": "no"}))
    error = await refusal(transport, READ)

    assert isinstance(error, PersonDecides)
    assert error.code == 400072


async def test_a_redirect_is_never_followed(server: PartnerCenterServer, transport: Transport) -> None:
    server.on("GET", "/v1/customers/c1", Reply(302, headers={"Location": f"{server.address}/v1/elsewhere"}))
    error = await refusal(transport, READ)

    assert [asked.path for asked in server.asked] == ["/v1/customers/c1"]
    assert isinstance(error, Broken)


async def test_query_values_arrive_as_they_were_given(
    server: PartnerCenterServer, transport: Transport
) -> None:
    server.on("GET", "/v1/customers/c1", Reply(200, {"id": "c1"}))
    wanted = '{"Field":"CompanyName","Value":"Caffè & Co + 100%/?#","Operator":"starts_with"}'
    await transport.send(replace(READ, query={"size": 0, "filter": wanted}))

    assert server.asked[0].query == {"size": "0", "filter": wanted}


async def test_a_read_gets_a_request_id_of_its_own(server: PartnerCenterServer, transport: Transport) -> None:
    server.on("GET", "/v1/customers/c1", Reply(200, {"id": "c1"}))
    answer = await transport.send(READ)

    assert str(uuid.UUID(answer.request_id)) == server.asked[0].headers["ms-requestid"]


async def test_one_line_is_logged_for_a_call_and_it_holds_nothing_secret(
    server: PartnerCenterServer, transport: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.on("GET", "/v1/customers/c1", Reply(200, {"id": "c1", "name": "Rossi"}))
    await transport.send(replace(READ, query={"filter": "Rossi"}, token=TokenKind.APP_AND_USER))

    calls = [line for line in caplog.messages if "'read customer'" in line]
    assert len(calls) == 1
    assert "GET 'read customer': HTTP 200" in calls[0]
    assert server.asked[0].headers["ms-requestid"] in calls[0]
    for hidden in ("Rossi", "token-1", "client-secret", "first-refresh-token"):
        assert hidden not in caplog.text


class OneCallOnly:
    """A budget that is used up after one call."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.told: list[tuple[float | None, str | None]] = []

    async def take(self, call: Call) -> None:
        if self.taken:
            raise Throttled("the budget is used up", retry_after_seconds=120)
        self.taken.append(call.operation)

    async def throttled(self, call: Call, retry_after_seconds: float | None) -> None:
        self.told.append((retry_after_seconds, call.correlation_id))


async def test_every_send_takes_from_the_budget_and_a_429_is_told_to_it(
    server: PartnerCenterServer, connection: PartnerCenterConnection
) -> None:
    budget = OneCallOnly()
    server.on("GET", "/v1/customers/c1", Reply(429, {"statusCode": 429}, {"Retry-After": "1"}))
    naps = Naps()
    async with Transport(connection, TokenSource(connection), budget=budget, sleep=naps) as transport:
        error = await refusal(transport, READ)

    assert len(server.asked) == 1
    assert budget.told == [(1.0, server.asked[0].headers["ms-correlationid"])]
    assert error.retry_after_seconds == 120
    assert error.request_id == server.asked[0].headers["ms-requestid"]
    assert error.correlation_id is not None  # of the call that did not leave
    assert error.correlation_id != server.asked[0].headers["ms-correlationid"]


async def test_a_sign_in_that_is_refused_keeps_the_ids_of_its_call(
    server: PartnerCenterServer, transport: Transport
) -> None:
    server.on("POST", "/v1/migrate", Reply(401))
    good = server.token_reply
    server.token_reply = lambda form, number: (
        good(form, number) if number == 1 else Reply(401, {"error": "invalid_client"})
    )
    error = await refusal(transport, WRITE)

    assert isinstance(error, CredentialsRefused)
    assert error.operation == "sign in"
    assert error.request_id == "intention-1"
    assert error.correlation_id == server.requests("POST", "/v1/migrate")[0].headers["ms-correlationid"]


async def test_the_client_is_of_no_use_outside_its_context(connection: PartnerCenterConnection) -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await Transport(connection, TokenSource(connection)).send(READ)


class Kept(Exception):
    """What a last word raises."""


async def test_a_write_asks_whether_it_may_leave_once_it_is_signed_in_and_connected(
    server: PartnerCenterServer, transport: Transport
) -> None:
    seen: list[tuple[int, int]] = []

    async def leave() -> None:
        seen.append((len(server.signed_in), len(server.asked)))

    server.on("POST", "/v1/migrate", Reply(201, {"id": "m1"}))
    await transport.send(replace(WRITE, leave=leave))
    assert seen == [(1, 0)]
    await transport.send(replace(WRITE, leave=leave))  # over the connection that is kept
    assert seen == [(1, 0), (1, 1)]


async def test_a_write_asks_again_before_its_second_attempt(
    server: PartnerCenterServer, transport: Transport
) -> None:
    asked: list[int] = []

    async def leave() -> None:
        asked.append(len(server.asked))
        if len(asked) == 2:
            raise Kept

    server.on("POST", "/v1/migrate", Reply(401), Reply(201, {"id": "m1"}))
    with pytest.raises(Kept):
        await transport.send(replace(WRITE, leave=leave))
    assert asked == [0, 1]
    assert len(server.asked) == 1


@pytest.mark.parametrize("why", [Kept("no"), TimeoutError("the ledger"), OSError("the ledger")])
async def test_what_keeps_a_write_here_comes_out_as_it_is_and_nothing_leaves(
    server: PartnerCenterServer, transport: Transport, why: Exception
) -> None:
    """Also a timeout of the ledger's: it is no lost answer of Partner Center's."""

    async def leave() -> None:
        raise why

    server.on("POST", "/v1/migrate", Reply(201, {"id": "m1"}))
    for _ in range(3):  # and the connection it had is given back
        with pytest.raises(type(why)) as raised:
            await transport.send(replace(WRITE, leave=leave))
        assert raised.value is why
    assert server.asked == []


async def test_a_write_that_is_answered_with_code_0_is_in_doubt(
    server: PartnerCenterServer, transport: Transport
) -> None:
    server.on("POST", "/v1/migrate", Reply(400, {"code": 0, "description": ""}))
    error = await refusal(transport, WRITE)
    assert isinstance(error, OutcomeUnknown)
    assert error.leaves_effect_unknown


@pytest.mark.parametrize("levels", [900, 50_000])
async def test_an_answer_to_a_write_that_is_nested_too_deeply_is_in_doubt_and_kept(
    server: PartnerCenterServer, transport: Transport, levels: int
) -> None:
    server.on("POST", "/v1/migrate", Reply(201, text='{"id": ' + "[" * levels + "]" * levels + "}"))
    error = await refusal(transport, WRITE)
    assert isinstance(error, OutcomeUnknown)
    assert error.body
