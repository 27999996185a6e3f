"""Which names the console is asked by, and whether a request comes from one of its own pages.

A page of a stranger can make a browser send requests here, under a name of the stranger's that leads to this machine
(DNS rebinding). Such a request has that name in its Host header, and a browser sets the header itself.
"""

from collections.abc import Iterable
from ipaddress import ip_address

LOOPBACK_NAMES = frozenset(("localhost", "ip6-localhost"))


def is_known_host(host: str, named: Iterable[str], listen: str) -> bool:
    """Whether a Host header (RFC 9110 §7.2) is a name of ours: of loopback, the listener's address, or one of `named`.

    `listen` is the listener's address as the setting spells it. A listener on every address has each of them, and a
    stranger cannot rebind an address, only a name. The port does not matter, because a tunnel may change it. A name in
    `named` may have a port, and then only that is accepted.
    """
    given = host.lower()
    name = _without_port(given)
    if not name:
        return False
    if given in named or name in named:
        return True
    if is_loopback_host(given):
        return True
    own = "" if listen.startswith("unix:") else _without_port(listen.lower())
    try:
        address = ip_address(name.strip("[]"))
    except ValueError:
        return name == own
    try:
        listening = ip_address(own.strip("[]"))
    except ValueError:
        return False
    return listening.is_unspecified or address == listening


def is_loopback_host(host: str) -> bool:
    """Whether a Host header names this machine itself, so that what is sent there crosses no network."""
    name = _without_port(host.lower())
    if name in LOOPBACK_NAMES or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def is_own_page(fetch_site: str | None, origin: str | None, host: str) -> bool:
    """Whether a request that changes something was made by one of our own pages, as far as the browser tells.

    `Sec-Fetch-Site` (Fetch Metadata) decides if it is there: browsers send it over https and on loopback. Otherwise an
    `Origin` (RFC 6454 §7) that names another host is refused. It is `null` or missing if a browser hides it, because
    our pages ask it to tell nobody where it comes from. The token of the form decides then.
    """
    if fetch_site is not None:
        return fetch_site == "same-origin"
    if origin is None or origin == "null":
        return True
    scheme, separator, named = origin.partition("://")
    return scheme in {"http", "https"} and bool(separator) and named.lower() == host.lower()


def _without_port(host: str) -> str:
    """The name or address of a Host header or an address to listen on. IPv6 keeps its brackets."""
    if host.startswith("["):
        return host[: host.find("]") + 1]
    return host.partition(":")[0]
