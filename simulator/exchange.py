"""One call from its arrival to its answer: the order in which Partner Center looks at a request.

Faults and holds before, rate limits, the token, a repeated MS-RequestId, then the operation itself; the state
is on disk before the answer leaves; faults after. The operation and the commit run without a pause in
between, so calls never mix.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import parse_qsl

from fastapi import Request, Response
from pydantic import BaseModel, ValidationError
from starlette.types import Receive, Scope, Send

from simulator.errors import Refusal, fault_body, throttled_body
from simulator.identity import AUDIENCE, Caller
from simulator.records import AnswerRecord, CustomerRecord, FaultRecord, SubscriptionRecord
from simulator.requests_log import LoggedRequest
from simulator.throttle import LimitName
from simulator.wire import camel_case
from simulator.world import World

if TYPE_CHECKING:
    from simulator.simulation import Simulation

Auth = Literal["none", "either", "user"]
Body = TypeVar("Body", bound=BaseModel)


@dataclass(frozen=True)
class Answer:
    """What an operation answers. `body` None = no body."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Call:
    """One call as an operation sees it. Query names compare without case and underscores."""

    simulation: Simulation
    operation: Operation
    path: str
    ids: Mapping[str, str]
    raw_query: str
    headers: Mapping[str, str]
    raw_body: bytes
    origin: str
    caller: Caller | None = None
    stuck: str | None = None

    @property
    def world(self) -> World:
        """The world, settled to now."""
        return self.simulation.world

    @property
    def now(self) -> datetime:
        """The campaign moment."""
        return self.simulation.world.now

    def query(self, *names: str) -> str | None:
        """The first query value under one of these names that is not empty."""
        values = {name.replace("_", "").lower(): value for name, value in parse_qsl(self.raw_query)}
        found = (values.get(name.replace("_", "").lower()) for name in names)
        return next((value for value in found if value), None)

    def json(self) -> Any:
        """The body with camelCase names; None when there is none."""
        if not self.raw_body.strip():
            return None
        try:
            return camel_case(json.loads(self.raw_body))
        except ValueError:
            raise Refusal(800002, "The body is not JSON.") from None

    def form(self) -> dict[str, str]:
        """The fields of a form."""
        return dict(parse_qsl(self.raw_body.decode("utf-8", "replace")))

    def model(self, shape: type[Body]) -> Body:
        """The body in a shape; refused with the first field that does not fit."""
        return self.fit(shape, self.json())

    def fit(self, shape: type[Body], body: Any) -> Body:
        """A body that was read already, in a shape."""
        try:
            return shape.model_validate(body or {})
        except ValidationError as fault:
            error = fault.errors()[0]
            place = ".".join(str(step) for step in error["loc"])
            raise Refusal(800002, f"{place}: {error['msg']}.") from None

    def customer(self) -> CustomerRecord:
        """The customer in the path."""
        record = self.world.customers.get(self.ids["customer_id"])
        if record is None:
            raise Refusal(1000, self.ids["customer_id"])
        if not record.partners:
            raise Refusal(20002)
        return record

    def subscription(self) -> SubscriptionRecord:
        """The subscription in the path, of the customer in the path."""
        row = self.world.subscriptions.get(self.ids["subscription_id"])
        if row is None or row.customer != self.customer().id:
            raise Refusal(20003, self.ids["subscription_id"])
        return row

    def mentioned(self) -> set[str]:
        """Every id that path, query, body or the header MS-RequestId names, for matching faults."""
        ids = {value.lower() for value in self.ids.values()}
        ids.add(self.headers.get("MS-RequestId", "").strip().lower())
        ids |= {value.lower() for _, value in parse_qsl(self.raw_query)}
        try:
            body = self.json()
        except Refusal:
            body = None
        if isinstance(body, dict):
            addons = body.get("addOnMigrations")
            parts = [body, *(addons if isinstance(addons, list) else [])]
            ids |= {
                str(part.get("currentSubscriptionId", "")).lower() for part in parts if isinstance(part, dict)
            }
        return ids


Handler = Callable[[Call], Answer]


