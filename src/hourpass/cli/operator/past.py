"""Instants in the past, as options of the operator's commands say them."""

import click

from hourpass.server.settings.past import PastInstant, past

__all__ = ["PastInstant", "past_instant"]


def past_instant(ctx: click.Context, param: click.Parameter, value: str | None) -> PastInstant | None:
    """A callback for an instant: `now`, a duration before now, a date, or a date with a time, in UTC by default."""
    try:
        return None if value is None else past(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
