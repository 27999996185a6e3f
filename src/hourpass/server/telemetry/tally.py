"""The counts of all workers of a server, in memory that they share (decision 0038).

The parent makes it before it forks. Each worker writes into cells of its own, and each one can read all of them. A
worker that ends leaves its counts behind, and the next one of its number goes on from there.
"""

import mmap
from collections.abc import Callable, Mapping

from hourpass.clocks import boot_clock, wall_clock
from hourpass.core.policy import SECOND
from hourpass.server.telemetry import process
from hourpass.server.telemetry.counts import BEAT, CELL, SIZE, Counts
from hourpass.server.telemetry.exposition import exposition
from hourpass.server.telemetry.telemetry import lines_dropped

ALIVE = 5 * SECOND
"""Milliseconds for which a worker answers that was seen to run. It is seen every second."""


class Tally:
    """The counts of so many workers, by their numbers from 0. `timer` is milliseconds, the same for all processes."""

    def __init__(self, workers: int = 1, timer: Callable[[], int] = boot_clock) -> None:
        # A private mapping would be copied at the fork. Eight bytes in their place are written and read in one piece.
        numbers = memoryview(mmap.mmap(-1, workers * SIZE * 8)).cast("d")
        self._all = [numbers[number * SIZE : (number + 1) * SIZE] for number in range(workers)]
        self._timer = timer

    def counts(self, number: int) -> Counts:
        """The counts of one worker. Only that worker writes to them, and the parent once the worker has ended."""
        return Counts(self._all[number])

    def ended(self, number: int) -> None:
        """Count that a worker has ended and was not told to."""
        cells = self._all[number]
        cells[CELL["worker_ended"]] += 1
        cells[BEAT] = 0

    def render(self, info: Mapping[str, str]) -> bytes:
        """The metrics of all workers in Prometheus' text format."""
        oldest = self._timer() - ALIVE
        answering = [cells for cells in self._all if cells[BEAT] and cells[BEAT] >= oldest]
        return exposition(self._all, answering, info)


class Meter:
    """What one worker measures from time to time: `values` by the names of their gauges, `totals` by those of counters.

    Totals begin at 0 with the process. What they have grown by is added to the counter, which a process before this one
    may have begun.
    """

    def __init__(self, counts: Counts, timer: Callable[[], int] = boot_clock) -> None:
        self.values: dict[str, Callable[[], float]] = dict(process.VALUES)
        self.totals: dict[str, Callable[[], float]] = {**process.TOTALS, "dropped": lines_dropped}
        self._counts = counts
        self._timer = timer
        self._seen: dict[str, float] = {}
        counts["start_time"] = wall_clock() / SECOND

    def measure(self) -> None:
        """Put all that is true now into the cells, and that this process runs."""
        for name, ask in self.values.items():
            self._counts[name] = ask()
        for name, ask in self.totals.items():
            total = ask()
            self._counts.add(name, total - self._seen.get(name, 0))
            self._seen[name] = total
        self._counts.cells[BEAT] = self._timer()
