"""Rate limits by GCRA, the generic cell rate algorithm: one instant remembered for each caller, in memory."""

from hourpass.core.errors import Throttled
from hourpass.core.policy import MINUTE, SECOND

REMEMBERED = 100_000
"""Callers remembered at once; those at rest are forgotten first."""


class Throttle:
    """Allows `per_minute` requests a minute for each caller, all of them in one burst if they come so. 0 allows all."""

    def __init__(self, per_minute: int) -> None:
        self._interval = MINUTE / per_minute if per_minute else 0.0
        self._burst = MINUTE - self._interval
        self._arrivals: dict[str, float] = {}

    def admit(self, caller: str, now: int) -> None:
        """Count a request at `now` (epoch milliseconds).

        Raises:
            Throttled: with the whole seconds after which a request will be admitted.
        """
        if not self._interval:
            return
        # The theoretical arrival time: when the caller would have used up what it has taken so far.
        arrival = max(self._arrivals.get(caller, 0.0), now)
        wait = arrival - self._burst - now
        if wait > 0:
            raise Throttled(retry_after=max(1, -int(-wait // SECOND)))
        if len(self._arrivals) >= REMEMBERED and caller not in self._arrivals:
            self._forget(now)
        self._arrivals[caller] = arrival + self._interval

    def _forget(self, now: int) -> None:
        self._arrivals = {caller: arrival for caller, arrival in self._arrivals.items() if arrival > now}
        if len(self._arrivals) >= REMEMBERED:
            # All of them are busy: better to admit some too many than to grow, or to refuse everybody new.
            self._arrivals.clear()
