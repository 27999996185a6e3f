"""Reads addresses and networks as people and proxies write them, into the one spelling that is compared.

An IPv4 address that is mapped into IPv6 (`::ffff:192.0.2.1`, RFC 4291 §2.5.5.2) is treated as the IPv4 address, and a
network of such addresses as the IPv4 network, because a socket for both families shows IPv4 peers in the mapped form.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

_WITH_PORT = re.compile(r"(?:\[([^\[\]]+)\]|([0-9.]+))(?::[0-9]{1,5})?", re.ASCII)
"""IPv6 in brackets, or IPv4, each with or without a port (RFC 3986 §3.2.2). IPv6 without brackets has no port."""

_MAPPED_BITS = 96


def read_address(text: str) -> str | None:
    """Read an address as a proxy writes it into X-Forwarded-For: bare or with a port (IPv6 is then in brackets).

    None if the text is not an address.
    """
    text = text.strip(" \t")
    match = _WITH_PORT.fullmatch(text)
    bracketed = match is not None and match[1] is not None
    ip = _address((match[1] or match[2]) if match is not None else text)
    if ip is None or (bracketed and ":" not in text[: text.index("]")]):
        return None
    return str(ip)


def normal_network(text: str) -> str:
    """The spelling in which a network or address is kept.

    Raises:
        ValueError: if the text is not a network, or has bits set beyond its prefix.
    """
    return str(_network(text.strip()))


def in_networks(address: str, networks: Iterable[str]) -> bool:
    """Whether an address lies in one of the networks."""
    ip = _address(address)
    return ip is not None and any(ip in _network(network) for network in networks)


def is_within(inner: str, outer: str) -> bool:
    """Whether a network lies in another one. A text that is not a network lies only in itself."""
    try:
        one, other = _network(inner), _network(outer)
    except ValueError:
        return inner == outer
    return one.prefixlen >= other.prefixlen and one.network_address in other


@lru_cache(maxsize=4096)
def pack_address(address: str | None) -> bytes | None:
    """An address in 4 or 16 bytes, as it is stored. None if the address is not known."""
    ip = None if address is None else _address(address)
    return None if ip is None else ip.packed


def unpack_address(packed: bytes) -> str:
    """The address that `pack_address` wrote."""
    return str(ip_address(packed))


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        ip = ip_address(text)
    except ValueError:
        return None
    if isinstance(ip, IPv4Address):
        return ip
    # The zone (RFC 4007 §11) is dropped: it can be any text, and has a meaning only on the proxy's machine.
    return ip.ipv4_mapped or IPv6Address(int(ip))


@lru_cache(maxsize=4096)
def _network(text: str) -> IPv4Network | IPv6Network:
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        first = network.network_address.ipv4_mapped
        if first is not None:
            return IPv4Network((first, network.prefixlen - _MAPPED_BITS))
    return network
