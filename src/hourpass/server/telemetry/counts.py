"""What the server counts and measures: a cell for each number of the table in `metrics.py`.

Each number has a cell, by its name (`CELL`). The cells of one process lie side by side in `Counts.cells`, so that a
request pays for an addition and no more.
"""

from bisect import bisect_left
from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, get_args

from hourpass.server.telemetry.metrics import (
    METRICS,
    ROUTES,
    TIMES,
    Counter,
    Gauge,
    Histogram,
    RequestOutcome,
    Requests,
)

if TYPE_CHECKING:
    Cells = memoryview[float]
else:
    Cells = memoryview  # it takes no parameter before Python 3.14

CELL: dict[str, int] = {}
"""The cell of each count. A name that is not in the table raises KeyError."""


def _take_cells(metric: Counter | Gauge | Histogram | Requests) -> Iterator[str]:
    match metric:
        case Counter() | Gauge():
            yield from metric.counts
        case Histogram():
            # The buckets, the one without a bound among them, are side by side, and the sum follows.
            yield from (f"{metric.name} {bucket}" for bucket in range(len(metric.bounds) + 2))
        case Requests():
            for route in ROUTES:
                for outcome in get_args(RequestOutcome):
                    yield from (f"{route} {outcome} {bucket}" for bucket in range(len(TIMES) + 1))
                yield f"{route} sum"


for _metric in METRICS:
    for _name in _take_cells(_metric):
        CELL[_name] = len(CELL)

BEAT = len(CELL)
"""The cell that says when the process was last seen to run, on the machine's boot clock in milliseconds."""

SIZE = BEAT + 1
"""How many cells a process has."""


def outcome_of(status: int) -> RequestOutcome:
    """What a status means for the one who watches."""
    if status in (429, 503):
        return "throttled" if status == 429 else "unavailable"
    return "failed" if status >= 500 else "refused" if status >= 400 else "ok"


FIRST_BUCKET: dict[str, dict[int, int]] = {
    route: {int(status): CELL[f"{route} {outcome_of(status)} 0"] for status in HTTPStatus} for route in ROUTES
}
"""The cell of the first bucket for each route and status."""

_PLACES = {route: (first, CELL[f"{route} sum"]) for route, first in FIRST_BUCKET.items()}
_OTHER = _PLACES["other"]


class Counts:
    """The counts of one process, in cells of its own. Only its event loop adds to them.

    All of them are 0 at the start: a rate would miss the first event if a series began with it.
    """

    def __init__(self, cells: Cells | None = None) -> None:
        self.cells: Cells = memoryview(bytearray(8 * SIZE)).cast("d") if cells is None else cells

    def __getitem__(self, name: str) -> float:
        """A count."""
        return self.cells[CELL[name]]

    def __setitem__(self, name: str, value: float) -> None:
        """Set what a gauge shows."""
        self.cells[CELL[name]] = value

    def add(self, name: str, number: float = 1) -> None:
        """Count. Where each request pays, add to `cells` instead."""
        self.cells[CELL[name]] += number

    def observe(self, histogram: str, value: float) -> None:
        """Count a value in its bucket."""
        cells, (first, bounds, total) = self.cells, _HISTOGRAMS[histogram]
        cells[first + bisect_left(bounds, value)] += 1
        cells[total] += value

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request by its route and outcome, and by how long the answer took."""
        cells, (first, total) = self.cells, _PLACES.get(route, _OTHER)
        cells[first[status] + bisect_left(TIMES, seconds)] += 1
        cells[total] += seconds


_HISTOGRAMS = {
    metric.name: (CELL[f"{metric.name} 0"], metric.bounds, CELL[f"{metric.name} {len(metric.bounds) + 1}"])
    for metric in METRICS
    if isinstance(metric, Histogram)
}
