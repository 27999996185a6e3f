"""The life of a grant on one line: where it stands, and when something happened to it."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from markupsafe import Markup

from hourpass.server.console.pictures.drawing import WIDTH, coordinate, picture, place

HEIGHT = 48

Weight = Literal["plain", "warn", "bad"]


class Moment(NamedTuple):
    """Something that happened, `at` epoch milliseconds, and how grave it is."""

    at: int
    weight: Weight = "plain"


def lifeline(title: str, moments: Sequence[Moment], *, opened_at: int, ends_at: int, now: int) -> Markup:
    """The line of a grant from its exchange to its end, which may be planned. The part that is over is solid.

    What is graver is taller, so that a replay is seen without its colour.
    """
    last = max(ends_at, *(moment.at for moment in moments), opened_at + 1)
    over, middle = place(min(now, ends_at), opened_at, last), HEIGHT // 2
    drawn = Markup('<path class="lived" d="M0 {y}H{x}"/>').format(y=middle, x=coordinate(over))
    if over < WIDTH:
        drawn += Markup('<path class="ahead" d="M{x} {y}H{w}"/>').format(x=coordinate(over), y=middle, w=WIDTH)
    reach = {"plain": 8, "warn": 14, "bad": middle}
    for moment in moments:
        x, up = coordinate(place(moment.at, opened_at, last)), reach[moment.weight]
        drawn += Markup('<path class="tick {}" d="M{} {}V{}"/>').format(moment.weight, x, middle - up, middle + up)
    grave = sum(moment.weight == "bad" for moment in moments)
    words = f"{len(moments)} moments, {grave} of them grave." if grave else f"{len(moments)} moments, none grave."
    return picture(title, words, HEIGHT, drawn)
