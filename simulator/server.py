"""Serving the application on a socket, with the one thing a web framework hides: cutting a connection.

Responsible for the address (loopback unless told otherwise) and for refusing a port in use with one sentence.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from simulator.app import create_app
from simulator.simulation import Simulation


class ServerError(Exception):
    """The simulator cannot be served; the message is one sentence."""


class SeverableProtocol(H11Protocol):
    """HTTP over h11 whose connection a call may cut: the scope carries the way to do it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        application = self.app

        async def with_sever(scope: Any, receive: Any, send: Any) -> None:
            scope.setdefault("extensions", {})["simulator.sever"] = transport.abort
            await application(scope, receive, send)

        self.app = with_sever


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, or `ServerError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, or asyncio does not see that it is TCP, and each answer waits 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as fault:
        listener.close()
        if fault.errno == errno.EADDRINUSE:
            raise ServerError(
                f"Port {port} on {host} is in use by another program; stop that one or choose another one "
                "with --port."
            ) from None
        raise ServerError(f"{host}:{port} cannot be listened on: {fault.strerror}.") from None
    return listener


def serve(simulation: Simulation, listener: socket.socket) -> None:
    """Serves until the process is asked to stop."""
    config = uvicorn.Config(
        create_app(simulation),
        http=SeverableProtocol,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=3,
        lifespan="on",
    )
    uvicorn.Server(config).run(sockets=[listener])
