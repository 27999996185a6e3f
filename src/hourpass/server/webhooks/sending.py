"""One attempt to deliver: look up the host, judge its addresses, connect to one of them, read the status.

There are no redirects, no cookies, no proxy, and nothing of the answer is kept but its status.
"""

import asyncio
import ssl
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import httpx2

from hourpass import __version__
from hourpass.core.errors import InvalidRequest, PrivateAddress
from hourpass.core.webhook import TIME_OUT, Attempt, Result, result_of
from hourpass.server.webhooks.destination import (
    Destination,
    LookUp,
    addresses_of,
    looked_up,
    read_destination,
    require_public,
)

PATIENCE = TIME_OUT / 1000
"""Seconds for an attempt until the status of the answer is known."""

CONNECT_TIME = 4.0
"""Seconds for the connection to one address, so that another one of the host can be tried."""

MOST_ADDRESSES = 4

BODY = 16_384
BODY_TIME = 1.0
"""How many bytes of an answer are read, and for how many seconds, so that its connection can be used again."""

IDLE = 10.0
"""Seconds for which a connection is kept for the next event."""

_HEADERS = {
    "content-type": "application/json",
    "user-agent": f"hourpass/{__version__}",
    "accept": "*/*",
    "accept-encoding": "identity",
}


class Outgoing(NamedTuple):
    """What is sent: the body, and the headers that prove its origin."""

    body: bytes
    headers: Mapping[str, str]


class Sender:
    """Sends to one URL, by one connection at a time. `look_up` finds the addresses of its host."""

    def __init__(
        self,
        url: str,
        tls: ssl.SSLContext,
        *,
        allow_private: bool = False,
        look_up: LookUp = addresses_of,
        patience: float = PATIENCE,
    ) -> None:
        self._patience = patience
        self._url = url
        self._allow_private = allow_private
        self._look_up = look_up
        limits = httpx2.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=IDLE)
        # The transport alone follows no redirect, keeps no cookie and asks no environment for a proxy.
        self._transport = httpx2.AsyncHTTPTransport(verify=tls, trust_env=False, limits=limits)
        self._last = ""

    async def close(self) -> None:
        """Close the connection."""
        await self._transport.aclose()

    async def send(self, outgoing: Outgoing) -> Attempt:
        """Make one attempt. No endpoint can make it take much longer than the time-out."""
        began = time.perf_counter()
        result, status = await self._attempt(outgoing)
        return Attempt(result, status, round((time.perf_counter() - began) * 1000))

    async def _attempt(self, outgoing: Outgoing) -> tuple[Result, int | None]:
        try:
            async with asyncio.timeout(self._patience):
                destination = read_destination(self._url, allow_private=self._allow_private)
                found = await asyncio.wrap_future(looked_up(destination, self._look_up))
                addresses = require_public(found, allow_private=self._allow_private)
                response = await self._post_to_any(destination, addresses, outgoing)
        except (PrivateAddress, InvalidRequest):
            return "private_address", None
        except (TimeoutError, httpx2.TimeoutException):
            return "timeout", None
        except httpx2.ConnectError as error:
            return ("tls" if _is_tls(error) else "unreachable"), None
        except httpx2.NetworkError:
            return "unreachable", None
        except httpx2.TransportError:
            return "broken", None
        except (OSError, UnicodeError):
            return "unknown_host", None
        await _finish(response)
        return result_of(response.status_code), response.status_code

    async def _post_to_any(self, to: Destination, addresses: Sequence[str], outgoing: Outgoing) -> httpx2.Response:
        """Post to the address of the last time, or else to the first one that can be connected to."""
        first = [address for address in addresses if address == self._last]
        tried = list(dict.fromkeys([*first, *addresses]))[:MOST_ADDRESSES]
        for address in tried[:-1]:
            try:
                return await self._post(to, address, outgoing)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                if _is_tls(error):
                    raise
        return await self._post(to, tried[-1], outgoing)

    async def _post(self, to: Destination, address: str, outgoing: Outgoing) -> httpx2.Response:
        literal = f"[{address}]" if ":" in address else address
        url = f"{'https' if to.https else 'http'}://{literal}:{to.port}{to.target}"
        extensions = {
            # The name is in the handshake and in the check of the certificate, the address is what is connected to.
            "sni_hostname": to.host.rstrip("."),
            "timeout": dict.fromkeys(("read", "write", "pool"), self._patience) | {"connect": CONNECT_TIME},
        }
        headers = {"host": to.authority, **_HEADERS, **outgoing.headers}
        request = httpx2.Request("POST", url, headers=headers, content=outgoing.body, extensions=extensions)
        response = await self._transport.handle_async_request(request)
        self._last = address
        return response


async def _finish(response: httpx2.Response) -> None:
    """Read the body of an answer to a bound, and give its connection back, or close it if there is more."""
    try:
        async with asyncio.timeout(BODY_TIME):
            size = 0
            async for chunk in response.stream:  # type: ignore[union-attr]
                size += len(chunk)
                if size > BODY:
                    break
    except (TimeoutError, httpx2.TransportError):
        pass
    finally:
        await response.aclose()


def _is_tls(error: BaseException) -> bool:
    """Whether a connection failed because of its certificate or the handshake."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
