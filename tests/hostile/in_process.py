"""A connection of the HTTP front without a socket: what it wrote, and the requests that it understood."""

import asyncio
from collections import deque
from collections.abc import Callable

from hourpass.server.transport.body import PIECE
from hourpass.server.transport.http1 import Connection
from hourpass.server.transport.message import refusal
from hourpass.server.transport.request import BodyCutOff, Reply, Request

BODY_LIMIT = 8_192
HEADER_LIMIT = 16_384
AT_ONCE = 65_536
"""As much as a transport reads at once."""

STREAM_LIMIT = 200_000

REFUSALS = {400, 413, 431}


class Later:
    """Awaited by an application that does not answer at once: the loop goes round before it goes on."""

    def __await__(self):
        yield


class Loop:
    """As much of an event loop as a connection needs. It runs when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self._ready: deque[Callable[[], None]] = deque()

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[..., None], *arguments: object, context: object = None) -> None:
        self._ready.append(lambda: callback(*arguments))

    def create_future(self) -> asyncio.Future:
        return asyncio.Future(loop=self)  # type: ignore[arg-type]

    def get_debug(self) -> bool:
        return False

    def run(self) -> None:
        """Until nothing is left to do."""
        while self._ready:
            self._ready.popleft()()


class Wire(asyncio.Transport):
    """Remembers what was written, and whether more is wanted."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.reading = True
        self.closed = False
        self.ended = False

    def get_extra_info(self, name, default=None):
        return ("192.0.2.1", 1) if name == "peername" else default

    def set_write_buffer_limits(self, high=None, low=None):
        pass

    def get_write_buffer_size(self):
        return len(self.written)  # nobody reads it

    def write(self, data):
        assert not self.closed
        assert not self.ended
        self.written += data

    def write_eof(self):
        self.ended = True

    def pause_reading(self):
        self.reading = False

    def resume_reading(self):
        self.reading = True

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True

    def abort(self):
        self.closed = True


class Recorder:
    """The house and its application: answers everything with 200, and remembers what it was asked."""

    header_limit = HEADER_LIMIT
    keep_alive = True
    date = b""
    streams = ("/stream",)

    def __init__(self) -> None:
        self.app = self
        self.loop = Loop()
        self.requests: list[Request] = []
        self.refusals: list[str] = []
        self.failures: list[Exception] = []
        self.cut_off = False
        self.open = 0

    def arrived(self, connection):
        self.open += 1
        return True

    def left(self, connection):
        self.open -= 1

    def refusal(self, status):
        return refusal(status)

    def refused(self, kind, address):
        self.refusals.append(kind)

    def failed(self, error):
        self.failures.append(error)
        return Reply(500, [], b"")

    def body_limit(self, path):
        return STREAM_LIMIT if path in self.streams else BODY_LIMIT

    def answer_at_once(self, request):
        return None if request.path.startswith("/later") else self._reply(request)

    async def answer(self, request):
        await Later()
        try:
            await self._read(request)
        except BodyCutOff:
            self.cut_off = True
            return Reply(400, [])
        return self._reply(request)

    async def _read(self, request):
        """The whole of a stream, with a pause behind each piece. No more than the start, if the query says so."""
        if request.stream is None:
            return
        async for piece in request.stream:
            request.body += piece
            await Later()
            if request.query == b"start":
                self.cut_off = True
                raise BodyCutOff

    def _reply(self, request):
        self.requests.append(request)
        return Reply(200, [(b"tag", b"%d" % len(self.requests))])


class Client:
    """One connection, and what came of it."""

    def __init__(self) -> None:
        self.house = Recorder()
        self.wire = Wire()
        self.connection = Connection(self.house)
        self.connection.connection_made(self.wire)
        self._kept = b""

    def send(self, data: bytes) -> "Client":
        """Bytes of the client, which a transport keeps until somebody reads them."""
        self._kept += data
        self._deliver()
        return self

    def _deliver(self) -> None:
        while self._kept and self.wire.reading and not self.wire.closed:
            data, self._kept = self._kept[:AT_ONCE], self._kept[AT_ONCE:]
            self.connection.data_received(data)

    def run(self) -> "Client":
        self.house.loop.run()
        while self._kept and self.wire.reading and not self.wire.closed:
            self._deliver()
            self.house.loop.run()
        return self

    def end(self) -> "Client":
        """The client sends no more, and leaves."""
        if not (self.wire.closed or self.connection.eof_received()):
            self.wire.close()
        self.run()
        self.connection.connection_lost(None)
        return self

    @property
    def understood(self) -> list[tuple[str, bytes]]:
        """The method and body of each request that was answered."""
        return [(request.method, request.body) for request in self.house.requests]

    @property
    def stopped(self) -> bool:
        """Whether it reads nothing more: it refused, or said that it closes."""
        return self.wire.closed or self.wire.ended

    @property
    def held(self) -> int:
        """Bytes of the client that the connection keeps."""
        stream = self.connection._stream
        chunks = self.connection._chunks if stream is None else stream._chunks
        return len(self.connection._buffer) + (len(chunks.body) if chunks else 0)

    def check(self) -> None:
        """The rules that hold after any bytes. AssertionError if one is broken."""
        assert self.house.failures == []
        told = [answer for answer in answers(bytes(self.wire.written)) if answer[0] != 100]
        refused = told.pop() if told and told[-1][0] != 200 else None
        assert told == [(200, b"%d" % (number + 1)) for number in range(len(told))]
        assert len(told) <= len(self.house.requests) <= len(told) + 1, "each is answered before the next is asked"
        assert refused is None or (refused[0] in REFUSALS and self.stopped)
        assert refused is None or self.house.cut_off or self.house.refusals
        assert refused is not None or not self.house.refusals
        assert self.held <= max(BODY_LIMIT + HEADER_LIMIT, PIECE) + AT_ONCE
        assert all(len(request.body) <= self.house.body_limit(request.path) for request in self.house.requests)


def answers(written: bytes) -> list[tuple[int, bytes]]:
    """The status and tag of each answer, in order."""
    found = []
    while written:
        head, _, rest = written.partition(b"\r\n\r\n")
        headers = dict(line.split(b": ") for line in head.split(b"\r\n")[1:])
        found.append((int(head[9:12]), headers.get(b"tag", b"")))
        written = rest[int(headers.get(b"content-length", 0)) :]
    return found


def play(raw: bytes, moves: bytes) -> Client:
    """Send bytes in pieces, and between them let the loop run or the client stop reading, as the moves say."""
    client = Client()
    at = 0
    for move in moves:
        size = (move & 0x3F) ** 2 or 1
        client.send(raw[at : at + size])
        at += size
        if move & 0x40:
            client.run()
        if move & 0x80:
            before = len(client.house.requests)
            client.connection.pause_writing()
            client.run()
            assert len(client.house.requests) <= before + 1, "nothing is answered to a client that does not read"
            client.connection.resume_writing()
        client.check()
    client.send(raw[at:])
    if not moves or moves[-1] & 0x20:
        client.run().check()
    client.end().check()
    assert client.stopped
    assert client.house.open == 0
    return client
