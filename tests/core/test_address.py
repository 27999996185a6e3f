"""Addresses as proxies write them and networks as operators do: one spelling, or none."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourpass.core.address import in_networks, is_within, normal_network, pack_address, read_address, unpack_address


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("203.0.113.5", "203.0.113.5"),
        ("203.0.113.5:44321", "203.0.113.5"),
        (" 203.0.113.5:1\t", "203.0.113.5"),
        ("2001:db8::1", "2001:db8::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("::ffff:203.0.113.5", "203.0.113.5"),
        ("[::ffff:203.0.113.5]:443", "203.0.113.5"),
        ("::ffff:cb00:7105", "203.0.113.5"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25eth0]:443", "fe80::1"),
        ("fe80::1%" + "x" * 5_000, "fe80::1"),
        ("", None),
        ("unknown", None),
        ("_hidden", None),
        ("203.0.113.5:", None),
        ("203.0.113.5:http", None),
        ("203.0.113.5:123456", None),
        ("203.0.113.5:1:2", None),
        ("203.0.113", None),
        ("203.0.113.256", None),
        ("203.0.113.05", None),
        ("[203.0.113.5]:443", None),
        ("[2001:db8::1]443", None),
        ("[2001:db8::1", None),
        ("2001:db8::1]", None),
        ("[[2001:db8::1]]", None),
        ("[]:443", None),
        ("203.0.113.5/32", None),
        ("\u0661.2.3.4", None),
    ],
)
def test_an_address_is_read_with_port_and_brackets_or_not_at_all(written, address):
    assert read_address(written) == address


@given(st.integers(0, 2**32 - 1), st.integers(0, 65_535))
def test_every_spelling_of_an_ipv4_address_is_that_address(number, port):
    plain = str(IPv4Address(number))
    mapped = str(IPv6Address(0xFFFF << 32 | number))

    spellings = [plain, f"{plain}:{port}", f"::ffff:{plain}", mapped, f"[{mapped}]", f"[::ffff:{plain}]:{port}"]
    assert {read_address(spelling) for spelling in spellings} == {plain}


@given(st.text(max_size=40) | st.text("0123456789abcdef.:[]%/ ", max_size=40))
def test_no_text_raises_anything(text):
    address = read_address(text)

    assert address is None or read_address(address) == address


@pytest.mark.parametrize(
    ("written", "network"),
    [
        ("203.0.113.5", "203.0.113.5/32"),
        ("203.0.113.0/24", "203.0.113.0/24"),
        ("::ffff:203.0.113.5", "203.0.113.5/32"),
        ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::/0", "::/0"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("2001:db8::1", "2001:db8::1/128"),
    ],
)
def test_a_network_is_kept_in_one_spelling(written, network):
    assert normal_network(written) == network


@pytest.mark.parametrize(
    "written",
    ["", "x", "203.0.113.5:443", "[2001:db8::1]", "203.0.113.5/24", "203.0.113.0/33", "::ffff:203.0.113.5/120"],
)
def test_a_text_that_is_not_a_network_is_refused(written):
    with pytest.raises(ValueError, match=r".+"):
        normal_network(written)


@pytest.mark.parametrize("network", ["::ffff:203.0.113.5", "::ffff:203.0.113.0/120", "203.0.113.5"])
@pytest.mark.parametrize("address", ["203.0.113.5", "::ffff:203.0.113.5"])
def test_a_list_that_was_kept_with_mapped_addresses_matches(network, address):
    assert in_networks(address, [network])
    assert not in_networks("203.0.112.5", [network])


@pytest.mark.parametrize(
    ("address", "size", "read"),
    [
        ("192.0.2.1", 4, "192.0.2.1"),
        ("::ffff:192.0.2.1", 4, "192.0.2.1"),
        ("2001:db8::1", 16, "2001:db8::1"),
    ],
)
def test_an_address_is_packed_as_small_as_it_is(address, size, read):
    packed = pack_address(address)

    assert len(packed) == size
    assert unpack_address(packed) == read


@pytest.mark.parametrize("address", [None, "", "unix:", "localhost"])
def test_a_text_that_is_not_an_address_is_not_packed(address):
    assert pack_address(address) is None


@pytest.mark.parametrize(
    ("inner", "outer", "within"),
    [
        ("192.0.2.0/25", "192.0.2.0/24", True),
        ("192.0.2.0/24", "192.0.2.0/24", True),
        ("192.0.2.0/24", "192.0.2.0/25", False),
        ("192.0.2.0/24", "198.51.100.0/24", False),
        ("2001:db8::/48", "2001:db8::/32", True),
        ("2001:db8::/32", "0.0.0.0/0", False),
        ("all", "all", True),
        ("192.0.2.0/24", "all", False),
    ],
)
def test_a_network_lies_in_another(inner, outer, within):
    assert is_within(inner, outer) is within
