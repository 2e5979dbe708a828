"""The web application: every operation of Partner Center that the simulator has, and the control surface."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from simulator.control import control_router
from simulator.errors import ERROR_SHAPE, SIGN_IN_ERROR_SHAPE
from simulator.exchange import Operation, exchange
from simulator.routes import OPERATIONS
from simulator.simulation import Simulation


def create_app(simulation: Simulation) -> FastAPI:
    """An application around one simulation; closing it saves the state."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        simulation.close()

    app = FastAPI(title="Partner Center simulator", version="1", lifespan=lifespan, redirect_slashes=False)
    app.include_router(control_router(simulation))
    for operation in OPERATIONS:
        app.add_api_route(
            operation.path,
            _endpoint(simulation, operation),
            methods=[operation.method],
            operation_id=operation.name,
            name=operation.name,
            description=operation.handler.__doc__,
            status_code=operation.answers,
            response_class=Response,
            openapi_extra=_documented(operation),
            tags=["sign-in" if operation.auth == "none" else "partner-center"],
        )

    @app.exception_handler(404)
    @app.exception_handler(405)
    async def unknown(request: Request, fault: Exception) -> Response:
        status = fault.status_code if isinstance(fault, HTTPException) else 404
        if request.url.path.startswith("/__sim__"):
            return JSONResponse({"detail": getattr(fault, "detail", "Not found")}, status)
        description = f"The simulator has no operation {request.method} {request.url.path}."
        return JSONResponse(
            {"code": 1000, "description": description, "data": [], "source": "simulator"}, status
        )

    return app


def _endpoint(simulation: Simulation, operation: Operation) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await exchange(simulation, operation, request)

    return endpoint


@functools.cache
def _documented(operation: Operation) -> dict[str, Any]:
    """What OpenAPI cannot read from the endpoint: parameters, body, token kind and source page."""
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", operation.path)
    ] + [{"name": name, "in": "query", "schema": {"type": "string"}} for name in operation.query]
    shape = SIGN_IN_ERROR_SHAPE if operation.auth == "none" else ERROR_SHAPE
    extra: dict[str, Any] = {
        "parameters": parameters,
        "responses": {
            "4XX": {"description": "A refusal.", "content": {"application/json": {"schema": shape}}}
        },
        "x-token": operation.auth,
        "x-source-page": operation.page,
    }
    if operation.body is not None:
        schema = operation.body.model_json_schema(by_alias=True)
        extra["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _inlined(schema)}},
        }
    if operation.form:
        fields = {name: {"type": "string"} for name in operation.form}
        content = {"application/x-www-form-urlencoded": {"schema": {"type": "object", "properties": fields}}}
        extra["requestBody"] = {"required": True, "content": content}
    return extra


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without references: a shape that contains itself ends as a plain object."""
    shapes = schema.pop("$defs", {})

    def resolve(node: Any, inside: tuple[str, ...]) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                name = node["$ref"].rsplit("/", 1)[1]
                return {"type": "object"} if name in inside else resolve(shapes[name], (*inside, name))
            return {key: resolve(value, inside) for key, value in node.items()}
        return [resolve(item, inside) for item in node] if isinstance(node, list) else node

    resolved: dict[str, Any] = resolve(schema, ())
    return resolved
