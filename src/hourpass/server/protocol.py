"""Uvicorn's HTTP/1.1 protocol, with what it lacks: limits on a request, answers in one piece, and at once."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Protocol, cast, runtime_checkable

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from hourpass.server.asgi import UNSIZED, Asgi, Receive, Reply, Scope, Send
from hourpass.server.refusals import Kind


@runtime_checkable
class Answering(Protocol):
    """An ASGI application that can say its whole answer at once; None where the client has left."""

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """As every ASGI application."""

    def answer(self, scope: Scope, receive: Receive, body: bytes | None = None) -> Awaitable[Reply | None]:
        """The answer to a request; `body` is there where all of it has arrived."""

    def answer_at_once(self, scope: Scope) -> Reply | None:
        """The answer where it can be said without waiting, whatever the body."""


def in_one_piece(app: Answering) -> Asgi:
    """The application, for uvicorn: an answer is one write, where ASGI's two messages would be two.

    That is a system call and a packet less for each request, and headers that come again and again are checked and
    joined once.
    """

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        cycle = cast("RequestResponseCycle", send.__self__)  # type: ignore[attr-defined]
        arrived = not (cycle.more_body or cycle.disconnected or cycle.waiting_for_100_continue)
        reply = await app.answer(scope, receive, bytes(cycle.body) if arrived else None)
        if reply is not None:
            if cycle.flow.write_paused and not cycle.disconnected:
                await cycle.flow.drain()
            _write(cycle, reply)

    return run


def _write(cycle: RequestResponseCycle, reply: Reply) -> None:
    """Write a whole answer, as `RequestResponseCycle.send` writes the parts of one."""
    if cycle.disconnected:
        return
    head = _head(reply, cycle.default_headers) + (b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
    cycle.waiting_for_100_continue = False
    cycle.response_started = cycle.response_complete = True
    cycle.transport.write(head if cycle.scope["method"] == "HEAD" else head + reply.body)
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()


def _head(reply: Reply, default_headers: list[tuple[bytes, bytes]]) -> bytes:
    """An answer's first lines, but for what ends them."""
    head = STATUS_LINE[reply.status] + _lines(*default_headers) + _lines(*reply.headers)
    return head if reply.status in UNSIZED else head + b"content-length: %d\r\n" % len(reply.body)


_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")


@lru_cache(maxsize=4_096)
def _lines(*headers: tuple[bytes, bytes]) -> bytes:
    """The headers as they travel. ValueError where one would become two (RFC 9110 §5.5)."""
    if any(_NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None for name, value in headers):
        raise ValueError("no header")
    return b"".join(b"%b: %b\r\n" % header for header in headers)


_NEVER = float("inf")

_KINDS: dict[int, Kind] = {400: "malformed", 408: "slow", 431: "headers_too_large"}

Refused = Callable[[Kind, str | None], None]
"""Is told why a connection was refused, and its peer's address."""


