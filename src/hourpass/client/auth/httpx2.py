"""The 401 strategy for httpx2, sync and async: `httpx2.Client(auth=HourpassAuth(source))`.

Owns how httpx2 sends a request again, and which bodies it can send twice. `strategy` decides what a 401 means and what
to do about it.
"""

from collections.abc import AsyncGenerator, Generator
from typing import Any

import httpx2

from hourpass.client.auth.sending import Gate, Rejection, Sending, position_of
from hourpass.client.auth.strategy import Source

_Places = list[tuple[Any, int | None]]


class HourpassFlow:
    """The flow without the library's base class, because the classic httpx uses the same flow."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._gate = Gate(source)

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """Every send of one request.

        Raises:
            HourpassError: there is no token to start with, as for `Source.credential`.
        """
        url = str(request.url)
        if not self._gate.lets(url, request.headers):
            yield request
            return
        sending, places = Sending(self._source, url, self._source.credential()), _places(request)
        replays = True
        while replays:
            response = yield _copy(request, sending.authorization, places)
            replays = response.status_code == 401 and sending.again(_rejection(response, places))

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        """As `sync_auth_flow`, without blocking the event loop."""
        url = str(request.url)
        if not self._gate.lets(url, request.headers):
            yield request
            return
        sending, places = Sending(self._source, url, await self._source.credential_async()), _places(request)
        replays = True
        while replays:
            response = yield _copy(request, sending.authorization, places)
            replays = response.status_code == 401 and await sending.again_async(_rejection(response, places))


class HourpassAuth(HourpassFlow, httpx2.Auth):
    """Sends a source's token to every origin that the source allows. The caller's own Authorization header wins.

    The library counts each time it sends again as a redirect. So leave the client a `max_redirects` of at least 2, even
    if it follows no redirects.
    """


def _copy(request: Any, authorization: str, places: _Places) -> Any:
    """A copy of the request with a token. The caller's request must not seem to have its own Authorization header."""
    for file, position in places:
        if position is not None:
            file.seek(position)
    copy = type(request)(
        request.method, request.url, headers=request.headers, stream=request.stream, extensions=request.extensions
    )
    copy.headers["Authorization"] = authorization
    if isinstance(getattr(request.stream, "_stream", None), bytes):
        # The library does this for a body in memory, because hooks may look at `content`.
        copy.read()
    return copy


def _rejection(response: Any, places: _Places) -> Rejection:
    return Rejection(
        url=str(response.request.url),
        authorization=response.request.headers.get("Authorization"),
        challenges=response.headers.get_list("WWW-Authenticate"),
        retry_after=response.headers.get("Retry-After"),
        replayable=all(position is not None for _, position in places),
    )


def _places(request: Any) -> _Places:
    """The files and iterators of the body, each with its position. The position is None if it can be read only once.

    The library does not rewind a file, and has no public name for one. So this looks at `_stream` and `fields`.
    """
    stream = request.stream
    fields = getattr(stream, "fields", None)
    bodies = [getattr(stream, "_stream", None)] if fields is None else [getattr(one, "file", b"") for one in fields]
    return [(body, position_of(body)) for body in bodies if not isinstance(body, bytes | str)]
