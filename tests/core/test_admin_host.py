"""Which requests to the console are for it, and which come from its own pages."""

import pytest

from hourpass.core.admin_host import is_known_host, is_own_page

LOOPBACK = "127.0.0.1:3601"


@pytest.mark.parametrize(
    ("host", "listen"),
    [
        ("127.0.0.1:3601", LOOPBACK),
        ("127.0.0.1", LOOPBACK),
        ("127.8.9.10:80", LOOPBACK),
        ("localhost:9999", LOOPBACK),
        ("LOCALHOST", LOOPBACK),
        ("console.localhost:3601", LOOPBACK),
        ("[::1]:3601", LOOPBACK),
        ("[::1]", "unix:/run/hourpass/admin.sock"),
        ("10.0.0.5:3601", "10.0.0.5:3601"),
        ("10.0.0.5", "0.0.0.0:3601"),
        ("[2001:db8::1]:3601", "[::]:3601"),
        ("[2001:db8:0::1]", "[2001:db8::1]:3601"),
        ("auth-1.internal:3601", "auth-1.internal:3601"),
        ("admin.example.com", LOOPBACK),
        ("Admin.Example.com:8443", LOOPBACK),
        ("only.example.com:8443", LOOPBACK),
    ],
)
def test_the_console_is_known_by_loopback_the_listener_and_the_names_of_the_setting(host, listen):
    assert is_known_host(host, ("admin.example.com", "only.example.com:8443"), listen)


@pytest.mark.parametrize(
    ("host", "listen"),
    [
        ("", LOOPBACK),
        ("evil.example", LOOPBACK),
        ("evil.example:3601", LOOPBACK),
        ("localhost.evil.example", LOOPBACK),
        ("evil-localhost", LOOPBACK),
        ("127.0.0.1.evil.example", LOOPBACK),
        ("10.0.0.5:3601", LOOPBACK),
        ("10.0.0.6:3601", "10.0.0.5:3601"),
        ("evil.example", "0.0.0.0:3601"),
        ("10.0.0.5", "unix:/run/hourpass/admin.sock"),
        ("10.0.0.5", "auth-1.internal:3601"),
        ("only.example.com", LOOPBACK),
        ("only.example.com:8080", LOOPBACK),
        ("[::1", LOOPBACK),
    ],
)
def test_a_name_of_a_stranger_is_refused(host, listen):
    """DNS rebinding: the stranger's name leads to this machine."""
    assert not is_known_host(host, ("admin.example.com", "only.example.com:8443"), listen)


@pytest.mark.parametrize(
    ("fetch_site", "origin", "own"),
    [
        ("same-origin", None, True),
        ("same-origin", "null", True),
        ("same-site", "http://localhost:3601", False),
        ("cross-site", None, False),
        ("none", None, False),
        (None, "http://localhost:3601", True),
        (None, "https://LOCALHOST:3601", True),
        (None, "http://localhost:3602", False),
        (None, "https://evil.example", False),
        (None, "file://localhost:3601", False),
        (None, "localhost:3601", False),
        (None, "null", True),
        (None, None, True),
    ],
)
def test_a_form_of_another_site_is_refused_as_far_as_the_browser_tells(fetch_site, origin, own):
    assert is_own_page(fetch_site, origin, "localhost:3601") == own
