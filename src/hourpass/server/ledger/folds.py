"""The folding of one process: its lanes' threads share it, and a transaction that fails takes its events back."""

import threading
from collections.abc import Sequence

from hourpass.core.audit import Event
from hourpass.core.audit_folding import Admitted, Folding


class Folds:
    """Says which lines a store writes. Each node and each worker folds for itself."""

    def __init__(self) -> None:
        self._folding = Folding()
        self._lock = threading.Lock()

    def sift(self, lines: Sequence[tuple[int, Event]]) -> tuple[list[tuple[int, Event]], list[Admitted]]:
        """The lines to write, and what was decided about them, for `take_back`."""
        with self._lock:
            decided = [self._folding.admit(at, event) for at, event in lines]
        kept = [line for line, one in zip(lines, decided, strict=True) if one is None or one.line]
        return kept, [one for one in decided if one is not None]

    def take_back(self, admitted: Sequence[Admitted]) -> None:
        """The transaction of these events failed."""
        with self._lock:
            for each in admitted:
                self._folding.take_back(each)

    def counts(self, now: int, *, leaving: bool = False) -> list[Event]:
        """The counts to write. They come again until `wrote`."""
        with self._lock:
            return self._folding.counts(now, leaving=leaving)

    def wrote(self, counts: list[Event]) -> None:
        """These counts are kept."""
        with self._lock:
            self._folding.wrote(counts)
