"""Origins: where a token may go, and whether anyone could read it on the way.

Pure reading of URLs; no name is ever looked up.
"""

from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from hourpass.core.errors import ConfigurationError

_PORTS = {"https": 443, "http": 80}

_HANDSHAKES = {"wss": "https", "ws": "http"}
"""A WebSocket begins as an HTTP request of this scheme, with the same headers (RFC 6455 §4.1)."""


class AllowList:
    """The origins that a credential may be sent to: https or this machine.

    With `allow_http`, which is for networks that nobody else listens on, they may be plain http as well.

    Raises:
        ConfigurationError: a URL is not an origin, or is plain http to another machine without `allow_http`.
    """

    def __init__(self, urls: Iterable[str], *, allow_http: bool = False) -> None:
        self._origins = {_checked(url, allow_http=allow_http) for url in urls}

    def allows(self, url: str) -> bool:
        """Whether the token may be sent to this URL."""
        return origin_of(url) in self._origins


def origin_of(url: str) -> str | None:
    """The origin of a URL with its port spelled out, `https://api.example.com:443` (RFC 6454 §4); None if it has none.

    A WebSocket's origin is that of its handshake. A URL with user information has none for us: it carries credentials
    of its own.
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
    """A host's one spelling: without the root's dot (RFC 1034 §3.1), in ASCII (RFC 5890); empty if it has none."""
    host = host.removesuffix(".")
    if ":" in host:
        return f"[{host}]"
    if host.isascii():
        return host
    try:
        # The HTTP libraries' own: Python's codec knows the older standard, in which some names are another host's.
        import idna  # noqa: PLC0415 rare, and slow to load
    except ImportError:
        return ""
    try:
        return idna.encode(host, uts46=True).decode()
    except idna.IDNAError:
        return ""


_ADVICE = "use https, or allow http (--allow-http) if nobody else can listen there"


def _checked(url: str, *, allow_http: bool) -> str:
    origin = origin_of(url)
    if origin is None:
        # Not repeated: what is wrong with it may be a password in it.
        raise ConfigurationError("an origin must be https://host, with at most a port")
    if not allow_http and not is_confidential(origin):
        raise ConfigurationError(f"{origin} is plain http: anyone on the way could read the token; {_ADVICE}")
    return origin


def is_confidential(origin: str) -> bool:
    """Whether what is sent to an origin can be read by nobody on the way: https, or this machine itself."""
    scheme, _, rest = origin.partition("://")
    return scheme == "https" or is_loopback(rest.rpartition(":")[0].strip("[]"))


def is_loopback(host: str) -> bool:
    """Whether a host is this machine. `localhost` is by RFC 6761 §6.3."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def check_url(url: str, *, allow_http: bool) -> str:
    """The server's URL without a final slash, if keys may be sent there.

    Raises:
        ConfigurationError: it is no http(s) URL, carries user information, a query or a fragment, or is plain http to
            another machine without `allow_http`.
    """
    origin = origin_of(url)
    if origin is None or "?" in url or "#" in url:
        # Not repeated: what is wrong with it may be a password in it.
        raise ConfigurationError("the server's URL must be https://host, with at most a port and a path")
    if not allow_http and not is_confidential(origin):
        raise ConfigurationError(f"{origin} is plain http: anyone on the way could read the API key; {_ADVICE}")
    return url.rstrip("/")
