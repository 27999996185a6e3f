"""The bodies of requests: in chunks, and in pieces for an application that reads a body while it comes."""

import asyncio
import re
from collections.abc import Callable

from hourpass.server.transport.message import BROKEN, MAX_LINES, RefusedRequest, malformed, read_field
from hourpass.server.transport.request import BodyCutOff

MAX_CHUNKS = 1_024

MAX_CHUNK_LINE = 256
"""The most bytes of a chunk's size line. Its extensions are ignored."""

PIECE = 64 * 1024
"""Bytes of a piece. The last one is shorter, and one that came in chunks may be longer by what was read at once."""

_NAME_OF_EXTENSION = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_CHUNK_SIZE = re.compile(  # without the white space around an extension that RFC 9112 §7.1.1 would let pass
    rb'([0-9A-Fa-f]{1,8})(?:;%b(?:=(?:%b|"[\t !#-\[\]-~]*"))?)*' % (_NAME_OF_EXTENSION, _NAME_OF_EXTENSION)
)


class Chunks:
    """Reads a body in chunks (RFC 9112 §7.1). Its trailers are checked and limited like headers, and then dropped."""

    def __init__(self, limit: int, trailer_limit: int) -> None:
        self.body = bytearray()
        self.whole = False
        self._limit = limit
        self._trailers_left = trailer_limit
        self._lines = self._chunks = 0
        self._size: int | None = None
        self._missing = 0

    def read(self, data: bytes) -> bytes:
        """Take the bytes that belong to the body. Returns the rest, with which the next call must begin.

        Raises:
            RefusedRequest: if the body is malformed or too large.
        """
        at = 0
        while not self.whole:
            if self._missing:
                taken = data[at : at + self._missing]
                self.body += taken
                self._missing -= len(taken)
                at += len(taken)
                if self._missing:
                    break
            end = data.find(b"\r\n", at)
            if end < 0:
                self._wait_for_line(data[at:])
                break
            self._line(data[at:end])
            at = end + 2
        return data[at:]

    def take(self) -> bytes:
        """Take out what has been read of the body. The rest may have as many chunks again."""
        taken = bytes(self.body)
        self.body.clear()
        self._limit -= len(taken)
        self._chunks = 0
        return taken

    def _wait_for_line(self, begun: bytes) -> None:
        limit = self._trailers_left if self._size == 0 else MAX_CHUNK_LINE if self._size is None else 1
        if len(begun) > limit:
            raise malformed() if self._size != 0 else RefusedRequest(431, "headers_too_large")
        if BROKEN.search(begun) or (self._size and begun not in (b"", b"\r")):
            raise malformed()

    def _line(self, line: bytes) -> None:
        """Read one line: the size of a chunk, the empty end of a chunk, or a trailer."""
        if self._size:
            if line:
                raise malformed()
            self._size = None
        elif self._size is None:
            size = _CHUNK_SIZE.fullmatch(line)
            if size is None or len(line) > MAX_CHUNK_LINE:
                raise malformed()
            self._size = self._missing = int(size[1], 16)
            self._chunks += 1
            if len(self.body) + self._size > self._limit or self._chunks > MAX_CHUNKS:
                raise RefusedRequest(413, "body_too_large")
        elif line:
            self._trailers_left -= len(line) + 2
            self._lines += 1
            if self._trailers_left < 0 or self._lines > MAX_LINES:
                raise RefusedRequest(431, "headers_too_large")
            read_field(line)
        else:
            self.whole = True


class BodyStream:
    """An asynchronous iterator over the pieces of one body, which is `length` bytes long or comes in chunks.

    The next piece is read only when the application waits for it, which `ask` reports. So no more than one piece is in
    memory, and a client that sends faster than its data is used must wait.
    """

    __slots__ = ("_ask", "_chunks", "_cut_off", "_length", "_loop", "_waiting", "whole")

    def __init__(
        self, length: int, chunks: Chunks | None, loop: asyncio.AbstractEventLoop, ask: Callable[[], None]
    ) -> None:
        self.whole = False
        self._cut_off = False
        self._length = length
        self._chunks = chunks
        self._loop = loop
        self._ask = ask
        self._waiting: asyncio.Future[bytes] | None = None

    def __aiter__(self) -> "BodyStream":
        return self

    async def __anext__(self) -> bytes:
        """The next piece. Raises BodyCutOff if it will not come."""
        if self._cut_off:
            raise BodyCutOff
        if not self.whole:
            self._waiting = self._loop.create_future()
            self._ask()
            if piece := await self._waiting:
                return piece
        raise StopAsyncIteration

    def read(self, data: bytes) -> tuple[bytes | None, bytes]:
        """A piece that is complete with these bytes, or None, and the rest, with which the next call must begin.

        Raises:
            RefusedRequest: if the body is malformed or too large.
        """
        if self._chunks is not None:
            rest = self._chunks.read(data)
            self.whole = self._chunks.whole
            return (self._chunks.take() if self.whole or len(self._chunks.body) >= PIECE else None), rest
        size = min(PIECE, self._length)
        if len(data) < size:
            return None, data
        self._length -= size
        self.whole = not self._length
        return data[:size], data[size:]

    def give(self, piece: bytes) -> None:
        """Hand a piece to the application, which waits for it."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(piece)

    def cut_off(self) -> None:
        """Tell the application that the rest will not come."""
        self._cut_off = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(BodyCutOff())
