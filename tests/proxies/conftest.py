"""One hourpass and one API as real processes, and each real proxy before them in turn."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest
from tests.conftest import LOOKS_SECRET, ServerProcess, free_port
from tests.proxies.proxies import ALL, Proxy
from tests.proxies.tap import Tap

ISSUER = "https://api.example.com"
"""The URL that the files name. The tests use another address, as behind any proxy."""

FORGED = "forged-by-the-client"


class Key(NamedTuple):
    """An API key, and the tokens of one exchange."""

    api_key: str
    key_id: str
    access_token: str
    refresh_token: str

    def __repr__(self) -> str:
        return f"Key({self.key_id})"

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access_token}"}


def identity(answer: httpx2.Response) -> dict[str, str]:
    """The identity headers that the API received, with names in lower case, for HTTP does not care."""
    received = [(name.lower(), value) for name, value in answer.json()["headers"]]
    return {name: value for name, value in received if name.startswith("hourpass")}


@pytest.fixture(scope="session")
def hourpass(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hourpass")
    server = ServerProcess(
        folder / "data",
        folder / "log",
        {"issuer": ISSUER, "exchange-limit": 0, "api-key-sources": "basic bearer header:X-API-Key"},
        {},
    ).start()
    yield server
    assert server.stop() == 0
    assert not LOOKS_SECRET.search(server.log.read_bytes()), "a key or a token stands in the log"


@pytest.fixture(scope="session")
def api():
    """The port of the API that echoes."""
    port = free_port()
    process = subprocess.Popen([sys.executable, Path(__file__).with_name("echo.py"), str(port)])
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.02)
    yield port
    process.terminate()
    process.wait(10)


@pytest.fixture
def api_received(api):
    """The requests that the API received since the test began, or since the last look."""

    def take() -> list[dict]:
        return httpx2.get(f"http://127.0.0.1:{api}/received", trust_env=False).json()

    take()
    return take


@pytest.fixture(scope="session")
def start(tmp_path_factory, api):
    """A factory of running proxies: `start(Nginx, port_of_hourpass)`. The test that starts one stops it."""

    def start(kind: type[Proxy], hourpass_port: int) -> Proxy:
        return kind(tmp_path_factory.mktemp(kind.name), hourpass_port, api).start()

    return start


@pytest.fixture(scope="session", params=ALL)
def proxy(request, start, hourpass):
    """Each of the five, before the one hourpass."""
    running = start(ALL[request.param], hourpass.port)
    yield running
    running.stop()
    log = (running.folder / "log").read_bytes()
    assert not LOOKS_SECRET.search(log), f"a key or a token stands in {running.name}'s log"


@pytest.fixture(scope="session")
def make_key(hourpass) -> Callable[..., Key]:
    """A factory of keys with the pair of one exchange, and with flags as for `hourpass keys create`."""

    def make(*flags: str) -> Key:
        made = hourpass.create_key(*flags)
        answer = httpx2.post(f"{hourpass.url}/auth/api-key", json={"apiKey": made["api_key"]}, trust_env=False)
        pair = answer.raise_for_status().json()
        return Key(made["api_key"], made["key_id"], pair["access_token"], pair["refresh_token"])

    return make


@pytest.fixture(scope="session")
def reader(make_key):
    """A key that may read videos."""
    return make_key("--scope", "videos.read")


@pytest.fixture(scope="session")
def stranger(make_key):
    """A key that may do something else."""
    return make_key("--scope", "captions.read")


@pytest.fixture(scope="session", params=[("203.0.113.0/24", False), ("127.0.0.0/8", True)], ids=["claimed", "seen"])
def listed(request, hourpass):
    """An API key with an allow-list, and whether that names the client's true address."""
    network, allowed = request.param
    return hourpass.create_key("--scope", "videos.read", "--allow-ip", network)["api_key"], allowed


@pytest.fixture
def tap(hourpass):
    """A tap before hourpass: what a proxy sends there."""
    tap = Tap(hourpass.port)
    yield tap
    tap.close()
