"""The spans in which this node did not see the database: it was away, or this process did not run."""

from collections.abc import Callable

from hourpass.core.absence import MAX_ABSENCE, Absence
from hourpass.core.policy import MAX_RETRY_WINDOW, SECOND

UNSEEN = 2 * SECOND
"""Milliseconds without a look at the database from which on it was away: a look comes every quarter of a second."""

BEFORE = 15 * SECOND
"""How much longer ago than the last look a request may have been read whose answer the absence swallowed."""

REMEMBERED = 100
"""Absences that are remembered; they are further apart than they are long, or they are as one."""


class Absences:
    """What one node remembers. Any thread may ask."""

    def __init__(self, clock: Callable[[], int], timer: Callable[[], int]) -> None:
        self._clock = clock
        self._timer = timer
        self._seen_at = timer()
        self._spans: tuple[Absence, ...] = ()

    def seen(self, asked_at: int) -> None:
        """The database has just answered a look that was taken at an instant of the timer."""
        self._spans = self.at(self._clock())
        self._seen_at = max(self._seen_at, asked_at)

    def jumped(self, step: int) -> None:
        """The clock has just been set forward by `step`: what was within a window before it still is."""
        now = self._clock()
        if step > UNSEEN:
            self._spans = (*self.at(now), Absence(now - step - MAX_RETRY_WINDOW, now))[-REMEMBERED:]

    def at(self, now: int) -> tuple[Absence, ...]:
        """The absences that matter at an instant, one that is not over yet included."""
        spans, away = self._spans, self._timer() - self._seen_at
        if away > UNSEEN:
            spans = _with(spans, Absence(now - away - BEFORE, now))
        if spans and spans[0].until < now - MAX_RETRY_WINDOW - MAX_ABSENCE:
            spans = spans[1:]
        return spans


def _with(spans: tuple[Absence, ...], latest: Absence) -> tuple[Absence, ...]:
    """With one more at the end, joined to the one before it if they touch."""
    if spans and latest.since <= spans[-1].until:
        return (*spans[:-1], Absence(min(spans[-1].since, latest.since), latest.until))
    return (*spans, latest)[-REMEMBERED:]
