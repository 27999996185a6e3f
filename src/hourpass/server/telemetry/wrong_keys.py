"""Who sends wrong API keys: one line of the log for each address and minute, with a count, in a form for fail2ban.

A stranger can send as many as he likes from as many addresses as he has. So lines and memory are bounded, and a key is
never in a line.
"""

import logging
from collections import Counter
from collections.abc import Callable

from hourpass.core.caller import bucket
from hourpass.core.policy import MINUTE

ADDRESSES = 1_000
"""Addresses told apart in one minute. Further ones are counted together."""

LINES_AT_ONCE = 200
"""Lines that are written in one go, so that the log's queue takes them all."""

OTHERS = "others"
UNKNOWN = "unknown"

log = logging.getLogger("hourpass")


class WrongKeys:
    """Counts wrong keys. `timer` is milliseconds that nobody can set: minutes are measured by it."""

    def __init__(self, timer: Callable[[], int]) -> None:
        self._timer = timer
        self._minute = 0
        self._counts: Counter[str] = Counter()
        self._waiting: list[tuple[str, int]] = []

    def note(self, address: str | None) -> None:
        """A wrong key came from this address. An IPv6 address is counted with its /64."""
        self._turn()
        name = bucket(address) or UNKNOWN
        if name not in self._counts and len(self._counts) >= ADDRESSES:
            name = OTHERS
        self._counts[name] += 1

    def look(self) -> None:
        """Tell of the minutes that are over, some lines at a time. To be called every second or so."""
        self._turn()
        self._write(LINES_AT_ONCE)

    def close(self) -> None:
        """Tell everything, the most frequent first: this process ends."""
        self._end_minute()
        self._write(len(self._waiting))

    def _turn(self) -> None:
        minute = self._timer() // MINUTE
        if minute != self._minute:
            self._end_minute()
            self._minute = minute

    def _end_minute(self) -> None:
        if self._counts:
            room = ADDRESSES + 1 - len(self._waiting)
            self._waiting += self._counts.most_common(max(0, room))
            self._counts.clear()

    def _write(self, lines: int) -> None:
        told, self._waiting = self._waiting[:lines], self._waiting[lines:]
        for address, times in told:
            log.warning("wrong API keys", extra={"address": address, "times": times})
