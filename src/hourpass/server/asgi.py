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


class Gone(Exception):
    """The client left before its request was whole."""


class Request(msgspec.Struct, eq=False):
    """A request that came at `now` (epoch milliseconds); its body is read when a handler asks for it.

    `arrived` is the body where the server had all of it already.
    """

    scope: Scope
    receive: Receive
    now: int
    body_limit: int
    trusted_proxies: tuple[str, ...]
    arrived: bytes | None = None

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

    @property
    def headers(self) -> Headers:
        """All header lines; the names are in lower case (the ASGI specification says so)."""
        headers: Headers = self.scope["headers"]
        return headers

    def header(self, name: bytes) -> bytes | None:
        """The first line of a name."""
        return next((value for key, value in self.scope["headers"] if key == name), None)

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
        forwarded = [value for key, value in self.scope["headers"] if key == b"x-forwarded-for"]
        return _client_address(peer, b",".join(forwarded), self.trusted_proxies) if forwarded else peer


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
