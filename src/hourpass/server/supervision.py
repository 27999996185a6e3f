"""What the service manager learns of the server: that it is ready, that it is alive, and its condition in words.

Only the process that the service manager started tells it anything (sd_notify(3)). Workers tell their parent.
"""

import time
from collections.abc import Callable, Mapping
from enum import StrEnum

from hourpass.core.policy import SECOND
from hourpass.service_manager import Notifier, watchdog_interval

TELL_EVERY = 1.0
"""Seconds between two looks at the condition."""


class Condition(StrEnum):
    """How the server is."""

    WAITING = "waiting for the database"
    LISTENING = "listening"
    TROUBLE = "trouble with the database: requests get 503 until it is over"
    DRAINING = "draining"


class Supervision:
    """Tells the service manager. `clock` returns seconds and never steps back.

    `every` is how many seconds may be between two calls of `tell`. `patience` is after how many seconds of silence the
    service manager takes a process for dead. It is None if nobody waits for signs of life.
    """

    def __init__(self, environ: Mapping[str, str], pid: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._notifier = Notifier(environ.get("NOTIFY_SOCKET"))
        interval = watchdog_interval(environ.get("WATCHDOG_USEC"), environ.get("WATCHDOG_PID"), pid)
        self._sign_every = None if interval is None else interval / SECOND
        self.patience = None if self._sign_every is None else 2 * self._sign_every
        self.every = TELL_EVERY if self._sign_every is None else min(TELL_EVERY, self._sign_every)
        self._clock = clock
        self._told = ""
        self._signed_at = float("-inf")

    def tell(self, condition: Condition, more: str = "") -> None:
        """Send the condition if it has changed, and a sign of life if one is due. Send again what could not be sent."""
        lines, now = [], self._clock()
        status = f"{condition} {more}".rstrip()
        if status != self._told:
            if condition in (Condition.LISTENING, Condition.DRAINING):
                lines.append("READY=1" if condition is Condition.LISTENING else "STOPPING=1")
            lines.append(f"STATUS={status}")
        if self._sign_every is not None and now - self._signed_at >= self._sign_every:
            lines.append("WATCHDOG=1")
        if lines and self._notifier.send(*lines):
            self._told = status
            self._signed_at = now if "WATCHDOG=1" in lines else self._signed_at
