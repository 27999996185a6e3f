"""Settings that hold URLs: an origin is kept as browsers send it, an issuer is written as verifiers compare it."""

import pytest

from hourpass.core.errors import ConfigurationError
from hourpass.server.serve import create_app, serve
from hourpass.server.settings.agreement import require_issuer
from hourpass.server.settings.loading import load
from hourpass.testing import InMemoryServer


def read(**flags):
    return load(flags, {}, "/srv")[0]


def refusal(**flags):
    with pytest.raises(ConfigurationError) as caught:
        read(**flags)
    return caught.value.detail


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("https://app.example.com", "https://app.example.com"),
        ("https://app.example.com/", "https://app.example.com"),
        ("HTTPS://App.Example.COM", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("https://app.example.com:443/", "https://app.example.com"),
        ("https://app.example.com:", "https://app.example.com"),
        ("https://app.example.com:0443", "https://app.example.com"),
        ("http://app.example.com:80", "http://app.example.com"),
        ("https://app.example.com:80", "https://app.example.com:80"),
        ("http://app.example.com:443", "http://app.example.com:443"),
        ("http://localhost:5173", "http://localhost:5173"),
        ("https://app.example.com.", "https://app.example.com."),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("http://192.0.2.1:8080", "http://192.0.2.1:8080"),
        ("http://[2001:DB8:0:0::1]:80", "http://[2001:db8::1]"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("chrome-extension://abcdefghijklmnop", "chrome-extension://abcdefghijklmnop"),
        ("*", "*"),
    ],
)
def test_an_origin_is_kept_as_browsers_send_it(given, sent):
    """RFC 6454 §6.2."""
    assert read(cors_origins=given).cors_origins == (sent,)
    assert read(cors_origins=sent).cors_origins == (sent,)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("https://app.example.com/login", "leave the path out"),
        ("https://app.example.com//", "leave the path out"),
        ("https://app.example.com?", "leave the path out"),
        ("https://app.example.com#top", "leave the path out"),
        ("https://app.example.com\\x", "leave the path out"),
        ("app.example.com", "an origin has a scheme"),
        ("app.example.com:443", "an origin has a scheme"),
        ("//app.example.com", "an origin has a scheme"),
        ("https:app.example.com", "an origin has a scheme"),
        ("https:/app.example.com", "an origin has a scheme"),
        ("ftp://app.example.com", "begins with https://"),
        ("file:///index.html", "begins with https://"),
        ("https://", "its host must be"),
        ("https://*.example.com", "a wildcard inside"),
        ("https://app.example.com:*", "a wildcard inside"),
        ("*.example.com", "an origin has a scheme"),
        ("null", "null is the origin of any page in a sandbox"),
        ("https://bücher.example", "its host must be ASCII"),
        ("https://app.example.com:65536", "port must be from 1 to 65535"),
        ("https://app.example.com:0", "port must be from 1 to 65535"),
        ("https://app.example.com:https", "its host must be"),
        ("https://app..example.com", "empty part"),
        ("http://127.1", "127.1"),
        ("http://0x7f.1", "0x7f.1"),
        ("http://[::1", "its host must be"),
        ("http://[::1%25eth0]", "its host must be"),
        ('["https://app.example.com"]', "begins with https://"),
    ],
)
def test_an_origin_that_no_browser_would_send_is_refused_and_named(given, words):
    for origins in (given, ["https://good.example", given]):
        told = refusal(cors_origins=origins)
        assert told.startswith("cors_origins (from flag): ")
        assert words in told
        assert given in told or repr(given)[1:-1] in told


@pytest.mark.parametrize("origins", ["https://user:hunter2@app.example.com", "https://hunter2@x/y", "hunter2@x"])
def test_an_origin_with_a_user_is_refused_without_repeating_it(origins):
    assert "hunter2" not in refusal(cors_origins=origins)


