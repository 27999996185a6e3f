"""The request and the reply as our handlers see them, and what answers the one with the other."""

from functools import lru_cache
from typing import NamedTuple, Protocol

import msgspec

from hourpass.core.address import in_networks, read_address
from hourpass.core.errors import Refused

Headers = list[tuple[bytes, bytes]]


UNSIZED = (204, 304)
"""Answers without a content length (RFC 9110 §8.6): a 204 must have none, and a 304's would be that of the answer which
it spares."""


LONGEST_REMEMBERED = 512
"""Bytes of what a client wrote that a cache may keep, or of what was made of it: a longer text is read every time."""


class Reply(NamedTuple):
    """A whole answer. The content length is added on the way out."""

    status: int
    headers: Headers
    body: bytes = b""


class TooLarge(Refused):
    """The body is over the limit (RFC 9110 §15.5.14)."""


class Request(msgspec.Struct, eq=False):
    """A whole request. `headers` are all lines in their order, the names in lower case; trailers are not among them.

    `peer` is the address at the other end of the connection. The application adds `now` (epoch milliseconds) and the
    proxies that it trusts.
    """

    method: str
    path: str
    query: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    peer: str | None
    body: bytes = b""
    now: int = 0
    trusted_proxies: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Without the headers: they hold the credentials."""
        return "Request(…)"

    def header(self, name: bytes) -> bytes | None:
        """The first line of a name."""
        return next((value for key, value in self.headers if key == name), None)

    def address(self) -> str | None:
        """Whom the request came from, as far as trusted proxies tell."""
        if not self.trusted_proxies:
            return self.peer
        # Lines of one name are one list (RFC 9110 §5.3): a proxy may have appended its own line.
        forwarded = [value for key, value in self.headers if key == b"x-forwarded-for"]
        if not forwarded:
            return self.peer
        told = forwarded[0] if len(forwarded) == 1 else b",".join(forwarded)
        # A client may put thousands of bytes before what a proxy appends: they would stay in memory.
        find = _client_address if len(told) <= LONGEST_REMEMBERED else _client_address.__wrapped__
        return find(self.peer, told, self.trusted_proxies)


@lru_cache(maxsize=4096)
def _client_address(peer: str | None, forwarded_for: bytes, trusted: tuple[str, ...]) -> str | None:
    """Whom a request came from: the nearest address that is not one of the trusted proxies."""
    if peer is None:
        return None
    address = peer
    for hop in reversed(forwarded_for.decode("latin-1").split(",")):
        told = read_address(hop) if in_networks(address, trusted) else None
        if told is None:
            break
        address = told
    return address


class Application(Protocol):
    """What answers requests. Our own front calls it directly; for other servers, `asgi` does."""

    def body_limit(self, path: str) -> int:
        """The largest body for a path, in bytes."""

    def answer_at_once(self, request: Request) -> Reply | None:
        """The answer to a GET if it waits for nothing, else None."""

    async def answer(self, request: Request) -> Reply:
        """The answer, whatever fails.

        It may be driven without a task: what needs one, such as `asyncio.timeout`, needs one of its own.
        """
