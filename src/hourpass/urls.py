"""Reads URLs: which ones are this machine, which may carry a key or a token, and how a server is reached.

It never looks up a name.
"""

from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hourpass.core.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl

_PORTS = {"https": 443, "http": 80}

_HANDSHAKES = {"wss": "https", "ws": "http"}
"""A WebSocket begins as an HTTP request of this scheme, with the same headers (RFC 6455 §4.1)."""


class ServerAddress:
    """How a client or a verifying API reaches a server. Every value of this type is safe to use.

    `url` has no slash at its end. `tls` is for a server certificate of a private authority, or for a client
    certificate. `proxy` is the URL of a proxy to use instead of the environment's.

    Raises:
        ConfigurationError: as `check_url`. Also if a proxy could read what is sent, without `allow_http`.
    """

    def __init__(
        self, url: str, *, allow_http: bool = False, tls: "ssl.SSLContext | None" = None, proxy: str | None = None
    ) -> None:
        self.url = check_url(url, allow_http=allow_http)
        self.is_https = self.url.lower().startswith("https:")
        self.tls = tls
        self.proxy = proxy
        if proxy is not None and not allow_http and not self.is_https:
            raise ConfigurationError(
                "a proxy could read and change what is sent to a server without TLS: see allow_http"
            )

    @property
    def trusts_environment(self) -> bool:
        """Whether the environment may name a proxy. It may only for https to another machine.

        A proxy can read and forge everything that is not encrypted, and a proxy's loopback is not this machine.
        """
        return self.proxy is None and self.is_https and not is_loopback(urlsplit(self.url).hostname or "")

    def __repr__(self) -> str:
        """Without the proxy, because its URL may hold a password."""
        return f"ServerAddress({self.url!r})"


class AllowList:
    """The origins that a credential may be sent to. They must be https or this machine.

    With `allow_http` they may be plain http, too. Use it only in a network that nobody else can listen on.

    Raises:
        ConfigurationError: if a URL is not an origin, or is plain http to another machine without `allow_http`.
    """

    def __init__(self, urls: Iterable[str], *, allow_http: bool = False) -> None:
        self._origins = {_checked(url, allow_http=allow_http) for url in urls}

    def allows(self, url: str) -> bool:
        """Whether the token may be sent to this URL."""
        return origin_of(url) in self._origins


def origin_of(url: str) -> str | None:
    """The origin of a URL with its port, such as `https://api.example.com:443` (RFC 6454 §4). None if it has none.

    A WebSocket's origin is that of its handshake. A URL with user information is treated as one without an origin,
    because it has credentials of its own.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    scheme = parts.scheme.lower()
    scheme = _HANDSHAKES.get(scheme, scheme)
    host = _host_of(parts.hostname or "")
    if scheme not in _PORTS or not host or "@" in parts.netloc:
        return None
    return f"{scheme}://{host}:{_PORTS[scheme] if port is None else port}"


def _host_of(host: str) -> str:
    """A host in its one spelling: without the final dot (RFC 1034 §3.1), in ASCII (RFC 5890). Empty if it has none."""
    host = host.removesuffix(".")
    if ":" in host:
        return f"[{host}]"
    if host.isascii():
        return host
    try:
        # The HTTP libraries use idna. Python's own codec has an older standard, which maps some names to other hosts.
        import idna  # noqa: PLC0415 rare, and slow to load
    except ImportError:
        return ""
    try:
        return idna.encode(host, uts46=True).decode()
    except idna.IDNAError:
        return ""


def _checked(url: str, *, allow_http: bool) -> str:
    origin = origin_of(url)
    if origin is None:
        # The text does not repeat the URL, because it may hold a password.
        raise ConfigurationError("an origin must be https://host, with at most a port")
    _require_confidential(origin, allow_http=allow_http)
    return origin


def check_url(url: str, *, allow_http: bool = False) -> str:
    """The server's URL without a final slash, if it is safe to send keys there and to believe its answers.

    Raises:
        ConfigurationError: if it is not an http(s) URL, has user information, a query or a fragment, or is plain http
            to another machine without `allow_http`.
    """
    origin = origin_of(url)
    if origin is None or not url.lower().startswith(("https:", "http:")) or "?" in url or "#" in url:
        # The text does not repeat the URL, because it may hold a password.
        raise ConfigurationError("the server's URL must be https://host, with at most a port and a path")
    _require_confidential(origin, allow_http=allow_http)
    return url.rstrip("/")


def _require_confidential(origin: str, *, allow_http: bool) -> None:
    if not allow_http and not is_confidential(origin):
        raise ConfigurationError(
            f"{origin} is plain http: anyone on the way could read and change what is sent; "
            "use https, or allow http (--allow-http) if nobody else can listen there"
        )


def is_confidential(origin: str) -> bool:
    """Whether nobody on the way can read what is sent to an origin, because it is https or this machine."""
    scheme, _, rest = origin.partition("://")
    return scheme == "https" or is_loopback(rest.rpartition(":")[0].strip("[]"))


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, in any spelling. Names are not looked up (RFC 6761 §6.3)."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(name.partition("%")[0])
    except ValueError:
        return _is_short_loopback(name)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def _is_short_loopback(name: str) -> bool:
    """Whether it is a short form such as `127.1`, `0x7f000001` or `2130706433`, which resolvers accept as addresses."""
    import socket  # noqa: PLC0415 rare, and slow to load

    try:
        return socket.inet_aton(name)[0] == 127
    except (OSError, UnicodeEncodeError):
        return False
