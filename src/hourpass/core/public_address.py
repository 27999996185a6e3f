"""Which addresses are on the public Internet. What we send on behalf of others goes only there (SSRF).

An address that carries another one (mapped, NAT64, 6to4, Teredo) is always refused, because the machine or a gateway
turns it into an address that nobody judged.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address

_NOT_PUBLIC = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network (RFC 791)
            "10.0.0.0/8",  # private (RFC 1918)
            "100.64.0.0/10",  # shared by carriers (RFC 6598)
            "127.0.0.0/8",  # loopback (RFC 1122)
            "169.254.0.0/16",  # link-local, metadata of clouds (RFC 3927)
            "172.16.0.0/12",  # private (RFC 1918)
            "192.0.0.0/24",  # protocol assignments (RFC 6890)
            "192.0.2.0/24",  # documentation (RFC 5737)
            "192.88.99.0/24",  # relays of 6to4 (RFC 7526)
            "192.168.0.0/16",  # private (RFC 1918)
            "198.18.0.0/15",  # benchmarks (RFC 2544)
            "198.51.100.0/24",  # documentation (RFC 5737)
            "203.0.113.0/24",  # documentation (RFC 5737)
            "224.0.0.0/4",  # multicast (RFC 5771)
            "240.0.0.0/4",  # reserved, broadcast (RFC 1112)
        ),
    )
)

_GLOBAL = IPv6Network("2000::/3")
"""All that is global unicast (RFC 4291 §2.4): neither loopback nor mapped, NAT64, local or multicast addresses."""

_NOT_PUBLIC_6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments, Teredo among them (RFC 2928)
            "2001:db8::/32",  # documentation (RFC 3849)
            "2002::/16",  # 6to4 (RFC 3056)
            "3fff::/20",  # documentation (RFC 9637)
        ),
    )
)


def is_public(address: str) -> bool:
    """Whether an address is on the public Internet. A text that is not an address is not, nor one with a zone."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv4Address):
        return not any(ip in network for network in _NOT_PUBLIC)
    return ip in _GLOBAL and ip.scope_id is None and not any(ip in network for network in _NOT_PUBLIC_6)


def is_local_name(host: str) -> bool:
    """Whether a host name is this machine by definition (RFC 6761 §6.3). A resolver may say otherwise."""
    name = host.rstrip(".").lower()
    return name == "localhost" or name.endswith(".localhost")


def is_numeric(host: str) -> bool:
    """Whether a host is a number and no plain address, such as `2130706433`, `0x7f.1` or `127.1`.

    Resolvers accept such spellings as addresses. No host name ends in a number (RFC 1123 §2.1).
    """
    if ":" in host:
        return False
    last = host.rstrip(".").rpartition(".")[2].lower()
    if not (last.isdigit() or last.startswith("0x")):
        return False
    try:
        IPv4Address(host)
    except ValueError:
        return True
    return False
