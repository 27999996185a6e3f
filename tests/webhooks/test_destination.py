"""Where a webhook may lead: https to the public Internet, in one plain spelling. Everything else is refused."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourpass.core.errors import InvalidRequest, PrivateAddress
from hourpass.server.webhooks.destination import addresses_of, new_destination, read_destination

PRIVATE = [
    "https://127.0.0.1/", "https://127.0.0.1:8443/", "https://127.1/", "https://127.0.1/", "https://2130706433/",
    "https://0x7f000001/", "https://0x7f.0.0.1/", "https://0X7F.1/", "https://017700000001/", "https://0177.0.0.1/",
    "https://127.0.0.1./", "https://127.00.00.1/", "https://0/", "https://0.0.0.0/", "https://1/", "https://3232235521/",
    "https://localhost/", "https://LOCALHOST./", "https://a.localhost/", "https://localhost:1/",
    "https://10.0.0.1/", "https://172.16.0.1/", "https://192.168.1.1/", "https://100.64.0.1/",
    "https://169.254.169.254/latest/meta-data/", "https://169.254.169.254./", "https://2852039166/",
    "https://0xa9fea9fe/", "https://0251.0376.0251.0376/",
    "https://224.0.0.1/", "https://255.255.255.255/", "https://240.0.0.1/", "https://198.18.0.1/", "https://203.0.113.1/",
    "https://[::]/", "https://[::1]/", "https://[0:0:0:0:0:0:0:1]/", "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/", "https://[::ffff:8.8.8.8]/", "https://[::127.0.0.1]/", "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b::8.8.8.8]/", "https://[64:ff9b:1::1]/", "https://[2002:7f00:1::]/", "https://[2001::1]/",
    "https://[fe80::1]/", "https://[fc00::1]/", "https://[fd00:ec2::254]/", "https://[ff02::1]/",
    "https://[2001:db8::1]/", "https://[::ffff:0:127.0.0.1]/", "https://[fec0::1]/",
]  # fmt: skip

MALFORMED = [
    "", "/", "https://", "https:///path", "https:/example.com", "https:example.com", "//example.com/", "example.com",
    "http://example.com/", "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "javascript:alert(1)",
    "https://user@example.com/", "https://user:pass@example.com/", "https://:@example.com/", "https://@example.com/",
    "https://example.com@127.0.0.1/", "https://127.0.0.1#@example.com/", "https://example.com/#part",
    "https://example.com\\@127.0.0.1/", "https://127.0.0.1\\.example.com/", "https://exa mple.com/",
    "https://example.com/\r\nx: y", "https://example.com/\t", " https://example.com/", "https://example.com/ä",
    "https://exämple.com/", "https://１２７.0.0.1/", "https://127。0。0。1/", "https://ⓛocalhost/",
    "https://example.com:0/", "https://example.com:65536/", "https://example.com:x/", "https://example.com:-1/",
    "https://example..com/", "https://.example.com/", "https://-example.com/", "https://exam%70le.com/",
    "https://127.0.0.1%2f@example.com/", "https://[::1/", "https://::1/", "https://[v1.x]/", "https://[fe80::1%25eth0]/",
    "https://*.example.com/", "https://" + "a" * 64 + ".com/", "https://" + "a." * 127 + "com/",
    "https://example.com/" + "a" * 2_000,
]  # fmt: skip


@pytest.mark.parametrize("url", PRIVATE)
def test_a_private_address_is_refused_in_every_spelling(url):
    with pytest.raises(PrivateAddress):
        new_destination(url, allow_private=False, look_up=lambda host, port: pytest.fail("it was looked up"))


@pytest.mark.parametrize("url", MALFORMED)
def test_what_is_not_a_plain_https_url_is_refused_and_not_repeated(url):
    with pytest.raises(InvalidRequest) as error:
        read_destination(url, allow_private=False)
    assert error.value.name == "url"
    assert len(url) < 12 or url not in error.value.detail


@pytest.mark.parametrize(
    ("url", "kept", "authority"),
    [
        ("https://example.com", "https://example.com/", "example.com"),
        ("HTTPS://Example.COM:443/A?b=C%20", "https://example.com/A?b=C%20", "example.com"),
        ("https://example.com:8443/?x", "https://example.com:8443/?x", "example.com:8443"),
        ("https://xn--exmple-cua.com./p", "https://xn--exmple-cua.com./p", "xn--exmple-cua.com."),
        ("https://8.8.8.8/", "https://8.8.8.8/", "8.8.8.8"),
        ("https://[2606:4700:4700::1111]:8443/", "https://[2606:4700:4700::1111]:8443/", "[2606:4700:4700::1111]:8443"),
    ],
)
def test_a_public_url_is_kept_in_one_spelling(url, kept, authority):
    found = read_destination(url, allow_private=False)

    assert (found.url, found.authority) == (kept, authority)
    assert read_destination(found.url, allow_private=False) == found


def test_with_the_setting_a_receiver_may_be_private_and_plain_http():
    found = read_destination("http://10.0.0.1:8080/hook", allow_private=True)

    assert (found.https, found.url) == (False, "http://10.0.0.1:8080/hook")
    assert read_destination("http://localhost", allow_private=True).port == 80
    with pytest.raises(InvalidRequest):
        read_destination("http://user@10.0.0.1/", allow_private=True)


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["93.184.215.14", "127.0.0.1"], ["::1"], ["64:ff9b::5db8:d70e"]])
def test_a_name_with_any_address_that_is_not_public_is_refused_when_a_webhook_is_made(addresses):
    with pytest.raises(PrivateAddress):
        new_destination("https://rebind.example/", allow_private=False, look_up=lambda host, port: addresses)
    assert new_destination("https://rebind.example/", allow_private=True, look_up=lambda host, port: addresses)


def no_address(host, port):
    raise OSError("no such host")


@pytest.mark.parametrize("look_up", [no_address, lambda host, port: []])
def test_a_name_without_address_is_accepted_and_judged_later(look_up):
    assert new_destination("https://soon.example/", allow_private=False, look_up=look_up).host == "soon.example"


def test_a_resolver_that_hangs_holds_nobody_up():
    ended = threading.Event()

    def hangs(host, port):
        ended.wait(20)
        return []

    assert new_destination("https://slow.example/", allow_private=False, look_up=hangs, patience=0.05)
    ended.set()


def test_the_machines_resolver_is_asked():
    assert "127.0.0.1" in addresses_of("localhost", 443) or "::1" in addresses_of("localhost", 443)


@given(st.text(max_size=60).map(lambda text: f"https://{text}"))
def test_any_text_is_a_destination_or_refused_and_a_destination_reads_as_itself(url):
    try:
        found = read_destination(url, allow_private=False)
    except (InvalidRequest, PrivateAddress):
        return
    assert read_destination(found.url, allow_private=False) == found
