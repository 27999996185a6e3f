"""The bodies of requests: in chunks, and in pieces for an application that reads a body while it comes."""

import asyncio
import re
from collections.abc import Callable

from hourpass.server.transport.message import BROKEN, MAX_LINES, RefusedRequest, malformed, read_field
from hourpass.server.transport.request import BodyCutOff

MAX_CHUNKS = 1_024
"""Chunks of a body, or of one piece of it: reading so many takes the event loop a millisecond or two."""

MAX_CHUNK_LINE = 256
"""The most bytes of a chunk's size line. Its extensions are ignored."""

PIECE = 64 * 1024
"""Bytes of a piece. The last one is shorter, and so is one that came in as many chunks as a piece may have."""

_NAME_OF_EXTENSION = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_CHUNK_SIZE = re.compile(  # without the white space around an extension that RFC 9112 §7.1.1 would let pass
    rb'([0-9A-Fa-f]{1,8})(?:;%b(?:=(?:%b|"[\t !#-\[\]-~]*"))?)*' % (_NAME_OF_EXTENSION, _NAME_OF_EXTENSION)
)


class Chunks:
    """Reads a body in chunks (RFC 9112 §7.1). Its trailers are checked and limited like headers, and then dropped.

    If it is read `in_pieces`, it reads no further than one piece, until that is taken out.
    """

    def __init__(self, limit: int, trailer_limit: int, *, in_pieces: bool = False) -> None:
        self.body = bytearray()
        self.whole = False
        self._room = PIECE if in_pieces else limit
        self._in_pieces = in_pieces
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
        while not self.has_piece():
            if self._missing:
                taken = data[at : at + min(self._missing, self._room - len(self.body))]
                self.body += taken
                self._missing -= len(taken)
                at += len(taken)
                if self._missing:
                    break  # it comes later, or belongs to the next piece
            end = data.find(b"\r\n", at)
            if end < 0:
                self._wait_for_line(data[at:])
                break
            self._line(data[at:end])
            at = end + 2
        return data[at:]

    def has_piece(self) -> bool:
        """Whether nothing more is read before what was read is taken out."""
        if self.whole or not self._in_pieces:
            return self.whole
        return len(self.body) >= self._room or (self._chunks >= MAX_CHUNKS and self._size is None)

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
    memory, beside what came with it, and a client that sends faster than its data is used must wait.
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
            return (self._chunks.take() if self._chunks.has_piece() else None), rest
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
