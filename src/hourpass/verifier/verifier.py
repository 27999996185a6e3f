"""The verifier of a resource server: the issuer's keys and revocations are fetched and kept up in the background.

It owns when to wait and for how long. Tokens are judged by `TokenVerifier`; what an answer of the issuer means is the
business of `jwks.py` and `revocations.py`. The composition root of the API's side: the clock enters here.
"""

import os
import random
import ssl
from asyncio import CancelledError, Task, create_task, wrap_future
from asyncio import wait as wait_async
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import wait as wait_threads
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple, Self, get_args
from weakref import WeakSet, finalize

from hourpass.clocks import age_clock, wall_clock
from hourpass.core.api_key import Environment
from hourpass.core.claims import Claims, Expected
from hourpass.core.errors import ConfigurationError, InvalidToken, Unavailable
from hourpass.core.policy import EARLY, LEEWAY, MAX_ACCESS_TOKEN_LIFETIME, SECOND
from hourpass.urls import ServerAddress
from hourpass.verifier import jwks, revocations
from hourpass.verifier.jwks import JwkSet, is_plausible
from hourpass.verifier.revocations import RevocationList, Staleness, fail_closed
from hourpass.verifier.token_verifier import TokenVerifier
from hourpass.verifier.trouble import EarlyTokens, Trouble
from hourpass.verifier.upkeep import Keeper, Keepers, Timer

FIRST_WAIT = 2 * SECOND
"""How long the first tokens wait for keys and revocations."""

LONGEST_LEEWAY = 300 * SECOND
"""Clocks that are further apart are wrong, and the feed of revocations is refused before that."""


class Status(NamedTuple):
    """What a metrics page may say of a verifier. Ages are in milliseconds, None before the first answer."""

    keys: jwks.KeySetState
    keys_known: int
    keys_age: int | None
    keys_failures: int
    keys_problem: str
    revocations: revocations.FeedState
    revocations_known: int
    revocations_age: int | None
    revocations_failures: int
    revocations_problem: str


