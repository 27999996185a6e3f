"""What carries the application over HTTP: a carrier's shape, and uvicorn, the default one.

Carriers run in the caller's event loop and touch no signals, so that the composition root decides when to drain.
"""

import asyncio
import contextlib
import socket
from typing import Protocol

import uvicorn

from hourpass.server.asgi import Asgi
from hourpass.server.config import Settings
from hourpass.server.protocol import Answering, GuardedProtocol, Refused, guarded, in_one_piece

BACKLOG = 2_048
SWEEP_EVERY = 1.0

RECEIVE_BUFFER = 32_768
"""Bytes, which the kernel doubles: what a client may send ahead, while its requests are answered one by one."""

KEEP_ALIVE = 75.0
"""Seconds for which a connection may be idle: longer than a proxy keeps its own, so that the proxy is who closes it."""


class Carrier(Protocol):
    """A running HTTP server."""

    async def start(self) -> None:
        """Accept connections from now on."""

    async def drain(self) -> None:
        """Refuse new connections, let requests in flight finish, and return when they have or their time is up."""


class Uvicorn:
    """Uvicorn with httptools, on a socket that is bound already."""

    def __init__(
        self,
        app: Asgi,
        listener: socket.socket,
        settings: Settings,
        refused: Refused = lambda kind, address: None,
    ) -> None:
        self._listener = listener
        self._timeout = settings.request_timeout
        self._drain_timeout = settings.drain_timeout
        limit = settings.header_limit
        application, protocol = app, guarded(limit, refused)
        if isinstance(app, Answering):
            application, protocol = in_one_piece(app), guarded(limit, refused, app.answer_at_once)
        self._server = _UvicornServer(
            uvicorn.Config(
                application,
                http=protocol,
                interface="asgi3",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=settings.drain_timeout + 1,
                backlog=BACKLOG,
            )
        )

    async def start(self) -> None:
        """Accept connections from now on."""
        self._served = asyncio.ensure_future(self._server.serve(sockets=[self._listener]))
        self._swept = asyncio.ensure_future(self._sweep())
        while not self._server.started and not self._served.done():
            await asyncio.sleep(0.005)
        if self._served.done():
            self._served.result()

    async def drain(self) -> None:
        """Refuse new connections and finish what is in flight."""
        self._server.should_exit = True
        await asyncio.wait([self._served], timeout=self._drain_timeout)
        self._swept.cancel()
        # Who still owes us a request has had the time for it; uvicorn would cancel what waits, with a traceback each.
        self._give_up_since(asyncio.get_running_loop().time())
        await self._served

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            self.close_overdue(asyncio.get_running_loop().time())

    def close_overdue(self, now: float) -> None:
        """Close connections that are idle, or too slow to say what they want, for which uvicorn would wait for ever.

        `now` is seconds on the event loop's clock.
        """
        self._give_up_since(now - self._timeout)
        for connection in self._connections():
            if connection.idle_since < now - KEEP_ALIVE:
                connection.timeout_keep_alive_handler()

    def _give_up_since(self, instant: float) -> None:
        for connection in self._connections():
            if connection.waiting_since < instant:
                connection.give_up()

    def _connections(self) -> list[GuardedProtocol]:
        return [each for each in self._server.server_state.connections if isinstance(each, GuardedProtocol)]


class _UvicornServer(uvicorn.Server):
    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]
        return contextlib.nullcontext()


def bind(host: str, port: int) -> socket.socket:
    """A bound TCP socket; port 0 takes a free one. Raises OSError."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)  # its connections inherit it
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener
