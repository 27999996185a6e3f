"""Which pages of other origins may use a route from a browser."""

from collections.abc import Iterable

from hourpass.server.transport.request import Headers, Reply, Request

MAX_ORIGIN = 512
"""Bytes: a scheme, the longest host and a port. The headers of an answer are remembered, so they must stay short."""

_REQUEST_HEADERS = b"Authorization, Content-Type, AV-Origin-Client, AV-Origin-App, AV-Origin-Sdk, Content-Range"


class Cors:
    """The origins that the operator allows. `*` is all of them."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)

    def allows(self, request: Request) -> bool:
        """Whether the request comes from an allowed origin."""
        return self._allowed(request) is not None

    def headers(self, request: Request) -> Headers:
        """What the answer to a request tells the browser."""
        # Without Vary, a shared cache would serve the answer for one origin to another (Fetch §3.2.7).
        vary = (b"vary", b"Origin")
        origin = self._allowed(request)
        return [vary] if origin is None else [(b"access-control-allow-origin", origin), vary]

    def _allowed(self, request: Request) -> bytes | None:
        origin = request.header(b"origin")
        if origin is None or len(origin) > MAX_ORIGIN or not (origin in self._origins or b"*" in self._origins):
            return None
        return origin


def preflight(methods: str) -> Reply:
    """The answer to a browser that asks what it may send."""
    return Reply(
        204,
        [
            (b"access-control-allow-methods", methods.encode()),
            (b"access-control-allow-headers", _REQUEST_HEADERS),
            (b"access-control-max-age", b"600"),
        ],
    )
