"""The refresh transaction, decided step by step: what to send, what to keep, when to give up.

Pure: it sends nothing, reads no clock and no cache. Whoever drives it holds the credential's lock, re-reads the cache
before every step, and reports each answer.
"""

from typing import NamedTuple

from hourpass.client.credential import Credential
from hourpass.core.policy import MINUTE, SECOND, backoff

RESENDS = 2
"""How often the same request is sent again at once when nobody knows what became of it."""

EXCHANGE_INTERVAL = 30 * SECOND
"""A refused refresh token is healed by the API key no more often than this, or a broken server eats exchanges."""

BACKOFF_START = SECOND
BACKOFF_END = MINUTE
BACKOFF_LEAST = 100
RETRY_AFTER_END = 10 * MINUTE
"""No server's Retry-After counts for longer: a wrong header must not outlive the token."""


# --- what the token endpoint's answer meant ---


class Granted(NamedTuple):
    """A new pair. Durations are milliseconds; a server that does not rotate may send no refresh token."""

    access_token: str
    refresh_token: str | None
    lifetime: int
    refresh_in: int | None = None

    def __repr__(self) -> str:
        """Without the tokens."""
        return f"Granted(lifetime={self.lifetime})"


class NotAccepted(NamedTuple):
    """The server read the request and does not accept the credential: 400 or 401. `reason` is its word for it."""

    reason: str | None = None


class Transient(NamedTuple):
    """The credential was not judged: 429, 5xx, no connection, or no token endpoint behind the URL."""

    why: str
    retry_after: int | None = None


class Unknown(NamedTuple):
    """The request may have been carried out: the connection was dropped or timed out after it was sent."""

    why: str


Outcome = Granted | NotAccepted | Transient | Unknown


# --- what to do next ---


class Adopt(NamedTuple):
    """Another thread or process was quicker: its credential is the answer."""

    credential: Credential


class PostRefresh(NamedTuple):
    """Present this refresh token."""

    refresh_token: str

    def __repr__(self) -> str:
        """Without the token."""
        return "PostRefresh(…)"


class PostExchange(NamedTuple):
    """Exchange the API key."""


class KeepGood(NamedTuple):
    """It failed for now, and the token at hand is still good: go on with it, and try again at `until`."""

    until: int
    why: str


class Wait(NamedTuple):
    """It failed for now, and there is no good token: nothing to try before `until`."""

    until: int
    why: str


class GiveUp(NamedTuple):
    """No token without another API key. Raised as LoginRequired."""

    why: str
    reason: str | None = None


Step = Adopt | PostRefresh | PostExchange | KeepGood | Wait | GiveUp


class Transaction:
    """One refresh from the lock to its end. `rejected` is the number that an API answered 401 to, if any.

    `failures` counts the transactions that failed just before this one. Nothing is sent again from the instant
    `ends_at`. Usage: `next`, carry the step out, `record`
    what came back unless it was granted, and so on until a step ends it.
    """

    def __init__(self, *, rejected: int | None, has_key: bool, failures: int = 0, ends_at: int | None = None) -> None:
        self._rejected = rejected
        self._has_key = has_key
        self._failures = failures
        self._ends_at = ends_at
        self._sent: PostRefresh | PostExchange | None = None
        self._outcome: NotAccepted | Transient | Unknown | None = None
        self._unknowns = 0
        self._refused: set[str] = set()

    def next(self, cached: Credential | None, now: int, jitter: float) -> Step:
        """The next step. `cached` is what the cache holds at this moment; `jitter` is from 0 to 1."""
        if cached is not None and self._is_answer(cached, now):
            return Adopt(cached)
        match self._outcome:
            case Unknown() if self._sent is not None and self._unknowns <= RESENDS and not self._is_over(now):
                # Whatever became of the first one: within its retry window the server answers both the same.
                return self._sent
            case Unknown(why):
                return self._later(cached, now, now + _pause(self._failures, jitter), why)
            case Transient(why, retry_after):
                pause = max(_pause(self._failures, jitter), min(retry_after or 0, RETRY_AFTER_END))
                return self._later(cached, now, now + pause, why)
            case NotAccepted(reason) if isinstance(self._sent, PostExchange):
                return GiveUp("the server does not accept the API key", reason)
        self._sent = None
        step = self._fetch(cached, now)
        if isinstance(step, PostRefresh | PostExchange):
            self._sent = step
        return step

    def record(self, outcome: NotAccepted | Transient | Unknown) -> None:
        """Take note of the answer to the last step."""
        self._outcome = outcome
        match outcome:
            case Unknown():
                self._unknowns += 1
            case NotAccepted() if isinstance(self._sent, PostRefresh):
                self._refused.add(self._sent.refresh_token)

    def _is_over(self, now: int) -> bool:
        return self._ends_at is not None and now >= self._ends_at

    def _is_answer(self, cached: Credential, now: int) -> bool:
        if self._rejected is None:
            return cached.freshness(now) == "fresh"
        return cached.number > self._rejected and cached.is_usable(now)

    def _fetch(self, cached: Credential | None, now: int) -> Step:
        token = None if cached is None else cached.refresh_token
        # A refused one may have been rotated by a sibling meanwhile: then the cache holds another, tried once.
        if token is not None and token not in self._refused and len(self._refused) < 2:
            return PostRefresh(token)
        if not self._has_key:
            why = "the server does not accept the refresh token" if self._refused else "there is no refresh token"
            reason = self._outcome.reason if isinstance(self._outcome, NotAccepted) else None
            return GiveUp(f"{why}, and no API key was given (--api-key-file, or api_key in Python)", reason)
        exchanged_at = None if cached is None else cached.exchanged_at
        is_healing = bool(self._refused) or self._rejected is not None
        if is_healing and exchanged_at is not None and now < exchanged_at + EXCHANGE_INTERVAL:
            return self._later(cached, now, exchanged_at + EXCHANGE_INTERVAL, "the API key was exchanged just before")
        return PostExchange()

    def _later(self, cached: Credential | None, now: int, until: int, why: str) -> KeepGood | Wait:
        is_good = self._rejected is None and cached is not None and cached.is_usable(now)
        return KeepGood(until, why) if is_good else Wait(until, why)


def _pause(failures: int, jitter: float) -> int:
    """Milliseconds to wait after one failure more: 1 s doubling to 60 s, full jitter."""
    return backoff(failures, jitter, first=BACKOFF_START, longest=BACKOFF_END, least=BACKOFF_LEAST)
