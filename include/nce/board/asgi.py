"""What the plugin hands to Airflow: the board, built when somebody first asks for it.

Plugins load in every process of Airflow, tasks too. An application that is built then costs each of them most
of a second; this costs nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class LazyBoard:
    """An ASGI application. `desk` names what opens the world, as `module:function` (see `board.desk`)."""

    def __init__(self, desk: str) -> None:
        self._desk = desk
        self._app: Callable[[Scope, Receive, Send], Awaitable[None]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None:
            from include.nce.board.app import create_app

            module, _, name = self._desk.partition(":")
            self._app = create_app(getattr(importlib.import_module(module), name))
        await self._app(scope, receive, send)
