"""The refresh transaction, decided step by step: what to send, what to keep, when to give up.

Pure: it sends nothing, and reads no clock and no cache. The caller, `fetcher`, holds the credential's lock, reads the
cache again before every step, and reports each answer.
"""

from typing import NamedTuple

from hourpass.client.credential import Credential
from hourpass.core.policy import MINUTE, SECOND, backoff

RESENDS = 2
"""How often the same request is sent again at once if its answer was lost."""

EXCHANGE_INTERVAL = 30 * SECOND
"""After a refused refresh token, the API key is exchanged at most once in this time, even if a server keeps failing."""

BACKOFF_START = SECOND
BACKOFF_END = MINUTE
BACKOFF_LEAST = 100
RETRY_AFTER_END = 10 * MINUTE
"""The longest Retry-After that is accepted. A wrong header must not outlive the token."""


# --- what the token endpoint's answer meant ---


class Granted(NamedTuple):
    """A new pair. Durations are milliseconds. A server that does not rotate may send no refresh token."""

    access_token: str
    refresh_token: str | None
    lifetime: int
    refresh_in: int | None = None

    def __repr__(self) -> str:
        """Without the tokens."""
        return f"Granted(lifetime={self.lifetime})"


class NotAccepted(NamedTuple):
    """The server read the request and does not accept the credential: 400 or 401. `reason` is the server's word."""

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
    """Use this credential: another thread or process was quicker."""

    credential: Credential


class PostRefresh(NamedTuple):
    """Send this refresh token."""

    refresh_token: str

    def __repr__(self) -> str:
        """Without the token."""
        return "PostRefresh(…)"


class PostExchange(NamedTuple):
    """Exchange the API key."""


class KeepGood(NamedTuple):
    """It failed for now, but the current token is still valid: use it, and try again at `until`."""

    until: int
    why: str


class Wait(NamedTuple):
    """It failed for now, and there is no valid token: do not try again before `until`."""

    until: int
    why: str


class GiveUp(NamedTuple):
    """There is no token without another API key. Raised as LoginRequired."""

    why: str
    reason: str | None = None


Step = Adopt | PostRefresh | PostExchange | KeepGood | Wait | GiveUp


class Transaction:
    """One refresh from the lock to its end. `rejected` is the number of the credential that an API answered 401 to.

    `failures` is how many transactions failed just before this one. From the instant `ends_at` nothing is sent again.
    Call `next`, carry out the step, and `record` its outcome unless it was granted. Repeat until a step ends it.
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
        """The next step. `cached` is the cache's content at this moment. `jitter` is from 0 to 1."""
        if cached is not None and self._is_answer(cached, now):
            return Adopt(cached)
        match self._outcome:
            case Unknown() if self._sent is not None and self._unknowns <= RESENDS and not self._is_over(now):
                # Safe even if the first one was carried out: within its retry window the server answers both the same.
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
        """Note the outcome of the last step."""
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
        # Another process may have rotated the refused token. Then the cache holds another one, which is tried once.
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
    """Milliseconds to wait after one more failure: from 1 s, doubling up to 60 s, with full jitter."""
    return backoff(failures, jitter, first=BACKOFF_START, longest=BACKOFF_END, least=BACKOFF_LEAST)
