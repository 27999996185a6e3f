"""A log that trouble cannot flood: one line when it begins, one per minute with the count, and one when it is over.

Without this, a client or an outage could write a line with each request.
"""

import logging
import threading
from collections.abc import Callable
from typing import NamedTuple

EVERY = 60.0
"""Seconds between two lines about trouble of one kind. Trouble that does not come for as long is over."""

SETTLED = 3.0
"""Seconds without trouble before `over` is believed. One success between two failures does not end the trouble."""

KINDS = 100
"""How many kinds are told apart. Further ones share one, so memory is bounded even if others choose the names."""


class _Line(NamedTuple):
    level: int
    event: str
    members: dict[str, object]
    error: BaseException | None = None


class _Trouble:
    """Trouble of one kind. `untold` of its `total` occurrences are not in any line yet."""

    def __init__(self, event: str, kind: str) -> None:
        self.event = event
        self.kind = {"kind": kind} if kind else {}
        self.level = logging.WARNING
        self.details: dict[str, object] = {}
        self.told_at = float("-inf")
        self.untold = 0
        self.begin(0.0)
        self.under_way = False

    def begin(self, now: float) -> None:
        self.under_way = True
        self.began = self.latest = now
        self.lines = self.total = 0

    def line(self, now: float, error: BaseException | None = None) -> _Line:
        members = {**self.kind, **self.details}
        if self.untold > 1 or self.lines:
            members["times"] = self.untold
        if not self.under_way:
            members["over"] = True
        self.told_at, self.untold = now, 0
        self.lines += 1
        return _Line(self.level, self.event, members, error)

    def last_line(self, said: str) -> _Line:
        lasted = round(self.latest - self.began, 1)
        return _Line(logging.INFO, said, {**self.kind, "times": self.total, "seconds": lasted})


class LimitedLog:
    """Reports trouble on `log`. `clock` returns seconds and never steps back. Threads may share it."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float]) -> None:
        self._log = log
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], _Trouble] = {}

    def trouble(
        self,
        event: str,
        kind: str = "",
        *,
        level: int = logging.WARNING,
        error: BaseException | None = None,
        **details: object,
    ) -> None:
        """Report that something went wrong.

        It is logged at once if its `event` and `kind` were not logged for a minute. Otherwise it is counted, and the
        next line has the count as `times`, with the details of the latest occurrence. With an `error`, the line has its
        traceback, and each place in the code that raises is a kind of its own.
        """
        now = self._clock()
        if error is not None and not kind:
            kind = _origin(error)
        with self._lock:
            trouble = self._find(event, kind)
            if not trouble.under_way:
                trouble.begin(now)
            trouble.level, trouble.details, trouble.latest = level, details, now
            trouble.total += 1
            trouble.untold += 1
            if now - trouble.told_at < EVERY:
                return
            line = trouble.line(now, error)
        self._write(line)

    def over(self, event: str, said: str, kind: str = "") -> None:
        """Report that something works again. `said` is logged if the trouble was logged. Call it at each success."""
        if (event, kind) not in self._known:
            return  # the usual case, without waiting for the lock
        now = self._clock()
        with self._lock:
            trouble = self._known.get((event, kind))
            if trouble is None or not trouble.under_way or now - trouble.latest < SETTLED:
                return
            trouble.under_way = False
            if not trouble.lines:
                return  # it came back within a minute after a line: the next line counts it, and says that it is over
            trouble.untold = 0
            line = trouble.last_line(said)
        self._write(line)

    def is_under_way(self, event: str, kind: str = "") -> bool:
        """Whether there is trouble of this kind that is not over yet."""
        trouble = self._known.get((event, kind))
        return trouble is not None and trouble.under_way

    def look(self) -> None:
        """Log the trouble that has waited for its minute, and the trouble that is over. Call it every second or so."""
        now = self._clock()
        lines = []
        with self._lock:
            for key, trouble in list(self._known.items()):
                if now - trouble.told_at < EVERY:
                    continue
                if trouble.untold:
                    lines.append(trouble.line(now))
                elif now - trouble.latest >= EVERY:
                    if trouble.under_way and trouble.total > 1:
                        lines.append(trouble.last_line(f"over: {trouble.event}"))
                    del self._known[key]
        for line in lines:
            self._write(line)

    def _find(self, event: str, kind: str) -> _Trouble:
        key = (event, kind)
        if key not in self._known and len(self._known) >= KINDS:
            key = ("other trouble", "")
        return self._known.setdefault(key, _Trouble(*key))

    def _write(self, line: _Line) -> None:
        self._log.log(line.level, line.event, extra=line.members, exc_info=line.error)


def _origin(error: BaseException) -> str:
    """The error's type, and the file and line that raised it."""
    place = error.__traceback__
    if place is None:
        return type(error).__name__
    while place.tb_next is not None:
        place = place.tb_next
    return f"{type(error).__name__} at {place.tb_frame.f_code.co_filename.rpartition('/')[2]}:{place.tb_lineno}"