class GuardedProtocol(HttpToolsProtocol):
    """Uvicorn's protocol with the two limits that it lacks: the header block's size, and the time a request may take.

    The base class is named in its methods' calls, because `super()` takes longer than most of what is done here.

    `waiting_since` is when the client began to owe us the rest of a request, `idle_since` when nobody owed anything any
    more; infinity while that is not so. Whoever made the connection's server looks at both now and then: a timer for
    each request would cost more than all else here.
    """

    header_limit = 0
    answer_at_once: Callable[[Scope], Reply | None]
    refused: Refused

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waiting_since = self.loop.time()
        self.idle_since = _NEVER
        self._header_bytes = 0
        self._in_headers = True
        self._first = True
        self._answered = False
        self._waiting = b""
        self._read = 0
        self._body_left = 0
        self._retelling = False

    def data_received(self, data: bytes) -> None:
        self._first = True
        if self.waiting_since is _NEVER and not self._answering():
            self.waiting_since = self.loop.time()
            self.idle_since = _NEVER
        self._waiting = self._waiting[self._read :] + data
        self._read = 0
        self._read_on()

    def _read_on(self) -> None:
        """Read what has come, up to the end of one request; the next is read when this one has its answer."""
        while self._read < len(self._waiting) and not self.transport.is_closing():
            if self._answering() or self.flow.write_paused:
                self.flow.pause_reading()
                return
            start, self._read = self._read, self._next_end()
            if self._in_headers:
                # What arrived with the headers may be body: it counts only while the block is not complete.
                self._header_bytes += self._read - start
            self._feed(self._waiting[start : self._read])
            if self._in_headers and self._header_bytes > self.header_limit:
                self._refuse(431)
        self._waiting = b""
        self._read = 0
        self.flow.resume_reading()

    def _answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return self._in_headers and cycle is not None and not cycle.response_complete

    def _next_end(self) -> int:
        """How far to read, so that hardly more than one request is read at a time: llhttp cannot stop between two."""
        if self._in_headers:
            end = self._waiting.find(b"\r\n\r\n", self._read) + 4
            return end if end > 3 else len(self._waiting)
        if self._body_left:
            end = min(self._read + self._body_left, len(self._waiting))
            self._body_left -= end - self._read
            return end
        return self._waiting.find(b"\n", self._read) + 1 or len(self._waiting)

    def resume_writing(self) -> None:
        HttpToolsProtocol.resume_writing(self)
        self._read_on()

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self._refuse(400)
        except httptools.HttpParserUpgrade as upgrade:
            self._pass_over_upgrade(data[upgrade.args[0] :])

    def _pass_over_upgrade(self, rest: bytes) -> None:
        """Read a request's body although its headers ask for another protocol (RFC 9110 §7.8: that may be ignored).

        llhttp takes all that follows such headers for that other protocol. Another parser is told of the same request
        without them, and reads on.
        """
        framing = [line for line in self.headers if line[0] in (b"content-length", b"transfer-encoding")]
        self.parser = httptools.HttpRequestParser(self)
        self._retelling = True
        self._feed(b"POST / HTTP/1.1\r\n" + _lines(*framing) + b"\r\n")
        self._feed(rest)

    def on_url(self, url: bytes) -> None:
        if not self._retelling:
            HttpToolsProtocol.on_url(self, url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_headers:
            HttpToolsProtocol.on_header(self, name, value)
            if self.headers[-1][0] == b"content-length" and value.isdigit():
                self._body_left = int(value)
        elif not self._retelling:
            # A trailer never becomes a header (RFC 9110 §6.5.1), and they have the headers' limit.
            self._header_bytes += len(name) + len(value) + 4
            if self._header_bytes > self.header_limit:
                self._refuse(431)

    def on_message_begin(self) -> None:
        if self._retelling:
            return
        if self.waiting_since is _NEVER:
            # A request that began in the packet in which the one before it ended.
            self.waiting_since = self.loop.time()
        self._in_headers = True
        self._answered = False
        HttpToolsProtocol.on_message_begin(self)

    def on_headers_complete(self) -> None:
        if self._retelling:
            self._retelling = False
            return
        self._in_headers = False
        arrived, self._header_bytes = self._header_bytes, 0
        # Some of what arrived may be body; it is told apart only where all of it is too much.
        if arrived > self.header_limit:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > self.header_limit:
                self._refuse(431)
                return
        if self._first and self.parser.get_method() == b"GET":
            # Of requests that came together the others take turns with other clients'.
            self._first = False
            self._answered = self._answers_at_once()
        if not self._answered:
            HttpToolsProtocol.on_headers_complete(self)

    def _answers_at_once(self) -> bool:
        """Answer a plain request before uvicorn makes a cycle and a task of it, where that can be done."""
        parser = self.parser
        before: RequestResponseCycle | None = self.cycle
        if (
            not (before is None or before.response_complete)
            or parser.get_http_version() != "1.1"
            or not parser.should_keep_alive()
            or parser.should_upgrade()
            or self.expect_100_continue
            or self.flow.write_paused
            or self.transport.is_closing()
            or b"#" in self.url
        ):
            return False
        path, _, query = self.url.partition(b"?")
        scope = cast("Scope", self.scope)
        scope.update(method="GET", path=path.decode("latin-1"), raw_path=path, query_string=query)
        reply = self.answer_at_once(scope)
        if reply is None:
            return False
        self.server_state.total_requests += 1
        self.transport.write(_head(reply, self.server_state.default_headers) + b"\r\n" + reply.body)
        return True

    def on_body(self, body: bytes) -> None:
        if not (self._answered or self.transport.is_closing()):
            HttpToolsProtocol.on_body(self, body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # so the parser thinks
        self.waiting_since = _NEVER
        self._in_headers = True
        self._header_bytes = self._body_left = 0
        if self._answered:
            self.idle_since = self.loop.time()
        elif not self.transport.is_closing():
            if self.cycle.response_complete:
                self.idle_since = self.loop.time()  # the answer did not wait for all of the request
            HttpToolsProtocol.on_message_complete(self)

    def on_response_complete(self) -> None:
        """Uvicorn's own, without its timer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self.waiting_since is _NEVER:
            self.idle_since = self.loop.time()
        self._read_on()

    def give_up(self) -> None:
        """Close a connection that did not finish its request in time (RFC 9110 §15.5.9)."""
        self._refuse(408)

    def _refuse(self, status: int) -> None:
        if self.transport.is_closing():
            return
        self.refused(_KINDS[status], self.client[0] if self.client else None)
        cycle: RequestResponseCycle | None = self.cycle
        # Into an answer that has begun, nothing may be written; one that has not is ours to give.
        if cycle is None or cycle.response_complete or not cycle.response_started:
            body = problem_body(status)
            self.transport.write(
                b"HTTP/1.1 %d %b\r\ncontent-type: application/problem+json\r\ncontent-length: %d\r\n"
                b"connection: close\r\n\r\n%b" % (status, HTTPStatus(status).phrase.encode(), len(body), body)
            )
        self.transport.close()


def problem_body(status: int) -> bytes:
    """A problem (RFC 9457) for what is refused before the application sees it."""
    return b'{"type":"about:blank","title":"%b","name":"","status":%d}' % (HTTPStatus(status).phrase.encode(), status)


def guarded(
    header_limit: int, refused: Refused, answer_at_once: Callable[[Scope], Reply | None] = lambda scope: None
) -> type[asyncio.Protocol]:
    """The protocol with its limit in bytes: uvicorn makes one for each connection, and passes no settings of ours."""
    members = {
        "header_limit": header_limit,
        "refused": staticmethod(refused),
        "answer_at_once": staticmethod(answer_at_once),
    }
    return type("GuardedProtocol", (GuardedProtocol,), members)
