"""The HTTP servers that carry the application: uvicorn and granian, under the same limits.

Both run in the caller's event loop and neither touches signals, so that the composition root decides when to drain.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, Protocol

import uvicorn
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server as GranianServer
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from hourpass.server.asgi import Receive, Scope, Send
from hourpass.server.config import Settings

Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

BACKLOG = 2_048
SWEEP_EVERY = 1.0


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
                app,
                http=_guarded(settings.header_limit),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=75,
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
        """Close connections that are too slow to say what they want. Uvicorn itself would wait for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            self._give_up_since(loop.time() - self._timeout)

    def _give_up_since(self, instant: float) -> None:
        for connection in list(self._server.server_state.connections):
            if isinstance(connection, _GuardedProtocol) and connection.waiting_since < instant:
                connection.give_up()


class _UvicornServer(uvicorn.Server):
    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]
        return contextlib.nullcontext()


_NEVER = float("inf")


class _GuardedProtocol(HttpToolsProtocol):
    """Uvicorn's protocol with the two limits that it lacks: the header block's size, and the time a request may take.

    `waiting_since` is when the client began to owe us the rest of a request, infinity while it owes nothing.
    """

    header_limit = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waiting_since = self.loop.time()
        self._header_bytes = 0
        self._in_headers = True

    def data_received(self, data: bytes) -> None:
        if self.waiting_since is _NEVER:
            self.waiting_since = self.loop.time()
        if self._in_headers:
            # What arrived with the headers may be body: it counts only while the block is not complete.
            self._header_bytes += len(data)
        super().data_received(data)
        if self._in_headers and self._header_bytes > self.header_limit:
            self._refuse(431)

    def on_message_begin(self) -> None:
        if self.waiting_since is _NEVER:
            # A request that began in the packet in which the one before it ended.
            self.waiting_since = self.loop.time()
        self._in_headers = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_headers = False
        arrived, self._header_bytes = self._header_bytes, 0
        # Some of what arrived may be body; it is told apart only where all of it is too much.
        if arrived > self.header_limit:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > self.header_limit:
                self._refuse(431)
                return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        self.waiting_since = _NEVER
        self._in_headers = True
        if not self.transport.is_closing():
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Uvicorn's own would be plain text; clients read a problem's `title` without looking."""
        self._refuse(400)

    def _unsupported_upgrade_warning(self) -> None:
        """Uvicorn's own would advise the operator to install a WebSocket library."""

    def give_up(self) -> None:
        """Close a connection that did not finish its request in time (RFC 9110 §15.5.9)."""
        self._refuse(408)

    def _refuse(self, status: int) -> None:
        if self.transport.is_closing():
            return
        cycle: RequestResponseCycle | None = self.cycle
        # Into an answer that has begun, nothing may be written; one that has not is ours to give.
        if cycle is None or cycle.response_complete or not cycle.response_started:
            body = _problem(status)
            self.transport.write(
                b"HTTP/1.1 %d %b\r\ncontent-type: application/problem+json\r\ncontent-length: %d\r\n"
                b"connection: close\r\n\r\n%b" % (status, HTTPStatus(status).phrase.encode(), len(body), body)
            )
        self.transport.close()


def _problem(status: int) -> bytes:
    return b'{"type":"about:blank","title":"%b","name":"","status":%d}' % (HTTPStatus(status).phrase.encode(), status)


def _guarded(header_limit: int) -> type[asyncio.Protocol]:
    return type("GuardedProtocol", (_GuardedProtocol,), {"header_limit": header_limit})


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
                await send({"type": "http.response.body", "body": _problem(status)})
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
