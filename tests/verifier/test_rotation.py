"""Rotating the signing key while tokens are exchanged and verified: no good token is refused, anywhere, at any time.

The server and the verifiers in their processes run on clocks that go on by themselves and that the test moves, so that
ten minutes of publication and an hour of lifetime pass in a moment.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import httpx2
import jwt
import pytest
import uvicorn
from tests.conftest import free_port, run_command
from tests.verifier.conftest import until, wall

from hourpass.core.api_key import unverified_key_id
from hourpass.core.policy import HOUR, LEEWAY, MINUTE, SECOND
from hourpass.jose import AccessClaims
from hourpass.testing import Clock, InMemoryServer

ROOT = Path(__file__).parents[2]
LEAD = 10 * MINUTE
MAX_AGE = 5 * MINUTE
PROCESSES = 2


class MovedClock(Clock):
    """Goes on by itself, ahead of the real one."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> int:
        return wall() + self.ahead


class Server(uvicorn.Server):
    def capture_signals(self):
        return contextlib.nullcontext()


class Issuer:
    """The real application on a data folder, in a thread, with a clock that the test moves."""

    def __init__(self, data: Path) -> None:
        self.data, self.port, self.clock = data, free_port(), MovedClock()
        self.url = f"http://127.0.0.1:{self.port}"
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._ready.wait(20)
        until(lambda: self._uvicorn.started)

    async def _serve(self) -> None:
        settings = {"data": str(self.data), "database_url": None, "issuer": self.url, "exchange_limit": 0}
        # A clock that jumps looks like a database that was not asked for as long. The next look is due at once.
        settings["revocation_staleness"] = 3_600
        async with InMemoryServer(self.clock, **settings) as server:
            self.issuer = server.app.issuer
            self.api_key = await server.create_key()
            config = uvicorn.Config(server.app, port=self.port, lifespan="off", log_config=None, ws="none")
            self._uvicorn = Server(config)
            self._ready.set()
            await self._uvicorn.serve()

    def stop(self) -> None:
        self.issuer.verification.close()
        self._uvicorn.should_exit = True
        self._thread.join(20)

    def rotate(self) -> str:
        """Make a key by the command, in a process of its own, and return its key id."""
        return json.loads(run_command("signing-keys", "rotate", "--json", "--data", str(self.data)).stdout)["kid"]

    def header(self, kid: str) -> str:
        return self.issuer.verification.signing_keys.pairs[kid].header.decode()


