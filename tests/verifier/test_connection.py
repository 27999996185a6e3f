"""Which way to the issuer is taken, and what is said if there is none."""

import inspect
import socket
import ssl
import threading
from itertools import pairwise

import httpx2
import pytest
from tests.client.test_https import self_signed, trusting
from tests.verifier.conftest import AUDIENCE, Issuer

from hourpass.client.source import TokenSource
from hourpass.core.errors import ConfigurationError, Unavailable
from hourpass.urls import ServerAddress
from hourpass.verifier import Verifier
from hourpass.verifier.connection import open_client, reason


def caused(*errors: BaseException) -> BaseException:
    for outer, inner in pairwise(errors):
        outer.__cause__ = inner
    return errors[0]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            caused(httpx2.ConnectError("x"), OSError("all failed"), ConnectionRefusedError(111, "x")),
            "Connection refused",
        ),
        (caused(httpx2.ConnectError("x"), ExceptionGroup("x", [OSError(113, "x")])), "No route to host"),
        (
            caused(httpx2.ConnectError("x"), socket.gaierror(-2, "Name or service not known")),
            "Name or service not known",
        ),
        (caused(httpx2.ConnectError("x"), ssl.SSLError(1, "wrong version number")), "wrong version number"),
        (TimeoutError(), "no answer in time"),
        (OSError(24, "x"), "Too many open files"),
        (FileNotFoundError(2, "x", "/ca.pem"), "No such file or directory: /ca.pem"),
        (ImportError("the 'socksio' package is not installed"), "the 'socksio' package is not installed"),
        (httpx2.RemoteProtocolError("secret"), "RemoteProtocolError"),
        (ValueError("http://user:secret@proxy"), "ValueError"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_reason_is_what_the_system_said_first_and_nothing_of_an_url(error, said):
    assert reason(error) == said


def test_a_certificate_that_is_not_trusted_is_named():
    error = ssl.SSLCertVerificationError(1, "x")
    error.verify_message = "unable to get local issuer certificate"

    assert reason(error) == "the certificate is not trusted: unable to get local issuer certificate"


class Proxy:
    """Counts who connects, and forges an answer for each."""

    def __init__(self) -> None:
        self.asked = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.asked += 1
            with connection:
                connection.sendall(b'HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{"keys":[]}')

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def proxy():
    proxy = Proxy()
    yield proxy
    proxy.close()


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_plain_connection_goes_through_no_proxy(monkeypatch, shared_issuer, proxy, variable, host):
    """The owner of the proxy could send keys of his own, and have his own tokens accepted."""
    monkeypatch.delenv("REQUEST_METHOD", raising=False)
    monkeypatch.setenv(variable, proxy.url)
    url = shared_issuer.url.replace("127.0.0.1", host)

    with Verifier(issuer=shared_issuer.url, audience=AUDIENCE, url=url) as verifier:
        assert verifier.verify(shared_issuer.token()).sub == "alice"

    assert proxy.asked == 0


@pytest.mark.anyio
async def test_a_proxy_that_is_named_outright_is_gone_by(monkeypatch, proxy):
    async with open_client(ServerAddress("http://auth.mesh", proxy=proxy.url, allow_http=True)) as http:
        answer = await http.get("http://auth.mesh/", timeout=2)

    assert (answer.json(), proxy.asked) == ({"keys": []}, 1)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("https://localhost", 0),
        ("https://127.0.0.1", 0),
        ("https://[::1]", 0),
        ("https://LOCALHOST.", 0),
        ("http://auth.example.com", 0),
        ("https://auth.example.com", 1),
    ],
)
async def test_a_proxy_is_for_https_to_another_machine(monkeypatch, proxy, url, asked):
    for variable in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, proxy.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    async with open_client(ServerAddress(url, allow_http=True)) as http:
        # Nobody answers there with TLS, but the proxy shows whether it was asked.
        with pytest.raises(httpx2.TransportError):
            await http.get(f"{url}:1/", timeout=2)

    assert proxy.asked == asked


def test_a_proxy_never_gets_the_question_for_keys_in_plain_unless_the_caller_allows_it():
    with pytest.raises(ConfigurationError, match="allow_http"):
        Verifier(issuer="http://127.0.0.1:3600", audience="a", proxy="http://127.0.0.1:9")
    Verifier(issuer="http://127.0.0.1:3600", audience="a", proxy="http://127.0.0.1:9", allow_http=True)


@pytest.fixture
def certificate(tmp_path, monkeypatch):
    """Of a private authority. The environment names no other way and no other authority."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    return self_signed(tmp_path)


@pytest.fixture
def secured(certificate):
    issuer = Issuer(certificate)
    issuer.start()
    yield issuer
    issuer.stop()


def test_a_private_authority_may_be_named_for_one_verifier(secured, certificate):
    with Verifier(issuer=secured.url, audience=AUDIENCE, tls=trusting(certificate)) as verifier:
        assert verifier.verify(secured.token()).sub == "alice"
        assert verifier.status().revocations == "fresh"


def test_an_issuer_of_another_authority_is_out_of_reach_and_the_reason_is_said(secured, tmp_path):
    verifier = Verifier(issuer=secured.url, audience=AUDIENCE, tls=trusting(self_signed(tmp_path)))
    with verifier, pytest.raises(Unavailable, match="the certificate is not trusted"):
        verifier.verify(secured.token())

    assert secured.fetches == 0


ADDRESS = [*inspect.signature(ServerAddress).parameters.values()][1:]
"""The options that say how to reach hourpass, without the URL itself. What is added to one of us belongs to both."""


def test_the_options_of_a_connection_are_these():
    assert {option.name for option in ADDRESS} == {"allow_http", "tls", "proxy"}


@pytest.mark.parametrize("kind", [Verifier, TokenSource])
def test_a_verifier_and_a_token_source_take_the_same_options_of_a_connection_named_alike(kind):
    options = inspect.signature(kind).parameters

    for option in ADDRESS:
        ours = options[option.name]
        assert (ours.kind, ours.default) == (inspect.Parameter.KEYWORD_ONLY, option.default)
    # Each waits for something else, so the seconds differ.
    assert (options["timeout"].kind, options["timeout"].annotation) == (inspect.Parameter.KEYWORD_ONLY, float)
