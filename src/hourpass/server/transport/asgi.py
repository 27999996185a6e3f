"""Runs the application under ASGI servers. It guarantees here what our own front guarantees itself."""

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from hourpass.server.transport.render import LengthRequired, problem
from hourpass.server.transport.request import UNSIZED, Application, BodyCutOff, Request, TooLarge

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
"""The methods whose body is read. A route that has no such method refuses it like any other one."""


async def respond(app: Application, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one ASGI request. Nothing is sent if the client leaves before its request is complete."""
    # The headers are taken before the body: some servers add its trailers to them later (RFC 9110 §6.5.1).
    headers = tuple(scope.get("headers", ()))
    path = scope["path"].removeprefix(scope.get("root_path") or "")
    client, method = scope.get("client"), scope.get("method", "GET")
    request = Request(method, path, scope.get("query_string", b""), headers, client[0] if client else None)
    if _may_hold_trailers(headers):
        reply = problem(LengthRequired())
    else:
        if path in app.streams:
            request.stream = _stream(receive, app.body_limit(path))
        elif method in _WITH_BODY:
            body = await _body(receive, app.body_limit(path))
            if body is None:
                return
            request.body = body
        reply = await app.answer(request)
    length = [] if reply.status in UNSIZED else [(b"content-length", b"%d" % len(reply.body))]
    await send({"type": "http.response.start", "status": reply.status, "headers": [*reply.headers, *length]})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else reply.body})


async def _body(receive: Receive, limit: int) -> bytes | None:
    """The whole body, or just enough of it to be over the limit. None if the client has left."""
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body") and len(body) <= limit:
        message = await receive()
        body += message.get("body", b"")
    return None if message["type"] == "http.disconnect" else body


async def _stream(receive: Receive, limit: int) -> AsyncIterator[bytes]:
    """The body while it comes, up to the limit. The server reads no further than it is asked."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BodyCutOff
        piece: bytes = message.get("body", b"")
        more, limit = message.get("more_body", False), limit - len(piece)
        if limit < 0:
            raise TooLarge
        if piece:
            yield piece


_DECIDING = (b"authorization", b"x-forwarded-for")
"""The headers that identify the caller."""


def _may_hold_trailers(headers: tuple[tuple[bytes, bytes], ...]) -> bool:
    """Whether a header that identifies the caller may really be a trailer that the server put among the headers.

    If the body comes in chunks, only the lines up to Transfer-Encoding are certain. If trailers came in one packet with
    the headers, uvicorn appends them before it calls the application.
    """
    names = [name for name, _ in headers]
    if b"transfer-encoding" not in names:
        return False
    behind = names[names.index(b"transfer-encoding") :]
    return any(name in behind for name in _DECIDING)