class Verifier:
    """Verifies access tokens of an issuer for an audience, without asking the issuer about each.

        verifier = Verifier(issuer="https://auth.example.com", audience="https://api.example.com")
        claims = verifier.verify(token)

    Safe in any number of threads and event loops. Keys and revocations are fetched from the first token on, by one
    daemon thread for each process; `close`, or leaving `with verifier:`, ends it. `async with verifier:` uses the
    running event loop instead of a thread: there, only `verify_async` may wait. After a fork the child starts anew with
    its first token.

    Args:
        issuer: the issuer's URL, the `iss` of its tokens: https, or on loopback.
        audience: what the tokens have to be for (RFC 9068 §4).
        environment: `production` or `sandbox`; credentials of the other one are refused.
        staleness: what becomes of tokens while the revocation feed is out of reach: `fail_closed` or `fail_open`.
        url: where the issuer is reached, if not at its own URL.
        max_lifetime: the longest `exp - iat` of a token, in seconds.
        tls: for an issuer with a certificate of a private authority, or one that asks for the API's.
        allow_http: whether plain http to another machine is good: in a service mesh that encrypts on its own.
        proxy: the URL of a proxy to reach the issuer through, in place of the environment's.
        leeway: by how many seconds this machine's clock may be behind the issuer's: tokens issued so far in the future
            are accepted. 30 unless you say. A token is accepted for 5 s after its `exp`, or for less if you say less:
            beyond that nobody keeps its revocation.
        timeout: seconds for an answer of the issuer, beyond those that it was asked to wait.
        clock, timer: epoch milliseconds, and milliseconds that never step back and miss no pause of the machine.

    Raises:
        ConfigurationError: if a URL is neither https nor on loopback, a number is out of range, or the environment is
            neither of the two.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        environment: Environment = "production",
        staleness: Staleness | None = None,
        url: str | None = None,
        max_lifetime: int = 3_600,
        tls: ssl.SSLContext | None = None,
        allow_http: bool = False,
        proxy: str | None = None,
        timeout: float = 5,
        leeway: float | None = None,
        clock: Timer = wall_clock,
        timer: Timer = age_clock,
    ) -> None:
        issuer = issuer.rstrip("/")
        self._address = ServerAddress(url or issuer, allow_http=allow_http, tls=tls, proxy=proxy)
        self._timeout = round(timeout * SECOND)
        if not 0 < max_lifetime * SECOND <= MAX_ACCESS_TOKEN_LIFETIME or not audience:
            raise ConfigurationError("a verifier needs an audience, and tokens of a day at most")
        if environment not in get_args(Environment):
            raise ConfigurationError("a verifier is for the environment production or sandbox")
        if not 0.1 <= timeout <= 60:
            raise ConfigurationError("a timeout is from 0.1 to 60 seconds")
        early = EARLY if leeway is None else round(leeway * SECOND)
        if not 0 <= early <= LONGEST_LEEWAY:
            raise ConfigurationError("a leeway is from 0 to 300 seconds")
        self.environment = environment
        self._expected = Expected(issuer, audience, max_lifetime * SECOND, environment, early, min(early, LEEWAY))
        self._staleness = staleness or fail_closed()
        self._clock = clock
        self._timer = timer
        self._task: Task[None] | None = None
        self._early = EarlyTokens(issuer)
        self._build()
        _alive.add(self)

    def _build(self) -> None:
        # Nothing that the background touches refers to the verifier itself, so that one which is dropped is collected.
        self._good_until = _Instant()
        url = self._address.url
        self._keys = keys = JwkSet(f"{url}/.well-known/jwks.json", random.random, timeout=self._timeout)
        self._revoked = revoked = RevocationList(
            f"{url}/auth/revocations", self._expected.issuer, keys, random.random, self._staleness, self._timeout
        )
        self._tokens = tokens = TokenVerifier(self._expected, {}, revoked.revocations)
        good_until, timer = self._good_until, self._timer
        trouble = Trouble(self._expected.issuer, {"keys": keys, "revocations": revoked})

        def keys_came() -> None:
            trouble.look(timer())
            tokens.keys = keys.keys
            good_until.at = min(keys.good_until, revoked.good_until)
            self_feed.wake()

        def revocations_came() -> None:
            trouble.look(timer())
            good_until.at = min(keys.good_until, revoked.good_until)
            self_keys.wake()  # a new key may have signed the feed first

        self._keys_keeper = self_keys = Keeper(keys, keys_came)
        self._feed_keeper = self_feed = Keeper(revoked, revocations_came)
        self._background = Keepers([self_keys, self_feed], self._timer, self._clock, self._address)
        self._finalizer = finalize(self, self._background.stop)

    def verify(self, token: str | bytes) -> Claims:
        """The token's claims. Scope is the route's to judge (`require_scope`).

        Waits for at most 2 s: for the first keys and revocations, and for a key that is not known yet.

        Raises:
            InvalidToken: with one of the fixed words; Unavailable: where keys or revocations are out of reach for too
            long, which is no fault of the token.
        """
        raw = _as_bytes(token)
        if self._timer() >= self._good_until.at:
            for attempt, seconds in self._first_attempts():
                wait_threads([attempt], seconds)
        try:
            return self._tokens.verify(raw, self._clock())
        except InvalidToken as refusal:
            if not self._lacks_key(raw, refusal):
                self._early.look(refusal, self._timer())
                raise
        for attempt, seconds in self._key_attempts(raw):
            wait_threads([attempt], seconds)
        return self._tokens.verify(raw, self._clock())

    async def verify_async(self, token: str | bytes) -> Claims:
        """As `verify`, without holding up the event loop."""
        raw = _as_bytes(token)
        if self._timer() >= self._good_until.at:
            for attempt, seconds in self._first_attempts():
                await wait_async([wrap_future(attempt)], timeout=seconds)
        try:
            return self._tokens.verify(raw, self._clock())
        except InvalidToken as refusal:
            if not self._lacks_key(raw, refusal):
                self._early.look(refusal, self._timer())
                raise
        for attempt, seconds in self._key_attempts(raw):
            await wait_async([wrap_future(attempt)], timeout=seconds)
        return self._tokens.verify(raw, self._clock())

    def status(self) -> Status:
        """What is known, and how old it is."""
        now, keys, revoked = self._timer(), self._keys, self._revoked
        return Status(
            keys.state(now),
            len(keys.keys),
            keys.age(now),
            keys.failures,
            keys.problem,
            revoked.state(now),
            len(revoked.revocations),
            revoked.age(now),
            revoked.failures,
            revoked.problem,
        )

    def start(self) -> None:
        """Begin to fetch, rather than with the first token."""
        self._start()

    def _start(self) -> bool:
        self._revoked.start(self._timer())
        return self._background.start()

    def close(self) -> None:
        """End the background thread. A later token would start it again."""
        self._good_until.at = -1
        self._background.stop()

    def __enter__(self) -> Self:
        """Begin to fetch."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the thread."""
        self.close()

    async def __aenter__(self) -> Self:
        """Begin to fetch, in the running event loop."""
        self._revoked.start(self._timer())
        self._task = create_task(self._background.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what runs in the event loop."""
        task, self._task = self._task, None
        self._good_until.at = -1
        if task is not None:
            task.cancel()
            with suppress(CancelledError):
                await task

    def __repr__(self) -> str:
        """Which tokens it is for."""
        return f"Verifier(issuer={self._expected.issuer!r}, audience={self._expected.audience!r})"

    def restart_after_fork(self) -> None:
        """In the child: threads and locks stayed with the parent."""
        self._finalizer.detach()
        self._task = None
        self._build()

    def _first_attempts(self) -> Iterator[tuple[Future[None], float]]:
        """What to wait for, and for how many seconds, until enough is known.

        Raises:
            Unavailable: if that takes too long, or has just failed: then nobody waits who comes later.
        """
        runs = self._start()
        keys, revoked = self._keys, self._revoked
        deadline = self._timer() + FIRST_WAIT
        while True:
            attempts = self._keys_keeper.attempt, self._feed_keeper.attempt
            now = self._timer()
            self._good_until.at = min(keys.good_until, revoked.good_until)
            if now < self._good_until.at:
                return
            what, keeper, problem, attempt = "revocations", self._feed_keeper, revoked.problem, attempts[1]
            if now >= keys.good_until:
                what, keeper, problem, attempt = "keys", self._keys_keeper, keys.problem, attempts[0]
            wait = min(deadline - now, keeper.hope(now, FIRST_WAIT)) if runs else 0
            if wait <= 0:
                raise Unavailable(f"{what} are out of reach: {problem or 'no answer yet'}")
            yield attempt, wait / SECOND

    def _lacks_key(self, token: bytes, refusal: InvalidToken) -> bool:
        """Whether the token could be good, were its key known. Anything else is final, and nobody waits for it."""
        header = token.partition(b".")[0]
        return refusal.problem == "signature" and header not in self._keys.keys and is_plausible(header)

    def _key_attempts(self, token: bytes) -> Iterator[tuple[Future[None], float]]:
        """What to wait for, and for how many seconds, while the token's key may still turn up.

        Raises:
            Unavailable: where it does not, and the set is so old that this says nothing about the token.
        """
        header, keys = token.partition(b".")[0], self._keys
        while header not in keys.keys:
            attempt, now = self._keys_keeper.attempt, self._timer()
            wait = keys.ask(header, now)
            if not wait and keys.state(now) != "fresh":
                raise Unavailable("the token's key is unknown, and the JWK Set is stale")
            if not wait:
                return
            self._keys_keeper.wake()
            yield attempt, wait / SECOND


class _Instant:
    """Until when tokens may be judged without a look at anything else; both threads write it."""

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at = -1


def _as_bytes(token: str | bytes) -> bytes:
    if isinstance(token, bytes):
        return token
    if not token.isascii():
        raise InvalidToken("malformed")
    return token.encode("ascii")


_alive: WeakSet[Verifier] = WeakSet()


def _restart_after_fork() -> None:
    for verifier in list(_alive):
        verifier.restart_after_fork()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_restart_after_fork)
