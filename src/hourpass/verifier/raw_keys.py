"""Proves raw API keys by asking the server, as a proxy asks about a request: `/auth/verify`.

An answer is believed for 10 s at most, and never once the revocation feed says something else. One question about a key
is under way at a time. The server's trouble is `Unavailable`, and never a bad key.
"""

import os
import re
import threading
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple, get_args
from urllib.parse import urlencode

from hourpass import tracing
from hourpass.core.authorization import Basic, RawKey
from hourpass.core.claims import Claims
from hourpass.core.errors import InvalidToken, TokenProblem, Unavailable
from hourpass.core.policy import SECOND
from hourpass.core.revocation import Revocations
from hourpass.urls import ServerAddress
from hourpass.verifier.connection import how_to_reach, reason

if TYPE_CHECKING:
    import httpx2

BELIEVED = 10 * SECOND
"""How long a good answer is believed, in milliseconds."""

REFUSED = SECOND
"""How long a refusal is, so that a client with a bad key does not cost a question for each request."""

CAPACITY = 10_000
"""Answers remembered, some five megabytes."""

WAITING = 1_000
"""Keys that are asked about at once. A further one is told to come back."""

THREADS = 8

_KEY = re.compile(r"[\x21-\x7E]{1,512}", re.ASCII)
_PROBLEM = re.compile(r'error="invalid_token", error_description="([a-z_]+)"')
_MALFORMED: TokenProblem = "malformed"


class KeyIdentity(NamedTuple):
    """The owner of an API key, in the words of a token's claims. Your API-key policy returns it for a proven key.

    `sunset` and `deprecation` are as the identity headers have them: when the raw key ends, and when that was set.
    """

    sub: str
    client_id: str
    scope: str = ""
    env: str = "production"
    sunset: str = ""
    deprecation: str = ""


class _Known(NamedTuple):
    """What the server said: an identity or a problem, until when it is believed, and what the feed may say of it."""

    outcome: KeyIdentity | TokenProblem
    until: int
    claims: Claims


_Answer = _Known | Unavailable


