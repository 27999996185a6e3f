"""Proxies that reach hourpass by a unix socket, spelt as the page says (behind-a-proxy.md)."""

import re
from pathlib import Path

import httpx2
import pytest
from tests.conftest import ServerProcess
from tests.proxies.conftest import ISSUER
from tests.proxies.proxies import Caddy, Envoy, Nginx

NOBODY = 1
"""A port on which no hourpass listens."""

SOCKET = "/run/hourpass/http.sock"
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "behind-a-proxy.md"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A hourpass on a socket, the socket's path, and a key for clients at 127.0.0.1."""
    folder = tmp_path_factory.mktemp("unix")
    server = ServerProcess(folder / "data", folder / "log", {"issuer": ISSUER, "listen": f"unix:{folder}/s"}, {})
    server.start()
    key = server.create_key("--scope", "videos.read", "--allow-ip", "127.0.0.0/8")
    yield server, f"{folder}/s", key
    assert server.stop() == 0


@pytest.mark.parametrize("kind", [Nginx, Caddy, Envoy], ids=lambda kind: kind.name)
def test_a_proxy_exchanges_and_asks_over_a_unix_socket(kind, served, start):
    """The key's allow-list proves that hourpass believes the address which the proxy tells."""
    _, path, key = served
    row = re.search(rf"^\| {kind.name} \| `(.+?)` \| `(.+?)` \|$", PAGE.read_text(), re.MULTILINE | re.IGNORECASE)
    before, after = row.groups()

    class OnSocket(kind):
        def file(self, name, **changes):
            return super().file(name, **{**changes, "hourpass": (before, after.replace(SOCKET, path))})

    proxy = start(OnSocket, NOBODY)
    try:
        pair = proxy.client.post("/auth/api-key", json={"apiKey": key["api_key"]})
        assert pair.status_code == 200
        with_token = {"authorization": f"Bearer {pair.json()['access_token']}"}
        assert proxy.client.get("/videos", headers=with_token).status_code == 200
        assert proxy.client.get("/videos").status_code == 401
    finally:
        proxy.stop()


def test_the_same_key_is_refused_from_elsewhere(served):
    _, path, key = served
    with httpx2.Client(transport=httpx2.HTTPTransport(uds=path), base_url="http://x") as http:
        elsewhere = {"x-forwarded-for": "203.0.113.7"}

        assert http.post("/auth/api-key", json={"apiKey": key["api_key"]}, headers=elsewhere).status_code == 400
