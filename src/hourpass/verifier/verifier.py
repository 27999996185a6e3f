"""The verifier of a resource server. It fetches the issuer's keys and revocations in the background.

It owns when to wait and for how long. `TokenVerifier` judges tokens. `jwks.py` and `revocations.py` decide what an
answer of the issuer means. This is the composition root of the API's side, so the clock enters here.
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
from hourpass.core.authorization import Basic, RawKey
from hourpass.core.claims import Claims, Expected
from hourpass.core.errors import ConfigurationError, InvalidToken, Unavailable
from hourpass.core.policy import EARLY, LEEWAY, MAX_ACCESS_TOKEN_LIFETIME, SECOND
from hourpass.urls import ServerAddress
from hourpass.verifier import jwks, revocations
from hourpass.verifier.jwks import JwkSet, is_plausible
from hourpass.verifier.raw_keys import KeyIdentity, RawKeys
from hourpass.verifier.revocations import RevocationList, Staleness, fail_closed
from hourpass.verifier.token_verifier import TokenVerifier
from hourpass.verifier.trouble import EarlyTokens, Trouble
from hourpass.verifier.upkeep import Keeper, Keepers, Timer

FIRST_WAIT = 2 * SECOND
"""Milliseconds that the first tokens wait for keys and revocations."""

LONGEST_LEEWAY = 300 * SECOND
"""Clocks that differ by more are wrong, and the revocation feed is refused even before that."""


class Status(NamedTuple):
    """The state of a verifier, for a metrics page. Ages are in milliseconds, and None before the first answer."""

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

    Safe in any number of threads and event loops. From the first token on, one daemon thread for each process fetches
    keys and revocations. `close`, or leaving `with verifier:`, ends it. `async with verifier:` uses the running event
    loop instead of a thread, and then only `verify_async` may wait. After a fork the child starts again with its first
    token.

    Args:
        issuer: the issuer's URL, the `iss` of its tokens: https, or on loopback.
        audience: the `aud` that tokens must have (RFC 9068 §4).
        environment: `production` or `sandbox`. Credentials of the other one are refused.
        staleness: what to do with tokens while the revocation feed is out of reach: `fail_closed` or `fail_open`.
        url: the URL at which to reach the issuer, if it is not its own.
        max_lifetime: the longest `exp - iat` of a token, in seconds.
        tls: for an issuer whose certificate comes from a private authority, or that asks for a client certificate.
        allow_http: allow plain http to another machine, for a service mesh that encrypts on its own.
        proxy: the URL of a proxy to the issuer, instead of the environment's.
        leeway: by how many seconds this machine's clock may be behind the issuer's. A token that was issued so far in
            the future is accepted. 30 by default. After its `exp` a token is accepted for 5 s more, or for `leeway` if
            that is less. After those 5 s the issuer no longer keeps its revocation.
        timeout: seconds for an answer of the issuer, in addition to those that it was asked to wait.
        clock, timer: epoch milliseconds, and milliseconds that never step back and go on while the machine sleeps.

    Raises:
        ConfigurationError: a URL is neither https nor on loopback, a number is out of range, or the environment is
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
            raise ConfigurationError("a verifier needs an audience, and max_lifetime must be from 1 second to 1 day")
        if environment not in get_args(Environment):
            raise ConfigurationError("environment must be production or sandbox")
        if not 0.1 <= timeout <= 60:
            raise ConfigurationError("timeout must be from 0.1 to 60 seconds")
        early = EARLY if leeway is None else round(leeway * SECOND)
        if not 0 <= early <= LONGEST_LEEWAY:
            raise ConfigurationError("leeway must be from 0 to 300 seconds")
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
        # The background never refers to the verifier itself, so a verifier that is dropped is garbage-collected.
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
        self._raw_keys = raw_keys = RawKeys(
            self._address,
            self._expected.audience or "",
            self.environment,
            revoked.revocations,
            lambda: timer() < good_until.at,
            timeout=self._timeout,
            timer=timer,
            wall=self._clock,
        )

        def stop() -> None:
            background.stop()
            raw_keys.close()

        background = self._background
        self._finalizer = finalize(self, stop)

    def verify(self, token: str | bytes) -> Claims:
        """Verify a token and return its claims. The route checks the scope (`require_scope`).

        Waits for at most 2 s: for the first keys and revocations, and for a key that is not known yet.

        Raises:
            InvalidToken: the token is refused, for one of the fixed reasons.
            Unavailable: keys or revocations are out of reach for too long, which is not the token's fault.
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
        """As `verify`, without blocking the event loop."""
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

    def verify_key(self, key: Basic | RawKey, peer: str | None = None) -> KeyIdentity:
        """The owner of a raw API key, as a request presents it. `peer` is the client's address.

        The server is asked, and its answer is believed for 10 s at most. Waits as long as `timeout` says.

        Raises:
            InvalidToken: with one of the fixed words. Unavailable: if the server does not answer, or not about keys.
        """
        self._start()  # the feed must be heard before an answer is believed a second time
        found = self._raw_keys.begin(key, peer)
        if isinstance(found, KeyIdentity):
            return found
        wait_threads([found], self._raw_keys.patience)
        return self._raw_keys.end(found)

    async def verify_key_async(self, key: Basic | RawKey, peer: str | None = None) -> KeyIdentity:
        """As `verify_key`, without holding up the event loop."""
        self._start()
        found = self._raw_keys.begin(key, peer)
        if isinstance(found, KeyIdentity):
            return found
        await wait_async([wrap_future(found)], timeout=self._raw_keys.patience)
        return self._raw_keys.end(found)

    def status(self) -> Status:
        """The state of keys and revocations, and how old they are."""
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
        """Start fetching now, not with the first token."""
        self._start()

    def _start(self) -> bool:
        self._revoked.start(self._timer())
        return self._background.start()

    def close(self) -> None:
        """End the background thread. A later token starts it again."""
        self._good_until.at = -1
        self._background.stop()
        self._raw_keys.close()

    def __enter__(self) -> Self:
        """Start fetching."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the thread."""
        self.close()

    async def __aenter__(self) -> Self:
        """Start fetching in the running event loop."""
        self._revoked.start(self._timer())
        self._task = create_task(self._background.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop fetching in the event loop."""
        task, self._task = self._task, None
        self._good_until.at = -1
        self._raw_keys.close()
        if task is not None:
            task.cancel()
            with suppress(CancelledError):
                await task

    def __repr__(self) -> str:
        """With the issuer and the audience."""
        return f"Verifier(issuer={self._expected.issuer!r}, audience={self._expected.audience!r})"

    def restart_after_fork(self) -> None:
        """Start again in the child of a fork: threads and locks stayed with the parent."""
        self._finalizer.detach()
        self._task = None
        self._build()

    def _first_attempts(self) -> Iterator[tuple[Future[None], float]]:
        """The attempts to wait for, and for how many seconds each, until tokens can be judged.

        Raises:
            Unavailable: that takes too long, or an attempt has just failed: then later tokens do not wait.
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
        """Whether the token may be valid once its key is known. Any other refusal is final, without a wait."""
        header = token.partition(b".")[0]
        return refusal.problem == "signature" and header not in self._keys.keys and is_plausible(header)

    def _key_attempts(self, token: bytes) -> Iterator[tuple[Future[None], float]]:
        """The attempts to wait for, and for how many seconds each, while the token's key may still be found.

        Raises:
            Unavailable: it is not found, but the set is too old to prove that the token is bad.
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
    """The instant until which tokens can be judged without any other look. Both threads write it."""

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
