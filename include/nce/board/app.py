"""The board as one FastAPI application: pages under `/`, JSON under `/api`, and how each says no."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException as StarletteHTTPException

from include.nce.board import api, pages
from include.nce.board.desk import NotSetUp, OpenDesk
from include.nce.domain.errors import InputRefused

LONGEST_BODY_BYTES = 16_384
OUT_OF_REACH = (SQLAlchemyError, OSError)

log = logging.getLogger(__name__)


def create_app(open_desk: OpenDesk) -> FastAPI:
    """The application; `open_desk` opens ledger and clock for one request."""
    app = FastAPI(
        title="NCE migration board",
        description="Where the campaign stands, and two things to enter. Log in as for Airflow's own API: "
        "`POST /auth/token`, then `Authorization: Bearer`.",
        version="1",
        # The description is a route like the others, with its access declared; its pages load foreign
        # scripts.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.open_desk = open_desk
    app.include_router(api.router, prefix="/api")
    app.include_router(pages.router)
    app.add_middleware(_Modest)
    app.add_middleware(_Headers)
    app.add_exception_handler(StarletteHTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_exception_handler(InputRefused, _not_usable)
    app.add_exception_handler(NotSetUp, _not_set_up)
    for kind in OUT_OF_REACH:
        app.add_exception_handler(kind, _out_of_reach)
    return app


def _said(request: Request, status: int, sentences: list[str], headers: Any = None) -> Response:
    if _for_programs(request):
        return JSONResponse({"detail": " ".join(sentences)}, status, headers=headers)
    return pages.refusal(request, status, sentences, headers)


def _for_programs(request: Request) -> bool:
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    return bool(path.startswith("/api"))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)  # noqa: S101 - registered for it
    return _said(request, error.status_code, [str(error.detail)], error.headers)


async def _unreadable(request: Request, error: Exception) -> Response:
    """Which fields, never what was in them: it goes back to a page, and may be anything."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it
    return _said(
        request, 422, [f"{'.'.join(str(part) for part in fault['loc'][1:]) or 'the form'}: {fault['msg']}."
                       for fault in error.errors()],
    )  # fmt: skip


async def _not_usable(request: Request, error: Exception) -> Response:
    assert isinstance(error, InputRefused)  # noqa: S101 - registered for it
    return _said(request, 404 if request.method == "GET" else 422, error.faults)


async def _not_set_up(request: Request, error: Exception) -> Response:
    assert isinstance(error, NotSetUp)  # noqa: S101 - registered for it
    return _said(request, 503, error.faults)


async def _out_of_reach(request: Request, error: Exception) -> Response:
    log.error("The board cannot reach what it needs: %s", type(error).__name__)
    return _said(
        request, 503,
        ["The ledger or the campaign's clock does not answer, so nothing was shown or changed. Try again; if "
         "it stays so, see that PostgreSQL runs and that connection 'nce_ledger' names it."],
    )  # fmt: skip


Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class _Modest:
    """Refuses a body before it is read: nobody fills the memory of Airflow's API server."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            length = dict(scope["headers"]).get(b"content-length", b"")
            if not length.isdigit() or int(length) > LONGEST_BODY_BYTES:
                refusal = JSONResponse(
                    {"detail": f"Say it in at most {LONGEST_BODY_BYTES} bytes, with their Content-Length."},
                    413,
                )
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


class _Headers:
    """What every answer tells the browser: run nothing, load nothing, show it in no frame, keep no copy."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *pages.SECURITY_HEADERS]
            await send(message)

        await self._app(scope, receive, with_headers)
