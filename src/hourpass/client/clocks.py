"""What the client takes from its surroundings: two clocks and chance.

Nothing else in the client reads a clock or draws a number; each is a callable that a test replaces with its own.
"""

import os

from hourpass.clocks import AgeClock, age_clock, boot_clock, wall_clock

__all__ = ["AgeClock", "age_clock", "boot_clock", "draw", "wall_clock"]


def draw() -> float:
    """A number from 0 to below 1, different in every process."""
    return int.from_bytes(os.urandom(6), "big") / 2**48
