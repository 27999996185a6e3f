"""Says which callers share one allowance.

A caller may send from many addresses, and one address may be written in many ways.
"""

from ipaddress import IPv6Address, ip_address, ip_network

_NETWORK_BITS = 64


def bucket(address: str | None) -> str:
    """The name under which the failures of an address are added up.

    An IPv4 address has a bucket of its own, also when it is mapped into IPv6 (RFC 4291 §2.5.5.2). An IPv6 address
    shares one with its whole /64: that is the least a network gets (RFC 6177 §2), so one host can own all of it. A peer
    without an address, such as one on a unix socket, shares one with all others of its name.
    """
    if address is None:
        return ""
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if not isinstance(ip, IPv6Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ip_network((int(ip) >> _NETWORK_BITS << _NETWORK_BITS, _NETWORK_BITS)))
