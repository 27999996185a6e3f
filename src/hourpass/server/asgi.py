"""ASGI's shapes, and the request and the reply as our handlers see them."""

from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, NamedTuple

import msgspec

from hourpass.core.api_key import in_networks
from hourpass.core.errors import Refused

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


UNSIZED = (204, 304)
"""Answers without a content length (RFC 9110 §8.6): a 204 must have none, and a 304's would be that of the answer which
it spares."""


class Reply(NamedTuple):
    """A whole answer. The content length is added on the way out."""

    status: int
    headers: Headers
    body: bytes = b""

    def framed(self) -> Headers:
        """The headers with the content length."""
        if self.status in UNSIZED:
            return self.headers
        return [*self.headers, (b"content-length", b"%d" % len(self.body))]


class TooLarge(Refused):
    """The body is over the limit (RFC 9110 §15.5.14)."""


class LengthRequired(Refused):
    """A body in chunks is refused where its trailers cannot be told from the headers (RFC 9110 §15.5.12)."""


class Gone(Exception):
    """The client left before its request was whole."""


class Request(msgspec.Struct, eq=False):
    """A request that came at `now` (epoch milliseconds); its body is read when a handler asks for it.

    `arrived` is the body where the server had all of it already. `headers` are all lines, the names in lower case, as
    they were before the body: some servers go on to add its trailers to the scope (RFC 9110 §6.5.1).
    """

    scope: Scope
    receive: Receive
    now: int
    body_limit: int
    trusted_proxies: tuple[str, ...]
    arrived: bytes | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def __post_init__(self) -> None:
        self.headers = tuple(self.scope["headers"])

    def __repr__(self) -> str:
        """Without the headers: they hold the credentials."""
        return "Request(…)"

    async def body(self) -> bytes:
        """The whole body.

        Raises:
            TooLarge, Gone.
        """
        body = await self._received() if self.arrived is None else self.arrived
        if len(body) > self.body_limit:
            raise TooLarge
        return body

    async def _received(self) -> bytes:
        message = await self.receive()
        body: bytes = message.get("body", b"")
        while message.get("more_body") and len(body) <= self.body_limit:
            message = await self.receive()
            body += message.get("body", b"")
        if message["type"] == "http.disconnect":
            raise Gone
        return body

    def header(self, name: bytes) -> bytes | None:
        """The first line of a name."""
        return next((value for key, value in self.headers if key == name), None)

    def query(self) -> bytes:
        """The query as it came."""
        query: bytes = self.scope.get("query_string", b"")
        return query

    def address(self) -> str | None:
        """Whom the request came from, as far as trusted proxies tell."""
        client = self.scope.get("client")
        peer: str | None = client[0] if client else None
        if not self.trusted_proxies:
            return peer
        # Lines of one name are one list (RFC 9110 §5.3): a proxy may have appended its own line.
        forwarded = [value for key, value in self.headers if key == b"x-forwarded-for"]
        return _client_address(peer, b",".join(forwarded), self.trusted_proxies) if forwarded else peer


_DECIDING = (b"authorization", b"x-forwarded-for")
"""Headers that say who asks."""


def may_hold_trailers(headers: Headers) -> bool:
    """Whether a line that says who asks may be a trailer, which the server has put among the headers.

    Of a body in chunks only the lines up to Transfer-Encoding are certain: uvicorn appends the trailers that came in
    one packet with the headers before it calls the application.
    """
    names = [name for name, _ in headers]
    if b"transfer-encoding" not in names:
        return False
    behind = names[names.index(b"transfer-encoding") :]
    return any(name in behind for name in _DECIDING)


@lru_cache(maxsize=4096)
def _client_address(peer: str | None, forwarded_for: bytes, trusted: tuple[str, ...]) -> str | None:
    """Whom a request came from: the nearest address that is not one of the trusted proxies."""
    if peer is None:
        return None
    address = peer
    for hop in reversed(forwarded_for.decode("latin-1").split(",")):
        try:
            if not in_networks(address, trusted):
                break
            address = str(ip_address(hop.strip()))
        except ValueError:
            break
    return address
