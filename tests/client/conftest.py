"""A credential to reason about, clocks that stand still, and a token endpoint that answers as it is told."""

import json
import threading

import httpx2
import pytest
from tests.client.scripted_server import ScriptedServer

from hourpass.client.credential import Credential, new_credential
from hourpass.client.refresh.cache import FileCache, MemoryCache
from hourpass.client.refresh.setting import Setting
from hourpass.client.source import TokenSource
from hourpass.clocks import age_clock, draw, wall_clock
from hourpass.core.token_request import PLAIN_REQUEST
from hourpass.testing import Clock
from hourpass.urls import ServerAddress

NOW = 5_000_000
HOUR = 3_600_000
URL = "http://127.0.0.1:3600"


def credential(*, lifetime=HOUR, jitter=0.0, number=1, issued_at=NOW, **more) -> Credential:
    members = {"access_token": "access", "refresh_token": "refresh", **more}
    return new_credential(number=number, issued_at=issued_at, lifetime=lifetime, jitter=jitter, **members)


class Endpoint:
    """A token endpoint behind a transport. Answers pair after pair, unless `script` says otherwise.

    An entry of the script is a status, a status and headers, an exception to raise, or the body of a 200.
    """

    def __init__(self) -> None:
        self.script: list = []
        self.requests: list[tuple[str, dict]] = []
        self.lifetime = 3600
        self.open = threading.Event()
        self.open.set()
        self.transport = httpx2.MockTransport(self._answer)

    @property
    def paths(self) -> list[str]:
        return [path.rpartition("/")[2] for path, _ in self.requests]

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        assert self.open.wait(10)
        self.requests.append((request.url.path, json.loads(request.content)))
        number = len(self.requests)
        entry = self.script.pop(0) if self.script else 200
        match entry:
            case Exception():
                raise entry
            case bytes():
                return httpx2.Response(200, content=entry)
            case (status, headers):
                return httpx2.Response(status, headers=headers, json={"title": "no", "name": "", "status": status})
            case 200:
                pair = {"access_token": f"access-{number}", "refresh_token": f"refresh-{number}"}
                return httpx2.Response(200, json={"token_type": "Bearer", "expires_in": self.lifetime, **pair})
            case status:
                return httpx2.Response(status, json={"title": "no", "name": "", "status": status, "reason": "revoked"})


def settle(source: TokenSource) -> None:
    """Wait for the end of the refresh that runs behind callers, if one does."""
    for thread in threading.enumerate():
        if thread.name == "hourpass-refresh":
            thread.join(5)


@pytest.fixture
def endpoint():
    return Endpoint()


@pytest.fixture
def clock():
    return Clock(NOW)


@pytest.fixture
def make(endpoint, clock):
    """A factory of sources on that endpoint and clock. Both clocks are the same one. Callers wait for no backoff."""
    made = []

    def make(api_key="KEY", **more) -> TokenSource:
        options = {"clock": clock, "wall": clock, "chance": lambda: 0.5, "timeout": 3.0, **more}
        source = TokenSource(URL, api_key, transport=endpoint.transport, **options)
        made.append(source)
        return source

    yield make
    endpoint.open.set()
    for source in made:
        source.close(5)


@pytest.fixture
def source(make):
    return make()


@pytest.fixture
def other():
    """Somebody else's token server, on a real socket."""
    server = ScriptedServer()
    yield server
    server.close()


@pytest.fixture
def source_of(clock):
    """A factory of sources on a real server. Both clocks stand still, so only the first failure is waited out."""
    made = []

    def make(server, api_key="KEY", *, cache_at=None, url=None, **more) -> TokenSource:
        cache = None if cache_at is None else FileCache(cache_at)
        options = {"clock": clock, "wall": clock, "chance": lambda: 1.0, "timeout": 0.9, **more}
        source = TokenSource(url or server.url, api_key, cache=cache, **options)
        made.append(source)
        return source

    yield make
    for source in made:
        source.close(5)


def setting(url=URL, **changes) -> Setting:
    """The setting of a source that asks for nothing special."""
    plain = {
        "owner": url,
        "key_name": None,
        "token_request": PLAIN_REQUEST,
        "api_key": None,
        "cache": MemoryCache(),
        "user_agent": "x",
    }
    rest = {"patience": 30.0, "clock": age_clock, "wall": wall_clock, "chance": draw, "transport": None}
    return Setting(ServerAddress(url), **{**plain, **rest, **changes})
