"""Rate limits by GCRA, the generic cell rate algorithm. It remembers one instant for each caller, in memory."""

from collections import OrderedDict
from itertools import islice

from hourpass.core.errors import Throttled
from hourpass.core.policy import MINUTE, SECOND

REMEMBERED = 100_000
"""How many callers are remembered. For one more, a caller is forgotten that has not come for a long time."""

CANDIDATES = 16
"""Among this many callers, those that have not come for the longest time, the one that has taken least is forgotten."""


class Throttle:
    """Allows each caller `per_minute` requests per minute, even all at once. 0 means no limit."""

    def __init__(self, per_minute: int) -> None:
        self._interval = MINUTE / per_minute if per_minute else 0.0
        self._burst = MINUTE - self._interval
        self._arrivals: OrderedDict[str, float] = OrderedDict()

    def admit(self, caller: str, now: int) -> None:
        """Admit a request at `now`, in milliseconds of a timer that nobody can set.

        Raises:
            Throttled: if it is one too many. It says after how many whole seconds one is admitted, 60 at most.
        """
        if not self._interval:
            return
        # The theoretical arrival time: when the caller would have used up what it has taken so far.
        arrival = max(self._arrivals.get(caller, 0.0), now)
        if caller in self._arrivals:
            self._arrivals.move_to_end(caller)  # also if it is refused: a caller that goes on is not forgotten
        elif len(self._arrivals) >= REMEMBERED:
            self._forget_one()
        wait = arrival - self._burst - now
        if wait > 0:
            raise Throttled(retry_after=min(max(1, -int(-wait // SECOND)), MINUTE // SECOND))
        self._arrivals[caller] = arrival + self._interval

    def give_back(self, caller: str) -> None:
        """Take back what `admit` counted a moment ago: the request was not the caller's."""
        if caller in self._arrivals:
            self._arrivals[caller] -= self._interval

    def require_room(self, caller: str, now: int) -> None:
        """Count nothing. Raises Throttled if `admit` would."""
        if not self._interval:
            return
        wait = self._arrivals.get(caller, 0.0) - self._burst - now
        if wait > 0:
            raise Throttled(retry_after=min(max(1, -int(-wait // SECOND)), MINUTE // SECOND))

    def _forget_one(self) -> None:
        longest_away = islice(self._arrivals.items(), CANDIDATES)
        caller, _ = min(longest_away, key=lambda remembered: remembered[1])
        del self._arrivals[caller]
