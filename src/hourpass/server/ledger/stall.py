"""Notices stalls: the event loop did not run for seconds, because the process or the machine stood still, or it was
blocked.

Requests that waited in the sockets meanwhile may be from clients that gave up and went on at another node. To carry
them out would make these clients look like thieves. So they get a 503, which is harmless, until the loop has run
normally for a second.
"""

from collections.abc import Callable

from hourpass.core.errors import Unavailable
from hourpass.core.policy import SECOND

LONGEST = 5 * SECOND
SHORTEST = 1 * SECOND
"""Bounds of the time after which the loop has stalled, in milliseconds. Between them it is a quarter of the window."""

BEAT_EVERY = 0.25
"""Seconds between two beats of the loop."""

LATE = 600
"""If two beats are further apart, in milliseconds, the loop does not run normally: it still works off what waited."""

CLOSED_FOR = 1 * SECOND
"""Milliseconds for which the loop must run normally before requests are carried out again."""


class Stalled(Unavailable):
    """The request waited while this process stood still, or for longer than its client may have waited."""


def stall_limit(window: int) -> int:
    """Milliseconds that a request may wait, for a retry window in milliseconds."""
    return min(LONGEST, max(SHORTEST, window // 4))


class Stalls:
    """Notices stalls of one event loop.

    `timer` must go on while the process is stopped. `window` is the general retry window, in milliseconds. A key may
    have a shorter one: `require_awake_for` is for its requests, so that it closes nothing for others. Requests may have
    waited in the sockets since `waiting_since`, by the timer: a late start is a stall, too.
    """

    def __init__(self, timer: Callable[[], int], window: int, waiting_since: int | None = None) -> None:
        self.timer = timer
        self.limit = stall_limit(window)
        self.count = 0
        self._beat_at = timer() if waiting_since is None else waiting_since
        self._longest = 0  # that the loop stood still lately
        self._until = self._beat_at

    def beat(self) -> None:
        """Note that the loop runs. A timer of the loop calls this every `BEAT_EVERY` seconds."""
        now = self.timer()
        self._look(now)
        self._beat_at = now

    def noticed(self, now: int) -> int:
        """How many stalls there were until an instant of the timer, including one that has just ended."""
        if now - self._beat_at > LATE:  # each request with a token pays for a call here
            self._look(now)
        return self.count

    def require_awake(self) -> int:
        """Require that no request can have waited through a stall. Returns the instant of the timer.

        It notices a stall even if it is asked before the loop's timers run.

        Raises:
            Stalled: if requests may have waited.
        """
        now = self.timer()
        if now - self._beat_at > LATE:  # as above
            self._look(now)
        if self._longest > self.limit and now < self._until:
            raise Stalled("this process stood still: what may have waited is not carried out")
        return now

    def require_awake_for(self, window: int, since: int) -> None:
        """Require that a request of a key with this retry window cannot have waited for too long. Any thread may ask.

        `window` is in milliseconds, and `since` is the instant of the timer at which the request was read.

        Raises:
            Stalled: if it may have waited.
        """
        now, limit = self.timer(), stall_limit(window)
        if now - since > limit or (self._longest > limit and now < self._until):
            raise Stalled("the request may have waited for too long for its retry window")

    def require_prompt(self, began: int, *, allowance: int = 0) -> None:
        """Require that something is not too old. `began` is an instant of the timer. Any thread may ask.

        Raises:
            Stalled: if it began longer ago than a stall takes.
        """
        if self.timer() - began > self.limit + allowance:
            raise Stalled("the request has waited for too long to be carried out")

    def _look(self, now: int) -> None:
        away = now - self._beat_at
        if away > self.limit:
            self.count += 1
        if away > LATE:
            self._longest = max(away, self._longest if now < self._until else 0)
            self._until = now + CLOSED_FOR
            if self._longest > self.limit:
                self._beat_at = now
