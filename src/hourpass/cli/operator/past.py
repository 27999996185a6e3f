"""Instants in the past, as options of the operator's commands say them."""

from collections.abc import Callable
from datetime import UTC, datetime

import click

from hourpass.core.policy import SECOND
from hourpass.server.settings.parsers import seconds

PastInstant = Callable[[int], int]
"""What an option means at an instant (epoch milliseconds)."""

_LONGEST = 3660 * 86400


def past_instant(ctx: click.Context, param: click.Parameter, value: str | None) -> PastInstant | None:
    """A callback for an instant: `now`, a duration before now, a date, or a date with a time, in UTC by default."""
    if value is None:
        return None
    try:
        milliseconds = 0 if value == "now" else seconds(1, _LONGEST)(value) * SECOND
        return lambda now: now - milliseconds
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(value)
        fixed = round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * SECOND)
    except (ValueError, OverflowError):
        said = "give a duration such as 2h, a date such as 2027-01-31, or a time such as 2027-01-31T08:00:00Z"
        raise click.BadParameter(said) from None
    return lambda now: fixed
