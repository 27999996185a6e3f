"""The request and the reply as our handlers see them, and the interface of the application between the two."""

from collections.abc import AsyncIterator, Container
from functools import lru_cache
from typing import Protocol

import msgspec

from hourpass.core.address import in_networks, read_address
from hourpass.core.errors import InvalidRequest, Refused

Headers = list[tuple[bytes, bytes]]


UNSIZED = (204, 304)
"""The statuses without a content length (RFC 9110 §8.6). A 204 must not have one, and that of a 304 would be the length
of the answer that is not sent."""


LONGEST_REMEMBERED = 512
"""A cache may keep a client's text of up to so many bytes, or what was made of it. A longer one is read every time."""


class Reply(msgspec.Struct, frozen=True):
    """A complete answer. The content length is added when it is sent."""

    status: int
    headers: Headers
    body: bytes = b""


class TooLarge(Refused):
    """The body is over the limit (RFC 9110 §15.5.14)."""


class BodyCutOff(InvalidRequest):
    """The client stopped in the middle of a body that was read while it came."""

    def __init__(self) -> None:
        super().__init__("the body was cut off")


class Request(msgspec.Struct, eq=False):
    """A complete request. `headers` has all lines in their order, with names in lower case and without trailers.

    If the application reads the body while it comes, `stream` is in the place of `body`. `peer` is the address at the
    other end of the connection. The application sets `now` (epoch milliseconds) and the proxies that it trusts.
    """

    method: str
    path: str
    query: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    peer: str | None
    body: bytes = b""
    now: int = 0
    trusted_proxies: tuple[str, ...] = ()
    stream: AsyncIterator[bytes] | None = None

    def __repr__(self) -> str:
        """Without the headers: they hold the credentials."""
        return "Request(…)"

    def header(self, name: bytes) -> bytes | None:
        """The value of the first header with this name, None if there is none."""
        return next((value for key, value in self.headers if key == name), None)

    def address(self) -> str | None:
        """The address that the request came from, as far as trusted proxies tell. None if it is not known."""
        if not self.trusted_proxies:
            return self.peer
        # Lines of one name are one list (RFC 9110 §5.3): a proxy may have appended its own line.
        forwarded = [value for key, value in self.headers if key == b"x-forwarded-for"]
        if not forwarded:
            return self.peer
        told = forwarded[0] if len(forwarded) == 1 else b",".join(forwarded)
        # A client may send thousands of bytes before the part that a proxy appends. Those must not stay in the cache.
        find = _client_address if len(told) <= LONGEST_REMEMBERED else _client_address.__wrapped__
        return find(self.peer, told, self.trusted_proxies)


@lru_cache(maxsize=4096)
def _client_address(peer: str | None, forwarded_for: bytes, trusted: tuple[str, ...]) -> str | None:
    """The address that a request came from: the nearest one that is not a trusted proxy."""
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
    """What answers requests. Our own front calls it directly. Under other servers, `asgi` calls it.

    `streams` has the paths whose bodies it reads while they come. It is asked before the body is read, so it can judge
    the headers first. If it answers without reading all of the body, the connection ends.
    """

    streams: Container[str]

    def body_limit(self, path: str) -> int:
        """The largest body for a path, in bytes."""

    def answer_at_once(self, request: Request) -> Reply | None:
        """The answer to a GET if it needs no waiting, else None."""

    async def answer(self, request: Request) -> Reply:
        """The answer. Failures become answers, too.

        It may run without a task. Code that needs one, such as `asyncio.timeout`, must create its own.
        """
