"""An HTTP/1.1 connection: it reads one request at a time, lets the application answer, and writes that in one piece."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from hourpass.server.telemetry.refusals import ConnectionFault
from hourpass.server.transport.body import BodyStream, Chunks
from hourpass.server.transport.house import ConnectionState, House
from hourpass.server.transport.message import IN_CHUNKS, RefusedRequest, answer, find_head, last_answer, read_head
from hourpass.server.transport.request import Reply, Request

NEVER = float("inf")

MAX_DISCARDED = 262_144
"""How many bytes a client may still send after a refusal. If we closed at once, it might never see the refusal."""


IDLE, READING, ANSWERING, ENDING = ConnectionState
"""The members as names of the module, because looking up a member of a class is slow."""


class Connection(asyncio.Protocol):
    """One client. The house checks `state`, `since` and `unread_since` regularly, so no connection needs a timer.

    `since` is when the state began, on the loop's clock. While an answer waits for the client to read it, the client
    must take its next part of it from `unread_since` on.
    """

    __slots__ = (
        "_buffer", "_chunks", "_discarded", "_house", "_keep", "_left", "_length", "_paused", "_peer", "_request",
        "_scanned", "_stream", "_transport", "_unread", "_waits", "_work", "since", "state", "unread_since",
    )  # fmt: skip

    _transport: asyncio.Transport
    _work: Coroutine[Any, Any, Reply]

    def __init__(self, house: House) -> None:
        self._house = house
        self.state = READING
        self.since = house.loop.time()
        self.unread_since = NEVER
        self._buffer = b""
        self._scanned = self._discarded = self._length = self._unread = 0
        self._request: Request | None = None
        self._chunks: Chunks | None = None
        self._stream: BodyStream | None = None
        self._keep = True
        self._paused = self._left = self._waits = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        peer = transport.get_extra_info("peername")
        # A unix socket's peer is on this machine.
        self._peer = peer[0] if isinstance(peer, tuple) else "127.0.0.1"
        # Without its own buffer the transport writes at once, and tells us when the client does not read.
        self._transport.set_write_buffer_limits(high=0)
        if not self._house.arrived(self):
            self._house.refused("too_many", self._peer)
            self._transport.write(last_answer(self._house.refusal(503)))
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._left = True
        self._buffer, self._request = b"", None
        self._cut_off()
        self._house.left(self)

    def eof_received(self) -> bool:
        """The client has finished sending. A request in progress still gets its answer, but no other one is started."""
        self._left = True
        return self.state is ANSWERING

    def data_received(self, data: bytes) -> None:
        if self.state is ENDING:
            self._discarded += len(data)
            if self._discarded > MAX_DISCARDED:
                self._transport.abort()
            return
        self._buffer = self._buffer + data if self._buffer else data
        if self.state is ANSWERING or self.unread_since is not NEVER:
            self._pause()
        else:
            self._read()

    def pause_writing(self) -> None:
        self.unread_since, self._unread = self._house.loop.time(), self._transport.get_write_buffer_size()

    def resume_writing(self) -> None:
        self.unread_since = NEVER
        self.since = self._house.loop.time()  # only now it is idle
        self._go_on()

    # Reading.

    def _read(self) -> None:
        """Read what has come, up to the end of one request, and answer the request when it is complete."""
        try:
            if self._stream is not None:
                self._read_stream(self._stream)
                return
            whole = (self._request is not None or self._read_head()) and self._read_body()
        except RefusedRequest as error:
            self.refuse(error.status, error.kind)
            return
        if whole and self._request is not None:
            self._answer(self._request)
        elif self.state is IDLE:
            self.state, self.since = READING, self._house.loop.time()

    def _read_head(self) -> bool:
        data, house = self._buffer, self._house
        start, end = 0, data.find(b"\r\n\r\n")
        if not 0 < end <= house.header_limit - 4 or data[:1] == b"\r":
            # In the common case the whole header block comes at once. This is the other one.
            start, end = find_head(data, self._scanned, house.header_limit)
            if end < 0:
                self._scanned = len(data)
                return False
        self._request, (self._length, self._keep, self._waits) = read_head(data[start:end], self._peer)
        self._buffer, self._scanned = data[end + 4 :], 0
        if self._length:
            path = self._request.path
            limit = house.app.body_limit(path)
            if self._length > limit:
                raise RefusedRequest(413, "body_too_large")
            in_pieces = path in house.app.streams
            if self._length == IN_CHUNKS:
                self._chunks = Chunks(limit, house.header_limit, in_pieces=in_pieces)
            if in_pieces:
                self._request.stream = self._stream = BodyStream(self._length, self._chunks, house.loop, self._ask)
                self._length, self._chunks = 0, None  # so the request is complete with its head
            elif self._waits:
                self._continue()
        return True

    def _continue(self) -> None:
        if self._waits and not self._buffer:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._waits = False

    def _read_body(self) -> bool:
        request, length = self._request, self._length
        if length == 0 or request is None:
            return True
        if self._chunks is not None:
            self._buffer = self._chunks.read(self._buffer)
            if not self._chunks.whole:
                return False
            request.body, self._chunks = bytes(self._chunks.body), None
        else:
            if len(self._buffer) < length:
                return False
            request.body, self._buffer = self._buffer[:length], self._buffer[length:]
        return True

    def _read_stream(self, stream: BodyStream) -> None:
        piece, self._buffer = stream.read(self._buffer)
        if piece is not None:
            self.state = ANSWERING
            stream.give(piece)

    def _ask(self) -> None:
        """The application waits for the next piece of the body. It has the time of a request to come."""
        self.state, self.since = READING, self._house.loop.time()
        self._continue()
        self._go_on()
        if self.state is READING and (self._left or self._gone()):
            self._cut_off()

    def _cut_off(self) -> None:
        if self._stream is not None:
            self._stream.cut_off()
            self._stream = None

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    def _go_on(self) -> None:
        """Read the next request, if it came before the client has taken the answer to the last one."""
        if self.state not in (IDLE, READING) or self.unread_since is not NEVER or self._gone():
            return
        if self._buffer:
            self._read()
        if self._wants_more():
            self._resume()

    def _wants_more(self) -> bool:
        return self.state is READING or (self.state is IDLE and not self._buffer)

    def _gone(self) -> bool:
        return self._transport.is_closing()

    # Answering.

    def _answer(self, request: Request) -> None:
        house = self._house
        self.state = ANSWERING
        try:
            reply = house.app.answer_at_once(request) if request.method == "GET" else None
        except Exception as error:  # noqa: BLE001 - every failure gets an answer
            reply = house.failed(error)
        if reply is not None:
            self._say(reply)
            return
        self._work = house.app.answer(request)
        self._carry_on()

    def _carry_on(self, awaited: object = None) -> None:
        """Run the application until it has the answer or waits for a future. The future then calls us back.

        A task would do the same, but costs 3 % of an exchange.
        """
        try:
            future = self._work.send(None)
        except StopIteration as done:
            reply: Reply = done.value
        except Exception as error:  # noqa: BLE001 - as above
            reply = self._house.failed(error)
        else:
            if future is None:  # it yields to others
                self._house.loop.call_soon(self._carry_on)
            else:
                future._asyncio_future_blocking = False  # noqa: SLF001 - a task does the same when it takes a future
                future.add_done_callback(self._carry_on)
            return
        del self._work
        self._say(reply)

    def _say(self, reply: Reply) -> None:
        request, self._request = self._request, None
        if request is None or self._gone():
            return
        house, stream, self._stream = self._house, self._stream, None
        is_read = stream is None or stream.whole
        close = not self._keep or not house.keep_alive or self._left or not is_read
        try:
            raw = answer(reply, house.date, head_only=request.method == "HEAD", close=close)
        except ValueError as error:
            raw = answer(house.failed(error), house.date, head_only=request.method == "HEAD", close=close)
        if not is_read:
            self._end(raw)
            return
        self.state, self.since = IDLE, house.loop.time()
        self._transport.write(raw)
        if close:
            self._transport.close()
        elif self._buffer:
            # Requests that came together take turns with those of other clients.
            self._pause()
            house.loop.call_soon(self._go_on)
        elif self._paused:
            self._go_on()

    # Ending.

    def is_silent(self) -> bool:
        """Whether no part of a request has come, and no answer is on its way."""
        waits = self.state is IDLE or (self.state is READING and self._request is None)
        return waits and not self._buffer and self.unread_since is NEVER

    def refuse(self, status: int, kind: ConnectionFault) -> None:
        """Send the reason, and end the connection."""
        if self._gone():
            return
        self._house.refused(kind, self._peer)
        self._end(last_answer(self._house.refusal(status)))
        self._cut_off()

    def _end(self, raw: bytes) -> None:
        """Send the last answer."""
        self.state, self.since = ENDING, self._house.loop.time()
        self._buffer, self._request, self._chunks = b"", None, None
        self._transport.write(raw)
        self._transport.write_eof()
        # Everything that it still sends is read and discarded. Otherwise the kernel would also discard the answer.
        self._resume()

    def close(self) -> None:
        """End the connection after everything written has been sent."""
        self._transport.close()

    def abort(self) -> None:
        """End the connection now."""
        self._transport.abort()

    def require_read(self, now: float, least: int) -> None:
        """End the connection if the client took less of its answer than this. Who has taken all is not asked."""
        waits = self._transport.get_write_buffer_size()
        if self._unread - waits < least:
            self._house.refused("unread", self._peer)
            self._transport.abort()
        self.since = self.unread_since = now
        self._unread = waits
