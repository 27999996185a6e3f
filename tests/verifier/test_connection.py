"""Which way to the issuer is taken: proxies, plain http, and what counts as this machine."""

import socket
import threading

import httpx2
import pytest
from tests.verifier.conftest import AUDIENCE

from hourpass.core.errors import ConfigurationError
from hourpass.verifier import Verifier
from hourpass.verifier.connection import is_loopback, open_client, require_safe


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
    "url", ["http://auth.example.com", "ftp://127.0.0.1", "auth.example.com", "https://a.test?x", "https://a.test#x"]
)
def test_what_is_neither_https_nor_on_loopback_is_refused(url):
    with pytest.raises(ConfigurationError):
        require_safe(url)


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
def test_what_is_not_encrypted_goes_through_no_proxy(monkeypatch, shared_issuer, proxy, variable, host):
    """Whoever runs the proxy could send keys of his own, and have his own tokens accepted."""
    monkeypatch.delenv("REQUEST_METHOD", raising=False)
    monkeypatch.setenv(variable, proxy.url)
    url = shared_issuer.url.replace("127.0.0.1", host)

    with Verifier(issuer=shared_issuer.url, audience=AUDIENCE, url=url) as verifier:
        assert verifier.verify(shared_issuer.token()).sub == "alice"

    assert proxy.asked == 0


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

    async with open_client(url, None) as http:
        # Nobody answers there with TLS; whether the proxy was asked is what shows.
        with pytest.raises(httpx2.TransportError):
            await http.get(f"{url}:1/", timeout=2)

    assert proxy.asked == asked
