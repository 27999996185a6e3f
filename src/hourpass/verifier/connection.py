"""Asks the issuer, one question at a time.

An error becomes an `Answer` that describes it. Nothing is raised, and the next question does not depend on it.
"""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies

from hourpass import tracing
from hourpass.core.policy import SECOND
from hourpass.urls import ServerAddress

if TYPE_CHECKING:
    import httpx2

HEDGE = SECOND
"""Milliseconds without an answer after which the question is asked again, beside the first one, and then every second.

A connection that broke with the network may stay silent for half a minute after the network is back.
"""


class Question(NamedTuple):
    """What to ask. Durations are in milliseconds. `limit` is the longest body in bytes.

    `timeout` is for the whole exchange. `patience` is how long the server was asked to wait for news. `again` is the
    URL to ask as well if the answer is late, without that wait. It is empty if nobody needs the answer soon.
    """

    url: str
    headers: Mapping[str, str]
    timeout: int
    limit: int
    patience: int = 0
    again: str = ""


class Answer(NamedTuple):
    """What came back. Status 0 means no usable answer, and `detail` says why. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    detail: str = ""


class IssuerConnection:
    """Asks the issuer. Belongs to one event loop."""

    def __init__(self, address: ServerAddress) -> None:
        self._address = address
        self._http: httpx2.AsyncClient | None = None

    async def ask(self, request: Question, hurry: asyncio.Event) -> Answer:
        """Ask one question. `hurry` is set if a caller needs the answer now, without a wait for news."""
        first = asyncio.ensure_future(self._once(request.url, request, request.timeout))
        second = asyncio.ensure_future(self._again(request, hurry))
        try:
            await asyncio.wait((first, second), return_when=asyncio.FIRST_COMPLETED)
            answers = [each.result() for each in (first, second) if each.done()]
            return max(answers, key=lambda answer: answer.status > 0)
        finally:
            first.cancel()
            second.cancel()
            await asyncio.gather(first, second, return_exceptions=True)

    async def close(self) -> None:
        """Close what is open."""
        if self._http is not None:
            await self._http.aclose()

    async def _again(self, request: Question, hurry: asyncio.Event) -> Answer:
        if not request.again:
            await asyncio.Event().wait()
        if request.patience:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout((request.patience + HEDGE) / SECOND):
                    await hurry.wait()
        else:
            await asyncio.sleep(HEDGE / SECOND)
        while True:
            # A slow issuer may still answer the first question. These go over a new connection.
            answer = await self._once(request.again, request, HEDGE)
            if answer.detail != self._say(_TOO_LATE):
                return answer

    async def _once(self, url: str, request: Question, within: int) -> Answer:
        """Send one GET, bounded in time and size. A compressed body is refused, because it could exceed the bound."""
        headers = {"accept-encoding": "identity", **request.headers}
        try:
            if self._http is None:
                self._http = open_client(self._address)
            # A wait for news that do not come is not worth a trace, every few seconds in each process.
            waits = request.patience and url == request.url
            with (
                contextlib.nullcontext(_ignore)
                if waits
                else tracing.request("GET", url, headers, root=True) as answered
            ):
                async with asyncio.timeout(within / SECOND), self._http.stream("GET", url, headers=headers) as response:
                    answered(response.status_code)
                    if response.headers.get("content-encoding", "identity") != "identity":
                        return self._failed("the body is encoded")
                    body = b""
                    async for chunk in response.aiter_raw():
                        body += chunk
                        if len(body) > request.limit:
                            return self._failed("the body is too long")
                    return Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, body)
        except Exception as error:  # noqa: BLE001 - for any error of a library: there is no answer, and the thread goes on
            return self._failed(reason(error))

    def _failed(self, why: str) -> Answer:
        return Answer(0, {}, b"", self._say(why))

    def _say(self, why: str) -> str:
        by_proxy = self._address.proxy or (self._address.trusts_environment and _names_a_proxy())
        return f"{urlsplit(self._address.url).netloc}{' through a proxy' if by_proxy else ''}: {why}"


_TOO_LATE = "no answer in time"


def _ignore(status: int) -> None:
    """Take the status of an answer that is not traced."""


def reason(error: BaseException) -> str:
    """Why there is no answer. The words hold no part of a URL, because a URL may hold a password."""
    cause: BaseException | None = error
    said: str = type(error).__name__
    while cause is not None:
        match cause:
            case TimeoutError():
                return _TOO_LATE
            case ssl.SSLCertVerificationError():
                return f"the certificate is not trusted: {cause.verify_message}"
            case FileNotFoundError() | PermissionError():
                what = cause.filename or "the certificates that the environment names"
                return f"{os.strerror(cause.errno or 0)}: {what}"
            case ssl.SSLError() | socket.gaierror():
                said = cause.strerror or said
            case OSError() if cause.errno is not None:
                said = os.strerror(cause.errno)
            case ImportError():
                return str(cause)
            case _:
                pass
        cause = cause.exceptions[0] if isinstance(cause, BaseExceptionGroup) else cause.__cause__ or cause.__context__
    return said


def open_client(address: ServerAddress) -> "httpx2.AsyncClient":
    """A client for the issuer. Raises what `how_to_reach` raises, and ImportError if a proxy's package is missing."""
    import httpx2  # noqa: PLC0415 - imported late: a process that verifies beside the issuer never needs it

    return httpx2.AsyncClient(**how_to_reach(address))


def how_to_reach(address: ServerAddress) -> dict[str, Any]:
    """How a client reaches the issuer, whether it waits or not.

    Raises:
        OSError: if the certificates to trust cannot be read.
    """
    import httpx2  # noqa: PLC0415 - as above

    return {
        # Without TLS no certificates are needed, and reading them takes 20 ms.
        "verify": address.tls or httpx2.create_ssl_context(verify=address.is_https, trust_env=address.is_https),
        "proxy": address.proxy,
        "trust_env": address.trusts_environment,
        "follow_redirects": False,
        # Each question has its own limit for the whole exchange.
        "timeout": None,
    }


def _names_a_proxy() -> bool:
    return not {"https", "all"}.isdisjoint(getproxies())
