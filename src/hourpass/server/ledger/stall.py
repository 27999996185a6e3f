"""A stall: the event loop did not run for seconds, because the process or the machine stood still, or it was blocked.

What waited in the sockets meanwhile may be from clients that gave up and went on at another node: to carry it out would
make them look like thieves. So it is answered 503, which is harmless, until the loop has run a second as it should.
"""

from collections.abc import Callable

from hourpass.core.errors import Unavailable
from hourpass.core.policy import SECOND

LONGEST = 5 * SECOND
SHORTEST = 1 * SECOND
"""Bounds of the time, in milliseconds, after which the loop has stalled; between them it is a quarter of the window."""

BEAT_EVERY = 0.25
"""Seconds between two beats of the loop."""

LATE = 600
"""Milliseconds between two beats from which on the loop does not run as it should: it still works off what waited."""

CLOSED_FOR = 1 * SECOND
"""Milliseconds for which the loop has to run as it should before requests are carried out again."""


class Stalled(Unavailable):
    """The request waited while this process stood still, or for longer than its client may have."""


def stall_limit(window: int) -> int:
    """Milliseconds that a request may wait, for a retry window in milliseconds."""
    return min(LONGEST, max(SHORTEST, window // 4))


class Stalls:
    """Notices stalls of one event loop. `timer` has to count while the process is stopped; `window` is the shortest."""

    def __init__(self, timer: Callable[[], int], window: int) -> None:
        self.timer = timer
        self.limit = stall_limit(window)
        self.count = 0
        self._beat_at = timer()
        self._closed_until = self._beat_at

    def consider(self, window: int) -> None:
        """A key has a window of its own."""
        self.limit = min(self.limit, stall_limit(window))

    def beat(self) -> None:
        """The loop runs. Called every `BEAT_EVERY` seconds by a timer of the loop."""
        now = self.timer()
        self._look(now)
        self._beat_at = now

    def noticed(self, now: int) -> int:
        """How many stalls there were until an instant of the timer, one that has just ended included."""
        self._look(now)
        return self.count

    def is_closed(self) -> bool:
        """Whether requests may have waited. It notices a stall even if it is asked before the loop's timers run."""
        now = self.timer()
        self._look(now)
        return now < self._closed_until

    def require_awake(self) -> None:
        """Stalled if requests may have waited."""
        if self.is_closed():
            raise Stalled("this process stood still: what may have waited is not carried out")

    def require_prompt(self, began: int, *, allowance: int = 0) -> None:
        """Stalled if what began at an instant of the timer has taken longer than a stall; any thread may ask."""
        if self.timer() - began > self.limit + allowance:
            raise Stalled("the request has waited for too long to be carried out")

    def _look(self, now: int) -> None:
        away = now - self._beat_at
        if away > self.limit:
            self.count += 1
        if away > self.limit or (away > LATE and now < self._closed_until):
            self._beat_at = now
            self._closed_until = now + CLOSED_FOR
