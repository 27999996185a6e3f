"""The HTTP servers that carry the application: uvicorn and granian, under the same limits.

Both run in the caller's event loop and neither touches signals, so that the composition root decides when to drain.
"""

import asyncio
import contextlib
import socket
from collections.abc import MutableMapping
from typing import Any, Protocol

import uvicorn
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server as GranianServer

from hourpass.server.asgi import Asgi, Receive, Scope, Send
from hourpass.server.config import Settings
from hourpass.server.protocol import Answering, GuardedProtocol, guarded, in_one_piece, problem_body

BACKLOG = 2_048
SWEEP_EVERY = 1.0

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

    def __init__(self, app: Asgi, listener: socket.socket, settings: Settings) -> None:
        self._listener = listener
        self._timeout = settings.request_timeout
        self._drain_timeout = settings.drain_timeout
        self._server = _UvicornServer(
            uvicorn.Config(
                in_one_piece(app) if isinstance(app, Answering) else app,
                http=guarded(settings.header_limit),
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


class Granian:
    """Granian, embedded. It binds the address itself."""

    def __init__(self, app: Asgi, settings: Settings) -> None:
        self._app = app
        self._in_flight = 0
        self._reading: set[asyncio.Timeout] = set()
        self._timeout = settings.request_timeout
        self._drain_timeout = settings.drain_timeout
        self._address = (settings.host, settings.port)
        self._server = GranianServer(
            self._counted,
            address=settings.host,
            port=settings.port,
            interface=Interfaces.ASGINL,
            # Not HTTP/2: it would wait for its preface without end, and has limits of its own.
            http=HTTPModes.http1,
            websockets=False,
            backlog=BACKLOG,
            http1_settings=HTTP1Settings(
                header_read_timeout=settings.request_timeout * 1000, max_buffer_size=settings.header_limit
            ),
            log_enabled=False,
        )

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Granian gives a body all the time in the world, and answers 500 where the application gave up on one."""
        deadline = asyncio.get_running_loop().time() + self._timeout
        status, answered = 400, False

        async def receive_in_time() -> MutableMapping[str, Any]:
            nonlocal status
            try:
                async with asyncio.timeout_at(deadline) as limit:
                    self._reading.add(limit)
                    try:
                        return await receive()
                    finally:
                        self._reading.discard(limit)
            except TimeoutError:
                status = 408
                return {"type": "http.disconnect"}

        async def send_on(message: MutableMapping[str, Any]) -> None:
            nonlocal answered
            answered = True
            await send(message)

        self._in_flight += 1
        try:
            await self._app(scope, receive_in_time, send_on)
            if not answered:
                headers = [(b"content-type", b"application/problem+json"), (b"connection", b"close")]
                await send({"type": "http.response.start", "status": status, "headers": headers})
                await send({"type": "http.response.body", "body": problem_body(status)})
        finally:
            self._in_flight -= 1

    async def start(self) -> None:
        """Accept connections from now on."""
        self._served = asyncio.ensure_future(self._server.serve())
        while not self._served.done():
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(*self._address)
                writer.close()
                return
            await asyncio.sleep(0.01)
        self._served.result()

    async def drain(self) -> None:
        """Refuse new connections and finish what is in flight."""
        self._server.stop()  # type: ignore[no-untyped-call]
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._drain_timeout
        while self._in_flight and loop.time() < deadline:
            await asyncio.sleep(0.01)
        # Bodies that are still on their way have had their time; granian itself would wait for them without end.
        for limit in list(self._reading):
            limit.reschedule(loop.time())
        await asyncio.wait([self._served], timeout=max(1.0, deadline - loop.time()))


def bind(host: str, port: int) -> socket.socket:
    """A bound TCP socket; port 0 takes a free one. Raises OSError."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener
