"""Which addresses are public: every other one in every spelling is refused, also if it carries a public one."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourpass.core.public_address import is_local_name, is_numeric, is_public

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.215.14",
    "172.15.255.255",
    "172.32.0.0",
    "11.0.0.0",
    "9.255.255.255",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "1.0.0.0",
    "2606:4700:4700::1111",
    "2a00:1450:4001:81b::200e",
    "2001:200::1",
    "2003::1",
    "3ffe::1",
    "3fff:1000::1",
]

NOT_PUBLIC = [
    "0.0.0.0",
    "0.255.255.255",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.0.0",
    "169.254.169.254",
    "169.254.255.255",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.0",
    "192.168.255.255",
    "198.18.0.0",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.0",
    "239.255.255.255",
    "240.0.0.0",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:8.8.8.8",
    "::127.0.0.1",
    "::8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::a00:1",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:1ff:ffff::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "3fff::1",
    "3fff:fff:ffff::",
    "1fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "2606:4700:4700::1111%1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_public(address):
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_every_other_address_is_not(address):
    assert not is_public(address)


@given(st.integers(0, 2**32 - 1))
def test_an_ipv4_address_in_an_ipv6_form_is_never_public(number):
    carried = IPv4Address(number)
    for prefix in ("::", "::ffff:", "::ffff:0:", "64:ff9b::", "64:ff9b:1::"):
        assert not is_public(f"{prefix}{carried}")
    assert not is_public(str(IPv6Address((0x2002 << 112) | number << 80)))
    assert not is_public(str(IPv6Address((0x20010000 << 96) | number)))


@given(st.ip_addresses(v=4))
def test_what_python_calls_private_or_reserved_is_never_public(address):
    if address.is_private or address.is_multicast or address.is_reserved or address.is_unspecified:
        assert not is_public(str(address))


@given(st.text(max_size=20))
def test_any_text_gets_an_answer(text):
    assert is_public(text) in (True, False)
    assert is_numeric(text) in (True, False)


@pytest.mark.parametrize(
    "host",
    ["2130706433", "0x7f000001", "0x7F.1", "017700000001", "0177.0.0.1", "127.1", "127.0.1", "10.1", "1.2.3.4.5",
     "0x7f.0x0.0x0.0x1", "127.0.0.1.", "127.0.0.01", "256.256.256.256", "foo.0x1", "example.1", "0"],
)  # fmt: skip
def test_a_number_that_is_not_a_plain_address_is_numeric(host):
    assert is_numeric(host)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "8.8.8.8", "::1", "example.com", "1.example.com", "0x.example", "a1", "x0x1"]
)
def test_names_and_plain_addresses_are_not_numeric(host):
    assert not is_numeric(host)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("a.localhost", True),
        ("localhost.com", False),
        ("notlocalhost", False),
    ],
)
def test_some_names_are_this_machine(host, local):
    assert is_local_name(host) is local
