"""Serves listening sockets: limits the number of connections, ends those that take too long, and drains.

It runs in the caller's event loop and touches no signals. The composition root decides when to drain.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence
from email.utils import formatdate

from hourpass.server.telemetry.refusals import ConnectionFault
from hourpass.server.transport.house import ConnectionState
from hourpass.server.transport.http1 import Connection
from hourpass.server.transport.message import refusal
from hourpass.server.transport.render import problem
from hourpass.server.transport.request import Application, Reply

BACKLOG = 2_048
SWEEP_EVERY = 1.0

KEEP_ALIVE = 75.0
"""Seconds for which a connection may be idle. A proxy keeps its own for less time, so the proxy closes it first."""

UNREAD = 10.0
"""Seconds within which a client must read an answer, or the next part of it."""

LEAST_READ = 65_536
"""Bytes of such a part: 50 kbit a second. A client that reads less would keep a long answer in memory for hours."""

LINGER = 2.0
"""Seconds for which a client may still send after a refusal."""

SPARED = 1.0
"""Seconds for which a new connection may stay silent before it can be closed: its request may be on the way."""

LAST_CALL = 0.25
"""Seconds for which a drain leaves an idle connection open. A proxy that sends a request on it just now gets an answer,
which says `connection: close`. It could not send a POST again, because a server that closed may have carried it out."""

KERNEL_BUFFER = 32_768
"""Bytes, which the kernel doubles. They limit what a client may send ahead, and how many answers wait for it."""


class Front:
    """An HTTP server on sockets that are bound already. Timeouts are in seconds, sizes in bytes.

    `report` is called with an error that the application raised, or with that of an answer that cannot be sent.
    """

    def __init__(
        self,
        app: Application,
        listeners: Sequence[socket.socket],
        *,
        clock: Callable[[], int],
        header_limit: int = 16_384,
        request_timeout: float = 10,
        drain_timeout: float = 20,
        max_connections: int = 10_000,
        keep_alive: bool = True,
        refused: Callable[[ConnectionFault, str | None], None] = lambda kind, address: None,
        report: Callable[[Exception], None] = lambda error: None,
        refusal: Callable[[int], Reply] = refusal,
    ) -> None:
        self.app = app
        self.header_limit = header_limit
        self.keep_alive = keep_alive
        self.refused = refused
        self.refusal = refusal
        self._report = report
        self.connections: set[Connection] = set()
        self._listeners = listeners
        self._servers: list[asyncio.Server] = []
        self._clock = clock
        self._request_timeout = request_timeout
        self._drain_timeout = drain_timeout
        self._max_connections = max_connections
        self._sheddable: list[tuple[bool, float, Connection]] = []
        self._listed_at = 0.0

    async def start(self) -> None:
        """Accept connections from now on."""
        self.loop = asyncio.get_running_loop()
        self._tell_time()
        for listener in self._listeners:
            for direction in (socket.SO_RCVBUF, socket.SO_SNDBUF):  # connections inherit both
                listener.setsockopt(socket.SOL_SOCKET, direction, KERNEL_BUFFER)
            create = self.loop.create_unix_server if listener.family == socket.AF_UNIX else self.loop.create_server
            self._servers.append(await create(lambda: Connection(self), sock=listener, backlog=BACKLOG))
        self._swept = asyncio.ensure_future(self._sweep())

    async def drain(self) -> None:
        """Refuse new connections. Return when all requests that have begun are finished, or after the timeout."""
        for server in self._servers:
            server.close()
        await asyncio.sleep(0)  # a request that has arrived already is one that has begun
        self.keep_alive = False
        began = self.loop.time()
        deadline = began + self._drain_timeout
        while self.connections:
            now = self.loop.time()
            over = now >= deadline
            for connection in list(self.connections):
                is_idle = connection.state is ConnectionState.IDLE
                is_spared = now < began + LAST_CALL if is_idle else now < connection.since + SPARED
                if connection.is_silent() and (over or not is_spared):
                    connection.close()
                elif over and connection.state is ConnectionState.READING:
                    connection.refuse(408, "slow")
            if self.loop.time() > deadline + 1:
                for connection in list(self.connections):
                    connection.abort()
            await asyncio.sleep(0.01)
        self._swept.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._swept

    def arrived(self, connection: Connection) -> bool:
        """Note a new connection. False if it is one too many, and none can be closed in its favour."""
        if len(self.connections) >= self._max_connections and not self._shed():
            return False
        self.connections.add(connection)
        return True

    def left(self, connection: Connection) -> None:
        """Note that a connection has ended."""
        self.connections.discard(connection)

    def failed(self, error: Exception) -> Reply:
        """The answer if the application raised an error."""
        self._report(error)
        return problem(error)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            self._tell_time()
            self.end_overdue(self.loop.time())

    def _tell_time(self) -> None:
        self.date = b"date: %b\r\n" % formatdate(self._clock() / 1000, usegmt=True).encode()

    def end_overdue(self, now: float) -> None:
        """End connections that are idle for too long, or too slow to send a request or to read their answer.

        `now` is seconds on the event loop's clock.
        """
        for connection in list(self.connections):
            waited = now - connection.since
            if now - connection.unread_since > UNREAD:
                connection.require_read(now, LEAST_READ)
            elif connection.state is ConnectionState.IDLE and waited > KEEP_ALIVE:
                connection.close()
            elif connection.state is ConnectionState.READING and waited > self._request_timeout:
                connection.refuse(408, "slow")
            elif connection.state is ConnectionState.ENDING and waited > LINGER:
                connection.abort()

    def _shed(self) -> bool:
        """Close the connection that was silent for the longest time, or else the one whose client is most overdue.

        So a crowd of connections that send one byte each, or leave their answers unread, does not keep others out.
        False if none can be closed.
        """
        now = self.loop.time()
        if not self._sheddable and now - self._listed_at >= SWEEP_EVERY:
            self._listed_at = now
            waiting = [(each.is_silent(), -each.since, each) for each in self.connections if self._may_shed(each, now)]
            self._sheddable = sorted(waiting, key=lambda one: one[:2])
        while self._sheddable:
            was_silent, since, connection = self._sheddable.pop()
            if (
                connection in self.connections
                and (connection.is_silent(), -connection.since) == (was_silent, since)
                and self._may_shed(connection, now)
            ):
                self.left(connection)
                connection.abort()
                return True
        return False

    def _may_shed(self, connection: Connection, now: float) -> bool:
        return connection.since < now - SPARED and (
            connection.is_silent()
            or connection.state is ConnectionState.READING
            or connection.unread_since < now - SPARED
        )
