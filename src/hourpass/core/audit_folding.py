"""What a client can cause again and again gets a bounded number of lines in the audit trail, and then a count.

Each key may have `LINES_AN_HOUR` of one event. The hour begins with the first of them. Further ones are counted, and
the count is one more line when the hour is over.
"""

from typing import NamedTuple

from hourpass.core.audit import Event, Folded
from hourpass.core.event_names import event_name
from hourpass.core.grant_events import GrantsClosed
from hourpass.core.policy import HOUR
from hourpass.core.server_events import StorageRecovered, StorageTrouble

LINES_AN_HOUR = 60
"""Enough to see who does it and from where. More of the same proves nothing more."""

KEPT = 10_000
"""How many hours (one for each key and event) a process remembers. Beyond it the oldest one is over early."""

_CALLERS = ("client", "github")
"""The actors outside. An operator's events are never folded: each one is a decision."""


def lines_an_hour(event: Event) -> int | None:
    """How many lines of an event a key may have in an hour. None if there is no limit."""
    match event:
        case GrantsClosed():
            return 1 if event.actor.name in _CALLERS else None
        case StorageTrouble() | StorageRecovered():
            return LINES_AN_HOUR
        case _:
            return LINES_AN_HOUR if event.actor.name in _CALLERS and getattr(event, "key_id", None) else None


class _Hour:
    """The hour of one key and event. `number` counts the folded events, and `closed` the grants that they closed."""

    __slots__ = ("began", "closed", "lines", "number")

    def __init__(self, began: int, lines: int = 0) -> None:
        self.began = began
        self.lines = lines
        self.number = 0
        self.closed = 0


class Admitted(NamedTuple):
    """What was decided about an event, so that it can be taken back if its transaction fails."""

    key: tuple[str, str]
    hour: _Hour
    line: bool
    closed: int


class Folding:
    """Decides which events become lines. Instants are epoch milliseconds, and `at` is the event's own."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._hours: dict[tuple[str, str], _Hour] = {}
        self._waiting: list[Event] = []

    def admit(self, at: int, event: Event) -> Admitted | None:
        """Count an event. None if nothing limits it. Otherwise `line` says whether it becomes a line."""
        limit = lines_an_hour(event)
        if limit is None:
            return None
        key = event_name(event), getattr(event, "key_id", "")
        hour = self._hours.get(key)
        if hour is None or not hour.began - HOUR < at < hour.began + HOUR:
            hour = self._begin(key, at)
        closed = event.closed if isinstance(event, GrantsClosed) else 0
        line = hour.lines < limit
        if line:
            hour.lines += 1
        else:
            hour.number += 1
            hour.closed += closed
        return Admitted(key, hour, line, closed)

    def take_back(self, admitted: Admitted) -> None:
        """Uncount an event whose transaction failed: it will come again, or did not happen."""
        if admitted.line:
            admitted.hour.lines -= 1
        else:
            admitted.hour.number -= 1
            admitted.hour.closed -= admitted.closed

    def counts(self, now: int, *, leaving: bool = False) -> list[Event]:
        """The counts of the hours that are over, for the trail. With `leaving` those of all hours.

        They are returned again until `wrote` says that they are kept.
        """
        for key, hour in list(self._hours.items()):
            if leaving or not hour.began - HOUR < now < hour.began + HOUR:
                self._end(key, hour, now)
        return list(self._waiting)

    def wrote(self, counts: list[Event]) -> None:
        """Forget counts that are in the trail now: the first ones that `counts` returned."""
        del self._waiting[: len(counts)]

    def _begin(self, key: tuple[str, str], at: int) -> _Hour:
        before = self._hours.get(key)
        if before is not None:
            self._end(key, before, at)
        elif len(self._hours) >= self._kept:
            oldest = next(iter(self._hours))
            self._end(oldest, self._hours[oldest], at)
            self._hours.pop(oldest, None)
        return self._hours.setdefault(key, _Hour(at))

    def _end(self, key: tuple[str, str], hour: _Hour, now: int) -> None:
        del self._hours[key]
        name, key_id = key
        if not hour.number:
            return
        if hour.closed:
            self._waiting.append(GrantsClosed(key_id, hour.closed))
            # This count is the line of the next hour: there is at most one in an hour.
            self._hours[key] = _Hour(now, lines=1)
        else:
            self._waiting.append(Folded(key_id or None, name, hour.number, hour.began))