@dataclass(frozen=True)
class Operation:
    """One operation of the API. `page` is the source page with its date, `limit` the rate limit."""

    name: str
    method: str
    path: str
    handler: Handler
    auth: Auth
    page: str
    limit: LimitName | None = None
    query: tuple[str, ...] = ()
    body: type[BaseModel] | None = None
    form: tuple[str, ...] = ()
    answers: int = 200

    @property
    def writes(self) -> bool:
        """Whether a repeated MS-RequestId gets the first answer."""
        return self.method != "GET" and self.auth != "none"


class Operations(list[Operation]):
    """The operations of one resource; the decorator `add` puts a function among them under its own name."""

    def add(
        self,
        method: str,
        path: str,
        *,
        auth: Auth,
        page: str,
        limit: LimitName | None = None,
        query: tuple[str, ...] = (),
        body: type[BaseModel] | None = None,
        form: tuple[str, ...] = (),
        answers: int = 200,
    ) -> Callable[[Handler], Handler]:
        """Registers a handler."""

        def register(handler: Handler) -> Handler:
            name = handler.__name__
            self.append(Operation(name, method, path, handler, auth, page, limit, query, body, form, answers))
            return handler

        return register


class Severed(Response):
    """No answer: the connection is cut. `wait_s` seconds pass first, as long as the caller stays."""

    def __init__(self, wait_s: float = 0.0) -> None:
        super().__init__()
        self._wait_s = wait_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._wait_s:
            await asyncio.sleep(self._wait_s)
        sever = scope.get("extensions", {}).get("simulator.sever")
        if sever is None:
            raise ConnectionAbortedError("the simulator cut the connection")
        sever()
        await asyncio.sleep(0.01)  # the server learns of the cut in its next turn


async def exchange(simulation: Simulation, operation: Operation, request: Request) -> Response:
    """Handles one call."""
    started = time.perf_counter()
    call = Call(
        simulation=simulation,
        operation=operation,
        path=request.url.path,
        ids=request.path_params,
        raw_query=request.url.query,
        headers=request.headers,
        raw_body=await request.body(),
        origin=str(request.base_url).rstrip("/"),
    )
    request_id = _guid(request.headers.get("MS-RequestId"))
    correlation_id = _guid(request.headers.get("MS-CorrelationId"))
    simulation.catch_up()
    fault = simulation.faults.choose(call.world, operation.name, call.mentioned())
    number = simulation.log.next_number()
    answer: Answer | None
    replayed = False
    answer = await _before(call, fault)
    if answer is None:
        answer, replayed = _look_and_do(call, request_id)
    simulation.save()
    response = await _after(call, fault, answer)
    body = answer.body if isinstance(answer.body, dict) else {}
    simulation.log.add(
        LoggedRequest(
            number=number,
            operation=operation.name,
            method=operation.method,
            path=call.path,
            status=None if isinstance(response, Severed) else response.status_code,
            code=body.get("code") if isinstance(body.get("code"), int) else None,
            request_id=request_id,
            correlation_id=correlation_id,
            at=simulation.world.now.isoformat(),
            duration_ms=round((time.perf_counter() - started) * 1000, 1),
            fault=fault.fault.kind if fault else None,
            replayed=replayed,
        )
    )
    response.headers["MS-RequestId"] = request_id
    response.headers["MS-CorrelationId"] = correlation_id
    response.headers["MS-CV"] = request.headers.get("MS-CV") or f"{uuid.uuid4().hex[:16]}.0"
    response.headers["MS-ServerId"] = "simulator"
    response.headers["X-Locale"] = request.headers.get("X-Locale", "en-US")
    return response


async def _before(call: Call, fault: FaultRecord | None) -> Answer | None:
    """What happens before the operation is looked at; an answer ends the call."""
    latency = call.simulation.world.scenario.latency_ms
    wait_ms = latency.get(call.operation.name, latency.get("*", 0.0))
    if wait_ms:
        await asyncio.sleep(wait_ms / 1000)
    if fault is None:
        return None
    plan = fault.fault
    if plan.kind == "slow":
        await asyncio.sleep(plan.seconds)
    elif plan.kind == "hold" and not plan.after:
        call.simulation.save()
        await call.simulation.faults.hold(fault)
    elif plan.kind == "throttle" and not plan.after:
        return _throttled(plan.retry_after if plan.retry_after is not None else 57)
    elif plan.kind == "status" and not plan.after:
        return _fault_answer(fault)
    elif plan.kind == "reset_before":
        return Answer(None, 0)
    elif plan.kind == "stuck":
        call.stuck = fault.id
    return None


