"""Instants in the past, as operators write them in a command and in the console."""

from collections.abc import Callable

from hourpass.admin.instants import read_moment
from hourpass.core.policy import SECOND
from hourpass.server.settings.parsers import seconds

PastInstant = Callable[[int], int]
"""What a text means at an instant (epoch milliseconds)."""

_LONGEST = 3660 * 86400


def past(text: str) -> PastInstant:
    """`now`, a duration before now such as `2h`, a date, or a date with a time, in UTC by default.

    Raises:
        ValueError: with words that say what to write instead.
    """
    try:
        milliseconds = 0 if text == "now" else seconds(1, _LONGEST)(text) * SECOND
        return lambda now: now - milliseconds
    except ValueError:
        pass
    try:
        fixed = read_moment(text)
    except ValueError:
        said = "give a duration such as 15m, 2h or 7d, a date such as 2027-01-31, or a time: 2027-01-31T08:00:00Z"
        raise ValueError(said) from None
    return lambda now: fixed
