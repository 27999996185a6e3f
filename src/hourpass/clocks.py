"""Two clocks and chance, which servers, clients and verifiers use by default.

Each is a callable, so a test can pass its own.
"""

import os
import threading
import time
from collections.abc import Callable

_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)


_STEP = 1_000
"""Milliseconds. Two clocks are never read at the same instant, so a smaller difference means nothing."""


def boot_clock() -> int:
    """Milliseconds since the machine started. Nobody can set it.

    It counts suspended time if the system has such a clock, as Linux does. It stands still while a virtual machine is
    paused.
    """
    return (time.monotonic_ns() if _CLOCK is None else time.clock_gettime_ns(_CLOCK)) // 1_000_000


def wall_clock() -> int:
    """Epoch milliseconds, for instants that outlive the process. It may jump either way."""
    return time.time_ns() // 1_000_000  # noqa: TID251 the one place that reads the wall clock


def draw() -> float:
    """A number from 0 to below 1, different in every process."""
    return int.from_bytes(os.urandom(6), "big") / 2**48


class AgeClock:
    """Milliseconds since some start, to measure an age. Of two clocks it believes the one that moved more.

    The boot clock stands still while a virtual machine is paused, and the wall clock may be set back. Something
    that seems too old costs a request to the server, but something that seems too young may be a revoked token. So the
    larger step is believed. Safe for threads and forks.
    """

    def __init__(self, boot: Callable[[], int] = boot_clock, wall: Callable[[], int] = wall_clock) -> None:
        self._boot = boot
        self._wall = wall
        self._guard = threading.Lock()
        self._apart = wall() - boot()
        self._missed = 0

    def __call__(self) -> int:
        """The current instant, in milliseconds."""
        boot = self._boot()
        apart = self._wall() - boot
        step = apart - self._apart
        if -_STEP < step < _STEP:
            return boot + self._missed
        # After a fork, the guard may be held by a thread that the child does not have, so nobody waits for it.
        if self._guard.acquire(blocking=False):
            try:
                step = apart - self._apart
                # In this order: a thread that reads in between may add the step twice, but never misses it.
                self._missed += max(step, 0)
                self._apart = apart
            finally:
                self._guard.release()
            return boot + self._missed
        return boot + self._missed + max(step, 0)

    def __reduce__(self) -> str:
        """Pickled as a reference to `age_clock`, the one clock of the process."""
        return "age_clock"


age_clock = AgeClock()
"""The clock by which everything that a process holds gets older."""
