"""What the client takes from its surroundings: two clocks and chance.

Nothing else in the client reads a clock or draws a number; each is a callable that a test replaces with its own.
"""

import os
import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_clock() -> int:
    """Milliseconds since some start. Counts the time a machine is suspended, and no one can set it."""
    return time.clock_gettime_ns(_CLOCK) // 1_000_000


def wall_clock() -> int:
    """Epoch milliseconds: for what outlives the process. It may jump either way."""
    return time.time_ns() // 1_000_000  # noqa: TID251 the default of a parameter, here and nowhere else


def draw() -> float:
    """A number from 0 to below 1, different in every process."""
    return int.from_bytes(os.urandom(6), "big") / 2**48
