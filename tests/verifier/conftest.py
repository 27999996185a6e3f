"""An issuer on loopback whose keys, revocations, speed and health the test decides. Its feed is the real one."""

import asyncio
import contextlib
import json
import threading
import time
from pathlib import Path

import pytest
import uvicorn
from tests.conftest import free_port

from hourpass.core.errors import InvalidToken
from hourpass.core.policy import HOUR, LEEWAY
from hourpass.core.revocation import Revocation, Revocations
from hourpass.jose import AccessClaims, SigningKeyPair
from hourpass.server.issuing.feed import RevocationFeed
from hourpass.verifier import Verifier
from hourpass.verifier.guard import KeyIdentity

AUDIENCE = "https://api.test"
PLAIN = 'Bearer realm="hourpass"'
"""The challenge if no credential came."""


def wall() -> int:
    return time.time_ns() // 1_000_000


def until(condition, seconds: float = 5.0) -> float:
    """How many seconds it took. Background work has no other end to wait for."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "it never came true"
        time.sleep(0.002)
    return time.monotonic() - began


def refuses(verifier: Verifier, token: str, problem: str) -> bool:
    try:
        verifier.verify(token)
    except InvalidToken as error:
        return error.problem == problem
    return False


def keys(api_key: str) -> KeyIdentity | None:
    """A provider's policy: one key is accepted."""
    return KeyIdentity("bob", "k", "videos.read") if api_key == "good" else None


class Issuer:
    """Serves a JWK Set and a revocation feed. Attributes may be changed at any time, from any thread.

    With `certificate`, a PEM file that holds the key too, it speaks TLS.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        self.port = free_port()
        self.url = f"{'http' if certificate is None else 'https'}://127.0.0.1:{self.port}"
        self._certificate = certificate
        self.pair = SigningKeyPair.generate("k1", "ES256")
        self.published = [self.pair]
        self.max_age = 300
        self.delay = 0.0
        self.down = self.feed_down = False
        self.fetches = self.polls = 0
        self.entries: list[Revocation] = []
        self.epoch = wall() // 1_000
        self.restart_feed()

    def restart_feed(self) -> None:
        async def read(after: int, now: int) -> list[Revocation]:
            return [entry for entry in self.entries if entry.n > after and entry.until > now]

        self.feed = RevocationFeed(read, lambda now: self.pair, Revocations(), issuer=self.url, epoch=self.epoch)

    def token(self, pair: SigningKeyPair | None = None, **changes: object) -> str:
        second = wall() // 1_000
        claims = {
            "iss": self.url, "sub": "alice", "aud": AUDIENCE, "exp": second + 3_600, "iat": second, "jti": "token",
            "client_id": "key", "scope": "videos.read", "sid": "grant", "env": "production", **changes,
        }  # fmt: skip
        return (pair or self.pair).mint(AccessClaims(**claims)).decode()

    def revoke(self, kind: str, value: str) -> None:
        """Number an entry and have the feed look it up, as the issuer does when it has committed one."""
        self.entries.append(Revocation(len(self.entries) + 1, kind, value, wall() + HOUR + LEEWAY))
        self.loop.call_soon_threadsafe(lambda: self.feed.hurry(wall()))

    async def __call__(self, scope, receive, send) -> None:
        jwks = scope["path"] == "/.well-known/jwks.json"
        self.fetches, self.polls = self.fetches + jwks, self.polls + (not jwks)
        if jwks:
            await asyncio.sleep(self.delay)
        status, headers, body = 503, [], b""
        if jwks and not self.down:
            document = {"keys": [pair.verification_key.jwk for pair in self.published]}
            status, body = 200, json.dumps(document).encode()
            headers = [(b"cache-control", b"max-age=%d" % self.max_age)]
        if not jwks and not self.feed_down:
            status, headers, body = await self.feed.answer(scope["query_string"], wall())
        headers = [*headers, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def start(self) -> None:
        config = uvicorn.Config(
            self, port=self.port, lifespan="off", log_config=None, ws="none", loop="asyncio",
            ssl_certfile=self._certificate,
        )  # fmt: skip
        self._server = _Server(config)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        while not self._server.started:
            time.sleep(0.002)

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        await self._server.serve()

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.feed.close)
        self._server.should_exit = True
        self._thread.join(10)


class _Server(uvicorn.Server):
    def capture_signals(self):
        return contextlib.nullcontext()


@pytest.fixture
def issuer():
    issuer = Issuer()
    issuer.start()
    yield issuer
    issuer.stop()


@pytest.fixture
def verifier(issuer):
    with Verifier(issuer=issuer.url, audience=AUDIENCE) as verifier:
        yield verifier


@pytest.fixture(scope="module")
def shared_issuer():
    """For tests that only read: one issuer for a whole file."""
    issuer = Issuer()
    issuer.start()
    yield issuer
    issuer.stop()


@pytest.fixture(scope="module")
def shared_verifier(shared_issuer):
    with Verifier(issuer=shared_issuer.url, audience=AUDIENCE) as verifier:
        yield verifier


@pytest.fixture
def dead_verifier():
    """Of an issuer that nobody can reach."""
    with Verifier(issuer=f"http://127.0.0.1:{free_port()}", audience=AUDIENCE) as verifier:
        yield verifier
