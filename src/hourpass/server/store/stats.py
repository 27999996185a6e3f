"""What is counted, in a database."""

from collections.abc import Sequence
from typing import NamedTuple

from hourpass.core.stats import Stats
from hourpass.server.store.connection import DatabaseConnection

GRANTS_IN_USE = "grants in use"
"""Under this name is how many grants could refresh when they were walked over last."""


class Measured(NamedTuple):
    """What takes long to count, as it was at an instant in epoch milliseconds."""

    value: int
    at: int


class StatsStore(DatabaseConnection):
    """What is asked about what was counted."""

    def add_stats(self, node: str, rows: Sequence[tuple[int, Stats]]) -> None:
        """Add to what happened on a node in each epoch minute."""
        self._run_many("add_stats", [(minute, node, *stats) for minute, stats in rows])

    def stats_since(self, minute: int, width: int) -> dict[int, Stats]:
        """What happened on all nodes since an epoch minute, added up to multiples of `width` minutes.

        By the minute at which each begins. Those in which nothing happened are missing.
        """
        return {begins: Stats._make(row) for begins, *row in self._rows("stats_since", width, width, minute)}

    def prune_stats(self, minute: int) -> None:
        """Delete what happened before an epoch minute."""
        self._run("prune_stats", minute)

    def note_measured(self, name: str, measured: Measured) -> None:
        """Keep what took long to count."""
        self._run("note_measured", name, *measured)

    def measured(self, name: str) -> Measured | None:
        """What was counted last under a name."""
        rows = self._rows("measured", name)
        return Measured._make(rows[0]) if rows else None
