"""Where a webhook leads: its URL, the addresses of its host, and which of them may be connected to.

A name is looked up once for each delivery and the connection goes to an address that was judged, so a name that
changes between the look-up and the connection (DNS rebinding) leads nowhere else.
"""

import re
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from hourpass.core.errors import InvalidRequest, PrivateAddress
from hourpass.core.key_members import require_no_key
from hourpass.core.public_address import is_local_name, is_numeric, is_public

LONGEST_URL = 2_000
LOOK_UP_TIME = 5.0
"""Seconds that the look-up of a name may take when a webhook is made."""

LookUp = Callable[[str, int], list[str]]
"""Called with a host name and a port, in a thread: its addresses. Raises OSError if it has none."""

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*\.?")
_VISIBLE = re.compile(r"[\x21-\x7e]+")


class Destination(NamedTuple):
    """A URL that may be sent to, in its parts. `host` is a name or an address without brackets."""

    https: bool
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The value of the header Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.https else 80) else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """The URL without its path, which may be a secret of the receiver."""
        return f"{'https' if self.https else 'http'}://{self.authority}"

    @property
    def url(self) -> str:
        """The whole URL in the spelling that is kept."""
        return self.origin + self.target


def read_destination(url: str, *, allow_private: bool) -> Destination:
    """Read a webhook's URL. With `allow_private` it may be http, and lead to any address.

    Raises:
        InvalidRequest: if it is not an https URL of visible ASCII, or has a user, a password or a fragment.
        PrivateAddress: if its host is an address that is not public, this machine, or a number.
    """
    if len(url) > LONGEST_URL or not _VISIBLE.fullmatch(url) or "#" in url or "\\" in url:
        raise _invalid(f"a URL is at most {LONGEST_URL} visible ASCII characters, without # and \\")
    try:
        parts = urlsplit(url)
        port, host = parts.port, (parts.hostname or "")
    except ValueError:
        raise _invalid("the URL cannot be read") from None
    https = parts.scheme == "https"
    if not https and not (allow_private and parts.scheme == "http"):
        if allow_private:
            raise _invalid("the URL must begin with https:// or http://")
        raise _invalid("the URL must begin with https://: for http, the server needs the setting webhook_allow_private")
    if "@" in parts.netloc:
        raise _invalid("the URL must not have a user or password")
    is_address = _is_address(host)
    readable = (is_address and ":" in host and "%" not in host) if "[" in parts.netloc else _HOST.fullmatch(host)
    if not readable or port == 0:
        raise _invalid("the URL has no host that can be looked up")
    if not allow_private and (is_local_name(host) or is_numeric(host) or (is_address and not is_public(host))):
        words = f"{host} is not a public address: for others, the server needs the setting webhook_allow_private"
        raise PrivateAddress(words)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Destination(https, host, port or (443 if https else 80), target)


def require_public(addresses: Sequence[str], *, allow_private: bool) -> Sequence[str]:
    """The addresses of a host, if all of them may be connected to.

    Raises:
        PrivateAddress: if one of them is not public. The others are not used either.
    """
    if not allow_private and not all(is_public(address) for address in addresses):
        raise PrivateAddress("the host has an address that is not public")
    return addresses


def new_destination(
    url: str, *, allow_private: bool, look_up: LookUp | None = None, patience: float = LOOK_UP_TIME
) -> Destination:
    """The destination of a new or changed webhook. It waits for a resolver, so no transaction may be open.

    A name that has no address now is accepted: it is judged again at each delivery.

    Raises:
        InvalidRequest, PrivateAddress: as `read_destination`, also if the addresses are not public, or an API key
            stands in the URL.
    """
    require_no_key("url", url)
    destination = read_destination(url, allow_private=allow_private)
    try:
        addresses = looked_up(destination, look_up or addresses_of).result(patience)
    except (OSError, UnicodeError):  # a time-out is an OSError
        return destination
    require_public(addresses, allow_private=allow_private)
    return destination


def looked_up(destination: Destination, look_up: LookUp) -> "Future[list[str]]":
    """The addresses of a destination's host, as soon as they are known."""
    found: Future[list[str]] = Future()
    if _is_address(destination.host):
        found.set_result([destination.host])
        return found

    found.set_running_or_notify_cancel()  # a caller that has given up cannot take it back

    def work() -> None:
        try:
            addresses = look_up(destination.host, destination.port)
            if not addresses:
                raise OSError("no address")
            found.set_result(addresses)
        except BaseException as error:  # noqa: BLE001 - it is the answer
            found.set_exception(error)

    # A thread that nobody waits for at the end of the process: a resolver may take half a minute.
    threading.Thread(target=work, name="hourpass-resolver", daemon=True).start()
    return found


def addresses_of(host: str, port: int) -> list[str]:
    """The addresses of a host, the best one first (RFC 6724). Raises OSError if it has none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _invalid(why: str) -> InvalidRequest:
    # The text does not repeat the URL, because it may hold a secret.
    return InvalidRequest(why, name="url")
