"""What the overview adds up: how often something happened in a minute, and into how many points a chart puts that.

Minutes are epoch minutes. Metrics say more, and are kept by Prometheus: these few numbers survive a restart and add up
over nodes.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from hourpass.core.policy import DAY, HOUR, MINUTE

STATS_KEPT = 8 * DAY
"""Milliseconds for which rows are kept: a week to look back at, and a day to compare it with."""

MAX_HOURS = STATS_KEPT // HOUR

POINTS = 96
"""The most points of a chart. A day has one for each quarter of an hour."""

_WIDTHS = (1, 5, 15, 30, 60, 120)


class Stats(NamedTuple):
    """How often each thing happened in some time.

    `refreshes` are rotations, and `retries` got the same successor again. `replays` are superseded refresh tokens that
    came back too late and ended their grant: once for each grant. `refusals` are the other API keys and refresh tokens
    that were refused. `raw_…` and `bearer_…` are credentials at forward auth: `raw_refused` is a key that is refused
    because its clients need tokens by now. `unavailable` and `failures` are answers with 503 and 500.
    """

    exchanges: int = 0
    refreshes: int = 0
    retries: int = 0
    replays: int = 0
    refusals: int = 0
    raw_accepted: int = 0
    raw_refused: int = 0
    bearer_accepted: int = 0
    verify_refused: int = 0
    unavailable: int = 0
    failures: int = 0


NOTHING = Stats()


def total(rows: Iterable[Stats]) -> Stats:
    """The sum of each number."""
    return Stats(*map(sum, zip(NOTHING, *rows, strict=True)))


def since(before: Stats, after: Stats) -> Stats:
    """What happened between two looks at numbers that only grow."""
    return Stats(*(new - old for old, new in zip(before, after, strict=True)))


class Window(NamedTuple):
    """The minutes that a chart shows: from the first one on, so many points of `width` minutes each."""

    first: int
    width: int
    points: int

    def series(self, found: Mapping[int, Stats]) -> list[tuple[int, Stats]]:
        """Each point with the minute at which it begins, also those in which nothing happened."""
        minutes = range(self.first, self.first + self.width * self.points, self.width)
        return [(minute, found.get(minute, NOTHING)) for minute in minutes]


def window(hours: int, now: int) -> Window:
    """The window of the last `hours`, from 1 to `MAX_HOURS`. `now` is epoch milliseconds.

    Points begin at multiples of their width, so that a minute is always in the same one. The last one is not over yet.
    """
    minutes = hours * 60
    width = next(each for each in _WIDTHS if minutes <= POINTS * each)
    points = -(-minutes // width)
    newest = now // MINUTE // width * width
    return Window(newest - (points - 1) * width, width, points)
