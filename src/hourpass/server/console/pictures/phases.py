"""The life of a signing key as a strip: published, then signing, then only verifying."""

from typing import NamedTuple

from markupsafe import Markup

from hourpass.server.console.pictures.drawing import coordinate, picture, place

HEIGHT = 24


class Life(NamedTuple):
    """When a signing key enters each phase, in epoch milliseconds. None for what is not planned yet."""

    published_at: int
    signs_from: int
    retired_at: int | None
    gone_at: int | None


def phases(title: str, life: Life, first: int, last: int, now: int) -> Markup:
    """The strip of one key between two instants, with a line at `now`. All keys of a page share the two."""
    ends = life.signs_from, life.retired_at or last, life.gone_at or last
    spans = [
        ("published", life.published_at, ends[0]),
        ("signing", ends[0], ends[1]),
        ("verify", ends[1], ends[2] if life.retired_at else ends[1]),
    ]
    if life.retired_at is None:  # nobody knows yet how long it signs
        known = max(now, ends[0])
        spans[1:] = [("signing", ends[0], known), ("signing open", known, last)]
    drawn = Markup().join(_span(name, begins, end, first, last) for name, begins, end in spans)
    x = coordinate(place(now, first, last))
    drawn += Markup('<path class="now" d="M{} -4V{}"/>').format(x, HEIGHT + 4)
    return picture(title, _in_words(life, now), HEIGHT, drawn)


def _span(name: str, begins: int, end: int, first: int, last: int) -> Markup:
    left, right = place(begins, first, last), place(end, first, last)
    if right <= left:
        return Markup()
    return Markup('<rect class="phase {}" x="{}" y="3" width="{}" height="{}"/>').format(
        name, coordinate(left), coordinate(max(2.0, right - left)), HEIGHT - 6
    )


def _in_words(life: Life, now: int) -> str:
    if life.gone_at is not None and now >= life.gone_at:
        return "It is gone."
    if life.retired_at is not None and now >= life.retired_at:
        return "It signs no more. The tokens that it signed are still verified."
    return "It signs now." if now >= life.signs_from else "It is published and does not sign yet."
