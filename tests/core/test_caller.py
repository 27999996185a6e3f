"""Which addresses share an allowance: one IPv4 address, or one IPv6 /64, however they are written."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourpass.core.caller import bucket


@given(network=st.integers(0, 2**64 - 1), hosts=st.lists(st.integers(0, 2**64 - 1), min_size=2, max_size=4))
def test_all_addresses_of_a_64_share_one_allowance(network, hosts):
    network |= 1 << 63  # below lie the mapped addresses
    assert len({bucket(str(IPv6Address(network << 64 | host))) for host in hosts}) == 1


@given(network=st.integers(1 << 32, 2**64 - 2), host=st.integers(0, 2**64 - 1))
def test_two_neighbouring_64s_do_not_share(network, host):
    assert bucket(str(IPv6Address(network << 64 | host))) != bucket(str(IPv6Address((network + 1) << 64 | host)))


@given(number=st.integers(0, 2**32 - 1))
def test_a_mapped_address_is_the_ipv4_address(number):
    plain = str(IPv4Address(number))

    assert bucket(plain) == plain
    assert bucket(f"::ffff:{plain}") == plain
    assert bucket(str(IPv6Address(0xFFFF << 32 | number))) == plain


@given(number=st.integers(0, 2**32 - 2))
def test_each_ipv4_address_has_its_own_allowance(number):
    assert bucket(str(IPv4Address(number))) != bucket(str(IPv4Address(number + 1)))


@pytest.mark.parametrize("written", ["2001:db8::1", "2001:DB8::2", "2001:0db8:0000:0000:0:0:0:1", "2001:db8::1%eth0"])
def test_however_it_is_written_it_is_the_same_address(written):
    assert bucket(written) == "2001:db8::/64"


@pytest.mark.parametrize(("address", "name"), [(None, ""), ("", ""), ("testclient", "testclient")])
def test_peers_without_an_address_share_the_allowance_of_their_name(address, name):
    assert bucket(address) == name
