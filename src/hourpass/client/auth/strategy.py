"""The 401 strategy: what one request may do about a 401, and when a server's 401s are no longer believed.

Pure: time and chance are arguments, and nothing is sent. Adapters carry out the verdicts. A 401 that is not clearly a
refusal of our token goes to the caller unchanged.
"""

import os
import threading
from collections import deque
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from hourpass.client.credential import Credential
from hourpass.client.refresh.challenge import rejects_token
from hourpass.core.policy import MINUTE, SECOND
from hourpass.urls import origin_of

Note = Literal["", "not_ours", "budget", "breaker", "body"]
"""Why a 401 went to the caller: not our token's, budget spent, breaker open, or a body that cannot be sent twice."""


class Source(Protocol):
    """Where an adapter gets tokens from: a TokenSource or a FileToken. `within` is in seconds."""

    breaker: "Breaker"

    @property
    def current(self) -> Credential | None:
        """The newest credential in memory, valid or not. Never waits."""
        ...

    def now(self) -> int:
        """The instant on the clock of its credentials, in milliseconds."""
        ...

    def allows(self, url: str) -> bool:
        """Whether the token may be sent there."""
        ...

    def credential(self, *, within: float | None = None) -> Credential:
        """A credential that is not past hard."""
        ...

    async def credential_async(self, *, within: float | None = None) -> Credential:
        """As `credential`, for asyncio."""
        ...

    def refresh(self, *, rejected: int | None = None, retry: bool = True, within: float | None = None) -> Credential:
        """A credential newer than the rejected one."""
        ...

    async def refresh_async(
        self, *, rejected: int | None = None, retry: bool = True, within: float | None = None
    ) -> Credential:
        """As `refresh`, for asyncio."""
        ...


REFRESHES = 1
SENDS = 3
TOTAL = 10 * SECOND
"""The budget of one request: refreshes, sends, and milliseconds."""

WAIT = 250
"""The most milliseconds, with full jitter, before a request is sent again with the same token. With a newer token it is
sent at once, so with 3 sends there is one such wait."""


class Seen(NamedTuple):
    """A 401 at the end of one send, after redirects.

    `url` is the one that answered, `authorization` what that request carried, `challenges` every WWW-Authenticate
    value, `retry_after` milliseconds.
    """

    url: str
    authorization: str | None
    challenges: Sequence[str] = ()
    retry_after: int | None = None

    def __repr__(self) -> str:
        """Without the token."""
        return f"Seen({self.url!r})"


class Deliver(NamedTuple):
    """The response goes to the caller. If `rejected` is a number, refresh first, for the next request."""

    note: Note = ""
    rejected: int | None = None


class SendAgain(NamedTuple):
    """Send it again, after `wait` milliseconds. If `rejected` is a number, refresh first, and pass that number on.

    If that refresh fails, the response goes to the caller.
    """

    wait: int = 0
    rejected: int | None = None


Verdict = Deliver | SendAgain


class Call:
    """One request's way through the strategy. Call `judge` for each of its 401s."""

    def __init__(self, url: str, *, replayable: bool, now: int) -> None:
        self._origin = origin_of(url)
        self._replayable = replayable
        self._started_at = now
        self._sends = 0
        self._refreshes = 0

    def left(self, now: int) -> int:
        """Milliseconds left of the whole budget."""
        return max(0, self._started_at + TOTAL - now)

    def judge(
        self,
        seen: Seen,
        *,
        sent: Credential,
        current: Credential | None,
        breaker: "Breaker",
        now: int,
        jitter: float,
    ) -> Verdict:
        """What to do about a 401 to a request that went out with `sent`. `current` is the source's newest."""
        self._sends += 1
        if not self._is_ours(seen, sent):
            return Deliver("not_ours")
        breaker.reject(sent.number, now - sent.issued_at, now)
        has_newer = current is not None and current.number > sent.number and current.is_usable(now)
        can_refresh = not has_newer and self._refreshes < REFRESHES
        if can_refresh and not breaker.allows(now):
            return Deliver("breaker")
        rejected = sent.number if can_refresh else None
        if not self._replayable:
            return Deliver("body", rejected)
        wait = 0 if has_newer or can_refresh else int(WAIT * jitter)
        pause = max(wait, seen.retry_after or 0)
        if self._sends >= SENDS or pause >= self.left(now):
            return Deliver("budget")
        self._refreshes += can_refresh
        return SendAgain(pause, rejected)

    def _is_ours(self, seen: Seen, sent: Credential) -> bool:
        return (
            self._origin is not None
            and origin_of(seen.url) == self._origin
            and seen.authorization == bearer(sent)
            and rejects_token(seen.challenges)
        )


def bearer(credential: Credential) -> str:
    """The Authorization value (RFC 6750 §2.1)."""
    return f"Bearer {credential.access_token}"


_guard = threading.Lock()
"""One lock for all breakers, held for a few statements."""

if hasattr(os, "register_at_fork"):
    # So that a child never finds it held by a thread that it does not have.
    os.register_at_fork(before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_guard.release)


class Breaker:
    """Opens if a server rejects fresh tokens, so that its 401s stop causing refreshes. Safe for threads.

    It opens for 30 s if 5 different tokens are rejected within 60 s, each younger than 60 s. One more within 60 s after
    it closed opens it again, for twice as long each time, up to 10 minutes. Instants are milliseconds.
    """

    YOUNG = MINUTE
    WINDOW = MINUTE
    LIMIT = 5
    FIRST = 30 * SECOND
    LONGEST = 10 * MINUTE

    def __init__(self) -> None:
        self._rejections: deque[int] = deque(maxlen=self.LIMIT)
        self._last_number = -1
        self._open_until = 0
        self._span = 0

    def allows(self, now: int) -> bool:
        """Whether a 401 may still cause a refresh."""
        return now >= self._open_until

    def reject(self, number: int, age: int, now: int) -> None:
        """Note that an API rejected the token of this number and age. Each token is counted once, not each request."""
        with _guard:
            if age >= self.YOUNG or number <= self._last_number or not self.allows(now):
                return
            self._last_number = number
            self._rejections.append(now)
            if self._span and now < self._open_until + self.WINDOW:
                self._open(now, min(self._span * 2, self.LONGEST))
            elif len(self._rejections) == self.LIMIT and now < self._rejections[0] + self.WINDOW:
                self._open(now, self.FIRST)

    def _open(self, now: int, span: int) -> None:
        self._rejections.clear()
        self._open_until = now + span
        self._span = span