def test_an_origin_named_twice_is_kept_once():
    named = "https://a.example https://A.example:443/, https://b.example"

    assert read(cors_origins=named).cors_origins == ("https://a.example", "https://b.example")


@pytest.mark.anyio
async def test_a_page_of_a_normalised_origin_may_call():
    settings = read(cors_origins="HTTPS://App.Example.com:443/")
    async with InMemoryServer(cors_origins=settings.cors_origins) as server:
        sent = []
        scope = {
            "type": "http", "method": "OPTIONS", "path": "/.well-known/jwks.json", "root_path": "", "query_string": b"",
            "headers": [(b"origin", b"https://app.example.com")], "client": ("192.0.2.1", 1), "http_version": "1.1",
        }  # fmt: skip
        await server.app(scope, None, lambda message: _keep(sent, message))

    assert sent[0]["status"] == 204
    assert (b"access-control-allow-origin", b"https://app.example.com") in sent[0]["headers"]


async def _keep(sent, message):
    sent.append(message)


@pytest.mark.parametrize(
    "issuer",
    [
        "https://auth.example.com", "http://localhost:3600", "https://auth.example.com/login", "http://[::1]:3600",
        "https://auth.example.com/a/b-c_d~e", "http://127.0.0.1:3600/x", "https://auth.example.com:8443",
    ],
)  # fmt: skip
def test_a_normal_issuer_is_kept_to_the_letter(issuer):
    assert read(issuer=issuer).issuer == read(issuer=f"{issuer}/").issuer == issuer


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("https://Auth.example.com", "https://auth.example.com"),
        ("HTTPS://auth.example.com/Login", "https://auth.example.com/Login"),
        ("https://auth.example.com:443", "https://auth.example.com"),
        ("http://auth.example.com:80/x", "http://auth.example.com/x"),
        ("https://auth.example.com:08443", "https://auth.example.com:8443"),
        ("http://[0:0::1]", "http://[::1]"),
    ],
)
def test_an_issuer_in_another_spelling_is_refused_with_the_normal_one(given, normal):
    """RFC 8414 §3.3: verifiers compare it letter by letter."""
    assert f"write it as {normal}:" in refusal(issuer=given)


@pytest.mark.parametrize(
    "given",
    [
        "auth.example.com", "ftp://auth.example.com", "https://", "https:///x", "https://auth.example.com?", "*",
        "https://auth.example.com/#", "https://auth.example.com/a//b", "https://auth.example.com/../x", "null",
        "https://auth.example.com/.", "https://auth.example.com/ä", "https://bücher.example", "https://a b",
        "https://*.example.com", "https://auth.example.com:65536", "https://auth.example.com:x", "https://[::1",
        "https://auth.example.com/a b", "https://auth.example.com\\x", "https://auth..example.com", "http://127.1",
    ],
)  # fmt: skip
def test_an_url_that_cannot_be_an_issuer_is_refused(given):
    assert refusal(issuer=given).startswith("issuer (from flag): ")


def test_an_issuer_with_a_password_is_refused_without_repeating_it():
    assert "hunter2" not in refusal(issuer="https://user:hunter2@auth.example.com")


EVERY_ADDRESS = ["0.0.0.0", "::", "0", "0.0", "0x0", "0:0:0:0:0:0:0:0", "::ffff:0.0.0.0", "::ffff:0:0", "::0"]


@pytest.mark.parametrize("host", EVERY_ADDRESS)
def test_a_server_on_every_address_must_be_told_its_issuer(host):
    settings = read(host=host)

    for start in (require_issuer, create_app, lambda settings: serve(settings, environ={})):
        with pytest.raises(ConfigurationError, match="set --issuer to the URL that clients see"):
            start(settings)
    require_issuer(read(host=host, issuer="https://auth.example.com"))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "192.0.2.1", "localhost", "hourpass", "2001:db8::1", "0.example"])
def test_a_server_on_one_address_need_not(host):
    require_issuer(read(host=host))
