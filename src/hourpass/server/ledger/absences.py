"""The spans in which this node could not reach the database: it was away, or this process did not run."""

from collections.abc import Callable

from hourpass.core.absence import MAX_ABSENCE, Absence
from hourpass.core.policy import MAX_RETRY_WINDOW, SECOND

UNSEEN = 2 * SECOND
"""After so many milliseconds without a look at the database, it was away. A look is due every quarter of a second."""

BEFORE = 15 * SECOND
"""Milliseconds before the last look. The answer to a request that was read since then may be lost in the absence."""

REMEMBERED = 100
"""How many absences are remembered."""


class Absences:
    """The absences that one node remembers. Any thread may ask."""

    def __init__(self, clock: Callable[[], int], timer: Callable[[], int]) -> None:
        self._clock = clock
        self._timer = timer
        self._seen_at = timer()
        self._spans: tuple[Absence, ...] = ()

    def seen(self, asked_at: int) -> None:
        """Note that the database has just answered a look. `asked_at` is when the look began, by the timer."""
        self._spans = self.at(self._clock())
        self._seen_at = max(self._seen_at, asked_at)

    def jumped(self, step: int) -> None:
        """Note that the clock was just set forward by `step` milliseconds. A token that was in its window still is."""
        now = self._clock()
        if step > UNSEEN:
            self._spans = (*self.at(now), Absence(now - step - MAX_RETRY_WINDOW, now))[-REMEMBERED:]

    def at(self, now: int) -> tuple[Absence, ...]:
        """The absences that matter at an instant (epoch milliseconds), including one that is not over yet."""
        spans, away = self._spans, self._timer() - self._seen_at
        if away > UNSEEN:
            spans = _with(spans, Absence(now - away - BEFORE, now))
        if spans and spans[0].until < now - MAX_RETRY_WINDOW - MAX_ABSENCE:
            spans = spans[1:]
        return spans


def _with(spans: tuple[Absence, ...], latest: Absence) -> tuple[Absence, ...]:
    """The spans with one more at the end. It is joined to the one before if they touch."""
    if spans and latest.since <= spans[-1].until:
        return (*spans[:-1], Absence(min(spans[-1].since, latest.since), latest.until))
    return (*spans, latest)[-REMEMBERED:]
