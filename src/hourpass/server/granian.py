"""Granian as a carrier, under the limits that uvicorn has. Loaded where it is chosen."""

import asyncio
import contextlib
from collections.abc import MutableMapping
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from hourpass.server.asgi import Asgi, Receive, Scope, Send
from hourpass.server.config import Settings
from hourpass.server.http import BACKLOG
from hourpass.server.protocol import problem_body


class Granian:
    """Granian, embedded. It binds the address itself."""

    def __init__(self, app: Asgi, settings: Settings) -> None:
        self._app = app
        self._in_flight = 0
        self._reading: set[asyncio.Timeout] = set()
        self._timeout = settings.request_timeout
        self._drain_timeout = settings.drain_timeout
        self._address = (settings.host, settings.port)
        self._server = Server(
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
