"""What time it is: a clock that all nodes on one database share (decision 0025)."""

from collections.abc import Callable
from typing import NamedTuple

from hourpass.clocks import boot_clock
from hourpass.core.policy import LEEWAY, SECOND

COMPARE_EVERY = 10 * SECOND
"""Milliseconds of the timer between two comparisons with the database's clock."""

OFFSET_NOTED = 2 * SECOND
"""Beyond this offset, in milliseconds, the operator is warned. NTP keeps machines within a tenth of it."""

OFFSET_LIMIT = 5 * SECOND
"""Beyond this offset, in milliseconds, a node is not ready: other programs on its machine have the wrong time, too."""

HELD = LEEWAY
"""Instead of going back by up to so many milliseconds, the clock stands still. It follows a larger step at once."""


class Comparison(NamedTuple):
    """The result of a comparison, in milliseconds.

    `step` is by how much the node's clock was set. `offset` is by how much the machine's clock is ahead of the
    reference. Asking takes time, so both are only the part that is certain: 0 if the clocks may agree.
    """

    step: int
    offset: int


class NodeClock:
    """The clock, in epoch milliseconds, for all decisions of a node.

    The machine's clock is read once. From then on the timer moves this clock, and `compare` sets it by the reference:
    the clock of the database server, or of the machine if the database is a local file. So no decision changes if the
    machine's clock is wrong, or is set while the node runs.
    """

    def __init__(self, wall: Callable[[], int], timer: Callable[[], int] = boot_clock) -> None:
        self.wall = wall
        self.timer = timer
        self.offset = 0
        self._base = wall() - timer()
        self._floor = 0
        self._compared = False

    def __call__(self) -> int:
        """The current instant."""
        now = self._base + self.timer()
        if now < self._floor:  # not by `max`: each request reads this clock
            return self._floor
        return now

    def compare(self, asked: int, answered: int, theirs: int) -> Comparison:
        """Follow the reference, which was at `theirs` at some instant between `asked` and `answered` of the timer.

        A clock that may be right already is left alone, so the time that asking takes never moves it.
        """
        before = self()
        base = min(max(self._base, theirs - answered), theirs - asked)
        step, self._base = base - self._base, base
        # The first comparison comes before any decision, so the clock may step back. Later it waits out a small step.
        self._floor = before if self._compared and -HELD <= step < 0 else 0
        self._compared = True
        wall, elapsed = self.wall(), self.timer()
        reference = min(max(wall, theirs - answered + elapsed), theirs - asked + elapsed)
        self.offset = wall - reference
        return Comparison(step, self.offset)
