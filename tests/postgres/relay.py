"""A relay in front of PostgreSQL's unix socket: it counts round trips, and may take its time as a network does."""

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

SOCKET = ".s.PGSQL.5432"


class Relay:
    """Listens in a folder of its own, in a thread of its own. `delay` is in seconds, each way."""

    def __init__(self, server: Path, *, delay: float = 0.0) -> None:
        self._server = server
        self._delay = delay
        self._folder = tempfile.TemporaryDirectory(prefix="hp-relay-")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay")
        self._writers: set[asyncio.StreamWriter] = set()
        self.round_trips = 0

    @property
    def folder(self) -> str:
        """The `host` of a URL."""
        return self._folder.name

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._begin(), self._loop).result(5)
        return self

    def __exit__(self, *exception: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()
        self._folder.cleanup()

    async def _begin(self) -> None:
        self._listener = await asyncio.start_unix_server(self._serve, Path(self.folder, SOCKET))

    async def _end(self) -> None:
        self._listener.close()
        for writer in self._writers:
            writer.close()
        if others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others, timeout=5)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_unix_connection(self._server / SOCKET)
        self._writers |= {writer, to_writer}
        last = "server"

        def from_client() -> None:
            nonlocal last
            self.round_trips += last == "server"
            last = "client"

        def from_server() -> None:
            nonlocal last
            last = "server"

        await asyncio.gather(self._pump(reader, to_writer, from_client), self._pump(to_reader, writer, from_server))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Callable[[], None]) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                seen()
                self._loop.call_later(self._delay, writer.write, data)
        self._loop.call_later(self._delay, writer.close)
