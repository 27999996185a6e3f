"""Absences: spans of time in which the server could answer nobody.

A client whose answer was lost in such a span could not ask again in time. So a supersession inside a span is judged as
if it had happened at the end of the span.
"""

from collections.abc import Iterable
from typing import NamedTuple

MAX_ABSENCE = 600_000
"""Milliseconds that all absences together can add to a retry window. It limits what a thief can gain from them."""


class Absence(NamedTuple):
    """A span of time, both ends included, in epoch milliseconds."""

    since: int
    until: int


def counted_from(superseded_at: int, absences: Iterable[Absence]) -> int:
    """The instant (epoch milliseconds) at which the retry window of a superseded generation starts.

    Absences come in the order of time. A generation that was superseded later never gets an earlier start.
    """
    counted = superseded_at
    for since, until in absences:
        if since <= counted < until:
            counted = until
    return min(counted, superseded_at + MAX_ABSENCE)