def _look_and_do(call: Call, request_id: str) -> tuple[Answer, bool]:
    """Rate limit, token, repeated request id, operation - in one go."""
    simulation, operation = call.simulation, call.operation
    simulation.catch_up()
    world = simulation.world
    try:
        if operation.limit is not None:
            key = call.ids.get("customer_id", "").lower() or world.scenario.provider.tenant_id
            if operation.limit == "create_migration":
                key = world.scenario.provider.tenant_id
            wait_s = simulation.throttle.wait_s(operation.limit, key)
            if wait_s:
                return _throttled(wait_s), False
        mfa = _authorise(call)
        digest = hashlib.sha256(f"{operation.method} {call.path}\n".encode() + call.raw_body).hexdigest()
        known = world.answers.get(request_id) if operation.writes else None
        if known is not None:
            return _repeated(known, digest), True
    except Refusal as refusal:
        return Answer(refusal.body, refusal.status, refusal.headers), False
    try:
        answer = operation.handler(call)
    except Refusal as refusal:
        answer = Answer(refusal.body, refusal.status, refusal.headers)
    if operation.writes:
        world.remember_answer(
            AnswerRecord(
                id=request_id,
                digest=digest,
                status=answer.status,
                body=json.dumps(answer.body),
                headers=dict(answer.headers),
                at=world.now,
            )
        )
    if mfa is not None:
        answer = Answer(answer.body, answer.status, {**answer.headers, "isMfaCompliant": mfa})
    return answer, False


def _repeated(known: AnswerRecord, digest: str) -> Answer:
    """The first answer again; the same id with another request is refused."""
    if known.digest != digest:
        raise Refusal(800002, "The MS-RequestId was used for a different request already.")
    return Answer(json.loads(known.body), known.status, known.headers)


def _authorise(call: Call) -> str | None:
    """Reads the token, refuses what it does not allow; returns `isMfaCompliant` when that was asked for."""
    if call.operation.auth == "none":
        return None
    scheme, _, token = call.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Refusal(800001, headers={"WWW-Authenticate": "Bearer"})
    caller = call.simulation.tokens.read(token.strip())
    invalid = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    if caller is None:
        raise Refusal(800001, headers=invalid)
    if caller.audience != AUDIENCE:
        raise Refusal(900420, headers=invalid)
    if caller.kind == "user" and not caller.mfa:
        raise Refusal(900421, headers=invalid)
    if call.operation.auth == "user" and caller.kind == "app":
        raise Refusal(900329)
    call.caller = caller
    asked = call.headers.get("ValidateMfa", "").lower() == "true"
    return str(caller.mfa).lower() if asked and caller.kind == "user" else None


async def _after(call: Call, fault: FaultRecord | None, answer: Answer) -> Response:
    """The response, or what a fault makes of it."""
    if fault is not None:
        plan = fault.fault
        if plan.kind == "lost_answer":
            return Severed(plan.seconds)
        if plan.kind in ("reset_before", "reset_after"):
            return Severed()
        if plan.kind == "malformed":
            text = json.dumps(answer.body)
            return Response(text[: max(1, len(text) // 2)], answer.status, media_type="application/json")
        if plan.kind == "hold" and plan.after:
            await call.simulation.faults.hold(fault)
        elif plan.after and plan.kind == "status":
            answer = _fault_answer(fault)
        elif plan.after and plan.kind == "throttle":
            answer = _throttled(plan.retry_after if plan.retry_after is not None else 57)
    content = b"" if answer.body is None else json.dumps(answer.body, ensure_ascii=False).encode()
    return Response(content, answer.status, dict(answer.headers), "application/json; charset=utf-8")


def _throttled(seconds: int) -> Answer:
    return Answer(throttled_body(seconds), 429, {"Retry-After": str(seconds)})


def _fault_answer(record: FaultRecord) -> Answer:
    fault = record.fault
    status = fault.status or 503
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return Answer(fault_body(status, fault.code, fault.description), status, headers)


def _guid(text: str | None) -> str:
    """The caller's id, or a new one when there is none."""
    return text.strip() if text and text.strip() else str(uuid.uuid4())
