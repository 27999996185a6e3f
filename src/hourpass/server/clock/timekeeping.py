"""How a running node keeps its time, and what it reports to the operator (decision 0025)."""

import asyncio
from collections.abc import Callable
from typing import cast

from hourpass.core.policy import SECOND
from hourpass.server.clock.clocks import COMPARE_EVERY, OFFSET_LIMIT, OFFSET_NOTED, NodeClock
from hourpass.server.ledger.absences import Absences
from hourpass.server.ledger.ledger import Ledger
from hourpass.server.ledger.stall import BEAT_EVERY, Stalls
from hourpass.server.store import SharedStore, Store
from hourpass.server.telemetry.limited_log import LimitedLog

CLOCK_IS_WRONG = "the clock is wrong"


class Timekeeper:
    """The time of one node. `clock` returns the epoch milliseconds for decisions, `timer` measures intervals.

    A clock that is not a `NodeClock` belongs to a test. It is trusted, it is its own timer, and it is never compared.
    There is nothing to watch then: `stalls` and `absences` are None. `window` is the general retry window in
    milliseconds. `shared` is true if the store has a clock of its own. Requests may have waited since `waiting_since`,
    by the timer. Trouble is reported on `limited`.
    """

    def __init__(
        self,
        clock: Callable[[], int],
        window: int,
        limited: LimitedLog,
        *,
        shared: bool,
        waiting_since: int | None = None,
    ) -> None:
        self.clock = clock
        self._node_clock = clock if isinstance(clock, NodeClock) else None
        self.timer: Callable[[], int] = self._node_clock.timer if self._node_clock else clock
        self.stalls = Stalls(self.timer, window, waiting_since) if self._node_clock else None
        self.absences = Absences(clock, self.timer) if self._node_clock else None
        self._shared = shared
        self._compared_at = 0
        self._limited = limited

    @property
    def offset(self) -> int:
        """How many milliseconds the machine's clock is ahead of the database's."""
        return self._node_clock.offset if self._node_clock else 0

    @property
    def stalled(self) -> int:
        """How often this process stood still."""
        return self.stalls.count if self.stalls else 0

    def readiness(self) -> str:
        """`ok`, or by how much the machine's clock is wrong."""
        return "ok" if abs(self.offset) <= OFFSET_LIMIT else _words(self.offset)

    def begin(self, store: Store) -> None:
        """Set the clock. Call it before anything is decided. Raises StorageUnavailable."""
        if self._node_clock:
            self._compare(self._node_clock, *self._ask(self._node_clock, store))

    async def beat(self) -> None:
        """Note that the event loop runs, again and again until cancelled."""
        noted = 0
        while self.stalls:
            self.stalls.beat()
            if self.stalls.count != noted:
                noted = self.stalls.count
                self._limited.trouble("this process stood still", what_waited="is answered 503")
            await asyncio.sleep(BEAT_EVERY)

    def require_awake(self) -> None:
        """Raise Stalled if this process stood still just now, because a request may have waited meanwhile."""
        if self.stalls:
            self.stalls.require_awake()

    async def keep(self, ledger: Ledger) -> None:
        """Compare again when it is due. Called several times a second. Raises StorageUnavailable."""
        clock = self._node_clock
        if clock and clock.timer() - self._compared_at >= COMPARE_EVERY:
            step = self._compare(clock, *await ledger.read(lambda store: self._ask(clock, store)))
            if self.absences:
                self.absences.jumped(step)

    def _ask(self, clock: NodeClock, store: Store) -> tuple[int, int, int]:
        """The timer before and after asking, and the reference's answer."""
        asked = clock.timer()
        theirs = cast("SharedStore", store).time() if self._shared else clock.wall()
        return asked, clock.timer(), theirs

    def _compare(self, clock: NodeClock, asked: int, answered: int, theirs: int) -> int:
        """Set the clock. Returns by how many milliseconds."""
        self._compared_at = answered
        step, offset = clock.compare(asked, answered, theirs)
        if abs(offset) > OFFSET_NOTED:
            detail = f"the clock of this machine is {_words(offset)}"
            self._limited.trouble(CLOCK_IS_WRONG, detail=detail, offset_seconds=offset / SECOND)
        else:
            self._limited.over(CLOCK_IS_WRONG, "the clock agrees with the database's again")
        return step


def _words(offset: int) -> str:
    return f"{abs(offset) / SECOND:.1f} s {'ahead of' if offset > 0 else 'behind'} the database's"
