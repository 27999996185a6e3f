"""How the issuer is reached: which addresses are safe, and what of the environment is gone by."""

import contextlib
import socket
import ssl
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hourpass.core.errors import ConfigurationError

if TYPE_CHECKING:
    import httpx2


def require_safe(url: str) -> str:
    """The URL, if it is https or on loopback: what comes in the clear over a network could be anybody's.

    Raises:
        ConfigurationError: if it is not.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    encrypted = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    if not host or not encrypted or parts.query or parts.fragment:
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


def open_client(url: str, tls: ssl.SSLContext | None) -> "httpx2.AsyncClient":
    """A client for the issuer at `url`.

    A proxy that the environment names is gone by only for https to another machine. It could read and forge what is
    not encrypted, and from there loopback is another machine.

    Raises:
        OSError: if the certificates to trust cannot be read. ImportError: if a proxy needs a package that is missing.
    """
    import httpx2  # noqa: PLC0415 - late: a process that only verifies beside the issuer never needs it

    parts = urlsplit(url)
    is_https = parts.scheme == "https"
    proxies = is_https and not is_loopback(parts.hostname or "")
    # Without TLS nothing is trusted, so no certificates are read: that takes 20 ms.
    trusted = tls or httpx2.create_ssl_context(verify=is_https, trust_env=is_https)
    # Each request has a limit of its own for the whole of it.
    return httpx2.AsyncClient(verify=trusted, trust_env=proxies, follow_redirects=False, timeout=None)