class RawKeys:
    """Raw keys for one audience and environment. Safe in any number of threads.

    `is_fresh` says whether the feed is heard: without it nothing remembered is believed. `timer` is milliseconds that
    never step back, `wall` epoch milliseconds.
    """

    def __init__(
        self,
        address: ServerAddress,
        audience: str,
        environment: str,
        revocations: Revocations,
        is_fresh: Callable[[], bool],
        *,
        timeout: int,
        timer: Callable[[], int],
        wall: Callable[[], int],
        capacity: int = CAPACITY,
        waiting: int = WAITING,
    ) -> None:
        self._address = address
        query = urlencode({"audience": audience, "environment": environment})
        self._url = f"{address.url}/auth/verify?{query}"
        self._revocations = revocations
        self._is_fresh = is_fresh
        self.patience = timeout / SECOND
        self._timer = timer
        self._wall = wall
        self._capacity = capacity
        self._waiting = waiting
        self._secret = os.urandom(32)
        self._lock = threading.Lock()
        self._known: dict[bytes, _Known] = {}
        self._asking: dict[bytes, Future[_Answer]] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._http: httpx2.Client | None = None

    def begin(self, key: Basic | RawKey, peer: str | None) -> KeyIdentity | Future[_Answer]:
        """Whose key it is, if that is known, or else the question, whose answer `end` reads.

        `peer` is the client's address, for the key's allow-list.

        Raises:
            InvalidToken: if it cannot be a key, or the server refused it just now.
            Unavailable: if too many keys are asked about.
        """
        if _KEY.fullmatch(key.unverified_key) is None:
            raise InvalidToken(_MALFORMED)
        where = f"{type(key).__name__} {getattr(key, 'header', '')} {peer or ''} {key.unverified_key}"
        digest = blake2b(where.encode(), key=self._secret, digest_size=32).digest()
        known = self._known.get(digest)
        if known is not None and self._is_believed(known):
            return _said(known)
        with self._lock:
            asking = self._asking.get(digest)
            if asking is not None:
                return asking
            if len(self._asking) >= self._waiting:
                raise Unavailable("too many API keys to ask about")
            if self._pool is None:
                self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="hourpass-raw-keys")
            try:
                asking = self._pool.submit(tracing.carried(self._find_out), digest, key, peer)
            except RuntimeError as error:  # no thread to be had
                raise Unavailable(str(error)) from error
            self._asking[digest] = asking
            return asking

    def end(self, asking: Future[_Answer]) -> KeyIdentity:
        """What came of a question.

        Raises:
            InvalidToken; Unavailable: if there is no answer yet, or none that says anything.
        """
        if not asking.done() or asking.cancelled():
            raise Unavailable("API keys cannot be judged: no answer in time")
        answer = asking.result()
        if isinstance(answer, Unavailable):
            raise Unavailable(answer.detail, retry_after=answer.retry_after)
        return _said(answer)

    def close(self) -> None:
        """Let go of the connections and threads. A later key opens them again."""
        with self._lock:
            pool, http = self._pool, self._http
            self._pool = self._http = None
            self._known.clear()
            self._asking.clear()
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
        if http is not None:
            http.close()

    def _is_believed(self, known: _Known) -> bool:
        return self._timer() < known.until and self._is_fresh() and not self._revocations.refuses(known.claims)

    def _find_out(self, digest: bytes, key: Basic | RawKey, peer: str | None) -> "_Answer":
        asked_at, wall = self._timer(), self._wall()
        try:
            outcome = self._ask(key, peer)
        except Unavailable as error:
            return error
        else:
            lasts = BELIEVED if isinstance(outcome, KeyIdentity) else REFUSED
            known = _Known(outcome, asked_at + lasts, _as_claims(outcome, wall))
            self._remember(digest, known, asked_at)
            return known
        finally:
            with self._lock:
                self._asking.pop(digest, None)

    def _remember(self, digest: bytes, known: _Known, now: int) -> None:
        with self._lock:
            if len(self._known) >= self._capacity:
                self._known = {each: fact for each, fact in self._known.items() if now < fact.until}
            if len(self._known) >= self._capacity:
                self._known.clear()
            self._known[digest] = known

    def _ask(self, key: Basic | RawKey, peer: str | None) -> KeyIdentity | TokenProblem:
        outcome: KeyIdentity | TokenProblem = _MALFORMED
        for spelling in _spellings(key):
            outcome = self._ask_once(spelling, peer)
            if outcome != _MALFORMED:
                break
        return outcome

    def _ask_once(self, spelling: tuple[str, str], peer: str | None) -> KeyIdentity | TokenProblem:
        headers = dict([spelling])
        if peer:
            headers["x-forwarded-for"] = peer
        try:
            with (
                tracing.request("GET", self._url, headers) as answered,
                self._client().stream("GET", self._url, headers=headers, timeout=self.patience) as answer,
            ):
                status, said = answer.status_code, answer.headers
                answered(status)
        except Exception as error:  # noqa: BLE001 - any error of a library: no answer came
            raise Unavailable(f"API keys cannot be judged: {reason(error)}") from None
        if status == 204 and said.get("hourpass-auth") == "api-key":
            names = ("subject", "key-id", "scope", "environment", "api-key-sunset", "api-key-deprecation")
            return KeyIdentity(*(said.get(f"hourpass-{name}", "") for name in names))
        challenge = said.get("www-authenticate", "")
        if status == 401 and 'error="invalid_request"' not in challenge:
            found = _PROBLEM.search(challenge)
            # Without an error the server saw no credential: keys are not accepted there.
            problem = found[1] if found else _MALFORMED
            return problem if problem in get_args(TokenProblem) else _MALFORMED  # type: ignore[return-value]
        raise Unavailable(f"API keys cannot be judged: status {status}")

    def _client(self) -> "httpx2.Client":
        with self._lock:
            if self._http is None:
                import httpx2  # noqa: PLC0415 - late: an API that accepts no raw key never needs it

                self._http = httpx2.Client(**how_to_reach(self._address))
            return self._http


def _spellings(key: Basic | RawKey) -> list[tuple[str, str]]:
    """How the server is asked about a key: as Basic, or as a bearer if the key has a colon. Then as it came."""
    text = key.unverified_key
    basic = "authorization", "Basic " + b64encode(f"{text}:".encode()).decode()
    bearer = "authorization", f"Bearer {text}"
    if isinstance(key, Basic):
        return [basic]
    as_it_came = (key.header, text) if key.header else bearer
    return list(dict.fromkeys([bearer if ":" in text else basic, as_it_came]))


def _as_claims(outcome: KeyIdentity | str, wall: int) -> Claims:
    """As a token of the key that was issued when the server was asked: what refuses that makes us ask again."""
    key_id = outcome.client_id if isinstance(outcome, KeyIdentity) else ""
    return Claims("", "", "", 0, wall // SECOND, "", key_id, "", "", "")


def _said(known: _Known) -> KeyIdentity:
    if isinstance(known.outcome, KeyIdentity):
        return known.outcome
    raise InvalidToken(known.outcome)
