"""How many calls each caller of the administration may make: in a minute, and at a time."""

import contextlib
from collections import Counter
from collections.abc import Iterator

from hourpass.core.errors import Throttled
from hourpass.server.issuing.throttle import Throttle

MOST_AT_ONCE = 32
"""Calls of one caller that may be under way. Each holds a connection, which cannot be closed in favour of another."""

COME_BACK = 1
"""Seconds after which a caller may come again that has too many calls under way."""


class UnderWay:
    """What each caller has under way of one kind: `most` at a time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._numbers: Counter[str] = Counter()

    def is_full(self, caller: str) -> bool:
        """Whether one more of a caller would be one too many."""
        return self._numbers[caller] >= self._most

    @contextlib.contextmanager
    def one(self, caller: str) -> Iterator[None]:
        """One more, for as long as it takes.

        Raises:
            Throttled: if it is one too many.
        """
        if self.is_full(caller):
            raise Throttled(COME_BACK)
        self._numbers[caller] += 1
        try:
            yield
        finally:
            self._numbers[caller] -= 1
            if not self._numbers[caller]:
                del self._numbers[caller]


class AdminCalls:
    """Counts the calls of each caller, in the API and the console together. 0 `per_minute` means no limit of those."""

    def __init__(self, per_minute: int) -> None:
        self._throttle = Throttle(per_minute)
        self._under_way = UnderWay(MOST_AT_ONCE)

    @contextlib.contextmanager
    def admit(self, caller: str, now: int) -> Iterator[None]:
        """Admit a call at `now`, in milliseconds of a timer that nobody can set, for as long as it takes.

        Raises:
            Throttled: if it is one too many.
        """
        self._throttle.admit(caller, now)
        with self._under_way.one(caller):
            yield

    def give_back(self, caller: str) -> None:
        """Take back what a call took of its minute: it was not the caller's."""
        self._throttle.give_back(caller)
