"""One call to Partner Center: signed in, traced, timed, sent once or, when it only asks, patiently.

Responsible for headers, time limits, retries of reads, the error an answer means, and one log line a call.
Leaves paths and bodies to the resource files, tokens to `auth`, and what to do about an error to the steps.

Reads are repeated on faults of the network, 5xx, 408 and 429. **A write is sent once**: only a 401, which
proves that it was refused, lets it leave a second time, with a new token and the same MS-RequestId. Where the
answer to a write is lost, `OutcomeUnknown` says so. A write that carries `leave` asks it for each attempt,
when it is signed in, within the budget and connected, and nothing but the bytes is left to do.

Facts: headers (6/7/2022), api-throttling-guidance (7/18/2022).
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar
from urllib.parse import quote, urlencode

from pydantic import ValidationError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from include.nce.domain.privacy import without
from include.nce.domain.recordable import read_json
from include.nce.partner_center.auth import TokenKind, TokenSource
from include.nce.partner_center.connection import PartnerCenterConnection
from include.nce.partner_center.errors import (
    Broken,
    OutcomeUnknown,
    PartnerCenterError,
    ServerFault,
    Throttled,
    Unreachable,
    error_for_answer,
    is_error_in_disguise,
)
from include.nce.partner_center.models.reading import (
    Collection,
    Trace,
    WireModel,
    read_collection,
    why_unreadable,
)

if TYPE_CHECKING:
    import aiohttp
    from airflow.providers.http.hooks.http import HttpAsyncHook

CONNECT_TIMEOUT_SECONDS = 10.0
TOTAL_TIMEOUT_SECONDS = 60.0
READ_ATTEMPTS = 4
LONGEST_WAIT_SECONDS = 60.0
"""A `Retry-After` above this is handed up: a task that sleeps longer holds a place others could use."""

_METHODS = ("GET", "POST", "PUT", "PATCH")

log = logging.getLogger(__name__)
Leave = Callable[[], Awaitable[None]]
"""Returns when a write may leave now. What it raises keeps the write here, and comes out of `send` as it
is."""
_leave: ContextVar[Leave | None] = ContextVar("leave", default=None)
Kind = TypeVar("Kind")
Wire = TypeVar("Wire", bound=WireModel)


@dataclass(frozen=True)
class Call:
    """What is asked: `operation` is our name of it, in logs and errors; `path` begins with `/v1`.

    `writes` says that it changes something; a POST that only asks (validate) does not. `request_id` is the
    caller's name of one intention, kept when the same intention is sent again; reads get one of their own.
    `correlation_id` names one sending of it and is the transport's. `customer_id` is for budgets that count
    per customer.
    """

    operation: str
    method: str
    path: str
    token: TokenKind = TokenKind.APP
    query: Mapping[str, str | int] = field(default_factory=dict)
    body: Mapping[str, Any] | str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    writes: bool = False
    request_id: str | None = None
    correlation_id: str | None = None
    customer_id: str | None = None
    leave: Leave | None = None

    @property
    def trace(self) -> Trace:
        return Trace(self.request_id, self.correlation_id)

    @property
    def endpoint(self) -> str:
        return f"{self.path}?{urlencode(self.query, quote_via=quote)}" if self.query else self.path


@dataclass(frozen=True)
class Answer:
    """A 2xx answer. `payload` is the JSON it carried, None when it was empty. Headers have lower-case
    names."""

    call: Call
    status: int
    headers: Mapping[str, str]
    payload: Any
    text: str
    request_id: str
    correlation_id: str

    def one(self, kind: type[Wire]) -> Wire:
        """The resource it holds; raises what `unreadable` says when it cannot be read."""
        try:
            return kind.read(self.payload, self.call.trace)
        except ValidationError as error:
            raise self.unreadable(why_unreadable(kind, error)) from error

    def written(self, kind: type[Wire]) -> Written[Wire]:
        return Written(self.one(kind), self)

    def many(self, kind: type[Wire]) -> Collection[Wire]:
        """The collection it holds, with single items that cannot be read set apart."""
        token = self.headers.get("ms-continuationtoken")
        try:
            return read_collection(
                kind, self.payload, continuation_token=token or None, trace=self.call.trace
            )
        except ValueError as error:
            raise self.unreadable(str(error)) from error

    def unreadable(self, why: str) -> Broken | OutcomeUnknown:
        """`Broken`; after a write `OutcomeUnknown`, for it was carried out and can be looked up."""
        kind = OutcomeUnknown if self.call.writes else Broken
        return kind(
            f"Partner Center's answer to '{self.call.operation}' cannot be read: {why} "
            f"(HTTP {self.status}, request {self.request_id}); {kind.remedy}.",
            operation=self.call.operation,
            status=self.status,
            request_id=self.request_id,
            correlation_id=self.correlation_id,
            body=self.text,
        )


@dataclass(frozen=True)
class Written(Generic[Kind]):
    """What a write made, and the answer that says so: the ids and the raw body belong on record."""

    what: Kind
    answer: Answer


class Budget(Protocol):
    """The provider's rate limits, shared by everything that calls in its name."""

    async def take(self, call: Call) -> None:
        """Returns when the call may be sent; raises `Throttled` when that is too far off to wait for."""

    async def throttled(self, call: Call, retry_after_seconds: float | None) -> None:
        """Microsoft answered 429 to this call."""


