"""What time it is: a clock that all nodes on one database share (decision 0025)."""

from collections.abc import Callable
from typing import NamedTuple

from hourpass.clocks import boot_clock
from hourpass.core.policy import LEEWAY, SECOND

COMPARE_EVERY = 10 * SECOND
"""Milliseconds of the timer between two comparisons with the database's clock."""

OFFSET_NOTED = 2 * SECOND
"""From this offset on the operator is warned: NTP keeps machines within a tenth of it."""

OFFSET_LIMIT = 5 * SECOND
"""Beyond this offset a node is not ready: what else runs on its machine is as wrong about the time."""

HELD = LEEWAY
"""The clock stands still rather than go back by up to this much; it follows a larger step at once."""


class Comparison(NamedTuple):
    """What a comparison found, in milliseconds.

    `step` is by how much the node's clock was set, `offset` by how much the machine's clock is ahead of the reference.
    Both are what is certain in spite of the time that the question took: 0 if the clocks may agree.
    """

    step: int
    offset: int


class NodeClock:
    """Epoch milliseconds for everything that is decided.

    The machine's clock is read once. From then on the timer moves this one, and `compare` sets it by the reference: the
    clock of the database server, or that of the machine if the database is a local file. So a machine's clock that is
    wrong, or set while the node runs, moves no decision.
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
        return max(now, self._floor)

    def compare(self, asked: int, answered: int, theirs: int) -> Comparison:
        """Follow the reference, which said `theirs` between two instants of the timer.

        A clock that may be right already is left alone, so the time that a question takes never makes it tremble.
        """
        before = self()
        base = min(max(self._base, theirs - answered), theirs - asked)
        step, self._base = base - self._base, base
        # The first comparison comes before any decision. After it, a small step back is waited for.
        self._floor = before if self._compared and -HELD <= step < 0 else 0
        self._compared = True
        wall, elapsed = self.wall(), self.timer()
        reference = min(max(wall, theirs - answered + elapsed), theirs - asked + elapsed)
        self.offset = wall - reference
        return Comparison(step, self.offset)
