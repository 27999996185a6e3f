"""The URLs that a key or a token may go to, and which machine is this one."""

import pytest

from hourpass.core.errors import ConfigurationError
from hourpass.urls import AllowList, ServerAddress, check_url, is_confidential, is_loopback, origin_of


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://api.example.com", "https://api.example.com:443"),
        ("HTTPS://API.Example.COM:443/a?b#c", "https://api.example.com:443"),
        ("http://localhost/", "http://localhost:80"),
        ("http://[::1]:8080/x", "http://[::1]:8080"),
        ("https://user@api.example.com", None),
        ("https://api.example.com:port", None),
        ("https://api.example.com:99999", None),
        ("https://", None),
        ("https://[::1", None),
        ("ftp://api.example.com", None),
        ("//api.example.com", None),
        ("", None),
    ],
)
def test_an_origin_is_scheme_host_and_port(url, origin):
    """RFC 6454 §4."""
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    ("origin", "is_safe"),
    [
        ("https://api.example.com:443", True),
        ("http://127.0.0.1:3600", True),
        ("http://127.9.9.9:80", True),
        ("http://[::1]:80", True),
        ("http://localhost:80", True),
        ("http://localhost.example.com:80", False),
        ("http://127.0.0.1.example.com:80", False),
        ("http://10.0.0.1:80", False),
        ("http://0.0.0.0:80", False),
    ],
)
def test_plain_http_is_for_this_machine(origin, is_safe):
    assert is_confidential(origin) == is_safe


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST", "localhost.", "api.localhost", "127.0.0.1", "127.8.9.10", "127.1", "0x7f000001",
     "0177.0.0.1", "2130706433", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "::1%lo"],
)  # fmt: skip
def test_this_machine_is_known_in_every_spelling(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "auth.example.com",
        "localhost.example.com",
        "notlocalhost",
        "128.0.0.1",
        "10.0.0.1",
        "::2",
        "",
        "127.example.com",
    ],
)
def test_other_machines_are_not_this_one(host):
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("url", "is_allowed"),
    [
        ("https://api.example.com/videos", True),
        ("https://api.example.com:443/", True),
        ("https://api.example.com.evil.example/", False),
        ("https://api.example.com@evil.example/", False),
        ("https://evil.example/https://api.example.com", False),
        ("https://api.example.com:8443/", False),
        ("http://api.example.com/", False),
        ("http://other.example.com/", False),
        ("http://127.0.0.1:3600/", True),
        ("http://127.0.0.1:3601/", False),
    ],
)
def test_a_token_goes_to_origins_of_the_list_alone(url, is_allowed):
    listed = ["https://api.example.com", "http://127.0.0.1:3600/v1"]

    assert AllowList(listed).allows(url) == is_allowed


@pytest.mark.parametrize(
    ("listed", "url"),
    [
        pytest.param("https://api.example.com", "wss://api.example.com/events", id="WebSocket"),
        pytest.param("wss://api.example.com", "https://api.example.com/", id="WebSocket in the list"),
        pytest.param("ws://127.0.0.1:3600", "http://127.0.0.1:3600/", id="plain WebSocket in the list"),
        pytest.param("https://api.bücher.example", "https://api.xn--bcher-kva.example/", id="IDNA"),
        pytest.param("https://api.xn--bcher-kva.example", "https://API.BÜCHER.example/", id="IDNA of a request"),
        pytest.param("https://straße.example", "https://xn--strae-oqa.example/", id="a name of IDNA 2008"),
        pytest.param("https://api.example.com", "https://api.example.com./", id="the root's dot"),
        pytest.param("https://api.example.com.", "https://api.example.com/", id="the root's dot in the list"),
    ],
)
def test_one_origin_has_many_spellings(listed, url):
    assert AllowList([listed]).allows(url)


@pytest.mark.parametrize(
    "url",
    [
        "ws://api.example.com/", "wss://api.example.com:80/", "https://api.example.com../", "https://api.example.com%2e/",
        "https://api.example.com\u3002evil/", "https://strasse.example/",
        "wsss://api.example.com/", "//api.example.com/",
    ],
)  # fmt: skip
def test_a_spelling_that_only_resembles_one_is_another_origin(url):
    assert not AllowList(["https://api.example.com", "https://straße.example"]).allows(url)


@pytest.mark.parametrize(
    "url",
    [
        "nonsense", "", "api.example.com", "ftp://api.example.com", "https://", "https://a@api.example.com",
        "https://api.example.com:x", "https://\udc80.example", "http://api.example.com", "ws://api.example.com",
    ],
    ids=ascii,
)  # fmt: skip
def test_an_entry_that_could_never_match_is_an_error(url):
    with pytest.raises(ConfigurationError) as raised:
        AllowList(["https://api.example.com", url])
    assert "a@" not in str(raised.value)


def test_plain_http_may_be_allowed_by_name():
    assert AllowList(["http://auth:3600"], allow_http=True).allows("http://auth:3600/videos")
    assert not AllowList(["http://auth:3600"], allow_http=True).allows("http://other:3600/videos")


def test_a_servers_url_loses_its_final_slash_and_keeps_its_path():
    assert check_url("https://api.example.com/v1/", allow_http=False) == "https://api.example.com/v1"
    assert check_url("http://auth:3600", allow_http=True) == "http://auth:3600"


@pytest.mark.parametrize(
    "url",
    [
        "http://auth:3600",
        "https://a:SECRET@h",
        "https://h?key=SECRET",
        "https://h#f",
        "h",
        "ftp://127.0.0.1",
        "wss://h",
    ],
)
def test_a_url_that_keys_must_not_be_sent_to_is_refused_without_repeating_it(url):
    with pytest.raises(ConfigurationError) as caught:
        ServerAddress(url)
    assert "SECRET" not in caught.value.detail


def test_a_refusal_of_plain_http_says_what_to_do():
    for refuse in (
        lambda: check_url("http://auth.example.com", allow_http=False),
        lambda: AllowList(["http://auth.example.com"], allow_http=False),
    ):
        with pytest.raises(ConfigurationError, match="use https, or allow http"):
            refuse()
