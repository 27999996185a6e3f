"""Small charts of equal spans of time: bars for what happened in each, a curve for what rises and falls."""

from collections.abc import Sequence
from typing import Literal

from markupsafe import Markup

from hourpass.server.console.pictures.drawing import WIDTH, coordinate, picture

HEIGHT = 100

Tone = Literal["accent", "good", "warn", "bad"]

GAP = 0.22
"""Which share of a span stays empty beside its bar."""


def bars(title: str, values: Sequence[int], *, tone: Tone = "accent", unit: str = "") -> Markup:
    """A bar for each value. `unit` says what a value counts, such as `exchanges in 30 minutes`."""
    highest = max(values, default=0)
    drawn = "".join(_bar(at, value, len(values), highest) for at, value in enumerate(values) if value)
    content = Markup('<path class="base" d="M0 {h}H{w}"/>').format(h=HEIGHT, w=WIDTH)
    if drawn:
        content += Markup('<path class="bars {}" d="{}"/>').format(tone, drawn)
    return picture(title, _in_words(values, unit), HEIGHT, content)


def curve(title: str, values: Sequence[int], *, unit: str = "") -> Markup:
    """A line through all values, with the area under it."""
    highest = max(values, default=0) or 1
    step = WIDTH / max(1, len(values) - 1)
    points = [
        f"{coordinate(at * step)} {coordinate(HEIGHT - value / highest * HEIGHT)}" for at, value in enumerate(values)
    ]
    content = Markup('<path class="base" d="M0 {h}H{w}"/>').format(h=HEIGHT, w=WIDTH)
    if any(values):
        line = "L".join(points)
        area = f"M0 {HEIGHT}L{line}L{coordinate((len(points) - 1) * step)} {HEIGHT}z"
        content += Markup('<path class="under" d="{}"/><path class="curve" d="M{}"/>').format(area, line)
    return picture(title, _in_words(values, unit), HEIGHT, content)


def _bar(at: int, value: int, many: int, highest: int) -> str:
    step = WIDTH / many
    height = max(2.0, value / highest * HEIGHT)  # also a single one among thousands is seen
    left, width = at * step + step * GAP / 2, step * (1 - GAP)
    return f"M{coordinate(left)} {HEIGHT}v-{coordinate(height)}h{coordinate(width)}v{coordinate(height)}z"


def _in_words(values: Sequence[int], unit: str) -> str:
    if not any(values):
        return "None in this time."
    highest = max(values)
    return f"{sum(values):,} in all, at most {highest:,} {unit}".rstrip() + f", {values[-1]:,} at the end."