class Remote:
    """A process with a verifier. A method call is a command to it."""

    def __init__(self, issuer: str) -> None:
        command = [sys.executable, "-m", "tests.verifier.verifier_process", issuer]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._turn = threading.Lock()

    def __call__(self, name: str, **arguments: object):
        with self._turn:
            self._process.stdin.write(json.dumps([name, arguments]) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def stop(self) -> None:
        self._process.communicate(timeout=20)
        assert self._process.returncode == 0


class Everyone:
    """The issuer, the verifiers, and one exchange after the other whose token each of them must accept."""

    def __init__(self, issuer: Issuer, remotes: list[Remote]) -> None:
        self.issuer, self.remotes = issuer, remotes
        self.http = httpx2.Client(base_url=issuer.url, timeout=10)
        self.tokens: list[str] = []
        self.refused: list[str] = []
        self._ended = threading.Event()
        self._load = threading.Thread(target=self._exchange)

    def _exchange(self) -> None:
        with httpx2.Client(base_url=self.issuer.url, timeout=10) as http:
            while not self._ended.is_set():
                answer = http.post("/auth/api-key", json={"apiKey": self.issuer.api_key})
                token = answer.raise_for_status().json()["access_token"]
                for remote in self.remotes:
                    remote("take", token=token)
                answer = http.get("/auth/verify", headers={"authorization": f"Bearer {token}"})
                self.refused += [] if answer.status_code == 204 else [answer.headers.get("www-authenticate", "503")]
                self.tokens.append(token)

    @contextlib.contextmanager
    def under_load(self):
        self._load.start()
        try:
            yield
        finally:
            self._ended.set()
            self._load.join(20)

    def exchanged(self) -> Counter[str]:
        return Counter(token.split(".")[0] for token in self.tokens)

    def advance(self, milliseconds: int, *, timers: bool = True) -> None:
        # The verifiers first: a token from the future would rightly be refused.
        for remote in self.remotes:
            remote("move", wall=milliseconds, timer=milliseconds if timers else 0)
        self.issuer.clock.ahead += milliseconds
        until(lambda: self.http.get("/health/ready").status_code == 200, 2)

    def advance_to(self, instant: int) -> None:
        self.advance(instant - self.issuer.clock())

    def judge(self, token: str) -> set[str]:
        """The verdict of all of them: `accepted`, or the word for why not."""
        answer = self.http.get("/auth/verify", headers={"authorization": f"Bearer {token}"})
        challenge = answer.headers.get("www-authenticate", "")
        here = "accepted" if answer.status_code == 204 else challenge.partition('error_description="')[2].rstrip('"')
        return {here, *(remote("judge", token=token) for remote in self.remotes)}

    def know(self, keys: int) -> bool:
        return all(remote("keys_known") == keys for remote in self.remotes)


@pytest.fixture
def everyone(tmp_path):
    issuer = Issuer(tmp_path / "data")
    remotes = [Remote(issuer.url) for _ in range(PROCESSES)]
    everyone = Everyone(issuer, remotes)
    yield everyone
    everyone.http.close()
    for remote in remotes:
        remote.stop()
    issuer.stop()


@pytest.mark.parametrize("timers", [True, False], ids=["who learned of the key in time", "who did not"])
def test_through_a_rotation_under_load_no_good_token_is_refused(everyone, timers):
    """RFC 9068 §4: the set is refreshed ahead, and an unknown key is one shared fetch."""
    with everyone.under_load():
        until(lambda: len(everyone.tokens) > 20, 20)
        (old,) = everyone.exchanged()
        new = everyone.issuer.rotate()
        until(lambda: len(everyone.http.get("/.well-known/jwks.json").json()["keys"]) == 2, 1)
        new = everyone.issuer.header(new)

        everyone.advance(MAX_AGE, timers=timers)
        if timers:
            until(lambda: everyone.know(2), 10)
        assert set(everyone.exchanged()) == {old}, "it signs before its time"
        everyone.advance(LEAD - MAX_AGE, timers=timers)
        until(lambda: everyone.exchanged()[new] > 20, 20)

    assert everyone.refused == []
    for remote in everyone.remotes:
        tally = remote("tally")
        assert tally["refused"] == []
        assert tally["accepted"].keys() == {old, new}
        assert sum(tally["accepted"].values()) > 2 * len(everyone.tokens)


def test_the_last_token_of_the_old_key_is_good_until_it_expires(everyone):
    """RFC 7519 §4.1.4, with our leeway of 5 s."""
    with everyone.under_load():
        until(lambda: everyone.tokens, 20)
        everyone.issuer.rotate()
        until(lambda: len(everyone.http.get("/.well-known/jwks.json").json()["keys"]) == 2, 1)
        everyone.advance(LEAD - 3 * SECOND)
        until(lambda: len(everyone.exchanged()) == 2, 20)
    old = everyone.tokens[0].split(".")[0]
    last = [token for token in everyone.tokens if token.startswith(f"{old}.")][-1]
    for remote in everyone.remotes:
        remote("tally")
    over = jwt.decode(last, options={"verify_signature": False})["exp"] * SECOND + LEEWAY

    everyone.advance_to(over - 3 * SECOND)
    assert everyone.judge(last) == {"accepted"}
    everyone.advance_to(over)
    assert everyone.judge(last) == {"expired"}


def test_a_token_signed_by_a_key_that_is_gone_is_refused(everyone):
    """The thief of a retired key can do nothing with it, not even with fresh tokens."""
    (stolen,) = everyone.issuer.issuer.verification.signing_keys.pairs.values()
    everyone.issuer.rotate()
    began = everyone.issuer.clock()
    until(lambda: len(everyone.http.get("/.well-known/jwks.json").json()["keys"]) == 2, 1)
    gone = began + LEAD + HOUR + LEEWAY
    everyone.advance_to(gone - 10 * SECOND)
    second = everyone.issuer.clock() // SECOND
    url = everyone.issuer.url
    key_id = unverified_key_id(everyone.issuer.api_key)
    claims = AccessClaims(url, "eve", url, second + 3_600, second, "j", key_id, "", "g", "production")
    token = stolen.mint(claims).decode()
    assert everyone.judge(token) == {"accepted"}

    everyone.advance_to(gone + MAX_AGE)

    began = time.monotonic()
    until(lambda: everyone.judge(token) == {"signature"}, 10)
    assert time.monotonic() - began < 5, "what is left of one poll of the feed, after which the keys are looked at"
