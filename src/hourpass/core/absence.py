"""Absences: while nobody could be answered here, a client whose answer was lost could not ask again in time.

So a supersession in such a span is judged as if it had happened at the span's end.
"""

from collections.abc import Iterable
from typing import NamedTuple

MAX_ABSENCE = 600_000
"""Milliseconds that absences can add to a retry window, however long and many they are: a thief gains no more."""


class Absence(NamedTuple):
    """A span of time, both ends included, in epoch milliseconds."""

    since: int
    until: int


def counted_from(superseded_at: int, absences: Iterable[Absence]) -> int:
    """The instant from which the retry window of a superseded generation runs. Absences come in the order of time.

    It never goes back: what was superseded later counts from no earlier instant.
    """
    counted = superseded_at
    for since, until in absences:
        if since <= counted < until:
            counted = until
    return min(counted, superseded_at + MAX_ABSENCE)
