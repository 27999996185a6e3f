"""Two clocks and chance. Servers, clients and verifiers go by them if they are given no others.

Each is a callable that a test replaces with its own.
"""

import os
import threading
import time
from collections.abc import Callable

_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)


_STEP = 1_000
"""Milliseconds. Two clocks are never read at one instant, so a smaller difference says nothing."""


def boot_clock() -> int:
    """Milliseconds since the machine started. Nobody can set it.

    It counts suspended time if the system has such a clock, as Linux does. It stands still while a virtual machine is
    paused.
    """
    return (time.monotonic_ns() if _CLOCK is None else time.clock_gettime_ns(_CLOCK)) // 1_000_000


def wall_clock() -> int:
    """Epoch milliseconds: for what outlives the process. It may jump either way."""
    return time.time_ns() // 1_000_000  # noqa: TID251 where every wall clock is read


def draw() -> float:
    """A number from 0 to below 1, different in every process."""
    return int.from_bytes(os.urandom(6), "big") / 2**48


class AgeClock:
    """Milliseconds since some start, to tell an age by: the greater of what two clocks say has passed.

    The boot clock stands still while a virtual machine is paused, the wall clock may be set back. What seems too old
    costs a request to the server, what seems too young may be a revoked token, so the larger step is believed. Safe for
    threads and forks.
    """

    def __init__(self, boot: Callable[[], int] = boot_clock, wall: Callable[[], int] = wall_clock) -> None:
        self._boot = boot
        self._wall = wall
        self._guard = threading.Lock()
        self._apart = wall() - boot()
        self._missed = 0

    def __call__(self) -> int:
        """The instant now."""
        boot = self._boot()
        apart = self._wall() - boot
        step = apart - self._apart
        if -_STEP < step < _STEP:
            return boot + self._missed
        # A forked child may find the guard held by a thread that it does not have: nobody waits for it.
        if self._guard.acquire(blocking=False):
            try:
                step = apart - self._apart
                # In this order: another thread that reads in between may count the step twice, and never not at all.
                self._missed += max(step, 0)
                self._apart = apart
            finally:
                self._guard.release()
            return boot + self._missed
        return boot + self._missed + max(step, 0)

    def __reduce__(self) -> str:
        """The one that a process has: nothing else of it can be pickled."""
        return "age_clock"


age_clock = AgeClock()
"""The clock of all that a process holds."""