class Unlimited:
    """For a single process that stays far below every limit."""

    async def take(self, call: Call) -> None:
        return None

    async def throttled(self, call: Call, retry_after_seconds: float | None) -> None:
        return None


class Transport:
    """Sends calls over one connection pool, which `async with` opens and closes."""

    def __init__(
        self,
        connection: PartnerCenterConnection,
        tokens: TokenSource,
        *,
        budget: Budget | None = None,
        total_timeout_seconds: float = TOTAL_TIMEOUT_SECONDS,
        read_attempts: int = READ_ATTEMPTS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._connection = connection
        self._tokens = tokens
        self._budget: Budget = budget or Unlimited()
        self._total_timeout_seconds = total_timeout_seconds
        self._read_attempts = read_attempts
        self._sleep = sleep
        self._session: aiohttp.ClientSession | None = None
        self._hooks: dict[str, HttpAsyncHook] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Transport:
        import aiohttp
        from airflow.providers.http.hooks.http import HttpAsyncHook

        for method in _METHODS:
            # Told the address only: given the Airflow connection, the hook would send `extra` (with the
            # refresh token) as headers and the secret as basic auth. Its default of 3 tries repeats a POST.
            self._hooks[method] = hook = HttpAsyncHook(method=method, http_conn_id="", retry_limit=1)
            hook.base_url = self._connection.address
        self._session = await self._stack.enter_async_context(
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(
                    total=self._total_timeout_seconds, connect=CONNECT_TIMEOUT_SECONDS
                ),
                middlewares=(_never_resend,),
                request_class=_departing_request(),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session = None
        await self._stack.aclose()

    async def send(self, call: Call) -> Answer:
        """The answer to `call`; raises a `PartnerCenterError` for everything that is not a readable 2xx."""
        call = replace(call, request_id=call.request_id or str(uuid.uuid4()))
        if call.writes:
            return await self._send_signed_in(call)
        async for attempt in AsyncRetrying(
            stop=stop_after_attempt(self._read_attempts),
            retry=retry_if_exception(_worth_asking_again),
            wait=_wait_seconds,
            sleep=self._sleep,
            reraise=True,
        ):
            with attempt:
                return await self._send_signed_in(call)
        raise AssertionError("tenacity ends with an answer or an error")

    async def _send_signed_in(self, call: Call) -> Answer:
        call = _traced(call)
        try:
            token = await self._tokens.token(call.token)
            answer = await self._send_once(call, token)
            if answer.status == 401:
                token = await self._tokens.renewed(call.token, token)
                answer = await self._send_once(_traced(call), token)
        except PartnerCenterError as fault:
            # Also of a call that did not leave, because of the sign-in or the budget.
            fault.request_id = fault.request_id or call.request_id
            fault.correlation_id = fault.correlation_id or call.correlation_id
            raise
        if 200 <= answer.status < 300 and not is_error_in_disguise(answer.payload):
            return answer
        error = error_for_answer(
            operation=call.operation,
            writes=call.writes,
            status=answer.status,
            headers=answer.headers,
            text=answer.text,
            request_id=answer.request_id,
            correlation_id=answer.correlation_id,
        )
        if isinstance(error, Throttled):
            await self._budget.throttled(answer.call, error.retry_after_seconds)
        raise error

    async def _send_once(self, call: Call, token: str) -> Answer:
        await self._budget.take(call)
        request_id, correlation_id = call.request_id or "", call.correlation_id or ""
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/json",
            "MS-RequestId": request_id,
            "MS-CorrelationId": correlation_id,
            **call.headers,
        }
        started_at = time.monotonic()
        outcome = "no answer"
        try:
            status, answered, text = await self._exchange(call, headers)
            # An answer that repeats its request would give them away.
            text = without(text, (token, self._connection.client_secret, self._connection.refresh_token))
            outcome = f"HTTP {status}"
        except PartnerCenterError as error:
            error.request_id, error.correlation_id = request_id, correlation_id
            outcome = type(error).__name__
            raise
        finally:
            log.info(
                "%s '%s': %s in %d ms (%s)",
                call.method,
                call.operation,
                outcome,
                (time.monotonic() - started_at) * 1000,
                call.trace,
            )
        answer = Answer(call, status, answered, None, text, request_id, correlation_id)
        if not 200 <= status < 300 or not text.strip():
            return answer
        try:
            return replace(answer, payload=read_json(text))
        except ValueError as error:
            raise answer.unreadable("it is not JSON that can be kept") from error

    async def _exchange(self, call: Call, headers: Mapping[str, str]) -> tuple[int, dict[str, str], str]:
        """Status, headers (lower-case names) and body of the answer, or the error that stands for none."""
        import aiohttp

        if self._session is None:
            raise RuntimeError("the client is used inside 'async with' only")
        asked = _leave.set(call.leave)
        try:
            response = await self._hooks[call.method].run(
                session=self._session,
                endpoint=call.endpoint,
                json=call.body,  # type: ignore[arg-type]
                headers=dict(headers),
                # check_response: the hook would turn a refusal into text and lose its headers and body.
                extra_options={"check_response": False, "allow_redirects": False},
            )
            async with response:
                text = (await response.read()).decode("utf-8-sig", errors="replace")
                if response.status == 401 and not text.strip():
                    # A missing second factor may be told in the status line alone.
                    text = response.reason or ""
            return response.status, {name.lower(): value for name, value in response.headers.items()}, text
        except _Kept as kept:
            raise kept.why from None
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise Unreachable(
                f"Partner Center cannot be reached for '{call.operation}' ({type(error).__name__}); "
                f"nothing was sent, {Unreachable.remedy}.",
                operation=call.operation,
            ) from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            lost = OutcomeUnknown if call.writes else ServerFault
            raise lost(
                f"Partner Center's answer to '{call.operation}' was lost ({type(error).__name__}); "
                f"{lost.remedy}.",
                operation=call.operation,
            ) from error
        finally:
            _leave.reset(asked)


class _Kept(Exception):
    """`leave` raised: nothing was sent. Wrapped: a timeout of the ledger is not one of the network."""

    def __init__(self, why: Exception) -> None:
        super().__init__(str(why))
        self.why = why


@cache
def _departing_request() -> type[aiohttp.ClientRequest]:
    """aiohttp's request, which asks `leave` once it has its connection, before it writes a byte to it."""
    import aiohttp

    class DepartingRequest(aiohttp.ClientRequest):
        async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
            leave = _leave.get()
            if leave is not None:
                try:
                    await leave()
                except Exception as why:
                    raise _Kept(why) from why
            return await super().send(conn)

    return DepartingRequest


def _traced(call: Call) -> Call:
    """About to be sent, under a MS-CorrelationId of its own."""
    return replace(call, correlation_id=str(uuid.uuid4()))


async def _never_resend(
    request: aiohttp.ClientRequest, send: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]]
) -> aiohttp.ClientResponse:
    """aiohttp sends a PUT again by itself when a kept-alive connection breaks; this error it does not
    retry."""
    import aiohttp

    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as lost:
        raise aiohttp.ClientConnectionError(f"connection lost: {type(lost).__name__}") from lost


def _worth_asking_again(error: BaseException) -> bool:
    if not isinstance(error, Throttled | ServerFault | Unreachable):
        return False
    return (error.retry_after_seconds or 0) <= LONGEST_WAIT_SECONDS


def _wait_seconds(state: RetryCallState) -> float:
    """What Microsoft asked for, and at least a second, then twice the wait before (api-throttling-guidance,
    7/18/2022: waits grow while it still throttles)."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_seconds if isinstance(error, PartnerCenterError) else None
    return max(asked or 0.0, 1.0, min(LONGEST_WAIT_SECONDS, 2 * state.upcoming_sleep))
