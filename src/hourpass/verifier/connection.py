"""How the issuer is reached: which addresses are safe, what of the environment is gone by, and one question at a time.

Whatever goes wrong is an `Answer` that says so; nothing is raised, and the next question begins from nothing.
"""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies

from hourpass.core.errors import ConfigurationError
from hourpass.core.policy import SECOND

if TYPE_CHECKING:
    import httpx2

HEDGE = SECOND
"""After this long without an answer the question is asked a second time, beside the first, and then once a second.

A connection that a cut network has broken may stay silent for half a minute after the network is back.
"""


class Request(NamedTuple):
    """What to ask. Durations are in milliseconds, `limit` is the longest body in bytes.

    `timeout` is for the whole exchange. `patience` is how long the server was asked to wait for news. `again` is the
    URL to ask beside the first, without that, when an answer is late; empty if nobody needs it soon.
    """

    url: str
    headers: Mapping[str, str]
    timeout: int
    limit: int
    patience: int = 0
    again: str = ""


class Answer(NamedTuple):
    """What came back. Status 0: nothing that is of use, and `detail` says why. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    detail: str = ""


class Address(NamedTuple):
    """Where the issuer is and how to get there; `proxy` stands in for what the environment says."""

    url: str
    tls: ssl.SSLContext | None = None
    proxy: str | None = None

    def __repr__(self) -> str:
        """Without the proxy, whose URL may hold a password."""
        return f"Address({self.url!r})"


class Connection:
    """Asks the issuer. Belongs to one event loop."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._http: httpx2.AsyncClient | None = None

    async def ask(self, request: Request, hurry: asyncio.Event) -> Answer:
        """One question. `hurry` is set when somebody waits for the answer and the server should not."""
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

    async def _again(self, request: Request, hurry: asyncio.Event) -> Answer:
        if not request.again:
            await asyncio.Event().wait()
        if request.patience:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout((request.patience + HEDGE) / SECOND):
                    await hurry.wait()
        else:
            await asyncio.sleep(HEDGE / SECOND)
        while True:
            # The first question may still be answered by an issuer that is slow; these are for a new connection.
            answer = await self._once(request.again, request, HEDGE)
            if answer.detail != self._say(_TOO_LATE):
                return answer

    async def _once(self, url: str, request: Request, within: int) -> Answer:
        """One GET, bounded in time and size. A body that came encoded would defeat the bound."""
        headers = {"accept-encoding": "identity", **request.headers}
        try:
            if self._http is None:
                self._http = open_client(self._address)
            async with asyncio.timeout(within / SECOND), self._http.stream("GET", url, headers=headers) as response:
                if response.headers.get("content-encoding", "identity") != "identity":
                    return self._failed("the body is encoded")
                body = b""
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > request.limit:
                        return self._failed("the body is too long")
                return Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, body)
        except Exception as error:  # noqa: BLE001 - whatever a library makes of it, no answer came, and the thread goes on
            return self._failed(reason(error))

    def _failed(self, why: str) -> Answer:
        return Answer(0, {}, b"", self._say(why))

    def _say(self, why: str) -> str:
        by_proxy = self._address.proxy or (_may_use_proxies(self._address.url) and _names_a_proxy())
        return f"{urlsplit(self._address.url).netloc.rpartition('@')[2]}{' through a proxy' if by_proxy else ''}: {why}"


_TOO_LATE = "no answer in time"


def reason(error: BaseException) -> str:
    """Why there is no answer, in words that hold nothing of a URL, which may hold a password."""
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


def open_client(address: Address) -> "httpx2.AsyncClient":
    """A client for the issuer.

    A proxy that the environment names is gone by only for https to another machine. It could read and forge what is
    not encrypted, and from there loopback is another machine.

    Raises:
        OSError: if the certificates to trust cannot be read. ImportError: if a proxy needs a package that is missing.
    """
    import httpx2  # noqa: PLC0415 - late: a process that only verifies beside the issuer never needs it

    is_https = urlsplit(address.url).scheme == "https"
    # Without TLS nothing is trusted, so no certificates are read: that takes 20 ms.
    trusted = address.tls or httpx2.create_ssl_context(verify=is_https, trust_env=is_https)
    return httpx2.AsyncClient(
        verify=trusted,
        proxy=address.proxy,
        trust_env=address.proxy is None and _may_use_proxies(address.url),
        follow_redirects=False,
        # Each question has a limit of its own for the whole of it.
        timeout=None,
    )


def require_safe(url: str, *, allow_http: bool = False) -> str:
    """The URL, if it is https or on loopback: what comes in the clear over a network could be anybody's.

    Raises:
        ConfigurationError: if it is not, or names a user. Plain http is good with `allow_http`.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    safe = parts.scheme == "https" or (parts.scheme == "http" and (allow_http or is_loopback(host)))
    # Not repeated: what is wrong with it may be a password in it.
    if not host or "@" in parts.netloc or parts.query or parts.fragment or parts.scheme not in ("http", "https"):
        raise ConfigurationError("an issuer's URL is https://host, with at most a port and a path")
    if not safe:
        raise ConfigurationError(f"{url!r} is neither https nor on loopback")
    return url


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, however it is spelled. Names are not looked up (RFC 6761 §6.3)."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    with contextlib.suppress(ValueError):
        address = ip_address(name.partition("%")[0])
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return (mapped or address).is_loopback
    with contextlib.suppress(OSError, UnicodeEncodeError):
        # `127.1`, `0x7f000001` and `2130706433` are what resolvers take for addresses, too.
        return socket.inet_aton(name)[0] == 127
    return False


def _may_use_proxies(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" and not is_loopback(parts.hostname or "")


def _names_a_proxy() -> bool:
    return not {"https", "all"}.isdisjoint(getproxies())
